# SPDX-License-Identifier: LGPL-3.0-or-later
"""Quotes of the software SGX device: its test platform, quoting service, PCCS, and what verifiers say."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests'))
import sgx_measure  # noqa: E402

BUILD = pathlib.Path(os.environ.get('BUILD', ROOT / 'build')).resolve()
ADYTON = BUILD / 'bin/adyton'
LIBS = [BUILD / 'src/sgx/libsgx_host.a', BUILD / 'src/sgx/libsgx_layout.a', BUILD / 'src/sgx/libsgx_arch.a',
        BUILD / 'src/crypto/libadyton_crypto.a', '-lcrypto', '-lpthread']
REPORT_DATA = bytes(200 - i for i in range(64))

device = pytest.mark.skipif(not (BUILD / 'lib/adyton/adyton-sgxemu').exists(),
                            reason='the software SGX device is not built')


def adyton(*args, cwd=None, **env):
    return subprocess.run(['timeout', '-k', '1', '60', ADYTON, *map(str, args)], capture_output=True, text=True, cwd=cwd,
                          stdin=subprocess.DEVNULL,
                          env={'PATH': '/usr/bin:/bin', 'HOME': '/nonexistent', 'NO_PROXY': '*', **env})


class Platform:
    """A test platform in a directory of its own."""

    def __init__(self, folder):
        self.fuses = folder / 'fuses'
        self.dir = folder / 'test-platform'
        self.root = self.dir / 'root.pem'
        self.collateral = self.dir / 'collateral'
        self.setup = adyton('sgxemu', 'setup', '--fuses', self.fuses)
        assert self.setup.returncode == 0, self.setup.stderr

    def quote(self, output, *options):
        r = adyton('sgxemu', 'quote', '--fuses', self.fuses, *options, output)
        assert r.returncode == 0, r.stderr
        return output

    def verify(self, quote, *options, root=True, collateral=True):
        r = adyton('verify', '--json', *(['--trust-root', self.root] if root else []),
                   *(['--collateral', self.collateral] if collateral else []), *options, quote)
        return r, json.loads(r.stdout)


@pytest.fixture(scope='module')
def platform(tmp_path_factory):
    return Platform(tmp_path_factory.mktemp('platform'))


@pytest.fixture(scope='module')
def quote(platform, tmp_path_factory):
    path = tmp_path_factory.mktemp('quote') / 'quote'
    return platform.quote(path, '--report-data', 'abcd', '--mrenclave', '11' * 32, '--isv-svn', '7')


@contextlib.contextmanager
def running(*args):
    """A server of ours; yields its first line."""
    p = subprocess.Popen([ADYTON, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = p.stdout.readline()
        assert line, p.stderr.read()
        yield line.strip(), p
        assert p.poll() is None, 'the server ended'
    finally:
        p.terminate()
        p.wait(30)
        p.stdout.close()
        p.stderr.close()
    assert p.returncode == 0, p.returncode


# ---- the platform ------------------------------------------------------------------------------------------------


def test_files_of_the_platform(platform):
    assert str(platform.root) in platform.setup.stdout and 'protects nothing' in platform.setup.stdout
    for path in [platform.dir, *platform.dir.rglob('*')]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    keys = {path.read_bytes() for path in platform.dir.glob('*.key')}
    assert len(keys) == 6 and not list(platform.dir.parent.glob('*.new'))


def test_names_say_test(platform):
    for name in ('root', 'pck-platform-ca', 'pck-processor-ca', 'pck', 'tcb-signing'):
        text = subprocess.run(['openssl', 'x509', '-in', platform.dir / f'{name}.pem', '-noout', '-subject', '-text'],
                              capture_output=True, text=True, check=True).stdout
        assert 'Software Device TEST' in text and 'Intel' not in text
    assert '1.2.840.113741.1.13.1' in subprocess.run(['openssl', 'x509', '-in', platform.dir / 'pck.pem', '-noout', '-text'],
                                                     capture_output=True, text=True, check=True).stdout


def test_openssl_agrees(platform, tmp_path):
    """Chain and lists hold up to a verifier that is not ours."""
    for name, ca in (('root_ca_crl', 'root'), ('pck_crl', 'pck-platform-ca')):
        r = subprocess.run(['openssl', 'crl', '-inform', 'DER', '-in', platform.collateral / f'{name}.der', '-noout',
                            '-CAfile', platform.dir / f'{ca}.pem'], capture_output=True, text=True)
        assert 'verify OK' in r.stderr, r.stderr
    r = subprocess.run(['openssl', 'verify', '-CAfile', platform.root, '-untrusted', platform.dir / 'pck-platform-ca.pem',
                        platform.dir / 'pck.pem'], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr


def test_setup_again_keeps_keys(tmp_path):
    p = Platform(tmp_path)
    keys = {path: path.read_bytes() for path in [*p.dir.glob('*.key'), *p.dir.glob('*.pem')]}
    crl = (p.collateral / 'pck_crl.der').read_bytes()
    (p.collateral / 'tcb_info.json').unlink()
    again = Platform(tmp_path)
    assert {path: path.read_bytes() for path in keys} == keys
    assert (p.collateral / 'pck_crl.der').read_bytes() != crl and (p.collateral / 'tcb_info.json').exists()
    assert again.setup.stdout == p.setup.stdout


def test_setup_at_the_same_moment(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        runs = list(pool.map(lambda _: adyton('sgxemu', 'setup', '--fuses', tmp_path / 'fuses'), range(6)))
    assert [r.returncode for r in runs] == [0] * 6, [r.stderr for r in runs]
    assert sorted(path.name for path in tmp_path.iterdir()) == ['fuses', 'test-platform']


@pytest.mark.parametrize('harm, expected', [
    (lambda p: (p.dir / 'pck.key').write_text('x'), 'pck.key and its certificate cannot be read'),
    (lambda p: (p.dir / 'root.pem').unlink(), 'root.key and its certificate'),
    (lambda p: shutil.copy(p.dir / 'root.key', p.dir / 'pck.key'), 'do not belong together'),
    (lambda p: (p.dir / 'attestation.key').write_bytes(b'\0' * 20000), 'attestation.key cannot be read'),
    (lambda p: p.fuses.write_bytes(os.urandom(64)), 'another fuse file'),
    (lambda p: (shutil.rmtree(p.dir), p.dir.write_text('')), 'is no directory'),
])
def test_harmed_platform(tmp_path, harm, expected):
    p = Platform(tmp_path)
    harm(p)
    for command in (('setup',), ('quote', '--report-data', '00')):
        r = adyton('sgxemu', *command, '--fuses', p.fuses, *([tmp_path / 'q'] if command[0] == 'quote' else []))
        assert r.returncode == 1 and expected in r.stderr and r.stderr.count('\n') == 1, r.stderr
    assert not (tmp_path / 'q').exists()


@pytest.mark.parametrize('args', [('sgxemu', 'setup', 'x'), ('sgxemu', 'serve', '--bad'), ('sgxemu', 'quote', 'x'),
                                  ('sgxemu', 'quote', '--report-data', '0', 'x'), ('pccs',), ('pccs', '--listen', 'x'),
                                  ('sgxemu', 'quote', '--report-data', '00' * 65, 'x'),
                                  ('sgxemu', 'quote', '--report-data', '00', '--isv-svn', '65536', 'x')])
def test_wrong_usage(args):
    r = adyton(*args)
    assert r.returncode == 2 and r.stderr


# ---- quotes and verifiers ----------------------------------------------------------------------------------------


def test_accepted_with_the_root_only(platform, quote):
    r, found = platform.verify(quote)
    assert r.returncode == 0 and found['accepted'] and found['status'] == 'UpToDate', found
    assert (found['trusted_root'], found['fmspc'], found['expired_items']) == ('custom', 'ad7e57000001', [])
    assert bytes.fromhex(found['ppid']).startswith(b'TEST') and "not Intel's" in r.stderr
    r, found = platform.verify(quote, root=False)
    assert r.returncode == 1 and not found['accepted'] and found['code'] == 'PCK_UNTRUSTED'
    assert 'software SGX device' in r.stderr


def test_variable_names_the_root(platform, quote, tmp_path):
    def verify(root):
        return adyton('verify', '--collateral', platform.collateral, quote, ADYTON_TRUST_ROOT=str(root))
    r = verify(platform.root)
    assert r.returncode == 0 and "not Intel's" in r.stderr
    assert 'software SGX device' in verify('').stderr
    assert verify(tmp_path / 'none').returncode == 1


def test_root_of_another_machine(platform, quote, tmp_path):
    other = Platform(tmp_path)
    r = adyton('verify', '--trust-root', other.root, '--collateral', platform.collateral, quote)
    assert r.returncode == 1 and 'software SGX device' in r.stderr and 'not this test platform' in r.stderr
    r = adyton('verify', '--trust-root', platform.root, '--collateral', other.collateral, quote)
    assert r.returncode == 1 and 'PCK_CRL' in r.stderr or 'ROOT_CRL' in r.stderr


def test_policy_names_the_root(platform, quote, tmp_path):
    policy = tmp_path / 'policy.toml'
    policy.write_text(f'mrenclave = "{"11" * 32}"\nmin_isv_svn = 7\ntrust_root = "{platform.root}"\n')
    assert platform.verify(quote, '--policy', policy, root=False)[0].returncode == 0
    policy.write_text(f'mrenclave = "{"12" * 32}"\ntrust_root = "{platform.root}"\n')
    r, found = platform.verify(quote, '--policy', policy, root=False)
    assert r.returncode == 1 and found['code'] == 'POLICY_MEASUREMENT'


@pytest.mark.parametrize('options, status, code', [
    (('--tcb-status', 'OutOfDate'), 'OutOfDate', 'POLICY_STATUS'), (('--tcb-status', 'Revoked'), 'Revoked', 'POLICY_STATUS'),
    (('--tcb-status', 'SWHardeningNeeded'), 'SWHardeningNeeded', 'POLICY_STATUS'), (('--revoked',), 'Revoked', 'PCK_REVOKED')])
def test_states_of_the_platform(tmp_path, options, status, code):
    p = Platform(tmp_path)
    q = p.quote(tmp_path / 'q', '--report-data', '00')
    assert adyton('sgxemu', 'setup', '--fuses', p.fuses, *options).returncode == 0
    r, found = p.verify(q)
    assert (r.returncode, found['status'], found['code']) == (1, status, code), found
    with running('pccs', '--test-platform', '--fuses', p.fuses, '--listen', '127.0.0.1:0', *options) as (line, _):
        assert p.verify(q, '--pccs', line.split()[-1], '--cache', '', collateral=False)[1]['code'] == code
    assert adyton('sgxemu', 'setup', '--fuses', p.fuses).returncode == 0
    assert p.verify(q)[0].returncode == 0
    assert adyton('sgxemu', 'setup', '--fuses', p.fuses, '--tcb-status', 'Fine').returncode == 2


def test_debug_enclave(platform, tmp_path):
    r, found = platform.verify(platform.quote(tmp_path / 'q', '--report-data', '', '--debug'))
    assert r.returncode == 1 and found['code'] == 'POLICY_DEBUG'


def test_flipped_bits(platform, quote, tmp_path):
    """One bit of each part: header, body, both signatures, keys, QE report, certificates."""
    good = quote.read_bytes()
    fields = {0: 'version', 13: 'vendor', 30: 'user data', 48: 'body', 120: 'mrenclave', 380: 'report data', 431: 'body',
              436: 'signature', 470: 's', 500: 'key', 564: 'QE report', 630: 'QE mrenclave', 700: 'QE mrsigner',
              890: 'QE report data', 948: 'QE signature', 1020: 'auth data', 1300: 'leaf', 2900: 'CA', 3900: 'root'}
    for at, what in fields.items():
        bad = bytearray(good)
        bad[at] ^= 4
        (tmp_path / 'bad').write_bytes(bad)
        r, found = platform.verify(tmp_path / 'bad')
        assert r.returncode == 1 and not found['accepted'], (at, what, found)


# ---- an enclave ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def example(tmp_path_factory):
    where = tmp_path_factory.mktemp('sgx') / 'sgx-hello'
    shutil.copytree(ROOT / 'examples/sgx-hello', where,
                    ignore=shutil.ignore_patterns('*.bin', '*.elf', '*.sig', 'key.pem', 'hello', 'hello-vdso', 'bench'))
    subprocess.run(['make', '-s', f'BUILD={BUILD}', f'ROOT={ROOT}', 'hello.sig'], cwd=where, check=True)
    subprocess.run(['cc', '-std=gnu17', '-O2', '-g', '-w', f'-I{ROOT}/src', '-I.', '-o', 'quoted',
                    ROOT / 'tests/unit/sgx/programs/quoted.c', 'host.c', 'enter.S', *LIBS], cwd=where, check=True)
    return where


def check_enclave_quote(platform, example, path):
    sig = sgx_measure.Sigstruct((example / 'hello.sig').read_bytes())
    _, found = platform.verify(path)
    assert found['status'] == 'UpToDate', found
    assert found['mrenclave'] == sig.mrenclave == sgx_measure.measure_layout(str(example / 'hello.layout'))
    assert found['report_data'] == REPORT_DATA.hex()
    return found


@device
@pytest.mark.parametrize('mode', ['', 'file', 'unpadded'])
def test_enclave_gets_a_quote(platform, example, tmp_path, mode):
    r = adyton('sgxemu', '--quiet', '--quoting', '--fuses', platform.fuses, './quoted', tmp_path / 'q', mode, cwd=example)
    assert r.returncode == 0, r.stdout + r.stderr
    check_enclave_quote(platform, example, tmp_path / 'q')
    r, found = platform.verify(tmp_path / 'q', root=False)
    assert r.returncode == 1 and 'software SGX device' in found['error']


@device
@pytest.mark.parametrize('mode', ['forged', 'stranger'])
def test_false_reports(platform, example, tmp_path, mode):
    r = adyton('sgxemu', '--quiet', '--quoting', '--fuses', platform.fuses, './quoted', tmp_path / 'q', mode, cwd=example)
    assert (r.returncode, r.stdout) == (3, 'aesm error 47\n') and not (tmp_path / 'q').exists()


@device
def test_report_of_another_device(platform, example, tmp_path):
    """A service signs for its own fuses only."""
    with running('sgxemu', 'serve', '--fuses', platform.fuses, '--socket', tmp_path / 's'):
        r = adyton('sgxemu', '--quiet', '--fuses', tmp_path / 'fuses', '--aesm', tmp_path / 's', './quoted', tmp_path / 'q',
                   cwd=example)
    assert (r.returncode, r.stdout) == (3, 'aesm error 47\n')


@device
def test_serve(example, tmp_path):
    """The default socket is found, by children too; without the service there is no connection."""
    p = Platform(tmp_path)
    command = ('sgxemu', '--quiet', '--fuses', p.fuses, '/bin/sh', '-c', './quoted $0', tmp_path / 'q')
    r = adyton(*command, cwd=example)
    assert r.returncode == 1 and r.stdout.startswith('failed: connect')
    with running('sgxemu', 'serve', '--fuses', p.fuses) as (line, _):
        path = pathlib.Path(line.split()[-1])
        assert path.is_socket() and path.stat().st_mode & 0o077 == 0 and 'TEST' in line
        r = adyton(*command, cwd=example)
        assert r.returncode == 0, r.stdout + r.stderr
        check_enclave_quote(p, example, tmp_path / 'q')
        second = adyton('sgxemu', 'serve', '--fuses', p.fuses)
        assert second.returncode == 1 and 'a service runs there already' in second.stderr
    assert not path.exists()


@device
def test_service_ends_with_its_program(platform):
    r = adyton('sgxemu', '--quiet', '--quoting', '--fuses', platform.fuses, sys.executable, '-c',
               'import socket; s = socket.socket(socket.AF_UNIX); s.connect("\\0sgx_aesm_socket_base"); '
               'print(s.getpeername().decode().strip("\\0"))')
    name = r.stdout.strip()
    assert name.startswith('adyton-test-quoting-'), r.stderr
    for _ in range(300):
        if name not in pathlib.Path('/proc/net/unix').read_text():
            return
        time.sleep(0.1)
    pytest.fail('the quoting service outlives its program')


@device
def test_other_connections_are_left_alone(platform, tmp_path):
    r = adyton('sgxemu', '--quiet', '--quoting', '--fuses', platform.fuses, sys.executable, '-c', '''
import os, socket
for name in ("x", "\\0sgx_aesm_socket_bas", "\\0sgx_aesm_socket_base2", "/var/run/aesmd/aesm.socket2"):
    listener = None
    if not name.startswith("/"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(name + str(os.getpid()) if name == "x" else name + "x" * 3)
        listener.listen()
        name = listener.getsockname()
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(name)
        print(s.getpeername() == name)
    except OSError as e:
        print(e.errno)
s = socket.socket(socket.AF_INET)
print(s.connect_ex(("127.0.0.1", 1)))
''', cwd=tmp_path)
    assert r.stdout.split() == ['True', 'True', 'True', '2', '111'], r.stdout + r.stderr


@device
def test_many_programs_at_once(platform, example, tmp_path):
    with running('sgxemu', 'serve', '--fuses', platform.fuses, '--socket', tmp_path / 's'), \
            concurrent.futures.ThreadPoolExecutor(6) as pool:
        runs = list(pool.map(lambda i: adyton('sgxemu', '--quiet', '--fuses', platform.fuses, '--aesm', tmp_path / 's',
                                              './quoted', tmp_path / f'q{i}', cwd=example), range(12)))
    assert [r.returncode for r in runs] == [0] * 12, [r.stdout for r in runs]
    quotes = {(tmp_path / f'q{i}').read_bytes() for i in range(12)}
    assert len(quotes) == 12  # signatures are never the same
    for i in (0, 11):
        check_enclave_quote(platform, example, tmp_path / f'q{i}')


@device
@pytest.mark.skipif(os.geteuid() != 0, reason='needs root to become somebody else')
def test_strangers_are_not_served(platform):
    program = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
os.setuid(int(sys.argv[1]))
s.connect("\\0sgx_aesm_socket_base")
s.settimeout(30)
try:
    s.sendall(bytes.fromhex(sys.argv[2]))
    print(len(s.recv(100)))
except (BrokenPipeError, ConnectionResetError):
    print(0)
"""
    for uid, served in ((0, True), (65534, False)):
        r = adyton('sgxemu', '--quiet', '--quoting', '--fuses', platform.fuses, sys.executable, '-c', program, uid, SIZE.hex())
        assert (int(r.stdout) > 0) == served, r.stdout + r.stderr


# ---- hostile peers ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def hung_up_on():
    """The server may close at any moment; it may not be silent."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError:
        pass


def aesm(path, data, wait=True):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.settimeout(30)
        with hung_up_on():
            s.sendall(data)
            if not wait:
                return b''
            s.shutdown(socket.SHUT_WR)
            found = b''
            while part := s.recv(65536):
                found += part
            return found
    return b''


def framed(message):
    return struct.pack('<I', len(message)) + message


def member(field, content):
    length = len(content)
    return bytes([field << 3 & 127 | 2 | (128 if field > 15 else 0)]) + (bytes([field >> 4]) if field > 15 else b'') + \
        bytes([length & 127 | 128, length >> 7]) + content


SIZE = framed(member(16, b''))


def test_aesm_messages(platform, tmp_path):
    path = tmp_path / 's'
    with running('sgxemu', 'serve', '--fuses', platform.fuses, '--socket', path):
        good = aesm(path, SIZE)
        assert len(good) > 6 and struct.unpack('<I', good[:4])[0] == len(good) - 4
        assert aesm(path, SIZE * 3) == good * 3  # one after the other on one connection
        for hostile in (b'', b'\0', struct.pack('<I', 0xffffffff) + b'x' * 100, struct.pack('<I', 16381) + b'x' * 20000,
                        framed(b'\xff' * 100), framed(member(17, b'\xff' * 50)), SIZE[:-1], os.urandom(5000),
                        framed(b'\x0b' * 16000), framed(member(17, member(1, b'x' * 500)))[:-3]):
            assert aesm(path, hostile) == b'', hostile[:20]
        # Nothing that is understood, and things of other times.
        for message in (b'', member(1, b''), member(14, b'x')):
            assert aesm(path, framed(message))[4:6] == b'\xa2\x01'
        # A report of the wrong length, a buffer that is too small or too large, an unknown key.
        wrong_id = member(1, bytes(256)) + b'\x20\x20'
        assert aesm(path, framed(member(15, wrong_id)))[-2:] == b'\x08\x26'  # 38
        size = struct.pack('<B', 0x20)
        for report, buffer in ((431, b'\x80\x40'), (432, b'\x01'), (432, b'\x81\x40'), (432, b'\xff\xff\xff\xff\x0f')):
            found = aesm(path, framed(member(17, member(1, bytes(report)) + size + buffer)))
            assert found[-2:] == b'\x08\x03', (report, found)
        assert aesm(path, framed(member(17, member(1, bytes(432)) + size + b'\x80\x40')))[-2:] == b'\x08\x2f'  # 47
        # Silent and slow peers, more than there is room for, keep nobody from an answer.
        with contextlib.ExitStack() as stack:
            for i in range(200):
                s = stack.enter_context(socket.socket(socket.AF_UNIX))
                s.connect(str(path))
                with contextlib.suppress(BrokenPipeError):
                    s.send(SIZE[:i % len(SIZE)])
            assert aesm(path, SIZE) == good
        for _ in range(50):
            aesm(path, SIZE * 20, wait=False)
        assert aesm(path, SIZE) == good


def test_stale_socket(platform, tmp_path):
    path = tmp_path / 's'
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
    with running('sgxemu', 'serve', '--fuses', platform.fuses, '--socket', path):
        assert aesm(path, SIZE)
    path.write_text('precious')
    r = adyton('sgxemu', 'serve', '--fuses', platform.fuses, '--socket', path)
    assert r.returncode == 1 and path.read_text() == 'precious'
    r = adyton('sgxemu', 'serve', '--fuses', platform.fuses, '--socket', tmp_path / ('x' * 120))
    assert r.returncode == 1 and '--socket' in r.stderr


@pytest.fixture(scope='module')
def pccs(platform):
    with running('pccs', '--test-platform', '--fuses', platform.fuses, '--listen', '127.0.0.1:0') as (line, process):
        yield line.split()[-1], process


def get(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=30) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as e:
        return e.code, e.read(), e.headers


@pytest.mark.parametrize('version', [3, 4])
def test_pccs_serves_verifiers(platform, pccs, quote, tmp_path, version):
    url = pccs[0].replace('/v4/', f'/v{version}/')
    r, found = platform.verify(quote, '--pccs', url, '--cache', tmp_path, collateral=False)
    assert r.returncode == 0 and found['status'] == 'UpToDate', found
    r, found = platform.verify(quote, '--pccs', url, '--cache', '', collateral=False, root=False)
    assert r.returncode == 1 and 'software SGX device' in r.stderr


def test_pccs_paths(platform, pccs):
    url = pccs[0]
    status, body, headers = get(url + 'tcb?fmspc=AD7E57000001&update=early')
    assert status == 200 and json.loads(body)['tcbInfo']['version'] == 3 and 'BEGIN' in headers['TCB-Info-Issuer-Chain']
    assert json.loads(get(url.replace('v4', 'v3') + 'tcb?fmspc=ad7e57000001')[1])['tcbInfo']['version'] == 2
    assert json.loads(get(url + 'qe/identity')[1])['enclaveIdentity']['id'] == 'QE'
    for ca in ('platform', 'processor'):
        der = get(url + f'pckcrl?ca={ca}&encoding=der')[1]
        assert bytes.fromhex(get(url + f'pckcrl?ca={ca}')[1].decode()) == der and der[0] == 0x30
    assert bytes.fromhex(get(url + 'rootcacrl')[1].decode()) == get(url + 'crl?uri=https://test-platform.adyton.invalid/')[1]
    qeid = subprocess.run(['openssl', 'asn1parse', '-in', platform.dir / 'pck.pem'], capture_output=True, check=True)
    assert qeid.returncode == 0
    assert get(url + 'fmspcs')[1] == b'[{"fmspc":"ad7e57000001","platform":"TEST"}]'
    for path, status in {'': 404, 'tcb': 400, 'tcb?fmspc=': 400, 'tcb?fmspc=00906ed50000': 404, 'tcb?fmspc=' + 'a' * 900: 400,
                         'tcb?fmspc=ad7e57000001&tcbEvaluationDataNumber=3': 410, 'pckcrl': 400, 'pckcrl?ca=x': 400,
                         'pckcert': 400, 'pckcert?qeid=' + '00' * 16: 461, 'qve/identity': 404, '../x': 404,
                         'crl?uri=https://example.org/': 404, 'tcb?&&=&fmspc': 400}.items():
        assert get(url + path)[0] == status, path
    assert get(url.replace('sgx', 'tdx') + 'tcb?fmspc=ad7e57000001')[0] == 404


def test_pccs_finds_the_chain(platform, pccs, quote, tmp_path):
    """A quote that names its platform only, as on machines whose PCCS has the certificate."""
    q = bytearray(quote.read_bytes())
    cut = 436 + 64 + 64 + 384 + 64 + 2 + 32
    tail = struct.pack('<HI', 3, 404) + bytes(384) + q[48:64] + struct.pack('<HH', 13, 0)
    q = q[:432] + struct.pack('<I', cut - 436 + len(tail)) + q[436:cut] + tail
    (tmp_path / 'q').write_bytes(q)
    r, found = platform.verify(tmp_path / 'q', '--pccs', pccs[0], '--cache', '', collateral=False)
    assert found['code'] != 'FETCH_NOT_FOUND' and found['status'] == 'UpToDate', found


def test_pccs_hostile_requests(pccs):
    url, process = pccs
    port = int(re.search(r':(\d+)/', url).group(1))

    def send(data):
        with socket.create_connection(('127.0.0.1', port), 30) as s, hung_up_on():
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            found = b''
            while part := s.recv(65536):
                found += part
            return found
        return b''

    end = b'\r\n\r\n'
    for data, status in ((b'GET / HTTP/1.1', b'404'), (b'POST /sgx/certification/v4/tcb HTTP/1.1', b'405'),
                         (b'GET /sgx/certification/v4/rootcacrl HTTP/9', b'505'), (b'GET /', b'400'),
                         (b'GET / HTTP/1.1 x', b'400'), (b'\0\1\2', b'400'), (b'\xff' * 3000, b'400'), (b'', b'400'),
                         (b'GET /sgx/certification/v5/tcb HTTP/1.1', b'404'),
                         (b'GET /sgx/certification/v4/tcb?fmspc=' + b'%41' * 2000 + b' HTTP/1.1', b'400')):
        answer = send(data + end)
        assert answer.startswith(b'HTTP/1.1 ' + status), (data[:50], answer[:100])
    assert send(b'G' * 16384) == b''
    assert send(b'GET / HTTP/1.1\r\n' + b'a: b\r\n' * 5000) == b''
    assert send(b'GET / HTTP/1.1\r\n') == b''
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            s = stack.enter_context(socket.create_connection(('127.0.0.1', port), 30))
            with contextlib.suppress(ConnectionError):
                s.send(b'GET /sgx')
        assert get(url + 'rootcacrl')[0] == 200
    assert process.poll() is None


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_servers_end_when_told(platform, number):
    with running('pccs', '--test-platform', '--fuses', platform.fuses, '--listen', '[::1]:0') as (_, p):
        p.send_signal(number)
        assert p.wait(30) == 0
        p.poll = lambda: None  # it was told to

# SPDX-License-Identifier: LGPL-3.0-or-later
"""RA-TLS and secret provisioning over real TLS sessions: the example's servers, clients by LD_PRELOAD, on
Python's ssl, on Mbed TLS and curl; and peers that misbehave. Quotes come from a platform made at test time."""
import contextlib
import os
import pathlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('ADYTON_BUILD', ROOT / 'build')).resolve()
TOOLS = BUILD / 'tests/ratls'
REQUEST = b'SECRET_PROVISION_RA_TLS_REQUEST_V1\0'
RESPONSE = b'SECRET_PROVISION_RA_TLS_RESPONSE_V1:\0'
ANY = {name: 'any' for name in ('RA_TLS_MRENCLAVE', 'RA_TLS_MRSIGNER', 'RA_TLS_ISV_PROD_ID', 'RA_TLS_ISV_SVN')}
BASE = {'PATH': f'{BUILD}/bin:/usr/bin:/bin', 'HOME': '/nonexistent', 'NO_PROXY': '*', 'LC_ALL': 'C.UTF-8'}
KEY = bytes(range(100, 116))

pytestmark = pytest.mark.skipif(not (TOOLS / 'ratls-platform').exists(), reason='tests/ratls is not built')


def run(argv, timeout=60, cwd=None, **env):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=timeout, cwd=cwd,
                          env={**BASE, **env})


@contextlib.contextmanager
def platform(folder, *options):
    folder.mkdir()
    with subprocess.Popen([TOOLS / 'ratls-platform', folder, *options], stdout=subprocess.PIPE, text=True) as p:
        try:
            assert p.stdout.readline() == 'ready\n'
            yield folder
        finally:
            p.kill()


def trusting(folder):
    return {'RA_TLS_TRUST_ROOT': str(folder / 'root.pem'), 'RA_TLS_COLLATERAL': str(folder / 'collateral')}


@pytest.fixture(scope='module')
def good(tmp_path_factory):
    with platform(tmp_path_factory.mktemp('platform') / 'p') as folder:
        yield folder


@pytest.fixture(scope='module')
def example(tmp_path_factory):
    """The example, built as its reader does, listening on other ports than 4433 in a copy of the source."""
    folder = tmp_path_factory.mktemp('example') / 'ra-tls-secret-prov'
    shutil.copytree(ROOT / 'examples/ra-tls-secret-prov', folder)
    done = run(['make', 'app', 'dcap', 'RA_TYPE=dcap'], cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Server:
    """A server of the example on a port of its own, and what it prints."""

    def __init__(self, example, folder, kind, arguments=(), **env):
        self.port = free_port()
        self.folder = folder / kind
        self.folder.mkdir(parents=True)
        shutil.copytree(example / 'ssl', folder / 'ssl')
        source = (example / kind / 'server.c').read_text().replace('"4433"', f'"{self.port}"')
        source = source.replace('../measurements.h', str(example / 'measurements.h'))
        (self.folder / 'server.c').write_text(source)
        done = run(['make', '-f', example / 'Makefile', 'server_dcap', f'PREFIX={BUILD}', 'DIRS=',
                    '-C', self.folder, '--eval', 'server_dcap: server.c\n\t$(CC) $(CFLAGS) $< -o $@ $(LINK) '
                    '-lsecret_prov_verify_dcap'])
        assert done.returncode == 0, done.stdout + done.stderr
        self.log = self.folder / 'log'
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(['./server_dcap', *arguments], cwd=self.folder, stdout=log, stderr=log,
                                            env={**BASE, 'SECRET_PROVISION_TIMEOUT': '8', **env})
        for _ in range(600):
            with contextlib.suppress(OSError):
                socket.create_connection(('127.0.0.1', self.port), 1).close()
                break
            assert self.process.poll() is None, self.text()
            time.sleep(0.05)

    def text(self):
        return self.log.read_text()

    def wait_for(self, text, count=1, after=0):
        for _ in range(600):
            if self.text()[after:].count(text) >= count:
                return
            time.sleep(0.05)
        raise AssertionError(f'{text!r} not in {self.text()}')

    def close(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def serving(example, folder, kind, arguments=(), **env):
    server = Server(example, folder, kind, arguments, **env)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope='module')
def minimal(example, good, tmp_path_factory):
    with serving(example, tmp_path_factory.mktemp('minimal'), 'secret_prov_minimal', **ANY, **trusting(good)) as s:
        yield s


def client_env(server_or_port, folder, ca, **more):
    port = getattr(server_or_port, 'port', server_or_port)
    return {'LD_PRELOAD': str(TOOLS / 'libsecret_prov_attest.so'), 'SECRET_PROVISION_CONSTRUCTOR': '1',
            'SECRET_PROVISION_CA_CHAIN_PATH': str(ca), 'SECRET_PROVISION_SERVERS': f'localhost:{port}',
            'ADYTON_TEST_ATTESTATION': str(folder / 'attestation'), 'SECRET_PROVISION_TIMEOUT': '10', **more}


def provision(server_or_port, folder, ca, argv=('/usr/bin/env',), **more):
    return run(argv, **client_env(server_or_port, folder, ca, **more))


def certificate(folder, where, **env):
    where.mkdir(exist_ok=True)
    done = run([TOOLS / 'gramine-ratls', where / 'cert.pem', where / 'key.pem'],
               ADYTON_TEST_ATTESTATION=str(folder / 'attestation'), **env)
    assert done.returncode == 0, done.stderr
    return where / 'cert.pem', where / 'key.pem'


def python_client(server, example, cert=None, version=None):
    context = ssl.create_default_context(cafile=example / 'ssl/ca.crt')
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the example's server has a certificate of version 1
    if cert:
        context.load_cert_chain(*cert)
    if version:
        context.minimum_version = context.maximum_version = version
    raw = socket.create_connection(('127.0.0.1', server.port), 20)
    return context.wrap_socket(raw, server_hostname='localhost')


def read_exactly(s, size):
    data = b''
    while len(data) < size:
        part = s.recv(size - len(data))
        if not part:
            break
        data += part
    return data


# ---- the way it is meant -------------------------------------------------------------------------


def test_tutorial(example, good, tmp_path):
    """Copy, start, kill, as the tutorial has it (on port 4433, in a network of its own)."""
    if os.getuid():
        pytest.skip('needs root for a network namespace')
    (tmp_path / 'files').mkdir()
    (tmp_path / 'files/wrap_key').write_bytes(KEY)
    script = f'''
        set -e
        ip link set lo up
        cd {tmp_path}
        mkdir secret_prov_pf
        cp {example}/secret_prov_pf/server_dcap secret_prov_pf/
        cp -R {example}/ssl ./
        cd secret_prov_pf
        ./server_dcap ../files/wrap_key > ../log 2>&1 &
        cd ..
        for i in $(seq 200); do grep -q Starting log && break; sleep 0.1; done
        sleep 1
        mkdir keys; : > keys/default
        SECRET_PROVISION_CONSTRUCTOR=1 SECRET_PROVISION_SET_KEY=default SECRET_PROVISION_CA_CHAIN_PATH=ssl/ca.crt \\
            SECRET_PROVISION_SERVERS="dummyserver:80;localhost:4433;anotherdummy:4433" ADYTON_TEST_KEYS=keys \\
            ADYTON_TEST_ATTESTATION={good}/attestation LD_PRELOAD={TOOLS}/libsecret_prov_attest.so /usr/bin/env
        killall server_dcap
        wait || true
    '''
    if not shutil.which('ip') or not shutil.which('killall'):
        pytest.skip('ip or killall is not installed')
    done = run(['unshare', '--net', '--pid', '--fork', '--mount-proc', 'sh', '-c', script],
               RA_TLS_ALLOW_OUTDATED_TCB_INSECURE='1', **trusting(good))
    log = (tmp_path / 'log').read_text()
    assert done.returncode == 0, done.stdout + done.stderr + log
    assert (tmp_path / 'keys/default').read_bytes() == KEY
    assert 'SECRET_PROVISION_SECRET_STRING' not in done.stdout
    assert "--- Reading the master key for encrypted files from '../files/wrap_key' ---\n" in log
    assert '--- Starting the Secret Provisioning server on port 4433 ---\n' in log
    assert 'Received the following measurements from the client:\n  - MRENCLAVE:   ' + '11' * 32 in log
    assert 'ISV_PROD_ID: 7\n' in log and 'ISV_SVN:     3\n' in log and 'WARNING: no policy is set' in log
    assert KEY.hex() not in log + done.stdout + done.stderr


def test_constructor(minimal, good, example):
    done = provision(minimal, good, example / 'ssl/ca.crt', SECRET_PROVISION_SECRET_STRING='of the host')
    assert done.returncode == 0, done.stderr + minimal.text()
    assert 'SECRET_PROVISION_SECRET_STRING=A_SIMPLE_SECRET\n' in done.stdout
    assert 'SECRET_PROVISION_CONSTRUCTOR' not in done.stdout
    assert 'A_SIMPLE_SECRET' not in minimal.text()
    assert "not Intel's" in minimal.text()


def test_example_client(minimal, good, example):
    done = provision(minimal, good, example / 'ssl/ca.crt', [example / 'secret_prov_minimal/client'])
    assert re.search("Received secret = 'A_SIMPLE_SECRET'", done.stdout), done.stderr


def test_children_do_not_ask_again(minimal, good, example):
    before = minimal.text().count('accepted under')
    done = provision(minimal, good, example / 'ssl/ca.crt', ['/bin/sh', '-c', '/bin/sh -c "/usr/bin/env; true"; true'])
    assert 'SECRET_PROVISION_SECRET_STRING=A_SIMPLE_SECRET\n' in done.stdout, done.stderr
    assert minimal.text().count('accepted under') == before + 1


INSIDE = """
libos.entrypoint = "/client"
loader.log_level = "error"
loader.uid = {uid}
loader.gid = {uid}
loader.env.LD_LIBRARY_PATH = "/lib"
loader.env.LD_PRELOAD = "{tools}/libsecret_prov_attest.so"
loader.env.SECRET_PROVISION_CONSTRUCTOR = "1"
loader.env.SECRET_PROVISION_SET_KEY = "default"
loader.env.SECRET_PROVISION_CA_CHAIN_PATH = "ca.crt"
loader.env.SECRET_PROVISION_SERVERS = "dummyserver:80;localhost:{port}"
loader.env.ADYTON_TEST_ATTESTATION = "/attestation"
sys.enable_extra_runtime_domain_names_conf = true
fs.mounts = [
  {{ path = "/lib", uri = "file:{{{{ gramine.runtimedir() }}}}" }},
  {{ path = "/client", uri = "file:client" }},
  {{ path = "/ca.crt", uri = "file:../ssl/ca.crt" }},
  {{ path = "/etc/hosts", uri = "file:../hosts" }},
  {{ path = "/attestation", uri = "file:{attestation}" }},
  {{ path = "{tools}", uri = "file:{tools}" }},
  {{ path = "/files/", uri = "file:enc_files/", type = "encrypted" }},
]
sgx.trusted_files = ["file:{{{{ gramine.runtimedir() }}}}/", "file:client", "file:../ssl/ca.crt", "file:../hosts"]
sgx.allowed_files = ["file:{attestation}/", "file:{tools}/"]
"""


def test_inside(example, good, tmp_path):
    """In the library OS: the key of an encrypted mount is set before main, and outlives execve and fork. What
    gives quotes is the test's; all else is as in the example's manifest."""
    folder = example / 'secret_prov_pf'
    with serving(example, tmp_path, 'secret_prov_pf', [folder / 'wrap_key'], **trusting(good)) as server:
        (folder / 'inside.manifest.template').write_text(INSIDE.format(
            uid=os.getuid(), tools=TOOLS, port=server.port, attestation=good / 'attestation'))
        done = run(['gramine-manifest', 'inside.manifest.template', 'inside.manifest'], cwd=folder)
        assert done.returncode == 0, done.stderr
        done = run(['gramine-direct', './inside'], cwd=folder)
        assert done.stdout == "[child] Read from protected file: 'helloworld'\n" \
            "[parent] Read from protected file: 'helloworld'\n", done.stdout + done.stderr + server.text()
        assert done.returncode == 0 and server.text().count('accepted under') == 1
        done = run(['gramine-direct', './inside'], cwd=folder)
        assert done.returncode == 0 and server.text().count('accepted under') == 2


def test_two_secrets(example, good, tmp_path):
    with serving(example, tmp_path, 'secret_prov', **trusting(good)) as server:
        env = client_env(server, good, example / 'ssl/ca.crt')
        env.pop('SECRET_PROVISION_CONSTRUCTOR')
        env.pop('LD_PRELOAD')
        done = run([example / 'secret_prov/client'], **env, LD_LIBRARY_PATH=str(TOOLS),
                   LD_PRELOAD=str(TOOLS / 'libsecret_prov_attest.so'))
        assert "Received secret1 = 'FIRST_SECRET', secret2 = '42'" in done.stdout, done.stderr + server.text()
        server.wait_for("--- Sent secret2 = '42' ---")
        assert 'any enclave gets the secret' in server.text()


def test_policy_of_the_environment(example, good, tmp_path):
    """Unlike the reference's example, a policy that is set counts."""
    policy = {**ANY, 'RA_TLS_MRENCLAVE': '22' * 32}
    (tmp_path / 'key').write_bytes(KEY)
    with serving(example, tmp_path, 'secret_prov_pf', ['../key'], **policy, **trusting(good)) as server:
        done = provision(server, good, example / 'ssl/ca.crt')
        assert done.returncode == 1 and 'terminating the whole process' in done.stderr
        server.wait_for('it has another value than RA_TLS_MRENCLAVE')
        server.wait_for('error location 5')


def writable_memory(pid):
    with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as mem:
        for line in maps:
            area, mode = line.split()[:2]
            if mode.startswith('rw') and '[v' not in line:
                start, end = (int(n, 16) for n in area.split('-'))
                with contextlib.suppress(OSError):
                    mem.seek(start)
                    yield mem.read(end - start)


def in_memory_of_a_sleeper(server, good, example, what, **env):
    """Whether a program that was provisioned and now sleeps has these bytes in its memory."""
    with subprocess.Popen(['/usr/bin/sleep', '600'], stderr=subprocess.PIPE, env={
            **BASE, **client_env(server, good, example / 'ssl/ca.crt'), **env}) as p:
        try:
            for _ in range(600):
                assert p.poll() is None, p.stderr.read()
                if pathlib.Path(f'/proc/{p.pid}/syscall').read_text().split()[0] in ('35', '230'):  # nanosleep
                    break
                time.sleep(0.05)
            else:
                raise AssertionError('it does not sleep')
            return sum(area.count(what) for area in writable_memory(p.pid))
        finally:
            p.kill()


def test_secrets_are_wiped(example, good, tmp_path):
    if os.getuid():
        pytest.skip('needs root to look at the memory of others')
    (tmp_path / 'keys').mkdir()
    (tmp_path / 'keys/default').touch()
    fake = FakeServer(example, answer(RESPONSE + size(16) + KEY))
    assert in_memory_of_a_sleeper(fake, good, example, KEY, SECRET_PROVISION_SET_KEY='default',
                                  ADYTON_TEST_KEYS=str(tmp_path / 'keys')) == 0
    assert (tmp_path / 'keys/default').read_bytes() == KEY
    # In the other mode it is in the environment, and so found: once, of all copies that were made. The end of it is
    # looked for, since what is freed is overwritten at its start anyhow.
    secret = os.urandom(100).hex().encode() + b'\0'
    fake = FakeServer(example, answer(RESPONSE + size(len(secret)) + secret))
    assert in_memory_of_a_sleeper(fake, good, example, secret[100:]) == 1


def test_many_clients_at_once(example, good, minimal, tmp_path):
    cert = certificate(good, tmp_path / 'c')
    got = []

    def client():
        with python_client(minimal, example, cert) as s:
            s.send(REQUEST)
            got.append(read_exactly(s, 57)[41:])

    threads = [threading.Thread(target=client) for _ in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert got == [b'A_SIMPLE_SECRET\0'] * 40, minimal.text()


# ---- other TLS libraries -------------------------------------------------------------------------


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_python_client_gets_the_exact_bytes(minimal, good, example, tmp_path, version):
    cert = certificate(good, tmp_path / 'c')
    with python_client(minimal, example, cert, version) as s:
        for byte in REQUEST:
            s.send(bytes([byte]))
        expected = RESPONSE + struct.pack('>I', 16) + b'A_SIMPLE_SECRET\0'
        assert read_exactly(s, 1000) == expected and len(expected) == 41 + 16
        assert not s.session_reused and not (s.session and version == ssl.TLSVersion.TLSv1_3 and s.session.has_ticket)


@pytest.mark.parametrize('version', ['-tls1_2', '-tls1_3'])
def test_sessions_are_not_resumed(minimal, good, example, tmp_path, version):
    """A client that tries to gets a full handshake, and is verified again."""
    cert, key = certificate(good, tmp_path / 'c')
    before = minimal.text().count('accepted under')
    saved = tmp_path / 'session'
    for how in ['-sess_out', saved], ['-sess_in', saved]:
        if how[0] == '-sess_in' and not saved.exists():
            how = []  # nothing was offered that could be resumed
        with subprocess.Popen(['openssl', 's_client', '-connect', f'localhost:{minimal.port}', version, '-cert', cert,
                               '-key', key, *how], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env=BASE) as p:
            out = p.communicate(REQUEST, timeout=30)[0]
        assert b'New, TLSv1.' in out and b'Reused' not in out, out
    minimal.wait_for('accepted under', before + 2)


def test_mbedtls_client(minimal, good, example):
    done = run([TOOLS / 'mbed-peer', 'client', minimal.port, example / 'ssl/ca.crt', TOOLS / 'libra_tls_attest.so'],
               ADYTON_TEST_ATTESTATION=str(good / 'attestation'))
    assert re.fullmatch(r'TLSv1\.[23] secret ' + b'A_SIMPLE_SECRET\0'.hex() + '\n', done.stdout), done.stdout + done.stderr


@contextlib.contextmanager
def mbed_server(example, **env):
    with subprocess.Popen([TOOLS / 'mbed-peer', 'server', example / 'ssl/server.crt', example / 'ssl/server.key',
                           BUILD / 'lib/libra_tls_verify_dcap.so'], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**BASE, **env}) as p:
        try:
            yield p, int(p.stdout.readline())
        finally:
            p.kill()


def test_mbedtls_server_and_curl(good, example, tmp_path):
    cert, key = certificate(good, tmp_path / 'c')
    with mbed_server(example, **ANY, **trusting(good)) as (p, port):
        run(['curl', '-s', '--max-time', '20', '--http0.9', '--cacert', example / 'ssl/ca.crt', '--cert', cert,
             '--key', key, f'https://localhost:{port}/'])
        out, err = p.communicate(timeout=30)
    assert 'verified 0 location 0 verdict 0x0\n' in out and ' served\n' in out, out + err


def test_mbedtls_server_refuses(good, example, tmp_path):
    cert, key = certificate(good, tmp_path / 'c')
    with mbed_server(example, **{**ANY, 'RA_TLS_ISV_SVN': '9'}, **trusting(good)) as (p, port):
        run(['curl', '-s', '--max-time', '20', '--http0.9', '--cacert', example / 'ssl/ca.crt', '--cert', cert,
             '--key', key, f'https://localhost:{port}/'])
        out, err = p.communicate(timeout=30)
    assert 'verified -9984 location 5 ' in out and 'served' not in out, out + err
    assert 'RA_TLS_ISV_SVN asks for 9 or more' in err


def test_curl_and_a_python_server_with_a_made_certificate(good, tmp_path):
    """gramine-ratls for programs that know only files."""
    where = tmp_path / 'www'
    where.mkdir()
    (where / 'page').write_text('hello\n')
    server = '''
import http.server, ssl, sys
s = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
c.load_cert_chain(sys.argv[1], sys.argv[2])
s.socket = c.wrap_socket(s.socket, server_side=True)
print(s.server_address[1], flush=True)
s.handle_request()
'''
    cert, key = tmp_path / 'cert.pem', tmp_path / 'key.pem'
    with subprocess.Popen([TOOLS / 'gramine-ratls', cert, key, '--', '/usr/bin/python3', '-c', server, cert, key],
                          cwd=where, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          env={**BASE, 'ADYTON_TEST_ATTESTATION': str(good / 'attestation')}) as p:
        try:
            port = int(p.stdout.readline())
            done = run(['curl', '-sk', '--max-time', '20', f'https://localhost:{port}/page'])
        finally:
            p.kill()
    assert done.stdout == 'hello\n'
    assert key.stat().st_mode & 0o777 == 0o600
    assert run([BUILD / 'bin/adyton', 'verify', '--trust-root', good / 'root.pem', '--collateral',
                good / 'collateral', cert]).returncode == 0


@pytest.mark.parametrize('options, status, label', [
    (['-T'], 0, b'-----BEGIN TRUSTED CERTIFICATE-----'), (['-P'], 0, b'-----BEGIN CERTIFICATE-----'),
    (['-D'], 0, b'\x30\x82'), (['-D', '-P'], 0, b'-----BEGIN CERTIFICATE-----'), (['-x'], 2, None), (['-h'], 0, None)])
def test_gramine_ratls(good, tmp_path, options, status, label):
    done = run([TOOLS / 'gramine-ratls', *options, tmp_path / 'c', tmp_path / 'k'],
               ADYTON_TEST_ATTESTATION=str(good / 'attestation'))
    assert done.returncode == status, done.stderr
    assert not label or (tmp_path / 'c').read_bytes().startswith(label)
    assert label or not (tmp_path / 'c').exists()


def test_linking_and_hidden_symbols():
    done = run([TOOLS / 'ratls-linked'])
    assert done.stdout == '13 -22 -22 -22\n'
    for library in sorted((BUILD / 'lib').glob('lib*.so')):
        names = run(['nm', '-D', '--defined-only', library]).stdout.split('\n')
        names = {line.split()[-1] for line in names if line}
        assert names and all(re.match(r'(ra_tls_|secret_provision_)\w+@@RA_TLS$|RA_TLS', n) for n in names), names


def test_attesting_side_needs_only_libc():
    places = [BUILD / 'lib', BUILD / 'lib/adyton/runtime/glibc']
    for file in *(p / f'lib{name}_attest.so' for p in places for name in ('ra_tls', 'secret_prov')), BUILD / 'bin/gramine-ratls':
        needed = re.findall(r'NEEDED.*\[(.*)\]', run(['readelf', '-d', file]).stdout)
        assert needed and set(needed) <= {'libc.so.6', 'ld-linux-x86-64.so.2'}, (file, needed)


@pytest.mark.parametrize('name, flags, location', [
    ('ratls-cert-gramine', {}, 3), ('ratls-cert-rats-tls', {}, 2),
    ('ratls-cert-rats-tls', {'RA_TLS_ALLOW_EXPIRED_CERT_INSECURE': '1'}, 3)])
def test_recorded_certificates(name, flags, location):
    """Those of other implementations are read; without collateral the quote is then not accepted."""
    cert = ROOT / '../shared/quotes' / name / 'cert.pem'
    if not cert.exists():
        pytest.skip('../shared/quotes is not here')
    script = f'''
import ctypes
lib = ctypes.CDLL("{BUILD}/lib/libra_tls_verify_dcap.so")
cert, results = open("{cert}", "rb").read() + b"\\0", (ctypes.c_int * 34)()
print(lib.ra_tls_verify_callback_extended_der(cert, ctypes.c_size_t(len(cert)), results), results[0], results[1])
'''
    done = run(['/usr/bin/python3', '-c', script], RA_TLS_COLLATERAL=str(ROOT / 'tests/unit/ratls'), **ANY, **flags)
    assert done.stdout == f'-9984 2 {location}\n', done.stdout + done.stderr


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize('options, allowed, reason', [
    (['out-of-date'], 'RA_TLS_ALLOW_OUTDATED_TCB_INSECURE', 'TCB OutOfDate'),
    (['sw-hardening'], 'RA_TLS_ALLOW_SW_HARDENING_NEEDED', 'TCB SWHardeningNeeded'),
    (['expired'], 'RA_TLS_ALLOW_OUTDATED_TCB_INSECURE', 'POLICY_EXPIRED'),
    (['debug'], 'RA_TLS_ALLOW_DEBUG_ENCLAVE_INSECURE', 'POLICY_DEBUG'),
    (['revoked'], None, 'PCK_REVOKED'),
    (['bad-signature'], None, 'QUOTE_SIGNATURE'),
])
def test_platforms(example, tmp_path, options, allowed, reason):
    with platform(tmp_path / 'p', *options) as folder:
        allow = {f'RA_TLS_ALLOW_{name}': '1' for name in ('OUTDATED_TCB_INSECURE', 'SW_HARDENING_NEEDED',
                 'HW_CONFIG_NEEDED', 'DEBUG_ENCLAVE_INSECURE') if f'RA_TLS_ALLOW_{name}' != allowed}
        with serving(example, tmp_path / 'a', 'secret_prov_minimal', **ANY, **trusting(folder), **allow) as server:
            done = provision(server, folder, example / 'ssl/ca.crt')
            assert done.returncode == 1 and 'A_SIMPLE' not in done.stdout
            server.wait_for(reason)
        if allowed:
            with serving(example, tmp_path / 'b', 'secret_prov_minimal', **ANY, **trusting(folder),
                         **{allowed: '1'}) as server:
                assert 'A_SIMPLE_SECRET' in provision(server, folder, example / 'ssl/ca.crt').stdout, server.text()


@pytest.mark.parametrize('options, message', [
    (['wrong-report-data'], 'not for this certificate'), (['off'], 'sgx.remote_attestation')])
def test_attester_notices(example, minimal, tmp_path, options, message):
    with platform(tmp_path / 'p', *options) as folder:
        done = provision(minimal, folder, example / 'ssl/ca.crt')
        assert done.returncode == 1 and message in done.stderr


def test_only_with_the_root(example, good, tmp_path):
    env = {**ANY, 'RA_TLS_COLLATERAL': str(good / 'collateral')}
    with serving(example, tmp_path, 'secret_prov_minimal', **env) as server:
        assert provision(server, good, example / 'ssl/ca.crt').returncode == 1
        server.wait_for('PCK_UNTRUSTED')


@pytest.mark.parametrize('variable, value', [
    ('RA_TLS_TRUST_ROOT', '/nowhere'), ('RA_TLS_MIN_EVALUATION_NUMBER', 'x')])
def test_server_does_not_start_with_a_bad_policy(example, good, variable, value):
    done = run(['./server_dcap'], cwd=example / 'secret_prov_minimal', **{**ANY, **trusting(good), variable: value})
    assert done.returncode == 1 and 'returned -22' in done.stderr


def test_evaluation_number(example, good, tmp_path):
    with serving(example, tmp_path, 'secret_prov_minimal', **ANY, **trusting(good),
                 RA_TLS_MIN_EVALUATION_NUMBER='17') as server:
        assert provision(server, good, example / 'ssl/ca.crt').returncode == 1
        server.wait_for('POLICY_EVALUATION_NUMBER')


def test_certificate_out_of_date(example, good, minimal):
    for time_is in ({'RA_TLS_CERT_TIMESTAMP_NOT_AFTER': '20200101000000'},
                    {'RA_TLS_CERT_TIMESTAMP_NOT_BEFORE': '20300101000000'}):
        done = provision(minimal, good, example / 'ssl/ca.crt', **time_is)
        assert done.returncode == 1
    minimal.wait_for('not valid at this time', 2)


@pytest.mark.parametrize('kind', ['none', 'plain', 'substituted', 'chain'])
def test_certificates_that_are_no_evidence(example, good, minimal, tmp_path, kind):
    """Anonymous clients, certificates without a quote, a quote in a certificate of another key, chains."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    import datetime
    cert, key = certificate(good, tmp_path / 'c')
    made = x509.load_pem_x509_certificate(cert.read_bytes())
    if kind in ('plain', 'substituted'):
        mine = ec.generate_private_key(ec.SECP384R1())
        b = x509.CertificateBuilder().subject_name(made.subject).issuer_name(made.subject).serial_number(1)
        b = b.public_key(mine.public_key()).not_valid_before(datetime.datetime(2020, 1, 1))
        b = b.not_valid_after(datetime.datetime(2030, 1, 1))
        for ext in made.extensions if kind == 'substituted' else ():
            if ext.oid.dotted_string in ('2.23.133.5.4.9', '0.6.9.42.840.113741.1337.6'):
                b = b.add_extension(ext.value, False)
        cert.write_bytes(b.sign(mine, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        key.write_bytes(mine.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    elif kind == 'chain':
        cert.write_bytes(cert.read_bytes() + (example / 'ssl/ca.crt').read_bytes())
    log = len(minimal.text())
    for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
        with pytest.raises(OSError):
            with python_client(minimal, example, None if kind == 'none' else (cert, key), version) as s:
                s.send(REQUEST)
                assert not s.recv(100), 'an answer'
                raise ConnectionResetError
    reason = {'none': 'peer did not return a certificate', 'plain': 'holds no quote',
              'substituted': 'another public key', 'chain': 'it came with 1 others'}[kind]
    minimal.wait_for(reason, 2, log)


# ---- peers that misbehave ------------------------------------------------------------------------


def test_garbage_half_open_and_slow_clients(example, good, minimal):
    """None of them holds up others, none brings the server down, each is ended in time."""
    idle = [socket.create_connection(('127.0.0.1', minimal.port), 30) for _ in range(20)]
    slow = socket.create_connection(('127.0.0.1', minimal.port), 30)
    slow.send(b'\x16\x03\x01\x02\x00')
    for junk in (b'GET / HTTP/1.0\r\n\r\n', b'\0' * 100000, os.urandom(3000), b'\x16\x03\x01\xff\xff' + b'a' * 70000, b''):
        with socket.create_connection(('127.0.0.1', minimal.port), 30) as s:
            with contextlib.suppress(OSError):
                s.sendall(junk)
                s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                assert len(s.recv(1000)) < 100
    assert 'A_SIMPLE_SECRET' in provision(minimal, good, example / 'ssl/ca.crt').stdout, minimal.text()
    slow.send(b'\x01')
    for s in (*idle, slow):
        with contextlib.suppress(ConnectionResetError):
            assert s.recv(1000) == b''
        s.close()
    assert minimal.process.poll() is None


@pytest.mark.parametrize('request_text', [REQUEST[:-1] + b'x', REQUEST.lower(), b'x' * 35, REQUEST[:20], b''])
def test_other_requests(example, good, minimal, tmp_path, request_text):
    cert = certificate(good, tmp_path / 'c')
    with python_client(minimal, example, cert) as s:
        if request_text:
            s.send(request_text)
        if len(request_text) < 35:
            s.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ssl.SSLError, ConnectionResetError):
            assert s.recv(100) == b''


class FakeServer:
    """Speaks TLS with the example's certificate and then whatever a test wants, to one client."""

    def __init__(self, example, behave, tls=True, name='server'):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(example / f'ssl/{name}.crt', example / f'ssl/{name}.key')
        self.behave, self.tls = behave, tls
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            s, _ = self.listener.accept()
            s.settimeout(30)
            if self.tls:
                s = self.context.wrap_socket(s, server_side=True)
            self.behave(s)
            s.close()


def answer(*parts):
    def behave(s):
        assert read_exactly(s, 35) == REQUEST
        for part in parts:
            s.sendall(part)
        with contextlib.suppress(OSError):
            s.unwrap()
    return behave


def size(n):
    return struct.pack('>I', n)


def test_one_byte_at_a_time(example, good):
    message = RESPONSE + size(6) + b'hello\0'
    fake = FakeServer(example, answer(*(bytes([b]) for b in message)))
    assert 'SECRET_STRING=hello\n' in provision(fake, good, example / 'ssl/ca.crt').stdout


@pytest.mark.parametrize('parts, more, message', [
    ((RESPONSE + size(0x80000000),), {}, 'not of this protocol'),
    ((RESPONSE + size(0xffffffff),), {}, 'not of this protocol'),
    ((RESPONSE + size(10) + b'short',), {}, 'closed the connection'),
    ((RESPONSE[:-1] + b'x' + size(1) + b'\0',), {}, 'not of this protocol'),
    ((RESPONSE[:20],), {}, 'closed the connection'),
    ((RESPONSE + size(3)[:3],), {}, 'closed the connection'),
    ((), {}, 'closed the connection'),
    ((RESPONSE + size(0),), {}, 'empty secret'),
    ((RESPONSE + size(5) + b'hello',), {}, 'ends with NUL'),
    ((RESPONSE + size(4097) + b'a' * 4096 + b'\0',), {}, 'ends with NUL'),
    ((RESPONSE + size(17) + b'a' * 17,), {'SECRET_PROVISION_SET_KEY': 'default'}, '16 bytes'),
    ((RESPONSE + size(15) + b'a' * 15,), {'SECRET_PROVISION_SET_KEY': 'default'}, '16 bytes'),
    ((RESPONSE + size(16) + KEY,), {'SECRET_PROVISION_SET_KEY': 'unknown'}, 'key_name'),
    ((RESPONSE + size(16) + KEY,), {'SECRET_PROVISION_SET_KEY': 'a' * 300}, 'name of a key'),
    ((RESPONSE + size(16) + KEY,), {'SECRET_PROVISION_SET_KEY': '../x'}, 'name of a key'),
    ((RESPONSE + size(16) + KEY,), {'SECRET_PROVISION_SET_KEY': ''}, 'name of a key'),
])
def test_answers_that_a_client_refuses(example, good, tmp_path, parts, more, message):
    (tmp_path / 'default').touch()
    fake = FakeServer(example, answer(*parts))
    done = provision(fake, good, example / 'ssl/ca.crt', ADYTON_TEST_KEYS=str(tmp_path), **more)
    assert done.returncode == 1 and message in done.stderr and done.stdout == '', done.stderr
    assert (tmp_path / 'default').read_bytes() == b''
    assert 'a' * 15 not in done.stderr.replace('a' * 300, '') and KEY.hex() not in done.stderr


def test_long_secret(example, good):
    fake = FakeServer(example, answer(RESPONSE + size(4096) + b'a' * 4095 + b'\0'))
    assert 'SECRET_STRING=' + 'a' * 4095 + '\n' in provision(fake, good, example / 'ssl/ca.crt').stdout


def test_a_server_that_says_nothing(example, good):
    stop = threading.Event()
    for tls in True, False:
        fake = FakeServer(example, lambda s: stop.wait(60), tls=tls)
        done = provision(fake, good, example / 'ssl/ca.crt', SECRET_PROVISION_TIMEOUT='1')
        assert done.returncode == 1 and 'timed out' in done.stderr, done.stderr
    stop.set()


def test_server_identity(example, good, tmp_path):
    """Another authority, another name, an expired certificate."""
    ok = answer(RESPONSE + size(2) + b'x\0')
    run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=other', '-keyout', tmp_path / 'k',
         '-out', tmp_path / 'other.crt'])
    done = provision(FakeServer(example, ok), good, tmp_path / 'other.crt')
    assert done.returncode == 1 and "the server's certificate: " in done.stderr, done.stderr
    done = provision(FakeServer(example, ok), good, example / 'ssl/ca.crt',
                     SECRET_PROVISION_SERVERS='')
    assert done.returncode == 1
    fake = FakeServer(example, ok)
    done = provision(fake, good, example / 'ssl/ca.crt', SECRET_PROVISION_SERVERS=f'127.0.0.1:{fake.port}')
    assert done.returncode == 1 and 'mismatch' in done.stderr, done.stderr
    (tmp_path / 'bad.crt').write_text((example / 'ssl/ca.crt').read_text() + '-----BEGIN CERTIFICATE-----\nxx\n')
    for bad in tmp_path / 'bad.crt', tmp_path / 'nowhere':
        done = provision(FakeServer(example, ok), good, bad)
        assert done.returncode == 1 and 'loading the CA chain with error -1' in done.stderr, done.stderr


def test_several_servers(example, good, minimal):
    ca = example / 'ssl/ca.crt'
    closed = free_port()
    done = provision(minimal, good, ca, SECRET_PROVISION_SERVERS=f'nowhere.invalid:80;noport [::1]:{closed},localhost:'
                     f'{closed} localhost:{minimal.port}')
    assert 'A_SIMPLE_SECRET' in done.stdout and "'noport' is skipped" in done.stderr, done.stderr
    done = provision(minimal, good, ca, SECRET_PROVISION_SERVERS=f'localhost:{closed}')
    assert done.returncode == 1 and 'no connection' in done.stderr
    # The first that accepts TCP is the one, unless asked otherwise.
    for failover in '0', '1':
        fake = FakeServer(example, lambda s: s.sendall(b'no TLS here'), tls=False)
        done = provision(minimal, good, ca, SECRET_PROVISION_FAILOVER=failover,
                         SECRET_PROVISION_SERVERS=f'localhost:{fake.port};localhost:{minimal.port}')
        assert ('A_SIMPLE_SECRET' in done.stdout) == (failover == '1'), done.stderr


def test_outside_of_an_enclave(example, minimal):
    """The library that is installed looks at /dev/attestation only."""
    done = run(['/usr/bin/env'], **{**client_env(minimal, pathlib.Path('/nowhere'), example / 'ssl/ca.crt'),
                                    'LD_PRELOAD': str(BUILD / 'lib/libsecret_prov_attest.so')})
    assert done.returncode == 1 and "'/dev/attestation/attestation_type'" in done.stderr, done.stderr


@pytest.mark.parametrize('content', [b'', b'a' * 15, b'a' * 17])
def test_key_files(example, tmp_path, content):
    (tmp_path / 'key').write_bytes(content)
    done = run(['./server_dcap', tmp_path / 'key'], cwd=example / 'secret_prov_pf')
    assert done.returncode == 1 and '[error]' in done.stderr and 'exactly 16 bytes' in done.stderr
    done = run(['./server_dcap'], cwd=example / 'secret_prov_pf')
    assert done.returncode == 1 and 'Usage: ./server_dcap key_path' in done.stderr

# SPDX-License-Identifier: LGPL-3.0-or-later
"""adyton keyserver: who gets which secret, peers that misbehave, reloads and ends."""
import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

from keyserver import (ADYTON, BUILD, ENVIRONMENT, MRENCLAVE, MRSIGNER, REQUEST, RESPONSE, ROOT, Device, KeyServer, Refused,
                       adyton, read_exactly, secret, server_certificate, serving)

pytestmark = pytest.mark.skipif(not (BUILD / 'lib/adyton/adyton-sgxemu').exists(),
                                reason='the software SGX device is not built')
OTHER = '33' * 32
KEY = bytes(range(16, 32))


@pytest.fixture(scope='module')
def device(tmp_path_factory):
    return Device(tmp_path_factory.mktemp('device'))


@pytest.fixture(scope='module')
def enclave(device):
    return device.enclave()


@pytest.fixture(scope='module')
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp('keys')
    for name, value in (('key', KEY), ('second', b'42\0'), ('third', b'x' * 65536)):
        (folder / name).write_bytes(value)
        (folder / name).chmod(0o600)
    return folder


@pytest.fixture(scope='module')
def server(device, keys, tmp_path_factory):
    """Several secrets for several enclaves."""
    policy = (secret('model', f'file:{keys}/key') + secret('other', f'file:{keys}/key', mrenclave=OTHER) +
              secret('second', f'file:{keys}/second') + secret('large', f'file:{keys}/third'))
    with serving(tmp_path_factory.mktemp('server') / 's', policy, device, server='handshake_seconds = 8') as s:
        yield s


# ---- who gets what -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_exact_bytes(server, enclave, version):
    with server.connect(enclave, version) as s:
        for byte in REQUEST:
            s.send(bytes([byte]))
        assert read_exactly(s, 41 + 16) == RESPONSE + b'\0\0\0\x10' + KEY
        assert not s.session_reused
    released = server.wait_for('release', secret='model', code='OK')[0]
    assert released['mrenclave'] == MRENCLAVE and released['mrsigner'] == MRSIGNER and released['isv_svn'] == 3
    assert released['root'] == "not Intel's" and released['verified'] is True and re.fullmatch('[0-9a-f]{64}', released['policy'])


def test_several_secrets(server, enclave):
    """As the tutorial's client asks (MORE, bytes without a frame), and by name."""
    assert server.secret(enclave, (b'MORE', 3)) == [KEY, b'42\0']
    assert server.secret(enclave, (b'GET large', 0), (b'GET second', 0), (b'MORE', 3)) == [KEY, b'x' * 65536, b'42\0', b'42\0']
    for word in (b'GET other', b'GET nothing', b'GET ', b'get second', b'x' * 200):
        with pytest.raises(Refused):
            server.secret(enclave, (word, 0))
    server.wait_for('refuse', secret='other', code='POLICY_MEASUREMENT')
    server.wait_for('refuse', code='UNKNOWN_SECRET')
    assert len(server.events('request')) >= 2


def test_the_clients_of_libsecret_prov(device, server, tmp_path):
    """LD_PRELOAD=libsecret_prov_attest.so, with quotes of a platform that ratls-platform makes."""
    tools = BUILD / 'tests/ratls'
    folder = tmp_path / 'platform'
    folder.mkdir()
    with subprocess.Popen([tools / 'ratls-platform', folder], stdout=subprocess.PIPE, text=True) as p:
        try:
            assert p.stdout.readline() == 'ready\n'
            (tmp_path / 'text').write_bytes(b'A_SIMPLE_SECRET\0')
            policy = secret('text', f'file:{tmp_path}/text')

            class Platform:
                root, collateral = folder / 'root.pem', folder / 'collateral'
            with serving(tmp_path / 's', policy, Platform) as s:
                done = subprocess.run(['/usr/bin/env'], capture_output=True, text=True, timeout=60, env={
                    **ENVIRONMENT, 'LD_PRELOAD': str(tools / 'libsecret_prov_attest.so'),
                    'SECRET_PROVISION_CONSTRUCTOR': '1', 'SECRET_PROVISION_CA_CHAIN_PATH': str(s.cert),
                    'SECRET_PROVISION_SERVERS': f'localhost:{s.port}', 'ADYTON_TEST_ATTESTATION': str(folder / 'attestation')})
                assert 'SECRET_PROVISION_SECRET_STRING=A_SIMPLE_SECRET\n' in done.stdout, done.stderr + s.log.read_text()
                assert 'A_SIMPLE_SECRET' not in s.log.read_text()
        finally:
            p.kill()


REFUSALS = {
    'other-enclave': ({}, {'mrenclave': OTHER}, 'POLICY_MEASUREMENT'),
    'debug': ({}, {'debug': True}, 'POLICY_DEBUG'),
    'test-root': ({'root': False}, {}, 'POLICY_ROOT'),
    'signer': ({'mrenclave': None, 'extra': f'mrsigner = "{OTHER}"\nisv_prod_id = 7\nmin_isv_svn = 1'}, {}, 'POLICY_MEASUREMENT'),
    'product': ({'mrenclave': None, 'extra': f'mrsigner = "{MRSIGNER}"\nisv_prod_id = 8\nmin_isv_svn = 1'}, {}, 'POLICY_MEASUREMENT'),
    'svn': ({'mrenclave': None, 'extra': f'mrsigner = "{MRSIGNER}"\nisv_prod_id = 7\nmin_isv_svn = 4'}, {}, 'POLICY_SVN'),
    'fmspc': ({'extra': 'fmspc = "00606a000000"'}, {}, 'POLICY_PLATFORM'),
    'ppid': ({'extra': f'ppid = "{"ab" * 16}"'}, {}, 'POLICY_PLATFORM'),
    'expired': ({'extra': 'expires = 2024-01-01'}, {}, 'SECRET_EXPIRED'),
    'evaluation': ({'extra': 'min_evaluation_number = 4000000000'}, {}, 'POLICY_EVALUATION_NUMBER'),
    'forged': ({}, {'change': lambda q: q[:250] + bytes([q[250] ^ 1]) + q[251:]}, 'QUOTE_SIGNATURE'),
    'no-file': ({'source': 'gone'}, {}, 'SOURCE'),
}


@pytest.mark.parametrize('name', REFUSALS)
def test_refusals(device, keys, tmp_path, name):
    how, who, code = REFUSALS[name]
    source = tmp_path / 'value'
    source.write_bytes(KEY)
    with serving(tmp_path / 's', secret('model', **{**how, 'source': f'file:{source}'}), device) as s:
        if how.get('source') == 'gone':
            source.unlink()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with pytest.raises(Refused):
                s.secret(device.enclave(**who), version=version)
        for refused in s.wait_for('refuse', 2, secret='model', code=code):
            assert refused['reason'] and refused['mrenclave'] == who.get('mrenclave', MRENCLAVE)
        assert f'decisions_total{{secret="model",code="{code}"}} 2' in s.get()
        assert not s.events('release') and KEY.hex() not in s.log.read_text()


@pytest.mark.parametrize('status, extra, gets', [
    ('OutOfDate', '', False), ('OutOfDate', 'tcb_statuses = ["UpToDate", "OutOfDate"]', True),
    ('SWHardeningNeeded', '', False), ('Revoked', 'tcb_statuses = ["OutOfDate"]', False)])
def test_tcb_statuses(keys, tmp_path, status, extra, gets):
    (tmp_path / 'd').mkdir()
    device = Device(tmp_path / 'd', '--tcb-status', status)
    with serving(tmp_path / 's', secret('model', f'file:{keys}/key', extra), device) as s:
        if gets:
            assert s.secret(device.enclave()) == KEY
        else:
            with pytest.raises(Refused):
                s.secret(device.enclave())
            s.wait_for('refuse', secret='model', code='POLICY_STATUS')


def test_alternatives(device, keys, tmp_path):
    """Any of [[secret.allow]] is enough; each may end."""
    policy = f'''[[secret]]
name = "model"
source = "file:{keys}/key"
[[secret.allow]]
mrenclave = "{OTHER}"
allow_custom_root = true
expires = 2024-01-01T00:00:00Z
[[secret.allow]]
mrsigner = "{MRSIGNER}"
isv_prod_id = 7
min_isv_svn = 3
allow_custom_root = true
'''
    with serving(tmp_path / 's', policy, device) as s:
        assert s.secret(device.enclave(mrenclave='44' * 32)) == KEY
        with pytest.raises(Refused):
            s.secret(device.enclave(mrenclave=OTHER, mrsigner='55' * 32))
        s.wait_for('refuse', code='RULES_EXPIRED')


def test_rate(device, enclave, keys, tmp_path):
    with serving(tmp_path / 's', secret('model', f'file:{keys}/key', 'rate = "2/day"'), device) as s:
        assert [s.secret(enclave) for _ in range(2)] == [KEY, KEY]
        for _ in range(2):
            with pytest.raises(Refused):
                s.secret(enclave)
        s.wait_for('refuse', 2, code='RATE')
        s.process.send_signal(signal.SIGHUP)  # a reload is no way around it
        s.wait_for('reload', level='info')
        with pytest.raises(Refused):
            s.secret(enclave)


@pytest.mark.parametrize('encoding, content, value', [
    ('hex', KEY.hex().encode() + b'\n', KEY), ('base64', b'EBESExQVFhcYGRobHB0eHw==\n', KEY), ('raw', b'a\n', b'a\n'),
    ('hex', b'xy', None), ('hex', b'abc', None), ('base64', b'!!!!', None)])
def test_encodings(device, enclave, tmp_path, encoding, content, value):
    (tmp_path / 'v').write_bytes(content)
    with serving(tmp_path / 's', secret('model', f'file:{tmp_path}/v', f'encoding = "{encoding}"'), device) as s:
        if value:
            assert s.secret(enclave) == value
        else:
            with pytest.raises(Refused):
                s.secret(enclave)
            assert content.decode() not in str(s.wait_for('refuse', code='SOURCE')[0]['reason'])


def test_collateral_from_a_pccs(device, enclave, keys, tmp_path):
    """Fetched once, kept; a PCCS that is down, lies or is silent refuses with its reason and holds up nobody."""
    with subprocess.Popen([ADYTON, 'pccs', '--test-platform', '--listen', '127.0.0.1:0', '--fuses', device.fuses],
                          stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as pccs:
        try:
            url = pccs.stdout.readline().split()[-1]
            with serving(tmp_path / 's', secret('model', f'file:{keys}/key'), device, pccs=url) as s:
                assert s.secret(enclave) == KEY
                assert s.metric('collateral_waits_total') == 1
                pccs.kill()
                pccs.wait()
                assert s.secret(device.enclave()) == KEY  # another quote of the same platform
                assert s.metric('collateral_waits_total') == 1
        finally:
            pccs.kill()
    with socket.create_server(('127.0.0.1', 0)) as silent:
        for port, code in ((silent.getsockname()[1], 'FETCH_NETWORK'), (1, 'FETCH_NETWORK')):
            url = f'http://127.0.0.1:{port}/sgx/certification/v4/'
            with serving(tmp_path / f's{port}', secret('model', f'file:{keys}/key'), device, pccs=url) as s:
                with pytest.raises(Refused):
                    s.secret(enclave)
                assert s.wait_for('refuse', code=code)[0]['reason']


# ---- peers that misbehave ----------------------------------------------------------------------------------------


def test_garbage_before_the_handshake(server, enclave):
    for junk in (b'GET / HTTP/1.0\r\n\r\n', b'\0' * 100000, os.urandom(3000), b'\x16\x03\x01\xff\xff' + b'a' * 70000,
                 b'\x16\x03\x01\x00\x05\x01\x00\xff\xff\xff', b''):
        with socket.create_connection(('127.0.0.1', server.port), 30) as s:
            with contextlib.suppress(OSError):
                s.sendall(junk)
                s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                assert len(s.recv(1000)) < 100
    assert server.secret(enclave) == KEY


@pytest.mark.parametrize('text', [REQUEST[:-1] + b'x', REQUEST.lower(), b'x' * 35, b'x' * 100000, REQUEST[:20], b''])
def test_other_requests(server, enclave, text):
    with server.connect(enclave) as s:
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            s.sendall(text)
            if len(text) < 35:
                s.unwrap()  # close_notify; gets the server's, and nothing before it
            else:
                assert s.recv(100) == b''


def test_no_certificate_or_one_without_a_quote(server, tmp_path):
    for who in (None, server_certificate(tmp_path / 'plain')):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with pytest.raises(Refused):
                server.secret(who, version=version)
    assert any('holds no quote' in e['message'] for e in server.events('handshake'))
    assert any('peer did not return a certificate' in e['message'] for e in server.events('handshake'))


def test_silent_and_slow_clients(device, enclave, keys, tmp_path):
    """They hold up nobody, and are ended in time wherever they stop."""
    times = 'handshake_seconds = 3\nexchange_seconds = 3\nidle_seconds = 2'
    with serving(tmp_path / 's', secret('model', f'file:{keys}/key'), device, server=times) as s:
        address = ('127.0.0.1', s.port)
        stuck = [socket.create_connection(address, 60) for _ in range(20)]
        stuck[0].send(b'\x16\x03\x01\x02\x00')
        asked = s.connect(enclave)
        asked.send(REQUEST[:20])
        served = s.connect(enclave)
        served.send(REQUEST)
        assert s.framed(served) == KEY
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _: s.secret(enclave), range(40))) == [KEY] * 40
        for one in (*stuck, asked, served):
            with contextlib.suppress(OSError):
                assert one.recv(1000) == b''
            one.close()
        assert s.metric('timeouts_total') >= 21
        for _ in range(100):
            if s.metric('connections_open') == 0:
                break
            time.sleep(0.05)
        assert s.metric('connections_open') == 0


def test_a_thousand_idle_connections(device, enclave, keys, tmp_path):
    """Harmless: they cost little, and over the limit the oldest of them make room."""
    limits = 'max_connections = 1100\nhandshake_seconds = 60'
    with serving(tmp_path / 's', secret('model', f'file:{keys}/key'), device, server=limits) as s:
        idle = []
        try:
            for _ in range(1000):
                idle.append(socket.create_connection(('127.0.0.1', s.port), 30))
            assert s.secret(enclave) == KEY
            for _ in range(300):
                idle.append(socket.create_connection(('127.0.0.1', s.port), 30))
            assert s.secret(enclave) == KEY
            assert s.metric('connections_displaced_total') > 0 and s.metric('connections_open') <= 1100
            memory = re.search(r'VmRSS:\s+(\d+) kB', pathlib.Path(f'/proc/{s.process.pid}/status').read_text())
            assert int(memory[1]) < 200000
        finally:
            for one in idle:
                one.close()


def test_limit_for_one_address(device, enclave, keys, tmp_path):
    with serving(tmp_path / 's', secret('model', f'file:{keys}/key'), device, server='max_per_address = 10') as s:
        idle = [socket.create_connection(('127.0.0.1', s.port), 30) for _ in range(10)]
        for _ in range(100):
            if s.metric('connections_open') == 10:
                break
            time.sleep(0.05)
        with pytest.raises((OSError, Refused)):
            s.secret(enclave)
        for one in idle:
            one.close()
        for _ in range(100):
            if s.metric('connections_open') == 0:
                break
            time.sleep(0.05)
        assert s.secret(enclave) == KEY


def test_metrics_endpoint_is_hostile_ground_too(server):
    assert server.get('/healthz') == 'ok\n'
    for junk in (b'\0' * 20000, b'GET ', b'POST /metrics HTTP/1.1\r\n\r\n', b'GET /../etc/passwd HTTP/1.1\r\n\r\n'):
        with socket.create_connection(('127.0.0.1', server.metrics_port), 30) as s:
            with contextlib.suppress(OSError):
                s.sendall(junk)
                s.shutdown(socket.SHUT_WR)
                assert b'200' not in s.recv(100)
    text = server.get()
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) adyton_keyserver_\w+ .+|adyton_keyserver_\w+(\{\w+="[^"]*",\w+="[^"]*"\})? [0-9.e+]+', line), line


# ---- reload, end, secrets ----------------------------------------------------------------------------------------


def test_reload(device, enclave, keys, tmp_path):
    """A new policy without dropping connections; one that is wrong is refused, and the old one stays."""
    good = secret('model', f'file:{keys}/key')
    with serving(tmp_path / 's', good, device, audit=True) as s:
        waiting = s.connect(enclave)
        s.write(secret('model', f'file:{keys}/second'))
        s.process.send_signal(signal.SIGHUP)
        s.wait_for('reload', level='info')
        waiting.send(REQUEST)  # connected before, asks now: the new policy decides
        assert s.framed(waiting) == b'42\0'
        waiting.close()
        s.write(good + 'nmae = "x"\n')
        s.process.send_signal(signal.SIGHUP)
        said = s.wait_for('reload', level='error', count=2)
        assert re.search(r"policy\.toml:\d+: there is no rule 'nmae'", said[0]['message'])
        assert 'old one stays' in said[-1]['message']
        assert s.secret(enclave) == b'42\0'
        assert s.metric('reloads_total') == 1 and s.metric('reloads_failed_total') == 1
        assert [r['event'] for r in s.audit() if 'reload' in r['event']] == ['reload', 'reload-refused']


def test_the_log_is_opened_again(device, enclave, keys, tmp_path):
    """After it was moved away; no connection is lost by that."""
    log = tmp_path / 'log'
    with serving(tmp_path / 's', secret('model', f'file:{keys}/key'), device, server=f'log = "{log}"') as s:
        s.log = log
        assert s.secret(enclave) == KEY
        log.rename(tmp_path / 'log.1')
        with s.connect(enclave) as waiting:
            s.process.send_signal(signal.SIGHUP)
            for _ in range(200):
                if log.exists():
                    break
                time.sleep(0.05)
            s.wait_for('reload', level='info')
            waiting.sendall(REQUEST)
            assert s.framed(waiting) == KEY
        assert len(s.wait_for('release')) == 1 and '"release"' in (tmp_path / 'log.1').read_text()


def test_core_dumps(device, enclave, keys, tmp_path):
    """A crash leaves none, whatever the limits were that it was started with."""
    with serving(tmp_path / 's', secret('model', f'file:{keys}/key'), device) as s:
        assert s.secret(enclave) == KEY
        if shutil.which('gdb', path='/usr/bin') and os.getuid():  # root may trace everybody
            done = subprocess.run(['gdb', '-p', str(s.process.pid), '-batch', '-ex', 'gcore x'], cwd=tmp_path, capture_output=True)
            assert done.returncode or not list(tmp_path.glob('x*'))
        s.process.send_signal(signal.SIGABRT)
        assert s.process.wait(30) == -signal.SIGABRT
        assert not list(tmp_path.rglob('core*')) and not list(pathlib.Path('/').glob(f'core*{s.process.pid}*'))


def test_clean_end(device, enclave, keys, tmp_path):
    """SIGTERM: what is under way is finished, nothing new is begun, status 0."""
    with serving(tmp_path / 's', secret('model', f'file:{keys}/key'), device, audit=True) as s:
        open_ = s.connect(enclave)
        idle = socket.create_connection(('127.0.0.1', s.port), 30)
        for _ in range(200):
            if s.metric('handshakes_total') == 1:
                break
            time.sleep(0.05)
        s.process.send_signal(signal.SIGTERM)
        with pytest.raises(OSError):
            for _ in range(200):
                socket.create_connection(('127.0.0.1', s.port), 1).close()
                time.sleep(0.05)
        open_.send(REQUEST)
        assert s.framed(open_) == KEY
        open_.close()
        idle.close()
        assert s.process.wait(30) == 0
        assert [r['event'] for r in s.audit()] == ['begin', 'start', 'release', 'stop']
        assert s.events()[-1]['event'] == 'stop'


def test_service_manager(device, keys, tmp_path):
    path = tmp_path / 'notify'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(30)
        with serving(tmp_path / 's', secret('model', f'file:{keys}/key'), device, env={'NOTIFY_SOCKET': str(path)}) as s:
            assert manager.recv(1000) == b'READY=1'
            s.process.send_signal(signal.SIGHUP)
            assert re.fullmatch(rb'RELOADING=1\nMONOTONIC_USEC=\d+', manager.recv(1000))
            assert manager.recv(1000) == b'READY=1'
            assert s.stop(signal.SIGTERM) == 0
            assert manager.recv(1000) == b'STOPPING=1'


def test_secrets_leave_nothing_behind(device, enclave, tmp_path):
    """Not in its memory, its log, its environment; no core dumps."""
    if os.getuid():
        pytest.skip('needs root to look at the memory of others')
    value = os.urandom(64).hex().encode()
    (tmp_path / 'v').write_bytes(value)
    with serving(tmp_path / 's', secret('model', f'file:{tmp_path}/v'), device, audit=True) as s:
        for _ in range(20):
            assert s.secret(enclave) == value
        limits = pathlib.Path(f'/proc/{s.process.pid}/limits').read_text()
        assert re.search(r'Max core file size +0 +0 ', limits)
        found = 0
        with open(f'/proc/{s.process.pid}/maps') as maps, open(f'/proc/{s.process.pid}/mem', 'rb', 0) as mem:
            for line in maps:
                area, mode = line.split()[:2]
                if not mode.startswith('rw') or '[v' in line:
                    continue
                start, end = (int(n, 16) for n in area.split('-'))
                with contextlib.suppress(OSError):
                    mem.seek(start)
                    found += mem.read(end - start).count(value[40:])
        assert found == 0
        smaps = pathlib.Path(f'/proc/{s.process.pid}/smaps').read_text()
        locked = [m[2].split() for m in re.finditer(r'^Size: +(\d+) kB\n(?:(?!VmFlags)\w+: .*\n)*VmFlags: (.*)$', smaps, re.M)
                  if int(m[1]) == 16384]
        assert any('dd' in flags and 'lo' in flags for flags in locked), locked  # no core dump has it, and no swap
        assert value.decode() not in s.log.read_text() + (tmp_path / 's/audit.log').read_text()
        assert value.decode() not in s.get()


def test_memory_stays_flat(device, enclave, keys, tmp_path):
    """Over many connections, each with a handshake and a verification: 100,000 in the long version."""
    count = 100000 if os.environ.get('ADYTON_FULL') else 400
    with serving(tmp_path / 's', secret('model', f'file:{keys}/key'), device, audit=True) as s:
        def run(times):
            done = subprocess.run([BUILD / 'tests/keyserver/keyserver-load', str(s.port), *map(str, enclave), str(s.cert),
                                   '16', str(times)], capture_output=True, text=True, timeout=3600)
            assert done.returncode == 0, done.stderr + s.log.read_text()[-2000:]
            return int(re.search(r'VmRSS:\s+(\d+) kB', pathlib.Path(f'/proc/{s.process.pid}/status').read_text())[1])
        before = run(200)
        after = run(count)
        assert after - before < 4096, (before, after)
        assert s.metric('handshakes_total') == 200 + count
        text = '{secret="model",code="OK"}'
        assert f'decisions_total{text} {200 + count}\n' in s.get()
        s.stop(signal.SIGTERM)
        done = adyton('keyserver', 'audit', 'verify', s.folder / 'audit.log', '--head', s.folder / 'audit.log.head')
        assert done.returncode == 0 and f'intact: {200 + count + 3} records' in done.stdout, done.stdout


# ---- slips in the policy -----------------------------------------------------------------------------------------

GOOD = f'[[secret]]\nname = "a"\nsource = "file:policy.toml"\nmrenclave = "{MRENCLAVE}"\n'
SLIPS = {
    'unknown-key': (GOOD + 'mrenclav = "11"\n', "did you mean 'mrenclave'?"),
    'unknown-table': ('[servr]\n' + GOOD, "there is no 'servr' in a policy; did you mean 'server'?"),
    'no-enclave': ('[[secret]]\nname = "a"\nsource = "file:policy.toml"\n', 'no enclave is named'),
    'signer-alone': (f'[[secret]]\nname = "a"\nsource = "file:policy.toml"\nmrsigner = "{MRSIGNER}"\n', 'set isv_prod_id and min_isv_svn as well'),
    'hex': (GOOD.replace('11', 'xx'), 'mrenclave must be 64 hex digits'),
    'status': (GOOD + 'tcb_statuses = ["Good"]\n', "'Good' is no TCB status"),
    'revoked': (GOOD + 'tcb_statuses = ["Revoked"]\n', 'that can be accepted'),
    'empty-list': (GOOD + 'fmspc = []\n', 'fmspc is an empty list'),
    'rate': (GOOD + 'rate = "many"\n', 'rate must be like "10/minute"'),
    'rate-zero': (GOOD + 'rate = "0/day"\n', 'rate must be like'),
    'expires': (GOOD + 'expires = "tomorrow"\n', 'expires must be a time in UTC'),
    'expires-offset': (GOOD + 'expires = 2026-01-01T00:00:00+02:00\n', 'expires must be a time in UTC'),
    'source': (GOOD.replace('file:policy.toml', 'http://x'), 'source must be "file:PATH"'),
    'no-source': (f'[[secret]]\nname = "a"\nmrenclave = "{MRENCLAVE}"\n', 'this secret has no source'),
    'no-name': (f'[[secret]]\nsource = "file:policy.toml"\nmrenclave = "{MRENCLAVE}"\n', 'this secret has no name'),
    'name': (GOOD.replace('"a"', '"a b"'), 'name must be a string of 1 to 64 letters'),
    'twice': (GOOD + GOOD, "there is a secret 'a' in line"),
    'missing-file': (GOOD.replace('policy.toml', 'nowhere'), 'No such file or directory'),
    'one-bracket': (GOOD.replace('[[secret]]', '[secret]'), 'with two brackets'),
    'beside-allow': (GOOD + f'[[secret.allow]]\nmrenclave = "{MRENCLAVE}"\n', 'stands beside [[secret.allow]]'),
    'trust-root': (GOOD + 'trust_root = "x"\n', 'the root belongs into [server]'),
    'no-secret': ('', 'there is no [[secret]]'),
    'vault': (GOOD.replace('file:policy.toml', 'vault:secret/data/a#k'), "needs [vault] url"),
    'vault-form': (GOOD.replace('file:policy.toml', 'vault:../x#k'), 'a Vault source is like'),
    'pkcs11': (GOOD.replace('file:policy.toml', 'pkcs11:object=a'), 'needs [pkcs11] module'),
    'pkcs11-form': (GOOD.replace('file:policy.toml', 'pkcs11:slot=1'), 'is no part of a PKCS#11 source'),
    'audit': ('[audit]\nlog = "x"\n' + GOOD, '[audit] needs log and key'),
    'range': ('[audit]\nsync = 1\n' + GOOD, 'audit.sync must be true or false'),
    'toml': (GOOD + 'x = \n', ''),
}


@pytest.mark.parametrize('name', SLIPS)
def test_slips(device, tmp_path, name):
    """Each is one line with file, line and remedy, at the start, at a reload, and in check."""
    policy, message = SLIPS[name]
    s = KeyServer(tmp_path, policy, device, wait=False)
    for command in (['--policy', s.policy], ['check', s.policy]):
        done = adyton('keyserver', *command)
        assert done.returncode == 2 and done.stdout == '', done
        assert re.search(rf'^error: adyton keyserver: {re.escape(str(s.policy))}(:\d+)?: .*{re.escape(message)}', done.stderr, re.M), done.stderr


@pytest.mark.parametrize('server, message', [
    ('listen = "nonsense"', 'must be an address and a port'), ('threads = 0', 'it must be from 1 to 64'),
    ('max_connection = 5', "did you mean 'max_connections'?"), ('pccs = "http://x/sgx/certification/v4/"', 'one source of collateral, not two'),
    ('metrics = "localhost"', 'must be an address and a port'), ('handshake_seconds = "5"', 'must be a whole number, not a string')])
def test_slips_of_the_server(device, keys, tmp_path, server, message):
    s = KeyServer(tmp_path, secret('a', f'file:{keys}/key'), device, wait=False)
    kept = [line for line in s.head.splitlines() if not line.startswith(server.split(' =')[0] + ' =')]
    s.policy.write_text('\n'.join([*kept, server, '']) + secret('a', f'file:{keys}/key'))
    done = adyton('keyserver', '--policy', s.policy)
    said = [line for line in done.stderr.splitlines() if line.startswith('error: adyton keyserver: ')]
    assert done.returncode in (1, 2) and any(message in line for line in said), done


def test_fifos_and_devices(device, keys, tmp_path):
    """Where files belong: an error, not a wait."""
    os.mkfifo(tmp_path / 'fifo')
    s = KeyServer(tmp_path / 's', secret('a', f'file:{keys}/key'), device, wait=False)
    for path in (tmp_path / 'fifo', '/dev/null', tmp_path):
        assert adyton('keyserver', 'check', path).returncode == 2
        assert adyton('keyserver', 'audit', 'verify', path, '--head', path).returncode in (1, 2)
        assert adyton('keyserver', 'report', path, '--output', tmp_path / 'x').returncode in (1, 2)
    text = s.policy.read_text()
    for old in (s.cert, device.root, device.collateral, keys / 'key'):
        s.policy.write_text(text.replace(f'{old}"', f'{tmp_path}/fifo"'))
        assert adyton('keyserver', 'check', s.policy).returncode == 2, old


def test_usage():
    assert adyton('keyserver', '--help').stdout.startswith('Usage: adyton keyserver')
    for args in ([], ['--policy'], ['--policy', 'x', 'y'], ['check'], ['audit'], ['audit', 'verify'], ['nonsense']):
        assert adyton('keyserver', *args).returncode == 2


# ---- what the documents and the example say ----------------------------------------------------------------------


def test_example_policy(device, tmp_path):
    """It is whole, but for the files of whoever uses it."""
    text = (ROOT / 'examples/keyserver/policy.toml').read_text()
    (tmp_path / 'policy.toml').write_text(text)
    done = adyton('keyserver', 'check', tmp_path / 'policy.toml')
    assert done.returncode == 2 and all('cannot be read: No such file' in line for line in done.stderr.splitlines()), done.stderr
    server_certificate(tmp_path)
    (tmp_path / 'cert.pem').rename(tmp_path / 'server.crt')
    (tmp_path / 'key.pem').rename(tmp_path / 'server.key')
    (tmp_path / 'keys').mkdir()
    for name in ('keys/model', 'keys/results'):
        (tmp_path / name).write_bytes(KEY)
    subprocess.run(['openssl', 'genpkey', '-algorithm', 'ed25519', '-out', tmp_path / 'audit.key'], check=True)
    done = adyton('keyserver', 'check', tmp_path / 'policy.toml')
    assert done.returncode == 0 and done.stdout.endswith('policy.toml: 2 secrets\n'), done.stderr


def test_unit_file(tmp_path):
    tool = shutil.which('systemd-analyze', path='/usr/bin')
    if not tool:
        pytest.skip('systemd-analyze is not installed')
    text = (ROOT / 'examples/keyserver/adyton-keyserver.service').read_text()
    unit = tmp_path / 'adyton-keyserver.service'
    unit.write_text(text.replace('/usr/local/bin/adyton', str(ADYTON)))
    done = subprocess.run([tool, 'verify', unit], capture_output=True, text=True, timeout=60)
    said = [line for line in done.stderr.splitlines() if 'adyton-keyserver' in line]
    assert not said, done.stderr


def test_documented_keys():
    """docs/keyserver.md has every key that a policy may have, and no others are taken."""
    text = (ROOT / 'docs/keyserver.md').read_text()
    source = (ROOT / 'src/keyserver/policy.c').read_text()
    keys = re.findall(r'\{"(?:server|audit|vault|pkcs11)",\s*"(\w+)"', source)
    source = (ROOT / 'src/keyserver/policy_secret.c').read_text()
    for array in ('own_keys', 'rules'):
        keys += re.findall(r'"(\w+)"', re.search(rf'{array}\[\] = \{{(.*?)\}};', source, re.S)[1])
    assert len(keys) > 55
    missing = [key for key in keys if not re.search(rf'\b{key}\b', text)]
    assert not missing, missing

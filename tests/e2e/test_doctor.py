# SPDX-License-Identifier: LGPL-3.0-or-later
"""adyton doctor: on machines that lack things, each in turn."""
import contextlib
import http.server
import json
import os
import pathlib
import socket
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('BUILD', ROOT / 'build')).resolve()
ADYTON = BUILD / 'bin/adyton'
PRCTL, SECCOMP, MEMFD, MEMBARRIER, LDT, ADJTIMEX = 157, 317, 319, 324, 154, 159
MODES = ['direct', 'sgxemu', 'sgx', 'quotes', 'verify']


@pytest.fixture(scope='module')
def deny(tmp_path_factory):
    path = tmp_path_factory.mktemp('deny') / 'deny'
    subprocess.run(['cc', '-O2', '-w', '-o', path, ROOT / 'tests/unit/sgx/programs/deny.c'], check=True)
    return path


def command(*args, before=(), **env):
    return subprocess.run(['timeout', '-k', '1', '60', *map(str, before), ADYTON, *map(str, args)], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL,
                          env={'PATH': '/usr/bin:/bin', 'HOME': '/nonexistent', 'NO_PROXY': '*', **env})


def doctor(*args, before=(), **env):
    r = command('doctor', '--json', *args, before=before, **env)
    assert not r.stderr, r.stderr
    return r.returncode, json.loads(r.stdout)


def one(found, item, mode=None):
    checks = [c for c in found['checks'] if c['item'] == item and mode in (None, c['mode'])]
    assert len(checks) == 1, (item, found)
    return checks[0]


def test_all_modes():
    rc, found = doctor()
    assert list(found['usable']) == MODES and {c['mode'] for c in found['checks']} == set(MODES)
    assert rc == 0 if found['usable']['direct'] else 1
    for c in found['checks']:
        assert c['state'] in ('ok', 'note', 'missing') and c['found']
        assert (c['remedy'] is None) == (c['state'] == 'ok'), c
    for mode in MODES:
        assert found['usable'][mode] == all(c['state'] != 'missing' for c in found['checks'] if c['mode'] == mode)
        rc, alone = doctor(mode)
        assert list(alone['usable']) == [mode] and rc == (0 if alone['usable'][mode] else 1)


def test_text():
    r = command('doctor', 'direct', 'quotes')
    lines = r.stdout.splitlines()
    assert lines[-2].split(None, 1) in (['direct', 'can be used'], ['direct', 'cannot be used'])
    for line in lines[:-2]:
        mode, state, rest = line.split(None, 2)
        assert mode in ('direct', 'quotes') and ('; ' in rest or state == 'ok'), line


def test_usage():
    assert command('doctor', '--help').stdout.startswith('Usage: adyton doctor')
    assert command('doctor', 'magic').returncode == 2 and "no mode 'magic'" in command('doctor', 'magic').stderr
    assert command('doctor', '--bad').returncode == 2


@pytest.mark.parametrize('rule, mode, item, state', [
    (f'{PRCTL}:59=22', 'direct', 'syscall user dispatch', 'missing'),
    (f'{PRCTL}:59=22', 'sgxemu', 'syscall user dispatch', 'missing'),
    (f'{MEMFD}=1', 'sgxemu', 'memfd', 'missing'),
    (f'{SECCOMP}=1', 'sgxemu', 'seccomp filters', 'missing'),
    (f'{MEMBARRIER}=38', 'sgxemu', 'fast transitions', 'note'),
    (f'{LDT}=38', 'sgxemu', 'fast transitions', 'note'),
    (f'{ADJTIMEX}=1', 'verify', 'clock', 'note'),
])
def test_kernel_lacks(deny, rule, mode, item, state):
    rc, found = doctor(mode, before=(deny, rule, '--'), HOME='/tmp')
    check = one(found, item)
    assert check['state'] == state and check['remedy'], check
    assert rc == 1 if state == 'missing' else rc == (0 if found['usable'][mode] else 1)


@pytest.mark.parametrize('content, mode, state', [(b'x' * 64, 0o600, 'ok'), (b'x' * 64, 0o644, 'note'),
                                                  (b'x' * 63, 0o600, 'missing'), (None, 0, 'ok')])
def test_fuse_file(tmp_path, content, mode, state):
    path = tmp_path / 'fuses'
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    assert one(doctor('sgxemu', '--fuses', path)[1], 'fuse file')['state'] == state
    assert path.exists() == (content is not None)  # a doctor changes nothing


def test_test_platform(tmp_path):
    fuses = tmp_path / 'fuses'
    assert 'adyton sgxemu setup' in one(doctor('quotes', '--fuses', fuses)[1], 'test platform')['remedy']
    assert command('sgxemu', 'setup', '--fuses', fuses).returncode == 0
    assert one(doctor('quotes', '--fuses', fuses)[1], 'test platform')['state'] == 'ok'
    (tmp_path / 'test-platform/pck.key').write_text('')
    assert one(doctor('quotes', '--fuses', fuses)[1], 'test platform')['state'] == 'note'


def on_device(tmp_path, *args, options=()):
    """The doctor as a program on the software device."""
    r = command('sgxemu', '--quiet', *options, '--fuses', tmp_path / 'fuses', ADYTON, 'doctor', '--json', '--fuses',
                tmp_path / 'fuses', *args)
    return r.returncode, json.loads(r.stdout)


@pytest.mark.skipif(not (BUILD / 'lib/adyton/adyton-sgxemu').exists(), reason='the software SGX device is not built')
def test_on_the_device(tmp_path):
    rc, found = on_device(tmp_path, 'sgx', 'quotes', options=('--quoting',))
    assert found['usable']['quotes'] and one(found, 'aesm')['state'] == 'ok'
    assert one(found, '/dev/sgx_enclave')['state'] == one(found, '/dev/sgx_provision')['state'] == 'ok'
    rc, found = on_device(tmp_path, 'quotes')
    assert 'aesm' in one(found, 'aesm')['remedy'] or found['usable']['quotes']


# ---- collateral --------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def platform(tmp_path_factory):
    where = tmp_path_factory.mktemp('platform')
    assert command('sgxemu', 'setup', '--fuses', where / 'fuses').returncode == 0
    return where


def test_collateral_on_disk(platform, tmp_path):
    where = platform / 'test-platform/collateral'
    rc, found = doctor('verify', '--collateral', where)
    assert rc == 0 and [one(found, i)['state'] for i in ('root CRL', 'PCK CRL', 'TCB info', 'QE identity')] == ['ok'] * 4
    for path in where.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = (tmp_path / 'tcb_info.json').read_text()
    late, soon = '2020-01-01T00:00:00Z', time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 86400))
    old = json.loads(text)['tcbInfo']['nextUpdate']
    for change, state in (((late,), 'missing'), ((soon,), 'note')):
        (tmp_path / 'tcb_info.json').write_text(text.replace(old, *change))
        rc, found = doctor('verify', '--collateral', tmp_path)
        assert one(found, 'TCB info')['state'] == state and rc == (state == 'missing')
    (tmp_path / 'pck_crl.der').write_bytes(os.urandom(300))
    (tmp_path / 'root_ca_crl.der').unlink()
    (tmp_path / 'qe_identity.json').write_text('[' * 100000)
    rc, found = doctor('verify', '--collateral', tmp_path)
    assert rc == 1 and [one(found, i)['state'] for i in ('root CRL', 'PCK CRL', 'QE identity')] == ['missing'] * 3
    rc, found = doctor('verify', '--collateral', tmp_path / 'nowhere')
    assert rc == 1


def test_expired_collateral(tmp_path):
    forge = BUILD / 'tests/attest/attest-forge'
    if not forge.exists():
        pytest.skip('attest-forge is not built (tests disabled)')
    subprocess.run([forge, tmp_path], check=True)  # valid in 2025
    rc, found = doctor('verify', '--collateral', tmp_path)
    assert rc == 1 and all(one(found, i)['found'].startswith('expired 2025') for i in ('root CRL', 'TCB info'))


def test_pccs(platform):
    with subprocess.Popen([ADYTON, 'pccs', '--test-platform', '--fuses', platform / 'fuses', '--listen', '127.0.0.1:0'],
                          stdout=subprocess.PIPE, text=True) as p:
        url = p.stdout.readline().split()[-1]
        rc, found = doctor('verify', '--pccs', url)
        again = doctor('verify', ADYTON_PCCS_URL=url)[1]
        p.terminate()
    assert rc == 0 and again['usable'] == found['usable'], found
    for item in ('pccs', 'clock and server', 'root CRL of the pccs', 'QE identity of the pccs'):
        assert one(found, item)['state'] == one(again, item)['state'] == 'ok'
    rc, found = doctor('verify', '--pccs', url)  # it is gone
    assert rc == 1 and one(found, 'pccs')['state'] == 'missing'
    rc, found = doctor('verify', '--pccs', 'http://x/')
    assert rc == 1 and 'is not the address' in one(found, 'pccs')['found']


@contextlib.contextmanager
def server(date, body):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response_only(200)
            self.send_header('Date', date)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    try:
        yield f'http://127.0.0.1:{s.server_port}/sgx/certification/v4/'
    finally:
        s.shutdown()
        s.server_close()


def test_clock_and_lying_server():
    for date, apart in (('Mon, 01 Jan 2024 00:00:00 GMT', True), (time.strftime('%a, %d %b %Y %H:%M:%S GMT', time.gmtime()), False)):
        with server(date, b'\x00\xff"\\' * 50) as url:
            rc, found = doctor('verify', '--pccs', url)
        assert rc == 1 and one(found, 'clock and server')['state'] == ('missing' if apart else 'ok')
        assert one(found, 'root CRL of the pccs')['found'] == 'cannot be read'
    with server('\x1b[31m %00%0a', b'') as url:
        rc, found = doctor('verify', '--pccs', url)
    assert rc == 1 and all('\x1b' not in c['found'] for c in found['checks'])


def test_silent_server():
    with socket.create_server(('127.0.0.1', 0)) as s:
        rc, found = doctor('verify', '--pccs', f'http://127.0.0.1:{s.getsockname()[1]}/sgx/certification/v4/')
    assert rc == 1 and one(found, 'pccs')['state'] == 'missing'

# SPDX-License-Identifier: LGPL-3.0-or-later
"""Secrets of the key server from Vault's HTTP API (a small server of ours) and from a PKCS#11 token (SoftHSM)."""
import base64
import contextlib
import http.server
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import threading

import pytest

from keyserver import BUILD, ENVIRONMENT, Device, Refused, secret, server_certificate, serving

pytestmark = pytest.mark.skipif(not (BUILD / 'lib/adyton/adyton-sgxemu').exists(),
                                reason='the software SGX device is not built')
TOKEN = 's.token-of-the-test'
VALUE = 'value-' + os.urandom(16).hex()


@pytest.fixture(scope='module')
def device(tmp_path_factory):
    return Device(tmp_path_factory.mktemp('device'))


@pytest.fixture(scope='module')
def enclave(device):
    return device.enclave()


# ---- Vault -------------------------------------------------------------------------------------------------------


class Vault(http.server.BaseHTTPRequestHandler):
    """KV of both versions, and a number of ways to be wrong."""
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        self.server.asked.append(self.path)
        path = self.path.removeprefix('/v1/')
        if self.headers.get('X-Vault-Token') != TOKEN:
            return self.answer(403, {'errors': ['permission denied']})
        if path == 'spaced/x' and self.headers.get('X-Vault-Namespace') != 'team':
            return self.answer(404, {'errors': []})
        if path == 'silent/x':
            self.server.stop.wait(30)
            return None
        if path == 'elsewhere/x':
            self.send_response(302)
            self.send_header('Location', f'http://127.0.0.1:{self.server.server_address[1]}/v1/secret/data/model')
            self.send_header('Content-Length', '0')
            return self.end_headers()
        answers = {
            'secret/data/model': {'data': {'data': {'key': self.server.value, 'other': 'x'}, 'metadata': {'version': 1}}},
            'kv/model': {'data': {'key': self.server.value}},
            'spaced/x': {'data': {'key': self.server.value}},
            'coded/x': {'data': {'key': base64.b64encode(b'\0\1\2' * 20).decode()}},
            'number/x': {'data': {'key': 5}}, 'none/x': {'data': {}}, 'empty/x': {'data': {'key': ''}}, 'list/x': [],
            'large/x': {'data': {'key': 'a' * 70000}}, 'huge/x': {'data': {'key': 'a' * 10000000}},
            'deep/x': b'[' * 200000, 'text/x': b'no json', 'zeros/x': {'data': {'key': 'a\0b'}},
        }
        return self.answer(200, answers[path]) if path in answers else self.answer(404, {'errors': []})

    def answer(self, status, what):
        data = what if isinstance(what, bytes) else json.dumps(what).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(data)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def vault_server(tls=None):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Vault)
    server.asked, server.stop, server.value = [], threading.Event(), VALUE
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.stop.set()
        server.shutdown()
        server.server_close()


def vault_policy(folder, url, more='', token=TOKEN):
    (folder / 'token').write_text(token + '\n')
    (folder / 'token').chmod(0o600)
    return f'[vault]\nurl = "{url}"\ntoken_file = "{folder}/token"\ntimeout_seconds = 1\n{more}\n'


@pytest.fixture(scope='module')
def vault():
    with vault_server() as server:
        yield server, f'http://127.0.0.1:{server.server_address[1]}'


@pytest.mark.parametrize('source, extra, table, value', [
    ('secret/data/model#key', '', '', VALUE.encode()), ('kv/model#key', '', '', VALUE.encode()),
    ('spaced/x#key', '', 'namespace = "team"', VALUE.encode()), ('coded/x#key', 'encoding = "base64"', '', b'\0\1\2' * 20),
    ('zeros/x#key', '', '', b'a\0b')])
def test_vault(device, enclave, vault, tmp_path, source, extra, table, value):
    policy = vault_policy(tmp_path, vault[1] + '/', table) + secret('model', f'vault:{source}', extra)
    with serving(tmp_path / 's', policy, device, audit=True) as s:
        assert s.secret(enclave) == value
        assert value.decode() not in s.log.read_text() and TOKEN not in s.log.read_text()


@pytest.mark.parametrize('source, token, why', [
    ('spaced/x#key', TOKEN, 'status 404'), ('secret/data/model#key', 'wrong', 'status 403: has the token expired'),
    ('secret/data/model#nothing', TOKEN, "has no field 'nothing'"), ('number/x#key', TOKEN, 'has no field'),
    ('none/x#key', TOKEN, 'has no field'), ('empty/x#key', TOKEN, 'has no field'), ('list/x#key', TOKEN, 'not a secret in JSON'),
    ('large/x#key', TOKEN, 'has no field'), ('huge/x#key', TOKEN, 'too large'), ('deep/x#key', TOKEN, 'not a secret in JSON'),
    ('text/x#key', TOKEN, 'not a secret in JSON'), ('elsewhere/x#key', TOKEN, 'status 302'), ('silent/x#key', TOKEN, 'cannot be asked'),
    ('secret/data/model#key', '', 'does not hold a token'), ('secret/data/model#key', 'a\tb', 'does not hold a token')])
def test_vault_that_gives_nothing(device, enclave, vault, tmp_path, source, token, why):
    policy = vault_policy(tmp_path, vault[1], token=token) + secret('model', f'vault:{source}')
    with serving(tmp_path / 's', policy, device) as s:
        with pytest.raises(Refused):
            s.secret(enclave)
        assert why in s.wait_for('refuse', code='SOURCE')[0]['reason']
        assert VALUE not in s.log.read_text()


def test_vault_over_tls_and_down(device, enclave, tmp_path):
    cert, key = server_certificate(tmp_path / 'tls')
    with vault_server((cert, key)) as server:
        url = f'https://localhost:{server.server_address[1]}'
        policy = vault_policy(tmp_path, url, f'ca = "{cert}"') + secret('model', 'vault:kv/model#key')
        with serving(tmp_path / 'a', policy, device) as s, \
                serving(tmp_path / 'b', vault_policy(tmp_path, url) + secret('model', 'vault:kv/model#key'), device) as unknown:
            assert s.secret(enclave) == VALUE.encode()
            with pytest.raises(Refused):
                unknown.secret(enclave)
            assert 'cannot be asked' in unknown.wait_for('refuse', code='SOURCE')[0]['reason']
            server.stop.set()
            server.shutdown()
            server.server_close()
            with pytest.raises(Refused):  # fails closed
                s.secret(enclave)
            assert s.metric('source_errors_total') == 1


def test_cache(device, enclave, tmp_path):
    with vault_server() as server:
        url = f'http://127.0.0.1:{server.server_address[1]}'
        policy = (vault_policy(tmp_path, url) + secret('a', 'vault:kv/model#key', 'cache_seconds = 3600') +
                  secret('b', 'vault:kv/model#key'))
        with serving(tmp_path / 's', policy, device) as s:
            for _ in range(3):
                assert s.secret(enclave, (b'GET b', 0)) == [VALUE.encode()] * 2
            assert len(server.asked) == 4


def test_a_slow_vault_holds_up_nobody_else(device, enclave, vault, tmp_path):
    (tmp_path / 'v').write_bytes(b'fast')
    policy = (vault_policy(tmp_path, vault[1]).replace('timeout_seconds = 1', 'timeout_seconds = 20') +
              secret('fast', f'file:{tmp_path}/v') + secret('slow', 'vault:silent/x#key'))
    with serving(tmp_path / 's', policy, device) as s:
        waiting = [s.connect(enclave) for _ in range(40)]
        for one in waiting:
            one.sendall(b'SECRET_PROVISION_RA_TLS_REQUEST_V1\0')
            assert s.framed(one) == b'fast'
            one.sendall(b'GET slow\0')
        for _ in range(10):
            assert s.secret(enclave) == b'fast'
        for one in waiting:
            one.close()
        vault[0].stop.set()
        vault[0].stop.clear()


# ---- PKCS#11 -----------------------------------------------------------------------------------------------------

MODULES = [pathlib.Path(p) / 'softhsm/libsofthsm2.so' for p in ('/usr/lib', '/usr/lib/x86_64-linux-gnu')]


@pytest.fixture(scope='module')
def token(tmp_path_factory):
    """(module, environment, PIN file) of a SoftHSM token with three objects."""
    module = next((m for m in MODULES if m.exists()), None)
    util = shutil.which('softhsm2-util', path='/usr/bin:/usr/sbin')
    if not module or not util:
        pytest.skip('softhsm2 is not installed')
    folder = tmp_path_factory.mktemp('softhsm')
    (folder / 'tokens').mkdir()
    (folder / 'conf').write_text(f'directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n')
    env = {**ENVIRONMENT, 'SOFTHSM2_CONF': str(folder / 'conf')}
    subprocess.run([util, '--init-token', '--free', '--label', 'keys', '--so-pin', '1111', '--pin', '2222'], env=env,
                   check=True, capture_output=True)
    for label, kind, value in (('model', 'data', VALUE), ('key', 'key', 'sixteen bytes...'), ('locked', 'sensitive', 'never given out!'),
                               ('twice', 'data', 'a'), ('twice', 'data', 'b')):
        subprocess.run([BUILD / 'tests/keyserver/hsm-put', module, '2222', label, kind, value], env=env, check=True)
    (folder / 'pin').write_text('2222\n')
    (folder / 'pin').chmod(0o600)
    return module, {'SOFTHSM2_CONF': env['SOFTHSM2_CONF']}, folder / 'pin'


def token_policy(token, more='token = "keys"', pin=None):
    return f'[pkcs11]\nmodule = "{token[0]}"\npin_file = "{pin or token[2]}"\n{more}\n'


@pytest.mark.parametrize('source, more, value', [
    ('pkcs11:object=model', 'token = "keys"', VALUE.encode()), ('pkcs11:model', '', VALUE.encode()),
    ('pkcs11:token=keys;object=key', 'token = "other"', b'sixteen bytes...')])
def test_pkcs11(device, enclave, token, tmp_path, source, more, value):
    with serving(tmp_path / 's', token_policy(token, more) + secret('model', source), device, env=token[1]) as s:
        for _ in range(3):
            assert s.secret(enclave) == value
        assert value.decode() not in s.log.read_text()


@pytest.mark.parametrize('source, more, pin, why', [
    ('pkcs11:object=locked', '', None, 'may not be extracted'), ('pkcs11:object=nothing', '', None, 'no object has the label'),
    ('pkcs11:object=twice', '', None, 'more than one object'), ('pkcs11:object=model', 'token = "other"', None, 'no token with the label'),
    ('pkcs11:object=model', '', '9999', 'the PIN is wrong')])
def test_pkcs11_that_gives_nothing(device, enclave, token, tmp_path, source, more, pin, why):
    if pin:
        (tmp_path / 'pin').write_text(pin)
    policy = token_policy(token, more, tmp_path / 'pin' if pin else None) + secret('model', source)
    with serving(tmp_path / 's', policy, device, env=token[1]) as s:
        with pytest.raises(Refused):
            s.secret(enclave)
        reason = s.wait_for('refuse', code='SOURCE')[0]['reason']
        assert why in reason and '9999' not in reason and '2222' not in reason


def test_a_module_that_is_none(device, enclave, token, tmp_path):
    policy = token_policy((tmp_path / 'policy.toml', None, token[2])) + secret('model', 'pkcs11:object=model')
    (tmp_path / 'policy.toml').write_text('')
    with serving(tmp_path / 's', policy, device) as s:
        with pytest.raises(Refused):
            s.secret(enclave)
        assert 'the module cannot be loaded' in s.wait_for('refuse', code='SOURCE')[0]['reason']

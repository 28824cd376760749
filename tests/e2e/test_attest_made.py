# SPDX-License-Identifier: LGPL-3.0-or-later
"""Platforms made at test time: policies, trusted roots, and collateral fetched from a PCCS."""
import http.server
import json
import os
import pathlib
import re
import subprocess
import threading
import time
import urllib.parse

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('ADYTON_BUILD', ROOT / 'build'))
AT = '2025-06-15T15:06:40Z'


def make(folder, *options):
    tool = BUILD / 'tests/attest/attest-forge'
    if not tool.exists():
        pytest.skip(f'{tool} is not built (tests disabled)')
    folder.mkdir(exist_ok=True)
    subprocess.run([tool, folder, *options], check=True, timeout=60)
    return folder


def adyton(*args, **env):
    return subprocess.run([BUILD / 'bin/adyton', *map(str, args)], capture_output=True, text=True, timeout=60,
                          env={'PATH': '/usr/bin:/bin', 'HOME': '/nonexistent', 'NO_PROXY': '*', **env})


def verify(folder, *options, quote='quote.bin', collateral=True, at=AT, **env):
    where = ['--collateral', folder] if collateral else []
    r = adyton('verify', '--json', '--trust-root', folder / 'root.pem', '--at', at, *where, *options, folder / quote,
               **env)
    return r, json.loads(r.stdout) if r.stdout else None


@pytest.fixture(scope='module')
def platform(tmp_path_factory):
    return make(tmp_path_factory.mktemp('platform'))


@pytest.mark.parametrize('options, status, code', [
    ((), 'UpToDate', 'OK'),
    (('processor',), 'UpToDate', 'OK'),
    (('v4',), 'UpToDate', 'OK'),
    (('v5',), 'UpToDate', 'OK'),
    (('tdx',), 'UpToDate', 'OK'),
    (('tdx', 'v5'), 'UpToDate', 'OK'),
    (('type1',), 'UpToDate', 'OK'),
    (('debug',), 'UpToDate', 'POLICY_DEBUG'),
    (('tdx', 'debug'), 'UpToDate', 'POLICY_DEBUG'),
    (('out-of-date',), 'OutOfDate', 'POLICY_STATUS'),
    (('revoked',), 'Revoked', 'PCK_REVOKED'),
    (('expired',), 'UpToDate', 'POLICY_EXPIRED'),
])
def test_platforms(tmp_path, options, status, code):
    r, found = verify(make(tmp_path / 'p', *options))
    assert (found['status'], found['code'], r.returncode) == (status, code, 0 if code == 'OK' else 1), found
    assert found['accepted'] == (code == 'OK') and found['trusted_root'] == 'custom'
    assert "not Intel's" in r.stderr
    assert found['collateral_expired'] == ('expired' in options)


def test_not_without_the_root(platform):
    r = adyton('verify', '--json', '--at', AT, '--collateral', platform, platform / 'quote.bin')
    assert r.returncode == 1 and json.loads(r.stdout)['code'] == 'PCK_UNTRUSTED'
    assert 'software device' in r.stderr


def test_certificate(platform):
    r, found = verify(platform, quote='cert.der')
    assert (r.returncode, found['status']) == (0, 'UpToDate')


@pytest.mark.parametrize('text, code', [
    ('mrenclave = "' + '11' * 32 + '"', 'OK'),
    ('mrenclave = ["' + '00' * 32 + '", "' + '11' * 32 + '"]\nisv_prod_id = [7]\nmin_isv_svn = 3', 'OK'),
    ('mrsigner = "' + '33' * 32 + '"', 'POLICY_MEASUREMENT'),
    ('min_isv_svn = 4', 'POLICY_SVN'),
    ('min_tcb_date = 2024-02-13', 'OK'),
    ('min_tcb_date = 2024-02-14', 'POLICY_TCB_DATE'),
    ('tcb_statuses = ["SWHardeningNeeded"]', 'POLICY_STATUS'),
    ('advisories = []', 'OK'),
    ('tee = "tdx"', 'POLICY_TEE'),
    ('', 'OK'),
])
def test_policy_file(platform, tmp_path, text, code):
    (tmp_path / 'policy.toml').write_text(text)
    r, found = verify(platform, '--policy', tmp_path / 'policy.toml')
    assert (found['code'], r.returncode) == (code, 0 if code == 'OK' else 1), r.stderr
    assert ('any program' in r.stderr) == (code == 'OK' and 'mr' not in text)


def test_policy_names_the_root(platform, tmp_path):
    (tmp_path / 'policy.toml').write_text(f'trust_root = "{platform}/root.pem"')
    r = adyton('verify', '--policy', tmp_path / 'policy.toml', '--at', AT, '--collateral', platform, platform / 'quote.bin')
    assert r.returncode == 0 and "not Intel's" in r.stderr


@pytest.mark.parametrize('text, message', [
    ('mrenclave = "12"', 'policy.toml:1: mrenclave must be 64 hex digits'),
    ('\nmrenclav = "x"', "policy.toml:2: there is no policy rule 'mrenclav'"),
    ('mrenclave = []', 'empty list'),
    ('tcb_statuses = ["Revoked"]', 'accepted'),
    ('isv_prod_id = -1', 'isv_prod_id must be'),
    ('allow_debug = 1', 'true or false'),
    ('allow_debug = 1.5', 'cannot be'),
    ('= 1', 'policy.toml:1'),
])
def test_bad_policy(platform, tmp_path, text, message):
    (tmp_path / 'policy.toml').write_text(text)
    r, _ = verify(platform, '--policy', tmp_path / 'policy.toml')
    assert r.returncode == 2 and message in r.stderr and r.stdout == '', r.stderr


@pytest.mark.parametrize('arguments', [
    (), ('a', 'b'), ('--at', 'yesterday', 'q'), ('--at', '2025-06-15T15:06:40', 'q'), ('--tee', 'sev', 'q'),
    ('--nothing', 'q'), ('--policy', '/nonexistent', 'q'),
])
def test_usage(arguments):
    r = adyton('verify', *arguments)
    assert r.returncode == 2 and r.stderr and r.stdout == ''


def test_times(platform):
    for at in (AT, '2025-06-15t17:06:40.25+02:00', '2025-06-15 10:06:40-05:00'):
        assert verify(platform, at=at)[1]['verified_at'] == AT


def test_too_early(platform):
    for at, lists in (('2025-06-15T14:00:00Z', False), ('2025-06-14T15:00:00Z', True)):
        r, found = verify(platform, at=at)
        assert (found['status'], found['code'], r.returncode) == ('UpToDate', 'POLICY_EXPIRED', 1)
        assert 'TCB info' in found['not_yet_valid_items'] and 'was not valid yet' in found['error']
        assert (found['collateral_expired'], 'PCK CRL' in found['not_yet_valid_items']) == (lists, lists)
        assert found['expired_items'] == []


def test_bundle(platform, tmp_path):
    def text(name):
        return (platform / name).read_text()
    whole = {'pck_crl_issuer_chain': text('pck_crl_issuer_chain.pem'),
             'root_ca_crl': (platform / 'root_ca_crl.der').read_bytes().hex(),
             'pck_crl': (platform / 'pck_crl.der').read_bytes().hex().upper(),
             'tcb_info_issuer_chain': text('tcb_info_chain.pem'), 'tcb_info': text('tcb_info.json'),
             'qe_identity_issuer_chain': text('qe_identity_chain.pem'), 'qe_identity': text('qe_identity.json')}
    bare = dict(whole)
    for member, inner in (('tcb_info', 'tcbInfo'), ('qe_identity', 'enclaveIdentity')):
        found = re.fullmatch(r'\{"' + inner + r'":(.*),"signature":"(\w+)"\}', whole[member])
        bare[member], bare[member + '_signature'] = found.groups()
    for number, content in enumerate((whole, bare)):
        path = tmp_path / f'{number}.json'
        path.write_text(json.dumps(content))
        assert verify(platform, '--collateral', path, collateral=False)[1]['status'] == 'UpToDate'
    (tmp_path / 'bad.json').write_text('{"tcb_info":1}')
    r, found = verify(platform, '--collateral', tmp_path / 'bad.json', collateral=False)
    assert r.returncode == 1 and 'tcb_info' in found['error']


def test_missing_files(platform, tmp_path):
    for name, code in (('pck_crl.der', 'PCK_CRL_MISSING'), ('root_ca_crl.der', 'ROOT_CRL_MISSING'),
                       ('tcb_info.json', 'TCB_INFO_MISSING'), ('qe_identity.json', 'QE_IDENTITY_MISSING')):
        folder = tmp_path / name
        folder.mkdir()
        for file in platform.iterdir():
            if file.name != name:
                (folder / file.name).write_bytes(file.read_bytes())
        r, found = verify(folder)
        assert (r.returncode, found['code'], found['status']) == (1, code, 'Error')
        assert name in found['error']
    r, found = verify(platform, '--collateral', tmp_path / 'nowhere', collateral=False)
    assert (r.returncode, found['code']) == (1, 'FILE')


class Pccs(http.server.BaseHTTPRequestHandler):
    """Serves a made platform as a PCCS does; `mode` of the server makes it fail."""

    def do_GET(self):
        server, url = self.server, urllib.parse.urlsplit(self.path)
        server.asked.append(self.path)
        query = urllib.parse.parse_qs(url.query)
        version = re.search(r'/v(\d)/', url.path).group(1)
        name = url.path.split(f'/v{version}/')[1]
        if server.mode == 'error':
            self.send_error(503)
            return
        if server.mode == 'slow':
            time.sleep(30)
        if server.mode == 'unknown' or (server.mode == 'only-v3' and version == '4' and name in ('tcb', 'qe/identity')):
            self.send_error(404)
            return
        file, header, chain = {
            'rootcacrl': ('root_ca_crl.der', None, None),
            'pckcrl': ('pck_crl.der', 'SGX-PCK-CRL-Issuer-Chain', 'pck_crl_issuer_chain.pem'),
            'tcb': ('tcb_info.json', 'TCB-Info-Issuer-Chain' if version == '4' else 'SGX-TCB-Info-Issuer-Chain',
                    'tcb_info_chain.pem'),
            'qe/identity': ('qe_identity.json', 'SGX-Enclave-Identity-Issuer-Chain', 'qe_identity_chain.pem'),
            'pckcert': ('pck_leaf.pem', 'SGX-PCK-Certificate-Issuer-Chain', 'pck_crl_issuer_chain.pem'),
        }[name]
        if name == 'tcb':
            assert query['fmspc'] == ['00e0c0de0002']
        if file == 'pck_leaf.pem':
            whole = (server.folder / 'pck_chain.pem').read_text()
            body = whole[:whole.index('-----END') + 26].encode()
        else:
            body = (server.folder / file).read_bytes()
        if name == 'rootcacrl':
            body = body.hex().encode()
        if server.mode == 'huge':
            body = b'x' * (6 << 20)
        if server.mode == 'lying' and name == 'tcb':
            body = body.replace(b'UpToDate', b'Up2Date_')
        self.send_response(200)
        if header and server.mode != 'no-chain':
            self.send_header(header, urllib.parse.quote((server.folder / chain).read_text()))
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *args):
        pass


@pytest.fixture
def pccs(platform):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Pccs)
    server.daemon_threads = True
    server.folder, server.mode, server.asked = platform, '', []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.url = f'http://127.0.0.1:{server.server_port}/sgx/certification/v4/'
    yield server
    server.shutdown()
    server.server_close()


def fetch(server, cache, *options, at=AT, **env):
    return verify(server.folder, '--pccs', server.url, '--cache', cache, *options, collateral=False, at=at, **env)


def test_fetch_and_keep(pccs, tmp_path):
    cache = tmp_path / 'deep' / 'cache'
    assert fetch(pccs, cache)[1]['status'] == 'UpToDate'
    assert [re.search(r'v4/([a-z/]+)', url).group(1) for url in pccs.asked] == \
        ['rootcacrl', 'pckcrl', 'tcb', 'qe/identity']
    pccs.asked.clear()
    pccs.mode = 'error'
    assert fetch(pccs, cache)[1]['status'] == 'UpToDate'
    assert pccs.asked == []
    # A day before the end it is asked for again, at the latest.
    pccs.mode = ''
    assert fetch(pccs, cache, at='2025-07-14T16:00:00Z')[1]['status'] == 'UpToDate'
    assert any('/tcb?' in url for url in pccs.asked)


def test_fetch_version_3(pccs, tmp_path):
    pccs.mode = 'only-v3'
    assert fetch(pccs, tmp_path / 'cache')[1]['status'] == 'UpToDate'
    assert any('/v3/tcb?' in url for url in pccs.asked)
    pccs.url = pccs.url.replace('v4', 'v3')
    pccs.asked.clear()
    assert fetch(pccs, '')[1]['status'] == 'UpToDate'
    assert all('/v3/' in url for url in pccs.asked)


def test_fetch_pck_certificate(tmp_path, pccs):
    pccs.folder = make(tmp_path / 'type1', 'type1')
    assert fetch(pccs, tmp_path / 'cache')[1]['status'] == 'UpToDate'
    assert 'pckcert?qeid=' in pccs.asked[0]


def test_fetch_tdx(tmp_path, pccs):
    pccs.folder = make(tmp_path / 'tdx', 'tdx')
    assert fetch(pccs, tmp_path / 'cache')[1]['status'] == 'UpToDate'
    assert sum('/tdx/certification/v4/' in url for url in pccs.asked) == 2


@pytest.mark.parametrize('mode, code', [
    ('error', 'FETCH_STATUS'), ('unknown', 'FETCH_NOT_FOUND'), ('huge', 'FETCH_RESPONSE'),
    ('no-chain', 'FETCH_RESPONSE'), ('lying', 'TCB_INFO_SIGNATURE'),
])
def test_bad_servers(pccs, tmp_path, mode, code):
    pccs.mode = mode
    r, found = fetch(pccs, tmp_path / 'cache')
    assert (r.returncode, found['code'], found['accepted']) == (1, code, False)
    # What a bad server sent does not stay: the next answer counts.
    pccs.mode = ''
    assert fetch(pccs, tmp_path / 'cache')[1]['status'] == 'UpToDate'


def test_no_server(platform, tmp_path):
    r, found = verify(platform, '--pccs', 'http://127.0.0.1:9/sgx/certification/v4/', collateral=False)
    assert (r.returncode, found['code'], found['status']) == (1, 'FETCH_NETWORK', 'NoCollateral')
    r, found = verify(platform, '--pccs', 'ftp://127.0.0.1/', collateral=False)
    assert (r.returncode, found['code']) == (1, 'INVALID_ARGUMENT')


def test_forged_quote_asks_for_nothing(pccs, tmp_path):
    """An unverified chain does not decide what is fetched."""
    r = adyton('verify', '--json', '--at', AT, '--pccs', pccs.url, '--cache', '', pccs.folder / 'quote.bin')
    assert json.loads(r.stdout)['code'] == 'PCK_UNTRUSTED' and pccs.asked == []


def test_altered_cache(pccs, tmp_path):
    fetch(pccs, tmp_path)
    for file in tmp_path.iterdir():
        data = bytearray(file.read_bytes())
        data[-40] ^= 1
        file.write_bytes(data)
    pccs.asked.clear()
    assert fetch(pccs, tmp_path)[1]['status'] == 'UpToDate'
    assert len(pccs.asked) == 4
    for file in tmp_path.iterdir():
        file.write_bytes(b'nonsense')
    assert fetch(pccs, tmp_path)[1]['status'] == 'UpToDate'


@pytest.mark.parametrize('text', [
    '// comment\n{{ "pccs_url": "{url}", // where\n "use_secure_cert": false, "retry_times": 1 }}',
    '{{"pccs_url": "http://127.0.0.1:9/sgx/certification/v4/", "collateral_service": "{url}"}}',
    '# old\nPCCS_URL={url}\nUSE_SECURE_CERT=FALSE\n',
])
def test_qcnl_file(pccs, tmp_path, text):
    (tmp_path / 'qcnl.conf').write_text(text.format(url=pccs.url))
    r, found = verify(pccs.folder, '--qcnl', tmp_path / 'qcnl.conf', collateral=False, XDG_CACHE_HOME=str(tmp_path))
    assert (r.returncode, found['status']) == (0, 'UpToDate'), r.stderr
    assert (tmp_path / 'adyton/collateral').is_dir()


@pytest.mark.parametrize('text', ['', '{', '[]', '{"pccs_url": 5}', '{"pccs_url": "http://x/"}', 'PCCS_URL=\n'])
def test_bad_qcnl_file(platform, tmp_path, text):
    (tmp_path / 'qcnl.conf').write_text(text)
    r, found = verify(platform, '--qcnl', tmp_path / 'qcnl.conf', collateral=False)
    assert r.returncode == 1 and found['code'] in ('FILE', 'INVALID_ARGUMENT') and len(r.stderr.splitlines()) == 1

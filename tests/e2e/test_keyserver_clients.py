# SPDX-License-Identifier: LGPL-3.0-or-later
"""The clients of examples/ra-tls-secret-prov, as they are, against adyton keyserver in the place of server_dcap: an
environment variable, a second secret over the C functions, and the key of an encrypted mount in the library OS."""
import os
import shutil
import subprocess

import pytest

from keyserver import BUILD, ENVIRONMENT, ROOT, KeyServer, secret

TOOLS = BUILD / 'tests/ratls'
KEY = bytes(range(100, 116))

pytestmark = pytest.mark.skipif(not (TOOLS / 'ratls-platform').exists(), reason='tests/ratls is not built')


def run(argv, cwd=None, **env):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=100, cwd=cwd,
                          stdin=subprocess.DEVNULL, env={**ENVIRONMENT, **env})


class Platform:
    """What gives quotes to the clients (MRENCLAVE 11.., MRSIGNER 22.., product 7, SVN 3)."""

    def __init__(self, folder):
        folder.mkdir()
        self.attestation, self.root, self.collateral = folder / 'attestation', folder / 'root.pem', folder / 'collateral'
        self.process = subprocess.Popen([TOOLS / 'ratls-platform', folder], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == 'ready\n'


@pytest.fixture(scope='module')
def platform(tmp_path_factory):
    p = Platform(tmp_path_factory.mktemp('platform') / 'p')
    yield p
    p.process.kill()
    p.process.wait()
    p.process.stdout.close()


@pytest.fixture(scope='module')
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp('example') / 'ra-tls-secret-prov'
    shutil.copytree(ROOT / 'examples/ra-tls-secret-prov', folder)
    done = run(['make', 'app', 'dcap'], cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def server(platform, example, tmp_path):
    """serve(policy, files): a key server with the example's certificate (RSA, X.509 version 1, no alternative names)."""
    servers = []

    def serve(*files):
        policy = ''
        for number, content in enumerate(files):
            (tmp_path / f'secret{number}').write_bytes(content)
            policy += secret(f'secret{number}', f'file:{tmp_path}/secret{number}')
        s = KeyServer(tmp_path / 's', policy, platform, wait=False)
        s.head = s.head.replace(str(s.cert), str(example / 'ssl/server.crt')).replace(
            str(s.folder / 'tls/key.pem'), str(example / 'ssl/server.key'))
        s.write(policy)
        servers.append(s)
        return s.start()

    yield serve
    for s in servers:
        s.stop()


def environment(s, platform, example, **more):
    return {'SECRET_PROVISION_CA_CHAIN_PATH': str(example / 'ssl/ca.crt'),
            'SECRET_PROVISION_SERVERS': f'dummyserver.invalid:80;localhost:{s.port};anotherdummy.invalid:4433',
            'ADYTON_TEST_ATTESTATION': str(platform.attestation), **more}


def test_minimal(platform, example, server):
    s = server(b'A_SIMPLE_SECRET\0')
    done = run([example / 'secret_prov_minimal/client'], **environment(
        s, platform, example, LD_PRELOAD=str(TOOLS / 'libsecret_prov_attest.so'), SECRET_PROVISION_CONSTRUCTOR='1'))
    assert "Received secret = 'A_SIMPLE_SECRET'" in done.stdout, done.stderr + s.log.read_text()


def test_two_secrets(platform, example, server, tmp_path):
    s = server(b'FIRST_SECRET\0', b'42\0')
    done = run([example / 'secret_prov/client'], cwd=tmp_path, **environment(
        s, platform, example, LD_LIBRARY_PATH=str(TOOLS), LD_PRELOAD=str(TOOLS / 'libsecret_prov_attest.so')))
    assert "Received secret1 = 'FIRST_SECRET', secret2 = '42'" in done.stdout, done.stdout + done.stderr + s.log.read_text()
    assert [e['secret'] for e in s.wait_for('release', 2)] == ['secret0', 'secret1']


@pytest.mark.parametrize('size, status', [(16, 0), (15, 1), (17, 1)])
def test_key(platform, example, server, tmp_path, size, status):
    s = server(os.urandom(size))
    (tmp_path / 'keys').mkdir()
    (tmp_path / 'keys/default').touch()
    done = run(['/usr/bin/true'], **environment(
        s, platform, example, LD_PRELOAD=str(TOOLS / 'libsecret_prov_attest.so'), SECRET_PROVISION_CONSTRUCTOR='1',
        SECRET_PROVISION_SET_KEY='default', ADYTON_TEST_KEYS=str(tmp_path / 'keys')))
    assert done.returncode == status, done.stderr
    expected = (tmp_path / 'secret0').read_bytes() if not status else b''
    assert (tmp_path / 'keys/default').read_bytes() == expected


def test_refused(platform, example, server):
    s = server(b'A_SIMPLE_SECRET\0')
    s.write(s.policy.read_text()[len(s.head):].replace('11' * 32, '33' * 32))
    s.stop()
    s.start()
    done = run(['/usr/bin/true'], **environment(
        s, platform, example, LD_PRELOAD=str(TOOLS / 'libsecret_prov_attest.so'), SECRET_PROVISION_CONSTRUCTOR='1'))
    assert done.returncode == 1 and 'a server that refuses an enclave ends it here' in done.stderr, done.stderr
    s.wait_for('refuse', code='POLICY_MEASUREMENT')


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
loader.env.SECRET_PROVISION_SERVERS = "localhost:{port}"
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


def test_key_of_an_encrypted_mount(platform, example, server):
    """In the library OS: the key is set before main, and outlives execve and fork."""
    folder = example / 'secret_prov_pf'
    s = server((folder / 'wrap_key').read_bytes())
    (folder / 'inside.manifest.template').write_text(INSIDE.format(
        uid=os.getuid(), tools=TOOLS, port=s.port, attestation=platform.attestation))
    done = run(['gramine-manifest', 'inside.manifest.template', 'inside.manifest'], cwd=folder)
    assert done.returncode == 0, done.stderr
    done = run(['gramine-direct', './inside'], cwd=folder)
    assert done.stdout == "[child] Read from protected file: 'helloworld'\n[parent] Read from protected file: 'helloworld'\n", \
        done.stdout + done.stderr + s.log.read_text()
    assert done.returncode == 0 and len(s.wait_for('release')) == 1

# SPDX-License-Identifier: LGPL-3.0-or-later
"""The public PyTorch tutorial, followed to the letter.

The manifest template is put together from the tutorial's own lines, read at run time and not
changed; its "..." are filled with what the text around them names. Then its commands are run.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / 'examples' / 'pytorch'
TEXTS = ROOT.parent / 'shared' / 'tutorial'
DATA = ROOT.parent / 'shared' / 'data' / 'imagenet'
PYTHON = '/usr/bin/python3'
CONFIDENTIAL = 'End-To-End Confidential PyTorch Workflow'

# What the text says in words, not in lines: the entry point is Python, the C library of /lib comes
# first, "other directories such as {{ arch_libdir }} required by Python and PyTorch" (Debian keeps a
# few of PyTorch's libraries directly in /usr/lib), scratch space.
HEAD = '''
libos.entrypoint = "{{ entrypoint }}"
loader.log_level = "{{ log_level }}"
loader.env.LD_LIBRARY_PATH = "/lib:{{ arch_libdir }}:/usr/{{ arch_libdir }}"
loader.env.OMP_NUM_THREADS = "1"
sgx.enclave_size = "4G"
sgx.max_threads = 64
sys.stack.size = "2M"
'''
MOUNTS = '''
{ path = "/usr/lib", uri = "file:/usr/lib" },
{ path = "/usr/{{ arch_libdir }}", uri = "file:/usr/{{ arch_libdir }}" },
{ path = "{{ entrypoint }}", uri = "file:{{ entrypoint }}" },
{ path = "/tmp", type = "tmpfs" },
'''
# "In the case of directories they are recursively traversed": what is mounted above is trusted.
TRUSTED = '''
"file:{{ arch_libdir }}/",
"file:/usr/{{ arch_libdir }}/",
{% for path in python.get_sys_path(entrypoint) %}
"file:{{ path }}{{ '/' if path.is_dir() else '' }}",
{% endfor %}
{% for lib in ldd(python.distlib ~ "/torch/_C" ~ python.ext_suffix) if (lib | string).count("/") == 2 %}
"file:/usr{{ lib }}",
{% endfor %}
"file:pytorchexample.py",
'''
# "Remove the input files from sgx.trusted_files": so they are there before.
INPUTS = '"file:classes.txt",\n"file:input.jpg",\n"file:alexnet-pretrained.pt",\n'


def lines_of(text, key):
    """All lines that the text shows inside `key = [ ... ]`, in order, without the "..."."""
    found = []
    for block in re.findall(rf'^{re.escape(key)} = \[\n(.*?)^(?:\]|$)', text, re.M | re.S):
        found += [line for line in block.splitlines() if line.strip() not in ('', '...')]
    return found


def joined(lines):
    """One block of text; an array's last shown line may lack its comma."""
    return '\n'.join(line if line.rstrip().endswith((',', '%}')) else line + ',' for line in lines)


def single_lines(text):
    return re.findall(r'^(?:sys|loader|sgx)\.[A-Za-z_.]+ = (?!\[).*$', text, re.M)


def template(text, confidential):
    plain, secret = text.split('\n' + CONFIDENTIAL + '\n', 1)
    shown = [plain, secret] if confidential else [plain]
    assert lines_of(plain, 'fs.mounts') and lines_of(plain, 'sgx.trusted_files')
    parts = [HEAD, *(line for part in shown for line in single_lines(part))]
    mounts = [joined(lines_of(part, 'fs.mounts')) for part in shown]
    trusted = [joined(lines_of(part, 'sgx.trusted_files')) for part in shown]
    first, rest = re.split(r'(?=\{% for )', mounts[0], maxsplit=1)
    parts.append('fs.mounts = [\n' + '\n'.join([first, MOUNTS, rest, *mounts[1:]]) + '\n]')
    parts.append('sgx.trusted_files = [\n' + '\n'.join(
        [trusted[0], TRUSTED, '' if confidential else INPUTS, *trusted[1:]]) + '\n]')
    if not confidential:
        parts.append('sgx.allowed_files = [\n' + joined(lines_of(plain, 'sgx.allowed_files')) + '\n]')
    return '\n'.join(parts) + '\n'


@pytest.fixture
def text():
    path = TEXTS / 'tutorial-latest.txt'
    if not path.is_file():
        pytest.skip('../shared/tutorial is not there')
    return path.read_text()


@pytest.fixture
def folder(tmp_path, text):
    """The tutorial's folder examples/pytorch, with our script of the same name and a real model."""
    if not (DATA / 'make_squeezenet.py').is_file():
        pytest.skip('../shared/data/imagenet is not there: no real model to run')
    target = tmp_path / 'examples' / 'pytorch'
    target.mkdir(parents=True)
    for name in ('pytorchexample.py', 'Makefile'):
        shutil.copyfile(EXAMPLE / name, target / name)
    for name in ('input.jpg', 'classes.txt'):
        shutil.copyfile(DATA / name, target / name)
    subprocess.run([PYTHON, DATA / 'make_squeezenet.py', DATA / 'compressed_SqueezeNet.net',
                    target / 'alexnet-pretrained.pt'], check=True)
    return target


@pytest.fixture
def shell(build_dir, run_native):
    """shell(line, folder): one line that a user types, with the commands on PATH; must succeed"""
    def run(line, folder):
        done = run_native(['/bin/sh', '-c', line], cwd=folder, timeout=300,
                          env={'PATH': f'{build_dir}/bin:/usr/local/bin:/usr/bin:/bin', 'OMP_NUM_THREADS': '1'})
        assert done.status == 0, str(done)
        return done
    return run


def need(build_dir, *names):
    for name in names:
        if not (build_dir / 'bin' / name).exists():
            pytest.skip(f'{name} is not built')


def test_direct(text, folder, build_dir, shell):
    need(build_dir, 'gramine-manifest', 'gramine-direct')
    (folder / 'pytorch.manifest.template').write_text(template(text, confidential=False))
    direct = text.split('Executing PyTorch with non-SGX Gramine\n')[-1].split('Executing PyTorch with Gramine in SGX')[0]
    commands = re.findall(r'^(make|rm -f result\.txt|gramine-direct .*pytorchexample\.py)$', direct, re.M)
    assert commands == ['make', 'rm -f result.txt', 'gramine-direct ./pytorch pytorchexample.py']

    shell(f'{PYTHON} pytorchexample.py', folder)
    native = (folder / 'result.txt').read_bytes()
    assert native.startswith(b'Labrador retriever')
    for command in commands:
        shell(command, folder)
    assert (folder / 'result.txt').read_bytes() == native


def test_encrypting_inputs(text, folder, build_dir, shell):
    """The commands of "Preparing Input Files" and "Decrypting Output File"."""
    need(build_dir, 'gramine-sgx-pf-crypt')
    part = text.split('Preparing Input Files\n')[-1].split('Preparing Secret Provisioning')[0]
    commands = re.findall(r'^(?:mkdir|dd|mv|gramine-sgx-pf-crypt) .*$', part, re.M)
    assert len(commands) == 7
    before = {name: (folder / name).read_bytes() for name in ('input.jpg', 'classes.txt', 'alexnet-pretrained.pt')}
    for command in commands:
        shell(command, folder)
    for name, content in before.items():
        assert (folder / name).read_bytes() != content
        assert (folder / name).stat().st_size % 4096 == 0
        shell(f'gramine-sgx-pf-crypt decrypt -w files/wrap_key -i {name} -o plaintext/back', folder)
        assert (folder / 'plaintext' / 'back').read_bytes() == content


def test_confidential_manifest_renders(text, folder, build_dir, shell):
    need(build_dir, 'gramine-manifest')
    (folder / 'ssl').mkdir()
    (folder / 'ssl' / 'ca.crt').write_text('a certificate\n')
    (folder / 'pytorch.manifest.template').write_text(template(text, confidential=True))
    shell('make', folder)
    manifest = tomllib.loads((folder / 'pytorch.manifest').read_text())
    encrypted = [m['path'] for m in manifest['fs']['mounts'] if m.get('type') == 'encrypted']
    assert encrypted == ['/classes.txt', '/input.jpg', '/alexnet-pretrained.pt', '/result.txt']
    assert manifest['sgx']['remote_attestation'] == 'dcap'
    assert manifest['loader']['env']['SECRET_PROVISION_SET_KEY'] == 'default'
    assert any(entry['uri'] == 'file:ssl/ca.crt' and re.fullmatch('[0-9a-f]{64}', entry['sha256'])
               for entry in manifest['sgx']['trusted_files'])


def commands_between(text, start, end, pattern):
    return re.findall(pattern, text.split(start)[-1].split(end)[0], re.M)


@pytest.fixture
def device(shell, tmp_path):
    """device(line, folder): a line typed where the software device stands for SGX"""
    home = tmp_path / 'home'
    home.mkdir()

    def run(line, folder):
        return shell(f'export HOME={home} ADYTON_SGX=emulate XDG_STATE_HOME= XDG_CONFIG_HOME= XDG_CACHE_HOME=; {line}',
                     folder)
    run.platform = home / '.local' / 'state' / 'adyton' / 'test-platform'
    return run


def test_enclave(text, folder, build_dir, shell, device):
    """"Executing PyTorch with Gramine in SGX Enclave", as written."""
    need(build_dir, 'gramine-sgx-sign', 'gramine-sgx')
    (folder / 'pytorch.manifest.template').write_text(template(text, confidential=False))
    commands = commands_between(text, 'Executing PyTorch with Gramine in SGX Enclave\n', CONFIDENTIAL,
                                r'^(gramine-sgx-gen-private-key|make SGX=1|rm -f result\.txt|gramine-sgx .*\.py)\b.*$')
    assert commands == ['gramine-sgx-gen-private-key', 'make SGX=1', 'rm -f result.txt',
                        'gramine-sgx ./pytorch pytorchexample.py']
    shell(f'{PYTHON} pytorchexample.py', folder)
    native = (folder / 'result.txt').read_bytes()
    for command in commands:
        done = device(command, folder)
    assert 'NO confidentiality' in done.err
    assert (folder / 'result.txt').read_bytes() == native


@pytest.fixture
def example(tmp_path, shell):
    """What `make app dcap` leaves of the secret provisioning example."""
    target = tmp_path / 'gramine' / 'CI-Examples' / 'ra-tls-secret-prov'
    shutil.copytree(ROOT / 'examples' / 'ra-tls-secret-prov', target,
                    ignore=shutil.ignore_patterns('server_dcap', 'client', '*.manifest', '*.crt', '*.key'))
    shell('make app dcap', target)
    return target


# The server listens on the port that its source names, so in a network of its own.
SERVE_AND_RUN = '''set -e
ip link set lo up
cd secret_prov_pf
RA_TLS_ALLOW_OUTDATED_TCB_INSECURE=1 ./server_dcap ../files/wrap_key >../server.log 2>&1 &
cd ..
for i in $(seq 300); do grep -q Starting server.log && break; sleep 0.1; done
gramine-sgx ./pytorch pytorchexample.py
killall server_dcap
'''


def test_confidential(text, folder, build_dir, shell, device, example):
    """"End-To-End Confidential PyTorch Workflow": inputs encrypted at home, a key server at home, the key by
    RA-TLS to the enclave, a result that only the owner can read."""
    need(build_dir, 'gramine-sgx', 'gramine-sgx-pf-crypt')
    if os.getuid() or not (shutil.which('ip') and shutil.which('killall')):
        pytest.skip('needs root for a network namespace, ip and killall')
    shell(f'{PYTHON} pytorchexample.py', folder)
    native = (folder / 'result.txt').read_bytes()
    shutil.copytree(example.parents[1], folder / 'gramine')
    for command in commands_between(text, 'Preparing Input Files\n', 'Preparing Secret Provisioning',
                                    r'^(?:mkdir|dd|mv|gramine-sgx-pf-crypt) .*$'):
        shell(command, folder)
    prepare = commands_between(text, 'Preparing Secret Provisioning\n', 'Preparing Manifest File',
                               r'^(?:mkdir|cp|cd|\./server_dcap) .*$')
    assert prepare[-1] == './server_dcap ../files/wrap_key &'
    for command in prepare[:-2]:
        shell(command, folder)
    (folder / 'pytorch.manifest.template').write_text(template(text, confidential=True))
    device('gramine-sgx-gen-private-key', folder)
    for command in commands_between(text, 'Building and Executing End-To-End PyTorch Example\n', 'Decrypting Output File',
                                    r'^(make clean|make SGX=1|rm -f result\.txt)$'):
        device(command, folder)
    device('adyton sgxemu setup', folder)
    (folder / 'serve-and-run.sh').write_text(SERVE_AND_RUN)
    device(f'RA_TLS_TRUST_ROOT={device.platform}/root.pem RA_TLS_COLLATERAL={device.platform}/collateral '
           'unshare --net --pid --fork --mount-proc sh serve-and-run.sh', folder)
    assert (folder / 'result.txt').read_bytes() != native
    shell('gramine-sgx-pf-crypt decrypt -w files/wrap_key -i result.txt -o plaintext/result.txt', folder)
    assert (folder / 'plaintext' / 'result.txt').read_bytes() == native

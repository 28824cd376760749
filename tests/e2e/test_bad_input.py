# SPDX-License-Identifier: LGPL-3.0-or-later
"""Bad input is normal input: each ends with a clear message that names what is wrong and a non-zero
status, never with a crash, a hang or a traceback.
"""
import os
import pathlib
import shutil
import struct
import subprocess

import pytest

from conftest import own_mounts

BASE = '''
loader.insecure__use_cmdline_argv = true
fs.root = {{ type = "chroot", uri = "file:/" }}
fs.mounts = []
sgx.file_check_policy = "allow_all_but_log"
libos.entrypoint = "{program}"
'''


def refused(result, *words, status=None, lines=3):
    """The run failed by itself, and said why in a few lines that hold all the words."""
    said = result.out + result.err
    assert result.status not in (0, 'timeout'), str(result)
    assert result.status < 128, f'killed by a signal: {result}'
    assert status is None or result.status == status, str(result)
    assert 0 < len(said.strip().splitlines()) <= lines, str(result)
    for bad in ('Traceback', 'Sanitizer', 'core dumped', 'Assertion'):
        assert bad not in said, str(result)
    for word in words:
        assert str(word).lower() in said.lower(), f'"{word}" is not named: {result}'


@pytest.fixture
def start(libos, run_native, tmp_path):
    """start(manifest text or bytes, *arguments) -> Result of gramine-direct on it, unrendered"""
    def run(manifest, *arguments, timeout=60, wrapper=()):
        path = tmp_path / 'app.manifest'
        path.write_bytes(manifest if isinstance(manifest, bytes) else manifest.encode())
        return run_native([*wrapper, libos, './app', *arguments], cwd=tmp_path, timeout=timeout)
    return run


@pytest.fixture
def render(build_dir, run_native, tmp_path):
    """render(template) -> Result of gramine-manifest on it"""
    tool = build_dir / 'bin' / 'gramine-manifest'
    if not tool.exists():
        pytest.skip('gramine-manifest is not built')

    def run(template, *arguments, timeout=60):
        path = tmp_path / 'app.manifest.template'
        path.write_bytes(template if isinstance(template, bytes) else template.encode())
        result = run_native([tool, *arguments, path, tmp_path / 'app.manifest'], cwd=tmp_path, timeout=timeout)
        if result.status != 0:
            assert not (tmp_path / 'app.manifest').exists(), 'a failed run left an output behind'
        return result
    return run


# --- the launcher and its manifest ---------------------------------------------------------------

def test_no_arguments(libos, run_native):
    result = run_native([libos])
    refused(result, 'usage', status=2)


def test_missing_manifest(libos, run_native, tmp_path):
    refused(run_native([libos, './nothing'], cwd=tmp_path), 'nothing.manifest', status=2)


def test_manifest_is_a_folder(libos, run_native, tmp_path):
    (tmp_path / 'app.manifest').mkdir()
    refused(run_native([libos, './app'], cwd=tmp_path), 'app.manifest')


GARBLED = {
    'empty': b'',
    'binary': bytes(range(256)) * 64,
    'zeros': bytes(100000),
    'unclosed': b'[[[[[[',
    'deep': b'a = ' + b'[' * 100000,
    'unterminated': b'libos.entrypoint = "/bin/true',
    'twice': b'fs.mounts = []\nfs.mounts = []\n',
    'bad-utf8': b'libos.entrypoint = "\xff\xfe"\n',
    'oversized': b'A' * (100 << 20),
}


@pytest.mark.parametrize('kind', GARBLED)
def test_garbled_manifest(kind, start):
    refused(start(GARBLED[kind]), 'manifest' if kind != 'empty' else '')


WRONG = {
    'boolean-as-string': ('loader.insecure__disable_aslr = "yes"', 'insecure__disable_aslr'),
    'log-level': ('loader.log_level = "loud"', 'loader.log_level'),
    'uid': ('loader.uid = -1', 'loader.uid'),
    'stack-size': ('sys.stack.size = "12Q"', 'sys.stack.size'),
    'stack-type': ('sys.stack.size = 4096', 'sys.stack.size'),
    'fds-limit': ('sys.fds.limit = "many"', 'sys.fds.limit'),
    'start-dir': ('fs.start_dir = "/no/such/folder"', '/no/such/folder'),
    'start-file': ('fs.start_dir = "/etc/passwd"', '/etc/passwd'),
    'argv-twice': ('loader.argv = ["a"]', 'argv'),
    'argv-empty': ('loader.argv = []', 'argv'),
    'key-length': ('fs.insecure__keys.default = "0011"', 'default'),
    'key-digits': ('fs.insecure__keys.default = "' + 'zz' * 16 + '"', 'default'),
    'policy': ('sgx.file_check_policy = "none"', 'file_check_policy'),
    'passthrough': ('loader.env.A = { passthrough = false }', 'A'),
    'trusted-hash': ('sgx.trusted_files = [{ uri = "file:/bin/true", sha256 = "00" }]', 'sha256'),
    'trusted-scheme': ('sgx.trusted_files = ["http://x"]', 'http://x'),
    'mount-type': ('fs.mounts = [{ path = "/x", uri = "file:/tmp", type = "floppy" }]', 'floppy'),
    'mount-source': ('fs.mounts = [{ path = "/x", uri = "file:/no/such/folder" }]', '/no/such/folder'),
    'mount-relative': ('fs.mounts = [{ path = "x", uri = "file:/tmp" }]', 'path'),
    'mount-scheme': ('fs.mounts = [{ path = "/x", uri = "/tmp" }]', '/tmp'),
    'mount-root': ('fs.mounts = [{ path = "/", uri = "file:/tmp" }]', 'fs.root'),
    'mounts-type': ('fs.mounts = "none"', 'fs.mounts'),
}


@pytest.mark.parametrize('kind', WRONG)
def test_wrong_value(kind, start):
    line, word = WRONG[kind]
    key = line.split(' = ')[0]
    base = BASE.format(program='/bin/true')
    base = ''.join(l + '\n' for l in base.splitlines() if not l.startswith(key + ' '))
    refused(start(base + line + '\n'), word)


def test_arguments_without_permission(start):
    refused(start(BASE.format(program='/bin/true').replace('= true', '= false'), 'argument'), 'argv')


# --- entry points --------------------------------------------------------------------------------

def hello_elf():
    data = bytearray(pathlib.Path('/bin/true').read_bytes())
    return data


def header(offset, form, value):
    """An ELF with one field of its first program headers or its header changed."""
    def change(data):
        struct.pack_into(form, data, offset, value)
        return data
    return change


def program_header(kind, field, value, which=0):
    """Changes a field of the which-th program header of a kind (1 LOAD, 2 DYNAMIC, 3 INTERP)."""
    at = {'offset': 8, 'vaddr': 16, 'filesz': 32, 'memsz': 40, 'align': 48}[field]

    def change(data):
        start, size, count = *struct.unpack_from('<Q', data, 32), *struct.unpack_from('<HH', data, 54)
        found = [start + i * size for i in range(count) if struct.unpack_from('<I', data, start + i * size)[0] == kind]
        struct.pack_into('<Q', data, found[which] + at, value)
        return data
    return change


ELF = {
    'empty': lambda data: b'',
    'one-byte': lambda data: data[:1],
    'half-a-header': lambda data: data[:40],
    'header-only': lambda data: data[:64],
    'truncated-headers': lambda data: data[:64 + 56],
    'truncated-content': lambda data: data[:5000],
    'magic': header(0, '<I', 0x464c457e),
    '32-bit': header(4, 'B', 1),
    'big-endian': header(5, 'B', 2),
    'object-file': header(16, '<H', 1),
    'machine': header(18, '<H', 0xb7),
    'headers-far-away': header(32, '<Q', 1 << 62),
    'header-size': header(54, '<H', 8),
    'no-headers': header(56, '<H', 0),
    'many-headers': header(56, '<H', 0xffff),
    'offset': program_header(1, 'offset', (1 << 63) + 0x1000),
    'beyond-file': program_header(1, 'offset', 1 << 40),
    'file-size': program_header(1, 'filesz', 1 << 62),
    'memory-size': program_header(1, 'memsz', 1 << 62),
    'memory-below-file': program_header(1, 'memsz', 1),
    'address-wraps': program_header(1, 'vaddr', (1 << 64) - 0x1000, which=1),
    'address-kernel': program_header(1, 'vaddr', 0xffff800000000000, which=1),
    'misaligned': program_header(1, 'vaddr', 0x1234567, which=1),
    'interpreter-far-away': program_header(3, 'offset', 1 << 50),
    'interpreter-size': program_header(3, 'filesz', 1 << 40),
    'interpreter-empty': program_header(3, 'filesz', 0),
}


@pytest.mark.parametrize('kind', ELF)
def test_damaged_program(kind, start, tmp_path):
    program = tmp_path / 'damaged'
    program.write_bytes(ELF[kind](hello_elf()))
    program.chmod(0o755)
    refused(start(BASE.format(program=program)), program)


def test_overlapping_segments(start, tmp_path):
    """All segments at one address: what is loaded is not what the file says, so it may only fail."""
    data = hello_elf()
    for which in range(1, 4):
        data = program_header(1, 'vaddr', 0, which)(data)
    program = tmp_path / 'damaged'
    program.write_bytes(data)
    program.chmod(0o755)
    refused(start(BASE.format(program=program)), program)


def test_program_missing(start):
    refused(start(BASE.format(program='/no/such/program')), '/no/such/program')


def test_program_is_a_folder(start):
    refused(start(BASE.format(program='/usr')), '/usr')


def test_program_is_text(start, tmp_path):
    (tmp_path / 'text').write_text('no program\n')
    (tmp_path / 'text').chmod(0o755)
    refused(start(BASE.format(program=tmp_path / 'text')), tmp_path / 'text')


def test_program_without_interpreter(start, tmp_path):
    (tmp_path / 'script').write_text('#!/no/such/interpreter\n')
    (tmp_path / 'script').chmod(0o755)
    refused(start(BASE.format(program=tmp_path / 'script')), '/no/such/interpreter')


def test_script_that_is_its_own_interpreter(start, tmp_path):
    (tmp_path / 'script').write_text(f'#!{tmp_path}/script\n')
    (tmp_path / 'script').chmod(0o755)
    refused(start(BASE.format(program=tmp_path / 'script')), 'script')


# --- the file policy -----------------------------------------------------------------------------

STRICT = '''
libos.entrypoint = "/bin/cat"
loader.insecure__use_cmdline_argv = true
loader.log_level = "warning"
loader.env.LD_LIBRARY_PATH = "/lib/x86_64-linux-gnu"
fs.mounts = [
  {{ path = "/bin/cat", uri = "file:/bin/cat" }},
  {{ path = "/lib", uri = "file:/lib" }},
  {{ path = "/lib64", uri = "file:/lib64" }},
  {{ path = "/data", uri = "file:{data}" }},
]
sgx.trusted_files = [
  "file:/bin/cat",
  "file:/lib64/ld-linux-x86-64.so.2",
  "file:/lib/x86_64-linux-gnu/libc.so.6",
  "file:{data}/trusted",
]
'''


@pytest.fixture
def strict(render, libos, run_native, tmp_path):
    """A rendered manifest for cat over a folder with a trusted and an unlisted file."""
    data = tmp_path / 'data'
    data.mkdir()
    (data / 'trusted').write_text('trusted content\n')
    (data / 'unlisted').write_text('unlisted content\n')
    done = render(STRICT.format(data=data))
    assert done.status == 0, str(done)

    def run(*arguments, wrapper=()):
        return run_native([*wrapper, libos, './app', *arguments], cwd=tmp_path)
    run.data = data
    return run


def test_trusted_file(strict):
    result = strict('/data/trusted')
    assert (result.status, result.out) == (0, 'trusted content\n'), str(result)


def test_unlisted_file(strict):
    result = strict('/data/unlisted')
    refused(result, 'Permission denied', 'unlisted')
    assert 'content' not in result.out


@pytest.mark.parametrize('content', ['Trusted content\n', 'trusted content\nmore\n', '', 'trusted'])
def test_changed_trusted_file(strict, content):
    (strict.data / 'trusted').write_text(content)
    result = strict('/data/trusted')
    refused(result, 'trusted')
    assert 'content' not in result.out


def test_trusted_file_removed(strict):
    (strict.data / 'trusted').unlink()
    refused(strict('/data/trusted'), 'No such file')


def test_changed_program(render, start, tmp_path):
    program = tmp_path / 'program'
    shutil.copyfile('/bin/true', program)
    program.chmod(0o755)
    done = render(BASE.format(program=program).replace('allow_all_but_log', 'strict') +
                  f'sgx.trusted_files = ["file:{program}"]\n')
    assert done.status == 0, str(done)
    with open(program, 'ab') as f:
        f.write(b'x')
    refused(start((tmp_path / 'app.manifest').read_bytes()), 'not the content that was trusted')


# --- the host fails ------------------------------------------------------------------------------

def test_unreadable_file(strict, tmp_path, libos):
    (strict.data / 'trusted').chmod(0)
    if os.getuid() != 0:
        refused(strict('/data/trusted'), 'Permission denied')
        return
    # Root reads everything, so this runs as somebody else.
    for folder in (strict.data, tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    wrapper = ['/usr/bin/setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
    if subprocess.run([*wrapper, 'test', '-x', libos], check=False).returncode != 0:
        pytest.skip('another user cannot reach the build folder')
    refused(strict('/data/trusted', wrapper=wrapper), 'Permission denied')


def test_no_space(start, tmp_path):
    wrapper = [*own_mounts(), '/bin/sh', '-c',
               f'mount -t tmpfs -o size=64k none {tmp_path}/small && exec "$@"', 'sh']
    (tmp_path / 'small').mkdir()
    (tmp_path / 'script').write_text(f'#!/bin/sh\nhead -c 1000000 /dev/zero > {tmp_path}/small/file\n')
    (tmp_path / 'script').chmod(0o755)
    manifest = BASE.format(program=tmp_path / 'script') + f'sgx.allowed_files = ["file:{tmp_path}/small/"]\n'
    refused(start(manifest, wrapper=wrapper), 'No space left on device')


def test_mount_without_execution(start, tmp_path):
    """What Linux does not execute there is not executed inside either: programs, scripts and loaders."""
    folder = tmp_path / 'data'
    wrapper = [*own_mounts(), '/bin/sh', '-c',
               f'mount -t tmpfs -o noexec none {folder} && cp /bin/true {folder}/program && '
               f'printf "#!/bin/sh\n" > {folder}/script && chmod +x {folder}/script && exec "$@"', 'sh']
    folder.mkdir()
    manifest = BASE.format(program='/usr/bin/env') + f'sgx.allowed_files = ["file:{folder}/"]\n'
    for name in ('program', 'script'):
        refused(start(manifest, f'{folder}/{name}', wrapper=wrapper), f"'{folder}/{name}': Permission denied")
    manifest = BASE.format(program=f'{folder}/program') + f'sgx.allowed_files = ["file:{folder}/"]\n'
    refused(start(manifest, wrapper=wrapper), 'not executable')


def test_input_output_error(start):
    """Address 0 of a process is not mapped: reading it through /proc gives EIO."""
    manifest = BASE.format(program='/bin/cat').replace(
        'fs.mounts = []', 'fs.mounts = [{ path = "/broken", uri = "file:/proc/self/mem" }]')
    refused(start(manifest + 'sgx.allowed_files = ["file:/proc/self/mem"]\n', '/broken'), 'Input/output error')


def test_no_descriptors(start):
    program = 'files = [open("/etc/passwd") for _ in range(200)]'
    wrapper = ['/bin/sh', '-c', 'ulimit -n 32 && exec "$@"', 'sh']
    result = start(BASE.format(program='/usr/bin/python3'), '-c',
                   f'try:\n  {program}\nexcept OSError as e:\n  raise SystemExit(e.strerror)', wrapper=wrapper)
    refused(result, 'Too many open files')


# --- the manifest tool ---------------------------------------------------------------------------

TEMPLATES = {
    'template-syntax': ('{% for %}', '.template:1'),
    'template-open': ('{{ env.get("A"', ''),
    'undefined': ('libos.entrypoint = "{{ nobody }}"', 'nobody'),
    'no-such-library': ('x = "{{ ldd("/no/such/binary") }}"', '/no/such/binary'),
    'toml': ('libos.entrypoint = ', ''),
    'unknown-key': ('libos.entrypiont = "/x"\nfs.mounts = []\n', 'libos.entrypoint'),
    'unknown-section': ('[libso]\nentrypoint = "/x"\n', 'libso'),
    'no-entrypoint': ('fs.mounts = []\n', 'libos.entrypoint'),
    'wrong-type': ('libos.entrypoint = 7\nfs.mounts = []\n', 'libos.entrypoint'),
    'wrong-boolean': ('libos.entrypoint = "/x"\nfs.mounts = []\nsgx.debug = 1\n', 'sgx.debug'),
    'mount-key': ('libos.entrypoint = "/x"\nfs.mounts = [{ path = "/x", uir = "file:x" }]\n', 'uir'),
    'trusted-missing': ('libos.entrypoint = "/x"\nfs.mounts = []\nsgx.trusted_files = ["file:/no/such"]\n', '/no/such'),
    'trusted-folder': ('libos.entrypoint = "/x"\nfs.mounts = []\nsgx.trusted_files = ["file:/usr"]\n', '/usr'),
    'trusted-not-folder': ('libos.entrypoint = "/x"\nfs.mounts = []\nsgx.trusted_files = ["file:/bin/true/"]\n', '/bin/true'),
    'binary': (bytes(range(256)), ''),
    'oversized': (b'A' * ((64 << 20) + 1), 'larger than 64 MiB'),
    'folder-of-nothing': ('libos.entrypoint = "/x"\nfs.mounts = [{ path = "/a", uri = "ftp:x" }]\n', 'ftp:x'),
}


@pytest.mark.parametrize('kind', TEMPLATES)
def test_bad_template(kind, render):
    template, word = TEMPLATES[kind]
    refused(render(template), word)


def test_missing_template(build_dir, run_native, tmp_path):
    tool = build_dir / 'bin' / 'gramine-manifest'
    if not tool.exists():
        pytest.skip('gramine-manifest is not built')
    refused(run_native([tool, 'nothing.template'], cwd=tmp_path), 'nothing.template')


def test_duplicate_mounts(render):
    refused(render('libos.entrypoint = "/x"\nfs.mounts = [{ path = "/a", uri = "file:x" }, '
                   '{ path = "/a", uri = "file:y" }]\n'), '/a')

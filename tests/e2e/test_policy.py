# SPDX-License-Identifier: LGPL-3.0-or-later
"""What the application may do with host files: trusted, allowed, unknown.

One Python program inside does all operations; each test gives it a few lines that print what
happened. A trusted file is either small (only its SHA-256 counts) or large (it has a Merkle tree in
the sidecar), and the sidecar may be missing or damaged: what is read is never anything else than
what was there when the manifest was made.
"""
import os
import pathlib
import shutil
import subprocess

import pytest

SIZE = {'small': 30_000, 'large': 3_000_001}
MESSAGE = 'is not what the manifest says'

PRELUDE = '''
import ctypes, errno, mmap, os, sys, time
def attempt(what, *args):
    try:
        return what(*args)
    except OSError as e:
        return errno.errorcode[e.errno]
def content(path):
    with open(path, "rb") as f:
        return f.read()
def digest(path):
    import hashlib
    return hashlib.sha256(content(path)).hexdigest()[:16]
'''


def pattern(size, seed=1):
    return bytes((i * 2654435761 + seed * 40503 >> 11) & 255 for i in range(size))


@pytest.fixture(scope='session')
def python_files():
    """The manifest's allowed files for /usr/bin/python3 itself: this is not about them."""
    return ['file:/usr/', 'file:/lib/', 'file:/lib64/', 'file:/etc/', 'file:/bin/']


class Inside:
    """A folder with trusted, allowed and unlisted files, and Python inside that can see it."""

    def __init__(self, build_dir, run_native, folder, python_files):
        self.run_native, self.folder, self.build = run_native, folder, build_dir
        self.python_files = python_files
        for name in ('data', 'out'):
            (folder / name).mkdir()
        for name, size in SIZE.items():
            self.path(name).write_bytes(pattern(size))
        self.path('unlisted').write_bytes(b'unlisted')
        old = 1_600_000_000
        for name in SIZE:
            os.utime(self.path(name), (old, old))

    def path(self, name):
        return self.folder / 'data' / name

    @property
    def trees(self):
        return self.folder / 'app.manifest.trees'

    def prepare(self, policy='strict', options=(), more=()):
        trusted = [f'file:{self.path(name)}' for name in SIZE] + list(more)
        (self.folder / 'app.manifest.template').write_text(f'''
libos.entrypoint = "/usr/bin/python3"
loader.insecure__use_cmdline_argv = true
loader.log_level = "warning"
loader.env.PYTHONDONTWRITEBYTECODE = "1"
fs.root = {{ type = "chroot", uri = "file:/" }}
fs.mounts = []
sgx.enclave_size = "1G"
sgx.max_threads = 16
sys.stack.size = "8M"
sys.brk.max_size = "256M"
sgx.file_check_policy = "{policy}"
sgx.allowed_files = {[f'file:{self.folder}/out', *self.python_files]}
sgx.trusted_files = {trusted}
''')
        done = self.run_native([self.build / 'bin' / 'gramine-manifest', *options,
                                self.folder / 'app.manifest.template',
                                self.folder / 'app.manifest'])
        assert done.status == 0, str(done)
        return self

    def run(self, lines, *args, timeout=60):
        program = PRELUDE + f'data = {str(self.folder / "data")!r}\n' \
            f'out = {str(self.folder / "out")!r}\n' + lines
        return self.run_native([self.build / 'bin' / 'gramine-direct', self.folder / 'app', '-I',
                                '-S', '-c', program, *args], cwd=self.folder, timeout=timeout)


@pytest.fixture
def inside(libos, build_dir, run_native, tmp_path, python_files):
    return Inside(build_dir, run_native, tmp_path, python_files)


def said(result, *lines):
    assert result.out.splitlines() == [str(line) for line in lines], str(result)
    assert result.status == 0, str(result)


READ = 'print(attempt(lambda: len(content(data + "/" + sys.argv[1]))))\n'


@pytest.mark.parametrize('options', [(), ('--compat',)], ids=['trees', 'compat'])
@pytest.mark.parametrize('name', SIZE)
def test_unchanged(inside, name, options):
    inside.prepare(options=options)
    assert inside.trees.exists() == (not options)
    result = inside.run('import hashlib\nprint(hashlib.sha256(content(data + "/" + sys.argv[1])).hexdigest())', name)
    said(result, __import__('hashlib').sha256(pattern(SIZE[name])).hexdigest())
    assert MESSAGE not in result.err


def first_byte(b): b[0] ^= 1
def last_byte(b): b[-1] ^= 0x80
def middle(b): b[len(b) // 2] ^= 4
def appended(b): b.append(0)
def truncated(b): del b[-1]
def emptied(b): b.clear()
def other(b): b[:] = pattern(len(b), 2)


CHANGES = (first_byte, last_byte, middle, appended, truncated, emptied, other)


@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('options', [(), ('--compat',)], ids=['trees', 'compat'])
@pytest.mark.parametrize('name', SIZE)
def test_changed(inside, name, options, change):
    inside.prepare(options=options)
    content = bytearray(inside.path(name).read_bytes())
    change(content)
    inside.path(name).write_bytes(content)
    result = inside.run(READ * 3, name)
    said(result, *['EPERM'] * 3)
    assert result.err.count(MESSAGE) == 1 and str(inside.path(name)) in result.err, str(result)


def test_changed_is_an_error(inside):
    """What a user sees who edited a script and asked for no log."""
    inside.prepare()
    manifest = inside.folder / 'app.manifest'
    manifest.write_text(manifest.read_text().replace('log_level = "warning"', 'log_level = "error"'))
    inside.path('small').write_text('print("edited")')
    result = inside.run(READ, 'small')
    said(result, 'EPERM')
    assert 'error: trusted file' in result.err and 'gramine-manifest again' in result.err, str(result)


def test_other_blocks_stay_readable(inside):
    """With a tree only what is read counts."""
    inside.prepare()
    content = bytearray(inside.path('large').read_bytes())
    content[-1] ^= 1
    inside.path('large').write_bytes(content)
    said(inside.run('''
fd = os.open(data + "/large", os.O_RDONLY)
print(len(os.pread(fd, 5000, 1000)))
print(attempt(os.pread, fd, 10, 2999000))
print(os.lseek(fd, -5, os.SEEK_END), attempt(os.read, fd, 5))
print(os.lseek(fd, 0, os.SEEK_SET), len(os.read(fd, 100)), os.lseek(fd, 0, os.SEEK_CUR))
print(attempt(os.preadv, fd, [bytearray(10)], 2999900))
print(attempt(os.readv, fd, [bytearray(10)]))
o = os.open(out + "/copy", os.O_WRONLY | os.O_CREAT, 0o600)
print(attempt(os.sendfile, o, fd, 0, 10), attempt(os.copy_file_range, fd, o, 10))
'''), 5000, 'EPERM', '2999996 EPERM', '0 100 100', 'EPERM', 'EPERM', 'EPERM EPERM')


# --- the sidecar is no part of what is trusted ----------------------------------------------------

def deleted(path): path.unlink()
def cut(path): os.truncate(path, path.stat().st_size - 4096)
def cut_to_nothing(path): os.truncate(path, 0)
def garbled(path): path.write_bytes(os.urandom(path.stat().st_size))


def flip(at):
    def flipped(path):
        content = bytearray(path.read_bytes())
        content[at] ^= 1
        path.write_bytes(content)
    flipped.__name__ = f'flip{at}'
    return flipped


def swapped(path):
    """The two trees change their places in the index."""
    content = bytearray(path.read_bytes())
    a, b = content[32 + 32:32 + 40], content[80 + 32:80 + 40]
    content[64:72], content[112:120] = b, a
    path.write_bytes(content)


# Header: magic, version, count, size; first entry: root, offset, size; first interior.
DAMAGE = [deleted, cut, cut_to_nothing, garbled, swapped,
          *map(flip, (0, 8, 12, 15, 16, 32, 64, 69, 72, 4096, 4096 + 31, -4096, -8192))]


@pytest.mark.parametrize('damage', DAMAGE, ids=lambda d: d.__name__)
@pytest.mark.parametrize('tampered', [False, True], ids=['good', 'tampered'])
def test_damaged_sidecar(inside, damage, tampered):
    inside.path('second').write_bytes(pattern(2_900_000, 3))
    inside.prepare(more=[f'file:{inside.path("second")}'])
    damage(inside.trees)
    if tampered:
        for name in ('large', 'second'):
            with open(inside.path(name), 'r+b') as f:
                f.seek(1_500_000)
                f.write(b'tampered')
    result = inside.run('print(attempt(lambda: len(content(data + "/large"))))\n'
                        'print(attempt(lambda: len(content(data + "/second"))))\n')
    said(result, *(['EPERM'] * 2 if tampered else [SIZE['large'], 2_900_000]))
    if tampered:
        assert result.err.count(MESSAGE) == 2, str(result)


def test_damage_is_named(inside):
    inside.prepare()
    flip(4096)(inside.trees)
    result = inside.run(READ * 2, 'large')
    said(result, SIZE['large'], SIZE['large'])
    assert result.err.count('is damaged') == 1, str(result)


# --- changes while the program runs ---------------------------------------------------------------

@pytest.mark.parametrize('options', [(), ('--compat',)], ids=['trees', 'compat'])
@pytest.mark.parametrize('name', SIZE)
def test_changed_while_open(inside, name, options):
    """The program stops after its first read; the file changes; it reads again, and opens again."""
    inside.prepare(options=options)
    path = inside.path(name)
    program = PRELUDE + f'''
fd = os.open({str(path)!r}, os.O_RDONLY)
while os.read(fd, 1 << 20): pass
print("ready", flush=True)
input()
time.sleep(0.05)  # a file's identity is believed for about a millisecond
print(attempt(os.pread, fd, 4096, 0), attempt(os.open, {str(path)!r}, os.O_RDONLY) == "EPERM" or
      attempt(lambda: len(content({str(path)!r}))))
'''
    with subprocess.Popen([inside.build / 'bin' / 'gramine-direct', inside.folder / 'app', '-I', '-S', '-c', program],
                          cwd=inside.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == 'ready\n'
        with open(path, 'r+b') as f:
            f.write(b'changed')
        out, err = child.communicate('\n', timeout=60)
    assert out.split()[0] == 'EPERM' and out.split()[1] in ('True', 'EPERM'), (out, err)
    assert err.count(MESSAGE) == 1, err


def test_replaced_by_the_same(inside):
    """Another inode with the same content is the same file; with another content it is not."""
    inside.prepare()
    path = inside.path('large')
    shutil.copy(path, inside.folder / 'out' / 'copy')
    said(inside.run('''
fd = os.open(data + "/large", os.O_RDONLY)
a = os.pread(fd, 1000, 2000000)
os.unlink(data + "/large")
os.link(out + "/copy", out + "/copy2")
print(a == os.pread(fd, 1000, 2000000), attempt(os.open, data + "/large", os.O_RDONLY))
'''), 'True ENOENT')


# --- mappings, processes --------------------------------------------------------------------------

MAP = '''
def mapped(path, off, n):
    fd = os.open(path, os.O_RDONLY)
    try:
        with mmap.mmap(fd, n, mmap.MAP_PRIVATE, mmap.PROT_READ, offset=off) as m:
            return m[0], m[n - 1]
    finally:
        os.close(fd)
'''


@pytest.mark.parametrize('options', [(), ('--compat',)], ids=['trees', 'compat'])
def test_mapping(inside, options):
    inside.prepare(options=options)
    good = pattern(SIZE['large'])
    want = (good[1 << 20], good[(1 << 20) + 9999])
    lines = MAP + 'print(attempt(mapped, data + "/large", 1 << 20, 10000))\n'
    said(inside.run(lines), want)
    with open(inside.path('large'), 'r+b') as f:
        f.seek((1 << 20) + 5000)
        f.write(b'tampered')
    said(inside.run(lines), 'EPERM')


def test_tampered_library(inside):
    library = next(pathlib.Path('/usr/lib/x86_64-linux-gnu').glob('libz.so.1.*'))
    copy = inside.path('libcopy.so')
    shutil.copy(library, copy)
    inside.prepare(more=[f'file:{copy}'])
    lines = 'print(attempt(lambda: ctypes.CDLL(data + "/libcopy.so").zlibVersion is not None))\n'
    said(inside.run(lines), True)
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    result = inside.run('print("before")\n' + lines)
    assert result.out == 'before\n' and result.status == 1, str(result)
    assert 'cannot' in result.err and MESSAGE in result.err, str(result)


def test_tampered_program(inside):
    copy = inside.path('program')
    shutil.copy('/bin/true', copy)
    inside.prepare(more=[f'file:{copy}'])
    lines = 'print(attempt(os.execv, data + "/program", ["program"]))\n'
    result = inside.run(lines)
    assert (result.status, result.out) == (0, ''), str(result)
    content = bytearray(copy.read_bytes())
    content[-1] ^= 1
    copy.write_bytes(content)
    said(inside.run(lines), 'EPERM')


def test_fork_then_read(inside):
    """The offset is one for both, whatever was verified before."""
    inside.prepare()
    said(inside.run('''
good = content(data + "/large")
fd = os.open(data + "/large", os.O_RDONLY)
first = os.read(fd, 1000)
pid = os.fork()
if not pid:
    second = os.read(fd, 2000000)
    os._exit(0 if good[1000:2001000] == second else 1)
print(os.waitpid(pid, 0)[1], os.lseek(fd, 0, os.SEEK_CUR), os.read(fd, 10) == good[2001000:2001010])
'''), '0 2001000 True')


def test_threads_share_an_offset(inside):
    """Every byte is read once, and verified, while blocks are verified for the first time."""
    inside.prepare()
    said(inside.run('''
import threading
fd = os.open(data + "/large", os.O_RDONLY)
got = []
def work():
    while True:
        b = os.read(fd, 4096)
        if not b: break
        got.append(b)
threads = [threading.Thread(target=work) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
good = content(data + "/large")
print(sum(map(len, got)), sorted(got) == sorted(good[i:i + 4096] for i in range(0, len(good), 4096)))
'''), f'{SIZE["large"]} True')


# --- classes --------------------------------------------------------------------------------------

def test_trusted_is_read_only(inside):
    inside.prepare()
    result = inside.run('''
p = data + "/small"
for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_CREAT):
    print(attempt(os.open, p, flags))
print(attempt(os.truncate, p, 0), attempt(os.open, p, os.O_RDWR | os.O_CREAT | os.O_EXCL))
print(attempt(os.chmod, p, 0o644), attempt(os.unlink, p), attempt(os.open, p, os.O_WRONLY | os.O_CREAT))
''')
    said(result, *['EACCES'] * 4, 'EACCES EEXIST', 'None None EACCES')
    assert f"error: Disallowing to write trusted file '{inside.path('small')}'" in result.err
    assert result.err.count('Disallowing') == 1, str(result)


def test_unlisted_strict(inside):
    inside.prepare()
    result = inside.run('''
p = data + "/unlisted"
print(os.stat(p).st_size, attempt(os.open, p, os.O_RDONLY), attempt(os.open, p, os.O_WRONLY))
print(attempt(os.open, data + "/new", os.O_WRONLY | os.O_CREAT), attempt(os.unlink, p), attempt(os.chmod, p, 0))
print(attempt(os.rename, p, data + "/new"), attempt(os.rename, p, out + "/new"), attempt(os.link, p, out + "/new"))
print(attempt(os.mkdir, data + "/folder"), sorted(os.listdir(data)), attempt(os.rmdir, data + "/folder"))
for i in range(50): attempt(os.open, p, os.O_RDONLY)
''')
    said(result, '8 EACCES EACCES', 'EACCES EACCES EACCES', 'EACCES EACCES EACCES',
         "None ['folder', 'large', 'small', 'unlisted'] None")
    assert result.err.count(f"Disallowing access to file '{inside.path('unlisted')}'") == 1, str(result)
    assert inside.path('unlisted').read_bytes() == b'unlisted'


def test_unlisted_logged(inside):
    inside.prepare(policy='allow_all_but_log')
    result = inside.run('''
p = data + "/unlisted"
for i in range(5): print(content(p))
print(attempt(lambda: open(data + "/new", "w").write("new")), attempt(os.unlink, p))
''')
    said(result, *["b'unlisted'"] * 5, '3 None')
    assert result.err.count(f"Allowing access to unknown file {inside.path('unlisted')} due to file_check_policy settings") == 1, str(result)


def test_rename_both_ends(inside):
    inside.prepare()
    result = inside.run('''
open(out + "/mine", "w").write("mine")
print(attempt(os.rename, out + "/mine", data + "/small"), attempt(os.rename, out + "/mine", data + "/new"))
print(attempt(os.link, out + "/mine", data + "/large"), attempt(os.rename, out + "/mine", out + "/yours"))
print(attempt(os.rename, data + "/small", out + "/moved"), os.listdir(out))
print(len(content(data + "/small")))
''')
    said(result, 'EACCES EACCES', 'EEXIST None', "EACCES ['yours']", SIZE['small'])


def test_warnings_are_silent_by_default(inside):
    inside.prepare()
    template = inside.folder / 'app.manifest'
    template.write_text(template.read_text().replace('"warning"', '"error"'))
    result = inside.run('print(attempt(os.open, data + "/unlisted", os.O_RDONLY))\n')
    said(result, 'EACCES')
    assert result.err == '', str(result)

# SPDX-License-Identifier: LGPL-3.0-or-later
"""Encrypted mounts mean what a plain directory means: the same programs run natively in a directory
and inside with an encrypted mount at the same path, and must print the same and end in the same way.
"""
import difflib
import os
import pathlib
import shutil
import tempfile

import pytest

from conftest import OUTCOMES, own_mounts

PYTHON = '/usr/bin/python3'
PROGRAMS = pathlib.Path(__file__).resolve().parents[1] / 'programs'
KEY = '00112233445566778899aabbccddeeff'
START = OUTCOMES + 'os.chdir(sys.argv[1])\n'


class Place:
    """A directory for the native run, and an encrypted mount of the same name."""

    def __init__(self, tmp_path):
        self.path = tmp_path / 'place'
        self.host = tmp_path / 'host'
        self.host.mkdir()
        self.clear()
        self.extras = {
            'fs.mounts': [{'type': 'encrypted', 'path': self.path, 'uri': f'file:{self.host}',
                           'key_name': 'key'}],
            'fs.insecure__keys.key': KEY,
            'sys.experimental__enable_flock': True,
        }

    def clear(self):
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir()


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


@pytest.fixture
def inside(place, run_inside):
    """inside(argv, extras={}, ...) -> Result, with the encrypted mount in its place."""
    def run(argv, extras=None, **how):
        return run_inside(argv, extras={**place.extras, **(extras or {})}, **how)
    return run


@pytest.fixture
def same(place, run_native, inside):
    """same(argv): the program, given the directory, prints the same natively and inside."""
    def check(argv, **how):
        native = run_native([*argv, place.path], **how)
        assert native.status == 0 and native.out, str(native)
        place.clear()
        result = inside([*argv, place.path], **how)
        if (result.out, result.status) != (native.out, native.status):
            diff = '\n'.join(difflib.unified_diff(native.out.splitlines(), result.out.splitlines(),
                                                  'native', 'inside', lineterm='', n=1))
            pytest.fail(f'native status {native.status}, inside {result.status}\n{diff}\n'
                        f'--- stderr inside\n{result.err[-4000:]}', pytrace=False)
        return result
    return check


@pytest.mark.parametrize('name', ['rw', 'mapfile', 'fds', 'copy', 'forks', 'memory'])
def test_system_calls(name, build_dir, same):
    program = build_dir / 'tests' / 'syscalls' / name
    assert program.is_file(), f'{program} is not built'
    same([program])


def test_processes(same):
    same([PYTHON, PROGRAMS / 'encrypted_processes.py'])


def test_names(same):
    same([PYTHON, PROGRAMS / 'encrypted_names.py'])


@pytest.fixture
def in_memory(tmp_path_factory):
    """A directory on the host's memory file system, where syncing costs nothing."""
    shm = pathlib.Path('/dev/shm')
    path = pathlib.Path(tempfile.mkdtemp(prefix='adyton-test-', dir=shm)) if os.access(shm, os.W_OK) \
        else tmp_path_factory.mktemp('place')
    yield path
    shutil.rmtree(path)


@pytest.mark.skipif(not shutil.which('git'), reason='git is not installed')
def test_programs(in_memory, run_native, run_inside):
    place = Place(in_memory)
    argv = [PYTHON, PROGRAMS / 'encrypted_programs.py', place.path]
    native = run_native(argv)
    place.clear()
    inside = run_inside(argv, extras=place.extras, timeout=300)
    assert native.status == 0 and 'checkpoint' in native.out, str(native)
    assert (inside.out, inside.status) == (native.out, native.status), \
        f'native: {native}\ninside: {inside}'


HIDDEN = '''
name = 'file.gramine.recovery'
print(sorted(os.listdir()), [e.name for e in os.scandir('dir')])
print(attempt(os.stat, name), attempt(open, name), attempt(open, name, 'w'), attempt(os.unlink, name))
print(attempt(os.rename, 'file', name), attempt(os.rename, name, 'other'), attempt(os.mkdir, name))
print(attempt(os.stat, 'dir/' + name + '/x'), attempt(os.access, name, 0))
print(attempt(os.rmdir, 'dir'), attempt(os.rmdir, 'full'))
print(attempt(os.link, 'file', 'hard'), attempt(os.symlink, 'file', 'soft'), attempt(os.mkfifo, 'fifo'))
'''


def test_logs_are_hidden(place, inside):
    """What Gramine leaves after a crash is no file of the application's, and in nobody's way."""
    log = 'file.gramine.recovery'
    for name in ('dir', 'full'):
        (place.host / name).mkdir()
        (place.host / name / log).write_bytes(b'x')
    made = inside([PYTHON, '-c', 'import sys; open(sys.argv[1] + "/file", "w").write("x"); '
                   'open(sys.argv[1] + "/full/file", "w")', place.path])
    assert made.status == 0, str(made)
    (place.host / log).write_bytes(b'old')
    result = inside([PYTHON, '-c', START + HIDDEN, place.path])
    assert result.out.splitlines() == [
        "['dir', 'file', 'full'] []",
        'ENOENT ENOENT ENOENT ENOENT', 'ENOENT ENOENT ENOENT', 'ENOENT False',
        'None ENOTEMPTY', 'EPERM EPERM EPERM'], str(result)
    assert not (place.host / 'dir').exists()
    assert (place.host / log).read_bytes() == b'old'


EXCHANGED = '''
from outcomes import EXCHANGE, rename2
print(rename2('fifo', 'file', EXCHANGE), rename2('file', 'fifo', EXCHANGE), open('file').read())
'''


def test_exchange_with_no_file(place, inside):
    """What is no encrypted file has no path of its own to be exchanged, and replaces nothing."""
    os.mkfifo(place.host / 'fifo')
    make = 'import sys; open(sys.argv[1] + "/file", "w").write("kept")'
    assert inside([PYTHON, '-c', make, place.path]).status == 0
    result = inside([PYTHON, '-c', START + EXCHANGED, place.path])
    assert result.out == 'EINVAL EACCES kept\n', str(result)
    assert sorted(os.listdir(place.host)) == ['fifo', 'file']


def test_full_disk(tmp_path, place, prepare_inside, run_native):
    small = tmp_path / 'small'
    small.mkdir()
    program = PROGRAMS / 'encrypted_full.py'
    place.extras['fs.mounts'][0]['uri'] = f'file:{small}'
    start = prepare_inside(PYTHON, extras=place.extras)
    script = f'mount -t tmpfs -o size=1m none {small} && echo mounted && exec "$@"'
    wrapper = [*own_mounts(), '/bin/sh', '-c', script, 'sh']
    command = start([program, place.path], command_only=True)
    result = run_native([*wrapper, *command], cwd=tmp_path, timeout=120)
    assert result.status == 0, str(result)
    part = ['content b\'\\x00\' True', 'again None', 'kept True True']
    assert result.out.splitlines() == [
        'mounted', *(line for chunk in (500, 4096, 70000)
                     for line in (f'{chunk} noticed True other errors []', *part)),
        *(line for size in (2000, 300000)
          for line in ("emptied 0 b''", f'written {size} None None', 'True', 'cut None')),
        'second file ENOSPC', 'extend ENOSPC 0', 'at once ENOSPC 0', 'allocate ENOSPC 0', 'msync None', 'True'], str(result)


# Who has a file alone writes it lazily; who has company writes through.
COMPANY = START + '''
import signal
host = sys.argv[2]
fd = os.open('file', os.O_RDWR | os.O_CREAT)
os.write(fd, bytes(10000))
os.fsync(fd)
def lazy():
    with open(host + '/file', 'rb') as file:
        before = file.read(58)
    for i in range(20):
        os.pwrite(fd, b'x', i)
    with open(host + '/file', 'rb') as file:
        return file.read(58) == before
def company(child, *args):
    here, there = os.pipe()
    pid = os.fork()
    if not pid:
        child(there, *args)
    os.read(here, 1)
    print('company', lazy())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for i in range(200):
        os.pwrite(fd, b'y', i)
    print('alone', lazy())
    os.close(here), os.close(there)
def forked(there):
    os.pread(fd, 1, 0)
    os.write(there, b'r')
    signal.pause()
def another(there):
    os.close(fd)
    os.set_inheritable(there, True)
    code = "import os, signal, sys; f = open('file', 'rb'); g = open('file', 'rb'); os.write(%d, b'r'); signal.pause()"
    os.execv(sys.executable, [sys.executable, '-c', code % there])
print('alone', lazy())
company(forked)
company(another)
company(forked)
os.fsync(fd)
print(os.pread(fd, 250, 0) == b'x' * 20 + b'y' * 180 + bytes(50))
'''


def test_killed_company(inside, place):
    result = inside([PYTHON, '-c', COMPANY, place.path, place.host], allowed=[place.host])
    assert result.out.split('\n') == ['alone True', *['company False', 'alone True'] * 3, 'True', ''], str(result)


MOVE = '''
import os, sys
os.rename(sys.argv[1] + '/old', sys.argv[1] + '/new')
'''
LOOK = '''
import os, sys
top, = os.listdir(sys.argv[1])
print(top)
for n in range(6):
    with open(f'{sys.argv[1]}/{top}/f{n}') as file:
        assert file.read() == f'{n}' * n * 3000, n
os.rename(f'{sys.argv[1]}/{top}', sys.argv[1] + '/old')
'''
MAKE = '''
import os, sys
os.mkdir(sys.argv[1] + '/old')
for n in range(6):
    with open(f'{sys.argv[1]}/old/f{n}', 'w') as file:
        file.write(f'{n}' * n * 3000)
        os.fsync(file.fileno())
'''


def test_killed_while_renaming(in_memory, prepare_inside, run_native):
    """A directory rename binds every file below it anew; whatever call it dies at, all are there."""
    if run_native(['strace', '-o', '/dev/null', 'true']).status:
        pytest.skip('strace is missing or not allowed here')
    place = Place(in_memory)
    start = prepare_inside(PYTHON, extras=place.extras)
    made = start(['-c', MAKE, place.path])
    assert made.status == 0, str(made)
    tops = set()
    for call, count in (('pwrite64', (1, 2, 3, 5, 7, 9, 12)), ('fsync', (1, 4, 8)), ('renameat2', (1,)),
                        ('utimensat', (3,)), ('ftruncate', (1, 3))):
        for n in count:
            command = start(['-c', MOVE, place.path], command_only=True)
            killed = run_native(['strace', '-f', '-o', '/dev/null', '-e', f'trace={call}',
                                 '-e', f'inject={call}:signal=SIGKILL:when={n}', *command], cwd=in_memory)
            found = start(['-c', LOOK, place.path])
            assert found.status == 0, f'{call} {n}: {killed}\n{found}'
            tops.add(found.out)
    assert tops == {'old\n', 'new\n'}


def test_limits_and_ends(same):
    same([PYTHON, PROGRAMS / 'encrypted_limits.py'])


ALTERED = '''
print(os.stat('file').st_size)
fd = os.open('file', os.O_RDWR)
print(attempt(os.pread, fd, 4, 0), attempt(os.pread, fd, 4, 54000), attempt(os.pread, fd, 4, 0))
print(attempt(os.pwrite, fd, b'x', 0), attempt(os.fsync, fd), attempt(os.ftruncate, fd, 10))
print(attempt(os.close, fd), open('other').read())
print(attempt(os.rename, 'plain', 'moved'), attempt(open, 'plain'), attempt(os.stat, 'plain'))
print(attempt(open, 'plain', 'w'), attempt(os.open, 'plain', os.O_CREAT | os.O_EXCL), attempt(os.access, 'plain', 0))
print(attempt(os.unlink, 'plain'), sorted(os.listdir()))
'''


def test_altered_files(place, inside):
    """What the host has altered is an error of reading it, which stays; the rest is unharmed."""
    make = ('import sys; open(sys.argv[1] + "/file", "w").write("x" * 100000); '
            'open(sys.argv[1] + "/other", "w").write("good")')
    made = inside([PYTHON, '-c', make, place.path])
    assert made.status == 0, str(made)
    file = place.host / 'file'
    data = bytearray(file.read_bytes())
    data[60000] ^= 1  # in data node 12, plain text from 52,224 on
    file.write_bytes(data)
    (place.host / 'plain').write_text('not encrypted')
    result = inside([PYTHON, '-c', START + ALTERED, place.path])
    assert result.out.splitlines() == [
        '100000', "b'xxxx' EIO EIO", 'EIO EIO EIO', 'EIO good', 'EACCES EACCES EACCES',
        'EACCES EEXIST True', "None ['file', 'other']"], str(result)
    assert 'altered on the host' in result.err and 'not an encrypted file' in result.err


MAPPED = '''
import mmap
ready, go = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    os.read(ready[0], 1)
    print(attempt(os.open, 'file', os.O_RDWR), open('file').read(4), flush=True)
    os.write(go[1], b'.')
    os.read(ready[0], 1)
    print(os.write(os.open('file', os.O_RDWR), b'five'), flush=True)
    os._exit(0)
fd = os.open('file', os.O_RDWR | os.O_CREAT)
os.write(fd, b'once' * 1000)
area = mmap.mmap(fd, 4000)
area[:4] = b'here'
area.flush()
os.write(ready[1], b'.')
os.read(go[0], 1)
area.close()
os.close(fd)
os.write(ready[1], b'.')
os.wait()
print(open('file').read(8))
'''


def test_mapped_for_writing(place, inside):
    """Pages that one process stores into are not coherent with a stranger's writes: he is told."""
    result = inside([PYTHON, '-c', START + MAPPED, place.path])
    assert result.out.splitlines() == ['EBUSY here', '4', 'fiveonce'], str(result)
    assert 'mapped it for writing' in result.err


LATER = '''
key = '/dev/attestation/keys/later'
look = lambda: (attempt(os.stat, 'file') if isinstance(attempt(os.stat, 'file'), str) else os.stat('file').st_size)
print(look(), attempt(open, 'file'), attempt(open, 'new', 'w'), os.listdir())
open(key, 'wb').write(bytes(16))
print(look(), attempt(open, 'file'), os.listdir())
open(key, 'wb').write(bytes.fromhex(sys.argv[2]))
held = open('file')
print(look(), held.read())
open(key, 'wb').write(bytes(16))
held.seek(0)
print(held.read(), open('new', 'w').write('x'))
held.close()
print(attempt(open, 'file'), open('new').read())
'''


def test_key_after_failed_lookup(place, inside):
    made = inside([PYTHON, '-c', 'import sys; open(sys.argv[1] + "/file", "w").write("secret")', place.path])
    assert made.status == 0, str(made)
    place.extras['fs.mounts'][0]['key_name'] = 'later'
    result = inside([PYTHON, '-c', START + LATER, place.path, KEY])
    assert result.out.splitlines() == [
        "EACCES EACCES EACCES ['file']", "EACCES EACCES ['file']", '6 secret', 'secret 1', 'EACCES x'], \
        str(result)


@pytest.mark.parametrize('seed', range(int(os.environ.get('ADYTON_ENCRYPTED_RUNS', '3'))))
def test_random_operations(seed, in_memory, run_inside):
    place = Place(in_memory)
    argv = [PYTHON, PROGRAMS / 'encrypted_random.py', place.path, '300', str(seed)]
    result = run_inside(argv, extras=place.extras)
    assert result.status == 0 and result.out.startswith('done'), str(result)

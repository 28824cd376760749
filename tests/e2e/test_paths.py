# SPDX-License-Identifier: LGPL-3.0-or-later
"""What a program reaches is judged by the file that is reached, when it is reached.

tests/stress/paths.c makes random sequences of calls on paths, links and names in a mount that has
secrets beside it on the host, and checks what it sees; what happened to the files is checked here.
With ADYTON_FULL set the runs are longer.
"""
import ctypes
import os
import socket
import subprocess
import threading
import time

import pytest

from conftest import run

FULL = bool(os.environ.get('ADYTON_FULL'))
POLICIES = ['strict', 'allow_all_but_log']
SIZE = 4242  # of a secret: paths.c knows one by it


class Place:
    """/in and what lies beside it on the host."""

    def __init__(self, folder):
        self.top, self.mount = folder / 'top', folder / 'top' / 'in'
        for name in ('SECRETS', 'in/free', 'in/closed', 'in/mixed/free', 'in/mixed/closed', 'in/fixed'):
            (self.top / name).mkdir(parents=True)
        secret = b'SECRET' + b'x' * (SIZE - 6)
        self.outside = [self.top / 'SECRET', self.top / 'SECRETS' / 'SECRET']
        for path in self.outside:
            path.write_bytes(secret)
        for path in (self.top / 'OUTSIDE', self.top / 'SECRETS' / 'OUTSIDE'):
            path.touch()
        program = self.top / 'SECRETS' / 'free'
        program.write_text('#!/bin/sh\nexit 42\n')
        program.chmod(0o755)
        self.closed = [self.mount / 'closed/CLOSED', self.mount / 'mixed/closed/CLOSED']
        for path in self.closed:
            path.write_text('CLOSED')
        self.fixed = self.mount / 'fixed' / 'FIXED'
        self.fixed.write_text('FIXED')
        self.before = self.seen()

    def seen(self):
        """All of what must not change; a file in /in that may be changed is left out."""
        found = {}
        for path in [self.top, *self.top.rglob('*')]:
            name = str(path.relative_to(self.top))
            if name == '.' or name == 'in' or name.startswith('in/'):
                continue
            found[name] = self.state(path)
        return found, sorted(path.name for path in self.top.iterdir())

    def changed(self):
        """What differs from before, as text."""
        (found, names), (before, names_before) = self.seen(), self.before
        lines = [f'{name}: {before.get(name)!r:.120} is now {found.get(name)!r:.120}'
                 for name in sorted({*found, *before}) if found.get(name) != before.get(name)]
        return '\n'.join(lines + ([f'in top: {names}'] if names != names_before else []))

    @staticmethod
    def state(path):
        st = path.lstat()
        return (st.st_ino, st.st_mode, st.st_nlink, st.st_uid, st.st_mtime_ns, st.st_ctime_ns,
                path.read_bytes() if path.is_file() else None)

    def manifest(self, policy, program):
        return {
            'sgx.file_check_policy': policy,
            'fs.root': {'type': 'tmpfs'},
            'fs.start_dir': '/in/free',
            'fs.mounts': [{'path': '/in', 'uri': f'file:{self.mount}'},
                          {'path': str(program.parent), 'uri': f'file:{program.parent}'}],
            'sgx.allowed_files': [f'file:{self.mount}/free/', f'file:{self.mount}/mixed/free/'],
            'sgx.trusted_files': [f'file:{program}', f'file:{self.fixed}'],
            'loader.log_level': 'none',
        }


@pytest.fixture
def program(build_dir):
    path = build_dir / 'tests' / 'stress' / 'paths'
    assert path.is_file(), f'{path} is not built'
    return path


@pytest.mark.parametrize('policy', POLICIES)
def test_random_sequences(policy, program, tmp_path, run_inside):
    place = Place(tmp_path)
    closed = [place.state(path) for path in place.closed]
    strict = policy == 'strict'
    count = (1_000_000 if FULL else 70_000) if strict else (500_000 if FULL else 30_000)
    done = run_inside([program, os.environ.get('ADYTON_SEED', '1'), str(count), place.mount,
                       'closed' if strict else 'open'],
                      place.manifest(policy, program), timeout=1800 if FULL else 120)
    assert done.status == 0, str(done)
    calls = {name: int(n) for name, n in (line.split() for line in done.out.splitlines())}
    rare = [name for name, n in calls.items() if n < 5 and name not in ('run', 'connect')]
    assert not rare, f'these calls hardly ever succeed, so nothing is shown of them: {calls}'
    assert not place.changed()
    assert place.fixed.read_text() == 'FIXED'
    if strict:
        assert [place.state(path) for path in place.closed] == closed
        assert [p.name for p in (place.mount / 'closed').rglob('*') if not p.is_dir()] == ['CLOSED']


def test_exchanges(program, tmp_path, run_inside):
    """A directory and a file change places with links that lead out, as fast as can be."""
    place = Place(tmp_path)
    done = run_inside([program, 'swap', '1', str(300_000 if FULL else 20_000)],
                      place.manifest('allow_all_but_log', program), timeout=60)
    assert done.status == 0 and done.out.startswith('survived'), str(done)
    assert not place.changed()


KILLED = '''
import os, signal, socket, time
os.symlink('nowhere', 'l')
os.symlink('elsewhere', 'm')
def swap():
    os.rename('l', 'x'), os.rename('m', 'l'), os.rename('x', 'm')
for i in range(60):
    pid = os.fork()
    if not pid:
        os.mkdir(f'd{i}')
        os.chdir(f'd{i}')
        os.symlink('a', 'l'), os.symlink('b', 'm')
        while True:
            swap()
    time.sleep(0.002 + i * 0.0001)
    os.kill(pid, signal.SIGKILL)
    if i % 2:
        os.waitpid(pid, 0)
    swap()
    socket.socket(socket.AF_UNIX).bind(f's{i}')
print('done')
'''


def test_killed_while_links_change(tmp_path, run_inside):
    """Processes that are killed while they rename links hold up no other, waited for or not."""
    place = tmp_path / 'place'
    place.mkdir()
    done = run_inside(['/usr/bin/python3', '-c', KILLED], {'fs.start_dir': str(place)}, allowed=[f'{place}/'], timeout=60)
    assert (done.status, done.out) == (0, 'done\n'), str(done)


# ---- each way by which a link came to lead out, each call that takes a path ----

# Every link is made where its text leads to /in/free, and leads to the folder above /in at last.
WAYS = {
    'rename': ['mkdir x', 'mkdir x/y', 'symlink ../../{} x/y/l', 'rename x/y/l l'],
    'directory': ['mkdir x', 'mkdir x/y', 'mkdir x/y/l', 'symlink ../../../{} x/y/l/l', 'rename x/y/l l'],
    'exchange': ['mkdir x', 'mkdir x/y', 'symlink ../../{} x/y/l', 'create l', 'exchange x/y/l l'],
    'exchanged directory': ['mkdir x', 'mkdir x/y', 'mkdir x/y/l', 'symlink ../../../{} x/y/l/l', 'mkdir l',
                            'exchange x/y/l l'],
    'link': ['mkdir x', 'mkdir x/y', 'symlink ../../{} x/y/l', 'link x/y/l l'],
    'link on the way': ['mkdir x', 'mkdir x/y', 'symlink ../.. x/y/up', 'symlink x/y/up/../../{} l'],
    'link made later': ['mkdir x', 'mkdir x/y', 'symlink x/y/up/../../{} l', 'symlink ../.. x/y/up'],
}
# By the link to `target`, with this behind it; those that change nothing first.
USES = [
    ('SECRET', '', ['read', 'path', 'stat', 'statx', 'access', 'listxattr', 'statfs', 'inotify', 'realpath'],
     ['write', 'create', 'truncate', 'chmod', 'chown', 'utimens', 'setxattr']),
    ('SECRETS', '', ['list', 'stat', 'inotify', 'chdir'], []),
    ('SECRETS', '/', ['list', 'stat', 'chdir'], ['chmod']),
    ('SECRETS', '/SECRET', ['read', 'stat', 'access'], ['truncate', 'chmod', 'unlink']),
    ('SECRETS', '/free', ['execve'], []),
    ('SECRETS', '/SOCKET', ['connect'], []),
    ('SECRETS', '/NEW', [], ['create', 'bind', 'mkdir', 'mkfifo']),
    ('SECRETS', '/EMPTY', ['list'], ['rmdir']),
    ('NEW', '', [], ['create']),
]


def words(lines, place, number=''):
    """Calls as arguments of steps.c, with paths below the folder, whose first names get the number."""
    for line in lines:
        name, *paths = line.split()
        if name == 'symlink':
            first, slash, rest = paths.pop(0).partition('/')
            text = [first + (number if first == 'x' else '') + slash + rest]
        else:
            text = []
        numbered = [path.replace('/', f'{number}/', 1) if '/' in path else path + number for path in paths]
        yield from [name, *text, *(f'{place}/{path}' for path in numbered)]


def making(way, place):
    for n, (target, *_) in enumerate(USES):
        yield from words([line.replace('{}', target) for line in WAYS[way]], place, str(n))


def using(way, place, changes=True):
    link = 'l/l' if 'director' in way else 'l'
    for n, (_, behind, looks, others) in enumerate(USES):
        for use in looks + (others if changes else []):
            name, *path = words([f'{use} {link}'], place, str(n))
            yield from [name, path[0] + behind]


@pytest.fixture
def secrets(tmp_path):
    place = Place(tmp_path)
    (tmp_path / 'root').mkdir()
    (place.top / 'SECRETS' / 'EMPTY').mkdir()
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(place.top / 'SECRETS')  # its path may be too long
    listener.bind('SOCKET')
    os.chdir(here)
    listener.listen(1000)
    place.before = place.seen()
    yield place
    listener.close()


@pytest.fixture
def inside_steps(build_dir, secrets, prepare_inside):
    """inside_steps(*words) -> lines: one run of steps.c; or with host=True natively"""
    program = build_dir / 'tests' / 'stress' / 'steps'
    assert program.is_file(), f'{program} is not built'
    start = prepare_inside(program, {**secrets.manifest('strict', program),
                                     'fs.root': {'type': 'chroot', 'uri': f'file:{secrets.top.parent}/root'}})

    def steps(*argv, host=False):
        done = run([program, *argv]) if host else start(argv)
        assert done.status == 0, str(done)
        return done.out.splitlines()
    return steps


def is_refused(line):
    return line.rsplit(': ', 1)[1] in ('ENOENT', 'EACCES', 'ENOTDIR', 'ELOOP')


def is_out(line):
    return line.endswith(': SECRET') or ('/SOCKET' in line and line.endswith(': ok'))


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('maker', ['inside', 'host'])
def test_ways_out(maker, way, secrets, inside_steps):
    """A link that leads out, made by this run and used by it and the next one, or there before."""
    free = secrets.mount / 'free'
    if maker == 'host':
        made = inside_steps(*making(way, free), *using(way, free, changes=False), host=True)
        other = [line for line in made if not line.endswith((': ok', ': SECRET'))]
        assert not other and any('SECRET' in line for line in made), f'natively this is a way out: {other}'
    else:
        said = inside_steps(*making(way, '/in/free'), *using(way, '/in/free'))
        assert [line for line in said if is_out(line)] == []
        assert secrets.seen() == secrets.before
    for _ in range(2):
        said = inside_steps(*using(way, '/in/free'))
        assert [line for line in said if is_out(line) or (maker == 'host' and not is_refused(line))] == []
        assert secrets.seen() == secrets.before
    assert [p.name for p in (secrets.top.parent / 'root').iterdir()] == []


def test_links_that_stay(secrets, inside_steps):
    """What a link in an allowed folder leads to inside is reached by it, whoever made the link."""
    free = secrets.mount / 'free'
    (free / 'deep').mkdir()
    for path in (free / 'deep' / 'file', free / 'target'):
        path.write_text('#!/bin/sh\n')
        path.chmod(0o755)
    links = {'one': 'target', 'two': 'one', 'dir': 'deep', 'up': 'dir/../target', 'absolute': '/in/free/target',
             'fixed': '../fixed/FIXED', 'dangling': 'later'}
    for name, text in links.items():
        (free / name).symlink_to(text)
    names = ['one', 'two', 'dir/file', 'up', 'absolute', 'fixed']
    said = inside_steps(*(word for name in names for use in ('stat', 'access', 'read', 'realpath', 'inotify')
                          for word in (use, f'/in/free/{name}')),
                        *words(['list dir', 'create dangling', 'read later', 'chmod one', 'truncate two',
                                'mkdir dir/new', 'rename dir/new dir/old', 'create dir/more', 'unlink dir/more',
                                'bind dir/socket', 'utimens dir', 'link one hard', 'unlink two'], '/in/free'))
    assert [line for line in said if not line.endswith(': ok')] == []
    assert (free / 'later').is_file() and (free / 'target').stat().st_size == 1


def test_named_files(secrets, build_dir, prepare_inside):
    """A link where the manifest names a file is its author's, and the program cannot make one there."""
    program = build_dir / 'tests' / 'stress' / 'steps'
    (secrets.mount / 'named').symlink_to('../SECRET')
    keys = {**secrets.manifest('strict', program)}
    keys['sgx.allowed_files'] = keys['sgx.allowed_files'] + [f'file:{secrets.mount}/{name}' for name in ('named', 'to')]
    start = prepare_inside(program, keys)
    done = start(words(['read named', 'symlink free to', 'symlink free free/l', 'rename free/l to', 'link free/l to',
                        'create to', 'exchange free/l to', 'mkdir free/d', 'symlink a free/d/to', 'read to'], '/in'))
    assert [line.rsplit(': ', 1)[1] for line in done.out.splitlines()] == [
        'SECRET', 'EACCES', 'ok', 'EACCES', 'EACCES', 'ok', 'EACCES', 'ok', 'ok', 'ok'], str(done)


def test_mount_in_an_allowed_folder(secrets, build_dir, prepare_inside):
    """A mount does not follow a link that an earlier run can have put in the way."""
    program = build_dir / 'tests' / 'stress' / 'steps'
    (secrets.mount / 'free' / 'place').symlink_to('../../SECRETS')
    keys = {**secrets.manifest('strict', program), 'loader.log_level': 'error'}
    keys['fs.mounts'] = keys['fs.mounts'] + [{'path': '/place', 'uri': f'file:{secrets.mount}/free/place'}]
    done = prepare_inside(program, keys)(['list', '/place'])
    assert done.status == 1 and 'symbolic link' in done.err, str(done)
    keys['sgx.allowed_files'] = keys['sgx.allowed_files'] + [f'file:{secrets.mount}/free/place']
    done = prepare_inside(program, keys)(['list', '/place', 'stat', '/place/SECRET'])
    assert done.out.splitlines() == ['list /place: ok', 'stat /place/SECRET: SECRET'], str(done)


# Twenty looks in a row, so that the folder is kept open in between (seen.h).
OFTEN = ['stat free/f'] * 20
REPLACED = ['create free/f', *OFTEN, 'rename free old', 'stat free/f', 'create free/f', 'stat old/f', 'mkdir free',
            'stat free/f', 'create free/f', *OFTEN, 'unlink free/f', 'rmdir free', 'create free/f', 'mkdir free',
            'create free/f', *OFTEN, 'create old/g', 'exchange free old', 'stat free/g', 'stat old/g', *OFTEN,
            'create free/d', 'unlink free/d', 'mkdir free/d', 'create free/d/e', *['stat free/d/e'] * 20,
            'rename free/d free/c', 'stat free/d/e', 'read free/c/e']


def test_a_folder_replaced(secrets, inside_steps, build_dir, prepare_inside):
    """A folder of sgx.allowed_files that the run itself puts others in the place of"""
    program = build_dir / 'tests' / 'stress' / 'steps'
    start = prepare_inside(program, secrets.manifest('allow_all_but_log', program))
    host = secrets.top.parent / 'native'
    (host / 'free').mkdir(parents=True)
    said = start(words(REPLACED, '/in'))
    natively = inside_steps(*words(REPLACED, host), host=True)
    assert said.out.splitlines() == [line.replace(f'{host}/', '/in/') for line in natively], str(said)


def test_a_folder_replaced_outside(secrets, build_dir, prepare_inside):
    """The same by somebody else while the run looks for what will be in it"""
    program = build_dir / 'tests' / 'stress' / 'steps'
    free, new = secrets.mount / 'free', secrets.mount / 'new'
    (free / 'f').touch()
    new.mkdir()
    (new / 'g').touch()
    start = prepare_inside(program, secrets.manifest('strict', program))
    command = start(words([*OFTEN, 'create free/begun', 'await free/g', *['stat free/g'] * 20, 'stat free/f'], '/in'),
                    command_only=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        while running.poll() is None and not (free / 'begun').exists():
            time.sleep(0.01)
        free.rename(secrets.mount / 'old')
        new.rename(free)
        said = running.communicate(timeout=60)[0].splitlines()
    assert [line.rsplit(': ', 1)[1] for line in said] == ['ok'] * 42 + ['ENOENT'], said


@pytest.mark.parametrize('made', [False, True], ids=['unmade', 'made'])
def test_exchanges_by_another(made, secrets, build_dir, prepare_inside):
    """Somebody outside exchanges a folder and a link that leads out: no open comes to the secret, nor does a
    look once the run has made a link itself (before, see "A second run" in docs/compatibility.md)."""
    program = build_dir / 'tests' / 'stress' / 'steps'
    free = secrets.mount / 'free'
    (free / 'd').mkdir()
    (free / 'd' / 'SECRET').write_text('ours')
    (free / 'l').symlink_to('../../SECRETS')
    start = prepare_inside(program, secrets.manifest('strict', program))
    uses = ['read d/SECRET', 'create d/NEW', 'truncate d/SECRET'] + ['stat d/SECRET', 'statx d/SECRET'] * made
    lines = ['symlink target own'] * made + uses * (10000 if FULL else 1500)
    ended, exchange = threading.Event(), ctypes.CDLL(None).renameat2
    paths = [os.fsencode(free / name) for name in 'ld']

    def storm():
        while not ended.is_set():
            assert exchange(-100, paths[0], -100, paths[1], 2) == 0  # AT_FDCWD, RENAME_EXCHANGE

    other = threading.Thread(target=storm)
    other.start()
    said = start(words(lines, '/in/free')).out.splitlines()
    ended.set()
    other.join()
    assert len(said) == len(lines) and [line for line in said if is_out(line)] == []
    assert any(line.startswith('read') and line.endswith(': ok') for line in said)
    assert secrets.seen() == secrets.before


CARRIED = ['rename closed free/c', 'rename fixed free/f', 'rename mixed free/m', 'exchange closed free/d',
           'exchange free/d fixed', 'rename fixed/FIXED free/F', 'link fixed/FIXED free/F', 'link closed/CLOSED free/C',
           'rename closed/CLOSED free/C', 'exchange free/file closed/CLOSED', 'exchange fixed/FIXED free/file']


def test_no_rename_changes_the_policy(secrets, inside_steps):
    said = inside_steps('mkdir', '/in/free/d', 'create', '/in/free/file', *words(CARRIED, '/in'))
    assert [line.rsplit(': ', 1)[1] for line in said] == ['ok', 'ok', *['EACCES'] * len(CARRIED)]
    host = secrets.top.parent / 'native'
    for name in ('closed', 'fixed', 'mixed', 'free/d'):
        (host / name).mkdir(parents=True)
    assert inside_steps(*words(['rename closed free/c', 'rename fixed free/f'], host), host=True) == \
        [f'rename {host}/free/{name}: ok' for name in 'cf']

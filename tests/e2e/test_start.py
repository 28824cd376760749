# SPDX-License-Identifier: LGPL-3.0-or-later
"""Starting programs where little is as usual: limits, closed descriptors, files that are none, a cache
of compiled manifests that is full, shared, damaged or somebody else's.
"""
import concurrent.futures
import hashlib
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from conftest import own_mounts

COMMANDS = ['gramine-direct', 'gramine-manifest', 'gramine-manifest-check', 'gramine-sgx-pf-crypt',
            'gramine-sgx-gen-private-key', 'gramine-sgx-sigstruct-view', 'gramine-sgx-quote-view', 'is-sgx-available']
SUBCOMMANDS = ['run', 'manifest', 'manifest-check', 'argv-serializer', 'encrypt', 'decrypt', 'inspect',
               'keygen', 'pf-crypt', 'quote', 'sign-layout', 'sgxemu']

BASE = '''
fs.root = {{ type = "chroot", uri = "file:/" }}
fs.mounts = []
sgx.file_check_policy = "allow_all_but_log"
libos.entrypoint = "{}"
'''
FREE = BASE + 'loader.insecure__use_cmdline_argv = true\n'


@pytest.fixture
def start(libos, run_native, tmp_path):
    """start(manifest, *arguments, wrapper=, env=) -> Result; the cache is in the test's own folder"""
    def run(manifest, *arguments, wrapper=(), env=None, timeout=60):
        (tmp_path / 'app.manifest').write_text(manifest)
        return run_native([*wrapper, libos, './app', *arguments], cwd=tmp_path, timeout=timeout,
                          env={'XDG_CACHE_HOME': tmp_path / 'cache', **(env or {})})
    return run


def one_line(result, *words, status=1):
    """The run failed by itself with one line that holds all the words."""
    assert result.status == status, str(result)
    assert not result.out and len(result.err.splitlines()) == 1, str(result)
    for word in words:
        assert word in result.err, f'"{word}" is not named: {result}'


# --- help and version ----------------------------------------------------------------------------

@pytest.mark.parametrize('command', COMMANDS + [f'adyton {c}' for c in SUBCOMMANDS] + ['adyton'])
def test_help_and_version(command, build_dir, run_native, tmp_path):
    argv = command.split()
    argv[0] = build_dir / 'bin' / argv[0]
    done = run_native([*argv, '--help'], cwd=tmp_path)
    text = done.err if 'pf-crypt' in command else done.out  # that command says everything on stderr
    assert done.status == 0 and text == done.out + done.err, str(done)
    assert text.startswith('Usage: ') and len(text.splitlines()) > 1, str(done)
    done = run_native([*argv, '--version'], cwd=tmp_path)
    assert done.status == 0 and not done.err and len(done.out.splitlines()) == 1, str(done)
    assert 'Adyton 0.' in done.out, str(done)
    assert not list(tmp_path.iterdir())


def test_serializer_takes_everything_as_data(build_dir, run_native):
    for argument in ('--help', '--version'):
        assert run_native([build_dir / 'bin' / 'gramine-argv-serializer', argument]).out == argument + '\0'


def test_launcher_names_the_mistake(libos, run_native, tmp_path):
    one_line(run_native([libos, '--verbose', 'app'], cwd=tmp_path), '--verbose', '--help', status=2)
    for name in ('app.manifest', 'app.manifest.template'):
        (tmp_path / name).write_text('')
        done = run_native([libos, name], cwd=tmp_path)
        assert done.status == 2 and "write 'app'" in done.err, str(done)


# --- limits --------------------------------------------------------------------------------------

# With less than 16 KiB of stack not even the kernel's part of a start always succeeds.
LIMITS = [('nofile', 4, 'ulimit -n'), ('as', 100 << 20, 'ulimit -v'), ('data', 1 << 20, 'ulimit -d')]


@pytest.mark.parametrize('limit, value, word', LIMITS)
def test_limit_too_low(limit, value, word, start):
    wrapper = ['/usr/bin/prlimit', f'--{limit}={value}']
    one_line(start(FREE.format('/bin/echo'), 'hi', wrapper=wrapper), word, 'at least')
    # A limit that may be raised is.
    wrapper = ['/usr/bin/prlimit', f'--{limit}={value}:unlimited' if limit != 'nofile' else '--nofile=4:64']
    done = start(FREE.format('/bin/echo'), 'hi', wrapper=wrapper)
    assert (done.status, done.out, done.err) == (0, 'hi\n', ''), str(done)


@pytest.mark.parametrize('limit', ['stack=16384', 'nofile=16', 'as=400000000', 'data=33554432'])
@pytest.mark.parametrize('cached', [False, True])
def test_low_limit(limit, cached, start):
    manifest = FREE.format('/bin/echo')
    if cached:
        assert start(manifest, 'hi').status == 0
    done = start(manifest, 'hi', wrapper=['/usr/bin/prlimit', f'--{limit}'])
    assert (done.status, done.out, done.err) == (0, 'hi\n', ''), str(done)


def test_no_file_may_grow(start):
    manifest, wrapper = FREE.format('/bin/echo'), ['/usr/bin/prlimit', '--fsize=0']
    one_line(start(manifest, 'hi', wrapper=wrapper), 'ulimit -f')
    assert start(manifest, 'hi').status == 0
    done = start(manifest, 'hi', wrapper=wrapper)
    assert (done.status, done.out) == (0, 'hi\n'), str(done)


# --- closed descriptors --------------------------------------------------------------------------

DESCRIPTORS = '''
import os
def state(fd):
    try:
        return os.fstat(fd).st_mode & 0o170000
    except OSError as e:
        return e.strerror
open("report", "w").write(repr([state(fd) for fd in range(3)]))
'''


@pytest.mark.parametrize('cached', [False, True])
@pytest.mark.parametrize('closed', ['<&-', '>&-', '2>&-', '<&- >&-', '<&- 2>&-', '<&- >&- 2>&-'])
def test_closed_descriptors(closed, cached, start, run_native, tmp_path):
    """They are closed inside as they are natively, and nothing else gets their messages."""
    (tmp_path / 'script.py').write_text(DESCRIPTORS)
    shell = ['/bin/sh', '-c', f'exec "$@" {closed}', 'sh']
    extra = ['-S', 'script.py']
    run_native([*shell, '/usr/bin/python3', *extra], cwd=tmp_path)
    native = (tmp_path / 'report').read_text()
    (tmp_path / 'report').unlink()
    manifest = FREE.format('/usr/bin/python3') + f'fs.start_dir = "{tmp_path}"\n' \
        f'sgx.allowed_files = [ "file:{tmp_path}/" ]\nsgx.nonpie_binary = 1\n'
    if cached:
        assert start(manifest, '-c', '').status == 0
    done = start(manifest, *extra, wrapper=shell)
    assert done.status == 0, str(done)
    assert (tmp_path / 'report').read_text() == native


@pytest.mark.parametrize('closed', [True, False])
def test_messages_reach_no_file_of_the_program(closed, start, tmp_path):
    """Who closes stderr gets its number for the next file: the library OS must not write there."""
    (tmp_path / 'script.py').write_text(
        'import os\n' + ('' if closed else 'os.close(2)\n') +
        'assert os.open("mine", os.O_WRONLY | os.O_CREAT) == 2\n'
        'os.write(2, b"mine\\n")\nopen("/etc/passwd").close()\n')
    manifest = FREE.format('/usr/bin/python3') + f'fs.start_dir = "{tmp_path}"\n' \
        f'sgx.allowed_files = [ "file:{tmp_path}/" ]\nloader.log_level = "warning"\n'
    done = start(manifest, '-S', 'script.py', wrapper=['/bin/sh', '-c', 'exec "$@" 2>&-', 'sh'] if closed else ())
    assert done.status == 0, str(done)
    assert (tmp_path / 'mine').read_text() == 'mine\n'


# --- files that are none -------------------------------------------------------------------------

def make(kind, path):
    """Puts something that is no regular file at a path."""
    if kind == 'fifo':
        os.mkfifo(path)
    elif kind == 'socket':
        with socket.socket(socket.AF_UNIX) as s:
            here = os.open('.', os.O_PATH)
            os.chdir(path.parent)  # the length of a socket's path is limited
            s.bind(path.name)
            os.fchdir(here)
            os.close(here)
    elif kind == 'folder':
        path.mkdir()
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    elif kind == 'terminal':
        path.symlink_to('/dev/tty')
    elif kind == 'nowhere':
        path.symlink_to('nowhere')
    elif kind == 'loop':
        path.symlink_to(path.name)


KINDS = ['fifo', 'socket', 'folder', 'device', 'terminal', 'nowhere', 'loop']


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('key', ['argv_src_file', 'env_src_file'])
def test_source_file(key, kind, start, tmp_path):
    make(kind, tmp_path / 'source')
    one_line(start(BASE.format('/bin/true') + f'loader.{key} = "file:source"\n', timeout=20),
             f'loader.{key}', 'source', 'regular file')


@pytest.mark.parametrize('content', [b'', b'no end', b'x' * (8 << 20) + b'\0'])
def test_content_of_source_file(content, start, tmp_path):
    (tmp_path / 'source').write_bytes(content)
    one_line(start(BASE.format('/bin/true') + 'loader.argv_src_file = "file:source"\n'), 'loader.argv_src_file')


def test_source_file_without_size(start, tmp_path):
    """Files of /proc say that they are empty."""
    manifest = BASE.format('/usr/bin/env') + 'loader.env_src_file = "file:/proc/self/environ"\n'
    done = start(manifest, env={'MARK': 'here'})
    assert done.status == 0 and 'MARK=here\n' in done.out, str(done)


@pytest.mark.parametrize('kind', ['fifo', 'socket', 'folder', 'nowhere', 'loop'])
def test_log_file(kind, start, tmp_path):
    make(kind, tmp_path / 'log')
    manifest = FREE.format('/bin/true') + 'loader.log_file = "log"\n'
    done = start(manifest, timeout=20)
    if kind == 'nowhere':
        assert done.status == 0 and (tmp_path / 'nowhere').exists(), str(done)
    else:
        one_line(done, 'loader.log_file', "'log'")


@pytest.mark.parametrize('kind', KINDS)
def test_manifest_is_no_file(kind, libos, run_native, tmp_path):
    make(kind, tmp_path / 'app.manifest')
    done = run_native([libos, './app'], cwd=tmp_path, timeout=20)
    assert done.status == 2 and len(done.err.splitlines()) == 3 and 'app.manifest' in done.err, str(done)


@pytest.mark.parametrize('kind', KINDS)
def test_sidecar_is_no_file(kind, start, tmp_path):
    make(kind, tmp_path / 'app.manifest.trees')
    done = start(FREE.format('/bin/echo'), 'hi', timeout=20)
    assert (done.status, done.out, done.err) == (0, 'hi\n', ''), str(done)


@pytest.mark.parametrize('kind', ['fifo', 'socket', 'folder', 'nowhere', 'loop'])
@pytest.mark.parametrize('key', ['sgx.trusted_files', 'loader.entrypoint.uri'])
def test_hashed_file(key, kind, build_dir, run_native, tmp_path):
    make(kind, tmp_path / 'hashed')
    value = '["file:hashed"]' if key == 'sgx.trusted_files' else '"file:hashed"'
    done = run_native([build_dir / 'bin' / 'gramine-manifest', '-c', BASE.format('/x') + f'{key} = {value}\n'],
                      cwd=tmp_path, timeout=20)
    one_line(done, 'hashed')


# {name: (what is changed in the manifest of echo, words of the one line)}: the cause in words, no number
IN_WORDS = {
    'mount': ('fs.mounts = [{ path = "/m", uri = "file:nothing" }]', "'file:nothing'", 'No such file or directory'),
    'mount below a file': ('fs.mounts = [{ path = "/m", uri = "file:app.manifest/x" }]', 'Not a directory'),
    'mount loop': ('fs.mounts = [{ path = "/m", uri = "file:loop" }]', 'Too many levels of symbolic links'),
    'device': ('fs.mounts = [{ path = "/m", uri = "dev:/dev/nothing" }]', "'dev:/dev/nothing'", 'No such file'),
    'log file': ('loader.log_file = "nothing/log"', 'loader.log_file', 'No such file or directory'),
    'start': ('fs.start_dir = "/proc/1"', 'fs.start_dir', 'No such file or directory'),
    'entry point': ('libos.entrypoint = "/no/program"', 'No such file or directory', 'is it mounted?'),
    'loop': ('libos.entrypoint = "{0}/loop"', 'Too many levels of symbolic links'),
    'text': ('libos.entrypoint = "{0}/app.manifest"', 'not executable'),
    'folder': ('libos.entrypoint = "/usr"', 'Permission denied', 'no regular file'),
    'interpreter': ('libos.entrypoint = "{0}/script"', "/no/interpreter", 'No such file or directory'),
    'source': ('loader.env_src_file = "file:nothing"', 'loader.env_src_file', 'No such file or directory', 'regular file'),
}


@pytest.mark.parametrize('kind', IN_WORDS)
def test_causes_in_words(kind, start, tmp_path):
    line, *words = IN_WORDS[kind]
    line = line.replace('{0}', str(tmp_path))
    (tmp_path / 'loop').symlink_to('loop')
    (tmp_path / 'script').write_text('#!/no/interpreter\n')
    (tmp_path / 'script').chmod(0o755)
    key = line.split(' = ')[0]
    kept = [known for known in FREE.format('/bin/echo').splitlines() if not known.startswith(key + ' ')]
    done = start('\n'.join([*kept, line]) + '\n', 'hi')
    one_line(done, *words)
    assert not re.search(r'(error|errno) -?\d', done.err), str(done)


READERS = [
    'gramine-manifest {}', 'gramine-manifest-check {}', 'gramine-sgx-sigstruct-view {}', 'gramine-sgx-quote-view {}',
    'gramine-sgx-pf-crypt encrypt -w {} -i file -o out', 'gramine-sgx-pf-crypt encrypt -w key -i {} -o out',
    'gramine-sgx-pf-crypt decrypt -w key -i {} -o out', 'adyton inspect {}', 'adyton explain {}', 'adyton diff {} {}',
    'adyton verify {}', 'adyton verify --policy {} file', 'adyton quote show {}', 'adyton sign-layout -k key -o out {}']


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('command', READERS)
def test_commands_read_no_file(command, kind, build_dir, run_native, tmp_path):
    """No command waits for a writer, or takes for its input what is none; it says so in few lines."""
    make(kind, tmp_path / 'input')
    (tmp_path / 'file').write_text('')
    (tmp_path / 'key').write_bytes(bytes(range(16)))
    name, *arguments = command.format('input', 'input').split()
    done = run_native([build_dir / 'bin' / name, *arguments], cwd=tmp_path, timeout=30)
    assert done.status not in ('timeout', 139, 134) and len((done.out + done.err).splitlines()) < 16, str(done)
    folders = kind == 'folder' and '-i {}' in command
    if kind not in ('fifo', 'device') and not folders:  # the first are empty, or do not end
        assert done.status != 0 and 'input' in done.out + done.err, str(done)


def test_command_reads_a_pipe(build_dir, run_native):
    """What a shell's <(command) gives is read to its end, however late that is."""
    script = f"{build_dir}/bin/gramine-manifest-check <(sleep 1; echo 'libos.entrypoint = \"/x\"'; sleep 1; echo 'fs.mounts = []')"
    done = run_native(['/bin/bash', '-c', script])
    assert (done.status, done.out, done.err) == (0, '', ''), str(done)


# --- the cache of compiled manifests -------------------------------------------------------------

LIMIT, BYTES = 256, 64 << 20  # manifest/cache.h


@pytest.fixture
def cache(tmp_path):
    return tmp_path / 'cache' / 'adyton' / 'manifest'


def fill(folder, count, size=100, age=1000):
    """Entries, the first the oldest, with the names that entries have."""
    folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    names = []
    for i in range(count):
        path = folder / (hashlib.sha256(b'%d' % i).hexdigest() + '-v1.1.bin')
        path.touch(0o600)
        os.truncate(path, size)
        os.utime(path, (time.time() - age + i, time.time() - age + i))
        names.append(path)
    return names


def test_cache_has_a_limit(start, cache):
    old = fill(cache, LIMIT + 50)
    other = cache / 'notes'
    other.write_text('not an entry')
    assert start(FREE.format('/bin/true')).status == 0
    left = set(cache.iterdir())
    assert len(left) == LIMIT + 1 and other in left
    assert left - {other} - set(old[51:]) and set(old[51:]) < left, 'not the oldest went'


def test_cache_has_a_size(start, cache):
    old = fill(cache, 20, BYTES // 10)
    assert start(FREE.format('/bin/true')).status == 0
    left = set(cache.iterdir())
    assert sum(p.stat().st_size for p in left) <= BYTES and left & set(old) == set(old[11:])


def test_cache_knows_what_is_used(start, cache):
    manifest = FREE.format('/bin/true')
    assert start(manifest).status == 0
    (entry,) = cache.iterdir()
    os.utime(entry, (1000, 1000))
    assert start(manifest).status == 0
    assert time.time() - entry.stat().st_mtime < 60, 'a use was not noted'
    fill(cache, LIMIT, age=100000)
    assert start(manifest + '# another\n').status == 0
    assert entry.exists() and len(list(cache.iterdir())) == LIMIT


def test_cache_clears_up(start, cache):
    """Half-written entries of writers that died, and entries from a future that a wrong clock wrote."""
    half, fresh, *future = fill(cache, LIMIT + 2)
    half = half.rename(half.with_suffix('.bin.0123'))
    fresh = fresh.rename(fresh.with_suffix('.bin.4567'))
    os.utime(half, (1, 1))
    os.utime(fresh)
    os.utime(future[-1], (time.time() + 1e6, time.time() + 1e6))
    assert start(FREE.format('/bin/true')).status == 0
    assert not half.exists() and fresh.exists() and not future[-1].exists()


def test_cache_hit_reads_no_folder(start, cache, run_native, tmp_path):
    strace = shutil.which('strace')
    if not strace:
        pytest.skip('strace is not installed')
    fill(cache, LIMIT)
    manifest = FREE.format('/bin/true')
    for name, expected in (('first', True), ('second', False)):
        trace = tmp_path / name
        done = start(manifest, wrapper=[strace, '-f', '-o', trace, '-e', 'getdents64,unlinkat,execve'])
        assert done.status == 0, str(done)
        before = trace.read_text().split('adyton-direct', 1)[0]
        assert ('getdents64' in before) is expected, before


@pytest.mark.parametrize('rounds', [3])
def test_cache_with_many_starts(rounds, libos, cache, tmp_path):
    """Starts that add, use and remove entries at once: each runs."""
    fill(cache, LIMIT)
    for i in range(24):
        (tmp_path / f'app{i}.manifest').write_text(FREE.format('/bin/echo') + f'# {i}\n')

    def run(i):
        env = {'XDG_CACHE_HOME': str(tmp_path / 'cache'), 'PATH': '/usr/bin:/bin'}
        done = subprocess.run([libos, f'./app{i % 24}', str(i)], cwd=tmp_path, env=env, timeout=120,
                              capture_output=True, text=True, check=False)
        if i % 7 == 0:  # another cleaner, and one that goes too far
            for path in list(cache.iterdir())[::3]:
                path.unlink(missing_ok=True)
        return done.returncode, done.stdout, done.stderr

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for i, done in enumerate(pool.map(run, range(24 * rounds))):
            assert done == (0, f'{i}\n', ''), (i, done)
    assert len(list(cache.iterdir())) <= LIMIT


def damage(entry, how):
    data = bytearray(entry.read_bytes())
    if how == 'one bit':  # the uid: any value of it is a sound one
        at = data.index((1000).to_bytes(8, 'little') + (1001).to_bytes(8, 'little'))
        data[at] ^= 1
    elif how == 'cut':
        del data[-8:]
    elif how == 'zeros':
        data[100:] = bytes(len(data) - 100)
    elif how == 'another':
        data = bytearray(os.urandom(len(data)))
    entry.write_bytes(data)


@pytest.mark.parametrize('how', ['one bit', 'cut', 'zeros', 'another'])
@pytest.mark.parametrize('large', [False, True])
def test_damaged_entry(how, large, start, cache):
    manifest = FREE.format('/usr/bin/id') + 'loader.uid = 1000\nloader.gid = 1001\n'
    if large:  # one that is not checked as a whole but by its sum
        manifest += 'sgx.allowed_files = [' + ', '.join(f'"file:/none/{i:050}"' for i in range(6000)) + ']\n'
    good = start(manifest)
    assert good.status == 0 and 'uid=1000' in good.out, str(good)
    (entry,) = cache.iterdir()
    before = entry.read_bytes()
    assert (len(before) > 300000) is large
    damage(entry, how)
    done = start(manifest)
    assert (done.status, done.out, done.err) == (good.status, good.out, good.err), str(done)
    assert entry.read_bytes() == before, 'a damaged entry was not replaced'


def test_entry_of_another_text(start, cache):
    """The entry of one manifest under the name of another."""
    def named(uid):
        return FREE.format('/usr/bin/id') + f'loader.uid = {uid}\n'
    entries = {}
    for uid in (1, 2):
        assert f'uid={uid}' in start(named(uid)).out
        (entries[uid],) = set(cache.iterdir()) - set(entries.values())
    shutil.copy(entries[1], entries[2])
    assert 'uid=2' in start(named(2)).out


HOSTILE = {
    'no home': lambda base: {'XDG_CACHE_HOME': '', 'HOME': ''},
    'relative': lambda base: {'XDG_CACHE_HOME': 'cache', 'HOME': 'home'},
    'nowhere': lambda base: {'XDG_CACHE_HOME': '/proc/none'},
    'a file': lambda base: (base / 'adyton').write_text('') and {} or {},
    'a file deeper': lambda base: ((base / 'adyton').mkdir(), (base / 'adyton' / 'manifest').write_text('')) and {},
    'a fifo': lambda base: ((base / 'adyton').mkdir(), os.mkfifo(base / 'adyton' / 'manifest')) and {},
    'a loop': lambda base: (base / 'adyton').symlink_to('adyton') or {},
    'open to all': lambda base: ((base / 'adyton').mkdir(), (base / 'adyton' / 'manifest').mkdir(),
                                 (base / 'adyton' / 'manifest').chmod(0o777)) and {},
    'full': lambda base: {'XDG_CACHE_HOME': base / 'full'},
}


@pytest.mark.parametrize('kind', HOSTILE)
def test_unusable_cache(kind, start, tmp_path):
    base = tmp_path / 'cache'
    base.mkdir()
    env = HOSTILE[kind](base)
    wrapper = ()
    if kind == 'full':
        (base / 'full').mkdir()
        wrapper = [*own_mounts(), '/bin/sh', '-c',
                   f'mount -t tmpfs -o size=4k,nr_inodes=4 none {base}/full && exec "$@"', 'sh']
    for _ in range(2):
        done = start(FREE.format('/bin/echo'), 'hi', env=env, wrapper=wrapper)
        assert (done.status, done.out, done.err) == (0, 'hi\n', ''), str(done)
    if kind == 'open to all':
        assert not list((base / 'adyton' / 'manifest').iterdir())
    assert not (tmp_path / 'home').exists()


def test_entry_is_a_link(start, cache, tmp_path):
    manifest = FREE.format('/bin/echo')
    assert start(manifest, 'hi').status == 0
    (entry,) = cache.iterdir()
    kept = tmp_path / 'elsewhere'
    shutil.copy(entry, kept)
    entry.unlink()
    entry.symlink_to(kept)
    assert start(manifest, 'hi').out == 'hi\n'
    assert not entry.is_symlink() and kept.exists()


def test_cache_of_somebody_else(start, cache, libos, tmp_path):
    """Root with a user's HOME: it neither trusts the folder there nor leaves one of its own behind."""
    if os.getuid() != 0:
        pytest.skip('needs root, to make files of another user')
    home = tmp_path / 'home'
    home.mkdir()
    os.chown(home, 65534, 65534)
    env = {'XDG_CACHE_HOME': '', 'HOME': home}
    assert start(FREE.format('/bin/echo'), 'hi', env=env).out == 'hi\n'
    assert not list(home.iterdir()), 'root left a folder in the home of another user'
    assert start(FREE.format('/bin/true')).status == 0
    for path in (cache, *cache.iterdir()):
        os.chown(path, 65534, 65534)
    before = {p: p.stat().st_ino for p in cache.iterdir()}
    manifest = FREE.format('/usr/bin/id') + 'loader.uid = 7\n'
    assert 'uid=7' in start(manifest).out
    assert {p: p.stat().st_ino for p in cache.iterdir()} == before

# SPDX-License-Identifier: LGPL-3.0-or-later
"""The commands for encrypted files: options, exit statuses, trees, and what failures leave behind."""
import json
import os
import pathlib
import pty
import resource
import signal
import stat
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests'))
import pfs_reader  # noqa: E402

BIN = ROOT / 'build/bin'
TOOL = ROOT / 'build/tests/unit/pfs/pfs-tool'
KEY = bytes(range(16))


def run(*args, cwd, command='adyton', **more):
    return subprocess.run([str(BIN / command), *map(str, args)], cwd=cwd, capture_output=True, text=True,
                          timeout=120, stdin=subprocess.DEVNULL, **more)


def compat(*args, cwd, **more):
    return run(*args, cwd=cwd, command='gramine-sgx-pf-crypt', **more)


@pytest.fixture
def here(tmp_path):
    (tmp_path / 'key').write_bytes(KEY)
    (tmp_path / 'plain').write_bytes(os.urandom(50000))
    return tmp_path


def one_error(result, status):
    assert result.returncode == status, result.stderr
    assert result.stdout == ''
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith('error: '), result.stderr
    return result.stderr


def left(here):
    return sorted(p.name for p in here.iterdir())


def test_keys(tmp_path):
    old = os.umask(0)
    try:
        assert run('keygen', 'k1', cwd=tmp_path).returncode == 0
        result = compat('gen-key', '-w', 'k2', cwd=tmp_path)
    finally:
        os.umask(old)
    assert result.returncode == 0 and 'Wrap key saved to: k2' in result.stderr and not result.stdout
    for name in 'k1', 'k2':
        st = (tmp_path / name).stat()
        assert st.st_size == 16 and stat.S_IMODE(st.st_mode) == 0o600
    first = (tmp_path / 'k1').read_bytes()
    assert first != (tmp_path / 'k2').read_bytes()
    assert '--force' in one_error(run('keygen', '-w', 'k1', cwd=tmp_path), 5)
    assert (tmp_path / 'k1').read_bytes() == first
    assert run('keygen', '-f', 'k1', cwd=tmp_path).returncode == 0
    assert compat('g', '-w', 'k1', cwd=tmp_path).returncode == 0
    assert (tmp_path / 'k1').read_bytes() != first
    assert '--signing' in run('keygen', '--help', cwd=tmp_path).stdout
    result = run('keygen', '--signing', '-q', 'pem', cwd=tmp_path)
    assert result.returncode == 0 and result.stderr == ''
    assert 'PRIVATE KEY' in (tmp_path / 'pem').read_text()
    assert stat.S_IMODE((tmp_path / 'pem').stat().st_mode) == 0o600
    (tmp_path / 'pem').unlink()
    one_error(run('keygen', 'no/such/dir/k', cwd=tmp_path), 5)
    one_error(compat('gen-key', '-w', 'no/k', cwd=tmp_path), 255)
    assert left(tmp_path) == ['k1', 'k2']


def test_round_trip(here):
    plain = (here / 'plain').read_bytes()
    result = compat('encrypt', '-w', 'key', '-i', 'plain', '-o', './a/../enc', cwd=here)
    assert result.returncode == 0 and result.stdout == ''
    assert result.stderr.splitlines()[0] == 'Encrypting: plain -> enc'
    assert '"file:enc"' in result.stderr
    assert plain[:16] not in (here / 'enc').read_bytes()
    assert pfs_reader.Reader(KEY, here / 'enc', 'enc').read() == plain
    # Options may come before the mode, long or short, and of the mode only a letter counts.
    result = compat('--wrap-key=key', '--input', 'enc', 'dx', '--output', 'out', '--verify', '-v', cwd=here)
    assert result.returncode == 0 and (here / 'out').read_bytes() == plain
    assert run('decrypt', '-w', 'key', '-i', 'enc', '-o', 'out2', '-V', cwd=here).stderr == ''
    assert (here / 'out2').read_bytes() == plain
    assert run('decrypt', '-w', 'key', '-i', 'enc', '--check', cwd=here).returncode == 0
    # A shorter file over a longer one leaves nothing of it behind.
    (here / 'plain').write_bytes(b'short')
    assert compat('encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc', cwd=here).returncode == 0
    assert (here / 'enc').stat().st_size == 4096
    assert left(here) == ['enc', 'key', 'out', 'out2', 'plain']


def test_stored_path(here):
    assert run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc', '--path', '/data//x/../model',
               cwd=here).returncode == 0
    assert pfs_reader.Reader(KEY, here / 'enc').stored == '/data/model'
    one_error(run('decrypt', '-w', 'key', '-i', 'enc', '-o', 'out', '-V', cwd=here), 3)
    result = compat('decrypt', '-V', '-w', 'key', '-i', 'enc', '-o', 'out', cwd=here)
    assert result.returncode == 255 and "'/data/model'" in result.stderr
    assert run('decrypt', '-w', 'key', '-i', 'enc', '-o', 'out', '--path', '/data/model',
               cwd=here).returncode == 0
    assert run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc', '-p', 'p' * 771, cwd=here).returncode == 0
    assert 'too long' in one_error(run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'e2', '-p', 'p' * 772,
                                       cwd=here), 2)
    assert not (here / 'e2').exists()


def test_exit_statuses(here):
    assert run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc', cwd=here).returncode == 0
    (here / 'other').write_bytes(bytes(16))
    for status, key in (3, 'other'), (0, 'key'):
        assert run('decrypt', '-w', key, '-i', 'enc', '-o', 'out', cwd=here).returncode == status
        assert (here / 'out').exists() == (status == 0)
    (here / 'out').unlink()
    good = bytearray((here / 'enc').read_bytes())

    def altered(at):
        bad = bytearray(good)
        bad[at] ^= 1
        (here / 'bad').write_bytes(bad)
        results = (run('decrypt', '-w', 'key', '-i', 'bad', '-o', 'out', cwd=here),
                   compat('decrypt', '-w', 'key', '-i', 'bad', '-o', 'out', cwd=here))
        assert not (here / 'out').exists()
        assert results[1].returncode == 255
        return results[0]

    assert 'wrong key' in one_error(altered(100), 3)
    assert 'byte 3072' in one_error(altered(5000), 4)
    assert 'byte 7168 of 50000' in one_error(altered(3 * 4096 + 7), 4)
    assert 'not an encrypted' in one_error(altered(0), 3)
    assert left(here) == ['bad', 'enc', 'key', 'other', 'plain']


def test_misuse(here):
    for args in ([], ['-w', 'key'], ['-w', 'key', '-i', 'plain'], ['-x'], ['-w'],
                 ['-w', 'key', '-i', 'plain', '-o', 'o', 'extra'],
                 ['-w', 'key', '-i', 'plain', '-o', 'o', '-V'],
                 ['-w', 'key', '-i', 'plain', '-o', 'plain']):
        assert run('encrypt', *args, cwd=here).returncode == 2, args
    for args in ([], ['-w', 'key', '-i', 'plain', '-o', 'o', '-c'],
                 ['-w', 'key', '-i', 'plain', '-c', '-V', '-p', 'x']):
        assert run('decrypt', *args, cwd=here).returncode == 2, args
    for args in ([], ['x'], ['e'], ['encrypt', '-w', 'key'], ['encrypt', '-w', 'key', '-i', 'plain'],
                 ['encrypt', '-i', 'plain', '-o', 'o'], ['gen-key'], ['--no-such', 'gen-key', '-w', 'n'],
                 ['encrypt', '-w', 'key', '-i', 'missing', '-o', 'o'],
                 ['decrypt', '-w', 'key', '-i', 'missing', '-o', 'o'],
                 ['decrypt', '-w', 'missing', '-i', 'plain', '-o', 'o']):
        result = compat(*args, cwd=here)
        assert result.returncode == 255 and result.stdout == '' and result.stderr, args
    for command, text in (('encrypt', 'Usage'), ('decrypt', 'Usage'), ('keygen', 'Usage')):
        result = run(command, '--help', cwd=here)
        assert result.returncode == 0 and text in result.stdout
    result = compat('--help', cwd=here)
    assert result.returncode == 0 and 'Usage' in result.stderr and result.stdout == ''
    assert left(here) == ['key', 'plain']


def test_bad_input(here):
    for size in 0, 15, 17, 1000000:
        (here / 'short').write_bytes(bytes(size))
        assert '16' in one_error(run('encrypt', '-w', 'short', '-i', 'plain', '-o', 'o', cwd=here), 2)
    one_error(run('encrypt', '-w', '.', '-i', 'plain', '-o', 'o', cwd=here), 5)
    one_error(run('encrypt', '-w', 'none', '-i', 'plain', '-o', 'o', cwd=here), 5)
    one_error(run('encrypt', '-w', 'key', '-i', 'none', '-o', 'o', cwd=here), 5)
    one_error(run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'no/o', cwd=here), 5)
    one_error(run('encrypt', '-w', 'key', '-i', '/dev/zero', '-o', 'o', cwd=here), 5)
    one_error(run('encrypt', '-w', 'key', '-i', 'plain', '-o', '/dev/null', cwd=here), 5)
    (here / 'dir').mkdir()
    one_error(run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'dir', cwd=here), 5)
    one_error(run('encrypt', '-w', 'key', '-i', 'dir', '-o', 'plain', cwd=here), 5)
    one_error(run('encrypt', '-w', 'key', '-i', 'dir', '-o', 'dir/sub', cwd=here), 2)
    one_error(run('encrypt', '-w', 'key', '-i', 'dir', '-o', 'dir', cwd=here), 2)
    os.mkfifo(here / 'fifo')
    one_error(run('decrypt', '-w', 'key', '-i', 'fifo', '-o', 'o', cwd=here), 5)
    (here / 'empty').touch()
    assert 'empty' in one_error(run('decrypt', '-w', 'key', '-i', 'empty', '-o', 'o', cwd=here), 3)
    one_error(run('decrypt', '-w', 'key', '-i', 'plain', '-o', 'o', cwd=here), 3)
    assert left(here) == ['dir', 'empty', 'fifo', 'key', 'plain', 'short']


def make_tree(top):
    files = {}
    for i in range(60):
        path = top / f'd{i % 7}' / ('sub' * (i % 3) or '.') / f'f{i}'
        path.parent.mkdir(parents=True, exist_ok=True)
        files[os.path.relpath(path, top)] = os.urandom((i * 977) % 9000)
        path.write_bytes(files[os.path.relpath(path, top)])
    (top / 'link').symlink_to('d0/f0')
    files['link'] = files['d0/f0']
    (top / 'dirlink').symlink_to('d1')
    for name in [n for n in files if n.startswith('d1/')]:
        files['dirlink' + name[2:]] = files[name]
    return files


def test_tree(here):
    files = make_tree(here / 'in')
    os.mkfifo(here / 'in/fifo')
    result = compat('encrypt', '-w', 'key', '-i', 'in/', '-o', './enc', cwd=here)
    assert result.returncode == 0, result.stderr
    assert 'fifo' in result.stderr
    found = {os.path.relpath(p, here / 'enc') for p in (here / 'enc').rglob('*') if p.is_file()}
    assert found == set(files)
    for name, plain in files.items():
        assert pfs_reader.Reader(KEY, here / 'enc' / name, f'enc/{name}').read() == plain
    assert compat('decrypt', '-V', '-w', 'key', '-i', 'enc', '-o', 'out', cwd=here).returncode == 0
    for name, plain in files.items():
        assert (here / 'out' / name).read_bytes() == plain
    # One bad file fails the run, and the message names it.
    os.truncate(here / 'enc/d3/f3', 4000)
    error = run('decrypt', '-w', 'key', '-i', 'enc', '--check', cwd=here)
    assert error.returncode == 3 and 'enc/d3/f3' in error.stderr
    # The stored path of a tree can be chosen.
    assert run('encrypt', '-w', 'key', '-i', 'in', '-o', 'enc2', '--path', '/srv', cwd=here).returncode == 0
    assert pfs_reader.Reader(KEY, here / 'enc2/d0/f0').stored == '/srv/d0/f0'


def test_link_loop(here):
    (here / 'in/a').mkdir(parents=True)
    (here / 'in/a/up').symlink_to('..')
    assert 'link to a directory above' in one_error(run('encrypt', '-w', 'key', '-i', 'in', '-o', 'o',
                                                        cwd=here), 5)


def test_links_are_written_through(here):
    (here / 'real').mkdir()
    (here / 'real/file').write_bytes(b'old')
    (here / 'enc').symlink_to('real/file')
    assert run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc', cwd=here).returncode == 0
    assert (here / 'enc').is_symlink()
    assert pfs_reader.Reader(KEY, here / 'real/file').stored == 'enc'
    assert [p.name for p in (here / 'real').iterdir()] == ['file']


def test_no_space(here):
    """A failing write leaves neither a partial file nor a changed old one."""
    (here / 'plain').write_bytes(bytes(3000000))
    assert run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc', cwd=here).returncode == 0
    (here / 'out').write_bytes(b'precious')

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000000, 1000000))

    one_error(run('decrypt', '-w', 'key', '-i', 'enc', '-o', 'out', cwd=here, preexec_fn=limit), 5)
    one_error(run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'out', cwd=here, preexec_fn=limit), 5)
    assert (here / 'out').read_bytes() == b'precious'
    assert left(here) == ['enc', 'key', 'out', 'plain']


def test_same_file(here):
    """A tree whose output would replace a file that it reads."""
    (here / 'in').mkdir()
    (here / 'out').mkdir()
    (here / 'out/f').write_bytes(b'precious')
    (here / 'in/f').symlink_to('../out/f')
    assert 'same file' in one_error(run('encrypt', '-w', 'key', '-i', 'in', '-o', 'out', cwd=here), 2)
    assert (here / 'out/f').read_bytes() == b'precious' and left(here / 'out') == ['f']


def test_outputs_that_would_destroy(here):
    """Neither the key nor another input is ever replaced."""
    tree, out = here / 'tree', here / 'out'
    (tree / 'tree').mkdir(parents=True)
    (tree / 'a').write_text('outer')
    (tree / 'tree/a').write_text('inner')
    (tree / 'key').write_text('a name')
    (here / 'k2').write_bytes(KEY)
    out.mkdir()
    (out / 'key').write_bytes(KEY)
    assert 'is the key file' in one_error(run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'key', cwd=here), 2)
    assert 'is the key file' in one_error(run('encrypt', '-w', 'out/key', '-i', 'tree', '-o', 'out', cwd=here), 2)
    assert 'one of the input files' in one_error(run('encrypt', '-w', 'k2', '-i', 'tree', '-o', '.', cwd=here), 2)
    (out / 'key').unlink()
    (out / 'a').symlink_to(tree / 'tree/a')
    assert 'one of the input files' in one_error(run('encrypt', '-w', 'key', '-i', 'tree', '-o', 'out', cwd=here), 2)
    (out / 'a').unlink()
    (tree / 'loop').symlink_to(out)
    assert 'is the output directory' in one_error(run('encrypt', '-w', 'key', '-i', 'tree', '-o', 'out', cwd=here), 2)
    assert (here / 'key').read_bytes() == KEY
    assert [(tree / name).read_text() for name in ('a', 'tree/a')] == ['outer', 'inner']


def test_broken_links(here):
    """As `rsync -L` has it: the rest is done, and the status says that something is missing."""
    (here / 'in/sub').mkdir(parents=True)
    for name in ('a', 'sub/z'):
        (here / 'in' / name).write_text(name)
    (here / 'in/m').symlink_to('nowhere')
    (here / 'in/sub/self').symlink_to('self')

    def check(*args):
        result = run(*args, cwd=here)
        warned = sorted(result.stderr.splitlines())
        assert result.returncode == 5 and len(warned) == 2, result.stderr
        assert all(w.startswith(f'warning: adyton {args[0]}: skipping ') for w in warned), warned
        assert "/m'" in warned[0] and "/sub/self'" in warned[1], warned

    check('encrypt', '-w', 'key', '-i', 'in', '-o', 'enc')
    assert sorted(p.name for p in (here / 'enc').rglob('*')) == ['a', 'sub', 'z']
    (here / 'enc/m').symlink_to('nowhere')
    (here / 'enc/sub/self').symlink_to('self')
    check('decrypt', '-w', 'key', '-i', 'enc', '-o', 'out')
    assert (here / 'out/sub/z').read_text() == 'sub/z'
    check('decrypt', '-w', 'key', '-i', 'enc', '--check')
    # Named itself it is an error, and so is everything in the other command.
    one_error(run('encrypt', '-w', 'key', '-i', 'in/m', '-o', 'x', cwd=here), 5)
    one_error(compat('encrypt', '-w', 'key', '-i', 'in', '-o', 'x', cwd=here), 255)


def test_killed(here):
    """Nothing is left of a run that was killed, where files without a name can be had."""
    try:
        os.close(os.open(here, os.O_TMPFILE | os.O_RDWR))
    except OSError:
        pytest.skip('no O_TMPFILE here')
    os.truncate(here / 'plain', 2 << 30)
    before = left(here)
    with subprocess.Popen([BIN / 'adyton', 'encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc'], cwd=here,
                          stdin=subprocess.DEVNULL) as child:
        fds = pathlib.Path(f'/proc/{child.pid}/fd')
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert child.poll() is None, 'it ended before it could be killed'
            if any(str(here) in link and 'plain' not in link and 'key' not in link
                   for link in map(link_of, fds.iterdir())):
                break
        child.kill()
    assert left(here) == before
    os.truncate(here / 'plain', 100000)
    (here / 'enc').write_bytes(b'old')
    assert run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc', cwd=here).returncode == 0
    assert left(here) == sorted([*before, 'enc'])


def link_of(path):
    try:
        return os.readlink(path)
    except OSError:
        return ''


def test_leftovers_of_killed_runs(here):
    (here / 'in').mkdir()
    (here / 'in/a').write_text('content')
    (here / 'in/.adyton-Abc123').write_text('half')
    result = run('encrypt', '-w', 'key', '-i', 'in', '-o', 'out', cwd=here)
    assert result.returncode == 0 and 'left behind by a run that was killed' in result.stderr
    assert left(here / 'out') == ['a']


def writes(pid, here):
    """Whether the process has a file in the folder open that is not an input; it may have no name yet."""
    found = []
    for fd in os.listdir(f'/proc/{pid}/fd'):
        try:
            found.append(os.readlink(f'/proc/{pid}/fd/{fd}'))
        except OSError:  # closed meanwhile
            pass
    return any(path.startswith(f'{here}/') and path not in (f'{here}/big', f'{here}/key') for path in found)


def begin(here, *args, **more):
    """Starts encrypting a file of 20 GiB; returns when its output has begun."""
    with open(here / 'big', 'wb') as f:
        f.truncate(20 << 30)
    tool = subprocess.Popen([BIN / 'adyton', 'encrypt', '-w', 'key', '-i', 'big', '-o', 'enc'], cwd=here,
                            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more)
    deadline = time.time() + 20
    while not writes(tool.pid, here) and time.time() < deadline:
        time.sleep(0.01)
    return tool


def test_unwritable_folder(here):
    one_error(run('encrypt', '-w', 'key', '-i', 'plain', '-o', '/proc/self/enc', cwd=here), 5)


def test_input_that_shrinks(here):
    tool = begin(here)
    os.truncate(here / 'big', 5000)
    assert 'changed while it was read' in tool.communicate(timeout=20)[1]
    assert tool.returncode == 5
    assert left(here) == ['big', 'key', 'plain']


def test_input_without_a_size(here):
    """A file of /proc says size 0 and has content."""
    assert run('encrypt', '-w', 'key', '-i', '/proc/version', '-o', 'enc', cwd=here).returncode == 0
    assert pfs_reader.Reader(KEY, here / 'enc').read() == pathlib.Path('/proc/version').read_bytes()


def inspect(here, *args, status=0):
    result = run('inspect', *args, cwd=here)
    assert result.returncode == status, result.stderr
    assert not result.stderr
    return result.stdout


def test_inspect(here):
    plain = os.urandom(1000000)
    (here / 'plain').write_bytes(plain)
    assert run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc', '-p', 'a "b"/c', cwd=here).returncode == 0
    (here / 'other').write_bytes(bytes(16))
    nodes = (here / 'enc').stat().st_size // 4096
    text = inspect(here, 'enc')
    assert 'format version 2.0' in text and 'complete' in text and 'a "b"/c' not in text
    assert f'{nodes * 4096} bytes: 1 metadata node, 3 hash nodes, {nodes - 4} data nodes' in text
    outside = json.loads(inspect(here, '--json', 'enc'))
    assert outside['size_min'] <= len(plain) <= outside['size_max'] == outside['size_min'] + 4095
    assert 'path' not in outside and not outside['pending'] and outside['recovery_log'] is None
    text = inspect(here, '-w', 'key', 'enc')
    assert '1000000 bytes' in text and 'a "b"/c (not as it was named' in text and 'all nodes authenticate' in text
    whole = json.loads(inspect(here, '-w', 'key', '-j', 'enc'))
    assert whole['size'] == 1000000 and whole['path'] == 'a "b"/c' and whole['damage'] == []
    assert whole['path_matches'] is False
    assert run('encrypt', '-w', 'key', '-i', 'key', '-o', 'named', cwd=here).returncode == 0
    assert 'not as it was named' not in inspect(here, '-w', 'key', './named')
    assert json.loads(inspect(here, '-w', 'key', '-j', 'named'))['path_matches'] is True
    reader = pfs_reader.Reader(KEY, here / 'enc')
    assert whole['tag'].startswith(reader.nonce.hex())
    assert 'wrong key' in one_error(run('inspect', '-w', 'other', 'enc', cwd=here), 3)

    good = bytearray((here / 'enc').read_bytes())

    def damaged(*nodes, cut=None):
        bad = bytearray(good)
        for node in nodes:
            bad[node * 4096 + 17] ^= 1
        (here / 'bad').write_bytes(bad[:cut])
        found = json.loads(inspect(here, '-w', 'key', '-j', 'bad', status=4))
        assert found['damaged'] == len(found['damage']) and found['size'] == 1000000
        return [(d['node'], d['kind'], d['missing'], d['offset'], d['bytes']) for d in found['damage']]

    assert damaged(2, 5) == [(2, 'data', False, 3072, 4096), (5, 'data', False, 3072 + 3 * 4096, 4096)]
    assert damaged(1) == [(1, 'hash', False, 3072, 1000000 - 3072)]
    assert damaged(98, 200) == [(98, 'hash', False, 396288, 96 * 4096),
                                (200, 'data', False, 3072 + (2 * 96 + 4) * 4096, 4096)]
    last = (1000000 - 3072) // 4096
    assert damaged(cut=-4096) == [(nodes - 1, 'data', True, 3072 + last * 4096, (1000000 - 3072) % 4096)]
    text = inspect(here, '-w', 'key', 'bad', status=4)
    assert 'missing' in text and f'content bytes {3072 + last * 4096} to 999999' in text

    for args, status in (([], 2), (['enc', 'bad'], 2), (['-x', 'enc'], 2), (['none'], 5), (['.'], 5),
                         (['key'], 3), (['-w', 'enc', 'enc'], 2), (['-w', 'none', 'enc'], 5)):
        assert run('inspect', *args, cwd=here).returncode == status, args
    assert 'Usage' in run('inspect', '--help', cwd=here).stdout
    (here / 'enc.gramine.recovery').write_bytes(bytes(4104 * 3))
    assert '3 nodes' in inspect(here, 'enc')


def test_inspect_with_a_log(here):
    """Overwritten without a sync: the log stays behind the content, and undoes what did not arrive."""
    plain = (here / 'plain').read_bytes()
    assert run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc', cwd=here).returncode == 0
    before = (here / 'enc').stat().st_size
    assert subprocess.run([TOOL, 'io', 'key', 'enc', '-', 'w3000,20000'], cwd=here,
                          stdout=subprocess.DEVNULL).returncode == 0
    assert (here / 'enc').stat().st_size > before
    outside = json.loads(inspect(here, '-j', 'enc'))
    assert outside['size_min'] <= len(plain) <= outside['size_max']
    assert 'complete' in inspect(here, '-w', 'key', 'enc')
    bad = bytearray((here / 'enc').read_bytes())
    bad[3 * 4096] ^= 1
    (here / 'enc').write_bytes(bad)
    text = inspect(here, '-w', 'key', 'enc')
    assert 'interrupted' in text and 'all nodes authenticate' in text and '50000 bytes' in text
    assert run('decrypt', '-w', 'key', '-i', 'enc', '-o', 'out', cwd=here).returncode == 0
    assert (here / 'out').read_bytes() == plain
    assert bytes(bad) == (here / 'enc').read_bytes()


def test_damage_nearest_to_the_start(here):
    """However many threads read: the message names the first damaged byte."""
    (here / 'plain').write_bytes(os.urandom(9000000))
    assert run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc', cwd=here).returncode == 0
    bad = bytearray((here / 'enc').read_bytes())
    for node in range(1000, len(bad) // 4096, 50):
        bad[node * 4096] ^= 1
    (here / 'enc').write_bytes(bad)
    first = 3072 + (1000 - 2 - (1000 - 1) // 97) * 4096
    for _ in range(5):
        error = one_error(run('decrypt', '-w', 'key', '-i', 'enc', '-o', 'out', cwd=here), 4)
        assert f'damaged at byte {first} of 9000000' in error
        assert not (here / 'out').exists()


@pytest.mark.parametrize('sent', [signal.SIGINT, signal.SIGTERM])
def test_interrupt(here, sent):
    tool = begin(here, preexec_fn=lambda: signal.signal(sent, signal.SIG_DFL))
    tool.send_signal(sent)
    assert 'interrupted' in tool.communicate(timeout=20)[1]
    assert tool.returncode == 5
    assert left(here) == ['big', 'key', 'plain']


def test_progress_on_a_terminal_only(here):
    result = run('encrypt', '-w', 'key', '-i', 'plain', '-o', 'enc', cwd=here)
    assert result.returncode == 0 and result.stderr == ''
    with open(here / 'big', 'wb') as f:
        f.truncate(20 << 30)
    ours, theirs = pty.openpty()
    tool = subprocess.Popen([BIN / 'adyton', 'encrypt', '-w', 'key', '-i', 'big', '-o', 'enc'], cwd=here,
                            stdin=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b''
    try:
        while chunk := os.read(ours, 4096):
            if b' %' not in shown and b' %' in shown + chunk:
                tool.send_signal(signal.SIGTERM)
            shown += chunk
    except OSError:  # how a terminal ends
        pass
    os.close(ours)
    assert tool.wait() == 5
    assert b' %' in shown and b' MB/s' in shown and b' left' in shown and b'interrupted' in shown

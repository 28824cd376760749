# SPDX-License-Identifier: LGPL-3.0-or-later
"""Encrypted files: published vectors, tamper cases, and the independent reader and writer."""
import gzip
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'tests'))
import pfs_reader  # noqa: E402

BIN = ROOT / 'build/bin'
TOOL = ROOT / 'build/tests/unit/pfs/pfs-tool'
VECTORS = ROOT / '../shared/pf-vectors'
KEY = bytes(range(16))
needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason='../shared/pf-vectors is absent')


def manifest():
    if not VECTORS.is_dir():
        return {'full': [], 'sparse': [], 'special': [], 'kdf': []}
    return json.loads((VECTORS / 'manifest.json').read_text())


def tamper_cases():
    path = VECTORS / 'tamper-expected.json'
    return json.loads(path.read_text())['cases'] if path.exists() else []


def run(*args, cwd=None):
    return subprocess.run([str(a) for a in args], cwd=cwd, capture_output=True, text=True, timeout=120)


def io(key, path, *ops, stored='-'):
    """The lines that `pfs-tool io` prints."""
    result = run(TOOL, 'io', key, path, stored, *ops)
    assert result.returncode == 0 and not result.stderr, result.stderr
    return result.stdout.splitlines()


def pattern(off, n):
    block = bytes((i * 31 + 7) % 251 for i in range(251))
    start = off % 251
    return (block * (n // 251 + 2))[start:start + n]


def ids(entry):
    if not isinstance(entry, dict):  # no vectors here: pytest asks for the name of its own mark
        return None
    return entry['file'] if 'file' in entry else entry['case']


@pytest.fixture
def key(tmp_path):
    path = tmp_path / 'key'
    path.write_bytes(KEY)
    return path


@needs_vectors
@pytest.mark.parametrize('v', [v for v in manifest()['full'] + manifest()['special']
                               if 'plain_sha256' in v and ' ' not in v['file']], ids=ids)
def test_vector(v, tmp_path):
    out = tmp_path / 'out'
    source = VECTORS / v['file']
    assert hashlib.sha256(source.read_bytes()).hexdigest() == v['host_sha256']
    # The stored path is relative to the parent of the vectors.
    result = run(BIN / 'gramine-sgx-pf-crypt', 'decrypt', '-V', '-w', VECTORS / v['wrap_key'], '-i',
                 v['stored_path'], '-o', out, cwd=VECTORS.parent)
    assert result.returncode == 0, result.stderr
    plain = out.read_bytes()
    assert len(plain) == v['plain_size']
    assert hashlib.sha256(plain).hexdigest() == v['plain_sha256']
    # The stored path is enforced: the same bytes under another name are refused, unless unasked.
    shutil.copy(source, tmp_path / 'other')
    wrong = run(BIN / 'gramine-sgx-pf-crypt', 'decrypt', '-V', '-w', VECTORS / v['wrap_key'], '-i',
                tmp_path / 'other', '-o', tmp_path / 'out2')
    assert wrong.returncode == 255 and 'another path' in wrong.stderr
    assert not (tmp_path / 'out2').exists()
    reader = pfs_reader.Reader((VECTORS / v['wrap_key']).read_bytes(), source, v['stored_path'])
    assert reader.read() == plain


@needs_vectors
@pytest.mark.parametrize('v', [v for v in manifest()['full'] if v.get('format_major') == 1], ids=ids)
def test_upgrade(v, tmp_path):
    """A version 1 file is read as it is and becomes version 2 with the first change."""
    path = tmp_path / 'file'
    shutil.copy(VECTORS / v['file'], path)
    wrap_key = VECTORS / v['wrap_key']
    before = path.read_bytes()
    io(wrap_key, path, 'r0,100')
    assert path.read_bytes() == before
    io(wrap_key, path, f'w{v["plain_size"]},10')
    reader = pfs_reader.Reader(wrap_key.read_bytes(), path, v['stored_path'])
    assert reader.major == 2
    assert reader.read() == pattern(0, v['plain_size'] + 10)


@needs_vectors
@pytest.mark.parametrize('v', manifest()['sparse'], ids=ids)
def test_sparse_vector(v, tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(gzip.decompress((VECTORS / v['file']).read_bytes()))
    wrap_key = VECTORS / v['wrap_key']
    ranges = v['readable_ranges']
    for a, b in ranges:
        lines = io(wrap_key, path, f'r{a},{b - a}', stored=v['stored_path'])
        assert lines[2] == f'{b - a} {hashlib.sha256(pattern(a, b - a)).hexdigest()}'
    # All of them in one go, and then a hole: an error, and a sticky one.
    hole = ranges[1][1]
    lines = io(wrap_key, path, *[f'r{a},{b - a}' for a, b in ranges], f'r{hole},10', 'r0,10')
    assert [line.split()[0] for line in lines[2:-1]] == [str(b - a) for a, b in ranges] + ['EBADMSG'] * 2
    assert lines[-1] == 'close EBADMSG'
    # A read that runs into the hole is short.
    lines = io(wrap_key, path, f'r{hole - 50},100')
    assert lines[2] == '50 ' + pattern(hole - 50, 50).hex()


@needs_vectors
def test_pending(tmp_path):
    """A file with the pending-write flag decrypts once its recovery log has been applied."""
    v = next(v for v in manifest()['special'] if 'recovery_file' in v)
    data = bytearray((VECTORS / v['file']).read_bytes())
    log = (VECTORS / v['recovery_file']).read_bytes()
    for at in range(0, len(log), 4104):
        node = int.from_bytes(log[at:at + 8], 'little')
        data[node * 4096:(node + 1) * 4096] = log[at + 8:at + 4104]
    path = tmp_path / 'file'
    path.write_bytes(data)
    assert run(BIN / 'adyton', 'decrypt', '-w', VECTORS / v['wrap_key'], '-i', path, '-o',
               tmp_path / 'out').returncode == 0
    plain = (tmp_path / 'out').read_bytes()
    assert hashlib.sha256(plain).hexdigest() == v['plain_after_recovery_sha256']


@needs_vectors
def test_pending_with_log(tmp_path):
    """The same with the log beside the file, which stays as it is; a log that does not fit is refused."""
    v = next(v for v in manifest()['special'] if 'recovery_file' in v)
    path, log = tmp_path / 'file', tmp_path / 'file.gramine.recovery'
    command = [BIN / 'adyton', 'decrypt', '-w', VECTORS / v['wrap_key'], '-i', path, '-o', tmp_path / 'out']
    path.write_bytes((VECTORS / v['file']).read_bytes())
    log.write_bytes((VECTORS / v['recovery_file']).read_bytes())
    assert run(*command).returncode == 0
    assert hashlib.sha256((tmp_path / 'out').read_bytes()).hexdigest() == v['plain_after_recovery_sha256']
    assert path.read_bytes() == (VECTORS / v['file']).read_bytes()
    for bad in b'', log.read_bytes()[:-1], log.read_bytes()[:4104], bytes(4104 * 4), b'\xff' * 4104:
        log.write_bytes(bad)
        result = run(*command)
        assert result.returncode == 4 and 'interrupted' in result.stderr, (len(bad), result)


@needs_vectors
@pytest.mark.parametrize('v', manifest()['kdf'], ids=ids)
def test_kdf(v):
    assert pfs_reader.metadata_key(bytes.fromhex(v['wrap_key']), bytes.fromhex(v['nonce'])).hex() == \
        v['metadata_key']


@pytest.fixture(scope='module')
def tampered(tmp_path_factory):
    where = tmp_path_factory.mktemp('tamper')
    with tarfile.open(VECTORS / 'tamper-cases.tar.xz') as archive:
        archive.extractall(where)
    (where / 'pf-vectors').mkdir()
    return where


# What the commands say where the library itself stops at open.
OPEN_ERRORS = {'Invalid header': 'not an encrypted file', 'Invalid version': 'format version',
               'Invalid path': 'another path'}


@needs_vectors
@pytest.mark.parametrize('case', tamper_cases(), ids=ids)
def test_tamper(case, tampered):
    stored = 'pf-vectors/tamper_base.pf'
    wrap_key = VECTORS / 'wrap-key-2'
    shutil.copy(tampered / 'tamper' / f'tamper_base.pf.{case["case"]}', tampered / stored)
    out = tampered / 'out'
    out.unlink(missing_ok=True)
    # The command of the peer's name, and the same code under the sanitizers.
    for command in ([BIN / 'gramine-sgx-pf-crypt'], [TOOL, 'pf-crypt']):
        result = run(*command, 'decrypt', '-V', '-w', wrap_key, '-i', stored, '-o', out, cwd=tampered)
        assert result.returncode == case['peer_cli_exit'], result.stderr
        assert out.exists() == (case['stage'] == 'accepted')
        assert len([x for x in result.stderr.splitlines() if x.startswith('error: ')]) == \
            (case['stage'] != 'accepted')
    status = run(BIN / 'adyton', 'decrypt', '-V', '-c', '-w', wrap_key, '-i', stored, cwd=tampered)
    if case['stage'] == 'accepted':
        assert status.returncode == 0
        return
    if case['stage'] == 'open':
        reason = OPEN_ERRORS.get(case['reason'])
        if reason:
            assert status.returncode == 3 and reason in status.stderr
        else:  # wrong tag: of the metadata (3) or of the root (4)
            assert status.returncode in (3, 4)
        return
    assert status.returncode == 4
    if case['stage'] == 'size':
        return
    start = case['unreadable_ranges'][0][0]
    assert f'damaged at byte {start} of {case["stored_size"]}' in status.stderr
    # Everything outside the named ranges reads, nothing inside does.
    size, good, at = case['stored_size'], [], 0
    for a, b in case['unreadable_ranges']:
        good.append((at, a))
        at = b
        lines = io(wrap_key, tampered / stored, f'r{a},1', stored='-')
        assert lines[2].split()[0] == 'EBADMSG'
        if b < size:
            assert io(wrap_key, tampered / stored, f'r{b - 1},1')[2].split()[0] == 'EBADMSG'
    good.append((at, size))
    for a, b in good:
        if a < b:
            line = io(wrap_key, tampered / stored, f'r{a},{b - a}')[2]
            assert line.split()[0] == str(b - a)


SIZES = [0, 1, 3071, 3072, 3073, 4096, 7167, 7168, 7169, 65536, 396287, 396288, 396289, 400384, 789504,
         789505, 1048575, 1048576, 5000000, 12979199, 12979200, 12979201]
FULL_SIZES = [13372416, 13372417, 415632383, 415632384, 415632385, 416025600, 420000000]
if os.environ.get('ADYTON_FULL'):
    SIZES += FULL_SIZES


@pytest.mark.parametrize('size', SIZES)
def test_ours_read_by_the_reader(size, tmp_path, key):
    plain = pattern(0, size)
    (tmp_path / 'in').write_bytes(plain)
    (tmp_path / 'x').mkdir()
    seen = set()
    # The command (large files by several threads, group by group), again, and the library in sequence.
    for way in 'command', 'command', 'library':
        if way == 'command':
            result = run(BIN / 'adyton', 'encrypt', '-w', key, '-i', 'in', '-o', './x/../file', '--path',
                         'some//./where', cwd=tmp_path)
            assert result.returncode == 0, result.stderr
        else:
            pfs_reader.write(KEY, tmp_path / 'file', 'some/where', 0, pattern)
            io(key, tmp_path / 'file', *[f'w{at},{min(size - at, 77777777)}' for at in range(0, size, 77777777)],
               'f')
        reader = pfs_reader.Reader(KEY, tmp_path / 'file', 'some/where')
        assert reader.read() == plain
        used = {reader.nonce, *reader.check_structure()}
        assert not used & seen
        seen |= used
        reader.close()


@pytest.mark.parametrize('major', [1, 2])
@pytest.mark.parametrize('size', SIZES)
def test_reader_writes_for_us(size, major, tmp_path, key):
    pfs_reader.write(KEY, tmp_path / 'file', 'a/b', size, pattern, major=major)
    result = run(BIN / 'adyton', 'decrypt', '-w', key, '-i', 'file', '-p', 'a/b', '-o', 'out',
                 cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / 'out').read_bytes() == pattern(0, size)


# Plaintext offsets where a level of the tree begins: the third, the fourth.
LEVELS = {3: 12979200, 4: 415632384}


@pytest.mark.parametrize('level', LEVELS)
def test_deep(level, tmp_path, key):
    """Sparse files: reading, overwriting and growing at the edge of a level."""
    edge = LEVELS[level]
    first = (edge - pfs_reader.INLINE) // pfs_reader.NODE
    path = tmp_path / 'file'
    pfs_reader.write(KEY, path, 'deep', edge + 10000, pattern, only=[0, first - 1, first, first + 1,
                                                                    first + 2])
    lines = io(key, path, f'r{edge - 4096},14096', f'r{edge + 9999},5', 'r3000,1000', f'w{edge - 10},4200',
               'f', f'w{edge + 10000},500000', f'r{edge + 300000},200')
    want = [f'14096 {hashlib.sha256(pattern(edge - 4096, 14096)).hexdigest()}',
            '1 ' + pattern(edge + 9999, 1).hex(),
            f'1000 {hashlib.sha256(pattern(3000, 1000)).hexdigest()}', '4200', '0', '500000',
            f'200 {hashlib.sha256(pattern(edge + 300000, 200)).hexdigest()}']
    assert lines[2:-1] == want and lines[-1] == 'close 0'
    reader = pfs_reader.Reader(KEY, path, 'deep')
    assert reader.size == edge + 510000
    assert reader.read(edge - 4096) == pattern(edge - 4096, 514096)
    reader.close()
    # Grow over the edge from just below it: the first node of the new level is made.
    above, m = [], first // pfs_reader.SLOTS
    while m:
        m = (m - 1) // pfs_reader.CHILDREN
        above.append(m * pfs_reader.SLOTS)
    pfs_reader.write(KEY, path, 'deep', edge - 1000, pattern, only=[first - 1, *above])
    lines = io(key, path, f'w{edge - 1000},9000', f't{edge + 400000}', f'r{edge + 399990},20')
    assert lines[2:] == ['9000', '0', '10 ' + '00' * 10, 'close 0']
    reader = pfs_reader.Reader(KEY, path, 'deep')
    assert reader.read(edge - 4096) == pattern(edge - 4096, 12096) + bytes(392000)
    reader.close()
    # And back below it.
    lines = io(key, path, f't{edge - 100}', f't{edge + 50}', f'r{edge - 110},1000', 'f')
    assert lines[2:] == ['0', '0', '160 ' + hashlib.sha256(pattern(edge - 110, 10) + bytes(150))
                         .hexdigest(), '0', 'close 0']
    reader = pfs_reader.Reader(KEY, path, 'deep')
    assert reader.read(edge - 4096) == pattern(edge - 4096, 3996) + bytes(150)
    assert path.stat().st_size == pfs_reader.host_size(edge + 50)
    reader.close()


def test_shrink_and_grow(tmp_path, key):
    """What a truncation cut off never comes back."""
    path = tmp_path / 'file'
    pfs_reader.write(KEY, path, 'p', 500000, pattern)
    lines = io(key, path, 't4000', 't500000', 'c', 'r3990,496000', 't100', 'f', 't3072', 'r90,200', 'f')
    assert lines[2:] == ['0', '0', '0',
                         '496000 ' + hashlib.sha256(pattern(3990, 10) + bytes(495990)).hexdigest(),
                         '0', '0', '0', '200 ' + hashlib.sha256(pattern(90, 10) + bytes(190)).hexdigest(),
                         '0', 'close 0']
    pfs_reader.Reader(KEY, path, 'p').check_structure()


def test_rename_stores_the_path(tmp_path, key):
    path = tmp_path / 'file'
    pfs_reader.write(KEY, path, 'old', 5000, pattern)
    assert io(key, path, 'n=./new/../newer', stored='old')[2:] == ['0', 'close 0']
    assert pfs_reader.Reader(KEY, path, 'newer').read() == pattern(0, 5000)
    assert io(key, path, stored='old') == ['open EXDEV']

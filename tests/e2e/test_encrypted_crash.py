# SPDX-License-Identifier: LGPL-3.0-or-later
"""Encrypted mounts after crashes: a process killed while it writes, and what Gramine leaves behind."""
import hashlib
import json
import os
import pathlib
import random
import select
import signal
import subprocess

import pytest

PYTHON = '/usr/bin/python3'
KEY = '00112233445566778899aabbccddeeff'
VECTORS = pathlib.Path(__file__).resolve().parents[2] / '../shared/pf-vectors'

# Version i of a file, written in one of three ways; i is printed when it is closed.
WRITER = '''
import os, sys
exec(sys.argv[3])
path, i = sys.argv[1] + '/file', int(sys.argv[2])
while True:
    i += 1
    if i % 3 == 0 or not os.path.exists(path):
        with open(path, 'wb') as file:
            file.write(version(i))
    elif i % 3 == 1:
        with open(path, 'r+b') as file:
            file.write(version(i))
            file.truncate()
    else:
        with open(path + '.new', 'wb') as file:
            file.write(version(i))
        os.rename(path + '.new', path)
    print(i, flush=True)
'''
VERSION = '''
def version(i):
    block = b'%d,' % i
    return (block * (400000 // len(block)))[:i * 37777 % 390001]
'''


def killed_after(command, folder, seconds):
    """The last number that the command printed before it was killed, so long after the first one."""
    with subprocess.Popen([str(c) for c in command], cwd=folder, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          start_new_session=True) as child:
        try:
            assert select.select([child.stdout], [], [], 120)[0], 'nothing is written'
            try:
                child.wait(seconds)
                pytest.fail(f'the writer ended: {child.returncode}')
            except subprocess.TimeoutExpired:
                pass
        finally:
            os.killpg(child.pid, signal.SIGKILL)
        lines = child.stdout.read().decode().split('\n')[:-1]
    assert lines, 'nothing was written'
    return int(lines[-1])


def on_the_way(old, new, got):
    """Whether got is new, or a part of what leads from old to new."""
    same = len(os.path.commonprefix([got, new]))
    return same == len(got) or (len(got) == len(old) and got[same:] == old[same:])


def test_killed_while_writing(tmp_path, build_dir, prepare_inside, run_native):
    exec(VERSION, globals())
    host = tmp_path / 'host'
    host.mkdir()
    (tmp_path / 'key').write_bytes(bytes.fromhex(KEY))
    start = prepare_inside(PYTHON, extras={
        'fs.mounts': [{'type': 'encrypted', 'path': '/data', 'uri': f'file:{host}'}],
        'fs.insecure__keys.default': KEY})
    last, rng = 0, random.Random(1)
    for _ in range(6):
        done = killed_after(start(['-c', WRITER, '/data', last, VERSION], command_only=True), tmp_path,
                            rng.random() * 0.4)
        # A look from outside repairs nothing; opening inside does.
        assert run_native([build_dir / 'bin' / 'adyton', 'decrypt', '-w', tmp_path / 'key', '-i', host / 'file',
                           '-o', tmp_path / 'out']).status == 0
        got = (tmp_path / 'out').read_bytes()
        result = start(['-c', 'import sys; sys.stdout.buffer.write(open("/data/file", "rb").read())'])
        assert result.status == 0 and result.out.encode() == got, result.err
        old, new = version(done), version(done + 1)  # noqa: F821
        assert got == old or on_the_way(old, new, got), (done, len(got), got[:20])
        last = done + 1
        result = start(['-c', VERSION + f'open("/data/file", "wb").write(version({last}))'])
        assert result.status == 0, result


@pytest.mark.skipif(not VECTORS.is_dir(), reason='../shared/pf-vectors is absent')
def test_log_of_gramine(tmp_path, run_inside):
    special = json.loads((VECTORS / 'manifest.json').read_text())['special']
    vector = next(v for v in special if 'recovery_file' in v)
    folder = tmp_path / 'pf-vectors'
    folder.mkdir()
    file, log = folder / vector['file'], folder / vector['recovery_file']
    file.write_bytes((VECTORS / vector['file']).read_bytes())
    extras = {'fs.mounts': [{'type': 'encrypted', 'path': '/data', 'uri': 'file:pf-vectors',
                             'enable_recovery': True}],
              'fs.insecure__keys.default': (VECTORS / vector['wrap_key']).read_bytes().hex()}
    command = ['/usr/bin/sha256sum', f'/data/{file.name}']
    for bad in None, (VECTORS / vector['recovery_file']).read_bytes()[4104:-4104]:
        if bad is not None:
            log.write_bytes(bad)
        result = run_inside(command, extras=extras)
        assert result.status == 1 and 'Permission denied' in result.err and 'interrupted' in result.err, result
    file.write_bytes((VECTORS / vector['file']).read_bytes())
    log.write_bytes((VECTORS / vector['recovery_file']).read_bytes())
    for _ in range(2):
        result = run_inside(command, extras=extras)
        assert result.status == 0, result
        assert result.out.split()[0] == vector['plain_after_recovery_sha256']
        assert not log.exists()
    assert hashlib.sha256(file.read_bytes()).hexdigest() != vector['host_sha256']

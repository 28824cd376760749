# SPDX-License-Identifier: LGPL-3.0-or-later
"""A second process in an enclave, and hosts that do not play fair when one is made."""
import pathlib
import shutil
import subprocess

import pytest

from conftest import run

PYTHON = '/usr/bin/python3'
HERE = pathlib.Path(__file__).parent

FORKS = '''
import os
try:
    p = os.fork()
except OSError as e:
    print('refused', e.errno)
    raise SystemExit(0)
if p == 0:
    print('child ran', flush=True)
    os._exit(5)
print('ended', os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]))
'''


@pytest.fixture(scope='module')
def hostile_host(build_dir, tmp_path_factory):
    """An installation whose runtime is hostile_host.c: the launcher in it."""
    root = tmp_path_factory.mktemp('hostile')
    for name in ('bin/gramine-sgx', 'bin/adyton', 'lib/adyton/adyton-enclave', 'lib/adyton/adyton-sgxemu',
                 'lib/adyton/adyton-tools'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(build_dir / name, root / name)
    real = root / 'lib/adyton/adyton-sgx'
    shutil.copy(build_dir / 'lib/adyton/adyton-sgx', f'{real}-real')
    done = subprocess.run(['gcc', '-O1', '-Wall', '-Werror', '-static', '-o', real, HERE / 'hostile_host.c'],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return root / 'bin' / 'gramine-sgx'


@pytest.fixture
def under(hostile_host):
    """under(prefix, what, env={}) -> Result of FORKS under a host that does `what`"""
    def start(prefix, what, env=None):
        return run([hostile_host, prefix, '-c', FORKS],
                   env={'ADYTON_SGX': 'emulate', 'HOSTILE': what, **(env or {})}, timeout=120)
    return start


def test_the_test_s_host_can_be_fair(signed, under):
    done = under(signed(PYTHON), 'nothing')
    assert (done.status, done.out) == (0, 'child ran\nended 5\n'), str(done)


# Records: 0 says what comes, from 1 on there is memory.
@pytest.mark.parametrize('what', ['flip 0', 'flip 2', 'drop 0', 'drop 2', 'repeat 1', 'swap 1', 'swap 3', 'cut 0', 'cut 4'])
def test_host_that_changes_the_stream(what, signed, under):
    done = under(signed(PYTHON), what)
    assert (done.status, done.out) == (0, 'refused 11\n'), str(done)
    assert 'no child process: ' in done.err and 'a child process does not start: ' in done.err, str(done)


def test_host_that_keeps_the_last_word_back(signed, under):
    """The parent has a child then that ended: it ran nothing."""
    done = under(signed(PYTHON), 'drop go')
    assert (done.status, done.out) == (0, 'ended 1\n'), str(done)


def test_second_child_of_one_snapshot(signed, under):
    done = under(signed(PYTHON), 'second')
    assert (done.status, done.out) == (0, 'child ran\nended 5\n'), str(done)
    assert 'second child: status 1\n' in done.err and 'its parent is no enclave like this one' in done.err, str(done)


def test_another_enclave_as_child(signed, under, tmp_path):
    """Another manifest, and the same one signed by somebody else."""
    prefix = signed(PYTHON)
    other = signed(PYTHON, {'sgx.max_threads': 9})
    saved = tmp_path / 'compiled'
    done = under(other, 'nothing', {'HOSTILE_SAVE': str(saved)})
    assert done.status == 0, str(done)
    done = under(prefix, 'other', {'OTHER_MANIFEST': str(saved), 'OTHER_SIGNATURE': f'{other}.sig'})
    assert (done.status, done.out) == (0, 'refused 11\n'), str(done)
    assert 'its parent is no enclave like this one' in done.err, str(done)


def test_child_signed_by_another(signed, under, build_dir, tmp_path):
    prefix = signed(PYTHON)
    saved, key = tmp_path / 'compiled', tmp_path / 'other.pem'
    done = under(prefix, 'nothing', {'HOSTILE_SAVE': str(saved)})
    assert done.status == 0, str(done)
    assert run([build_dir / 'bin' / 'gramine-sgx-gen-private-key', '-q', key]).status == 0
    done = run([build_dir / 'bin' / 'gramine-sgx-sign', '-m', f'{prefix}.manifest', '-o', tmp_path / 'o.manifest.sgx',
                '-k', key, '-s', tmp_path / 'o.sig'])
    assert done.status == 0, str(done)
    done = under(prefix, 'other', {'OTHER_MANIFEST': str(saved), 'OTHER_SIGNATURE': str(tmp_path / 'o.sig')})
    assert (done.status, done.out) == (0, 'refused 11\n'), str(done)
    assert 'its parent is no enclave like this one' in done.err, str(done)


SHARES = '''
import mmap, os
m = mmap.mmap(-1, 4096)
try:
    os.fork()
except OSError as e:
    print(e.errno)
'''


def test_shared_memory_is_refused(signed, enclave):
    done = enclave(signed(PYTHON), ['-c', SHARES])
    assert (done.status, done.out) == (0, '95\n') and 'MAP_SHARED' in done.err, str(done)


BUSY = '''
import os, threading, time
stop = False
def busy():
    while not stop:
        sum(range(100))
threads = [threading.Thread(target=busy) for _ in range(4)]
[t.start() for t in threads]
ends = []
for i in range(6):
    p = os.fork()
    if p == 0:
        os._exit(i)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]))
stop = True
[t.join() for t in threads]
print(ends)
'''


def test_forks_beside_busy_threads(signed, enclave):
    done = enclave(signed(PYTHON), ['-c', BUSY])
    assert (done.status, done.out, done.err) == (0, '[0, 1, 2, 3, 4, 5]\n', ''), str(done)


def test_protections(signed, enclave, tmp_path):
    program = tmp_path / 'forkprot'
    done = subprocess.run(['gcc', '-O1', '-Wall', '-Werror', '-o', program, HERE / 'forkprot.c'], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr
    native = run([program])
    assert native.out == 'hidden constant\n0 0\n1 b\n2 b\nhidden constant\n', str(native)
    inside = enclave(signed(str(program)))
    assert (inside.status, inside.out, inside.err) == (0, native.out, ''), str(inside)


def test_make_and_signals(signed, enclave, tmp_path):
    (tmp_path / 'Makefile').write_text('all:\n\t@echo one | tr a-z A-Z\n\t@sh -c "exit 0"; echo two\n')
    done = enclave(signed('/usr/bin/make'), ['-s', '-C', str(tmp_path)])
    assert (done.status, done.out, done.err) == (0, 'ONE\ntwo\n', ''), str(done)
    done = enclave(signed('/usr/bin/bash'), ['-c', 'sleep 100 & kill $!; wait $!; echo $?'])
    assert (done.status, done.out) == (0, '143\n'), str(done)

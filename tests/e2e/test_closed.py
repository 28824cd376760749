# SPDX-License-Identifier: LGPL-3.0-or-later
"""The closed platform: how it is asked for, what it says, what it refuses. Whole suites run on it with
ADYTON_PLATFORM=closed (conftest.py).
"""
import os

import pytest
from conftest import NOTICES, OUTCOMES, PLATFORM

PYTHON = '/usr/bin/python3'
CLOSED = {'ADYTON_PLATFORM': 'closed'}

pytestmark = pytest.mark.skipif(PLATFORM != 'direct', reason='names the platform by itself')


@pytest.fixture
def closed(build_dir, run_inside, tmp_path):
    if not os.access(build_dir / 'lib' / 'adyton' / 'adyton-closed', os.X_OK):
        pytest.skip('adyton-closed is not built')

    def run(code, **extras):
        return run_inside([PYTHON, '-I', '-S', '-c', OUTCOMES + code, tmp_path], allowed=[f'{tmp_path}/'],
                          env=CLOSED, extras=extras)
    return run


def test_says_what_it_is(closed):
    result = closed('print("inside")')
    assert (result.status, result.out, result.err) == (0, 'inside\n', NOTICES['closed']), str(result)


def test_unknown_platform(prepare_inside):
    result = prepare_inside(PYTHON)(['-c', ''], env={'ADYTON_PLATFORM': 'enclave'})
    assert result.status == 2
    assert result.err == "error: ADYTON_PLATFORM is 'enclave'; it may be 'direct' or 'closed'\n"


def test_no_call_without_a_typed_function(closed):
    """Files, a child, a thread, a socket: nothing reaches for the host by itself."""
    result = closed('''
import socket, subprocess, threading
thread = threading.Thread(target=lambda: print('thread', flush=True))
thread.start(); thread.join()
print(subprocess.run(['/bin/echo', 'child'], capture_output=True, text=True).stdout, end='')
a, b = socket.socketpair()
a.send(b'socket'); print(b.recv(10).decode())
with open(sys.argv[1] + '/file', 'w+') as f:
    f.write('file'); f.seek(0); print(f.read())
''', **{'loader.log_level': 'debug'})
    assert result.status == 0, str(result)
    assert result.out.split() == ['thread', 'child', 'socket', 'file']
    assert 'refused' not in result.err, str(result)


def test_no_memory_is_shared(closed):
    """An error and a line, never two processes that see different things."""
    result = closed('''
import mmap
area = mmap.mmap(-1, 4096)
print(attempt(os.fork))
area.close()
pid = os.fork()
if not pid: os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
with open(sys.argv[1] + '/file', 'wb+') as f:
    f.write(bytes(4096)); f.flush()
    one = mmap.mmap(f.fileno(), 4096)
    print(attempt(mmap.mmap, f.fileno(), 4096))
    one[0:5] = b'store'
    print(os.pread(f.fileno(), 5, 0), os.pwrite(f.fileno(), b'write', 8), one[8:13])
''')
    assert result.out.splitlines() == ['ENOTSUP', '3', 'ENOTSUP', "b'store' 5 b'write'"], str(result)
    assert result.err.count('this platform has n') == 2, str(result)

# SPDX-License-Identifier: LGPL-3.0-or-later
"""Only processes of the run exist for a program: others on the machine survive whatever it does by
number. Everything runs in a pid namespace of its own, whose other processes are the bystanders."""
import contextlib
import os
import socket
import subprocess
import time

import pytest

from conftest import ROOT, run

PYTHON = '/usr/bin/python3'
PROGRAMS = ROOT / 'tests' / 'programs'
NAMESPACE = ['/usr/bin/unshare', '--pid', '--fork', '--mount-proc', '--kill-child']
ROUNDS = 100000 if os.environ.get('ADYTON_FULL') else 5000


@pytest.fixture
def namespace():
    """What a command begins with that runs in a pid namespace of its own."""
    try:
        known = subprocess.run([*NAMESPACE, '/bin/true'], capture_output=True, check=False)
    except OSError as e:
        pytest.skip(f'no unshare(1): {e}')
    if known.returncode:
        pytest.skip(f'no pid namespaces here: {known.stderr.decode().strip()}')
    return NAMESPACE


@pytest.fixture
def among_bystanders(prepare_inside, namespace, tmp_path):
    """among_bystanders(program, *args) -> Result: inside, between bystanders, in a pid namespace"""
    def start(program, *args):
        command = prepare_inside(program)(args, command_only=True)
        return run([*namespace, PYTHON, '-u', PROGRAMS / 'reach_around.py', *command], cwd=tmp_path, timeout=60)
    return start


def test_nobody_outside_is_reached(among_bystanders):
    result = among_bystanders(PYTHON, PROGRAMS / 'reach.py', ROUNDS)
    assert result.out.splitlines() == ['nobody outside', 'killed [-15, -15, -15]', 'nice 4 4 4 4', 'group -10',
                                       'random done', 'unchanged', 'unchanged', 'unchanged', 'status 0'], str(result)


MACHINE = """\
mknod EPERM EPERM EPERM EPERM False
file system ENOTTY
clone EOPNOTSUPP EOPNOTSUPP
flags ok EACCES
interface 0 EPERM
raw EPERM EPERM EPERM EPERM EAFNOSUPPORT
namespace ENOTTY ENOTTY ENOTTY
netlink EPERM
inherited typed EPERM stolen EPERM hung up EPERM EPERM console EPERM locked EPERM discipline EPERM bad EFAULT
inherited owner ESRCH ESRCH ESRCH
opened typed EPERM stolen EPERM hung up EPERM EPERM console EPERM locked EPERM discipline EPERM bad EFAULT
opened owner ESRCH
names ENOENT ENOENT True True
child 0
pidfd ESRCH ESRCH ESRCH ECHILD EPERM ENOTTY ENOSYS ENOSYS
pidfd ESRCH ESRCH ESRCH ECHILD EPERM ENOTTY ENOSYS ENOSYS
pidfd ESRCH ESRCH ESRCH ECHILD EPERM ENOTTY ENOSYS ENOSYS
own True
calls ptrace EPERM perf_event_open EPERM process_vm_readv ENOSYS process_vm_writev ENOSYS kcmp ENOSYS \
process_madvise ENOSYS add_key ENOSYS request_key ENOSYS keyctl ENOSYS name_to_handle_at ENOSYS \
open_by_handle_at EPERM io_uring_setup ENOSYS fanotify_init ENOSYS pivot_root EPERM mount EPERM umount2 EPERM \
unshare EPERM setns EPERM open_tree EPERM fsopen EPERM
status 0
input b'typed'
foreground True
S
S
S
"""


def test_machine(prepare_inside, namespace, tmp_path):
    """Devices, file systems, the network, a terminal with others in its foreground, descriptors of processes."""
    folder = tmp_path / 'allowed'
    folder.mkdir()
    command = prepare_inside(PYTHON, allowed=[f'{folder}/'], cwd=folder)([PROGRAMS / 'machine.py'], command_only=True)
    done = run([*namespace, '--net', PYTHON, '-u', PROGRAMS / 'machine_around.py', *command], cwd=tmp_path)
    assert done.out == MACHINE, str(done)


CLIENT = """
import os, socket, sys
for name in ('\\0' + sys.argv[1], sys.argv[2] + '/free/s', sys.argv[2] + '/closed/s', sys.argv[2] + '/free/link',
             sys.argv[2] + '/closed/none'):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as s:
            try:
                (s.connect if kind == socket.SOCK_STREAM else lambda n: s.sendto(b'x', n))(name + str(int(kind)))
                print('reached', name[-8:])
            except OSError as e:
                print(type(e).__name__, name[-8:])
try:
    socket.socket(socket.AF_UNIX).bind(sys.argv[2] + '/free/up/new')
except OSError as e:
    print(type(e).__name__)
with socket.socket(socket.AF_UNIX) as s:
    s.bind('\\0' + sys.argv[1] + '1')
    s.listen()
    if os.fork() == 0:
        with socket.socket(socket.AF_UNIX) as c:
            c.connect('\\0' + sys.argv[1] + '1')
            os._exit(c.getpeername() != b'\\0' + sys.argv[1].encode() + b'1')
    print('own', os.wait()[1], s.getsockname()[1:].decode() == sys.argv[1] + '1')
"""


def test_sockets_outside(run_inside, tmp_path):
    """Neither a socket whose file is not allowed nor an abstract name leads to a process outside."""
    (tmp_path / 'client.py').write_text(CLIENT)
    name = f'adyton-test-{os.getpid()}'
    for folder in ('free', 'closed'):
        (tmp_path / folder).mkdir()
    with contextlib.ExitStack() as stack:
        here = os.open('.', os.O_PATH)
        os.chdir(tmp_path)  # the length of a socket's path is limited
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for place in ('\0' + name, 'free/s', 'closed/s'):
                s = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
                s.bind(f'{place}{int(kind)}')
                if kind == socket.SOCK_STREAM:
                    s.listen()
            (tmp_path / 'free' / f'link{int(kind)}').symlink_to(f'../closed/s{int(kind)}')
        (tmp_path / 'free' / 'up').symlink_to('../closed')
        os.fchdir(here)
        os.close(here)
        done = run_inside([PYTHON, '-S', 'client.py', name, '.'], extras={'sgx.file_check_policy': 'strict'}, cwd=tmp_path,
                          allowed=['/usr/', '/lib/', '/lib64/', '/etc/', f'{tmp_path}/free/', f'{tmp_path}/client.py'])
    assert done.out.splitlines() == [
        f'ConnectionRefusedError {name[-8:]}'] * 2 + ['reached ./free/s'] * 2 + \
        ['PermissionError closed/s'] * 2 + ['PermissionError ree/link'] * 2 + ['FileNotFoundError sed/none'] * 2 + \
        ['PermissionError', 'own 0 True'], str(done)
    assert not (tmp_path / 'closed' / 'new').exists()


DEADLY = '''
sleep 100 & sleep 100 &
set -m; sleep 100 & set +m
kill -KILL -1; wait; echo "killed all: $(jobs -p | wc -l)"
trap "echo got it" TERM
sleep 100 & kill 0; wait %1 2>/dev/null; echo group
for p in $(seq 1 60); do [ $p = $$ ] || { kill -KILL $p; kill -KILL -- -$p; } 2>/dev/null; done
echo alone
'''


def test_members_as_natively(prepare_inside, tmp_path, among_bystanders):
    """Signals and priorities to all, to groups, between users: in an empty pid namespace as natively."""
    program = PROGRAMS / 'reach_same.py'
    inside = prepare_inside(PYTHON)([program], command_only=True)
    native, ours = (run([*NAMESPACE, '/bin/sh', '-c', '"$@"; echo status $?', 'sh', *command], cwd=tmp_path)
                    for command in ([PYTHON, program], inside))
    assert native.out.splitlines()[-1] == 'status 137' and len(native.out.splitlines()) > 15, str(native)
    assert ours.out == native.out, f'native: {native}\ninside: {ours}'


def test_time_out_ends_all():
    """Of this suite itself: children in groups and sessions of their own do not outlive a time-out."""
    begin = time.monotonic()
    done = run(['/bin/sh', '-c', 'setsid sh -c "echo \\$\\$; exec sleep 300" & set -m; (sleep 300) & '
                'setsid sleep 300 & sleep 300'], timeout=5)
    assert done.status == 'timeout' and time.monotonic() - begin < 100
    assert not os.path.exists(f'/proc/{int(done.out)}') or \
        open(f'/proc/{int(done.out)}/stat').read().rsplit(')', 1)[1].split()[0] == 'Z'


def test_deadly_shell(among_bystanders):
    result = among_bystanders('/bin/bash', '-c', DEADLY, 'bash')
    lines = [line for line in result.out.splitlines() if 'Killed' not in line and 'Terminated' not in line]
    assert lines == ['killed all: 0', 'got it', 'group', 'alone', 'unchanged', 'unchanged', 'unchanged',
                     'status 0'], str(result)

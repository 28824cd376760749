# SPDX-License-Identifier: LGPL-3.0-or-later
"""Runs inside, with the numbers of processes outside as arguments: none of them can be reached."""
import array
import ctypes
import errno
import fcntl
import os
import random
import signal
import socket
import struct
import sys
import time

rounds, *outside = map(int, sys.argv[1:])
libc = ctypes.CDLL(None, use_errno=True)
room = ctypes.create_string_buffer(4096)
at = ctypes.addressof(room)
left, right = socket.socketpair()


def call(number, *args):
    ctypes.set_errno(0)
    if libc.syscall(number, *(ctypes.c_long(a) for a in args)) == -1:
        return errno.errorcode[ctypes.get_errno()]
    return 'ok'


def info(code):
    """siginfo_t in `room`"""
    room[:128] = struct.pack('iii', 0, 0, code) + bytes(116)
    return at


def pidfd_kill(pid, sig):
    fd = libc.syscall(434, pid, 0)
    if fd < 0:
        return errno.errorcode[ctypes.get_errno()]
    result = call(424, fd, sig, 0, 0)
    os.close(fd)
    return result


def own(cmd, value, kind='fcntl'):
    try:
        if kind == 'fcntl':
            fcntl.fcntl(left, cmd, value)
        else:
            fcntl.ioctl(left, cmd, struct.pack('i', value))
    except OSError as e:
        return errno.errorcode[e.errno]
    fcntl.fcntl(left, 8, 0)
    return 'ok'


def credentials(pid):
    try:
        left.sendmsg([b'x'], [(socket.SOL_SOCKET, 2, struct.pack('iii', pid, os.getuid(), os.getgid()))])
    except OSError as e:
        return errno.errorcode[e.errno]
    return 'ok'


def write_oom(pid):
    try:
        with open(f'/proc/{pid}/oom_score_adj', 'w') as f:
            f.write('500')
    except OSError as e:
        return errno.errorcode[e.errno]
    return 'ok'


CALLS = {
    'kill': lambda p, s: call(62, p, s),
    'kill group': lambda p, s: call(62, -p, s),
    'tkill': lambda p, s: call(200, p, s),
    'tgkill': lambda p, s: call(234, p, p, s),
    'rt_sigqueueinfo': lambda p, s: call(129, p, s, info(-1)),
    'rt_tgsigqueueinfo': lambda p, s: call(297, p, p, s, info(-1)),
    'pidfd_open': pidfd_kill,
    'getpgid': lambda p, s: call(121, p),
    'getsid': lambda p, s: call(124, p),
    'setpgid': lambda p, s: call(109, p, 0),
    'setpriority': lambda p, s: call(141, 0, p, 5),
    'setpriority group': lambda p, s: call(141, 1, p, 5),
    'getpriority': lambda p, s: call(140, 0, p),
    'getpriority group': lambda p, s: call(140, 1, p),
    'ioprio_set': lambda p, s: call(251, 1, p, 3 << 13),
    'ioprio_set group': lambda p, s: call(251, 2, p, 3 << 13),
    'ioprio_get': lambda p, s: call(252, 1, p),
    'sched_setparam': lambda p, s: (room.__setitem__(slice(0, 4), bytes(4)), call(142, p, at))[1],
    'sched_getparam': lambda p, s: call(143, p, at),
    'sched_setscheduler': lambda p, s: (room.__setitem__(slice(0, 4), bytes(4)), call(144, p, 3, at))[1],
    'sched_getscheduler': lambda p, s: call(145, p),
    'sched_rr_get_interval': lambda p, s: call(148, p, at),
    'sched_setaffinity': lambda p, s: (room.__setitem__(slice(0, 8), b'\1' + bytes(7)), call(203, p, 8, at))[1],
    'sched_getaffinity': lambda p, s: call(204, p, 4096, at),
    'sched_setattr': lambda p, s: (room.__setitem__(slice(0, 48), struct.pack('IIQiIQQQ', 48, 3, 0, 0, 0, 0, 0, 0)),
                                   call(314, p, at, 0))[1],
    'sched_getattr': lambda p, s: call(315, p, at, 48, 0),
    'prlimit64': lambda p, s: (room.__setitem__(slice(0, 16), bytes(16)), call(302, p, 4, at, 0))[1],
    'prlimit64 get': lambda p, s: call(302, p, 4, 0, at),
    'get_robust_list': lambda p, s: call(274, p, at, at + 8),
    'F_SETOWN': lambda p, s: own(8, p),
    'F_SETOWN group': lambda p, s: own(8, -p),
    'F_SETOWN_EX': lambda p, s: own(15, struct.pack('ii', 1, p)),
    'F_SETOWN_EX thread': lambda p, s: own(15, struct.pack('ii', 0, p)),
    'FIOSETOWN': lambda p, s: own(0x8901, p, 'ioctl'),
    'SIOCSPGRP': lambda p, s: own(0x8902, p, 'ioctl'),
    'SCM_CREDENTIALS': lambda p, s: credentials(p),
    'clock_gettime': lambda p, s: call(228, (~p << 3) | 2, at),
    'clock_getres': lambda p, s: call(229, (~p << 3) | 2, at),
    'timer_create': lambda p, s: call(222, (~p << 3) | 2, 0, at),
    'oom_score_adj': lambda p, s: write_oom(p),
    'PR_SET_PTRACER': lambda p, s: call(157, 0x59616d61, p, 0, 0, 0),
    'capget': lambda p, s: (room.__setitem__(slice(0, 8), struct.pack('Ii', 0x20080522, p)), call(125, at, at + 64))[1],
    'process_vm_readv': lambda p, s: call(310, p, at, 0, at, 0, 0),
    'kcmp': lambda p, s: call(312, p, p, 0, 0, 0),
    'ptrace': lambda p, s: call(101, 16, p, 0, 0),
    'move_pages': lambda p, s: call(279, p, 0, 0, 0, 0, 0),
    'migrate_pages': lambda p, s: call(256, p, 0, 0, 0),
    'wait4': lambda p, s: call(61, p, 0, 1, 0),
}
SAYS = {'clock_gettime': 'EINVAL', 'clock_getres': 'EINVAL', 'timer_create': 'EINVAL', 'oom_score_adj': 'ENOENT',
        'PR_SET_PTRACER': 'EINVAL', 'SCM_CREDENTIALS': 'EPERM', 'process_vm_readv': 'ENOSYS', 'kcmp': 'ENOSYS', 'ptrace': 'EPERM',
        'move_pages': 'ENOSYS', 'migrate_pages': 'ENOSYS', 'wait4': 'ECHILD'}


def sleeper():
    pid = os.fork()
    if pid == 0:
        while True:
            time.sleep(100)
    return pid


# Each number outside, by each call: as if there were no such process. In the group of the start there is
# us, and only us.
for pid in outside:
    for name, reach in CALLS.items():
        if pid == os.getpgrp() and 'group' in name and not name.startswith('F_'):
            continue
        said = reach(pid, 0)
        expected = 'EPERM' if name == 'F_SETOWN group' and pid == os.getpgrp() else SAYS.get(name, 'ESRCH')
        if said != expected:
            print(f'{name} {pid}: {said}, not {expected}')
print('nobody outside')

# What reaches many reaches the members.
children = [sleeper() for _ in range(3)]
os.kill(-1, signal.SIGTERM)
print('killed', [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children])
child = sleeper()
os.setpriority(os.PRIO_USER, 0, 3)
os.setpriority(os.PRIO_PGRP, os.getpgrp(), 4)
print('nice', os.getpriority(os.PRIO_PROCESS, child), os.getpriority(os.PRIO_PROCESS, 0),
      os.getpriority(os.PRIO_PGRP, 0), os.getpriority(os.PRIO_USER, os.getuid()))
signal.signal(signal.SIGUSR1, lambda *_: None)
os.kill(0, signal.SIGUSR1)
print('group', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

# At random; members ignore what can be ignored.
for sig in range(1, 65):
    if sig not in (9, 19, 32, 33):
        signal.signal(sig, signal.SIG_IGN)
child = sleeper()
random.seed(rounds)
inside = {os.getpid(), child}
for _ in range(rounds):
    pid = random.choice([*outside, *outside, *inside, *range(1, 64), -1, 0, random.randrange(1 << 22)])
    name = random.choice([*CALLS])
    deadly = pid > 0 and pid not in inside and 'group' not in name
    sig = random.choice([0, *range(1, 9), *range(10, 19), *range(20, 32), *([9, 19] if deadly else [])])
    if name in ('sched_setscheduler', 'sched_setattr', 'prlimit64', 'wait4') and pid <= 0:
        continue  # of ourselves
    CALLS[name](pid, sig)
    if name == 'timer_create':
        call(226, array.array('i', room[:4])[0])
os.kill(child, signal.SIGKILL)
print('random done')

# SPDX-License-Identifier: LGPL-3.0-or-later
"""Signals and priorities to many, and between users: natively and inside the same. Only for a pid
namespace of its own, of which it is not the first process."""
import ctypes
import errno
import fcntl
import os
import pty
import signal
import sys
import termios
import time

assert os.getpid() != 1
sys.stdout.reconfigure(line_buffering=True)
libc = ctypes.CDLL(None, use_errno=True)


def call(number, *args):
    ctypes.set_errno(0)
    r = libc.syscall(number, *(ctypes.c_long(a) for a in args))
    return errno.errorcode[ctypes.get_errno()] if r == -1 else 'ok'


def attempt(what, *args):
    try:
        return what(*args)
    except OSError as e:
        return errno.errorcode[e.errno]


def member(prepare=lambda: None):
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ready)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        prepare()
        os.write(done, b'x')
        while True:
            time.sleep(100)
    os.close(done)
    os.read(ready, 1)
    os.close(ready)
    return pid


def ends(pids):
    return [os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in pids]


def ignoring():
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


# All: groups, sessions, those that ignore it; not the sender.
family = [member(), member(os.setpgrp), member(os.setsid), member(ignoring)]
print('none', call(62, -1, 0), 'bad', call(62, -1, 65), call(62, 0, 65), call(62, -(1 << 31), 9))
os.kill(-1, signal.SIGUSR1)
print('all', ends(family[:3]))
os.kill(-1, signal.SIGKILL)
print('rest', ends(family[3:]), 'nobody', call(62, -1, 9))

# A group, of which we are none; one that is gone; one whose leader is gone.
leader = member(os.setpgrp)
follower = member(lambda: os.setpgid(0, leader))
print('nice', attempt(os.setpriority, os.PRIO_PGRP, leader, 3), os.getpriority(os.PRIO_PROCESS, follower),
      os.getpriority(os.PRIO_PROCESS, 0), attempt(os.getpriority, os.PRIO_PGRP, leader))
os.kill(leader, signal.SIGKILL)
print('leader', ends([leader]))
print('group', os.getpgid(follower) == leader, attempt(os.setpriority, os.PRIO_PGRP, leader, 5),
      os.getpriority(os.PRIO_PROCESS, follower), attempt(os.killpg, leader, signal.SIGTERM), ends([follower]))
print('gone', attempt(os.killpg, leader, signal.SIGTERM), attempt(os.setpriority, os.PRIO_PGRP, leader, 5),
      attempt(os.getpriority, os.PRIO_PGRP, leader))


# Between users.
def other_user():
    os.setgid(1234)
    os.setuid(1234)


def tries(targets):
    other_user()
    for name, pid in targets:
        fd = libc.syscall(434, pid, 0)
        print(name, call(62, pid, 0), call(62, pid, signal.SIGTERM), call(62, pid, 65), call(234, pid, pid, signal.SIGTERM),
              call(200, pid, signal.SIGTERM), call(424, fd, signal.SIGTERM, 0, 0), call(62, pid, signal.SIGCONT), flush=True)
        os.close(fd)
    print('groups', call(62, -targets[2][1], signal.SIGTERM), call(62, -1, 0), flush=True)
    os._exit(0)


targets = [('root', member()), ('session', member(os.setsid)), ('group', member(os.setpgrp)), ('same', member(other_user))]
pid = os.fork()
if pid == 0:
    tries(targets)
print('tried', ends([pid]))
os.waitid(os.P_PID, targets[3][1], os.WEXITED | os.WNOWAIT)  # it ends of what was sent, and not of what follows
os.kill(-1, signal.SIGKILL)
print('left', ends([pid for _, pid in targets]))

# A sibling instead of a child; a wait for all kinds finds children and nothing else.
twin = os.fork()
if twin == 0:
    pid = libc.syscall(56, 0x8000 | signal.SIGCHLD, 0, 0, 0, 0)
    os._exit(5 if pid == 0 else 6)
codes = sorted(ends([-1, -1]))
print('siblings', codes, call(61, -1, 0, 0x40000000, 0), call(61, -1, 0, 0x80000000, 0), call(61, 0, 0, 0x60000000, 0))

# A terminal of our own signals us.
got = []
for sig in (signal.SIGIO, signal.SIGURG):
    signal.signal(sig, lambda n, _: got.append(signal.Signals(n).name))
master, slave = pty.openpty()
fcntl.fcntl(slave, fcntl.F_SETOWN, os.getpid())
fcntl.fcntl(slave, fcntl.F_SETFL, fcntl.fcntl(slave, fcntl.F_GETFL) | os.O_ASYNC)
os.write(master, b'x\n')
for _ in range(1000):
    if got:
        break
    time.sleep(0.01)
print('terminal', got[:1], attempt(fcntl.ioctl, slave, termios.TIOCSCTTY, 0))
os.kill(os.getpid(), signal.SIGKILL)

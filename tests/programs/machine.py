# SPDX-License-Identifier: LGPL-3.0-or-later
"""Runs inside, in an allowed folder and a network namespace: tries to reach the machine, its terminal and
its processes by what is no process number. Arguments: descriptors of a terminal, of a socket that brings
descriptors of processes, and the names of the terminal and of one that is no business of ours."""
import ctypes
import errno
import fcntl
import os
import signal
import socket
import stat
import struct
import sys
import termios

signal.signal(signal.SIGUSR1, signal.SIG_IGN)
terminal, source = int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
libc = ctypes.CDLL(None, use_errno=True)
room = ctypes.create_string_buffer(8192)
at = ctypes.addressof(room)


def code(number):
    return 'EOPNOTSUPP' if number == errno.EOPNOTSUPP else errno.errorcode[number]


def call(number, *args):
    ctypes.set_errno(0)
    r = libc.syscall(number, *(ctypes.c_long(a) for a in args))
    return code(ctypes.get_errno()) if r == -1 else r


def ioctl(fd, cmd, data=bytes(1024)):
    room[:len(data)] = data
    return call(16, fd, cmd, at)


def attempt(what, *args):
    try:
        what(*args)
    except OSError as e:
        return code(e.errno)
    return 'ok'


def say(name, *results):
    print(name, *results, flush=True)


# Devices under new names.
say('mknod', *(attempt(os.mknod, f'device{kind}', kind | 0o600, os.makedev(1, minor))
               for kind, minor in ((stat.S_IFCHR, 1), (stat.S_IFCHR, 11), (stat.S_IFCHR, 5), (stat.S_IFBLK, 0))),
    os.path.exists('device'))

# Whole file systems, descriptors by the host's numbers, files by handles.
file, folder = os.open('file', os.O_RDWR | os.O_CREAT), os.open('.', os.O_RDONLY)
FREEZE, TRIM, SHUTDOWN, RESIZE, XFS_HANDLE, BTRFS_SNAPSHOT, EXT4_MOVE = \
    0xc0045877, 0xc0185879, 0x8004587d, 0x40086610, 0x4038586b, 0x50009401, 0xc028660f
say('file system', *{ioctl(fd, cmd) for fd in (file, folder)
                     for cmd in (TRIM, SHUTDOWN, RESIZE, XFS_HANDLE, BTRFS_SNAPSHOT, EXT4_MOVE, FREEZE + 0x100)})
say('clone', *{call(16, file, 0x40049409, n) for n in range(200)},
    *{ioctl(file, 0x4020940d, struct.pack('qQQQ', n, 0, 0, 0)) for n in range(200)})
reader = os.open('file', os.O_RDONLY)
say('flags', 'ok' if ioctl(reader, 0x80086601) in (0, 'ENOTTY') else 'bad', ioctl(reader, 0x40086602, struct.pack('q', 0x40)))

# The network.
with socket.socket() as s, socket.socket(socket.AF_UNIX) as u, socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as n:
    up = b'lo'.ljust(16, b'\0') + struct.pack('H', 1) + bytes(22)
    say('interface', ioctl(s.fileno(), 0x8913, up), ioctl(s.fileno(), 0x8914, up))
    say('raw', *(attempt(socket.socket, socket.AF_INET, socket.SOCK_RAW, protocol) for protocol in (1, 6, 17, 255)),
        attempt(socket.socket, socket.AF_PACKET, socket.SOCK_RAW))
    say('namespace', ioctl(s.fileno(), 0x894c), ioctl(u.fileno(), 0x894c), ioctl(u.fileno(), 0x89e0))
    n.send(struct.pack('IHHII', 32, 16, 5, 1, 0) + struct.pack('BBHiII', 0, 0, 0, 1, 1, 1))
    say('netlink', errno.errorcode.get(-struct.unpack('i', n.recv(1000)[16:20])[0]))

# The terminal of others.
for name, fd in (('inherited', terminal), ('opened', os.open(sys.argv[3], os.O_RDWR | os.O_NOCTTY))):
    group = struct.unpack('i', fcntl.ioctl(fd, termios.TIOCGPGRP, bytes(4)))[0] if name == 'inherited' else 0
    say(name, 'typed', ioctl(fd, termios.TIOCSTI, b'x'), 'stolen', call(16, fd, termios.TIOCSCTTY, 1),
        'hung up', call(16, fd, 0x5437, 0), call(153), 'console', call(16, fd, termios.TIOCCONS, 0),
        'locked', ioctl(fd, 0x5457), 'discipline', ioctl(fd, termios.TIOCSETD, struct.pack('i', 1)), 'bad', call(16, fd, termios.TIOCSETD, 8))
    say(name, 'owner', *(attempt(fcntl.fcntl, fd, fcntl.F_SETOWN, who) for who in (group, -group, 1) if who))
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_ASYNC)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags)
    fcntl.ioctl(fd, 0x5452, struct.pack('i', 1))
    fcntl.ioctl(fd, 0x5452, struct.pack('i', 0))
    fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGUSR1)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_ASYNC)

own = [os.ttyname(fd) for fd in os.openpty()[1:]]
say('names', *(attempt(what, sys.argv[4]) for what in (os.stat, lambda name: os.open(name, os.O_RDWR | os.O_NOCTTY))),
    sorted(f'/dev/pts/{name}' for name in os.listdir('/dev/pts')) == sorted([sys.argv[3], *own]),
    os.open(own[0], os.O_RDWR | os.O_NOCTTY) > 0)
child = os.fork()  # whose parent has the other end
if child == 0:
    os.close(os.open(own[0], os.O_RDWR | os.O_NOCTTY))
    os._exit(0)
say('child', os.waitpid(child, 0)[1])

# Descriptors of processes outside.
_, received, _, _ = socket.recv_fds(source, 1, 16)
for fd in received:
    say('pidfd', call(424, fd, 9, 0, 0), call(424, fd, 0, 0, 0), call(438, fd, 0, 0), call(247, 3, fd, at, 4 | 0x01000000, 0),
        call(308, fd, 0), ioctl(fd, 0xff01), call(440, fd, at, 1, 4, 0), call(448, fd, 0))
say('own', call(438, libc.syscall(434, os.getpid(), 0), file, 0) > 0)
BY_PROCESS = {'ptrace': 101, 'perf_event_open': 298, 'process_vm_readv': 310, 'process_vm_writev': 311, 'kcmp': 312,
              'process_madvise': 440}
BY_NAME = {'add_key': 248, 'request_key': 249, 'keyctl': 250, 'name_to_handle_at': 303, 'open_by_handle_at': 304,
           'io_uring_setup': 425, 'fanotify_init': 300, 'pivot_root': 155, 'mount': 165, 'umount2': 166, 'unshare': 272,
           'setns': 308, 'open_tree': 428, 'fsopen': 430}
say('calls', *(f'{name} {call(nr, 1, 1, 0, 0, 0)}' for name, nr in BY_PROCESS.items()),
    *(f'{name} {call(nr, at, 1, 0, 0, 0)}' for name, nr in BY_NAME.items()))
source.send(b'done')
source.recv(1)  # until the terminal was typed on

# SPDX-License-Identifier: LGPL-3.0-or-later
"""/proc, /dev and shared memory as programs use them; prints one line for each, which must be the
same natively and inside. argv[1] is an empty directory that can be written.
"""
import multiprocessing
import os
import pty
import sys
from multiprocessing import shared_memory

from outcomes import show


def read(path):
    with open(path) as file:
        return file.read()


def put(path, text):
    with open(path, 'w') as file:
        file.write(text)


def fd_path(fd):
    return f'/proc/self/fd/{fd}'


def shared():
    segment = shared_memory.SharedMemory(create=True, size=8192)
    child = os.fork()
    if not child:
        again = shared_memory.SharedMemory(name=segment.name)
        again.buf[5] = 77
        os._exit(0)
    os.waitpid(child, 0)
    show('shared memory', lambda: segment.buf[5])
    show('its name', lambda: segment.name in os.listdir('/dev/shm'))
    segment.close()
    segment.unlink()
    show('unlinked', lambda: segment.name in os.listdir('/dev/shm'))
    show('semaphores', lambda: (multiprocessing.Lock().acquire(),
                                multiprocessing.Semaphore(3).get_value()))


def terminals():
    master, slave = pty.openpty()
    show('terminal', lambda: (os.write(slave, b'hi\n'), os.read(master, 10), os.isatty(slave)))
    show('its name', lambda: (os.ttyname(slave).startswith('/dev/pts/'),
                              os.stat(os.ttyname(slave)).st_rdev == os.fstat(slave).st_rdev))
    show('no controlling terminal', lambda: os.open('/dev/tty', os.O_RDWR))


def again():
    r, w = os.pipe()
    os.write(w, b'q')
    other = os.open(fd_path(r), os.O_RDONLY)
    show('pipe', lambda: (os.read(other, 1), os.readlink(fd_path(other))[:6]))
    fd = os.memfd_create('name')
    os.write(fd, b'mm')
    show('memfd', lambda: (os.readlink(fd_path(fd)), read(fd_path(fd))))
    for path in 'deleted', '/dev/shm/adyton-test-deleted':
        put(path, 'abc')
        fd = os.open(path, os.O_RDONLY)
        os.unlink(path)
        show('deleted', lambda: (os.readlink(fd_path(fd)), read(fd_path(fd))))
        show('for writing', lambda: os.stat(fd_path(fd)).st_nlink)
    os.mkdir('gone')
    fd = os.open('gone', os.O_RDONLY)
    os.rmdir('gone')
    show('deleted directory', lambda: (os.readlink(fd_path(fd)), os.listdir(fd)))
    show('not followed', lambda: os.open(fd_path(0), os.O_RDONLY | os.O_NOFOLLOW))
    show('only its place', lambda: oct(os.fstat(os.open('/proc/self/exe',
                                                        os.O_PATH | os.O_NOFOLLOW)).st_mode))
    show('standard input', lambda: os.path.realpath('/dev/stdin'))


def process():
    show('comm', lambda: (put('/proc/self/comm', 'newname'), read('/proc/self/comm')))
    show('oom_score_adj', lambda: (put('/proc/self/oom_score_adj', '10'),
                                   read('/proc/self/oom_score_adj')))
    show('exe', lambda: os.readlink('/proc/self/exe'))
    show('threads', lambda: len(os.listdir('/proc/self/task')))
    show('sched', lambda: read('/proc/self/sched').split(' ')[0])
    show('io', lambda: [line.split()[0] for line in read('/proc/self/io').splitlines()])
    show('status', lambda: [line.split(':')[0] for line in read('/proc/self/status').splitlines()])
    show('limits', lambda: [line[:25] for line in read('/proc/self/limits').splitlines()])
    show('listed', lambda: str(os.getpid()) in os.listdir('/proc'))
    show('release', lambda: os.uname().release in read('/proc/version'))
    show('cpuinfo', lambda: [line for line in read('/proc/cpuinfo').splitlines()
                             if 'MHz' not in line])
    show('meminfo', lambda: [line.split(':')[0] for line in read('/proc/meminfo').splitlines()])
    smaps = read('/proc/self/smaps').splitlines()
    show('smaps', lambda: any(line.startswith('Rss:') and int(line.split()[1]) for line in smaps))


os.chdir(sys.argv[1])
shared()
terminals()
again()
process()

# SPDX-License-Identifier: LGPL-3.0-or-later
"""RLIMIT_FSIZE, and what ends a process: run in an empty directory, natively and on an encrypted
mount, it must print the same.
"""
import mmap
import os
import resource
import signal
import sys

from outcomes import attempt

os.chdir(sys.argv[1])


def child(what):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        what()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


seen = []
signal.signal(signal.SIGXFSZ, lambda number, frame: seen.append(number))


def limited():
    resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))
    fd = os.open('limit', os.O_RDWR | os.O_CREAT)
    print(attempt(os.write, fd, bytes(40000)), attempt(os.write, fd, bytes(20000)), attempt(os.write, fd, b'x'))
    print(attempt(os.pwrite, fd, b'x', 50000), attempt(os.pwrite, fd, b'x', 49999), len(seen))
    print(attempt(os.ftruncate, fd, 50000), attempt(os.ftruncate, fd, 50001), len(seen))
    print(attempt(os.posix_fallocate, fd, 0, 60000), attempt(os.fsync, fd), attempt(os.close, fd))
    sys.stdout.flush()
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    fd = os.open('limit', os.O_WRONLY | os.O_APPEND)
    os.write(fd, b'x')


print(child(limited), os.path.getsize('limit'))


def ends(how):
    def run():
        fd = os.open(how, os.O_RDWR | os.O_CREAT)
        os.write(fd, b'written ' * 1000)
        os.ftruncate(fd, 10000)
        area = mmap.mmap(fd, 10000)
        area[8000:8006] = b'mapped'
        if how == 'exec':
            os.execv('/bin/true', ['true'])
        elif how == 'exit':
            sys.exit()
        elif how == 'segv':
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            import ctypes
            ctypes.string_at(1)
        elif how != '_exit':
            os.kill(os.getpid(), getattr(signal, how))
    return run


for how in ('_exit', 'exec', 'SIGTERM', 'SIGINT', 'SIGABRT', 'segv'):
    status = child(ends(how)) if how != 'SIGINT' else child(lambda: (signal.signal(signal.SIGINT, signal.SIG_DFL), ends(how)()))
    with open(how, 'rb') as file:
        data = file.read()
    print(how, status, len(data), data[:8], data[8000:8007])

# SPDX-License-Identifier: LGPL-3.0-or-later
"""Operations on a tmpfs: works in a new directory below argv[1] and prints one line for each, which
must be the same on the kernel's tmpfs and on ours.
"""
import ctypes
import fcntl
import mmap
import os
import shutil
import socket
import sys
import time

from outcomes import EXCHANGE, NOREPLACE, libc, rename2, show


def write(path, text):
    with open(path, 'w') as file:
        file.write(text)


def read(path):
    with open(path) as file:
        return file.read()


def look(path):
    st = os.lstat(path)
    return oct(st.st_mode), st.st_nlink, None if os.path.isdir(path) else st.st_size


def names():
    write('a', 'hello')
    show('file', lambda: look('a'))
    show('link', lambda: os.link('a', 'b'))
    show('linked', lambda: (look('b'), os.stat('a').st_ino == os.stat('b').st_ino))
    show('link a directory', lambda: os.link('.', 'x'))
    show('mkdir', lambda: os.mkdir('d', 0o750))
    show('mkdir again', lambda: os.mkdir('d'))
    show('directory', lambda: (look('d'), os.stat('.').st_nlink))
    show('rmdir a file', lambda: os.rmdir('a'))
    show('unlink a directory', lambda: os.unlink('d'))
    show('below a file', lambda: os.stat('a/x'))
    show('missing', lambda: os.stat('q/x'))
    show('mkdir below missing', lambda: os.mkdir('q/x'))
    show('mknod', lambda: (os.mknod('node', 0o600), look('node')))
    show('long name', lambda: open('x' * 256, 'w'))
    show('slash behind a file', lambda: os.stat('a/'))
    show('create with a slash', lambda: os.open('new/', os.O_CREAT | os.O_RDWR))
    show('directory for writing', lambda: os.open('d', os.O_WRONLY))
    show('O_DIRECTORY of a file', lambda: os.open('a', os.O_DIRECTORY))


def links():
    show('symlink', lambda: os.symlink('a', 's'))
    show('readlink', lambda: (os.readlink('s'), look('s'), read('s')))
    show('readlink of a file', lambda: os.readlink('a'))
    show('dangling', lambda: os.symlink('new', 's2'))
    show('create through it', lambda: (write('s2', 'x'), look('new')))
    os.symlink('l2', 'l1')
    os.symlink('l1', 'l2')
    show('loop', lambda: open('l1'))
    show('O_NOFOLLOW', lambda: os.open('s', os.O_RDONLY | os.O_NOFOLLOW))
    show('O_EXCL', lambda: os.open('s', os.O_RDWR | os.O_CREAT | os.O_EXCL))
    os.symlink('d', 'sd')
    show('mkdir through a link', lambda: (os.mkdir('sd/sub'), os.listdir('d'), look('d')))
    show('up from a link', lambda: sorted(os.listdir('sd/sub/../..'))[:3])


def renames():
    show('rmdir not empty', lambda: os.rmdir('d'))
    show('rename', lambda: (os.rename('a', 'd/a'), look('d/a')))
    show('rename a directory', lambda: (os.rename('d', 'e'), look('e/sub')))
    show('into itself', lambda: os.rename('e', 'e/sub/x'))
    os.mkdir('f')
    show('over one not empty', lambda: os.rename('f', 'e'))
    show('directory over file', lambda: os.rename('f', 'b'))
    show('file over directory', lambda: os.rename('b', 'f'))
    show('over an empty one', lambda: (os.rename('e/sub', 'f'), look('e')))
    show('same file', lambda: (os.rename('b', 'e/a'), os.path.exists('b'), os.path.exists('e/a')))
    show('missing', lambda: os.rename('zz', 'y'))
    write('r', '1')
    show('replace', lambda: (os.rename('r', 'e/a'), read('e/a'), look('b')))
    show('NOREPLACE', lambda: rename2('b', 'new', NOREPLACE))
    show('EXCHANGE', lambda: (rename2('b', 'f', EXCHANGE), look('b'), look('f')))
    show('EXCHANGE with nothing', lambda: rename2('b', 'nope', EXCHANGE))
    show('EXCHANGE back', lambda: (rename2('b', 'f', EXCHANGE), look('b'), look('f')))


def unlinked():
    fd = os.open('b', os.O_RDWR)
    os.unlink('b')
    show('unlinked', lambda: (os.fstat(fd).st_nlink, os.fstat(fd).st_size, os.pread(fd, 10, 0)))
    show('written', lambda: (os.pwrite(fd, b'zz', 3), os.pread(fd, 10, 0)))
    os.close(fd)
    fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o600)
    show('O_TMPFILE', lambda: (os.write(fd, b'abc'), os.pread(fd, 3, 0), os.fstat(fd).st_nlink))
    show('O_TMPFILE on a file', lambda: os.open('new', os.O_TMPFILE | os.O_RDWR))
    os.close(fd)


def content():
    fd = os.open('sp', os.O_RDWR | os.O_CREAT, 0o640)
    show('longer', lambda: (os.ftruncate(fd, 1 << 20), os.fstat(fd).st_size, os.fstat(fd).st_blocks))
    show('in the middle', lambda: (os.pwrite(fd, b'x' * 8192, 65536), os.fstat(fd).st_blocks))
    show('SEEK_DATA', lambda: os.lseek(fd, 0, os.SEEK_DATA))
    show('SEEK_HOLE', lambda: os.lseek(fd, 65536, os.SEEK_HOLE))
    show('SEEK_END', lambda: os.lseek(fd, -1, os.SEEK_END))
    show('punch', lambda: libc.fallocate(fd, 3, ctypes.c_long(65536), ctypes.c_long(4096)))
    show('punched', lambda: (os.fstat(fd).st_blocks, os.pread(fd, 1, 65536), os.pread(fd, 1, 69632)))
    show('allocate', lambda: (os.posix_fallocate(fd, 0, 2 << 20), os.fstat(fd).st_size))
    shared, private = mmap.mmap(fd, 4096), mmap.mmap(fd, 4096, flags=mmap.MAP_PRIVATE)
    shared[0:3] = b'abc'
    show('mapping to file', lambda: (os.pread(fd, 3, 0), private[0:3]))
    show('file to mapping', lambda: (os.pwrite(fd, b'XY', 0), shared[0:3]))
    child = os.fork()
    if not child:
        shared[10:12] = b'ch'
        os.lseek(fd, 77, os.SEEK_SET)
        os._exit(0)
    os.waitpid(child, 0)
    show('shared over fork', lambda: (shared[10:12], os.lseek(fd, 0, os.SEEK_CUR)))
    show('flock', lambda: (fcntl.flock(fd, fcntl.LOCK_EX), fcntl.lockf(fd, fcntl.LOCK_EX)))
    other = os.open('sp', os.O_RDONLY)
    show('read only', lambda: os.write(other, b'x'))
    show('its flags', lambda: oct(fcntl.fcntl(other, fcntl.F_GETFL)))
    other = os.open('sp', os.O_WRONLY | os.O_APPEND)
    show('O_APPEND', lambda: (os.write(other, b'end'), os.fstat(other).st_size))
    show('truncate', lambda: (os.truncate('sp', 100), os.stat('sp').st_size))
    show('O_TRUNC', lambda: (os.open('sp', os.O_WRONLY | os.O_TRUNC), os.stat('sp').st_size))
    return fd


def sockets():
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        server, client = socket.socket(socket.AF_UNIX, kind), socket.socket(socket.AF_UNIX, kind)
        show('bind', lambda: (server.bind('sock'), oct(os.stat('sock').st_mode & 0o170000), os.listdir('.')
                              .count('sock'), server.getsockname()))
        show('bind again', lambda: socket.socket(socket.AF_UNIX, kind).bind('sock'))
        show('open', lambda: os.open('sock', os.O_RDONLY))
        if kind == socket.SOCK_STREAM:
            server.listen()
        show('connect', lambda: (client.connect('sock'), client.send(b'abc')))
        show('receive', lambda: (server.accept()[0] if kind == socket.SOCK_STREAM else server).recv(10))
        show('unlink', lambda: os.unlink('sock'))
        show('gone', lambda: socket.socket(socket.AF_UNIX, kind).connect('sock'))
    show('no socket', lambda: socket.socket(socket.AF_UNIX).connect('sp'))
    show('mknod', lambda: (os.mknod('node', 0o140600), oct(os.stat('node').st_mode)))
    show('nobody listens', lambda: socket.socket(socket.AF_UNIX).connect('node'))
    os.unlink('node')
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.settimeout(20)
    ready, go = os.pipe()
    child = os.fork()
    if not child:
        os.read(ready, 1)
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'from the child', 'later')
        os._exit(0)
    server.bind('later')
    os.write(go, b'x')
    show('bound after the fork', lambda: server.recv(100))
    os.waitpid(child, 0)
    os.unlink('later')


def attributes(fd):
    show('utime', lambda: (os.utime('sp', (1000, 2000)), os.stat('sp')[7:9]))
    show('utime of a directory', lambda: (os.utime('e', (1000, 2000)), os.stat('e')[7:9]))
    show('chmod', lambda: (os.chmod('sp', 0o4711), look('sp')))
    show('fchmod', lambda: (os.fchmod(fd, 0o600), look('sp')))
    show('ctime', lambda: abs(os.stat('e').st_ctime - time.time()) < 100)
    if os.getuid() == 0:
        show('chown', lambda: (os.chown('sp', 5, 6), os.stat('sp')[4:6], look('sp')))


def fifo():
    show('mkfifo', lambda: (os.mkfifo('p', 0o600), look('p')))
    show('nobody reads', lambda: os.open('p', os.O_WRONLY | os.O_NONBLOCK))
    child = os.fork()
    if not child:
        os.write(os.open('p', os.O_WRONLY), b'through')
        os._exit(0)
    fd = os.open('p', os.O_RDONLY)
    show('fifo', lambda: (os.read(fd, 100), os.read(fd, 100), os.waitpid(child, 0)[1]))
    show('seek', lambda: os.lseek(fd, 0, os.SEEK_SET))
    show('its times', lambda: (os.utime('p', (1000, 2000)), os.stat('p')[7:9]))


def many():
    os.mkdir('many')
    for i in range(3000):
        write(f'many/f{i}', '')
    count = 0
    with os.scandir('many') as entries:
        for entry in entries:
            os.unlink(entry.path)
            count += 1
    show('removed while listing', lambda: (count, os.listdir('many'), os.rmdir('many')))


def main():
    work = sys.argv[1] + '/work'
    os.mkdir(work)
    os.chdir(work)
    names()
    links()
    renames()
    unlinked()
    attributes(content())
    fifo()
    sockets()
    many()
    show('all', lambda: [(e.name, e.is_dir(), e.is_symlink())
                         for e in sorted(os.scandir('.'), key=lambda e: e.name)])
    show('statfs', lambda: os.statvfs('.').f_namemax)
    os.chdir('/')
    show('rmtree', lambda: shutil.rmtree(work))


main()

# SPDX-License-Identifier: LGPL-3.0-or-later
"""Names, attributes and sizes, as on a plain directory: run in an empty directory, natively and on an
encrypted mount, it must print the same.
"""
import ctypes
import os
import shutil
import sys
import time

from outcomes import EXCHANGE, NOREPLACE, attempt, code, libc, rename2

os.chdir(sys.argv[1])


def put(name, content):
    with open(name, 'w') as file:
        file.write(content)


def get(name):
    with open(name) as file:
        return file.read()


def fallocate(fd, mode, offset, length):
    return code(libc.fallocate(fd, mode, ctypes.c_int64(offset), ctypes.c_int64(length)))


def zero_range(fd, offset, length):
    """Not every host file system has it."""
    done = fallocate(fd, 0x10, offset, length)
    if done == 'ENOTSUP':
        os.pwrite(fd, bytes(length), offset)
        done = 0
    return done


def tree(top='.'):
    out = []
    for where, dirs, files in os.walk(top):
        dirs.sort()
        for name in sorted(files):
            path = os.path.join(where, name)
            out.append((path, os.path.getsize(path), get(path)[:10]))
        out.append(where)
    return out


print('-- files')
put('a', 'first')
put('b', 'second' * 1000)
print(attempt(os.rename, 'a', 'c'), get('c'), attempt(os.stat, 'a'))
print(attempt(os.replace, 'c', 'b'), get('b'), sorted(os.listdir()))
put('a', 'again')
print(rename2('a', 'b', NOREPLACE), rename2('a', 'd', NOREPLACE), rename2('none', 'd', 0))
print(rename2('b', 'd', EXCHANGE), get('b'), get('d'), rename2('b', 'none', EXCHANGE))
print(rename2('b', 'd', NOREPLACE | EXCHANGE), rename2('b', 'd', 8))
print(attempt(os.rename, 'b', 'b'), attempt(os.rename, 'b', 'no/where'), get('b'))
handle = open('b', 'r+')
os.rename('b', 'moved')
handle.seek(0, 2)
handle.write(' and more')
handle.flush()
print(get('moved'), os.fstat(handle.fileno()).st_size)
over = open('d', 'r+')
os.rename('moved', 'd')
over.write('lost but there')
over.seek(0)
print(over.read(), '|', get('d'))
handle.close()
over.close()
print(get('d'))

print('-- unlink while open')
file = open('gone', 'w+')
file.write('x' * 10000)
file.flush()
os.unlink('gone')
print(attempt(os.stat, 'gone'), os.fstat(file.fileno()).st_size, os.fstat(file.fileno()).st_nlink)
put('gone', 'new')
file.seek(9999)
print(file.read(), get('gone'))
os.ftruncate(file.fileno(), 20000)
print(os.fstat(file.fileno()).st_size, get('gone'))
file.close()
print(get('gone'))

print('-- directories')
os.makedirs('one/two/three')
for n in range(20):
    put(f'one/f{n}', 'x' * n * 700)
    put(f'one/two/three/g{n}', f'{n}')
os.mkdir('one/empty')
held = open('one/two/three/g7', 'r+')
print(attempt(os.rename, 'one', 'uno'))
print(tree('uno'))
held.seek(0, 2)
held.write(' seven')
held.close()
print(get('uno/two/three/g7'), attempt(os.stat, 'one'))
print(attempt(os.rename, 'uno', 'uno/two/into'), attempt(os.rename, 'uno', 'd'), attempt(os.rename, 'd', 'uno'))
os.mkdir('full')
put('full/x', 'x')
print(attempt(os.rename, 'uno', 'full'), len(tree('uno')))
os.unlink('full/x')
print(attempt(os.rename, 'uno/', 'full'), len(tree('full')))
os.mkdir('other')
put('other/y', 'y')
print(rename2('full', 'other', EXCHANGE), tree('full'), len(tree('other')))
print(rename2('other', 'full', NOREPLACE), rename2('full', 'd', EXCHANGE), tree('d'), get('full'))
print(attempt(shutil.move, 'other/two', 'two'), len(tree('two')), attempt(os.rmdir, 'two'))
print(attempt(shutil.rmtree, 'other'), attempt(shutil.rmtree, 'two'), attempt(os.rmdir, 'd'))
os.rename('d', 'e')
print(get('e/y'))
print(sorted(os.listdir()), attempt(os.mkdir, 'e'), attempt(os.rmdir, 'e'), attempt(os.unlink, 'e'))

print('-- sizes and holes')
fd = os.open('size', os.O_RDWR | os.O_CREAT)
for size in (0, 1, 3071, 3072, 3073, 7168, 7169, 4096, 400000, 396288, 5000, 0, 12345):
    os.ftruncate(fd, size)
    print(size, os.stat('size').st_size, os.fstat(fd).st_size, os.pread(fd, 1, max(size - 1, 0)), end=' ')
print()
os.pwrite(fd, b'end', 1000000)
print(os.fstat(fd).st_size, os.pread(fd, 5, 500000), os.pread(fd, 10, 999998))
os.pwrite(fd, b'A' * 300000, 0)
print(fallocate(fd, 3, 5000, 100000), os.pread(fd, 3, 4998), os.pread(fd, 3, 104998), os.fstat(fd).st_size)
print(zero_range(fd, 200000, 1000), os.pread(fd, 2, 199999), os.pread(fd, 2, 200999))
print(zero_range(fd, 1000000, 5000), os.fstat(fd).st_size, os.pread(fd, 3, 1000000))
print(fallocate(fd, 1, 2000000, 5000), os.fstat(fd).st_size, fallocate(fd, 0, 1000, 10), fallocate(fd, 0, 1100000, 10), os.fstat(fd).st_size)
print(fallocate(fd, 2, 0, 10), fallocate(fd, 0, -1, 10), fallocate(fd, 0, 0, 0))
print(os.lseek(fd, 0, os.SEEK_DATA) >= 0, attempt(os.lseek, fd, 1 << 30, os.SEEK_HOLE), os.lseek(fd, 0, os.SEEK_END))
os.close(fd)
print(attempt(os.truncate, 'size', 10), os.stat('size').st_size, attempt(os.truncate, 'e', 1), attempt(os.truncate, 'no', 1))
print(os.path.getsize('size'), os.stat('size').st_blksize, [e.stat().st_size for e in os.scandir() if e.name == 'size'])

print('-- times and modes')
put('time', 'x' * 9000)
os.utime('time', (1000, 2000))
file = open('time', 'r+')
file.write('y')
file.flush()
late = os.fstat(file.fileno()).st_mtime
print(late > 2000, abs(late - time.time()) < 60)
os.utime(file.fileno(), (3000, 4000))
file.close()
print(os.stat('time').st_mtime, os.stat('time').st_atime)
os.rename('time', 'time2')
print(os.stat('time2').st_mtime)
open('time2').read()
print(os.stat('time2').st_mtime)
file = open('time2', 'a')
file.write('z' * 100000)
file.flush()
first = os.fstat(file.fileno()).st_mtime_ns
file.close()
print(os.stat('time2').st_mtime_ns == first, os.stat('time2').st_ctime_ns >= first)
shutil.copy2('time2', 'copy')
print(os.stat('copy').st_mtime_ns == first)
os.chmod('copy', 0o751)
print(oct(os.stat('copy').st_mode), os.access('copy', os.X_OK), os.access('copy', os.R_OK), os.access('no', 0))
for mode in (0o400, 0o444, 0o000, 0o644):
    os.chmod('copy', mode)
    print(oct(os.stat('copy').st_mode), end=' ')
fd = os.open('quiet', os.O_CREAT | os.O_WRONLY, 0o444)
print(oct(os.fstat(fd).st_mode), os.write(fd, b'x'), oct(os.stat('quiet').st_mode))
os.close(fd)
os.rename('quiet', 'still')
print(oct(os.stat('still').st_mode), attempt(os.unlink, 'still'))
for mask in (0o077, 0o022):
    os.umask(mask)
    os.close(os.open(f'mask{mask}', os.O_CREAT | os.O_WRONLY, 0o666))
    print(oct(os.stat(f'mask{mask}').st_mode))

print('-- open flags')
print(attempt(os.open, 'copy', os.O_CREAT | os.O_EXCL | os.O_RDWR), attempt(os.open, 'e', os.O_RDWR), attempt(os.open, 'copy', os.O_DIRECTORY))
fd = os.open('copy', os.O_PATH)
print(os.fstat(fd).st_size, attempt(os.read, fd, 1), attempt(os.ftruncate, fd, 1))
os.close(fd)
for flags in (os.O_TRUNC | os.O_RDWR, os.O_APPEND | os.O_WRONLY, os.O_SYNC | os.O_WRONLY):
    fd = os.open('flags', flags | os.O_CREAT, 0o644)
    print(os.write(fd, b'abc'), os.lseek(fd, 0, 1), attempt(os.pread, fd, 3, 0), os.stat('flags').st_size)
    os.close(fd)
fd = attempt(os.open, '.', os.O_TMPFILE | os.O_RDWR, 0o644)
if isinstance(fd, int):  # the host file system can do it
    os.write(fd, b'nameless' * 1000)
    print(sorted(os.listdir()), os.fstat(fd).st_size, os.fstat(fd).st_nlink)
    print(libc.linkat(-100, b'/proc/self/fd/%d' % fd, -100, b'named', 0x400), get('named')[:16], os.fstat(fd).st_nlink)
    os.close(fd)
    print(len(get('named')))
    os.close(os.open('e', os.O_TMPFILE | os.O_WRONLY))
print(attempt(os.mknod, 'node', 0o100600), os.stat('node').st_size, attempt(os.mknod, 'node', 0o100600))
print(os.statvfs('.').f_namemax, attempt(os.sync), sorted(os.listdir()))

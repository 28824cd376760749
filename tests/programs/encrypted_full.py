# SPDX-License-Identifier: LGPL-3.0-or-later
"""A full disk: argv[1] is a directory on a host file system of about one megabyte. Every byte that a
successful fsync or close covered must be there afterwards, and the error must be the right one.
"""
import mmap
import os
import sys

from outcomes import attempt

os.chdir(sys.argv[1])


def fill(name, chunk):
    """Writes until something says that the disk is full; returns what said so and the bytes."""
    fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o644)
    done = 0
    said = []
    for _ in range(3000):
        done_now = attempt(os.write, fd, bytes([done // chunk % 251]) * chunk)
        if not isinstance(done_now, int):
            said.append(f'write {done_now}')
            break
        done += done_now
        if done_now < chunk:
            said.append('short write')
            break
    synced = attempt(os.fsync, fd)
    said.append(f'fsync {synced}')
    return fd, done, said


def ballast():
    with open('ballast', 'wb') as file:
        file.write(bytes(300000))


ballast()
for chunk in (500, 4096, 70000):
    fd, done, said = fill('full', chunk)
    noticed = any('ENOSPC' in s or 'short' in s for s in said)
    print(chunk, 'noticed', noticed, 'other errors', [s for s in said if 'E' in s and 'ENOSPC' not in s])
    # What was accepted can still be read, and is written once there is room.
    print('content', os.pread(fd, 1, 0), os.fstat(fd).st_size >= done)
    os.unlink('ballast')  # room that was kept
    print('again', attempt(os.fsync, fd))
    size = os.fstat(fd).st_size
    os.close(fd)
    with open('full', 'rb') as file:
        data = file.read()
    print('kept', len(data) == size, all(data[i] == i // chunk % 251 for i in range(0, len(data), 97)))
    os.unlink('full')
    ballast()

# Emptying a file makes room in it, at once and for others; it can be written anew in place.
for size in (2000, 300000):
    with open('kept', 'wb') as file:
        file.write(b'k' * size)
    os.sync()
    fd, done, said = fill('full', 5000)
    os.close(os.open('kept', os.O_WRONLY | os.O_TRUNC))
    print('emptied', os.stat('kept').st_size, open('kept', 'rb').read())
    with open('kept', 'wb') as file:
        print('written', attempt(file.write, b'n' * size), attempt(file.flush), attempt(os.fsync, file.fileno()))
    print(open('kept', 'rb').read() == b'n' * size)
    print('cut', attempt(os.truncate, 'kept', 0))
    if size > 100000:
        with open('other', 'wb') as file:
            file.write(b'o' * 200000)
            file.flush()
            os.fsync(file.fileno())
        os.unlink('other')
    attempt(os.close, fd)
    os.unlink('full')
    os.unlink('kept')

# A second file: some call says it.
fd, done, said = fill('full', 5000)
second = attempt(os.open, 'more', os.O_WRONLY | os.O_CREAT, 0o644)
if isinstance(second, int):
    first = attempt(os.write, second, bytes(200000))
    second = attempt(os.close, second) if first == 200000 else 'ENOSPC' if first != 'EIO' else first
print('second file', second)
attempt(os.close, fd)
os.unlink('full')
attempt(os.unlink, 'more')
attempt(os.unlink, 'ballast')

fd = os.open('map', os.O_RDWR | os.O_CREAT, 0o644)
print('extend', attempt(os.ftruncate, fd, 50_000_000), os.fstat(fd).st_size)
print('at once', attempt(os.ftruncate, fd, 1 << 50), os.fstat(fd).st_size)
print('allocate', attempt(os.posix_fallocate, fd, 0, 50_000_000), os.fstat(fd).st_size)
os.ftruncate(fd, 100000)
area = mmap.mmap(fd, 100000)
area[:] = b'm' * 100000
print('msync', attempt(area.flush))
area.close()
os.close(fd)
print(open('map', 'rb').read() == b'm' * 100000)

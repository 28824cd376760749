# SPDX-License-Identifier: LGPL-3.0-or-later
"""Random operations on one file, over several handles, mappings and processes, checked against a
byte array: argv[1] is the directory, argv[2] the number of operations, argv[3] the seed.
"""
import ctypes
import mmap
import os
import random
import sys

os.chdir(sys.argv[1])
count, seed = int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
libc = ctypes.CDLL(None, use_errno=True)
MOST = 900_000

model = bytearray()
fds = [os.open('file', flags | os.O_CREAT, 0o644)
       for flags in (os.O_RDWR, os.O_RDWR, os.O_RDWR | os.O_APPEND)]
maps = []  # (mapping, offset, length)
log = []


def place(length):
    at = rng.choice((0, 3071, 3072, 3073, 4096, 396287, 396288, rng.randrange(MOST)))
    return min(at, MOST - length)


def resize(size):
    if size < len(model):
        del model[size:]
    else:
        model.extend(bytes(size - len(model)))


def store(at, data):
    if at + len(data) > len(model):
        resize(at + len(data))
    model[at:at + len(data)] = data


def do_write():
    data = rng.randbytes(rng.choice((1, 10, 100, 4096, 5000, 70000, 200000)))
    at = place(len(data))
    assert os.pwrite(fds[rng.randrange(2)], data, at) == len(data)
    store(at, data)


def do_append():
    data = rng.randbytes(rng.choice((1, 100, 5000)))
    if len(model) + len(data) <= MOST:
        assert os.write(fds[2], data) == len(data)
        store(len(model), data)


def do_read():
    length = rng.choice((1, 100, 4096, 100000))
    at = place(length)
    assert os.pread(rng.choice(fds), length, at) == model[at:at + length]


def do_truncate():
    size = rng.choice((0, 1, 3072, 3073, 7168, 396288, rng.randrange(MOST)))
    os.ftruncate(rng.choice(fds), size)
    resize(size)


def do_zero():
    length = rng.randrange(1, 50000)
    at = place(length)
    mode = rng.choice((3, 0x10, 0))
    assert libc.fallocate(fds[0], mode, ctypes.c_int64(at), ctypes.c_int64(length)) == 0
    if mode == 3:
        model[at:at + length] = bytes(len(model[at:at + length]))
    elif mode == 0x10:
        store(at, bytes(length))
    else:
        resize(max(len(model), at + length))


def do_map():
    if len(maps) < 3:
        at = rng.randrange(MOST // 4096) * 4096
        length = rng.choice((4096, 20000, 300000))
        if at + length <= len(model):
            maps.append((mmap.mmap(fds[0], length, offset=at), at, length))
            return
    if maps:
        area, at, length = maps.pop(rng.randrange(len(maps)))
        if rng.random() < 0.5 and at + length <= len(model):
            area.flush()
        area.close()


def do_store():
    if maps:
        area, at, length = rng.choice(maps)
        inside = min(length, len(model) - at)
        if inside > 0:
            first = rng.randrange(inside)
            data = rng.randbytes(min(rng.choice((1, 100, 9000)), inside - first))
            assert area[first:first + len(data)] == model[at + first:at + first + len(data)]
            area[first:first + len(data)] = data
            model[at + first:at + first + len(data)] = data


def do_sync():
    rng.choice((os.fsync, os.fdatasync))(rng.choice(fds))


def do_reopen():
    which = rng.randrange(2)
    os.close(fds[which])
    fds[which] = os.open('file', os.O_RDWR)


def do_child():
    """A child looks, writes, and is gone; the parent sees it."""
    data = rng.randbytes(3000)
    at = place(len(data))
    handle = rng.randrange(3)
    pid = os.fork()
    if pid == 0:
        try:
            own = os.open('file', os.O_RDWR) if handle == 2 and not maps else fds[handle % 2]
            assert os.pread(own, len(model), 0) == model
            assert os.pwrite(own, data, at) == len(data)
            os._exit(0)
        except BaseException as error:
            print('child:', repr(error), flush=True)
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    store(at, data)


def do_rename():
    os.rename('file', 'other')
    os.rename('other', 'file')


def check():
    assert os.fstat(fds[0]).st_size == os.stat('file').st_size == len(model)
    assert os.pread(fds[1], len(model) + 1, 0) == model


weights = {do_write: 20, do_append: 8, do_read: 20, do_truncate: 6, do_zero: 6, do_map: 8, do_store: 20,
           do_sync: 4, do_reopen: 4, do_child: 3, do_rename: 1}
for step in range(count):
    what = rng.choices(list(weights), weights.values())[0]
    log.append(what.__name__)
    try:
        what()
        if step % 10 == 0:
            check()
    except BaseException:
        print(f'seed {seed}, step {step}:', *log[-12:], flush=True)
        raise
check()
for area, _, _ in maps:
    area.close()
for fd in fds:
    os.close(fd)
with open('file', 'rb') as file:
    assert file.read() == model
print('done', count, len(model) > 0 or 'empty')

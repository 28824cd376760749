/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The typed host calls that transfer content, to and from memory of the application or of ours; see
 * host.h. Without an arena each is the host's own call. */
#include "host/arena.h"
#include <asm/poll.h>
#include <linux/time_types.h>

static long vector_call(int64_t pos, int flags, bool write)
{
    if (pos >= 0 || flags)
        return write ? __NR_pwritev2 : __NR_preadv2;
    return write ? __NR_writev : __NR_readv;
}

#if !PLATFORM_ARENA

ssize host_read(int fd, void *buf, size_t n)
{
    return host_length(host_syscall_blocking(__NR_read, fd, (long)buf, (long)n, 0, 0, 0), n);
}

ssize host_write(int fd, const void *buf, size_t n)
{
    return host_length(host_syscall_blocking(__NR_write, fd, (long)buf, (long)n, 0, 0, 0), n);
}

ssize host_vector(int fd, const struct iovec *iov, size_t count, int64_t pos, int flags, bool write)
{
    long nr = vector_call(pos, flags, write);
    size_t most = INT32_MAX;
    return host_length(host_syscall_blocking(nr, fd, (long)iov, (long)count, pos, 0, flags), most);
}

ssize host_random_user(void *ubuf, size_t n, uint32_t flags)
{
    return host_length(host_syscall(__NR_getrandom, (long)ubuf, (long)n, flags, 0, 0, 0), n);
}

#else

/* One piece of a transfer: its host call. `at`: the arena's memory. */
struct piece {
    long nr;
    long fd;
    bool blocking;
};

static long leave(struct piece p, const void *at, size_t n, int64_t off)
{
    return p.blocking ? host_syscall_blocking(p.nr, p.fd, (long)at, (long)n, off, 0, 0)
                      : host_syscall(p.nr, p.fd, (long)at, (long)n, off, 0, 0);
}

/* A read to where nothing is: fine at the end of a file. */
static ssize nowhere(struct piece p, int64_t off)
{
    ARENA;
    void *at = room_for(1);
    if (p.nr == __NR_read)
        off = host_lseek((int)p.fd, 0, 1);
    long r = off < 0 ? -EFAULT : CALL4(__NR_pread64, p.fd, at, 1, off);
    return r > 0 || r == -ESPIPE ? -EFAULT : host_length(r, 0);
}

/* As the kernel: what the buffer has no place for stays where it is. */
static ssize piece_in(struct piece p, void *buf, size_t n, int64_t off)
{
    ARENA;
    size_t good = arena_reach(buf, n, true);
    if (n && !good)
        return nowhere(p, off);
    n = good;
    void *at = room_for(n);
    ssize r = host_length(leave(p, at, n, off), n);
    return r > 0 && take_user(buf, at, (size_t)r) ? -EFAULT : r;
}

static ssize piece_out(struct piece p, const void *buf, size_t n, int64_t off)
{
    ARENA;
    void *at = room_for(n);
    if (give_user(at, buf, n)) {
        n = arena_reach(buf, n, false);
        if (!n || give_user(at, buf, n))
            return -EFAULT;
    }
    return host_length(leave(p, at, n, off), n);
}

/* Would a read have something, so that a stream does not keep its reader after a full piece? */
static bool has_more(int fd)
{
    ARENA;
    struct pollfd {
        int fd;
        short events, revents;
    } one = {.fd = fd, .events = POLLIN};
    static const struct __kernel_timespec at_once;
    struct pollfd *out = give(&one, sizeof(one));
    long r = host_syscall(__NR_ppoll, (long)out, 1, (long)give(&at_once, sizeof(at_once)), 0, 8, 0);
    return r == 1;
}

ssize host_pread(int fd, void *buf, size_t n, int64_t off)
{
    const struct piece p = {__NR_pread64, fd, false};
    size_t done = 0, part;
    ssize r;
    do {
        part = MIN(n - done, ARENA_PIECE);
        r = piece_in(p, (char *)buf + done, part, off + (int64_t)done);
        done += r > 0 ? (size_t)r : 0;
    } while (r == (ssize)part && done < n);
    return done ? (ssize)done : r;
}

ssize host_pwrite(int fd, const void *buf, size_t n, int64_t off)
{
    const struct piece p = {__NR_pwrite64, fd, false};
    size_t done = 0, part;
    ssize r;
    do {
        part = MIN(n - done, ARENA_PIECE);
        r = piece_out(p, (const char *)buf + done, part, off + (int64_t)done);
        done += r > 0 ? (size_t)r : 0;
    } while (r == (ssize)part && done < n);
    return done ? (ssize)done : r;
}

ssize host_read(int fd, void *buf, size_t n)
{
    const struct piece p = {__NR_read, fd, true};
    size_t done = 0, part;
    ssize r;
    do {
        part = MIN(n - done, ARENA_PIECE);
        r = piece_in(p, (char *)buf + done, part, 0);
        done += r > 0 ? (size_t)r : 0;
    } while (r == (ssize)part && done < n && has_more(fd));
    return done ? (ssize)done : r;
}

ssize host_write(int fd, const void *buf, size_t n)
{
    const struct piece p = {__NR_write, fd, true};
    size_t done = 0, part;
    ssize r;
    do {
        part = MIN(n - done, ARENA_PIECE);
        r = piece_out(p, (const char *)buf + done, part, 0);
        done += r > 0 ? (size_t)r : 0;
    } while (r == (ssize)part && done < n);
    return done ? (ssize)done : r;
}

/* How far a transfer has come in a vector. */
struct at {
    const struct iovec *iov;
    size_t count, skip; /* bytes of iov[0] that are done */
};

/* Copies `n` bytes between the vector, from `at` on, and `flat`; moves `at`. */
static int copy_vector(struct at *at, char *flat, size_t n, bool write)
{
    int err = 0;
    while (!err && n) {
        char *user = (char *)at->iov->iov_base + at->skip;
        size_t part = MIN(n, at->iov->iov_len - at->skip);
        err = !part ? 0 : write ? give_user(flat, user, part) : take_user(user, flat, part);
        flat += part;
        n -= part;
        at->skip += part;
        if (at->skip == at->iov->iov_len) {
            at->iov++;
            at->count--;
            at->skip = 0;
        }
    }
    return err;
}

static ssize vector_piece(int fd, struct at *at, size_t n, int64_t pos, int flags, bool write)
{
    ARENA;
    size_t good = arena_reach_vector(at->iov, at->skip, n, !write);
    if (n && !good)
        return -EFAULT;
    n = good;
    char *flat = room_for(n);
    struct iovec one = {flat, n};
    struct at from = *at;
    if (write && copy_vector(&from, flat, n, true))
        return -EFAULT;
    long r = host_syscall_blocking(vector_call(pos, flags, write), fd,
                                   (long)give(&one, sizeof(one)), 1, pos, 0, flags);
    ssize done = host_length(r, n);
    if (done > 0 && !write && copy_vector(at, flat, (size_t)done, false))
        return -EFAULT;
    if (done == (ssize)n && write)
        *at = from;
    return done;
}

ssize host_vector(int fd, const struct iovec *iov, size_t count, int64_t pos, int flags, bool write)
{
    struct at at = {iov, count, 0};
    size_t total = 0, done = 0, part;
    ssize r;
    for (size_t i = 0; i < count; i++)
        total += MIN(iov[i].iov_len, (size_t)INT32_MAX);
    total = MIN(total, (size_t)0x7ffff000);
    do {
        part = MIN(total - done, ARENA_PIECE);
        r = vector_piece(fd, &at, part, pos < 0 ? pos : pos + (int64_t)done, flags, write);
        done += r > 0 ? (size_t)r : 0;
    } while (r == (ssize)part && done < total && (write || pos >= 0 || has_more(fd)));
    return done ? (ssize)done : r;
}

ssize host_random_user(void *ubuf, size_t n, uint32_t flags)
{
    ARENA;
    size_t part = MIN(n, ARENA_PIECE);
    void *at = room_for(part);
    ssize r = host_length(host_syscall(__NR_getrandom, (long)at, (long)part, flags, 0, 0, 0), part);
    return r > 0 && take_user(ubuf, at, (size_t)r) ? -EFAULT : r;
}

#endif

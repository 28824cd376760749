/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The typed host calls between two files, about the host's cache, and for extended attributes; see
 * host.h. */
#include "host/arena.h"
#include <asm/unistd.h>

static ssize moved(long r, size_t n, int64_t *to, const int64_t *out)
{
    if (r >= 0)
        take(to, out, sizeof(*to));
    return host_length(r, n);
}

ssize host_sendfile(int to, int from, int64_t *off, size_t n)
{
    ARENA;
    int64_t *out = give(off, sizeof(*off));
    return moved(host_syscall_blocking(__NR_sendfile, to, from, (long)out, (long)n, 0, 0), n, off,
                 out);
}

static ssize two_offsets(long nr, int from, int64_t *from_off, int to, int64_t *to_off, size_t n,
                         unsigned flags)
{
    ARENA;
    int64_t *a = give(from_off, sizeof(*a)), *b = give(to_off, sizeof(*b));
    long r = host_syscall_blocking(nr, from, (long)a, to, (long)b, (long)n, flags);
    moved(r, n, from_off, a);
    return moved(r, n, to_off, b);
}

ssize host_copy_files(int from, int64_t *from_off, int to, int64_t *to_off, size_t n)
{
    return two_offsets(__NR_copy_file_range, from, from_off, to, to_off, n, 0);
}

ssize host_splice(int from, int64_t *from_off, int to, int64_t *to_off, size_t n, unsigned flags)
{
    return two_offsets(__NR_splice, from, from_off, to, to_off, n, flags);
}

ssize host_tee(int from, int to, size_t n, unsigned flags)
{
    return host_length(host_syscall_blocking(__NR_tee, from, to, (long)n, flags, 0, 0), n);
}

int host_fadvise(int fd, int64_t off, int64_t len, int advice)
{
    return host_status(CALL4(__NR_fadvise64, fd, off, len, advice));
}

int host_readahead(int fd, int64_t off, size_t n)
{
    return host_status(CALL3(__NR_readahead, fd, off, n));
}

#ifndef __NR_cachestat /* kernel headers before 6.5 */
#    define __NR_cachestat 451
#endif

int host_cachestat(int fd, const uint64_t range[2], uint64_t counts[5], unsigned flags)
{
    ARENA;
    uint64_t *out = room(counts, 5 * sizeof(*counts));
    int err = host_status(CALL4(__NR_cachestat, fd, give(range, 2 * sizeof(*range)), out, flags));
    return err ? err : take(counts, out, 5 * sizeof(*counts));
}

void host_sync(void)
{
    CALL0(__NR_sync);
}

/* How a call of the family has its arguments: name, value and size, flags. */
ssize host_xattr(long nr, const char *path, int fd, const char *name, void *value, size_t size,
                 int flags)
{
    ARENA;
    long at = path ? (long)give_text(path) : fd, named = (long)give_text(name);
    bool sets = nr == __NR_setxattr || nr == __NR_lsetxattr || nr == __NR_fsetxattr;
    void *out = size > HOST_MOST_XATTR ? NULL : sets ? give(value, size) : room(value, size);
    long r = name ? CALL5(nr, at, named, out, size, flags) : CALL3(nr, at, out, size);
    ssize n = host_number(r, size ? (long)size : HOST_MOST_XATTR);
    if (!sets && n > 0 && size)
        take(value, out, (size_t)n);
    return n;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* select(2) and pselect6, in terms of poll. */
#include "libos/entry/syscall.h"
#include "libos/process.h"
#include "libos/sync/wait.h"

/* What makes a descriptor count as readable, writable, exceptional (fs/select.c of Linux). */
static const short kinds[3] = {POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR,
                               POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR, POLLPRI};

#define WORD_BITS  64
#define FD_SETSIZE 1024u /* larger sets are cut off at the size of the table */

struct sets {
    uint32_t n, words;
    uint64_t *bits[3]; /* words each; NULL: the application gave none */
    uint64_t *user[3];
    uint64_t *memory;
    struct pollfd *fds;
    uint32_t count;
};

static bool has(const struct sets *s, int kind, uint32_t fd)
{
    return s->bits[kind] && s->bits[kind][fd / WORD_BITS] >> fd % WORD_BITS & 1;
}

static int take_sets(struct sets *s, int n)
{
    if (n < 0)
        return -EINVAL;
    s->n = MIN((uint32_t)n, MAX(current_process()->fds.size, FD_SETSIZE));
    s->words = (s->n + WORD_BITS - 1) / WORD_BITS;
    if (!s->n)
        return 0;
    s->memory = heap_zalloc(3 * s->words * 8);
    if (!s->memory)
        return -ENOMEM;
    for (int k = 0; k < 3; k++) {
        if (!s->user[k])
            continue;
        s->bits[k] = s->memory + (size_t)k * s->words;
        if (copy_from_user(s->bits[k], s->user[k], s->words * 8))
            return -EFAULT;
    }
    for (uint32_t fd = 0; fd < s->n; fd++)
        s->count += has(s, 0, fd) || has(s, 1, fd) || has(s, 2, fd);
    s->fds = heap_alloc(MAX(s->count, 1u) * sizeof(*s->fds));
    if (!s->fds)
        return -ENOMEM;
    uint32_t i = 0;
    for (uint32_t fd = 0; fd < s->n; fd++) {
        short events = 0;
        for (int k = 0; k < 3; k++)
            events |= has(s, k, fd) ? kinds[k] : 0;
        if (events)
            s->fds[i++] = (struct pollfd){.fd = (int)fd, .events = events};
    }
    return 0;
}

/* Writes the results back; the number of bits set. */
static long give_sets(struct sets *s)
{
    long found = 0;
    uint64_t *was = heap_alloc(3 * s->words * 8 + 8);
    if (!was)
        return -ENOMEM;
    if (s->memory)
        memcpy(was, s->memory, 3 * s->words * 8);
    if (s->memory)
        memset(s->memory, 0, 3 * s->words * 8);
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t fd = (uint32_t)s->fds[i].fd;
        for (uint32_t k = 0; k < 3; k++) {
            uint64_t bit = 1UL << fd % WORD_BITS;
            uint32_t word = k * s->words + fd / WORD_BITS;
            if (was[word] & bit && s->fds[i].revents & kinds[k]) {
                s->memory[word] |= bit;
                found++;
            }
        }
    }
    heap_free(was);
    for (int k = 0; k < 3; k++)
        if (s->bits[k] && copy_to_user(s->user[k], s->bits[k], s->words * 8))
            return -EFAULT;
    return found;
}

static long select_sets(int n, uint64_t *in, uint64_t *out, uint64_t *ex,
                        struct __kernel_timespec *ts)
{
    struct sets s = {.user = {in, out, ex}};
    long r = take_sets(&s, n);
    if (!r)
        r = poll_files(s.fds, s.count, ts);
    for (uint32_t i = 0; r > 0 && i < s.count; i++)
        if (s.fds[i].revents & POLLNVAL)
            r = -EBADF;
    if (r >= 0)
        r = give_sets(&s);
    heap_free(s.fds);
    heap_free(s.memory);
    return r;
}

struct timeval_k {
    int64_t sec, usec;
};

SYSCALL5(select, int, n, uint64_t *, in, uint64_t *, out, uint64_t *, ex, struct timeval_k *, utv)
{
    struct timeval_k tv;
    struct __kernel_timespec ts;
    if (!utv)
        return select_sets(n, in, out, ex, NULL);
    if (get_user(tv, utv))
        return -EFAULT;
    if (tv.sec < 0 || tv.usec < 0)
        return -EINVAL;
    ts.tv_sec = tv.sec + tv.usec / 1000000;
    ts.tv_nsec = tv.usec % 1000000 * 1000;
    if (ts.tv_sec < 0) /* the sum ran over: as good as never */
        ts.tv_sec = INT64_MAX;
    long r = select_sets(n, in, out, ex, &ts);
    tv = (struct timeval_k){ts.tv_sec, ts.tv_nsec / 1000};
    if (put_user(utv, tv) && r == -ERESTARTNOHAND)
        return -EINTR;
    return r;
}

struct mask_argument {
    const sigmask *set;
    size_t size;
};

SYSCALL6(pselect6, int, n, uint64_t *, in, uint64_t *, out, uint64_t *, ex,
         struct __kernel_timespec *, uts, const struct mask_argument *, umask)
{
    struct __kernel_timespec buf, *ts;
    struct mask_argument mask = {0};
    bool masked;
    if (umask && get_user(mask, umask))
        return -EFAULT;
    long r = take_timespec(uts, &buf, &ts);
    if (!r)
        r = wait_mask_enter(mask.set, mask.size, &masked);
    if (r)
        return r;
    r = select_sets(n, in, out, ex, ts);
    if (ts && put_user(uts, *ts) && r == -ERESTARTNOHAND)
        r = -EINTR;
    return wait_mask_leave(masked, r);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * poll(2), ppoll, select, pselect6: one ppoll on the host's descriptors. Own objects among the
 * entries are asked one by one, and wake the thread that waits for the host's.
 */
#include "host/host_event.h"
#include "libos/entry/syscall.h"
#include "libos/proc/vdso.h"
#include "libos/process.h"
#include "libos/sync/queue.h"
#include "libos/sync/wait.h"
#include <linux/time.h>

#define ON_STACK 32

int file_poll_fd(struct file *f)
{
    if (f->ops->poll_fd)
        return f->ops->poll_fd(f);
    return f->kind == FILE_REGULAR || f->kind == FILE_DIR ? -1 : f->host_fd;
}

int wait_mask_enter(const sigmask *uset, size_t size, bool *masked)
{
    struct thread *t = current();
    sigmask set;
    *masked = false;
    if (!uset)
        return 0;
    if (size != sizeof(set))
        return -EINVAL;
    if (get_user(set, uset))
        return -EFAULT;
    t->saved_blocked = t->blocked;
    t->restore_blocked = true;
    *masked = true;
    signal_set_blocked(t, set & ~SIG_UNBLOCKABLE);
    return 0;
}

long wait_mask_leave(bool masked, long r)
{
    struct thread *t = current();
    if (masked && (r == -ERESTARTNOHAND || r == -EINTR)) {
        work_set(t, WORK_SIGNAL); /* delivery restores the mask, even if it finds nothing */
    } else if (masked) {
        t->restore_blocked = false;
        signal_set_blocked(t, t->saved_blocked);
    }
    return r;
}

int take_timespec(const struct __kernel_timespec *uts, struct __kernel_timespec *buf,
                  struct __kernel_timespec **ts_out)
{
    *ts_out = NULL;
    if (!uts)
        return 0;
    if (get_user(*buf, uts))
        return -EFAULT;
    if (buf->tv_sec < 0 || (uint64_t)buf->tv_nsec >= 1000000000)
        return -EINVAL;
    *ts_out = buf;
    return 0;
}

/* As poll_files(). Whether the time is over our own clock says. */
static long ask_host(struct pollfd *fds, uint32_t n, struct __kernel_timespec *ts)
{
    struct __kernel_timespec now = {0}, left;
    if (ts && !ts->tv_sec && !ts->tv_nsec)
        return host_poll(fds, n, ts, false);
    uint64_t deadline = deadline_of(ts);
    long r;
    bool signal = false;
    do {
        left = time_until(deadline);
        r = host_poll(fds, n, deadline ? &left : NULL, true);
        signal = r == -EINTR && interrupted();
    } while (!signal && (r == -EINTR || (r == 0 && !deadline_over(deadline))));
    if (signal) { /* what is ready counts more than the signal */
        r = host_poll(fds, n, &now, false);
        r = r ? r : -ERESTARTNOHAND;
    }
    if (deadline)
        *ts = time_until(deadline);
    return r;
}

struct file *fd_get_pollable(int fd)
{
    struct file *f = fd_get_transfer(fd);
    if (f && f->kind == FILE_UNSEEN && !f->ops->poll)
        file_look(f, NULL);
    return f;
}

struct polling {
    struct pollfd *fds;
    uint32_t n;
    struct pollfd *host;    /* n, with descriptors of the host (-1: not its matter), and one more */
    struct file **files;    /* n */
    struct waiter *waiters; /* n, of own objects; NULL: there are none */
    uint32_t seen;          /* park_word before the look */
    uint32_t own, hosts;    /* entries of either kind */
};

/* Looks at entry i; the waiter of an own object joins its queue. */
static void look_at(struct polling *s, uint32_t i)
{
    struct pollfd *fd = &s->fds[i], *host = &s->host[i];
    struct file *f = fd->fd < 0 ? NULL : fd_get_pollable(fd->fd);
    *host = (struct pollfd){.fd = -1, .events = fd->events};
    s->files[i] = f;
    fd->revents = 0;
    if (f && f->ops->poll && s->waiters)
        fd->revents =
            (short)(f->ops->poll(f, &s->waiters[i]) & ((uint16_t)fd->events | POLLERR | POLLHUP));
    else if (f && !f->ops->poll)
        host->fd = file_poll_fd(f);
    if (fd->fd >= 0 && host->fd < 0 && !(f && f->ops->poll))
        fd->revents = f ? fd->events & POLL_ALWAYS : POLLNVAL;
}

static void let_go(struct polling *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->waiters)
            queue_leave(&s->waiters[i]);
        if (s->files[i])
            file_put(s->files[i]);
    }
}

/* How many are ready already, of those that are not the host's. */
static uint32_t prepare(struct polling *s)
{
    uint32_t ready = 0;
    s->own = s->hosts = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        look_at(s, i);
        ready += s->fds[i].revents != 0;
        s->own += s->files[i] && s->files[i]->ops->poll;
        s->hosts += s->host[i].fd >= 0;
    }
    return ready;
}

/* With own objects: until something is ready, somebody says so, or one is to be looked at again.
 * As park_on_fds(). */
static long wait_own(struct polling *s, uint64_t deadline)
{
    for (uint32_t i = 0; i < s->n; i++) {
        struct file *f = s->files[i];
        if (f && f->ops->look_at)
            deadline = earlier(deadline, f->ops->look_at(f));
    }
    return s->hosts ? park_on_fds(current(), s->host, s->n, s->seen, deadline)
                    : park(current(), s->seen, deadline);
}

static long take_host(struct polling *s, long r)
{
    for (uint32_t i = 0; r > 0 && i < s->n; i++)
        if (s->host[i].fd >= 0)
            s->fds[i].revents = s->host[i].revents;
    return MAX(r, 0L);
}

/* The entries with own objects among them: look, wait, look again. */
static long poll_own(struct polling *s, struct __kernel_timespec *ts)
{
    struct __kernel_timespec now = {0};
    bool zero = ts && !ts->tv_sec && !ts->tv_nsec, signal = false, over = zero;
    uint64_t deadline = deadline_of(ts);
    for (;;) {
        for (uint32_t i = 0; i < s->n; i++)
            waiter_thread(&s->waiters[i]);
        s->seen = park_prepare(current());
        long ready = prepare(s);
        long r = s->hosts ? ask_host(s->host, s->n, &now) : 0;
        ready += take_host(s, r);
        if (!ready && r >= 0 && !over && !signal)
            r = wait_own(s, deadline);
        let_go(s);
        if (deadline && ts && !zero)
            *ts = time_until(deadline);
        if (ready || over || signal)
            return ready ? ready : signal ? -ERESTARTNOHAND : 0;
        if (r == -EINTR)
            signal = interrupted();
        else if (r < 0 && r != -ETIMEDOUT)
            return r;
        over = r == -ETIMEDOUT && deadline_over(deadline);
    }
}

static long poll_host(struct polling *s, uint32_t ready, struct __kernel_timespec *ts)
{
    struct __kernel_timespec now = {0};
    long r = ask_host(s->host, s->n, ready ? &now : ts);
    take_host(s, r);
    let_go(s);
    return r < 0 ? r : ready + r;
}

static long poll_with(struct polling *s, struct __kernel_timespec *ts)
{
    uint32_t ready = prepare(s);
    if (likely(!s->own))
        return poll_host(s, ready, ts);
    let_go(s);
    s->waiters = heap_alloc(s->n * sizeof(struct waiter));
    long r = s->waiters ? poll_own(s, ts) : -ENOMEM;
    heap_free(s->waiters);
    return r;
}

long poll_files(struct pollfd *fds, uint32_t n, struct __kernel_timespec *ts)
{
    struct pollfd host[ON_STACK + 1];
    struct file *files[ON_STACK];
    struct polling s = {.fds = fds, .n = n, .host = host, .files = files};
    if (likely(n <= ON_STACK))
        return poll_with(&s, ts);
    s.host = heap_alloc((n + 1) * sizeof(struct pollfd));
    s.files = heap_alloc(n * sizeof(struct file *));
    long r = s.host && s.files ? poll_with(&s, ts) : -ENOMEM;
    heap_free(s.host);
    heap_free(s.files);
    return r;
}

static long poll_user(struct pollfd *ufds, uint32_t n, struct __kernel_timespec *ts)
{
    struct pollfd few[ON_STACK], *fds = few;
    if (n > current_process()->limits[RLIMIT_NOFILE].rlim_cur)
        return -EINVAL;
    if (n > ON_STACK && !(fds = heap_alloc(n * sizeof(*fds))))
        return -ENOMEM;
    long r = copy_from_user(fds, ufds, n * sizeof(*fds)) ? -EFAULT : poll_files(fds, n, ts);
    for (uint32_t i = 0; r >= 0 && i < n; i++)
        if (put_user(&ufds[i].revents, fds[i].revents))
            r = -EFAULT;
    if (fds != few)
        heap_free(fds);
    return r;
}

static long poll_again(struct restart *r);

/* The application sees no remaining time: a wait that goes on must know it itself. */
static long poll_for(struct pollfd *ufds, uint32_t n, struct __kernel_timespec left)
{
    long r = poll_user(ufds, n, &left);
    if (r != -ERESTARTNOHAND)
        return r;
    current()->restart = (struct restart){.go_on = poll_again,
                                          .count = n,
                                          .left = left,
                                          .since = vdso_clock_ns(CLOCK_MONOTONIC),
                                          .user = ufds};
    return -ERESTART_RESTARTBLOCK;
}

static long poll_again(struct restart *r)
{
    return poll_for(r->user, r->count, r->left);
}

SYSCALL3(poll, struct pollfd *, ufds, uint32_t, n, int, timeout_ms)
{
    struct __kernel_timespec ts = {.tv_sec = timeout_ms / 1000,
                                   .tv_nsec = timeout_ms % 1000 * 1000000L};
    return timeout_ms < 0 ? poll_user(ufds, n, NULL) : poll_for(ufds, n, ts);
}

/* The remaining time goes back to the application; a place that cannot be written forbids a
 * restart, which would begin with the whole time again. */
static long give_back(struct __kernel_timespec *uts, const struct __kernel_timespec *ts, long r)
{
    if (uts && ts && put_user(uts, *ts) && r == -ERESTARTNOHAND)
        return -EINTR;
    return r;
}

SYSCALL5(ppoll, struct pollfd *, ufds, uint32_t, n, struct __kernel_timespec *, uts,
         const sigmask *, uset, size_t, size)
{
    struct __kernel_timespec buf, *ts;
    bool masked;
    long err = take_timespec(uts, &buf, &ts);
    if (!err)
        err = wait_mask_enter(uset, size, &masked);
    if (err)
        return err;
    return wait_mask_leave(masked, give_back(uts, ts, poll_user(ufds, n, ts)));
}

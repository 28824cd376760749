/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* poll(2), ppoll, select, pselect6: all of them one ppoll on the host's descriptors. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/proc/vdso.h"
#include "libos/process.h"
#include "libos/sync/wait.h"
#include <asm/unistd.h>
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

static long host_ppoll(struct pollfd *fds, uint32_t n, struct __kernel_timespec *ts)
{
    struct __kernel_timespec now = {0};
    if (ts && !ts->tv_sec && !ts->tv_nsec)
        return host_pass(__NR_ppoll, (long)fds, n, (long)ts, 0, 0, 0);
    for (;;) {
        /* The kernel leaves the remaining time in *ts. */
        long r = host_pass_blocking(__NR_ppoll, (long)fds, n, (long)ts, 0, 0, 0);
        if (r != -EINTR)
            return r;
        if (!interrupted())
            continue;
        /* What is ready counts more than the signal. */
        r = host_pass(__NR_ppoll, (long)fds, n, (long)&now, 0, 0, 0);
        return r ? r : -ERESTARTNOHAND;
    }
}

/* Fills the host's entries (-1: not its matter); returns how many are ready already. */
static uint32_t prepare(struct pollfd *fds, struct pollfd *host, struct file **files, uint32_t n)
{
    uint32_t ready = 0;
    for (uint32_t i = 0; i < n; i++) {
        host[i] = (struct pollfd){.fd = -1, .events = fds[i].events};
        fds[i].revents = 0;
        files[i] = fds[i].fd < 0 ? NULL : fd_get_io(fds[i].fd);
        if (files[i])
            host[i].fd = file_poll_fd(files[i]);
        if (fds[i].fd >= 0 && host[i].fd < 0)
            fds[i].revents = files[i] ? fds[i].events & POLL_ALWAYS : POLLNVAL;
        ready += fds[i].revents != 0;
    }
    return ready;
}

static long poll_with(struct pollfd *fds, struct pollfd *host, struct file **files, uint32_t n,
                      struct __kernel_timespec *ts)
{
    struct __kernel_timespec now = {0};
    uint32_t ready = prepare(fds, host, files, n);
    long r = host_ppoll(host, n, ready ? &now : ts);
    for (uint32_t i = 0; i < n; i++) {
        if (host[i].fd >= 0 && r > 0)
            fds[i].revents = host[i].revents;
        if (files[i])
            file_put(files[i]);
    }
    return r < 0 ? r : ready + r;
}

long poll_files(struct pollfd *fds, uint32_t n, struct __kernel_timespec *ts)
{
    struct pollfd host[ON_STACK];
    struct file *files[ON_STACK];
    if (likely(n <= ON_STACK))
        return poll_with(fds, host, files, n, ts);
    struct pollfd *h = heap_alloc(n * sizeof(*h));
    struct file **f = heap_alloc(n * sizeof(struct file *));
    long r = h && f ? poll_with(fds, h, f, n, ts) : -ENOMEM;
    heap_free(h);
    heap_free(f);
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

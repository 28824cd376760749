/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * timerfd_create(2): a timer of our own, see sync/own.h. Nothing of the host runs for it: whoever
 * looks at it sees by the clock whether it has expired, and whoever waits for it looks again when
 * it is to (file_ops.look_at). One that is to notice when the clock is set
 * (TFD_TIMER_CANCEL_ON_SET) becomes the host's, as does one that would wake a sleeping machine.
 */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/net/host_object.h"
#include "libos/process.h"
#include "libos/sync/epoll.h"
#include "libos/sync/own.h"
#include "libos/sync/wait.h"
#include "libos/time/clock.h"
#include <linux/time.h>
#include <linux/timerfd.h>

typedef struct __kernel_itimerspec itimerspec;

struct timerfd {
    struct own own;
    struct lock lock;
    struct wait_queue queue;
    struct file *file;
    int clock;         /* as it was made for */
    int base;          /* the clock of `at`: a relative CLOCK_REALTIME is CLOCK_MONOTONIC */
    uint64_t at;       /* when it expires next, or did */
    uint64_t interval; /* 0: once */
    bool runs;         /* `at` is still to come, as far as somebody has looked */
    bool expired;      /* since the last read; with an interval, `at` is still that time */
    uint64_t ticks;    /* to be read; those after `at` of an expired one are yet to be added */
};

static const struct file_ops timerfd_ops, host_timerfd_ops;

/* ---- the timer, under its lock ---- */

static void look(struct timerfd *t)
{
    if (!t->runs || clock_now(t->base) < t->at)
        return;
    t->runs = false;
    t->expired = true;
    t->ticks++;
    queue_wake(&t->queue, POLLIN);
}

/* After an expiry one with an interval stands still until somebody asks. */
static void go_on(struct timerfd *t)
{
    if (!t->expired || !t->interval)
        return;
    t->ticks += ns_forward(&t->at, clock_now(t->base), t->interval) - 1;
    t->expired = false;
    t->runs = true;
}

static itimerspec value_of(struct timerfd *t)
{
    look(t);
    go_on(t);
    uint64_t now = clock_now(t->base);
    return (itimerspec){.it_interval = timespec_of(t->interval),
                        .it_value = timespec_of(t->runs && t->at > now ? t->at - now : 0)};
}

static void set(struct timerfd *t, int flags, const itimerspec *new)
{
    uint64_t at = ns_of(&new->it_value);
    bool relative = !(flags & TFD_TIMER_ABSTIME);
    t->base = relative && t->clock == CLOCK_REALTIME ? CLOCK_MONOTONIC : t->clock;
    t->at = relative ? ns_sum(clock_now(t->base), at) : at;
    t->interval = ns_of(&new->it_interval);
    t->runs = at != 0;
    t->expired = false;
    t->ticks = 0;
    queue_wake(&t->queue, 0); /* when to look is another time now */
    look(t);
}

static uint64_t next_look(const struct timerfd *t)
{
    return t->runs ? clock_look_at(t->base, t->at) : 0;
}

/* ---- the file ---- */

/* 8, or -EAGAIN, */
static ssize take(struct timerfd *t, uint64_t *ticks)
{
    look(t);
    if (!t->ticks)
        return -EAGAIN;
    go_on(t);
    *ticks = t->ticks;
    t->ticks = 0;
    t->expired = false;
    return sizeof(*ticks);
}

/* and 0 if it has become the host's. */
static ssize take_or_wait(struct file *f, uint64_t *ticks)
{
    struct timerfd *t = f->priv;
    struct waiter w;
    for (;;) {
        uint64_t until = 0;
        lock(&t->lock);
        ssize r = f->host_fd >= 0 ? 0 : take(t, ticks);
        bool wait = r == -EAGAIN && !(f->flags & O_NONBLOCK);
        if (wait) {
            own_wait_begin(&t->queue, &t->lock, &w);
            until = next_look(t);
        }
        queue_unlock(&t->lock);
        if (wait)
            r = own_wait(f, &w, until);
        if (!wait || r)
            return r;
    }
}

static ssize timerfd_read(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    uint64_t ticks;
    (void)pos;
    if (n < sizeof(ticks))
        return -EINVAL;
    ssize r = take_or_wait(f, &ticks);
    if (r == 0)
        return file_read(f, ubuf, n, -1);
    return r > 0 && copy_to_user(ubuf, &ticks, sizeof(ticks)) ? -EFAULT : r;
}

static ssize timerfd_write(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    (void)f, (void)ubuf, (void)n, (void)pos;
    return -EINVAL;
}

static uint32_t timerfd_poll(struct file *f, struct waiter *w)
{
    struct timerfd *t = f->priv;
    lock(&t->lock);
    look(t);
    if (w)
        queue_join(&t->queue, &t->lock, w);
    uint32_t mask = t->ticks ? POLLIN : 0;
    queue_unlock(&t->lock);
    return mask;
}

static uint64_t timerfd_look_at(struct file *f)
{
    struct timerfd *t = f->priv;
    lock(&t->lock);
    uint64_t at = next_look(t);
    unlock(&t->lock);
    return at;
}

/* ---- becoming the host's ---- */

/* Set so that it has expired as often as ours, and expires when ours would. */
static int set_host(const struct timerfd *t, int fd)
{
    itimerspec when = {.it_interval = timespec_of(t->interval)};
    uint64_t now = clock_now(t->base), unread = t->ticks - (t->expired && t->ticks);
    uint64_t at = t->at - unread * t->interval; /* of the first that nobody has read of */
    if (!t->runs && !t->ticks) {
        return t->interval ? host_timerfd_set(fd, 0, &when, NULL) : 0;
    } else if (t->base != t->clock && !t->ticks) {
        when.it_value = timespec_of(at > now ? at - now : 1);
        return host_timerfd_set(fd, 0, &when, NULL);
    }
    if (t->base != t->clock)
        at += clock_now(t->clock) - now;
    when.it_value = timespec_of(MAX(at, 1UL));
    return host_timerfd_set(fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static int timerfd_to_host(struct own *o)
{
    struct timerfd *t = container_of(o, struct timerfd, own);
    struct file *f = t->file;
    int fd = host_timerfd_make(t->clock, f->flags & O_NONBLOCK);
    int err = fd < 0 ? fd : set_host(t, fd);
    if (err) {
        if (fd >= 0)
            host_close(fd);
        return err;
    }
    f->host_fd = fd;
    f->ops = &host_timerfd_ops;
    __atomic_store_n(&f->kind, FILE_STREAM, __ATOMIC_RELEASE);
    own_remove(o);
    epoll_file_is_hosts(f);
    queue_wake(&t->queue, 0);
    unpark_those();
    return 0;
}

static void timerfd_hand_over(struct file *f)
{
    own_hand_over(f, &((struct timerfd *)f->priv)->own);
}

static void timerfd_release(struct file *f)
{
    struct timerfd *t = f->priv;
    if (!t) /* the host's from the start */
        return;
    own_remove(&t->own);
    heap_free(t);
}

static const struct file_ops timerfd_ops = {.name = "anon_inode:[timerfd]",
                                            .read = timerfd_read,
                                            .write = timerfd_write,
                                            .poll = timerfd_poll,
                                            .look_at = timerfd_look_at,
                                            .to_host = timerfd_hand_over,
                                            .release = timerfd_release};
static const struct file_ops host_timerfd_ops = {.name = "anon_inode:[timerfd]",
                                                 .release = timerfd_release};

/* ---- the calls ---- */

static long make_timerfd(int clock, int flags)
{
    struct timerfd *t = heap_zalloc(sizeof(*t));
    struct file *f =
        t ? file_new(&timerfd_ops, FILE_UNSEEN, -1, O_RDWR | ((uint32_t)flags & O_NONBLOCK)) : NULL;
    if (!f) {
        heap_free(t);
        return -ENOMEM;
    }
    t->own.to_host = timerfd_to_host;
    t->file = f;
    t->clock = t->base = clock;
    queue_init(&t->queue);
    f->priv = t;
    own_add(&t->own);
    return fd_install(f, 0, flags & O_CLOEXEC);
}

SYSCALL2(timerfd_create, int, clock, int, flags)
{
    if (flags & ~(TFD_NONBLOCK | TFD_CLOEXEC))
        return -EINVAL;
    if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM)
        return host_object_install(host_timerfd_make(clock, (uint32_t)flags & TFD_NONBLOCK),
                                   &host_timerfd_ops, FILE_STREAM,
                                   O_RDWR | ((uint32_t)flags & TFD_NONBLOCK), flags & TFD_CLOEXEC);
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME && clock != CLOCK_BOOTTIME)
        return -EINVAL;
    return make_timerfd(clock, flags);
}

/* The file of `fd`, counted, if it is or may be a timer: of the host's, it says itself what they
 * are (some came in a message). */
static int get_timer(int fd, struct file **out)
{
    struct file *f = fd_get_transfer(fd);
    if (!f)
        return -EBADF;
    if (f->ops != &timerfd_ops && f->host_fd < 0) {
        file_put(f);
        return -EINVAL;
    }
    *out = f;
    return 0;
}

#define NOTICES_SETTING (TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)

static int change(struct file *f, int flags, const itimerspec *new, itimerspec *old)
{
    struct timerfd *t = f->ops == &timerfd_ops ? f->priv : NULL;
    if (t && t->clock == CLOCK_REALTIME && (flags & NOTICES_SETTING) == NOTICES_SETTING) {
        file_look(f, NULL);
        t = f->ops == &timerfd_ops ? t : NULL;
    }
    if (!t)
        return host_timerfd_set(f->host_fd, flags, new, old);
    lock(&t->lock);
    *old = value_of(t);
    set(t, flags, new);
    queue_unlock(&t->lock);
    return 0;
}

SYSCALL4(timerfd_settime, int, fd, int, flags, const itimerspec *, unew, itimerspec *, uold)
{
    itimerspec new, old;
    struct file *f;
    if (get_user(new, unew))
        return -EFAULT;
    if (flags & ~NOTICES_SETTING || !timespec_ok(&new.it_value) || !timespec_ok(&new.it_interval))
        return -EINVAL;
    int err = get_timer(fd, &f);
    if (err)
        return err;
    err = change(f, flags, &new, &old);
    file_put(f);
    return !err && uold && put_user(uold, old) ? -EFAULT : err;
}

SYSCALL2(timerfd_gettime, int, fd, itimerspec *, uvalue)
{
    itimerspec now;
    struct file *f;
    int err = get_timer(fd, &f);
    if (err)
        return err;
    if (f->ops == &timerfd_ops) {
        struct timerfd *t = f->priv;
        lock(&t->lock);
        now = value_of(t);
        queue_unlock(&t->lock);
    } else {
        err = host_timerfd_get(f->host_fd, &now);
    }
    file_put(f);
    return err ? err : put_user(uvalue, now) ? -EFAULT : 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * signalfd(2): ready when a signal that it wants is in the queues of whoever looks, so it needs
 * nothing of the host, in a child of fork neither. But an epoll that only the host knows whole (one
 * that a second process has, or that is watched itself) must hear of it from the host: then an
 * event counter there stands for it, raised when a wanted signal is queued and lowered when a read
 * finds none.
 */
#include "libos/sync/signalfd.h"
#include "host/host_event.h"
#include "libos/entry/syscall.h"
#include "libos/fs/vfs.h"
#include "libos/process.h"
#include "libos/sync/epoll.h"
#include "libos/sync/own.h"
#include "libos/sync/wait.h"
#include <linux/signalfd.h>

#define SFD_FLAGS (O_CLOEXEC | O_NONBLOCK)

struct signalfd {
    struct list link;
    struct own own; /* in no list: see signalfds_before_fork() */
    struct file *file;
    sigmask mask; /* atomic */
    struct wait_queue queue;
    int counter; /* host descriptor, never blocks; -1: none. The file's own flags stay ours */
};

/* All of them, their queues. Lock: an own object's, below process.sig_lock. */
static struct lock signalfds_lock;
static struct list signalfds = {&signalfds, &signalfds};
static uint32_t signalfd_count; /* atomic: spares the lock where there are none, */
static uint32_t counter_count;  /* or none with a counter */

static const struct file_ops signalfd_ops, counted_signalfd_ops;

static void raise_counter(int fd)
{
    host_event_add(fd, 1);
}

static void lower_counter(int fd)
{
    host_event_take(fd);
}

static int make_counter(void)
{
    return host_eventfd(0, O_NONBLOCK);
}

/* As on Linux: an epoll's edge is told again, whichever signal it was. */
static void wake_all(void)
{
    list_for_each (it, &signalfds)
        queue_wake(&list_entry(it, struct signalfd, link)->queue, 0);
}

void signalfd_notify(int sig)
{
    if (likely(!__atomic_load_n(&signalfd_count, __ATOMIC_ACQUIRE)))
        return;
    lock(&signalfds_lock);
    wake_all();
    list_for_each (it, &signalfds) {
        struct signalfd *s = list_entry(it, struct signalfd, link);
        if (s->counter >= 0 && __atomic_load_n(&s->mask, __ATOMIC_ACQUIRE) & SIGBIT(sig))
            raise_counter(s->counter);
    }
    unlock(&signalfds_lock);
}

void signalfd_taken(sigmask pending)
{
    if (likely(!__atomic_load_n(&counter_count, __ATOMIC_ACQUIRE)))
        return;
    lock(&signalfds_lock);
    list_for_each (it, &signalfds) {
        struct signalfd *s = list_entry(it, struct signalfd, link);
        if (s->counter >= 0 && !(s->mask & pending))
            lower_counter(s->counter);
    }
    unlock(&signalfds_lock);
}

void signalfd_in_child(void)
{
    list_for_each (it, &signalfds) {
        struct signalfd *s = list_entry(it, struct signalfd, link);
        int own = s->counter >= 0 ? make_counter() : -1;
        if (own < 0)
            continue; /* without a new one it is shared: woken in vain at times */
        host_dup3(own, s->counter, true);
        host_close(own);
    }
}

/* Of those that the caller would take. */
static sigmask pending_for(const struct thread *t)
{
    return __atomic_load_n(&t->pending.set, __ATOMIC_ACQUIRE) |
           __atomic_load_n(&t->process->pending.set, __ATOMIC_ACQUIRE);
}

static bool is_ready(const struct signalfd *s)
{
    return pending_for(current()) & __atomic_load_n(&s->mask, __ATOMIC_ACQUIRE);
}

/* A counter is readable exactly while something is pending: called after the queues were looked
 * through. */
static void settle_counter(const struct signalfd *s)
{
    if (s->counter < 0)
        return;
    lower_counter(s->counter);
    signal_pending(current()); /* takes in what the host sent meanwhile */
    if (is_ready(s))
        raise_counter(s->counter);
}

static struct signalfd_siginfo describe(const siginfo_t *i)
{
    struct signalfd_siginfo o = {.ssi_signo = (uint32_t)i->si_signo,
                                 .ssi_errno = i->si_errno,
                                 .ssi_code = i->si_code,
                                 .ssi_pid = (uint32_t)i->si_pid,
                                 .ssi_uid = i->si_uid};
    if (i->si_code == SI_TIMER) {
        o.ssi_tid = (uint32_t)i->si_tid;
        o.ssi_overrun = (uint32_t)i->si_overrun;
        o.ssi_pid = o.ssi_uid = 0;
    }
    if (i->si_code < 0) {
        o.ssi_int = i->si_int;
        o.ssi_ptr = (uint64_t)i->si_ptr;
    } else if (i->si_signo == SIGCHLD) {
        o.ssi_status = i->si_status;
        o.ssi_utime = (uint64_t)i->si_utime;
        o.ssi_stime = (uint64_t)i->si_stime;
    }
    return o;
}

/* As many as are pending and have room: their bytes. */
static ssize take_all(const struct signalfd *s, char *ubuf, size_t n)
{
    size_t done = 0;
    siginfo_t info;
    while (n - done >= sizeof(struct signalfd_siginfo) &&
           signal_take(current(), __atomic_load_n(&s->mask, __ATOMIC_ACQUIRE), &info)) {
        struct signalfd_siginfo out = describe(&info);
        if (copy_to_user(ubuf + done, &out, sizeof(out)))
            return done ? (ssize)done : -EFAULT;
        done += sizeof(out);
    }
    return (ssize)done;
}

static void join(struct signalfd *s, struct waiter *w)
{
    waiter_thread(w);
    lock(&signalfds_lock);
    queue_join(&s->queue, &signalfds_lock, w);
    unlock(&signalfds_lock);
}

static ssize signalfd_read(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    struct signalfd *s = f->priv;
    (void)pos;
    if (n < sizeof(struct signalfd_siginfo))
        return -EINVAL;
    ssize r = take_all(s, ubuf, n);
    while (!r && !(f->flags & O_NONBLOCK)) {
        struct waiter w;
        join(s, &w);
        r = take_all(s, ubuf, n); /* what came before we were in the queue */
        if (r)
            queue_leave(&w);
        else
            r = own_wait(f, &w, 0);
    }
    settle_counter(s);
    return r ? r : -EAGAIN;
}

static ssize signalfd_write(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    (void)f, (void)ubuf, (void)n, (void)pos;
    return -EINVAL;
}

static uint32_t signalfd_poll(struct file *f, struct waiter *w)
{
    struct signalfd *s = f->priv;
    lock(&signalfds_lock);
    if (w)
        queue_join(&s->queue, &signalfds_lock, w);
    unlock(&signalfds_lock);
    return is_ready(s) ? POLLIN : 0;
}

static int signalfd_poll_fd(struct file *f)
{
    return ((struct signalfd *)f->priv)->counter;
}

static void signalfd_release(struct file *f)
{
    struct signalfd *s = f->priv;
    lock(&signalfds_lock);
    list_del(&s->link);
    unlock(&signalfds_lock);
    __atomic_fetch_sub(&signalfd_count, 1, __ATOMIC_ACQ_REL);
    if (s->counter >= 0) {
        __atomic_fetch_sub(&counter_count, 1, __ATOMIC_ACQ_REL);
        host_close(s->counter);
    }
    heap_free(s);
}

/* ---- with a counter ---- */

static int signalfd_to_host(struct own *o)
{
    struct signalfd *s = container_of(o, struct signalfd, own);
    int fd = make_counter();
    if (fd < 0)
        return fd;
    lock(&signalfds_lock);
    s->counter = fd;
    __atomic_fetch_add(&counter_count, 1, __ATOMIC_ACQ_REL);
    s->file->ops = &counted_signalfd_ops;
    unlock(&signalfds_lock);
    if (is_ready(s))
        raise_counter(s->counter);
    epoll_file_is_hosts(s->file);
    lock(&signalfds_lock);
    queue_wake(&s->queue, 0);
    queue_unlock(&signalfds_lock);
    return 0;
}

static void signalfd_hand_over(struct file *f)
{
    own_hand_over(f, &((struct signalfd *)f->priv)->own);
}

int signalfds_before_fork(void)
{
    int err = 0;
    list_for_each (it, &signalfds) {
        struct signalfd *s = list_entry(it, struct signalfd, link);
        if (!err && s->counter < 0 && s->file->watches)
            err = signalfd_to_host(&s->own);
    }
    return err;
}

static const struct file_ops signalfd_ops = {.name = "anon_inode:[signalfd]",
                                             .read = signalfd_read,
                                             .write = signalfd_write,
                                             .poll = signalfd_poll,
                                             .to_host = signalfd_hand_over,
                                             .release = signalfd_release};
static const struct file_ops counted_signalfd_ops = {.name = "anon_inode:[signalfd]",
                                                     .read = signalfd_read,
                                                     .write = signalfd_write,
                                                     .poll = signalfd_poll,
                                                     .poll_fd = signalfd_poll_fd,
                                                     .release = signalfd_release};

/* ---- the calls ---- */

static long make_signalfd(sigmask mask, int flags)
{
    struct signalfd *s = heap_zalloc(sizeof(*s));
    struct file *f =
        s ? file_new(&signalfd_ops, FILE_OTHER, -1, O_RDWR | (uint32_t)(flags & O_NONBLOCK)) : NULL;
    if (!f) {
        heap_free(s);
        return -ENOMEM;
    }
    s->own.to_host = signalfd_to_host;
    s->file = f;
    s->mask = mask;
    s->counter = -1;
    queue_init(&s->queue);
    f->priv = s;
    lock(&signalfds_lock);
    list_add_tail(&signalfds, &s->link);
    unlock(&signalfds_lock);
    __atomic_fetch_add(&signalfd_count, 1, __ATOMIC_ACQ_REL);
    return fd_install(f, 0, flags & O_CLOEXEC);
}

static long change_mask(int fd, sigmask mask)
{
    struct file *f = fd_get_transfer(fd);
    if (!f)
        return -EBADF;
    bool is_one = f->ops == &signalfd_ops || f->ops == &counted_signalfd_ops;
    if (is_one) {
        struct signalfd *s = f->priv;
        lock(&signalfds_lock);
        __atomic_store_n(&s->mask, mask, __ATOMIC_RELEASE);
        wake_all();
        queue_unlock(&signalfds_lock);
        settle_counter(s);
    }
    file_put(f);
    return is_one ? fd : -EINVAL;
}

static long signalfd_for(int fd, const sigmask *uset, size_t size, int flags)
{
    sigmask mask;
    if (size != sizeof(mask))
        return -EINVAL;
    if (get_user(mask, uset))
        return -EFAULT;
    if (flags & ~SFD_FLAGS)
        return -EINVAL;
    mask &= ~SIG_UNBLOCKABLE;
    return fd == -1 ? make_signalfd(mask, flags) : change_mask(fd, mask);
}

SYSCALL4(signalfd4, int, fd, const sigmask *, uset, size_t, size, int, flags)
{
    return signalfd_for(fd, uset, size, flags);
}

SYSCALL3(signalfd, int, fd, const sigmask *, uset, size_t, size)
{
    return signalfd_for(fd, uset, size, 0);
}

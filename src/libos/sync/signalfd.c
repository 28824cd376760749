/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * signalfd(2). The queues are ours, so the host cannot tell when such a descriptor is readable: an
 * event counter on the host stands for it, raised when a wanted signal is queued and lowered when a
 * read finds none.
 */
#include "libos/sync/signalfd.h"
#include "host/host_event.h"
#include "libos/entry/syscall.h"
#include "libos/fs/vfs.h"
#include "libos/process.h"
#include "libos/sync/wait.h"
#include <linux/signalfd.h>

#define SFD_FLAGS (O_CLOEXEC | O_NONBLOCK)

struct signalfd {
    struct list link;
    sigmask mask; /* atomic */
    int counter;  /* host descriptor, never blocks; the file's own flags stay ours */
};

/* All of them. Lock: below process.sig_lock, leaf. */
static struct lock signalfds_lock;
static struct list signalfds = {&signalfds, &signalfds};
static uint32_t signalfd_count; /* atomic: spares the lock where there are none */

static void raise_counter(int fd)
{
    host_event_add(fd, 1);
}

void signalfd_notify(int sig)
{
    if (likely(!__atomic_load_n(&signalfd_count, __ATOMIC_ACQUIRE)))
        return;
    lock(&signalfds_lock);
    list_for_each (it, &signalfds) {
        struct signalfd *s = list_entry(it, struct signalfd, link);
        if (__atomic_load_n(&s->mask, __ATOMIC_ACQUIRE) & SIGBIT(sig))
            raise_counter(s->counter);
    }
    unlock(&signalfds_lock);
}

static void lower_counter(int fd)
{
    host_event_take(fd);
}

void signalfd_taken(sigmask pending)
{
    if (likely(!__atomic_load_n(&signalfd_count, __ATOMIC_ACQUIRE)))
        return;
    lock(&signalfds_lock);
    list_for_each (it, &signalfds) {
        struct signalfd *s = list_entry(it, struct signalfd, link);
        if (!(s->mask & pending))
            lower_counter(s->counter);
    }
    unlock(&signalfds_lock);
}

void signalfd_in_child(void)
{
    lock(&signalfds_lock);
    list_for_each (it, &signalfds) {
        struct signalfd *s = list_entry(it, struct signalfd, link);
        int own = host_eventfd(0, O_NONBLOCK);
        if (IS_ERR(own))
            continue; /* shared, then: woken in vain at times */
        host_dup3(own, s->counter, true);
        host_close(own);
    }
    unlock(&signalfds_lock);
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

/* Readable exactly while something is pending: called after the queues were looked through. */
static void settle_counter(const struct signalfd *s)
{
    struct thread *t = current();
    lower_counter(s->counter);
    signal_pending(t); /* takes in what the host sent meanwhile */
    if ((t->pending.set | t->process->pending.set) & s->mask)
        raise_counter(s->counter);
}

static ssize wait_readable(const struct signalfd *s)
{
    struct pollfd p = {.fd = s->counter, .events = POLLIN};
    long r = host_poll(&p, 1, NULL, true);
    return r == -EINTR ? (interrupted() ? -ERESTARTSYS : 0) : MIN(r, 0L);
}

static ssize signalfd_read(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    struct signalfd *s = f->priv;
    struct thread *t = current();
    size_t done = 0;
    siginfo_t info;
    (void)pos;
    if (n < sizeof(struct signalfd_siginfo))
        return -EINVAL;
    for (;;) {
        while (n - done >= sizeof(struct signalfd_siginfo) && signal_take(t, s->mask, &info)) {
            struct signalfd_siginfo out = describe(&info);
            if (copy_to_user((char *)ubuf + done, &out, sizeof(out)))
                return done ? (ssize)done : -EFAULT;
            done += sizeof(out);
        }
        settle_counter(s);
        if (done || f->flags & O_NONBLOCK)
            return done ? (ssize)done : -EAGAIN;
        ssize r = wait_readable(s);
        if (r)
            return r;
    }
}

static ssize signalfd_write(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    (void)f, (void)ubuf, (void)n, (void)pos;
    return -EINVAL;
}

static void signalfd_release(struct file *f)
{
    struct signalfd *s = f->priv;
    lock(&signalfds_lock);
    list_del(&s->link);
    unlock(&signalfds_lock);
    __atomic_fetch_sub(&signalfd_count, 1, __ATOMIC_ACQ_REL);
    host_close(s->counter);
    heap_free(s);
}

static int signalfd_poll_fd(struct file *f)
{
    return ((struct signalfd *)f->priv)->counter;
}

static const struct file_ops signalfd_ops = {.name = "anon_inode:[signalfd]",
                                             .read = signalfd_read,
                                             .write = signalfd_write,
                                             .poll_fd = signalfd_poll_fd,
                                             .release = signalfd_release};

static long make_signalfd(sigmask mask, int flags)
{
    struct signalfd *s = heap_zalloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    long r = host_eventfd(0, O_NONBLOCK);
    if (IS_ERR(r)) {
        heap_free(s);
        return r;
    }
    struct file *f =
        file_new(&signalfd_ops, FILE_OTHER, -1, O_RDWR | (uint32_t)(flags & O_NONBLOCK));
    if (!f) {
        host_close((int)r);
        heap_free(s);
        return -ENOMEM;
    }
    s->mask = mask;
    s->counter = (int)r;
    f->priv = s;
    lock(&signalfds_lock);
    list_add_tail(&signalfds, &s->link);
    unlock(&signalfds_lock);
    __atomic_fetch_add(&signalfd_count, 1, __ATOMIC_ACQ_REL);
    settle_counter(s);
    return fd_install(f, 0, flags & O_CLOEXEC);
}

static long change_mask(int fd, sigmask mask)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    bool ours = f->ops == &signalfd_ops;
    if (ours) {
        struct signalfd *s = f->priv;
        __atomic_store_n(&s->mask, mask, __ATOMIC_RELEASE);
        settle_counter(s);
    }
    file_put(f);
    return ours ? fd : -EINVAL;
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

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * epoll(7). Each epoll of ours owns a host epoll with the members' own flags: edge triggering
 * cannot be rebuilt from level polling. The application's data passes through it. Linux tells
 * members apart by (file, descriptor number), the host by ours: a file that is registered under a
 * second number gets a host descriptor of its own.
 *
 * Own objects (sync/own.h) are members of ours alone: epoll_own.c. An epoll without any is waited
 * for by one call of the host.
 */
#include "host/host_event.h"
#include "libos/entry/syscall.h"
#include "libos/proc/vdso.h"
#include "libos/process.h"
#include "libos/sync/epoll_own.h"
#include "libos/sync/wait.h"
#include <linux/time.h>

/* Guards all registrations: struct epoll.watches and file.watches. Lock: above heap_lock and the
 * locks of own objects, below all others but process.lock's order; host calls under it do not
 * block. */
struct lock epoll_lock;

static void drop_watch(struct watch *w)
{
    list_del(&w->of_epoll);
    if (w->host_fd < 0)
        own_member_leave(w);
    else
        ((struct epoll *)w->epoll->priv)->hosts--;
    if (w->own_fd)
        host_close(w->host_fd);
    heap_free(w);
}

void epoll_forget_file(struct file *f)
{
    lock(&epoll_lock);
    struct watch *w = f->watches;
    while (w) {
        struct watch *next = w->next;
        drop_watch(w);
        w = next;
    }
    f->watches = NULL;
    unlock(&epoll_lock);
}

static void unlink_from_file(struct watch *w)
{
    struct watch **at = &w->file->watches;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
}

static void epoll_release(struct file *f)
{
    struct epoll *ep = f->priv;
    lock(&epoll_lock);
    list_for_each_safe (it, &ep->watches) {
        struct watch *w = list_entry(it, struct watch, of_epoll);
        unlink_from_file(w);
        drop_watch(w);
    }
    unlock(&epoll_lock);
    heap_free(ep);
}

/* Who watches an epoll itself hears the host only. */
static int epoll_poll_fd(struct file *f)
{
    epoll_host_only(f->priv);
    return f->host_fd;
}

static const struct file_ops epoll_ops = {
    .name = "anon_inode:[eventpoll]", .poll_fd = epoll_poll_fd, .release = epoll_release};

int epoll_file(int host_fd, struct file **out)
{
    struct epoll *ep = heap_alloc(sizeof(*ep));
    struct file *f = ep ? file_new(&epoll_ops, FILE_EPOLL, host_fd, O_RDWR) : NULL;
    if (!f) {
        heap_free(ep);
        host_close(host_fd);
        return -ENOMEM;
    }
    epoll_init(ep);
    f->priv = ep;
    *out = f;
    return 0;
}

static long make_epoll(int flags)
{
    struct file *f;
    if (flags & ~EPOLL_CLOEXEC)
        return -EINVAL;
    long r = host_epoll();
    if (IS_ERR(r))
        return r;
    r = epoll_file((int)r, &f);
    return r ? r : fd_install(f, 0, flags & EPOLL_CLOEXEC);
}

SYSCALL1(epoll_create1, int, flags)
{
    return make_epoll(flags);
}

SYSCALL1(epoll_create, int, size)
{
    return size > 0 ? make_epoll(0) : -EINVAL;
}

/* The registration of (f, fd); *sibling: another one of the same file. */
static struct watch *find_watch(struct file *ep, struct file *f, int fd, bool *sibling)
{
    struct watch *found = NULL;
    *sibling = false;
    for (struct watch *w = f->watches; w; w = w->next) {
        if (w->epoll != ep)
            continue;
        if (w->fd == fd)
            found = w;
        else
            *sibling = true;
    }
    return found;
}

static long host_ctl(struct file *ep, int op, int host_fd, struct epoll_event *ev)
{
    return host_epoll_ctl(ep->host_fd, op, host_fd, ev);
}

static long add_watch(struct file *ep, struct file *f, int fd, struct epoll_event *ev, bool dup)
{
    struct watch *w = heap_zalloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    bool own = file_is_own(f);
    int host_fd = own ? -1 : file_poll_fd(f);
    *w = (struct watch){.epoll = ep,
                        .file = f,
                        .fd = fd,
                        .own_fd = dup && !own,
                        .events = ev->events,
                        .data = ev->data};
    w->host_fd = w->own_fd ? host_dup(host_fd, true) : host_fd;
    long r = own              ? own_member_join(w)
             : w->host_fd < 0 ? w->host_fd
                              : host_ctl(ep, EPOLL_CTL_ADD, w->host_fd, ev);
    if (r) {
        if (dup && w->host_fd >= 0)
            host_close(w->host_fd);
        heap_free(w);
        return r;
    }
    struct epoll *e = ep->priv;
    if (!own && !e->hosts++)
        epoll_wake(e); /* who sleeps on own members alone must hear the host's, too */
    w->next = f->watches;
    f->watches = w;
    list_add_tail(&e->watches, &w->of_epoll);
    return 0;
}

static long control(struct file *ep, int op, struct file *f, int fd, struct epoll_event *ev)
{
    bool sibling;
    lock(&epoll_lock);
    struct watch *w = find_watch(ep, f, fd, &sibling);
    long r;
    if (!file_is_own(f))
        ev->events = epoll_host_events(f, ev->events);
    if (op == EPOLL_CTL_ADD && !w)
        r = add_watch(ep, f, fd, ev, sibling);
    else if (!w && (sibling || file_is_own(f)))
        r = -ENOENT;
    else if (w && w->host_fd < 0)
        r = own_member_control(w, op, ev);
    else /* what a forked process changed only the host knows */
        r = host_ctl(ep, op, w ? w->host_fd : file_poll_fd(f), ev);
    if (!r && w && op == EPOLL_CTL_DEL) {
        unlink_from_file(w);
        drop_watch(w);
    }
    queue_unlock(&epoll_lock);
    return r;
}

/* A file that is an own object, which it may have to cease to be for this epoll's sake. */
static long control_own(struct file *ep, int op, struct file *f, int fd, struct epoll_event *ev)
{
    struct epoll *e = ep->priv;
    if (epoll_wants_host(e, ev))
        file_look(f, NULL);
    long r = control(ep, op, f, fd, ev);
    /* Somebody went to sleep on the host's epoll meanwhile, where nothing of ours is heard. */
    if (!r && op == EPOLL_CTL_ADD && __atomic_load_n(&e->asleep, __ATOMIC_SEQ_CST))
        file_look(f, NULL);
    return r;
}

SYSCALL4(epoll_ctl, int, epfd, int, op, int, fd, struct epoll_event *, uevent)
{
    struct epoll_event ev = {0};
    if (op != EPOLL_CTL_DEL && get_user(ev, uevent))
        return -EFAULT;
    struct file *ep = fd_get_io(epfd), *f = fd_get_pollable(fd);
    long r;
    if (!ep || !f)
        r = -EBADF;
    else if (!file_is_own(f) && file_poll_fd(f) < 0)
        r = -EPERM;
    else if (ep->ops != &epoll_ops || ep == f || op < EPOLL_CTL_ADD || op > EPOLL_CTL_MOD)
        r = -EINVAL;
    else if (file_is_own(f))
        r = control_own(ep, op, f, fd, &ev);
    else
        r = control(ep, op, f, fd, &ev);
    file_put(ep);
    file_put(f);
    return r;
}

/* `ns` < 0: no limit. */
static long wait_on_host(int host_fd, void *uevents, int most, int64_t ns)
{
    struct __kernel_timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    if (ns == 0)
        return host_epoll_look(host_fd, uevents, most);
    uint64_t end = ns > 0 ? vdso_clock_ns(CLOCK_MONOTONIC) + (uint64_t)ns : 0;
    for (;;) {
        long r = host_epoll_wait(host_fd, uevents, most, ns > 0 ? &ts : NULL);
        bool early = r == 0 && !deadline_over(end);
        if (r != -EINTR && !early)
            return r;
        if (r == -EINTR && interrupted()) { /* what is ready counts more than the signal */
            r = host_epoll_look(host_fd, uevents, most);
            return r ? r : -EINTR; /* never restarted, by no flag (signal(7)) */
        }
        if (ns > 0) {
            uint64_t now = vdso_clock_ns(CLOCK_MONOTONIC);
            uint64_t left = end > now ? end - now : 0;
            ts.tv_sec = (int64_t)(left / 1000000000);
            ts.tv_nsec = (int64_t)(left % 1000000000);
        }
    }
}

static long wait_on(struct file *f, void *uevents, int most, int64_t ns)
{
    struct epoll *ep = f->priv;
    long r = -EAGAIN;
    __atomic_fetch_add(&ep->asleep, 1, __ATOMIC_SEQ_CST);
    bool own = __atomic_load_n(&ep->own, __ATOMIC_SEQ_CST) != 0;
    if (likely(!own))
        r = wait_on_host(f->host_fd, uevents, most, ns);
    __atomic_fetch_sub(&ep->asleep, 1, __ATOMIC_SEQ_CST);
    return likely(!own) ? r : epoll_wait_own(f, uevents, most, ns);
}

static long epoll_wait_for(int epfd, void *uevents, int most, int64_t ns, const sigmask *uset,
                           size_t size)
{
    bool masked;
    int err = wait_mask_enter(uset, size, &masked);
    if (err)
        return err;
    struct file *ep = NULL;
    long r;
    int n = MIN(most, MOST_EVENTS);
    if (most <= 0 || most > INT32_MAX / EPOLL_EVENT_BYTES)
        r = -EINVAL;
    else if (!user_range_ok(uevents, (size_t)n * EPOLL_EVENT_BYTES))
        r = -EFAULT;
    else if (!(ep = fd_get_io(epfd)))
        r = -EBADF;
    else if (ep->ops != &epoll_ops)
        r = -EINVAL;
    else
        r = wait_on(ep, uevents, n, ns);
    file_put(ep);
    return wait_mask_leave(masked, r);
}

static int64_t from_ms(int ms)
{
    return ms < 0 ? -1 : (int64_t)ms * 1000000;
}

SYSCALL4(epoll_wait, int, epfd, void *, uevents, int, most, int, timeout_ms)
{
    return epoll_wait_for(epfd, uevents, most, from_ms(timeout_ms), NULL, 0);
}

SYSCALL6(epoll_pwait, int, epfd, void *, uevents, int, most, int, timeout_ms, const sigmask *, uset,
         size_t, size)
{
    return epoll_wait_for(epfd, uevents, most, from_ms(timeout_ms), uset, size);
}

SYSCALL6(epoll_pwait2, int, epfd, void *, uevents, int, most, const struct __kernel_timespec *, uts,
         const sigmask *, uset, size_t, size)
{
    struct __kernel_timespec buf, *ts;
    int err = take_timespec(uts, &buf, &ts);
    if (err)
        return err;
    int64_t ns = !ts                                        ? -1
                 : ts->tv_sec >= INT64_MAX / 1000000000 - 1 ? -1
                                                            : ts->tv_sec * 1000000000 + ts->tv_nsec;
    return epoll_wait_for(epfd, uevents, most, ns, uset, size);
}

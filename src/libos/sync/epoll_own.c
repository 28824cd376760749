/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Members of an epoll that are own objects. An object that wakes its waiters puts the member on the
 * epoll's list of news; a wait takes the list, asks each member whether it is ready, and puts back
 * those that are level triggered. A level-triggered member that is not ready leaves the list: its
 * object will wake it.
 *
 * Locks: epoll_lock, then an object's lock, then news_lock.
 */
#include "libos/sync/epoll_own.h"
#include "host/host_event.h"
#include "libos/process.h"
#include "libos/sync/wait.h"

#define FLAGS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)

void epoll_init(struct epoll *ep)
{
    *ep = (struct epoll){.made_at = own_generation()};
    list_init(&ep->watches);
    list_init(&ep->news);
    list_init(&ep->timed);
    queue_init(&ep->sleepers);
}

static struct epoll *epoll_of(const struct watch *w)
{
    return w->epoll->priv;
}

/* A member of `ep` that is an own object, counted; NULL: there is none. */
static struct file *some_own(struct epoll *ep)
{
    struct file *f = NULL;
    lock(&epoll_lock);
    list_for_each (it, &ep->watches) {
        struct watch *w = list_entry(it, struct watch, of_epoll);
        if (w->host_fd < 0 && !f) {
            f = w->file;
            file_get(f);
        }
    }
    unlock(&epoll_lock);
    return f;
}

void epoll_host_only(struct epoll *ep)
{
    struct file *f;
    __atomic_store_n(&ep->host_only, true, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&ep->own, __ATOMIC_SEQ_CST) && (f = some_own(ep))) {
        file_look(f, NULL);
        bool still = file_is_own(f); /* it could not be handed over, and stays unheard */
        file_put(f);
        if (still)
            return;
    }
}

bool epoll_wants_host(const struct epoll *ep, const struct epoll_event *ev)
{
    return __atomic_load_n(&ep->host_only, __ATOMIC_SEQ_CST) || ep->made_at != own_generation() ||
           __atomic_load_n(&ep->asleep, __ATOMIC_SEQ_CST) || ev->events & EPOLLEXCLUSIVE;
}

void epoll_wake(struct epoll *ep)
{
    lock(&ep->news_lock);
    queue_wake(&ep->sleepers, 0);
    unlock(&ep->news_lock); /* who has epoll_lock wakes them behind it */
}

static void add_news(struct watch *w)
{
    struct epoll *ep = epoll_of(w);
    lock(&ep->news_lock);
    if (list_empty(&w->news))
        list_add_tail(&ep->news, &w->news);
    queue_wake(&ep->sleepers, 0);
    unlock(&ep->news_lock);
}

static uint32_t wanted(const struct watch *w)
{
    uint32_t events = __atomic_load_n(&w->events, __ATOMIC_ACQUIRE);
    return events & ~FLAGS ? (events & ~FLAGS) | EPOLLERR | EPOLLHUP : 0;
}

/* Under the object's lock. */
static void member_wake(struct waiter *waiter, uint32_t events)
{
    struct watch *w = container_of(waiter, struct watch, waiter);
    uint32_t want = wanted(w);
    if (want && (!events || events & want))
        add_news(w);
}

static uint32_t ready_events(struct watch *w)
{
    uint32_t want = wanted(w);
    return want ? w->file->ops->poll(w->file, NULL) & want : 0;
}

/* EPOLLERR alone, or nothing, is wanted as well: the flags tell such a member from a spent one. */
static void set_event(struct watch *w, uint32_t events, uint64_t data)
{
    w->data = data;
    __atomic_store_n(&w->events, events | EPOLLERR | EPOLLHUP, __ATOMIC_RELEASE);
}

int own_member_join(struct watch *w)
{
    struct epoll *ep = epoll_of(w);
    list_init(&w->news);
    list_init(&w->timed);
    if (w->file->ops->look_at)
        list_add_tail(&ep->timed, &w->timed);
    set_event(w, w->events, w->data);
    w->waiter = (struct waiter){.wake = member_wake};
    if (w->file->ops->poll(w->file, &w->waiter) & wanted(w))
        add_news(w);
    __atomic_fetch_add(&ep->own, 1, __ATOMIC_SEQ_CST);
    return 0;
}

void own_member_leave(struct watch *w)
{
    struct epoll *ep = epoll_of(w);
    queue_leave(&w->waiter);
    list_del(&w->timed);
    lock(&ep->news_lock);
    list_del(&w->news);
    unlock(&ep->news_lock);
    __atomic_fetch_sub(&ep->own, 1, __ATOMIC_SEQ_CST);
}

long own_member_control(struct watch *w, int op, const struct epoll_event *ev)
{
    if (op == EPOLL_CTL_ADD)
        return -EEXIST;
    if (op == EPOLL_CTL_DEL)
        return 0;
    if (op != EPOLL_CTL_MOD || ev->events & EPOLLEXCLUSIVE)
        return -EINVAL;
    set_event(w, ev->events, ev->data);
    if (ready_events(w))
        add_news(w);
    return 0;
}

/* Is the file registered in this epoll by the host's number of it already? */
static bool has_sibling(const struct watch *w, int host_fd)
{
    for (const struct watch *s = w->file->watches; s; s = s->next)
        if (s != w && s->epoll == w->epoll && s->host_fd == host_fd)
            return true;
    return false;
}

void epoll_file_is_hosts(struct file *f)
{
    int host_fd = file_poll_fd(f);
    lock(&epoll_lock);
    for (struct watch *w = f->watches; w; w = w->next) {
        struct epoll *ep = epoll_of(w);
        if (w->host_fd >= 0)
            continue;
        own_member_leave(w);
        w->own_fd = has_sibling(w, host_fd);
        w->host_fd = w->own_fd ? host_dup(host_fd, true) : host_fd;
        ep->hosts++;
        /* A spent EPOLLONESHOT member hears POLLHUP and POLLERR once more: the host cannot be given
         * one that does not. */
        struct epoll_event ev = {.events = epoll_host_events(f, w->events), .data = w->data};
        host_epoll_ctl(w->epoll->host_fd, EPOLL_CTL_ADD, w->host_fd, &ev);
        epoll_wake(ep);
    }
    queue_unlock(&epoll_lock);
}

/* ---- waiting ---- */

static struct watch *next_news(struct epoll *ep, struct list *from)
{
    struct watch *w = NULL;
    lock(&ep->news_lock);
    if (!list_empty(from)) {
        w = list_entry(from->next, struct watch, news);
        list_del(&w->news);
    }
    unlock(&ep->news_lock);
    return w;
}

/* All of the list, for one pass over it: members that go back meanwhile are not met twice. */
static void take_list(struct epoll *ep, struct list *to)
{
    list_init(to);
    lock(&ep->news_lock);
    while (!list_empty(&ep->news)) {
        struct list *it = ep->news.next;
        list_del(it);
        list_add_tail(to, it);
    }
    unlock(&ep->news_lock);
}

/* What was not looked at goes back before what has come since. */
static void give_back(struct epoll *ep, struct list *rest)
{
    lock(&ep->news_lock);
    while (!list_empty(&ep->news)) {
        struct list *it = ep->news.next;
        list_del(it);
        list_add_tail(rest, it);
    }
    while (!list_empty(rest)) {
        struct list *it = rest->next;
        list_del(it);
        list_add_tail(&ep->news, it);
    }
    if (!list_empty(&ep->news))
        queue_wake(&ep->sleepers, 0);
    unlock(&ep->news_lock);
}

static void put_back(struct epoll *ep, struct watch *w)
{
    lock(&ep->news_lock);
    if (list_empty(&w->news))
        list_add_tail(&ep->news, &w->news);
    unlock(&ep->news_lock);
}

/* One event out. False: the place for it cannot be written. */
static bool report(struct epoll *ep, struct watch *w, uint32_t events, struct epoll_event *to)
{
    struct epoll_event ev = {.events = events, .data = w->data};
    uint32_t flags = w->events;
    if (copy_to_user(to, &ev, sizeof(ev))) {
        put_back(ep, w);
        return false;
    }
    if (flags & EPOLLONESHOT)
        __atomic_store_n(&w->events, flags & FLAGS, __ATOMIC_RELEASE);
    else if (!(flags & EPOLLET))
        put_back(ep, w);
    return true;
}

static long collect(struct epoll *ep, struct epoll_event *uevents, int most)
{
    struct list todo;
    struct watch *w;
    long n = 0;
    bool fault = false;
    lock(&epoll_lock);
    list_for_each (it, &ep->timed) {
        struct file *f = list_entry(it, struct watch, timed)->file;
        f->ops->poll(f, NULL); /* wakes the member, if it is time */
    }
    take_list(ep, &todo);
    while (n < most && !fault && (w = next_news(ep, &todo))) {
        uint32_t events = ready_events(w);
        if (!events)
            continue;
        fault = !report(ep, w, events, &uevents[n]);
        n += !fault;
    }
    give_back(ep, &todo);
    queue_unlock(&epoll_lock);
    return fault && !n ? -EFAULT : n;
}

/* What is ready now, ours and then the host's. */
static long look(struct file *f, struct epoll_event *uevents, int most)
{
    struct epoll *ep = f->priv;
    long n = collect(ep, uevents, most);
    if (n < 0 || n == most || !__atomic_load_n(&ep->hosts, __ATOMIC_RELAXED))
        return n;
    long r = host_epoll_look(f->host_fd, uevents + n, (int)(most - n));
    return r > 0 ? n + r : n ? n : r;
}

/* When a member is to be looked at again; 0: none is. */
static uint64_t next_look(const struct epoll *ep)
{
    uint64_t at = 0;
    lock(&epoll_lock);
    list_for_each (it, &ep->timed) {
        struct file *f = list_entry(it, struct watch, timed)->file;
        at = earlier(at, f->ops->look_at(f));
    }
    unlock(&epoll_lock);
    return at;
}

static int sleep_for_news(struct file *f, const struct waiter *w, uint64_t deadline)
{
    const struct epoll *ep = f->priv;
    deadline = earlier(deadline, next_look(ep));
    struct pollfd fds[2] = {{.fd = f->host_fd, .events = POLLIN}};
    if (!__atomic_load_n(&ep->hosts, __ATOMIC_RELAXED))
        return park(current(), w->seen, deadline);
    return park_on_fds(current(), fds, 1, w->seen, deadline);
}

long epoll_wait_own(struct file *f, void *uevents, int most, int64_t ns)
{
    struct epoll *ep = f->priv;
    struct __kernel_timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    uint64_t deadline = ns > 0 ? deadline_of(&ts) : 0;
    bool over = ns == 0, signal = false;
    long n = look(f, uevents, most);
    while (!n && !over && !signal) {
        struct waiter w;
        waiter_thread(&w);
        lock(&ep->news_lock);
        queue_join(&ep->sleepers, &ep->news_lock, &w);
        unlock(&ep->news_lock);
        n = look(f, uevents, most); /* what came before we were in the queue */
        int r = n ? 0 : sleep_for_news(f, &w, deadline);
        queue_leave(&w);
        if (r == -EINTR)
            signal = interrupted();
        over = r == -ETIMEDOUT && deadline_over(deadline);
        if (!n)
            n = look(f, uevents, most);
    }
    return n ? n : signal ? -EINTR : 0; /* never restarted, by no flag (signal(7)) */
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What an epoll consists of, and its members that are own objects (sync/own.h). */
#pragma once
#include "libos/sync/epoll.h"
#include "libos/sync/own.h"
#include <linux/eventpoll.h>

#define EPOLL_EVENT_BYTES 12
#define MOST_EVENTS       65536 /* of one wait; the rest comes with the next */

struct watch {
    struct list of_epoll;
    struct watch *next; /* of the same file */
    struct file *epoll, *file;
    int fd;      /* the application's */
    int host_fd; /* -1: the file is an own object */
    bool own_fd; /* a duplicate made for this registration */
    /* Of an own object: */
    uint32_t events; /* wanted, and flags: no events after a shot of EPOLLONESHOT; atomic */
    uint64_t data;
    struct waiter waiter;
    struct list news;  /* in epoll.news, or empty; under its news_lock */
    struct list timed; /* in epoll.timed, or empty */
};

struct epoll {
    struct list watches;
    uint32_t own, hosts; /* members of either kind; changed under epoll_lock, own atomic. What
                          * another process adds after a fork is not among them */
    uint32_t asleep;     /* atomic: threads that wait for the host's epoll alone */
    uint32_t made_at;    /* own_generation() */
    bool host_only;      /* watched itself: no own members any more */
    struct lock news_lock;
    struct list news; /* own members that may be ready */
    struct wait_queue sleepers;
    struct list timed; /* own members that become ready by themselves */
};

extern struct lock epoll_lock;

void epoll_init(struct epoll *ep);
/* Those who sleep on own members look again. */
void epoll_wake(struct epoll *ep);
/* From now on all its members are the host's. */
void epoll_host_only(struct epoll *ep);
/* Is a new member to be the host's: shared with other processes or watched itself, somebody is
 * asleep on the host's part, or the event asks for what only the host does? */
bool epoll_wants_host(const struct epoll *ep, const struct epoll_event *ev);

/* What the host is asked for in a member's place. The event counter of a signalfd can always be
 * written to, the signalfd never. */
static inline uint32_t epoll_host_events(const struct file *f, uint32_t events)
{
    return f->ops->poll ? events & ~(uint32_t)(EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND) : events;
}

/* Under epoll_lock. The member, filled in but for its waiter, takes its place. 0 or an errno. */
int own_member_join(struct watch *w);
void own_member_leave(struct watch *w);
/* EPOLL_CTL_ADD (-EEXIST), _MOD and the check of _DEL. */
long own_member_control(struct watch *w, int op, const struct epoll_event *ev);

/* epoll_wait with own members (or some that there were just now). `ns` < 0: no limit. */
long epoll_wait_own(struct file *f, void *uevents, int most, int64_t ns);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Queues of waiters: who wants to hear that an object of ours has become ready. A queue belongs to
 * an object and is guarded by that object's lock. A wake-up is only a hint: the waiter looks again
 * at what it waits for, so one too many costs time and never correctness.
 */
#pragma once
#include "libos/lib/list.h"
#include "libos/lib/lock.h"

struct thread;
struct waiter;

struct wait_queue {
    struct list waiters;
    uint32_t epoch;
};

struct waiter {
    struct list link;
    struct lock *lock; /* of the object whose queue it is in; NULL: in none */
    /* Called under that lock, with the poll events that have come up (0: anything). */
    void (*wake)(struct waiter *w, uint32_t events);
    struct thread *thread; /* of a waiter that is a thread, */
    uint32_t seen;         /* its park_word before it looked, */
    uint32_t wants;        /* and the poll events that it waits for; 0: any */
};

/* Changes when all waiters there are have ceased to be: queues from before are empty. */
extern uint32_t queue_epoch;

/* In a new process, whose other threads stayed behind with what they waited for. */
void queue_forget_all(void);

static inline void queue_init(struct wait_queue *q)
{
    list_init(&q->waiters);
    q->epoch = queue_epoch;
}
static inline void queue_check(struct wait_queue *q)
{
    if (unlikely(q->epoch != queue_epoch))
        queue_init(q);
}

/* A waiter that unparks the calling thread; not in a queue yet. Comes before the look at what is
 * waited for. */
void waiter_thread(struct waiter *w);

/* Under `lock`, which guards q. */
static inline void queue_join(struct wait_queue *q, struct lock *lock, struct waiter *w)
{
    queue_check(q);
    w->lock = lock;
    list_add_tail(&q->waiters, &w->link);
}
/* Leaves the queue, if it is in one; the lock of the object is not held. */
void queue_leave(struct waiter *w);
/* Under the lock of the object, which is given up by queue_unlock() then, outer locks too. */
static inline void queue_wake(struct wait_queue *q, uint32_t events)
{
    queue_check(q);
    list_for_each_safe (it, &q->waiters) {
        struct waiter *w = list_entry(it, struct waiter, link);
        w->wake(w, events);
    }
}
/* unlock(), and threads that queue_wake() has chosen are woken. */
void queue_unlock(struct lock *l);

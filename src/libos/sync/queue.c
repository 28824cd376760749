/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/sync/queue.h"
#include "libos/thread.h"

uint32_t queue_epoch;

void queue_forget_all(void)
{
    queue_epoch++;
}

static void wake_thread(struct waiter *w, uint32_t events)
{
    if (!w->wants || !events || events & w->wants)
        unpark_later(w->thread);
}

void waiter_thread(struct waiter *w)
{
    struct thread *t = current();
    *w = (struct waiter){.wake = wake_thread, .thread = t, .seen = park_prepare(t)};
}

void queue_unlock(struct lock *l)
{
    unlock(l);
    unpark_those();
}

void queue_leave(struct waiter *w)
{
    struct lock *object = w->lock;
    if (!object)
        return;
    lock(object);
    list_del(&w->link);
    unlock(object);
    w->lock = NULL;
}

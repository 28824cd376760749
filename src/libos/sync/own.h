/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Own objects: pipes and event counters that live in the library OS as long as one process has
 * them. On a trusted host an own object becomes the host's ("is handed to the host") when a second
 * process is to have it (fork, SCM_RIGHTS) or a call wants more than a transfer, a wait or a status
 * flag: its file is FILE_UNSEEN until then, so that fd_get() does it for whoever asks for the file
 * as a whole. Afterwards it is an ordinary host object, for good.
 */
#pragma once
#include "libos/fs/vfs.h"
#include "libos/sync/queue.h"

struct own {
    struct list link; /* of all own objects, under own_lock; list_empty: not one of them */
    /*
     * Makes it the host's: descriptors, content, flags; wakes all waiters, who look again. No other
     * thread is in the middle of a call on it, but for threads that wait. 0 or an errno, and
     * nothing has changed.
     */
    int (*to_host)(struct own *o);
};

void own_add(struct own *o);
/* Not in the list any more: it ended, or is the host's. */
void own_remove(struct own *o);

/* For file_ops.to_host: stops the other threads, calls o->to_host if nobody has meanwhile.
 * Also for an object that another one takes along, from its to_host. */
void own_hand_over(struct file *f, struct own *o);

/* Before a fork, the world stopped: nothing is own afterwards. 0, or the errno with which the fork
 * fails. */
int own_hand_over_all(void);

/* How many times that was done: what was made before may have a second process. */
uint32_t own_generation(void);

/* A wait for such an object: begun under the lock under which it was found not ready. */
static inline void own_wait_begin(struct wait_queue *q, struct lock *lock, struct waiter *w)
{
    waiter_thread(w);
    queue_join(q, lock, w);
}
/*
 * The wait itself, without the lock; the queue is left. `until`: CLOCK_MONOTONIC, ns, at which to
 * look again at the latest; 0: none. 0: look again; -ERESTARTSYS. A virtual vfork child becomes a
 * process instead, in which the object is the host's; `f` is the reference that the calling system
 * call holds.
 */
int own_wait(struct file *f, struct waiter *w, uint64_t until);
/* SIGPIPE for the calling thread, which has written to what nobody reads. */
void own_sigpipe(void);

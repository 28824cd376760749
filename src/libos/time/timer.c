/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * alarm, interval timers and POSIX timers (timer_create(2)). They are the host's: their signals
 * come in through the host-signal box like any other.
 */
#include "libos/time/timer.h"
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/proc/reach.h"
#include "libos/process.h"
#include <asm/unistd.h>
#include <linux/time.h>

#define ITIMERVAL_BYTES  32
#define ITIMERSPEC_BYTES 32

struct timer {
    struct list link;
    int id; /* the host's, and the application's */
    bool for_thread;
    int overrun; /* of the last signal */
};

/* The timers of the process. Lock: above heap_lock, below process.lock. */
static struct lock timers_lock;
static struct list timers = {&timers, &timers};

void timers_in_child(void)
{
    list_for_each_safe (it, &timers) {
        list_del(it);
        heap_free(list_entry(it, struct timer, link));
    }
}

SYSCALL1(alarm, uint32_t, seconds)
{
    return host_pass(__NR_alarm, seconds, 0, 0, 0, 0, 0);
}

SYSCALL2(getitimer, int, which, void *, uvalue)
{
    if (!user_range_ok(uvalue, ITIMERVAL_BYTES))
        return -EFAULT;
    return host_pass(__NR_getitimer, which, (long)uvalue, 0, 0, 0, 0);
}

SYSCALL3(setitimer, int, which, const void *, uvalue, void *, uold)
{
    if ((uvalue && !user_range_ok(uvalue, ITIMERVAL_BYTES)) ||
        (uold && !user_range_ok(uold, ITIMERVAL_BYTES)))
        return -EFAULT;
    return host_pass(__NR_setitimer, which, (long)uvalue, (long)uold, 0, 0, 0);
}

/* Under timers_lock. */
static struct timer *find(int id)
{
    list_for_each (it, &timers) {
        struct timer *t = list_entry(it, struct timer, link);
        if (t->id == id)
            return t;
    }
    return NULL;
}

bool timer_is_for_thread(int id)
{
    lock(&timers_lock);
    struct timer *t = find(id);
    bool yes = t && t->for_thread;
    unlock(&timers_lock);
    return yes;
}

SYSCALL3(timer_create, int, clock, const struct sigevent *, uevent, int *, uid)
{
    struct sigevent event = {.sigev_signo = SIGALRM, .sigev_notify = SIGEV_SIGNAL};
    if (uevent && get_user(event, uevent))
        return -EFAULT;
    struct timer *t = heap_zalloc(sizeof(*t));
    if (!t)
        return -EAGAIN;
    t->for_thread = event.sigev_notify & SIGEV_THREAD_ID;
    clock = run_named_clock(clock);
    lock(&timers_lock);
    long r =
        host_pass(__NR_timer_create, clock, (long)(uevent ? &event : NULL), (long)&t->id, 0, 0, 0);
    if (!r)
        list_add_tail(&timers, &t->link);
    unlock(&timers_lock);
    if (r) {
        heap_free(t);
        return r;
    }
    if (!put_user(uid, t->id))
        return 0;
    lock(&timers_lock);
    host_pass(__NR_timer_delete, t->id, 0, 0, 0, 0, 0);
    list_del(&t->link);
    unlock(&timers_lock);
    heap_free(t);
    return -EFAULT;
}

SYSCALL1(timer_delete, int, id)
{
    lock(&timers_lock);
    struct timer *t = find(id);
    if (t) {
        host_pass(__NR_timer_delete, id, 0, 0, 0, 0, 0);
        list_del(&t->link);
    }
    unlock(&timers_lock);
    heap_free(t);
    return t ? 0 : -EINVAL;
}

SYSCALL4(timer_settime, int, id, int, flags, const void *, uvalue, void *, uold)
{
    if ((uvalue && !user_range_ok(uvalue, ITIMERSPEC_BYTES)) ||
        (uold && !user_range_ok(uold, ITIMERSPEC_BYTES)))
        return -EFAULT;
    long r = host_pass(__NR_timer_settime, id, flags, (long)uvalue, (long)uold, 0, 0);
    if (!r)
        timer_delivered(id, 0);
    return r;
}

SYSCALL2(timer_gettime, int, id, void *, uvalue)
{
    if (!user_range_ok(uvalue, ITIMERSPEC_BYTES))
        return -EFAULT;
    return host_pass(__NR_timer_gettime, id, (long)uvalue, 0, 0, 0, 0);
}

void timer_delivered(int id, int overrun)
{
    lock(&timers_lock);
    struct timer *t = find(id);
    if (t)
        t->overrun = overrun;
    unlock(&timers_lock);
}

SYSCALL1(timer_getoverrun, int, id)
{
    lock(&timers_lock);
    struct timer *t = find(id);
    int overrun = t ? t->overrun : -EINVAL;
    unlock(&timers_lock);
    return overrun;
}

void timers_exec(void)
{
    lock(&timers_lock);
    list_for_each_safe (it, &timers) {
        struct timer *t = list_entry(it, struct timer, link);
        host_pass(__NR_timer_delete, t->id, 0, 0, 0, 0, 0);
        list_del(&t->link);
        heap_free(t);
    }
    unlock(&timers_lock);
}

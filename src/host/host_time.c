/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The typed host calls about timers; see host.h. */
#include "host/arena.h"
#include <asm/siginfo.h>
#include <linux/fcntl.h>
#include <linux/time.h>

#define SECOND_NS 1000000000
#define SECOND_US 1000000

int host_timer_make(int clock, int sig, uint64_t mark)
{
    ARENA;
    struct sigevent event = {.sigev_signo = sig, .sigev_notify = SIGEV_SIGNAL};
    int id = -1;
    event.sigev_value.sival_ptr = (void *)mark;
    int *out = give(&id, sizeof(id));
    int err = host_status(CALL3(__NR_timer_create, clock, give(&event, sizeof(event)), out));
    take(&id, out, sizeof(id));
    return err ? err : id >= 0 ? id : -EIO;
}

int host_timer_set(int id, uint64_t at_ns)
{
    ARENA;
    struct __kernel_itimerspec when = {.it_value.tv_sec = (int64_t)(at_ns / SECOND_NS),
                                       .it_value.tv_nsec = (int64_t)(at_ns % SECOND_NS)};
    return host_status(
        CALL4(__NR_timer_settime, id, TIMER_ABSTIME, give(&when, sizeof(when)), NULL));
}

int host_timer_drop(int id)
{
    return host_status(CALL1(__NR_timer_delete, id));
}

static bool old_time_ok(const struct __kernel_old_timeval *t)
{
    return t->tv_sec >= 0 && t->tv_usec >= 0 && t->tv_usec < SECOND_US;
}

static int itimer_status(int err, const struct __kernel_old_itimerval *v)
{
    return err || (old_time_ok(&v->it_interval) && old_time_ok(&v->it_value)) ? err : -EIO;
}

int host_itimer_get(int which, struct __kernel_old_itimerval *now)
{
    ARENA;
    struct __kernel_old_itimerval *out = room(now, sizeof(*now));
    int err = host_status(CALL2(__NR_getitimer, which, out));
    if (!err)
        take(now, out, sizeof(*now));
    return itimer_status(err, now);
}

int host_itimer_set(int which, const struct __kernel_old_itimerval *new,
                    struct __kernel_old_itimerval *old)
{
    ARENA;
    struct __kernel_old_itimerval *out = room(old, sizeof(*old));
    int err = host_status(CALL3(__NR_setitimer, which, give(new, sizeof(*new)), out));
    if (!err)
        take(old, out, sizeof(*old));
    return itimer_status(err, old);
}

static int timerfd_status(int err, const struct __kernel_itimerspec *v)
{
    const struct __kernel_timespec *a = &v->it_interval, *b = &v->it_value;
    bool good = a->tv_sec >= 0 && b->tv_sec >= 0 && (uint64_t)a->tv_nsec < SECOND_NS &&
                (uint64_t)b->tv_nsec < SECOND_NS;
    return err || good ? err : -EIO;
}

int host_timerfd_make(int clock, uint32_t flags)
{
    return host_descriptor(CALL2(__NR_timerfd_create, clock, flags | O_CLOEXEC));
}

int host_timerfd_set(int fd, int flags, const struct __kernel_itimerspec *new,
                     struct __kernel_itimerspec *old)
{
    ARENA;
    struct __kernel_itimerspec *out = room(old, sizeof(*old));
    int err = host_status(CALL4(__NR_timerfd_settime, fd, flags, give(new, sizeof(*new)), out));
    if (!err)
        take(old, out, sizeof(*old));
    return old ? timerfd_status(err, old) : err;
}

int host_timerfd_get(int fd, struct __kernel_itimerspec *now)
{
    ARENA;
    struct __kernel_itimerspec *out = room(now, sizeof(*now));
    int err = host_status(CALL2(__NR_timerfd_gettime, fd, out));
    if (!err)
        take(now, out, sizeof(*now));
    return timerfd_status(err, now);
}

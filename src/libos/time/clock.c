/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reading clocks, deadlines, and sleeping until clocks show a time. All clocks are the host's, CPU
 * clocks too: processes and threads of the run are its own; how long somebody has slept is judged
 * inside. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/proc/reach.h"
#include "libos/proc/vdso.h"
#include "libos/process.h"
#include "libos/time/clock.h"
#include "libos/vdso/data.h"
#include <asm/unistd.h>
#include <linux/time.h>
#include <linux/timex.h>

#define LOOK_NS   1000000000UL
#define SECOND_NS 1000000000UL

bool clock_is_own(int clock)
{
    return clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME || clock == CLOCK_BOOTTIME ||
           clock == CLOCK_TAI;
}

uint64_t clock_now(int clock)
{
    return clock_is_own(clock) ? vdso_clock_ns(clock) : host_clock_ns(clock);
}

uint64_t clock_look_at(int clock, uint64_t at)
{
    if (at >= CLOCK_MOST)
        return 0;
    if (clock == CLOCK_MONOTONIC)
        return MAX(at, 1UL);
    uint64_t now = clock_now(clock);
    return clock_now(CLOCK_MONOTONIC) + MIN(at > now ? at - now : 0, LOOK_NS);
}

bool timespec_ok(const struct __kernel_timespec *ts)
{
    return ts->tv_sec >= 0 && (uint64_t)ts->tv_nsec < SECOND_NS;
}

uint64_t ns_of(const struct __kernel_timespec *ts)
{
    uint64_t sec = (uint64_t)ts->tv_sec;
    return sec >= CLOCK_MOST / SECOND_NS ? CLOCK_MOST : sec * SECOND_NS + (uint64_t)ts->tv_nsec;
}

struct __kernel_timespec timespec_of(uint64_t ns)
{
    return (struct __kernel_timespec){.tv_sec = (int64_t)(ns / SECOND_NS),
                                      .tv_nsec = (int64_t)(ns % SECOND_NS)};
}

uint64_t ns_forward(uint64_t *at, uint64_t now, uint64_t interval)
{
    if (now < *at)
        return 0;
    uint64_t times = (now - *at) / interval + 1;
    bool far = interval > (CLOCK_MOST - *at) / times;
    *at = far ? CLOCK_MOST : *at + times * interval;
    return times;
}

static void notice_caller(uint32_t bits)
{
    vdso_is_slow(thread_regs(current())->rip, bits);
}

uint64_t deadline_of(const struct __kernel_timespec *ts)
{
    if (!ts || ts->tv_sec > INT64_MAX / 2000000000)
        return 0;
    return vdso_clock_ns(CLOCK_MONOTONIC) + (uint64_t)ts->tv_sec * 1000000000 +
           (uint64_t)ts->tv_nsec;
}

struct __kernel_timespec time_until(uint64_t deadline_ns)
{
    uint64_t now = vdso_clock_ns(CLOCK_MONOTONIC);
    uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
    return (struct __kernel_timespec){.tv_sec = (int64_t)(left / 1000000000),
                                      .tv_nsec = (int64_t)(left % 1000000000)};
}

SYSCALL2(clock_gettime, int, clock, struct __kernel_timespec *, uts)
{
    if (!user_range_ok(uts, sizeof(*uts)))
        return -EFAULT;
    notice_caller((uint32_t)clock < 16 ? 1u << clock : 0);
    struct __kernel_timespec ts;
    int err = host_clock_get(run_named_clock(clock), &ts);
    return err ? err : put_user(uts, ts) ? -EFAULT : 0;
}

SYSCALL2(clock_getres, int, clock, struct __kernel_timespec *, uts)
{
    if (uts && !user_range_ok(uts, sizeof(*uts)))
        return -EFAULT;
    struct __kernel_timespec ts;
    int err = host_clock_resolution(run_named_clock(clock), &ts);
    return err ? err : uts && put_user(uts, ts) ? -EFAULT : 0;
}

SYSCALL2(gettimeofday, struct __kernel_old_timeval *, utv, struct timezone *, utz)
{
    if ((utv && !user_range_ok(utv, 16)) || (utz && !user_range_ok(utz, 8)))
        return -EFAULT;
    notice_caller(VDSO_FAST_GETTIMEOFDAY);
    struct __kernel_timespec now = {0};
    struct timezone tz = {0};
    int err = utv ? host_clock_get(CLOCK_REALTIME, &now) : 0;
    if (!err && utz)
        err = host_timezone(&tz);
    struct __kernel_old_timeval tv = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / 1000};
    if (!err && ((utv && put_user(utv, tv)) || (utz && put_user(utz, tz))))
        err = -EFAULT;
    return err;
}

SYSCALL1(time, int64_t *, ut)
{
    if (ut && !user_range_ok(ut, sizeof(*ut)))
        return -EFAULT;
    struct __kernel_timespec now;
    int err = host_clock_get(CLOCK_REALTIME_COARSE, &now);
    return err ? err : ut && put_user(ut, now.tv_sec) ? -EFAULT : now.tv_sec;
}

/* Looking is free, changing is not for us. */
SYSCALL1(adjtimex, struct timex *, utx)
{
    struct timex tx;
    if (get_user(tx, utx))
        return -EFAULT;
    if (tx.modes)
        return -EPERM;
    int r = host_adjtimex(&tx);
    return r >= 0 && put_user(utx, tx) ? -EFAULT : r;
}

bool deadline_over(uint64_t deadline_ns)
{
    return deadline_ns && vdso_clock_ns(CLOCK_MONOTONIC) >= deadline_ns;
}

static long sleep_again(struct restart *r);

/* Until `clock` shows `at`: 0, or -EINTR when the call is to end. */
static int sleep_until(int clock, uint64_t at)
{
    struct thread *t = current();
    int r = 0;
    do {
        uint32_t seen = park_prepare(t);
        r = park(t, seen, clock_look_at(clock, at));
        if (r == -EINTR && interrupted())
            return clock_now(clock) < at ? -EINTR : 0;
        if (r < 0 && r != -EINTR && r != -ETIMEDOUT)
            return r;
    } while (clock_now(clock) < at);
    return 0;
}

static long own_sleep(int clock, bool absolute, const struct __kernel_timespec *req,
                      struct __kernel_timespec *left)
{
    if (!timespec_ok(req))
        return -EINVAL;
    if (!absolute && clock == CLOCK_REALTIME)
        clock = CLOCK_MONOTONIC; /* what sets it does not concern such a sleep */
    uint64_t at = absolute ? ns_of(req) : ns_sum(clock_now(clock), ns_of(req));
    int r = sleep_until(clock, at);
    uint64_t now = r ? clock_now(clock) : at;
    *left = timespec_of(at > now ? at - now : 1);
    return r;
}

/* CPU clocks, and those that wake a sleeping machine. */
static long host_clock_sleep(int clock, int flags, struct __kernel_timespec req,
                             struct __kernel_timespec *left)
{
    for (;;) {
        *left = req;
        int r = host_sleep(clock, flags, &req, left);
        if (r != -EINTR || interrupted())
            return r;
        if (!(flags & TIMER_ABSTIME))
            req = *left;
    }
}

static long sleep_for(int clock, int flags, struct __kernel_timespec req,
                      struct __kernel_timespec *urem)
{
    struct __kernel_timespec rem;
    long r = clock_is_own(clock) ? own_sleep(clock, flags & TIMER_ABSTIME, &req, &rem)
                                 : host_clock_sleep(clock, flags, req, &rem);
    if (r != -EINTR)
        return r;
    if (flags & TIMER_ABSTIME)
        return -ERESTARTNOHAND;
    if (urem && put_user(urem, rem))
        return -EFAULT;
    current()->restart = (struct restart){.go_on = sleep_again,
                                          .clock = clock,
                                          .left = rem,
                                          .since = vdso_clock_ns(CLOCK_MONOTONIC),
                                          .user = urem};
    return -ERESTART_RESTARTBLOCK;
}

static long sleep_again(struct restart *r)
{
    return sleep_for(r->clock, 0, r->left, r->user);
}

SYSCALL0(restart_syscall)
{
    struct restart r = current()->restart;
    current()->restart.go_on = NULL;
    uint64_t left = (uint64_t)MIN(r.left.tv_sec, (__kernel_time64_t)9000000000) * 1000000000 +
                    (uint64_t)r.left.tv_nsec;
    uint64_t gone = vdso_clock_ns(CLOCK_MONOTONIC) - r.since;
    left = left > gone ? left - gone : 0;
    r.left.tv_sec = (int64_t)(left / 1000000000);
    r.left.tv_nsec = (int64_t)(left % 1000000000);
    return r.go_on ? r.go_on(&r) : -EINTR;
}

static long sleep_on(int clock, int flags, const struct __kernel_timespec *ureq,
                     struct __kernel_timespec *urem)
{
    struct __kernel_timespec req;
    return get_user(req, ureq) ? -EFAULT : sleep_for(run_named_clock(clock), flags, req, urem);
}

SYSCALL2(nanosleep, const struct __kernel_timespec *, ureq, struct __kernel_timespec *, urem)
{
    return sleep_on(CLOCK_MONOTONIC, 0, ureq, urem);
}

SYSCALL4(clock_nanosleep, int, clock, int, flags, const struct __kernel_timespec *, ureq,
         struct __kernel_timespec *, urem)
{
    return sleep_on(clock, flags & TIMER_ABSTIME, ureq, urem);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * alarm(2) and the interval timers (setitimer(2)). Real time is our own: like a POSIX timer it
 * stands still from its expiry until the SIGALRM is delivered. CPU time is the host's, which alone
 * knows when a thread runs, and which one to tell.
 */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/process.h"
#include "libos/time/deadline.h"
#include "libos/time/timer.h"
#include <linux/time.h>

#define MICRO_NS  1000UL
#define SECOND_NS 1000000000UL
#define SECOND_US 1000000L

typedef struct __kernel_old_itimerval itimerval;
typedef struct __kernel_old_timeval timeval;

static void expire(struct deadline *d)
{
    siginfo_t info;
    (void)d;
    memset(&info, 0, sizeof(info));
    info.si_signo = SIGALRM;
    info.si_code = SI_KERNEL;
    signal_send_process(current_process(), &info);
}

/* Of real time. Under timers_lock. */
static struct deadline real = {
    .host = -1, .of_cpu = {&real.of_cpu, &real.of_cpu}, .expire = expire};
static uint64_t real_interval; /* ns, atomic; 0: none */

void itimer_alarm_delivered(void)
{
    if (!__atomic_load_n(&real_interval, __ATOMIC_RELAXED))
        return;
    lock(&timers_lock);
    if (!real.set && real_interval) {
        uint64_t at = real.at;
        ns_forward(&at, clock_now(CLOCK_MONOTONIC), real_interval);
        deadline_set(&real, CLOCK_MONOTONIC, at);
    }
    unlock(&timers_lock);
}

void itimers_in_child(void)
{
    real.set = false;
    real_interval = 0;
}

static bool timeval_ok(const timeval *t)
{
    return t->tv_sec >= 0 && t->tv_usec >= 0 && t->tv_usec < SECOND_US;
}

static uint64_t ns_of_timeval(const timeval *t)
{
    struct __kernel_timespec ts = {.tv_sec = t->tv_sec, .tv_nsec = t->tv_usec * (int64_t)MICRO_NS};
    return ns_of(&ts);
}

static timeval timeval_of(uint64_t ns)
{
    return (timeval){.tv_sec = (int64_t)(ns / SECOND_NS),
                     .tv_usec = (int64_t)(ns % SECOND_NS / MICRO_NS)};
}

/* Under timers_lock. */
static itimerval read_real(void)
{
    uint64_t now = real.set ? clock_now(CLOCK_MONOTONIC) : 0;
    uint64_t left = !real.set ? 0 : real.at > now ? real.at - now : MICRO_NS;
    return (itimerval){.it_value = timeval_of(left), .it_interval = timeval_of(real_interval)};
}

static int set_real(uint64_t value, uint64_t interval)
{
    deadline_clear(&real);
    __atomic_store_n(&real_interval, value ? interval : 0, __ATOMIC_RELAXED);
    return value ? deadline_set(&real, CLOCK_MONOTONIC, ns_sum(clock_now(CLOCK_MONOTONIC), value))
                 : 0;
}

static int change_real(const itimerval *new, itimerval *old)
{
    lock(&timers_lock);
    *old = read_real();
    int err = new ? set_real(ns_of_timeval(&new->it_value), ns_of_timeval(&new->it_interval)) : 0;
    unlock(&timers_lock);
    return err;
}

SYSCALL1(alarm, uint32_t, seconds)
{
    itimerval old, new = {.it_value.tv_sec = seconds};
    int err = change_real(&new, &old);
    bool up =
        old.it_value.tv_usec >= SECOND_US / 2 || (!old.it_value.tv_sec && old.it_value.tv_usec);
    return err ? err : old.it_value.tv_sec + up;
}

SYSCALL2(getitimer, int, which, itimerval *, uvalue)
{
    itimerval now;
    int err = which == ITIMER_REAL ? change_real(NULL, &now) : host_itimer_get(which, &now);
    return err ? err : put_user(uvalue, now) ? -EFAULT : 0;
}

SYSCALL3(setitimer, int, which, const itimerval *, unew, itimerval *, uold)
{
    itimerval old, new = {0};
    if (unew && get_user(new, unew))
        return -EFAULT;
    if (!timeval_ok(&new.it_value) || !timeval_ok(&new.it_interval))
        return -EINVAL;
    int err = which == ITIMER_REAL ? change_real(&new, &old) : host_itimer_set(which, &new, &old);
    return err ? err : uold && put_user(uold, old) ? -EFAULT : 0;
}

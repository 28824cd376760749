/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * POSIX timers (timer_create(2)). As on Linux a timer has at most one signal in the queue: one with
 * an interval stands still from its expiry until that signal is delivered, and how often it would
 * have expired meanwhile is its overrun.
 */
#include "libos/time/timer.h"
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/proc/reach.h"
#include "libos/process.h"
#include "libos/time/deadline.h"
#include <linux/time.h>

#define MOST_TIMERS 65536UL /* a usual RLIMIT_SIGPENDING */

struct timer {
    struct tree_node node; /* by id */
    int id;
    int clock;
    int notify; /* SIGEV_* */
    int signal, tid;
    sigval_t value;
    struct deadline due;
    int base;    /* the clock of `at`: a relative CLOCK_REALTIME is CLOCK_MONOTONIC */
    uint64_t at; /* when it expires next, or did; 0: was never set */
    uint64_t interval;
    bool armed;       /* waits for `at` */
    bool waits;       /* for the delivery of its signal, to go on */
    uint32_t setting; /* counts, so that signals of an earlier setting are known */
    int64_t overrun, last_overrun;
};

/* Under timers_lock. */
static struct tree timers;
static int next_id;
static uint64_t timer_count; /* atomic */

static struct timer *timer_of(struct tree_node *n)
{
    return n ? container_of(n, struct timer, node) : NULL;
}

/* The timer, or NULL; *parent and *side: where it hangs, or would. */
static struct timer *find_place(int id, struct tree_node **parent, int *side)
{
    struct timer *t = timer_of(timers.root);
    *parent = NULL;
    *side = 0;
    while (t && t->id != id) {
        *parent = &t->node;
        *side = t->id < id;
        t = timer_of(t->node.child[*side]);
    }
    return t;
}

static struct timer *find(int id)
{
    struct tree_node *parent;
    int side;
    return find_place(id, &parent, &side);
}

void timers_look(void)
{
    deadlines_look();
}

void timers_alarm_delivered(void)
{
    itimer_alarm_delivered();
}

/* ---- expiry and delivery ---- */

static void send(const struct timer *t)
{
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    info.si_signo = t->signal;
    info.si_code = SI_TIMER;
    info.si_tid = t->id;
    info.si_value = t->value;
    signal_send_timer(current_process(), t->notify & SIGEV_THREAD_ID ? t->tid : 0, &info,
                      (uint64_t)(t->id + 1) << 32 | t->setting);
}

static void expire(struct deadline *d)
{
    struct timer *t = container_of(d, struct timer, due);
    t->armed = false;
    t->waits = t->interval != 0;
    send(t);
}

static void forward(struct timer *t)
{
    t->overrun += (int64_t)MIN(ns_forward(&t->at, clock_now(t->base), t->interval), 1UL << 62);
}

static int overrun_of(const struct timer *t)
{
    return (int)MIN(t->last_overrun, (int64_t)INT32_MAX);
}

bool timer_delivered(uint64_t mark, siginfo_t *info)
{
    lock(&timers_lock);
    struct timer *t = find((int)(mark >> 32) - 1);
    bool valid = t && t->setting == (uint32_t)mark;
    if (valid && t->waits) {
        forward(t);
        t->last_overrun = t->overrun;
        t->overrun = -1;
        t->setting++;
        t->waits = false;
        t->armed = true;
        info->si_overrun = overrun_of(t);
        deadline_set(&t->due, t->base, t->at);
    }
    unlock(&timers_lock);
    return valid;
}

void timers_send_again(int sig)
{
    if (likely(!__atomic_load_n(&timer_count, __ATOMIC_RELAXED)))
        return;
    lock(&timers_lock);
    for (struct tree_node *n = tree_end(&timers, 0); n; n = tree_neighbour(n, 1)) {
        struct timer *t = timer_of(n);
        if (t->waits && t->signal == sig)
            send(t);
    }
    unlock(&timers_lock);
}

/* ---- the calls ---- */

static bool is_quiet(const struct timer *t)
{
    return (t->notify & ~SIGEV_THREAD_ID) == SIGEV_NONE;
}

static bool event_ok(const struct sigevent *e)
{
    int pid = current_process()->pid;
    switch (e->sigev_notify) {
    case SIGEV_SIGNAL | SIGEV_THREAD_ID:
        if (run_process_of(e->_sigev_un._tid) != pid)
            return false;
        /* fallthrough */
    case SIGEV_SIGNAL:
    case SIGEV_THREAD:
        return e->sigev_signo >= 1 && e->sigev_signo <= NSIG_MAX;
    }
    return e->sigev_notify == SIGEV_NONE;
}

#define OWN_CPU(tid, kind) ((int)(~(uint32_t)(tid) << 3 | (kind)))
#define CPU_OF_THREAD      6u /* CPUCLOCK_SCHED | CPUCLOCK_PERTHREAD_MASK */

/* CPU clocks, and those that wake a sleeping machine, of which the host says whether we may. */
static int take_clock(struct timer *t, int clock)
{
    t->clock = clock;
    if (clock_is_own(clock))
        return 0;
    t->clock = clock == CLOCK_THREAD_CPUTIME_ID ? OWN_CPU(current()->tid, CPU_OF_THREAD)
                                                : run_named_clock(clock);
    t->due.host = host_timer_make(t->clock, NOTICE_SIGNAL, DEADLINE_MARK);
    if (t->due.host < 0)
        return t->due.host;
    if (clock == CLOCK_REALTIME_ALARM || clock == CLOCK_BOOTTIME_ALARM) {
        t->clock = clock == CLOCK_REALTIME_ALARM ? CLOCK_REALTIME : CLOCK_BOOTTIME;
        deadline_drop(&t->due); /* as long as the machine is awake */
    }
    return 0;
}

static void take_event(struct timer *t, const struct sigevent *event)
{
    t->notify = event ? event->sigev_notify : SIGEV_SIGNAL;
    t->signal = event ? event->sigev_signo : SIGALRM;
    t->tid = event ? event->_sigev_un._tid : 0;
    if (event)
        t->value = event->sigev_value;
    else
        t->value.sival_int = t->id;
}

/* Gives it a number that no other has, and its place. */
static int add_timer(struct timer *t)
{
    struct tree_node *parent;
    int side;
    do {
        t->id = next_id;
        next_id = next_id == INT32_MAX ? 0 : next_id + 1;
    } while (find_place(t->id, &parent, &side));
    tree_insert(&timers, parent, side, &t->node);
    __atomic_fetch_add(&timer_count, 1, __ATOMIC_RELAXED);
    return t->id;
}

static void drop(struct timer *t)
{
    deadline_drop(&t->due);
    tree_remove(&timers, &t->node);
    __atomic_fetch_sub(&timer_count, 1, __ATOMIC_RELAXED);
    heap_free(t);
}

SYSCALL3(timer_create, int, clock, const struct sigevent *, uevent, int *, uid)
{
    struct sigevent event;
    if (uevent && get_user(event, uevent))
        return -EFAULT;
    uint64_t most = current_process()->limits[RLIMIT_SIGPENDING].rlim_cur;
    struct timer *t = heap_zalloc(sizeof(*t));
    if (!t || __atomic_load_n(&timer_count, __ATOMIC_RELAXED) >= MIN(most, MOST_TIMERS)) {
        heap_free(t);
        return -EAGAIN;
    }
    deadline_init(&t->due, expire);
    int err = take_clock(t, clock);
    if (!err && uevent && !event_ok(&event))
        err = -EINVAL;
    if (err) {
        deadline_drop(&t->due);
        heap_free(t);
        return err;
    }
    lock(&timers_lock);
    int id = add_timer(t);
    take_event(t, uevent ? &event : NULL);
    if (put_user(uid, id)) {
        drop(t);
        err = -EFAULT;
    }
    unlock(&timers_lock);
    return err;
}

SYSCALL1(timer_delete, int, id)
{
    lock(&timers_lock);
    struct timer *t = find(id);
    if (t)
        drop(t);
    unlock(&timers_lock);
    return t ? 0 : -EINVAL;
}

/* What is left and the interval, as Linux's common_timer_get() says it. */
static struct __kernel_itimerspec read_timer(struct timer *t)
{
    struct __kernel_itimerspec out = {.it_interval = timespec_of(t->interval)};
    bool quiet = is_quiet(t);
    if (!t->interval && !t->armed && !quiet)
        return out;
    if (t->interval && (t->waits || quiet))
        forward(t);
    uint64_t now = clock_now(t->base);
    if (t->at > now)
        out.it_value = timespec_of(t->at - now);
    else if (!quiet)
        out.it_value.tv_nsec = 1; /* about to expire */
    return out;
}

static int set_timer(struct timer *t, int flags, const struct __kernel_itimerspec *new)
{
    uint64_t at = ns_of(&new->it_value);
    deadline_clear(&t->due);
    t->setting++;
    t->armed = t->waits = false;
    t->interval = at ? ns_of(&new->it_interval) : 0;
    t->last_overrun = 0;
    t->overrun = -1;
    if (!at)
        return 0;
    bool relative = !(flags & TIMER_ABSTIME);
    t->base = relative && t->clock == CLOCK_REALTIME ? CLOCK_MONOTONIC : t->clock;
    t->at = relative ? ns_sum(clock_now(t->base), at) : at;
    t->armed = !is_quiet(t);
    return t->armed ? deadline_set(&t->due, t->base, t->at) : 0;
}

SYSCALL4(timer_settime, int, id, int, flags, const struct __kernel_itimerspec *, unew,
         struct __kernel_itimerspec *, uold)
{
    struct __kernel_itimerspec new, old;
    if (!unew)
        return -EINVAL;
    if (get_user(new, unew))
        return -EFAULT;
    if (!timespec_ok(&new.it_value) || !timespec_ok(&new.it_interval))
        return -EINVAL;
    lock(&timers_lock);
    struct timer *t = find(id);
    int err = t ? 0 : -EINVAL;
    if (t && uold)
        old = read_timer(t);
    if (t)
        err = set_timer(t, flags, &new);
    unlock(&timers_lock);
    return !err && uold && put_user(uold, old) ? -EFAULT : err;
}

SYSCALL2(timer_gettime, int, id, struct __kernel_itimerspec *, uvalue)
{
    struct __kernel_itimerspec now;
    lock(&timers_lock);
    struct timer *t = find(id);
    if (t)
        now = read_timer(t);
    unlock(&timers_lock);
    return !t ? -EINVAL : put_user(uvalue, now) ? -EFAULT : 0;
}

SYSCALL1(timer_getoverrun, int, id)
{
    lock(&timers_lock);
    struct timer *t = find(id);
    int overrun = t ? overrun_of(t) : -EINVAL;
    unlock(&timers_lock);
    return overrun;
}

/* ---- fork and exec ---- */

void timers_exec(void)
{
    lock(&timers_lock);
    while (timers.root)
        drop(timer_of(timers.root));
    unlock(&timers_lock);
}

void timers_in_child(void)
{
    deadlines_in_child();
    itimers_in_child();
    while (timers.root) { /* their alarm clocks stayed with the parent */
        struct timer *t = timer_of(timers.root);
        tree_remove(&timers, &t->node);
        heap_free(t);
    }
    timer_count = 0;
    next_id = 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Priorities of a thread, of a group, of all that a user has (setpriority(2), ioprio_set(2)). The
 * host would take in processes outside the run: so groups and users are gone through here, thread
 * by thread.
 */
#include "host/host_process.h"
#include "libos/entry/syscall.h"
#include "libos/proc/members.h"
#include "libos/proc/reach.h"
#include "libos/process.h"
#include <linux/ioprio.h>
#include <linux/resource.h>
#include <linux/sched.h>

struct walk {
    int group;    /* 0: `uid` decides */
    uint32_t uid; /* the real one */
    void (*each)(struct walk *w, int tid);
    int value;
    long result;
};

static bool is_meant(const struct walk *w, int pid)
{
    if (w->group)
        return host_getpgid(pid) == w->group;
    if (pid == current_process()->pid)
        return current_process()->cred.uid == w->uid;
    struct member *m = member_get(pid);
    bool yes = m && m->cred.uid == w->uid;
    heap_free(m);
    return yes;
}

static void walk_process(int pid, void *ctx)
{
    struct walk *w = ctx;
    if (!is_meant(w, pid))
        return;
    for (long tid = 1; (tid = run_next_thread(pid, tid)) > 0; tid++)
        w->each(w, (int)tid);
}

static long walk(struct walk *w, bool of_user, int who)
{
    w->group = of_user ? 0 : who ? who : host_getpgid(0);
    w->uid = who ? (uint32_t)who : current_process()->cred.uid;
    w->result = -ESRCH;
    walk_process(current_process()->pid, w);
    int err = members_each(false, walk_process, w);
    return err ? err : w->result;
}

/* ---- nice values ---- */

/* The host says 20 - nice; the best of them counts. */
static void best_nice(struct walk *w, int tid)
{
    w->result = MAX(w->result, (long)host_get_nice(PRIO_PROCESS, tid));
}

/* An error stays; one that is gone meanwhile is none. */
static void set_nice(struct walk *w, int tid)
{
    long r = host_set_nice(PRIO_PROCESS, tid, w->value);
    if (r ? r != -ESRCH : w->result == -ESRCH)
        w->result = r;
}

SYSCALL2(getpriority, int, which, int, who)
{
    struct walk w = {.each = best_nice};
    if (which == PRIO_PGRP || which == PRIO_USER)
        return walk(&w, which == PRIO_USER, who);
    return host_get_nice(which, run_named(who));
}

SYSCALL3(setpriority, int, which, int, who, int, nice)
{
    struct walk w = {.each = set_nice, .value = nice};
    if (which == PRIO_PGRP || which == PRIO_USER)
        return walk(&w, which == PRIO_USER, who);
    return host_set_nice(which, run_named(who), nice);
}

/* ---- I/O ---- */

/* Without one of its own a thread has what its nice value says (ioprio_set(2)). */
static long effective(int tid, long prio)
{
    if (prio < 0 || IOPRIO_PRIO_CLASS(prio) != IOPRIO_CLASS_NONE)
        return prio;
    long policy = host_get_scheduler(tid);
    long level = (40 - host_get_nice(PRIO_PROCESS, tid)) / 5;
    int class = policy == SCHED_IDLE                         ? IOPRIO_CLASS_IDLE
                : policy == SCHED_FIFO || policy == SCHED_RR ? IOPRIO_CLASS_RT
                                                             : IOPRIO_CLASS_BE;
    return IOPRIO_PRIO_VALUE(class, level);
}

static void best_io(struct walk *w, int tid)
{
    long prio = effective(tid, host_get_ioprio(IOPRIO_WHO_PROCESS, tid));
    if (prio >= 0)
        w->result = w->result < 0 ? prio : MIN(w->result, prio);
}

static void set_io(struct walk *w, int tid)
{
    if (w->result && w->result != -ESRCH)
        return;
    long r = host_set_ioprio(IOPRIO_WHO_PROCESS, tid, w->value);
    if (r != -ESRCH)
        w->result = r;
}

static bool of_many(int which)
{
    return which == IOPRIO_WHO_PGRP || which == IOPRIO_WHO_USER;
}

SYSCALL2(ioprio_get, int, which, int, who)
{
    struct walk w = {.each = best_io};
    if (of_many(which))
        return walk(&w, which == IOPRIO_WHO_USER, who);
    return host_get_ioprio(which, run_named(who));
}

SYSCALL3(ioprio_set, int, which, int, who, int, prio)
{
    struct walk w = {.each = set_io, .value = prio};
    if (!of_many(which))
        return host_set_ioprio(which, run_named(who), prio);
    long bad = host_set_ioprio(IOPRIO_WHO_PROCESS, RUN_NOBODY, prio);
    return bad != -ESRCH ? bad : walk(&w, which == IOPRIO_WHO_USER, who);
}

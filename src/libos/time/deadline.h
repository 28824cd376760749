/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Deadlines of the process's timers. They stand in order of time, one tree for each clock; the
 * host's part is one alarm clock, set for the earliest of them, whose signal makes some thread look
 * (WORK_TIMER). What has expired our own clock says: a host that rings early changes nothing. The
 * alarm clock is seldom set back: one that rings for nobody costs less.
 * CPU time is known to the host alone: a deadline of such a clock has an alarm clock of its own.
 */
#pragma once
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "libos/lib/tree.h"
#include "libos/time/clock.h"

/*
 * Guards all deadlines and what hangs by them. Lock: above process.lock and process.sig_lock.
 */
extern struct lock timers_lock;

struct deadline {
    struct tree_node node;
    struct list of_cpu; /* in place of node, of a CPU clock */
    int clock;
    int host;    /* the alarm clock of a CPU clock; -1: none */
    uint64_t at; /* ns of its clock */
    bool set;
    /* Called under timers_lock, with the deadline not set any more. */
    void (*expire)(struct deadline *d);
};

/* What the alarm clock's signals carry. */
#define DEADLINE_MARK 0x6d72616c61UL

void deadline_init(struct deadline *d, void (*expire)(struct deadline *d));
/* Under timers_lock. What is due already expires at once. 0, or -EAGAIN: no alarm clock. */
int deadline_set(struct deadline *d, int clock, uint64_t at);
void deadline_clear(struct deadline *d);
/* The same, and it is not used again. */
void deadline_drop(struct deadline *d);

/* The alarm clock rang. Takes timers_lock. */
void deadlines_look(void);
/* A child of fork has none. */
void deadlines_in_child(void);

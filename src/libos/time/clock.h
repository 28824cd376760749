/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Clocks, and times as numbers of nanoseconds. */
#pragma once
#include "libos/libos.h"
#include <linux/time_types.h>

#define CLOCK_MOST ((uint64_t)INT64_MAX) /* what no clock comes to, ns: never */

/* Is it one of the clocks that timers go by inside? Others are the host's matter: CPU time. */
bool clock_is_own(int clock);
/* Its time, ns; 0: there is no such clock, or it is the CPU time of somebody who is gone. */
uint64_t clock_now(int clock);
/*
 * CLOCK_MONOTONIC, ns, at which to look whether it is `at` by `clock`; 0: never. Clocks that can be
 * set, or that go on while the machine sleeps, are to be looked at every second.
 */
uint64_t clock_look_at(int clock, uint64_t at);

bool timespec_ok(const struct __kernel_timespec *ts);
/* Nanoseconds of a time that is ok, CLOCK_MOST at most; sums likewise. */
uint64_t ns_of(const struct __kernel_timespec *ts);
struct __kernel_timespec timespec_of(uint64_t ns);
static inline uint64_t ns_sum(uint64_t a, uint64_t b)
{
    return a < CLOCK_MOST - MIN(b, CLOCK_MOST) ? a + b : CLOCK_MOST;
}
/*
 * Moves *at on by whole intervals (> 0) until it lies behind `now`, and says by how many, as
 * hrtimer_forward() of Linux does; 0: it lies there already.
 */
uint64_t ns_forward(uint64_t *at, uint64_t now, uint64_t interval);

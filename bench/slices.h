/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* How the programs of this folder time what is short: a run is cut into slices, and the median
 * slice counts. A slice is much shorter than what the scheduler gives to a process at a time, so
 * that on a busy machine most of them are not interrupted, natively or inside. Needs _GNU_SOURCE.
 */
#ifndef SLICES_H
#define SLICES_H

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Ends the program unless `ok`. */
static inline void expect(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

/* This process and its children on one processor, the first that is allowed: what is timed then is
 * the work and not the waking of an idle processor. */
static inline void one_processor(void)
{
    cpu_set_t allowed, first;
    expect(sched_getaffinity(0, sizeof allowed, &allowed) == 0, "sched_getaffinity");
    int n = 0;
    while (n < CPU_SETSIZE - 1 && !CPU_ISSET(n, &allowed))
        n++;
    CPU_ZERO(&first);
    CPU_SET(n, &first);
    expect(sched_setaffinity(0, sizeof first, &first) == 0, "sched_setaffinity");
}

static inline int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the slices. */
static inline double median(double *slices, size_t n)
{
    qsort(slices, n, sizeof *slices, by_value);
    return slices[n / 2];
}

#endif

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The data page before the vDSO's text: read by the vDSO, written by the library OS. */
#pragma once
#include <stdint.h>

struct timespec_k {
    int64_t sec, nsec;
};

struct timeval_k {
    int64_t sec, usec;
};

/* Bits of vdso_data.fast: clock ids as they are, then the calls without a clock. */
#define VDSO_FAST_CLOCKS       0x08f3u /* realtime monotonic raw coarse boottime tai */
#define VDSO_FAST_GETTIMEOFDAY (1u << 16)
#define VDSO_FAST_TIME         (1u << 17)
#define VDSO_FAST_GETCPU       (1u << 18)

struct vdso_data {
    uint32_t fast; /* what the host's functions answer without a system call */
    int (*clock_gettime)(int clock, struct timespec_k *ts);
    int (*clock_getres)(int clock, struct timespec_k *ts);
    int (*gettimeofday)(struct timeval_k *tv, void *tz);
    int64_t (*time)(int64_t *t);
    int (*getcpu)(uint32_t *cpu, uint32_t *node, void *unused);
};

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A sleeping lock (three-state futex). Not recursive; never held across a blocking host call that
 * waits for another thread or process (see docs/architecture.md for the order of all locks).
 */
#pragma once
#include "libos/libos.h"

struct lock {
    uint32_t word; /* 0 free, 1 held, 2 held and somebody waits */
};

void lock_slow(struct lock *l);
void unlock_slow(struct lock *l);

static inline void lock(struct lock *l)
{
    uint32_t free = 0;
    if (unlikely(!__atomic_compare_exchange_n(&l->word, &free, 1, false, __ATOMIC_ACQUIRE,
                                              __ATOMIC_RELAXED)))
        lock_slow(l);
}
static inline void unlock(struct lock *l)
{
    if (unlikely(__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) == 2))
        unlock_slow(l);
}

/* Reference counts. ref_put is true for the caller that dropped the last one. */
static inline void ref_get(uint32_t *refs)
{
    __atomic_fetch_add(refs, 1, __ATOMIC_RELAXED);
}
static inline bool ref_put(uint32_t *refs)
{
    return __atomic_fetch_sub(refs, 1, __ATOMIC_ACQ_REL) == 1;
}

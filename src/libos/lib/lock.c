/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/lib/lock.h"
#include "host/host.h"

void lock_slow(struct lock *l)
{
    for (int spin = 0; spin < 64; spin++) {
        uint32_t free = 0;
        if (__atomic_compare_exchange_n(&l->word, &free, 1, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return;
        __builtin_ia32_pause();
    }
    while (__atomic_exchange_n(&l->word, 2, __ATOMIC_ACQUIRE) != 0)
        host_futex_wait_lock(&l->word, 2);
}

void unlock_slow(struct lock *l)
{
    host_futex_wake(&l->word, 1);
}

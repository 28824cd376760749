/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/libos.h"

struct thread;

/* Wakes up to `n` waiters on the application word. */
int futex_wake_address(uint32_t *uaddr, int n);
/* A thread ends: marks the robust futexes it holds as ownerless (set_robust_list(2)). */
void futex_robust_exit(struct thread *t);
/* After fork: nobody waits in the child. */
void futex_forget_all(void);

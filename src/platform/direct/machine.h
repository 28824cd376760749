/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Of the platforms whose host is one `syscall` instruction away: the primitives of their arch.h. */
#pragma once
#include "libos/libos.h"

struct thread;

static inline struct thread *current(void)
{
    struct thread *t;
    __asm__("movq %%gs:0, %0" : "=r"(t));
    return t;
}

static inline long direct_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}

/*
 * For calls that may block: -EINTR without calling when thread.work is set, and a host signal that
 * arrives between that check and the instruction is not lost (entry.S, trap.c).
 */
long direct_syscall_blocking(long nr, long a, long b, long c, long d, long e, long f);

#define KSTACK_SIZE (128 * 1024UL) /* of a thread's library-OS stack */

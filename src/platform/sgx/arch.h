/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Platform `sgx`: an enclave. The host is another world, and trusted in nothing. */
#pragma once
#include "libos/libos.h"

struct thread;

static inline struct thread *current(void)
{
    struct thread *t;
    __asm__("movq %%gs:0, %0" : "=r"(t));
    return t;
}

/* Code that would hand the host what it should not: there is no such call. */
static inline long host_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
    (void)nr, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return -ENOSYS;
}
#define host_syscall_blocking host_syscall

#define PLATFORM_HOST_TRUSTED 0
#define PLATFORM_ARENA        1
#define PLATFORM_CLOCK        1 /* platform_clock() */

#define KSTACK_SIZE (128 * 1024UL) /* of a thread's library-OS stack: ENCLAVE_STACK_PAGES */

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Platform `test`: the library OS in a hosted program, under sanitizers, over a host that tests
 * control (mock.h). One thread. */
#pragma once
#include "libos/libos.h"
#include "platform/test/mock.h"

struct thread;
extern struct thread *test_current;

static inline struct thread *current(void)
{
    return test_current;
}

long host_syscall(long nr, long a, long b, long c, long d, long e, long f);
long host_syscall_blocking(long nr, long a, long b, long c, long d, long e, long f);

#define PLATFORM_HOST_TRUSTED 1
#define PLATFORM_ARENA        1

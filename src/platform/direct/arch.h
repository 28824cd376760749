/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Platform `direct`: the host is one `syscall` instruction away, and trusted. */
#pragma once
#include "platform/direct/machine.h"

static inline long host_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
    return direct_syscall(nr, a, b, c, d, e, f);
}

static inline long host_syscall_blocking(long nr, long a, long b, long c, long d, long e, long f)
{
    return direct_syscall_blocking(nr, a, b, c, d, e, f);
}

/* The host keeps what it verified: file content read twice is the same content (see docs). */
#define PLATFORM_HOST_TRUSTED 1
/* Do pointers into our memory go to the host as they are? 1: see host/arena.h. */
#define PLATFORM_ARENA 0

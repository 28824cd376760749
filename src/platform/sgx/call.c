/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Host calls: out by EEXIT with a struct sgx_call in the arena, back by EENTER. */
#include "host/arena.h"
#include "host/filter.h"
#include "platform/platform.h"
#include "platform/sgx/sgx.h"
#include <asm/unistd.h>
#undef host_syscall
#undef host_syscall_blocking

/* Of the arena: a page of words (host/arena.h), then for each thread block a page for struct
 * sgx_call and the slot. */
#define PLACE (PAGE_SIZE + ARENA_SLOT)

static uint64_t first; /* set once at start */

bool sgx_calls_setup(uint64_t arena, uint64_t slot)
{
    uint64_t threads = enclave_info()->threads;
    if (arena & PAGE_MASK || slot != PLACE || !is_outside(arena, PAGE_SIZE + threads * PLACE))
        return false;
    arena_set_words((void *)arena);
    first = arena + PAGE_SIZE;
    return true;
}

void sgx_call_place(struct sgx_box *box, uint64_t index)
{
    box->own.call = (struct sgx_call *)(first + index * PLACE);
    box->thread.arena.base = (char *)box->own.call + PAGE_SIZE;
    box->thread.arena.used = 0;
}

static long leave(int64_t nr, const long a[6], bool blocking)
{
    struct sgx_box *box = (struct sgx_box *)current();
    struct sgx_call *c = box->own.call;
    if (unlikely(sgx_stats)) {
        if (nr == __NR_exit_group)
            sgx_stats_print();
        sgx_stats_count_call(nr);
    }
    c->nr = nr;
    c->blocking = blocking;
    for (int i = 0; i < 6; i++)
        c->arg[i] = a[i];
    if (!blocking)
        sgx_leave(SGX_EXIT_CALL, (uint64_t)c);
    else if (!sgx_leave_blocking(SGX_EXIT_CALL, (uint64_t)c))
        return -EINTR;
    uint64_t signals = __atomic_load_n(&c->signals, __ATOMIC_RELAXED);
    if (unlikely(signals))
        sgx_take_signals(&box->thread, signals);
    return __atomic_load_n(&c->result, __ATOMIC_RELAXED);
}

long platform_leave(long nr, const long a[6])
{
    return leave(nr, a, false);
}

long platform_leave_blocking(long nr, const long a[6])
{
    return leave(nr, a, true);
}

long sgx_special(int64_t nr, int64_t a, int64_t b, int64_t c)
{
    return leave(nr, (const long[6]){a, b, c}, false);
}

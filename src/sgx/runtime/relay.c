/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The host calls of the enclave. Which there are, the enclave decides (src/host/filter.c). */
#include "sgx/runtime/runtime.h"

#include <errno.h>
#include <unistd.h>
#include <sys/syscall.h>

static long plain(const int64_t a[6], long nr)
{
    long r;
    register long r10 __asm__("r10") = a[3];
    register long r8 __asm__("r8") = a[4];
    register long r9 __asm__("r9") = a[5];
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "0"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

void runtime_relay(struct sgx_call *call)
{
    struct outside *o = self_outside;
    if (call->nr == SGX_CALL_THREAD)
        call->result = runtime_thread_start((uint64_t)call->arg[0]);
    else if (call->nr == SGX_CALL_QE_TARGET)
        call->result = aesm_target((void *)call->arg[0]);
    else if (call->nr == SGX_CALL_QUOTE)
        call->result = aesm_quote((const void *)call->arg[0], (void *)call->arg[1]);
    else if (call->nr == SGX_CALL_PROTECT)
        call->result = runtime_protect(call->arg);
    else if (call->nr == SGX_CALL_FORK)
        call->result = runtime_fork(call->arg);
    else if (call->nr == SGX_CALL_FORKED)
        call->result = runtime_child_born();
    else if (call->nr == SGX_CALL_ENDED)
        call->result = runtime_ended_child(call->arg);
    else if (call->nr == SGX_CALL_DIE)
        call->result = runtime_die((int)call->arg[0]);
    else if (call->blocking)
        call->result = runtime_call_blocking(call->arg, call->nr, &o->signalled);
    else
        call->result = plain(call->arg, call->nr);
    o->signalled = 0;
    call->signals = __atomic_exchange_n(&o->signals, 0, __ATOMIC_SEQ_CST);
}

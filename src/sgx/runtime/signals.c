/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Exceptions in the enclave and signals of the host arrive as signals. One that interrupted the
 * enclave, which RIP at the AEP tells, is shown to it at once by an entry above what was
 * interrupted; others are noted for the end of the host call that is going on.
 */
#include "sgx/runtime/runtime.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define MOST_REFUSED 100000

static bool within(uint64_t ip, const char *start, const char *end)
{
    return ip >= (uintptr_t)start && ip < (uintptr_t)end;
}

static bool is_exception(int sig, const siginfo_t *info)
{
    return (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGTRAP) &&
           info->si_code > 0;
}

static void show_enclave(int sig)
{
    uint64_t code;
    runtime_enter(self_outside->tcs, SGX_ENTER_EVENT, (uint64_t)sig, &code);
    if (code == SGX_EXIT_RESUME)
        return;
    fprintf(stderr, "error: the enclave did not take the event %d (code %llu)\n", sig,
            (unsigned long long)code);
    _exit(1);
}

/*
 * A block is free, and may be another thread's, from a few instructions before its EEXIT on: until
 * then the EENTER of that thread faults. Any other reason for that does not go away.
 */
static bool enter_again(struct outside *o)
{
    if (!o || o->entry != SGX_ENTER_THREAD || ++o->refused > MOST_REFUSED)
        return false;
    sched_yield();
    return true;
}

static void handle(int sig, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t ip = (uint64_t)r[REG_RIP];
    struct outside *o = self_outside;
    bool exception = is_exception(sig, info);
    if (ip == (uintptr_t)runtime_aep && r[REG_RAX] == SGX_ERESUME) {
        show_enclave(exception ? sig + SGX_HOST_FAULT : sig);
    } else if (exception && ip == (uintptr_t)runtime_eenter && enter_again(o)) {
        return;
    } else if (exception) { /* of this program itself, or of ENCLU */
        fprintf(stderr, "error: signal %d at 0x%llx, address %p, outside the enclave\n", sig,
                (unsigned long long)ip, info->si_addr);
        signal(sig, SIG_DFL);
    } else if (o) {
        __atomic_fetch_or(&o->signals, 1ULL << (sig - 1), __ATOMIC_SEQ_CST);
        o->signalled = 1;
        if (within(ip, runtime_call_check, runtime_call_insn + 1))
            r[REG_RIP] = (greg_t)(uintptr_t)runtime_call_eintr;
    }
}

void runtime_signals_setup(bool sigterm)
{
    struct sigaction act = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigfillset(&act.sa_mask);
    for (int sig = 1; sig < 64; sig++) {
        struct sigaction old;
        if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33)
            continue;
        /* Job control and what ends a process stay the host's; the enclave wants exceptions, its
         * own kicks, what its timers wake it by, and SIGTERM where the manifest lets it in. */
        bool wanted = sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE ||
                      sig == SIGTRAP || sig == SIGSTKFLT || sig == SIGALRM || sig == SIGCHLD ||
                      sig == SIGCONT || (sig == SIGTERM && sigterm) || sig == SIGIO ||
                      sig == SIGURG || sig == SIGWINCH || sig == SIGVTALRM || sig == SIGPROF ||
                      sig == SIGXFSZ;
        if (sigaction(sig, NULL, &old) || !wanted || old.sa_handler == SIG_IGN)
            continue;
        sigaction(sig, &act, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

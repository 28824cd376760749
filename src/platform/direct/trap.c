/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The handler of every host signal. It runs on the thread's host signal stack, possibly on top of
 * library-OS code that holds locks, and so only notes what happened and decides where the thread
 * continues: the work is done after the host's sigreturn.
 */
#include "host/host.h"
#include "platform/common/interrupted.h"
#include "libos/time/deadline.h"
#include "platform/direct/direct.h"
#include "platform/platform.h"
#include <asm/ucontext.h>
#include <asm/unistd.h>
#include <linux/audit.h>

#define SYS_USER_DISPATCH_CODE 2

/* A system-call instruction that the host did not carry out. */
static void take_syscall(struct thread *t, const siginfo_t *info, struct sigcontext *c)
{
    if (trap_in_libos(t, c)) { /* the host's vDSO does not know this clock by itself */
        c->rax = (uint64_t)direct_syscall((long)c->rax, (long)c->rdi, (long)c->rsi, (long)c->rdx,
                                          (long)c->r10, (long)c->r8, (long)c->r9);
    } else if (info->si_arch != AUDIT_ARCH_X86_64) {
        trap_refuse_32bit_call(t, c);
    } else {
        trap_enter_call(t, c);
    }
}

static bool is_fault(int sig, const siginfo_t *info)
{
    switch (sig) {
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGTRAP:
        return info->si_code > 0; /* raised by the kernel itself, SI_KERNEL included */
    }
    return false;
}

static void put_in_box(struct thread *t, int sig, siginfo_t *info, sigset_t *mask)
{
    struct host_signal_box *box = &t->box;
    info->si_signo = sig;
    if (sig < 32) {
        sigmask bit = SIGBIT(sig);
        if (!(__atomic_load_n(&box->standard, __ATOMIC_RELAXED) & bit)) {
            box->standard_info[sig] = *info;
            __atomic_fetch_or(&box->standard, bit, __ATOMIC_RELEASE);
        }
    } else {
        assert(box->rt_head - box->rt_tail < BOX_RT_SLOTS);
        box->rt[box->rt_head % BOX_RT_SLOTS] = *info;
        __atomic_store_n(&box->rt_head, box->rt_head + 1, __ATOMIC_RELEASE);
        if (box->rt_head - box->rt_tail == BOX_RT_SLOTS) {
            box->held_back = true;
            *(sigmask *)mask |= HELD_BACK;
        }
    }
    work_set(t, WORK_HOSTSIG);
}

void host_signal(int sig, siginfo_t *info, struct ucontext *uc);
__attribute__((used)) void host_signal(int sig, siginfo_t *info, struct ucontext *uc)
{
    struct thread *t = direct_thread_of_signal_stack(uc->uc_stack.ss_sp);
    struct sigcontext *c = &uc->uc_mcontext;
    direct_take_gs(t);
    if (sig == SIGSYS && (info->si_code == SYS_USER_DISPATCH_CODE)) {
        take_syscall(t, info, c);
        return;
    }
    if (is_fault(sig, info)) {
        trap_fault(t, sig, info, c);
        return;
    }
    if (sig == NOTICE_SIGNAL && info->si_code == SI_USER) { /* our choice for PR_SET_PDEATHSIG */
        int wanted = parent_lost(t->process, info->si_pid);
        sig = wanted < 0 ? sig : wanted;
    }
    if (sig == SIGKILL)
        platform_die_of_signal(sig);
    if (sig == NOTICE_SIGNAL && info->si_code == SI_TIMER &&
        (uintptr_t)info->si_ptr == DEADLINE_MARK) {
        work_set(t, WORK_TIMER);
    } else if (sig == NOTICE_SIGNAL && info->si_code == SI_TKILL) {
        if (info->si_pid != t->process->pid) /* else thread_kick: work bits are set already */
            work_set(t, WORK_FILES);
    } else if (sig) {
        put_in_box(t, sig, info, &uc->uc_sigmask);
    }
    trap_redirect(t, c);
}

static void install(int sig, uint64_t flags, struct ksigaction *old)
{
    sigmask faults =
        SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGFPE) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP);
    struct ksigaction act = {.handler = (uintptr_t)host_signal_entry,
                             .flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER | flags,
                             .restorer = (uintptr_t)host_sigreturn,
                             .mask = ~faults};
    direct_syscall(__NR_rt_sigaction, sig, (long)&act, (long)old, 8, 0, 0);
}

void signal_host_disposition(struct process *p, int sig)
{
    const struct ksigaction *a = &p->sighand.action[sig - 1];
    if (sig == SIGSYS || sig == NOTICE_SIGNAL || SIGBIT(sig) & SIG_UNBLOCKABLE)
        return;
    /* What the host decides by: who ignores SIGCHLD has his children reaped, who ignores SIGTTIN or
     * SIGTTOU is told EIO by the terminal, or let through. Any other signal may be blocked here and
     * waited for, which an ignored one survives only if the host delivers it. */
    if (a->handler == 1 && (sig == SIGCHLD || sig == SIGTTIN || sig == SIGTTOU)) {
        struct ksigaction ignore = {.handler = 1};
        direct_syscall(__NR_rt_sigaction, sig, (long)&ignore, 0, 8, 0, 0);
    } else {
        install(sig, sig == SIGCHLD ? a->flags & (SA_NOCLDSTOP | SA_NOCLDWAIT) : 0, NULL);
    }
}

void direct_signals_setup(void)
{
    for (int sig = 1; sig <= NSIG_MAX; sig++) {
        if (SIGBIT(sig) & SIG_UNBLOCKABLE)
            continue;
        struct ksigaction old = {0};
        install(sig, 0, &old);
        first_process->sighand.action[sig - 1].handler = old.handler == 1;
        if (old.handler == 1)
            signal_host_disposition(first_process, sig);
    }
    sigmask none = 0, old = 0;
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&none, (long)&old, 8, 0, 0);
    current()->blocked = old & ~SIG_UNBLOCKABLE;
}

void platform_stop_by_signal(int sig)
{
    struct ksigaction dfl = {0};
    if (sig != SIGSTOP)
        direct_syscall(__NR_rt_sigaction, sig, (long)&dfl, 0, 8, 0, 0);
    /* To this thread: another one might take it when our handler is back in place. */
    host_tgkill((int)direct_syscall(__NR_getpid, 0, 0, 0, 0, 0, 0), current()->host_tid, sig);
    if (sig != SIGSTOP)
        signal_host_disposition(current_process(), sig);
}

void platform_die_of_signal(int sig)
{
    struct ksigaction dfl = {0};
    sigmask none = 0;
    direct_syscall(__NR_rt_sigaction, sig, (long)&dfl, 0, 8, 0, 0);
    host_kill((int)direct_syscall(__NR_getpid, 0, 0, 0, 0, 0, 0), sig);
    direct_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8, 0, 0);
    host_exit_group(128 + sig);
}

uintptr_t platform_syscall_entry(bool gs)
{
    return (uintptr_t)(gs ? libos_slow_entry : libos_syscall_entry);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The handler of every host signal. It runs on the thread's host signal stack, possibly on top of
 * library-OS code that holds locks, and so only notes what happened and decides where the thread
 * continues: the work is done after the host's sigreturn.
 */
#include "host/host.h"
#include "libos/entry/patch.h"
#include "libos/entry/sigregs.h"
#include "libos/log.h"
#include "libos/proc/vdso.h"
#include "platform/direct/direct.h"
#include "platform/platform.h"
#include <asm/ucontext.h>
#include <asm/unistd.h>
#include <linux/audit.h>

#define SYS_USER_DISPATCH_CODE 2
#define CLEAN_FLAGS            0x202
#define FLAG_RF                0x10000UL
#define SELECTOR_LDT           4
#define TRAP_PROTECTION        13
#define TRAP_PAGE_FAULT        14

static bool within(uint64_t ip, const char *start, const char *end)
{
    return ip >= (uintptr_t)start && ip < (uintptr_t)end;
}

static bool at_exit(uint64_t ip)
{
    return within(ip, libos_exit, libos_exit_end) ||
           within(ip, libos_quick_exit, libos_quick_exit_end);
}

/* Where the exit path gave up, the frame has the registers still. */
static void save_app_regs(struct thread *t, const struct sigcontext *c)
{
    if (at_exit(c->rip))
        return;
    *thread_regs(t) = regs_of_sigcontext(c);
    thread_set_segments(t, c->cs, c->ss);
}

/* Leaves the handler for a way into the library OS, on its own stack. */
static void go_on_at(const struct thread *t, struct sigcontext *c, const char *entry)
{
    c->rip = (uintptr_t)entry;
    c->rsp = t->kstack_frame;
    c->eflags = CLEAN_FLAGS;
    c->cs = USER_CS;
    c->ss = USER_SS;
}

/* Is the library OS running, perhaps in the host's vDSO? */
static bool in_libos(const struct thread *t, const struct sigcontext *c)
{
    return within(c->rip, libos_text_start, libos_text_end) ||
           (vdso_is_host(c->rip) && c->rsp <= t->kstack_top &&
            c->rsp > t->kstack_top - KSTACK_SIZE);
}

/* The call whose registers are in *c, with %rip after the instruction. */
static void enter_call(struct thread *t, struct sigcontext *c)
{
    c->rcx = c->rip;
    c->r11 = c->eflags;
    save_app_regs(t, c);
    go_on_at(t, c, libos_trap_entry);
}

static void take_app_fault(struct thread *t, const siginfo_t *info, struct sigcontext *c)
{
    t->fault.info = *info;
    t->fault.trapno = c->trapno;
    t->fault.error_code = c->err;
    if (c->trapno == TRAP_PAGE_FAULT)
        t->fault.address = c->cr2;
    save_app_regs(t, c);
    work_set(t, WORK_FAULT);
    go_on_at(t, c, libos_async_entry);
}

/* `int $0x80` and its like, which are not served: what a kernel without them answers. */
static void refuse_32bit_call(struct thread *t, struct sigcontext *c)
{
    siginfo_t info;
    uint8_t code[2];
    memset(&info, 0, sizeof(info));
    info.si_signo = SIGSEGV;
    info.si_code = SI_KERNEL;
    if (!copy_from_user(code, (const void *)(c->rip - 2), 2) && code[0] == 0xcd && code[1] == 0x80)
        c->rip -= 2;
    c->trapno = TRAP_PROTECTION;
    c->err = 0x80 << 3 | 2; /* the gate's number, in the interrupt table */
    take_app_fault(t, &info, c);
}

/* A system-call instruction that the host did not carry out. */
static void take_syscall(struct thread *t, const siginfo_t *info, struct sigcontext *c)
{
    if (in_libos(t, c)) { /* the host's vDSO does not know this clock by itself */
        c->rax = (uint64_t)host_syscall((long)c->rax, (long)c->rdi, (long)c->rsi, (long)c->rdx,
                                        (long)c->r10, (long)c->r8, (long)c->r9);
    } else if (info->si_arch != AUDIT_ARCH_X86_64) {
        refuse_32bit_call(t, c);
    } else {
        enter_call(t, c);
    }
}

/* Did a rewritten site's jump not get into the library OS, or single-step into it? */
static bool take_failed_entry(struct thread *t, struct sigcontext *c)
{
    if (within(c->rip, libos_entry_rsp, libos_entry_pushed)) {
        c->rsp = c->r11;
    } else if (within(c->rip, libos_entry_pushed, libos_entry_checked) ||
               c->rip == (uintptr_t)libos_foreign_gs) {
        const uint64_t *pushed = (const uint64_t *)c->rsp;
        c->eflags = pushed[0];
        c->rsp = pushed[1];
    } else if (!within(c->rip, libos_syscall_entry, libos_entry_rsp) &&
               c->rip != (uintptr_t)libos_slow_entry) {
        return false;
    }
    c->rip = c->rcx;
    c->eflags &= ~FLAG_RF;
    enter_call(t, c);
    return true;
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

__attribute__((noreturn)) static void die_in_libos(int sig, const struct sigcontext *c)
{
    log_line(LOG_ERROR, NULL, 0, NULL,
             "internal fault: signal %d at library-OS code +0x%lx, address 0x%lx", sig,
             (unsigned long)(c->rip - (uintptr_t)libos_text_start), (unsigned long)c->cr2);
    host_exit_group(1);
}

/* A fault of the application's own code, or of what stands for it, which is not to be seen. */
static void take_fault_outside(struct thread *t, int sig, siginfo_t *info, struct sigcontext *c)
{
    bool stepped = sig == SIGTRAP && info->si_code == TRAP_TRACE;
    if (sig == SIGTRAP && info->si_code == SI_KERNEL && patch_in_progress_at(c->rip - 1)) {
        c->rip -= 1; /* ran into a site that another thread is rewriting: try again */
        return;
    }
    if (stepped || patch_is_stub(c->rip)) {
        uint64_t ip = c->rip;
        bool seen = patch_original(&ip, stepped);
        if (stepped && !seen)
            return;
        c->rip = ip;
        if (stepped)
            info->si_addr = (void *)c->rip;
    }
    take_app_fault(t, info, c);
}

static void take_fault(struct thread *t, int sig, siginfo_t *info, struct sigcontext *c)
{
    if (within(c->rip, uaccess_begin, uaccess_end)) {
        c->rip = (uintptr_t)uaccess_fixup;
    } else if (!in_libos(t, c)) {
        take_fault_outside(t, sig, info, c);
    } else if (at_exit(c->rip)) {
        if (t->iret.ss & SELECTOR_LDT)
            c->err = 0; /* the kernel's own detour for such stacks (espfix) loses it, too */
        take_app_fault(t, info, c);
    } else if (!take_failed_entry(t, c)) {
        die_in_libos(sig, c);
    }
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

/* Makes sure that the thread sees its work bits before it blocks or returns. */
static void redirect(struct thread *t, struct sigcontext *c)
{
    if (within(c->rip, host_blocking_check, host_blocking_insn + 1)) {
        c->rip = (uintptr_t)host_blocking_eintr;
    } else if (at_exit(c->rip) || (!in_libos(t, c) && !patch_is_stub(c->rip))) {
        save_app_regs(t, c);
        go_on_at(t, c, libos_async_entry);
    }
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
        take_fault(t, sig, info, c);
        return;
    }
    if (sig == NOTICE_SIGNAL && info->si_code == SI_USER) { /* our choice for PR_SET_PDEATHSIG */
        int wanted = parent_lost(t->process, info->si_pid);
        sig = wanted < 0 ? sig : wanted;
    }
    if (sig == SIGKILL)
        platform_die_of_signal(sig);
    if (sig == NOTICE_SIGNAL && info->si_code == SI_TKILL) {
        if (info->si_pid != t->process->pid) /* else thread_kick: work bits are set already */
            work_set(t, WORK_FILES);
    } else if (sig) {
        put_in_box(t, sig, info, &uc->uc_sigmask);
    }
    redirect(t, c);
}

static void install(int sig, uint64_t flags)
{
    sigmask faults =
        SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGFPE) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP);
    struct ksigaction act = {.handler = (uintptr_t)host_signal_entry,
                             .flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER | flags,
                             .restorer = (uintptr_t)host_sigreturn,
                             .mask = ~faults};
    host_syscall(__NR_rt_sigaction, sig, (long)&act, 0, 8, 0, 0);
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
        host_syscall(__NR_rt_sigaction, sig, (long)&ignore, 0, 8, 0, 0);
    } else {
        install(sig, sig == SIGCHLD ? a->flags & (SA_NOCLDSTOP | SA_NOCLDWAIT) : 0);
    }
}

void direct_signals_setup(void)
{
    for (int sig = 1; sig <= NSIG_MAX; sig++) {
        if (SIGBIT(sig) & SIG_UNBLOCKABLE)
            continue;
        struct ksigaction old = {0};
        host_syscall(__NR_rt_sigaction, sig, 0, (long)&old, 8, 0, 0);
        first_process->sighand.action[sig - 1].handler = old.handler == 1;
        if (sig == SIGSYS || sig == NOTICE_SIGNAL)
            install(sig, 0);
        else
            signal_host_disposition(first_process, sig);
    }
    sigmask none = 0, old = 0;
    host_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&none, (long)&old, 8, 0, 0);
    current()->blocked = old & ~SIG_UNBLOCKABLE;
}

void platform_stop_by_signal(int sig)
{
    struct ksigaction dfl = {0};
    if (sig != SIGSTOP)
        host_syscall(__NR_rt_sigaction, sig, (long)&dfl, 0, 8, 0, 0);
    /* To this thread: another one might take it when our handler is back in place. */
    host_tgkill((int)host_syscall(__NR_getpid, 0, 0, 0, 0, 0, 0), current()->host_tid, sig);
    if (sig != SIGSTOP)
        signal_host_disposition(current_process(), sig);
}

void platform_die_of_signal(int sig)
{
    struct ksigaction dfl = {0};
    sigmask none = 0;
    host_syscall(__NR_rt_sigaction, sig, (long)&dfl, 0, 8, 0, 0);
    host_kill((int)host_syscall(__NR_getpid, 0, 0, 0, 0, 0, 0), sig);
    host_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8, 0, 0);
    host_exit_group(128 + sig);
}

uintptr_t platform_syscall_entry(bool gs)
{
    return (uintptr_t)(gs ? libos_slow_entry : libos_syscall_entry);
}

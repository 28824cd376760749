/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Running a signal's action: default actions, and frames for handlers on the application's stack,
 * laid out as Linux lays them out (arch/x86 rt_sigframe; sigcontext.h, ucontext.h).
 */
#include "host/host.h"
#include "libos/entry/sigregs.h"
#include "libos/log.h"
#include "libos/proc/signal.h"
#include "libos/process.h"
#include "platform/platform.h"
#include <asm/ucontext.h>
#include <asm/unistd.h>

struct frame {
    uint64_t pretcode;
    struct ucontext uc;
    siginfo_t info;
};

#define RED_ZONE    128
#define FLAGS_FIXED 0x202UL     /* IF, and bit 1 */
#define FLAGS_USER  0x240dd5UL  /* CF PF AF ZF SF TF DF OF RF? AC ID */
#define UC_OURS     (1 | 2 | 4) /* FP_XSTATE, SIGCONTEXT_SS, STRICT_RESTORE_SS */
#define MXCSR_BITS  0xffffu     /* others fault when restored */
#define ADDRESS_END (1UL << 47) /* no address of the application from here on */
#define SW_RESERVED 464         /* struct _fpx_sw_bytes in the FXSAVE area */

static bool on_altstack(const struct thread *t, uint64_t sp)
{
    const struct sigaltstack_state *a = &t->altstack;
    return !(a->flags & (SS_DISABLE | SS_AUTODISARM)) && sp - a->sp <= a->size && sp > a->sp;
}

static char *state_buffer(struct thread *t)
{
    return (char *)ALIGN_UP((uintptr_t)t->vector_area, 64);
}

/* The live vector state, with the marks that tell its extent, to application memory at `at`. */
static int push_vector_state(struct thread *t, uint64_t at)
{
    size_t size = platform_xstate_size();
    char *area = state_buffer(t);
    memset(area, 0, size);
    platform_xstate_save(area);
    struct _fpx_sw_bytes sw = {.magic1 = FP_XSTATE_MAGIC1,
                               .extended_size = (uint32_t)size + FP_XSTATE_MAGIC2_SIZE,
                               .xfeatures = platform_xstate_mask(),
                               .xstate_size = (uint32_t)size};
    memcpy(area + SW_RESERVED, &sw, sizeof(sw));
    uint32_t magic2 = FP_XSTATE_MAGIC2;
    return copy_to_user((void *)at, area, size) || put_user((uint32_t *)(at + size), magic2);
}

static void fill_context(struct thread *t, struct ucontext *uc, const struct regs *r, uint64_t fp,
                         sigmask old_mask)
{
    memset(uc, 0, sizeof(*uc));
    uc->uc_flags = UC_OURS;
    uc->uc_stack.ss_sp = (void *)t->altstack.sp;
    uc->uc_stack.ss_flags = (int)t->altstack.flags;
    uc->uc_stack.ss_size = t->altstack.size;
    if (on_altstack(t, r->rsp))
        uc->uc_stack.ss_flags |= SS_ONSTACK;
    uc->uc_mcontext = (struct sigcontext){.r8 = r->r8,
                                          .r9 = r->r9,
                                          .r10 = r->r10,
                                          .r11 = r->r11,
                                          .r12 = r->r12,
                                          .r13 = r->r13,
                                          .r14 = r->r14,
                                          .r15 = r->r15,
                                          .rdi = r->rdi,
                                          .rsi = r->rsi,
                                          .rbp = r->rbp,
                                          .rbx = r->rbx,
                                          .rdx = r->rdx,
                                          .rax = r->rax,
                                          .rcx = r->rcx,
                                          .rsp = r->rsp,
                                          .rip = r->rip,
                                          .eflags = r->rflags,
                                          .cs = 0x33,
                                          .ss = 0x2b,
                                          .err = t->fault.error_code,
                                          .trapno = t->fault.trapno,
                                          .oldmask = old_mask,
                                          .cr2 = t->fault.address,
                                          .fpstate = (void *)fp};
    memcpy(&uc->uc_sigmask, &old_mask, sizeof(old_mask));
}

/* 0, or -EFAULT when the stack cannot hold the frame. */
static int push_frame(struct thread *t, struct regs *r, const struct ksigaction *a,
                      const siginfo_t *info, sigmask old_mask)
{
    uint64_t sp = r->rsp - RED_ZONE;
    if (a->flags & SA_ONSTACK && !(t->altstack.flags & SS_DISABLE) && !on_altstack(t, r->rsp))
        sp = t->altstack.sp + t->altstack.size;
    uint64_t fp = ALIGN_DOWN(sp - platform_xstate_size() - FP_XSTATE_MAGIC2_SIZE, 64);
    uint64_t at = ALIGN_DOWN(fp - sizeof(struct frame), 16) - 8;
    struct frame *f = heap_alloc(sizeof(*f));
    if (!f)
        return -EFAULT;
    f->pretcode = a->restorer;
    f->info = *info;
    fill_context(t, &f->uc, r, fp, old_mask);
    int err = push_vector_state(t, fp);
    if (!err)
        err = copy_to_user((void *)at, f, sizeof(*f));
    heap_free(f);
    if (err)
        return -EFAULT;
    if (t->altstack.flags & SS_AUTODISARM)
        t->altstack = (struct sigaltstack_state){.flags = SS_DISABLE};
    platform_vector_reset();
    r->rdi = (uint64_t)info->si_signo;
    r->rsi = at + offsetof(struct frame, info);
    r->rdx = at + offsetof(struct frame, uc);
    r->rax = 0;
    r->rsp = at;
    r->rip = a->handler;
    r->rflags &= ~(uint64_t)(1 << 10 | 1 << 8 | 1 << 16); /* DF, TF, RF */
    r->orig_rax = (uint64_t)-1;
    return 0;
}

/* What becomes of an interrupted system call (signal(7), "Interruption of system calls"). */
static void settle_restart(struct regs *r, const struct ksigaction *a)
{
    if (r->orig_rax == (uint64_t)-1)
        return;
    long ret = (long)r->rax;
    if (ret > -ERESTARTSYS || ret < -ERESTART_RESTARTBLOCK)
        return;
    bool again = !a || ret == -ERESTARTNOINTR || (ret == -ERESTARTSYS && a->flags & SA_RESTART);
    if (again) {
        r->rax = ret == -ERESTART_RESTARTBLOCK ? __NR_restart_syscall : r->orig_rax;
        r->rip -= 2; /* the `syscall` instruction stays in place when a site is rewritten */
    } else {
        r->rax = (uint64_t)-EINTR;
    }
    r->orig_rax = (uint64_t)-1;
}

static bool stops_by_default(int sig)
{
    return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

static void default_action(struct thread *t, int sig, const siginfo_t *info)
{
    if (sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT)
        return;
    if (stops_by_default(sig)) {
        platform_stop_by_signal(sig);
        return;
    }
    const struct regs *r = thread_regs(t);
    log_debug("signal %d ends the process: rip 0x%lx, rsp 0x%lx, last fault at 0x%lx", sig, r->rip,
              r->rsp, t->fault.address);
    process_killed(sig, info);
}

/* Takes a copy of the disposition and applies SA_RESETHAND. */
static struct ksigaction take_action(struct process *p, int sig)
{
    lock(&p->sig_lock);
    struct ksigaction *slot = &p->sighand.action[sig - 1], a = *slot;
    if (a.flags & SA_RESETHAND && a.handler > 1)
        slot->handler = 0;
    unlock(&p->sig_lock);
    return a;
}

static void run_handler(struct thread *t, struct regs *r, const struct ksigaction *a,
                        const siginfo_t *info)
{
    int sig = info->si_signo;
    sigmask old = t->restore_blocked ? t->saved_blocked : t->blocked;
    t->restore_blocked = false;
    settle_restart(r, a);
    if (push_frame(t, r, a, info, old)) {
        process_exit(SIGSEGV); /* no stack for the handler */
        return;
    }
    sigmask mask = t->blocked | a->mask;
    if (!(a->flags & SA_NODEFER))
        mask |= SIGBIT(sig);
    signal_set_blocked(t, mask);
}

void signal_deliver(struct thread *t, struct regs *r)
{
    siginfo_t info;
    int sig;
    work_clear(t, WORK_SIGNAL);
    while ((sig = signal_take(t, ~signal_effective_mask(t), &info))) {
        struct ksigaction a = take_action(t->process, sig);
        if (a.handler == 1)
            continue;
        if (a.handler == 0) {
            default_action(t, sig, &info);
            continue;
        }
        run_handler(t, r, &a, &info);
        break; /* the next one interrupts this handler, if its mask allows */
    }
    settle_restart(r, NULL);
    if (t->restore_blocked && !sig) {
        t->restore_blocked = false;
        signal_set_blocked(t, t->saved_blocked);
    }
    signal_recheck(t);
}

/* Sanitised so that restoring it cannot fault. */
static int pop_vector_state(struct thread *t, uint64_t at)
{
    size_t size = platform_xstate_size();
    char *area = state_buffer(t);
    struct _fpx_sw_bytes sw;
    if (!at) {
        platform_vector_reset();
        return 0;
    }
    if (copy_from_user(area, (void *)at, 512))
        return -EFAULT;
    memcpy(&sw, area + SW_RESERVED, sizeof(sw));
    uint64_t *header = (uint64_t *)(area + 512);
    bool extended =
        sw.magic1 == FP_XSTATE_MAGIC1 && sw.xstate_size >= 576 && sw.xstate_size <= size;
    memset(area + 512, 0, size - 512);
    if (extended) {
        if (copy_from_user(area + 512, (char *)at + 512, sw.xstate_size - 512))
            return -EFAULT;
        header[0] &= sw.xfeatures & platform_xstate_mask();
    } else {
        header[0] = 3; /* x87 and SSE only */
    }
    memset(header + 1, 0, 56);
    uint32_t mxcsr;
    memcpy(&mxcsr, area + 24, 4);
    if (mxcsr & ~MXCSR_BITS)
        return -EFAULT;
    platform_xstate_restore(area);
    return 0;
}

long signal_return(struct thread *t, struct regs *r)
{
    struct ucontext uc;
    uint64_t at = r->rsp - 8; /* the handler's `ret` popped pretcode */
    if (copy_from_user(&uc, (char *)at + offsetof(struct frame, uc), sizeof(uc)) ||
        pop_vector_state(t, (uint64_t)uc.uc_mcontext.fpstate)) {
        siginfo_t info = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};
        signal_force(t, &info);
        return 0;
    }
    const struct sigcontext *c = &uc.uc_mcontext;
    *r = regs_of_sigcontext(c);
    r->rflags = (c->eflags & FLAGS_USER & ~0x10000UL) | FLAGS_FIXED;
    sigmask mask;
    memcpy(&mask, &uc.uc_sigmask, sizeof(mask));
    if (!(uc.uc_stack.ss_flags & SS_ONSTACK) && uc.uc_stack.ss_size && !on_altstack(t, r->rsp))
        t->altstack = (struct sigaltstack_state){(uint64_t)uc.uc_stack.ss_sp, uc.uc_stack.ss_size,
                                                 (uint32_t)uc.uc_stack.ss_flags};
    signal_set_blocked(t, mask);
    if (r->rip >= ADDRESS_END) {
        siginfo_t info = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};
        signal_force(t, &info);
    }
    work_set(t, WORK_SIGNAL); /* all registers changed: not the quick way back */
    return (long)r->rax;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Delivery: the device builds the program's rt_sigframe itself, as arch/x86/kernel/signal.c lays it
 * out, on the program's stack; and takes it apart again when the program's rt_sigreturn traps.
 */
#include "sgxemu/emu.h"

#define RED_ZONE             128
#define SW_BYTES             464 /* offset of struct _fpx_sw_bytes in the FXSAVE area */
#define XSTATE_BV            512
#define MXCSR                24
#define MXCSR_INIT           0x1f80U
#define MXCSR_MASK           0xffffU
#define FLAGS_ON_ENTRY_CLEAR (RFLAGS_DF | RFLAGS_RF | RFLAGS_TF)
/* What rt_sigreturn may change: AC OF DF TF SF ZF AF PF CF RF. */
#define FLAGS_RESTORED (RFLAGS_ARITH | RFLAGS_AC | RFLAGS_DF | RFLAGS_TF | RFLAGS_RF)

struct rt_sigframe {
    uint64_t restorer;
    struct ucontext uc;
    siginfo_t info;
};
_Static_assert(sizeof(struct ucontext) == 304, "the kernel's ucontext");

static const struct _fpx_sw_bytes *sw_bytes(const void *fpstate)
{
    return (const void *)((const char *)fpstate + SW_BYTES);
}

static uint32_t fp_size(const void *fpstate)
{
    if (!fpstate)
        return 0;
    return sw_bytes(fpstate)->magic1 == FP_XSTATE_MAGIC1 ? sw_bytes(fpstate)->extended_size : 512;
}

bool signal_on_altstack(const struct thread *t, uint64_t sp)
{
    return !(t->altstack.flags & SS_DISABLE) && sp > t->altstack.sp &&
           sp - t->altstack.sp <= t->altstack.size;
}

/* The default action, by the kernel itself, with this very context in the core dump. */
static void die_natively(struct thread *t, struct ucontext *uc, int sig)
{
    struct action dfl = {0};
    uint64_t open = ~SIGBIT(sig);
    sys(__NR_rt_sigaction, sig, &dfl, 0, 8);
    trap_report_stats();
    sys(__NR_tkill, sys(__NR_gettid), sig);
    sys(__NR_rt_sigprocmask, SIG_SETMASK, &open, 0, 8);
    die("a fatal signal did not end the process", NULL);
}

/* Extended state at the start of a handler: initial, as the kernel gives it. */
static void init_fpstate(void *fpstate)
{
    uint8_t *fp = fpstate;
    uint32_t mxcsr = MXCSR_INIT;
    if (!fp)
        return;
    if (sw_bytes(fp)->magic1 == FP_XSTATE_MAGIC1) {
        memset(fp + XSTATE_BV, 0, 8);
    } else {
        memset(fp, 0, SW_BYTES);
        fp[0] = 0x7f, fp[1] = 0x03;
    }
    memcpy(fp + MXCSR, &mxcsr, sizeof(mxcsr));
}

static bool build(struct thread *t, struct ucontext *uc, const struct action *a,
                  const siginfo_t *info)
{
    struct sigcontext *m = &uc->uc_mcontext;
    struct rt_sigframe frame;
    uint64_t sp = m->rsp - RED_ZONE, fp = 0;
    uint32_t size = fp_size(m->fpstate);
    bool alternate = signal_on_altstack(t, m->rsp);
    if (a->flags & SA_ONSTACK && !(t->altstack.flags & SS_DISABLE) && !signal_on_altstack(t, sp)) {
        sp = t->altstack.sp + t->altstack.size;
        alternate = true;
    }
    if (size)
        fp = sp = (sp - size) & ~63ULL;
    sp = ((sp - sizeof(frame)) & ~15ULL) - 8;
    if (alternate && !signal_on_altstack(t, sp)) /* it does not fit */
        return false;
    if (size && !user_write(fp, m->fpstate, size))
        return false;
    frame.restorer = a->restorer;
    frame.uc = *uc;
    frame.uc.uc_mcontext.fpstate = (void *)fp;
    frame.uc.uc_stack = (stack_t){.ss_sp = (void *)t->altstack.sp,
                                  .ss_flags = (int)t->altstack.flags,
                                  .ss_size = t->altstack.size};
    memcpy(&frame.uc.uc_sigmask, &t->mask, 8);
    frame.info = *info;
    if (!user_write(sp, &frame, sizeof(frame)))
        return false;
    if (t->altstack.flags & SS_AUTODISARM)
        t->altstack = (struct altstack){.flags = SS_DISABLE};
    m->rdi = (uint64_t)info->si_signo;
    m->rsi = sp + offsetof(struct rt_sigframe, info);
    m->rdx = sp + offsetof(struct rt_sigframe, uc);
    m->rax = 0;
    m->rsp = sp;
    m->rip = a->handler;
    m->eflags &= ~FLAGS_ON_ENTRY_CLEAR;
    init_fpstate(m->fpstate);
    return true;
}

void signal_deliver(struct thread *t, struct ucontext *uc, siginfo_t *info)
{
    int sig = info->si_signo;
    bool synchronous = info->si_code > 0 && RESERVED_SIGNALS & SIGBIT(sig);
    lock(&t->sighand->lock);
    struct action a = t->sighand->action[sig];
    if (a.handler > 1 && a.flags & SA_RESETHAND)
        t->sighand->action[sig] = (struct action){0};
    unlock(&t->sighand->lock);
    __sync_fetch_and_add(&stats.signals, 1);
    if (RESERVED_SIGNALS & SIGBIT(sig)) {
        bool blocked = t->mask & SIGBIT(sig);
        if (blocked && !synchronous) {
            t->pending |= SIGBIT(sig);
            t->pending_info[sig] = *info;
            return;
        }
        if (a.handler == 1 && !synchronous)
            return;
        if (blocked || a.handler <= 1)
            die_natively(t, uc, sig);
    } else if (a.handler <= 1) {
        return; /* changed to default or ignore a moment ago */
    } else if (a.flags & SA_RESETHAND) {
        struct action dfl = {0};
        sys(__NR_rt_sigaction, sig, &dfl, 0, 8);
    }
    if (!build(t, uc, &a, info)) {
        if (sig == SIGSEGV)
            die_natively(t, uc, SIGSEGV);
        siginfo_t no_stack = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};
        signal_deliver(t, uc, &no_stack);
        return;
    }
    t->mask |= a.mask | (a.flags & SA_NODEFER ? 0 : SIGBIT(sig));
    set_uc_mask(uc, t->mask);
}

/* Takes the extended state of the program's frame into ours, after XRSTOR's checks. */
static bool restore_fpstate(struct ucontext *uc, uint64_t from)
{
    uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpstate;
    uint8_t head[576];
    uint32_t size = fp_size(fp), mxcsr;
    uint64_t bv, allowed;
    if (!fp)
        return true;
    if (!from) {
        init_fpstate(fp);
        return true;
    }
    bool extended = sw_bytes(fp)->magic1 == FP_XSTATE_MAGIC1;
    memset(head, 0, sizeof(head));
    if (!user_read(head, from, extended ? sizeof(head) : 512))
        return false;
    memcpy(&mxcsr, head + MXCSR, 4);
    if (mxcsr & ~MXCSR_MASK)
        return false;
    if (!extended || sw_bytes(head)->magic1 != FP_XSTATE_MAGIC1 ||
        sw_bytes(head)->extended_size != size) {
        memcpy(fp, head, SW_BYTES);
        bv = 3;
        if (extended)
            memcpy(fp + XSTATE_BV, &bv, 8);
        return true;
    }
    memcpy(&bv, head + XSTATE_BV, 8);
    allowed = sw_bytes(fp)->xfeatures;
    if (bv & ~allowed || memcmp(head + XSTATE_BV + 8, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16) != 0)
        return false;
    memcpy(fp, head, SW_BYTES);
    memcpy(fp + XSTATE_BV, head + XSTATE_BV, 64);
    return user_read(fp + 576, from + 576, size - 4 - 576);
}

void signal_deliver_pending(struct thread *t, struct ucontext *uc)
{
    for (int sig = 1; sig < 32; sig++) {
        if (t->pending & ~t->mask & SIGBIT(sig)) {
            t->pending &= ~SIGBIT(sig);
            signal_deliver(t, uc, &t->pending_info[sig]);
            return;
        }
    }
}

void signal_return(struct thread *t, struct ucontext *uc)
{
    struct sigcontext *m = &uc->uc_mcontext;
    struct ucontext user;
    if (!user_read(&user, m->rsp, sizeof(user)) ||
        !restore_fpstate(uc, (uint64_t)user.uc_mcontext.fpstate)) {
        siginfo_t info = {.si_signo = SIGSEGV, .si_code = SI_KERNEL};
        signal_deliver(t, uc, &info);
        return;
    }
    const struct sigcontext *u = &user.uc_mcontext;
    m->r8 = u->r8, m->r9 = u->r9, m->r10 = u->r10, m->r11 = u->r11;
    m->r12 = u->r12, m->r13 = u->r13, m->r14 = u->r14, m->r15 = u->r15;
    m->rdi = u->rdi, m->rsi = u->rsi, m->rbp = u->rbp, m->rbx = u->rbx;
    m->rdx = u->rdx, m->rax = u->rax, m->rcx = u->rcx, m->rsp = u->rsp;
    m->rip = u->rip;
    m->eflags = (m->eflags & ~FLAGS_RESTORED) | (u->eflags & FLAGS_RESTORED);
    memcpy(&t->mask, &user.uc_sigmask, 8);
    t->mask &= ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
    set_uc_mask(uc, t->mask);
    if (!signal_on_altstack(t, m->rsp)) {
        t->altstack = (struct altstack){.sp = (uint64_t)user.uc_stack.ss_sp,
                                        .flags = (uint32_t)user.uc_stack.ss_flags &
                                                 (SS_DISABLE | SS_AUTODISARM),
                                        .size = user.uc_stack.ss_size};
    }
    signal_deliver_pending(t, uc);
    transition_resume(t, uc);
}

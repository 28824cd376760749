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

#define RED_ZONE         128
#define FLAGS_USER       0x50dd5UL /* CF PF AF ZF SF TF DF OF RF AC: what a frame restores */
#define UC_OURS          (UC_FP_XSTATE | UC_SIGCONTEXT_SS)
#define MXCSR_INIT       0x1f80u
#define MXCSR_BITS       0xffbfu /* where the processor says nothing else */
#define MXCSR_AT         24      /* in the FXSAVE area; the mask follows */
#define STACK_LEAST      2048    /* MINSIGSTKSZ */
#define XFEATURES_FXSAVE 3UL     /* x87 and SSE */
#define XFEATURE_SSE     2UL     /* this or AVX: MXCSR is looked at */
#define XFEATURE_AVX     4UL
#define SW_RESERVED      464 /* struct _fpx_sw_bytes in the FXSAVE area */

static bool within_altstack(const struct sigaltstack_state *a, uint64_t sp)
{
    return sp > a->sp && sp - a->sp <= a->size;
}

bool altstack_holds(const struct sigaltstack_state *a, uint64_t sp)
{
    return !(a->flags & SS_AUTODISARM) && within_altstack(a, sp);
}

int altstack_set(struct sigaltstack_state *a, const stack_t *ss, uint64_t sp)
{
    uint32_t flags = (uint32_t)ss->ss_flags, mode = flags & ~SS_AUTODISARM;
    uint64_t at = (uint64_t)ss->ss_sp, size = ss->ss_size;
    if (altstack_holds(a, sp))
        return -EPERM;
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
        return -EINVAL;
    if (a->sp == at && a->size == size && a->flags == flags)
        return 0;
    if (mode == SS_DISABLE)
        at = size = 0;
    else if (size < STACK_LEAST)
        return -ENOMEM;
    *a = (struct sigaltstack_state){at, size, flags};
    return 0;
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
    uc->uc_flags = t->iret.cs == USER_CS ? UC_OURS | UC_STRICT_RESTORE_SS : UC_OURS;
    uc->uc_stack.ss_sp = (void *)t->altstack.sp;
    uc->uc_stack.ss_flags = (int)t->altstack.flags;
    uc->uc_stack.ss_size = t->altstack.size;
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
                                          .cs = (uint16_t)t->iret.cs,
                                          .ss = (uint16_t)t->iret.ss,
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
    const struct sigaltstack_state *alt = &t->altstack;
    uint64_t sp = r->rsp - RED_ZONE;
    bool bounded = altstack_holds(alt, r->rsp);
    if (a->flags & SA_ONSTACK && alt->size && !altstack_holds(alt, sp)) {
        sp = alt->sp + alt->size;
        bounded = true;
    }
    uint64_t fp = ALIGN_DOWN(sp - platform_xstate_size() - FP_XSTATE_MAGIC2_SIZE, 64);
    uint64_t at = ALIGN_DOWN(fp - sizeof(struct frame), 16) - 8;
    if (!(a->flags & SA_RESTORER) || (bounded && !within_altstack(alt, at)))
        return -EFAULT;
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
    thread_set_segments(t, USER_CS, USER_SS);
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

static void force_segv(struct thread *t)
{
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    info.si_signo = SIGSEGV;
    info.si_code = SI_KERNEL;
    signal_force(t, &info);
}

/* The handler has no stack: a SIGSEGV, for which there may be one, unless it was that already. */
static void no_frame(struct thread *t, int sig)
{
    if (sig == SIGSEGV)
        process_exit(SIGSEGV);
    else
        force_segv(t);
}

static void run_handler(struct thread *t, struct regs *r, const struct ksigaction *a,
                        const siginfo_t *info)
{
    int sig = info->si_signo;
    sigmask old = t->restore_blocked ? t->saved_blocked : t->blocked;
    t->restore_blocked = false;
    settle_restart(r, a);
    if (push_frame(t, r, a, info, old)) {
        no_frame(t, sig);
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

/* The processor's own reasons to refuse the state: XRSTOR and FXRSTOR would fault. */
static bool refused_state(const char *area, uint64_t at, bool extended, uint64_t wanted)
{
    uint64_t header[3];
    uint32_t mxcsr, mask;
    memcpy(header, area + 512, sizeof(header));
    memcpy(&mxcsr, area + MXCSR_AT, sizeof(mxcsr));
    mask = platform_mxcsr_mask();
    if (wanted & (XFEATURE_SSE | XFEATURE_AVX) && mxcsr & ~(mask ? mask : MXCSR_BITS))
        return true;
    return extended ? at & 63 || header[0] & ~platform_xstate_mask() || header[1] || header[2]
                    : at & 15;
}

/* Is there more than the FXSAVE area at `at`? As Linux looks for it; -EFAULT: not readable. */
static int state_extends(const struct _fpx_sw_bytes *sw, uint64_t at)
{
    uint32_t magic2;
    if (sw->magic1 != FP_XSTATE_MAGIC1 || sw->xstate_size < 576 ||
        sw->xstate_size > platform_xstate_size() || sw->xstate_size > sw->extended_size)
        return 0;
    if (user_load32(&magic2, (const uint32_t *)(at + sw->xstate_size)))
        return -EFAULT;
    return magic2 == FP_XSTATE_MAGIC2;
}

static int read_vector_state(char *area, uint64_t at)
{
    struct _fpx_sw_bytes sw;
    uint64_t *header = (uint64_t *)(area + 512);
    if (copy_from_user(area, (void *)at, 512))
        return -EFAULT;
    memcpy(&sw, area + SW_RESERVED, sizeof(sw));
    int extended = state_extends(&sw, at);
    size_t given = extended > 0 ? sw.xstate_size : 512;
    if (extended < 0 || copy_from_user(area + 512, (char *)at + 512, given - 512))
        return -EFAULT;
    memset(area + given, 0, platform_xstate_size() - given);
    uint64_t wanted = extended ? sw.xfeatures : XFEATURES_FXSAVE;
    if (refused_state(area, at, extended, wanted))
        return -EFAULT;
    if (!(wanted & XFEATURE_SSE)) {
        uint32_t mxcsr = MXCSR_INIT;
        memcpy(area + MXCSR_AT, &mxcsr, sizeof(mxcsr));
    }
    header[0] = extended ? header[0] & wanted : XFEATURES_FXSAVE;
    memset(header + 1, 0, 56);
    return 0;
}

static int pop_vector_state(struct thread *t, uint64_t at)
{
    char *area = state_buffer(t);
    int err = at ? read_vector_state(area, at) : 0;
    if (err || !at)
        platform_vector_reset();
    else
        platform_xstate_restore(area);
    return err;
}

/* As far as Linux comes before it finds that the frame is bad, so far it is restored. */
static int restore_frame(struct thread *t, struct regs *r)
{
    struct ucontext uc;
    sigmask mask;
    uint64_t at = r->rsp - 8; /* the handler's `ret` popped pretcode */
    if (copy_from_user(&uc, (char *)at + offsetof(struct frame, uc), sizeof(uc)))
        return -EFAULT;
    memcpy(&mask, &uc.uc_sigmask, sizeof(mask));
    signal_set_blocked(t, mask);
    altstack_set(&t->altstack, &uc.uc_stack, r->rsp); /* before Linux 6.12 it came last */
    const struct sigcontext *c = &uc.uc_mcontext;
    uint64_t kept = r->rflags & ~FLAGS_USER;
    *r = regs_of_sigcontext(c);
    r->rflags = (c->eflags & FLAGS_USER) | kept;
    bool strict = uc.uc_flags & UC_STRICT_RESTORE_SS || (c->cs | 3) != USER_CS;
    thread_set_segments(t, c->cs | 3, strict ? c->ss | 3 : USER_SS);
    return pop_vector_state(t, (uint64_t)c->fpstate);
}

long signal_return(struct thread *t, struct regs *r)
{
    int err = restore_frame(t, r);
    if (err)
        force_segv(t);
    work_set(t, WORK_SIGNAL); /* all registers changed: not the quick way back */
    return err ? 0 : (long)r->rax;
}

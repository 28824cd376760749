/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What interrupted a thread in the enclave. The processor says in EXITINFO which exception it was;
 * of what the host says nothing is believed but that something happened. Runs at CSSA 1 on the
 * handler's stack, above any code of ours, lock-free; a fault in here ends the enclave (NSSA 2).
 */
#include "host/host.h"
#include "libos/log.h"
#include "platform/common/interrupted.h"
#include "platform/platform.h"
#include "platform/sgx/sgx.h"

struct interrupted {
    struct sgx_gpr *gpr;
    const struct sgx_exinfo *exinfo;
    const uint8_t *vectors; /* XSAVE area */
};

/* In the XSAVE area (SDM vol. 1, 13.4.1). */
#define XSAVE_FCW   0
#define XSAVE_FSW   2
#define XSAVE_MXCSR 24

static struct interrupted frame_of(const struct thread *t)
{
    uintptr_t ssa = (uintptr_t)t - (ENCLAVE_BOX_PAGE - ENCLAVE_SSA_PAGE) * PAGE_SIZE;
    uintptr_t end = ssa + ENCLAVE_SSA_FRAME_PAGES * PAGE_SIZE;
    struct sgx_gpr *gpr = (struct sgx_gpr *)(end - sizeof(struct sgx_gpr));
    return (struct interrupted){gpr, (const struct sgx_exinfo *)gpr - 1, (const uint8_t *)ssa};
}

static struct sigcontext context_of(const struct sgx_gpr *g)
{
    return (struct sigcontext){.r8 = g->r8,
                               .r9 = g->r9,
                               .r10 = g->r10,
                               .r11 = g->r11,
                               .r12 = g->r12,
                               .r13 = g->r13,
                               .r14 = g->r14,
                               .r15 = g->r15,
                               .rdi = g->rdi,
                               .rsi = g->rsi,
                               .rbp = g->rbp,
                               .rbx = g->rbx,
                               .rdx = g->rdx,
                               .rax = g->rax,
                               .rcx = g->rcx,
                               .rsp = g->rsp,
                               .rip = g->rip,
                               .eflags = g->rflags,
                               .cs = USER_CS,
                               .ss = USER_SS};
}

static void go_on_with(struct sgx_gpr *g, const struct sigcontext *c)
{
    g->r8 = c->r8;
    g->r9 = c->r9;
    g->r10 = c->r10;
    g->r11 = c->r11;
    g->r12 = c->r12;
    g->r13 = c->r13;
    g->r14 = c->r14;
    g->r15 = c->r15;
    g->rdi = c->rdi;
    g->rsi = c->rsi;
    g->rbp = c->rbp;
    g->rbx = c->rbx;
    g->rdx = c->rdx;
    g->rax = c->rax;
    g->rcx = c->rcx;
    g->rsp = c->rsp;
    g->rip = c->rip;
    g->rflags = c->eflags;
}

/* Instructions that an enclave may not execute. The opcode was fetched, so it may be read. */
static bool emulate(struct thread *t, struct sigcontext *c, int *sig, siginfo_t *info)
{
    const uint8_t *code = (const uint8_t *)c->rip;
    struct sgx_cpuid answer;
    if (code[0] == 0x0f && code[1] == 0x05) { /* syscall */
        c->rip += 2;
        trap_enter_call(t, c);
        return true;
    }
    if (code[0] == 0x0f && code[1] == 0xa2) { /* cpuid */
        sgx_cpuid((uint32_t)c->rax, (uint32_t)c->rcx, &answer);
        c->rax = answer.eax;
        c->rbx = answer.ebx;
        c->rcx = answer.ecx;
        c->rdx = answer.edx;
        c->rip += 2;
        return true;
    }
    if (code[0] == 0xcd) { /* int N */
        c->rip += 2;
        trap_refuse_32bit_call(t, c);
        return true;
    }
    if (code[0] == 0xcc) { /* int3: the trap comes behind it */
        c->rip += 1;
        *sig = SIGTRAP;
        info->si_code = SI_KERNEL;
        info->si_addr = NULL;
        c->trapno = 3;
    }
    return false;
}

/* Whether something is mapped there is looked up later (entry/dispatch.c): no lock may be taken
 * here. */
static void page_fault(const struct sgx_exinfo *x, siginfo_t *info, struct sigcontext *c)
{
    c->cr2 = x->maddr;
    c->err = x->errcd & 0x7fff;
    info->si_code = SEGV_ACCERR;
    info->si_addr = (void *)x->maddr;
}

/* Which of the exceptions that are not masked it was: #MF by status and control word, #XM by MXCSR.
 */
static int float_code(const struct interrupted *in, bool simd)
{
    uint16_t fcw, fsw;
    uint32_t mxcsr;
    memcpy(&fcw, in->vectors + XSAVE_FCW, sizeof(fcw));
    memcpy(&fsw, in->vectors + XSAVE_FSW, sizeof(fsw));
    memcpy(&mxcsr, in->vectors + XSAVE_MXCSR, sizeof(mxcsr));
    uint32_t raised = simd ? mxcsr & ~(mxcsr >> 7) : fsw & ~(uint32_t)fcw;
    return raised & 0x01   ? FPE_FLTINV
           : raised & 0x04 ? FPE_FLTDIV
           : raised & 0x08 ? FPE_FLTOVF
           : raised & 0x12 ? FPE_FLTUND
           : raised & 0x20 ? FPE_FLTRES
                           : 0;
}

/* The signal for an exception that the processor reported, and what else Linux tells of it. */
static int signal_of(const struct interrupted *in, siginfo_t *info, struct sigcontext *c)
{
    uint32_t vector = in->gpr->exitinfo & 0xff;
    c->trapno = vector;
    info->si_addr = (void *)c->rip;
    switch (vector) {
    case 0:
        info->si_code = FPE_INTDIV;
        return SIGFPE;
    case 1:
        info->si_code = TRAP_HWBKPT;
        return SIGTRAP;
    case 3:
        c->rip += 1;
        info->si_code = SI_KERNEL;
        info->si_addr = NULL;
        return SIGTRAP;
    case TRAP_PROTECTION:
        info->si_addr = NULL;
        info->si_code = SI_KERNEL;
        c->err = in->exinfo->errcd & 0xffff;
        return SIGSEGV;
    case TRAP_PAGE_FAULT:
        page_fault(in->exinfo, info, c);
        return SIGSEGV;
    case 16:
    case 19:
        info->si_code = float_code(in, vector == 19);
        return SIGFPE;
    case 17:
        info->si_addr = NULL;
        info->si_code = BUS_ADRALN;
        return SIGBUS;
    default:
        info->si_code = ILL_ILLOPN;
        return SIGILL;
    }
}

static void take_exception(struct thread *t, const struct interrupted *in)
{
    struct sigcontext c = context_of(in->gpr);
    siginfo_t info;
    memset(&info, 0, sizeof(info));
    int sig = signal_of(in, &info, &c);
    bool in_app = !trap_in_libos(t, &c);
    if (sig == SIGILL && c.rip == (uintptr_t)sgx_rdtsc_insn)
        c.rip += 2; /* as it was: 0 */
    else if (!(sig == SIGILL && in_app && emulate(t, &c, &sig, &info))) {
        info.si_signo = sig;
        trap_fault(t, sig, &info, &c);
    }
    go_on_with(in->gpr, &c);
}

void sgx_take_signals(struct thread *t, uint64_t signals)
{
    const sigmask wanted = SIGBIT(SIGALRM) | SIGBIT(SIGCHLD) | SIGBIT(SIGCONT) | SIGBIT(SIGIO) |
                           SIGBIT(SIGWINCH) | SIGBIT(SIGURG) | SIGBIT(SIGVTALRM) | SIGBIT(SIGPROF) |
                           SIGBIT(SIGXFSZ);
    struct host_signal_box *box = &t->box;
    sigmask take = signals & wanted;
    if (run.manifest.image && run.manifest.image->sigterm_injection)
        take |= signals & SIGBIT(SIGTERM);
    take &= ~__atomic_load_n(&box->standard, __ATOMIC_RELAXED);
    for (int sig = 1; take >> (sig - 1); sig++) {
        if (!(take & SIGBIT(sig)))
            continue;
        memset(&box->standard_info[sig], 0, sizeof(siginfo_t));
        box->standard_info[sig].si_signo = sig;
        __atomic_fetch_or(&box->standard, SIGBIT(sig), __ATOMIC_RELEASE);
    }
    if (take)
        work_set(t, WORK_HOSTSIG);
    if (signals & SIGBIT(NOTICE_SIGNAL)) /* a kick, or the alarm clock: our own clock says */
        work_set(t, WORK_TIMER);
}

/* A page fault or #GP of which the processor tells nothing: sgx.use_exinfo is off. */
static void refuse_unknown_fault(const struct sgx_gpr *g)
{
    log_line(LOG_ERROR, NULL, 0, NULL,
             "memory fault at 0x%lx, of which the processor reports nothing: set sgx.use_exinfo = "
             "true so that the program can be told",
             (unsigned long)g->rip);
    host_exit_group(1);
}

__attribute__((used)) void sgx_event(uint64_t signal)
{
    struct thread *t;
    __asm__ volatile("rdgsbase %0" : "=r"(t));
    struct interrupted in = frame_of(t);
    bool exception = in.gpr->exitinfo & SGX_EXITINFO_VALID;
    if (t->self != t)
        return; /* the entry has not come as far as to make it a thread */
    if (unlikely(sgx_stats))
        sgx_stats_count_event(exception);
    if (exception) {
        in.gpr->exitinfo &= ~SGX_EXITINFO_VALID; /* once */
        take_exception(t, &in);
        return;
    }
    if (signal >= SGX_HOST_FAULT)
        refuse_unknown_fault(in.gpr);
    else if (signal && signal < 64)
        sgx_take_signals(t, 1UL << (signal - 1));
    if (__atomic_load_n(&t->work, __ATOMIC_SEQ_CST)) {
        struct sigcontext c = context_of(in.gpr);
        trap_redirect(t, &c);
        go_on_with(in.gpr, &c);
    }
}

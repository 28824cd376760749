/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* ENCLU on the live context of a trapped thread, AEX, and how an exception reaches the program. */
#include "sgxemu/emu.h"
#include <linux/prctl.h>

#define EXCEPTION_DB 1
#define EXCEPTION_BP 3
#define EXCEPTION_AC 17

void regs_from_uc(struct sgx_regs *r, const struct ucontext *uc)
{
    const struct sigcontext *m = &uc->uc_mcontext;
    *r = (struct sgx_regs){
        .rax = m->rax,
        .rcx = m->rcx,
        .rdx = m->rdx,
        .rbx = m->rbx,
        .rsp = m->rsp,
        .rbp = m->rbp,
        .rsi = m->rsi,
        .rdi = m->rdi,
        .r8 = m->r8,
        .r9 = m->r9,
        .r10 = m->r10,
        .r11 = m->r11,
        .r12 = m->r12,
        .r13 = m->r13,
        .r14 = m->r14,
        .r15 = m->r15,
        .rflags = m->eflags,
        .rip = m->rip,
    };
    __asm__ volatile("rdfsbase %0" : "=r"(r->fsbase));
    __asm__ volatile("rdgsbase %0" : "=r"(r->gsbase));
    const struct _fpx_sw_bytes *sw = (const void *)((const char *)m->fpstate + 464);
    if (m->fpstate && sw->magic1 == FP_XSTATE_MAGIC1)
        r->xstate = (uint8_t *)m->fpstate;
}

void regs_to_uc(struct ucontext *uc, const struct sgx_regs *r)
{
    struct sigcontext *m = &uc->uc_mcontext;
    m->rax = r->rax, m->rcx = r->rcx, m->rdx = r->rdx, m->rbx = r->rbx;
    m->rsp = r->rsp, m->rbp = r->rbp, m->rsi = r->rsi, m->rdi = r->rdi;
    m->r8 = r->r8, m->r9 = r->r9, m->r10 = r->r10, m->r11 = r->r11;
    m->r12 = r->r12, m->r13 = r->r13, m->r14 = r->r14, m->r15 = r->r15;
    m->eflags = r->rflags;
    m->rip = r->rip;
    __asm__ volatile("wrfsbase %0" : : "r"(r->fsbase));
    __asm__ volatile("wrgsbase %0" : : "r"(r->gsbase));
}

static void dispatch_on(struct thread *t)
{
    if (t->dispatch_on)
        return;
    long r =
        sys(__NR_prctl, 59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, EMU_BASE, EMU_SIZE, &t->selector);
    if (r)
        die("this kernel has no Syscall User Dispatch (Linux 5.11); enclaves cannot run here",
            NULL);
    t->dispatch_on = true;
}

/* After a leaf that changed an EPCM entry: the page table follows. */
static void sync_after(struct enclave *e, uint32_t leaf, const struct sgx_regs *r)
{
    if (leaf == SGX_EACCEPT || leaf == SGX_EMODPE || leaf == SGX_EACCEPTCOPY)
        driver_sync_page(e, r->rcx);
}

static struct sgx_fault run_leaf(struct thread *t, struct enclave *e, struct sgx_regs *r)
{
    const uint32_t leaf = (uint32_t)r->rax;
    const uint64_t page = r->rcx;
    const bool was_inside = t->cpu.in_enclave;
    /* Another leaf faults outside. The thread's slot and its view of memory belong to the enclave
     * that it entered last, which fast entries use: they change together, for an entry alone. */
    if (!was_inside && leaf != SGX_EENTER && leaf != SGX_ERESUME)
        return (struct sgx_fault){.vector = SGX_GP};
    for (;;) {
        driver_lock(e);
        bool room = was_inside || driver_enter(e, t);
        if (room) {
            t->cpu.mem = driver_memory(e);
            t->cpu.platform = platform();
        }
        struct sgx_fault fault =
            room ? sgx_enclu(&t->cpu, r) : (struct sgx_fault){.vector = SGX_GP};
        if (!fault.vector && was_inside) {
            struct sgx_regs operands = {.rcx = page};
            sync_after(e, leaf, &operands);
        }
        if (!fault.vector && leaf == SGX_EENTER)
            driver_fast_entry(e, t, &t->entry);
        if (room && !t->cpu.in_enclave)
            driver_leave(e, t);
        driver_unlock(e);
        if (!fault.vector && !was_inside && t->cpu.in_enclave)
            t->enclave = e;
        if (fault.vector != SGX_PF || fault.error & (PF_P | SGX_PF_SGX) ||
            !driver_owns(fault.address))
            return fault;
        /* The kernel would make an absent page appear and run the instruction again. */
        uint32_t error = fault.error;
        if (driver_fault(fault.address, fault.error & PF_W ? ACCESS_W : ACCESS_R, was_inside,
                         &error) != FAULT_RETRY)
            return fault;
    }
}

static void count(uint32_t leaf)
{
    volatile uint64_t *counter = leaf == SGX_EENTER    ? &stats.eenter
                                 : leaf == SGX_ERESUME ? &stats.eresume
                                 : leaf == SGX_EEXIT   ? &stats.eexit
                                                       : NULL;
    if (counter)
        __sync_fetch_and_add(counter, 1);
}

/* A one-shot timer whose signal is an "interrupt" for the enclave, after a random time. */
void transition_arm(struct thread *t)
{
    struct {
        int64_t interval_sec, interval_nsec, sec, nsec;
    } when = {0};
    uint32_t random = 0;
    if (t->timer < 0) {
        struct sigevent event = {.sigev_signo = SIGILL, .sigev_notify = SIGEV_THREAD_ID};
        event.sigev_value.sival_ptr = KICK_VALUE;
        event.sigev_notify_thread_id = (int)t->tid;
        if (sys(__NR_timer_create, 1 /* CLOCK_MONOTONIC */, &event, &t->timer)) {
            t->timer = -1; /* RLIMIT_SIGPENDING: no injection now */
            return;
        }
    }
    sys(__NR_getrandom, &random, sizeof(random), 0);
    when.nsec = 1 + (int64_t)(random % (2 * settings.inject)) * 1000;
    sys(__NR_timer_settime, t->timer, 0, &when, 0);
}

bool transition_leaf(struct thread *t, struct sgx_regs *r)
{
    return !run_leaf(t, t->enclave, r).vector;
}

/* Bytes before the ENCLU of an AEP that only set RAX to what it is, ERESUME, or do nothing. */
static unsigned resume_prefix(uint64_t rip)
{
    static const struct {
        uint8_t length, code[10];
    } known[] = {{1, {0x90}},
                 {4, {0xf3, 0x0f, 0x1e, 0xfa}},
                 {5, {0xb8, SGX_ERESUME}},
                 {6, {0xc7, 0xc0, SGX_ERESUME}},
                 {7, {0x48, 0xc7, 0xc0, SGX_ERESUME}},
                 {10, {0x48, 0xb8, SGX_ERESUME}}};
    unsigned n = 0;
    uint8_t code[10];
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && n < 32; i++) {
        if (user_read(code, rip + n, known[i].length) &&
            memcmp(code, known[i].code, known[i].length) == 0) {
            n += known[i].length;
            i = (size_t)-1;
        }
    }
    return n;
}

void transition_resume(struct thread *t, struct ucontext *uc)
{
    const struct sigcontext *m = &uc->uc_mcontext;
    uint64_t rip = m->rip;
    if (!settings.rewrite || t->cpu.in_enclave || m->rax != SGX_ERESUME || m->eflags & RFLAGS_TF)
        return;
    bool there = trap_at_enclu(rip);
    if (!there) {
        rip += resume_prefix(rip);
        const struct site *s = site_at(rip);
        there = trap_at_enclu(rip) || (s && s->form == SITE_TAIL && is_patched(s));
    }
    if (there) {
        uc->uc_mcontext.rip = rip;
        transition_enclu(t, uc, 0);
    }
}

static bool is_mapped(uint64_t page)
{
    uint8_t resident;
    return sys(__NR_mincore, page, 4096, &resident) == 0;
}

void transition_enclu(struct thread *t, struct ucontext *uc, unsigned prefixes)
{
    struct sgx_regs r;
    regs_from_uc(&r, uc);
    const uint32_t leaf = (uint32_t)r.rax;
    if (!t->cpu.in_enclave) /* not in the stub: a fault, and EENTER's RCX, are the program's */
        r.rip = uc->uc_mcontext.rip = fast_original(r.rip);
    const uint64_t rip = r.rip;
    r.rip += prefixes;
    struct enclave *e = t->cpu.in_enclave ? t->enclave : driver_enclave_at(r.rbx);
    struct sgx_fault fault = {.vector = SGX_GP};
    if (e) {
        fault = run_leaf(t, e, &r);
    } else if ((leaf == SGX_EENTER || leaf == SGX_ERESUME) && !(r.rbx & 0xfff) &&
               sgx_canonical(r.rbx)) {
        fault = (struct sgx_fault){.vector = SGX_PF, .error = PF_U, .address = r.rbx};
        if (is_mapped(r.rbx)) /* but not EPC */
            fault.error |= PF_P | SGX_PF_SGX;
    }
    if (!fault.vector) {
        count(leaf);
        if (!prefixes)
            fast_consider(t, rip, leaf);
        if (t->cpu.in_enclave) {
            dispatch_on(t);
            if (settings.inject && (leaf == SGX_EENTER || leaf == SGX_ERESUME))
                transition_arm(t);
        }
        if (leaf == SGX_EEXIT)
            r.rip = fast_exit_target(r.rip);
        regs_to_uc(uc, &r);
        return;
    }
    struct sgx_event event = {
        .vector = (int)fault.vector, .error = fault.error, .address = fault.address & ~0xfffULL};
    if (t->cpu.in_enclave)
        transition_aex(t, uc, &event);
    transition_raise(t, uc, event.vector, event.error, fault.address, NULL);
}

void transition_aex(struct thread *t, struct ucontext *uc, const struct sgx_event *event)
{
    struct sgx_regs r;
    uc->uc_mcontext.rip = fast_original(uc->uc_mcontext.rip);
    regs_from_uc(&r, uc);
    __sync_fetch_and_add(&stats.aex, 1);
    driver_lock(t->enclave);
    bool ok = sgx_aex(&t->cpu, &r, event);
    if (ok)
        driver_leave(t->enclave, t);
    driver_unlock(t->enclave);
    if (!ok)
        die("the TCS of a running enclave thread is damaged: the program has written to the "
            "device's own memory or to an enclave's descriptor",
            NULL);
    regs_to_uc(uc, &r);
}

/* The vDSO's function reports exceptions in registers instead of a signal. */
static bool fixup(struct ucontext *uc, int vector, uint32_t error, uint64_t address)
{
    struct sigcontext *m = &uc->uc_mcontext;
    if (!settings.vdso_enclu || m->rip != settings.vdso_enclu || vector == EXCEPTION_DB ||
        vector == EXCEPTION_BP)
        return false;
    m->rdi = (uint64_t)vector;
    m->rsi = error;
    m->rdx = address;
    m->rip = settings.vdso_handler;
    return true;
}

static void fill_info(siginfo_t *info, int vector, uint32_t error, uint64_t address, uint64_t rip)
{
    memset(info, 0, sizeof(*info));
    switch (vector) {
    case 0:
        info->si_signo = SIGFPE, info->si_code = FPE_INTDIV, info->si_addr = (void *)rip;
        return;
    case EXCEPTION_DB:
        info->si_signo = SIGTRAP, info->si_code = TRAP_TRACE, info->si_addr = (void *)rip;
        return;
    case SGX_UD:
        info->si_signo = SIGILL, info->si_code = ILL_ILLOPN, info->si_addr = (void *)rip;
        return;
    case SGX_PF:
        info->si_signo = SIGSEGV;
        info->si_code = error & PF_P ? SEGV_ACCERR : SEGV_MAPERR;
        info->si_addr = (void *)address;
        return;
    case 16:
    case 19: /* the synthetic control words report no single cause */
        info->si_signo = SIGFPE, info->si_code = FPE_FLTINV, info->si_addr = (void *)rip;
        return;
    case EXCEPTION_AC:
        info->si_signo = SIGBUS, info->si_code = BUS_ADRALN;
        return;
    default:
        info->si_signo = SIGSEGV, info->si_code = SI_KERNEL;
        return;
    }
}

void transition_raise(struct thread *t, struct ucontext *uc, int vector, uint32_t error,
                      uint64_t address, siginfo_t *given)
{
    siginfo_t info;
    if (fixup(uc, vector, error, address))
        return;
    fill_info(&info, vector, error, address, uc->uc_mcontext.rip);
    uc->uc_mcontext.trapno = (uint64_t)vector;
    uc->uc_mcontext.err = error;
    if (vector == SGX_PF)
        uc->uc_mcontext.cr2 = address;
    signal_deliver(t, uc, given ? given : &info);
}

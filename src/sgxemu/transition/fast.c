/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Fast leaves: who the thread is, the leaves themselves, and what signals do to them. See fast.h.
 */
#include "sgxemu/emu.h"
#include <asm/ldt.h>
#include <linux/membarrier.h>
#include <linux/mman.h>

#define USER_CS    0x33
#define USER_SS    0x2b
#define MAX_NUMBER 8192 /* of descriptors in an LDT */

_Static_assert(THREAD_REGION == 1ULL << FAST_SHIFT, "stubs find regions by their number");
_Static_assert(offsetof(struct thread, fast) == 0, "the record is the region's first");
extern char fast_trampoline[], fast_final[], fast_deferred[], fast_end[];
void fast_transition(struct fast_record *r);

/* ------------------------------------------------------------ thread identity */

static emu_lock ldt_lock, landing_lock;
static uint8_t installed[MAX_NUMBER / 8]; /* descriptors that exist; they are all alike */

static void set_es(uint32_t selector)
{
    __asm__ volatile("mov %0, %%es" : : "r"(selector));
}

/* Gives the calling thread its number: ES holds a selector of the local table, and a segment
 * register that 64-bit code has no other use for is the thread's own. False: the stubs will find
 * no number and leave everything to the trap. */
static bool identify(struct thread *t)
{
    const uint64_t number = ((uint64_t)t - EMU_HEAP) >> FAST_SHIFT;
    bool ok = false;
    if (number < MAX_NUMBER) {
        lock(&ldt_lock);
        ok = installed[number / 8] >> number % 8 & 1;
        if (!ok) {
            struct user_desc d = {.entry_number = (unsigned)number, .seg_32bit = 1, .useable = 1};
            ok = (int)sys(__NR_modify_ldt, 0x11, &d, sizeof(d)) == 0;
            if (ok)
                installed[number / 8] |= (uint8_t)(1 << number % 8);
        }
        unlock(&ldt_lock);
    }
    set_es(ok ? (uint32_t)number << 3 | 7 : 0);
    return ok;
}

/* At a thread's first slow leaf. */
bool fast_ready(struct thread *t)
{
    static volatile uint32_t registered, impossible;
    if (!settings.rewrite || impossible)
        return false;
    if (!registered) {
        if (sys(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0)) {
            impossible = 1;
            return false;
        }
        registered = 1;
    }
    if (!t->fast_ok)
        t->fast_ok = identify(t);
    return t->fast_ok;
}

/* A new thread has its maker's ES. */
void fast_thread_start(struct thread *t)
{
    t->fast_ok = identify(t);
}

void fast_after_fork(void)
{
    ldt_lock = 0;
    landing_lock = 0;
    sites_after_fork();
}

/* ------------------------------------------------------------ the transition */

/* The ENCLU itself, which traps. */
GENERAL_REGS static void decline(struct fast_record *r)
{
    r->how = 0;
    r->rax = r->leaf;
    r->rip = r->enclu;
    r->iret_rsp = r->rsp;
}

GENERAL_REGS static bool fast_eenter(struct thread *t, struct fast_record *r)
{
    struct fast_entry *f = &t->entry;
    if (t->cpu.in_enclave || f->tcs_address != r->rbx || !f->tcs_address ||
        f->generation != *f->generation_now || r->rflags & (RFLAGS_TF | RFLAGS_DF | RFLAGS_AC) ||
        !sgx_canonical(r->rcx))
        return false;
    struct sgx_tcs *tcs = f->tcs;
    if (!sgx_tcs_claim(tcs))
        return false;
    /* From here on nobody else uses this TCS; EMODT and its kin come with an "IPI". */
    *f->inside = 1;
    t->cpu.entry_epoch = sgx_track_enter(f->state);
    const uint32_t cssa = tcs->cssa;
    if (cssa >= FAST_FRAMES || !f->landing[cssa] || f->generation != *f->generation_now) {
        sgx_track_leave(f->state, t->cpu.entry_epoch);
        *f->inside = 0;
        sgx_tcs_release(tcs);
        return false;
    }
    tcs->aep = r->rcx;
    struct sgx_gpr *gpr = (struct sgx_gpr *)((uint8_t *)f->gpr + cssa * f->frame_size);
    gpr->ursp = r->rsp;
    gpr->urbp = r->rbp;
    __asm__ volatile("rdfsbase %0" : "=r"(t->cpu.saved_fsbase));
    __asm__ volatile("rdgsbase %0" : "=r"(t->cpu.saved_gsbase));
    t->cpu.saved_tf = false;
    t->cpu.tcs = f->tcs_address;
    t->cpu.in_enclave = true;
    t->selector = 1;
    r->how = FAST_EENTER;
    r->landing = f->landing[cssa];
    r->rax = cssa;
    r->rcx = (sites_in_program ? fast_original(r->enclu) : r->enclu) + ENCL_INSN_LEN;
    r->rip = f->target;
    r->iret_rsp = r->rsp;
    __asm__ volatile("wrfsbase %0" : : "r"(f->fsbase));
    __asm__ volatile("wrgsbase %0" : : "r"(f->gsbase));
    t->fast_enters++;
    return true;
}

/* Where EEXIT to `target` goes: behind an ENCLU under a jump, to the copy of what was there. */
GENERAL_REGS uint64_t fast_exit_target(uint64_t target)
{
    const struct site *s = site_at(target - ENCL_INSN_LEN);
    uint64_t copy = s && is_patched(s) ? stub_copy(s, target) : 0;
    return copy ? copy : target;
}

GENERAL_REGS static bool fast_eexit(struct thread *t, struct fast_record *r)
{
    struct fast_entry *f = &t->entry;
    if (!t->cpu.in_enclave || f->tcs_address != t->cpu.tcs || !sgx_canonical(r->rbx) ||
        t->cpu.saved_tf || r->rflags & (RFLAGS_TF | RFLAGS_DF | RFLAGS_AC))
        return false;
    r->how = FAST_EEXIT;
    r->rax = r->leaf;
    r->rcx = f->tcs->aep;
    r->rip = sites_in_program ? fast_exit_target(r->rbx) : r->rbx;
    r->iret_rsp = r->rsp;
    t->selector = 0;
    t->cpu.in_enclave = false;
    sgx_track_leave(f->state, t->cpu.entry_epoch);
    *f->inside = 0;
    sgx_tcs_release(f->tcs);
    __asm__ volatile("wrfsbase %0" : : "r"(t->cpu.saved_fsbase));
    __asm__ volatile("wrgsbase %0" : : "r"(t->cpu.saved_gsbase));
    return true;
}

GENERAL_REGS static void save_vectors(uint8_t *area)
{
    const uint32_t mask = settings.vectors;
    memset(area + 512, 0, 64);
    if (settings.xsavec)
        __asm__ volatile("xsavec64 (%0)" : : "r"(area), "a"(mask), "d"(0) : "memory");
    else
        __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(mask), "d"(0) : "memory");
}

GENERAL_REGS static void restore_vectors(const uint8_t *area)
{
    __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(settings.vectors), "d"(0) : "memory");
}

/* Leaves that stay inside; a fault is left to the trap, which finds nothing changed. */
GENERAL_REGS static bool fast_leaf(struct thread *t, struct fast_record *r)
{
    if (!t->cpu.in_enclave || r->rflags & (RFLAGS_TF | RFLAGS_AC))
        return false;
    struct sgx_regs regs = {.rax = r->leaf,
                            .rbx = r->rbx,
                            .rcx = r->rcx,
                            .rdx = r->rdx,
                            .rflags = r->rflags,
                            .rip = r->enclu};
    save_vectors(r->vectors);
    bool ok = transition_leaf(t, &regs);
    restore_vectors(r->vectors);
    if (!ok)
        return false;
    r->how = 0;
    r->rax = regs.rax;
    r->rflags = regs.rflags;
    r->rip = r->enclu + ENCL_INSN_LEN;
    r->iret_rsp = r->rsp;
    t->fast_leaves++;
    return true;
}

GENERAL_REGS void fast_transition(struct fast_record *r)
{
    struct thread *t = (struct thread *)r;
    r->cs = USER_CS;
    r->ss = USER_SS;
    bool done = r->leaf == SGX_EENTER  ? fast_eenter(t, r)
                : r->leaf == SGX_EEXIT ? fast_eexit(t, r)
                                       : fast_leaf(t, r);
    if (!done)
        decline(r);
}

/* ------------------------------------------------------------ landings */

#define LANDING_SIZE 32
#define LANDINGS     2048

static uint8_t *landings;
static volatile uint32_t landing_count;

static bool in_landing(uint64_t rip)
{
    return landings && rip - (uint64_t)landings < LANDING_SIZE * LANDINGS;
}

/* `mov $cssa,%eax; jmp *target(%rip)`: where a fast EENTER leaves the trampoline. 0: no room. */
uint64_t fast_landing(uint64_t target, uint32_t cssa)
{
    const uint8_t code[11] = {0xb8, (uint8_t)cssa, 0, 0, 0, 0xff, 0x25, 0, 0, 0, 0};
    uint8_t *found = NULL;
    if (!settings.rewrite)
        return 0;
    lock(&landing_lock);
    if (!landings) {
        landings = emu_map(LANDING_SIZE * LANDINGS, 4096);
        sys(__NR_mprotect, landings, LANDING_SIZE * LANDINGS, PROT_READ | PROT_WRITE | PROT_EXEC);
    }
    for (uint32_t i = 0; i < landing_count && !found; i++) {
        const uint8_t *l = landings + i * LANDING_SIZE;
        if (memcmp(l + 11, &target, 8) == 0 && memcmp(l, code, sizeof(code)) == 0)
            found = landings + i * LANDING_SIZE;
    }
    if (!found && landing_count < LANDINGS) {
        found = landings + landing_count++ * LANDING_SIZE;
        memcpy(found, code, sizeof(code));
        memcpy(found + 11, &target, 8);
    }
    unlock(&landing_lock);
    return (uint64_t)found;
}

/* ------------------------------------------------------------ signals */

static void complete(struct thread *t, struct ucontext *uc)
{
    struct sigcontext *m = &uc->uc_mcontext;
    const struct fast_record *r = &t->fast;
    m->rax = r->rax, m->rbx = r->rbx, m->rcx = r->rcx, m->rdx = r->rdx;
    m->rsi = r->rsi, m->rdi = r->rdi, m->rbp = r->rbp, m->rsp = r->iret_rsp;
    m->r8 = r->r8, m->r9 = r->r9, m->r10 = r->r10, m->r11 = r->r11;
    m->r12 = r->r12, m->r13 = r->r13, m->r14 = r->r14, m->r15 = r->r15;
    m->rip = r->rip;
    m->eflags = r->rflags;
    t->fast.busy = 0;
    t->fast.deferred = 0;
}

static void keep(struct thread *t, int sig, const siginfo_t *info)
{
    if (RESERVED_SIGNALS & SIGBIT(sig)) {
        t->kept_reserved |= SIGBIT(sig);
        t->kept_info[sig] = *info;
    } else {
        t->kept_signal = sig;
        t->kept = *info;
    }
    t->fast.deferred = 1;
}

/* Nothing has happened yet: as if the thread were before its ENCLU. */
static void roll_back(struct thread *t, struct sigcontext *m)
{
    const struct site *s;
    if (m->rip == (uint64_t)fast_trampoline) {
        m->rcx = t->fast.rcx;
        m->rax = t->fast.leaf;
        m->rip = t->fast.enclu;
        if ((s = site_before(m->rip)) || (s = site_of_stub(m->rip)))
            m->rip = s->address; /* on the fast way again */
    } else if ((s = site_of_stub(m->rip))) {
        struct fast_where w = stub_unwind(s, m->rip);
        if (w.rcx_in_record)
            m->rcx = t->fast.rcx;
        if (w.rax_is_leaf)
            m->rax = w.leaf;
        m->rip = w.rip;
    }
}

/* Before anything else looks at a signal's context. */
enum fast_outcome fast_interrupted(struct thread *t, struct ucontext *uc, int sig,
                                   const siginfo_t *info)
{
    struct sigcontext *m = &uc->uc_mcontext;
    const uint64_t rip = m->rip;
    if ((sig == SIGTRAP || sig == SIGILL) && info->si_code > 0) {
        const bool int3 = m->trapno == 3;
        if (int3 && rip == (uint64_t)fast_deferred) {
            complete(t, uc);
            return FAST_COMPLETED;
        }
        if ((int3 || sig == SIGILL) && fast_redirect(t, m, int3))
            return FAST_DONE;
    }
    if ((rip >= (uint64_t)fast_final && rip < (uint64_t)fast_end) || in_landing(rip)) {
        complete(t, uc);
        return FAST_NONE;
    }
    if (t->fast.busy && (sig == SIGSEGV || sig == SIGBUS) && info->si_code > 0)
        return FAST_NONE; /* an access of the device itself */
    if (t->fast.busy) {
        keep(t, sig, info);
        return FAST_DEFER;
    }
    const bool fault = info->si_code > 0 && (sig == SIGILL || sig == SIGSEGV || sig == SIGBUS);
    if (!fault || !trap_at_enclu(rip)) /* the stub's own ENCLU has trapped */
        roll_back(t, m);
    return FAST_NONE;
}

GENERAL_REGS uint64_t fast_original(uint64_t rip)
{
    const struct site *s = site_of_stub(rip);
    return s ? stub_original(s, rip) : rip;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* EENTER, EEXIT, ERESUME, EDECCSSA and the asynchronous exit. */
#include "sgxemu/core/internal.h"

#define XSAVE_LEGACY    512
#define XSAVE_HEADER    64
#define XSAVE_SW_BYTES  464 /* from here to 512 is software's, never written by XSAVE */
#define FCW_INIT        0x037f
#define FCW_AFTER_MF    0x037e
#define FSW_AFTER_MF    0x8081
#define MXCSR_OFFSET    24
#define MXCSR_SYNTHETIC 0x1fb0U
#define MXCSR_AFTER_XM  0x1f01U
#define MXCSR_MASK      0xffffU
#define RESUMABLE_FLAGS (RFLAGS_ARITH | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC | RFLAGS_ID | RFLAGS_RF)

static struct sgx_fault check_tcs(struct sgx_cpu *cpu, const struct sgx_regs *regs,
                                  struct epc_page *page)
{
    const uint64_t la = regs->rbx;
    bool present;
    if (la & PAGE_MASK || !sgx_canonical(la))
        return gp();
    uint32_t error = cpu->mem->walk(cpu->mem, la, ACCESS_R | ACCESS_W, true, &present, page);
    if (!present)
        return pf(la, error);
    if (!page->epcm)
        return epcm_pf(la, ACCESS_R | ACCESS_W);
    if (!sgx_canonical(regs->rcx))
        return gp();
    const struct epcm *e = page->epcm;
    if (!e->valid || e->state & (EPCM_BLOCKED | EPCM_PENDING | EPCM_MODIFIED) ||
        e->enclave_address != la || e->type != SGX_PT_TCS)
        return epcm_pf(la, ACCESS_R | ACCESS_W);
    return ok();
}

/* The checks on TCS and SECS content that EENTER and ERESUME share. */
static bool entry_legal(const struct sgx_cpu *cpu, const struct sgx_tcs *tcs,
                        const struct sgx_secs *secs, const struct secs_state *state)
{
    bool notify = tcs->flags & SGX_TCS_AEXNOTIFY;
    bool secs_notify = secs->attributes.flags & SGX_FLAG_AEXNOTIFY;
    if (tcs->ossa & PAGE_MASK || tcs->ofsbase & PAGE_MASK || tcs->ogsbase & PAGE_MASK)
        return false;
    if (tcs->flags & ~(SGX_TCS_DBGOPTIN | SGX_TCS_AEXNOTIFY))
        return false;
    if (!state->initialized || !(secs->attributes.flags & SGX_FLAG_MODE64BIT))
        return false;
    if (secs->attributes.xfrm & ~cpu->xcr0)
        return false;
    return (tcs->flags & SGX_TCS_DBGOPTIN) || notify == secs_notify;
}

static void set_active(struct sgx_cpu *cpu, struct sgx_tcs *tcs, const struct sgx_secs *secs,
                       struct secs_state *state, uint32_t handle, const struct sgx_regs *regs)
{
    tcs->aep = regs->rcx;
    cpu->in_enclave = true;
    cpu->secs = handle;
    cpu->entry_epoch = sgx_track_enter(state);
    cpu->tcs = regs->rbx;
    cpu->base = secs->base;
    cpu->size = secs->size;
    cpu->saved_fsbase = regs->fsbase;
    cpu->saved_gsbase = regs->gsbase;
    cpu->saved_tf = regs->rflags & RFLAGS_TF;
}

static void set_inactive(struct sgx_cpu *cpu, struct sgx_tcs *tcs, struct secs_state *state)
{
    cpu->in_enclave = false;
    sgx_track_leave(state, cpu->entry_epoch);
    sgx_tcs_release(tcs);
}

/* Entry at TCS.OENTRY with the frame CSSA: EENTER, and ERESUME that delivers an AEX notification.
 */
static void enter_at_oentry(struct sgx_cpu *cpu, struct sgx_regs *regs, const struct sgx_tcs *tcs,
                            const struct sgx_secs *secs, uint64_t next_rip)
{
    regs->rax = tcs->cssa;
    regs->rcx = next_rip;
    regs->rip = secs->base + tcs->oentry;
    regs->fsbase = secs->base + tcs->ofsbase;
    regs->gsbase = secs->base + tcs->ogsbase;
    if (!(tcs->flags & SGX_TCS_DBGOPTIN))
        regs->rflags &= ~RFLAGS_TF;
}

static void write_ursp(struct sgx_cpu *cpu, const struct ssa_frame *frame,
                       const struct sgx_regs *regs)
{
    uint64_t outside[2] = {regs->rsp, regs->rbp}, fault;
    cpu->mem->write(cpu->mem, frame->gpr + offsetof(struct sgx_gpr, ursp), outside, sizeof(outside),
                    &fault);
}

static bool entry_addresses_canonical(const struct sgx_tcs *tcs, const struct sgx_secs *secs)
{
    return sgx_canonical(secs->base + tcs->oentry) && sgx_canonical(secs->base + tcs->ofsbase) &&
           sgx_canonical(secs->base + tcs->ogsbase);
}

struct sgx_fault leaf_eenter(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct epc_page page;
    struct secs_state *state;
    struct ssa_frame frame;
    struct sgx_fault f = check_tcs(cpu, regs, &page);
    if (f.vector)
        return f;
    struct sgx_tcs *tcs = (struct sgx_tcs *)page.data;
    struct sgx_secs *secs = sgx_secs_of(cpu, page.epcm->secs, &state);
    if (!entry_legal(cpu, tcs, secs, state) || tcs->cssa >= tcs->nssa)
        return gp();
    if ((f = check_ssa(cpu, secs, page.epcm->secs, tcs, tcs->cssa, &frame)).vector)
        return f;
    if (!entry_addresses_canonical(tcs, secs) || !sgx_tcs_claim(tcs))
        return gp();
    set_active(cpu, tcs, secs, state, page.epcm->secs, regs);
    write_ursp(cpu, &frame, regs);
    enter_at_oentry(cpu, regs, tcs, secs, regs->rip + ENCL_INSN_LEN);
    return ok();
}

/* The TCS page of the running thread; it cannot have changed its place since entry. */
static struct sgx_tcs *active_tcs(struct sgx_cpu *cpu)
{
    struct epc_page page;
    bool present;
    cpu->mem->walk(cpu->mem, cpu->tcs, 0, false, &present, &page);
    return present && page.epcm ? (struct sgx_tcs *)page.data : NULL;
}

struct sgx_fault leaf_eexit(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct secs_state *state;
    if (!sgx_canonical(regs->rbx))
        return gp();
    struct sgx_tcs *tcs = active_tcs(cpu);
    if (!tcs)
        return gp();
    sgx_secs_of(cpu, cpu->secs, &state);
    regs->rip = regs->rbx;
    regs->rcx = tcs->aep;
    regs->fsbase = cpu->saved_fsbase;
    regs->gsbase = cpu->saved_gsbase;
    if (!(tcs->flags & SGX_TCS_DBGOPTIN))
        regs->rflags = (regs->rflags & ~RFLAGS_TF) | (cpu->saved_tf ? RFLAGS_TF : 0);
    set_inactive(cpu, tcs, state);
    return ok();
}

/* XRSTOR's own checks, then the components of XFRM from the frame into the live area. */
static struct sgx_fault restore_xstate(struct sgx_cpu *cpu, const struct sgx_secs *secs,
                                       const struct ssa_frame *frame, struct sgx_regs *regs)
{
    const uint64_t xfrm = secs->attributes.xfrm;
    const struct sgx_xsave_layout *layout = &cpu->platform->xsave;
    uint8_t head[XSAVE_LEGACY + XSAVE_HEADER];
    uint64_t bv, fault;
    uint32_t mxcsr;
    if (cpu->mem->read(cpu->mem, frame->xsave, head, sizeof(head), &fault))
        return pf(fault, 0);
    copy(&bv, head + XSAVE_LEGACY, sizeof(bv));
    copy(&mxcsr, head + MXCSR_OFFSET, sizeof(mxcsr));
    if (bv & ~xfrm || !all_zero(head + XSAVE_LEGACY + 8, 16) || mxcsr & ~MXCSR_MASK)
        return gp();
    if (!regs->xstate)
        return ok();
    copy(regs->xstate, head, XSAVE_SW_BYTES);
    for (unsigned i = 2; i < 64; i++) {
        if ((xfrm & bv) >> i & 1 &&
            cpu->mem->read(cpu->mem, frame->xsave + layout->offset[i],
                           regs->xstate + layout->offset[i], layout->size[i], &fault))
            return pf(fault, 0);
    }
    uint64_t live;
    copy(&live, regs->xstate + XSAVE_LEGACY, sizeof(live));
    live = (live & ~xfrm) | bv;
    copy(regs->xstate + XSAVE_LEGACY, &live, sizeof(live));
    return ok();
}

static void load_gpr(struct sgx_regs *regs, const struct sgx_gpr *g, bool optin)
{
    uint64_t keep = RESUMABLE_FLAGS | (optin ? RFLAGS_TF : 0);
    regs->rax = g->rax, regs->rcx = g->rcx, regs->rdx = g->rdx, regs->rbx = g->rbx;
    regs->rsp = g->rsp, regs->rbp = g->rbp, regs->rsi = g->rsi, regs->rdi = g->rdi;
    regs->r8 = g->r8, regs->r9 = g->r9, regs->r10 = g->r10, regs->r11 = g->r11;
    regs->r12 = g->r12, regs->r13 = g->r13, regs->r14 = g->r14, regs->r15 = g->r15;
    regs->rflags = (regs->rflags & ~keep & ~RFLAGS_TF) | (g->rflags & keep);
    regs->rip = g->rip;
    regs->fsbase = g->fsbase;
    regs->gsbase = g->gsbase;
}

/* ERESUME that delivers an AEX notification: an entry on the next frame. */
static struct sgx_fault resume_notified(struct sgx_cpu *cpu, struct sgx_regs *regs,
                                        const struct epc_page *page, struct sgx_tcs *tcs,
                                        struct sgx_secs *secs, struct secs_state *state)
{
    struct ssa_frame next;
    if (tcs->cssa >= tcs->nssa)
        return gp();
    struct sgx_fault f = check_ssa(cpu, secs, page->epcm->secs, tcs, tcs->cssa, &next);
    if (f.vector)
        return f;
    if (!entry_addresses_canonical(tcs, secs) || !sgx_tcs_claim(tcs))
        return gp();
    set_active(cpu, tcs, secs, state, page->epcm->secs, regs);
    write_ursp(cpu, &next, regs);
    enter_at_oentry(cpu, regs, tcs, secs, regs->rip + ENCL_INSN_LEN);
    return ok();
}

struct sgx_fault leaf_eresume(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct epc_page page;
    struct secs_state *state;
    struct ssa_frame frame;
    struct sgx_gpr gpr;
    uint64_t fault;
    struct sgx_fault f = check_tcs(cpu, regs, &page);
    if (f.vector)
        return f;
    struct sgx_tcs *tcs = (struct sgx_tcs *)page.data;
    struct sgx_secs *secs = sgx_secs_of(cpu, page.epcm->secs, &state);
    if (!entry_legal(cpu, tcs, secs, state) || tcs->cssa == 0)
        return gp();
    if ((f = check_ssa(cpu, secs, page.epcm->secs, tcs, tcs->cssa - 1, &frame)).vector)
        return f;
    if (cpu->mem->read(cpu->mem, frame.gpr, &gpr, sizeof(gpr), &fault))
        return pf(fault, 0);
    if (tcs->flags & SGX_TCS_AEXNOTIFY && gpr.aexnotify & 1)
        return resume_notified(cpu, regs, &page, tcs, secs, state);
    if (!sgx_canonical(gpr.rip) || !sgx_canonical(gpr.fsbase) || !sgx_canonical(gpr.gsbase) ||
        !sgx_tcs_claim(tcs))
        return gp();
    if ((f = restore_xstate(cpu, secs, &frame, regs)).vector) {
        sgx_tcs_release(tcs);
        return f;
    }
    set_active(cpu, tcs, secs, state, page.epcm->secs, regs);
    tcs->cssa--;
    /* URSP and URBP belong to this entry, whatever the interrupted one had. */
    write_ursp(cpu, &frame, regs);
    load_gpr(regs, &gpr, tcs->flags & SGX_TCS_DBGOPTIN);
    return ok();
}

struct sgx_fault leaf_edeccssa(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct ssa_frame frame;
    struct sgx_tcs *tcs = active_tcs(cpu);
    if (!tcs || tcs->cssa == 0)
        return gp();
    struct sgx_secs *secs = sgx_secs_of(cpu, cpu->secs, NULL);
    struct sgx_fault f = check_ssa(cpu, secs, cpu->secs, tcs, tcs->cssa - 1, &frame);
    if (f.vector)
        return f;
    tcs->cssa--;
    return ok();
}

/* EXITINFO of an event: 0 for one that enclaves are not told of. */
static uint32_t exitinfo(const struct sgx_secs *secs, const struct sgx_event *event)
{
    const uint64_t always = 1ULL << 0 | 1ULL << 1 | 1ULL << 3 | 1ULL << 5 | 1ULL << 6 | 1ULL << 16 |
                            1ULL << 17 | 1ULL << 19;
    const uint64_t with_exinfo = 1ULL << SGX_GP | 1ULL << SGX_PF;
    uint64_t reported = always;
    if (secs->miscselect & SGX_MISC_EXINFO)
        reported |= with_exinfo;
    if (secs->miscselect & SGX_MISC_CPINFO)
        reported |= 1ULL << 21;
    if (event->vector < 0 || event->vector > 31 || !(reported >> event->vector & 1))
        return 0;
    return (uint32_t)event->vector | SGX_EXITINFO_VALID |
           (event->software ? SGX_EXITINFO_SOFTWARE : SGX_EXITINFO_HARDWARE);
}

static bool save_xstate(struct sgx_cpu *cpu, const struct sgx_secs *secs,
                        const struct ssa_frame *frame, const uint8_t *xstate)
{
    const uint64_t xfrm = secs->attributes.xfrm;
    const struct sgx_xsave_layout *layout = &cpu->platform->xsave;
    uint64_t bv, fault;
    copy(&bv, xstate + XSAVE_LEGACY, sizeof(bv));
    uint64_t saved_bv = bv & xfrm;
    if (cpu->mem->write(cpu->mem, frame->xsave, xstate, XSAVE_SW_BYTES, &fault) ||
        cpu->mem->write(cpu->mem, frame->xsave + XSAVE_LEGACY, &saved_bv, 8, &fault))
        return false;
    for (unsigned i = 2; i < 64; i++) {
        if ((xfrm & bv) >> i & 1 &&
            cpu->mem->write(cpu->mem, frame->xsave + layout->offset[i], xstate + layout->offset[i],
                            layout->size[i], &fault))
            return false;
    }
    return true;
}

/* The components of XFRM go to their initial state; x87 and MXCSR as the manual says. */
static void synthetic_xstate(uint8_t *xstate, uint64_t xfrm, int vector)
{
    uint64_t bv;
    uint16_t fcw = FCW_INIT, fsw = 0;
    uint32_t mxcsr = vector == 19 ? MXCSR_AFTER_XM : MXCSR_SYNTHETIC;
    copy(&bv, xstate + XSAVE_LEGACY, sizeof(bv));
    bv &= ~xfrm;
    if (vector == 16) {
        fcw = FCW_AFTER_MF;
        fsw = FSW_AFTER_MF;
        __builtin_memset(xstate, 0, 160); /* x87 registers and control, the MXCSR follows */
        bv |= SGX_XFRM_X87;
    }
    copy(xstate, &fcw, sizeof(fcw));
    copy(xstate + 2, &fsw, sizeof(fsw));
    copy(xstate + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
    copy(xstate + XSAVE_LEGACY, &bv, sizeof(bv));
}

static void store_gpr(struct sgx_gpr *g, const struct sgx_regs *regs)
{
    g->rax = regs->rax, g->rcx = regs->rcx, g->rdx = regs->rdx, g->rbx = regs->rbx;
    g->rsp = regs->rsp, g->rbp = regs->rbp, g->rsi = regs->rsi, g->rdi = regs->rdi;
    g->r8 = regs->r8, g->r9 = regs->r9, g->r10 = regs->r10, g->r11 = regs->r11;
    g->r12 = regs->r12, g->r13 = regs->r13, g->r14 = regs->r14, g->r15 = regs->r15;
    g->rflags = regs->rflags;
    g->rip = regs->rip;
    g->fsbase = regs->fsbase;
    g->gsbase = regs->gsbase;
}

static void synthetic_gpr(struct sgx_cpu *cpu, struct sgx_regs *regs, const struct sgx_tcs *tcs,
                          const struct sgx_gpr *saved)
{
    uint64_t rflags = regs->rflags & ~(RFLAGS_ARITH | RFLAGS_RF);
    uint8_t *xstate = regs->xstate;
    if (!(tcs->flags & SGX_TCS_DBGOPTIN))
        rflags = (rflags & ~RFLAGS_TF) | (cpu->saved_tf ? RFLAGS_TF : 0);
    *regs = (struct sgx_regs){
        .rax = SGX_ERESUME,
        .rbx = cpu->tcs,
        .rcx = tcs->aep,
        .rip = tcs->aep,
        .rsp = saved->ursp,
        .rbp = saved->urbp,
        .rflags = rflags,
        .fsbase = cpu->saved_fsbase,
        .gsbase = cpu->saved_gsbase,
        .xstate = xstate,
    };
}

bool sgx_aex(struct sgx_cpu *cpu, struct sgx_regs *regs, const struct sgx_event *event)
{
    struct secs_state *state;
    struct ssa_frame frame;
    struct sgx_gpr gpr;
    uint64_t fault;
    struct sgx_tcs *tcs = active_tcs(cpu);
    if (!tcs)
        return false;
    struct sgx_secs *secs = sgx_secs_of(cpu, cpu->secs, &state);
    /* The pages were found at entry; what has become of their mappings since does not matter. */
    locate_ssa(cpu, secs, tcs, tcs->cssa, &frame);
    if (cpu->mem->read(cpu->mem, frame.gpr, &gpr, sizeof(gpr), &fault))
        return false;
    store_gpr(&gpr, regs);
    if (!(tcs->flags & SGX_TCS_DBGOPTIN))
        gpr.rflags &= ~RFLAGS_TF;
    gpr.exitinfo = exitinfo(secs, event);
    struct sgx_exinfo exinfo = {0};
    if (gpr.exitinfo && event->vector == SGX_PF)
        exinfo = (struct sgx_exinfo){.maddr = event->address, .errcd = event->error};
    else if (gpr.exitinfo && event->vector == SGX_GP)
        exinfo.errcd = event->error;
    if (cpu->mem->write(cpu->mem, frame.gpr, &gpr, sizeof(gpr), &fault))
        return false;
    if (frame.exinfo && gpr.exitinfo && (event->vector == SGX_PF || event->vector == SGX_GP) &&
        cpu->mem->write(cpu->mem, frame.gpr - sizeof(exinfo), &exinfo, sizeof(exinfo), &fault))
        return false;
    if (regs->xstate) {
        if (!save_xstate(cpu, secs, &frame, regs->xstate))
            return false;
        synthetic_xstate(regs->xstate, secs->attributes.xfrm, event->vector);
    }
    tcs->cssa++;
    synthetic_gpr(cpu, regs, tcs, &gpr);
    set_inactive(cpu, tcs, state);
    return true;
}

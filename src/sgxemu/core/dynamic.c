/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Changing a running enclave: EACCEPT, EACCEPTCOPY, EMODPE inside; EMODPR, EMODT, EREMOVE, EBLOCK,
 * ETRACK, EDBGRD and EDBGWR outside. */
#include "sgxemu/core/internal.h"

static struct sgx_fault read_secinfo(struct sgx_cpu *cpu, uint64_t la, struct sgx_secinfo *secinfo)
{
    struct epc_page page;
    struct sgx_fault f = enclave_operand(cpu, la, 64, ACCESS_R, &page);
    if (f.vector)
        return f;
    copy(secinfo, page.data + (la & PAGE_MASK), sizeof(*secinfo));
    return secinfo_clean(secinfo) ? ok() : gp();
}

static bool accept_request_legal(uint64_t flags)
{
    bool pr = flags & SGX_SECINFO_PR, pending = flags & SGX_SECINFO_PENDING;
    bool modified = flags & SGX_SECINFO_MODIFIED;
    switch (SGX_SECINFO_TYPE(flags)) {
    case SGX_PT_REG:
        return (pr || pending) && !modified;
    case SGX_PT_TCS:
    case SGX_PT_TRIM:
        return modified && !pr && !pending;
    default:
        return false;
    }
}

/* PR is deliberately not compared. */
static bool accept_matches(const struct epcm *e, uint64_t la, uint64_t flags)
{
    return e->enclave_address == la &&
           !!(e->state & EPCM_PENDING) == !!(flags & SGX_SECINFO_PENDING) &&
           !!(e->state & EPCM_MODIFIED) == !!(flags & SGX_SECINFO_MODIFIED) &&
           e->perm == (flags & SGX_SECINFO_RWX) && e->type == SGX_SECINFO_TYPE(flags);
}

static bool new_tcs_legal(const struct sgx_tcs *tcs, bool mode64)
{
    if (!all_zero(tcs->reserved, sizeof(tcs->reserved)) || tcs->flags & SGX_TCS_DBGOPTIN ||
        tcs->cssa >= tcs->nssa || tcs->aep || tcs->state)
        return false;
    return mode64 || ((tcs->fslimit & 0xfff) == 0xfff && (tcs->gslimit & 0xfff) == 0xfff);
}

struct sgx_fault leaf_eaccept(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct sgx_secinfo secinfo;
    struct epc_page page;
    struct secs_state *state;
    struct sgx_fault f = read_secinfo(cpu, regs->rbx, &secinfo);
    if (f.vector)
        return f;
    if ((f = target_operand(cpu, regs->rcx, &page)).vector)
        return f;
    if (!accept_request_legal(secinfo.flags))
        return gp();
    struct epcm *e = page.epcm;
    if (!e->valid || e->state & EPCM_BLOCKED ||
        (e->type != SGX_PT_REG && e->type != SGX_PT_TCS && e->type != SGX_PT_TRIM) ||
        e->secs != cpu->secs)
        return epcm_pf(regs->rcx, ACCESS_R);
    if (!accept_matches(e, regs->rcx, secinfo.flags))
        return finish(regs, SGX_PAGE_ATTRIBUTES_MISMATCH);
    struct sgx_secs *secs = sgx_secs_of(cpu, cpu->secs, &state);
    if (e->state & (EPCM_PR | EPCM_MODIFIED) && !tracked(e, state))
        return finish(regs, SGX_NOT_TRACKED);
    if (SGX_SECINFO_TYPE(secinfo.flags) == SGX_PT_TCS &&
        !new_tcs_legal((struct sgx_tcs *)page.data, secs->attributes.flags & SGX_FLAG_MODE64BIT))
        return gp();
    e->state &= (uint8_t) ~(EPCM_PENDING | EPCM_MODIFIED | EPCM_PR);
    return finish(regs, SGX_SUCCESS);
}

struct sgx_fault leaf_emodpe(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct sgx_secinfo secinfo;
    struct epc_page page;
    struct sgx_fault f = read_secinfo(cpu, regs->rbx, &secinfo);
    if (f.vector)
        return f;
    if ((f = target_operand(cpu, regs->rcx, &page)).vector)
        return f;
    struct epcm *e = page.epcm;
    if (!e->valid || e->state & (EPCM_PENDING | EPCM_MODIFIED | EPCM_BLOCKED) ||
        e->type != SGX_PT_REG || e->secs != cpu->secs || e->enclave_address != regs->rcx)
        return epcm_pf(regs->rcx, ACCESS_R);
    uint64_t perm = e->perm | (secinfo.flags & SGX_SECINFO_RWX);
    if ((perm & SGX_SECINFO_W) && !(perm & SGX_SECINFO_R))
        return gp();
    e->perm = (uint8_t)perm;
    return ok();
}

struct sgx_fault leaf_eacceptcopy(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct sgx_secinfo secinfo;
    struct epc_page to, from;
    struct sgx_fault f = read_secinfo(cpu, regs->rbx, &secinfo);
    if (f.vector)
        return f;
    uint64_t perm = secinfo.flags & SGX_SECINFO_RWX;
    if ((perm & SGX_SECINFO_W && !(perm & SGX_SECINFO_R)) ||
        SGX_SECINFO_TYPE(secinfo.flags) != SGX_PT_REG)
        return gp();
    if ((f = target_operand(cpu, regs->rcx, &to)).vector)
        return f;
    if ((f = enclave_operand(cpu, regs->rdx, SGX_PAGE_SIZE, ACCESS_R, &from)).vector)
        return f;
    struct epcm *e = to.epcm;
    if (!e->valid || !(e->state & EPCM_PENDING) || e->state & (EPCM_MODIFIED | EPCM_BLOCKED) ||
        e->type != SGX_PT_REG || e->secs != cpu->secs || e->enclave_address != regs->rcx ||
        e->perm != (ACCESS_R | ACCESS_W))
        return finish(regs, SGX_PAGE_ATTRIBUTES_MISMATCH);
    copy(to.data, from.data, SGX_PAGE_SIZE);
    e->perm = (uint8_t)perm;
    e->state &= (uint8_t)~EPCM_PENDING;
    return finish(regs, SGX_SUCCESS);
}

/* Operands that EMODPR and EMODT share. */
static struct sgx_fault modify_operands(struct sgx_cpu *cpu, struct sgx_regs *regs,
                                        struct sgx_secinfo *secinfo, struct epc_page *page)
{
    struct sgx_fault f;
    if (regs->rbx & 63)
        return gp();
    if ((f = epc_operand(cpu, regs->rcx, page)).vector)
        return f;
    if ((f = read_operand(cpu, regs->rbx, 64, secinfo, sizeof(*secinfo))).vector)
        return f;
    return secinfo_clean(secinfo) ? ok() : gp();
}

struct sgx_fault leaf_emodpr(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct sgx_secinfo secinfo;
    struct epc_page page;
    struct secs_state *state;
    struct sgx_fault f = modify_operands(cpu, regs, &secinfo, &page);
    if (f.vector)
        return f;
    uint64_t perm = secinfo.flags & SGX_SECINFO_RWX;
    if (perm & SGX_SECINFO_W && !(perm & SGX_SECINFO_R))
        return gp();
    struct epcm *e = page.epcm;
    if (!e->valid)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    if (e->state & (EPCM_PENDING | EPCM_MODIFIED))
        return finish(regs, SGX_PAGE_NOT_MODIFIABLE);
    if (e->type != SGX_PT_REG)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    sgx_secs_of(cpu, e->secs, &state);
    if (!state->initialized)
        return gp();
    e->state |= EPCM_PR;
    e->epoch = state->epoch;
    e->perm &= (uint8_t)perm;
    return finish(regs, SGX_SUCCESS);
}

struct sgx_fault leaf_emodt(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct sgx_secinfo secinfo;
    struct epc_page page;
    struct secs_state *state;
    struct sgx_fault f = modify_operands(cpu, regs, &secinfo, &page);
    if (f.vector)
        return f;
    uint64_t type = SGX_SECINFO_TYPE(secinfo.flags);
    if (type != SGX_PT_TCS && type != SGX_PT_TRIM)
        return gp();
    struct epcm *e = page.epcm;
    if (!e->valid || !(e->type == SGX_PT_REG || (e->type == SGX_PT_TCS && type == SGX_PT_TRIM)))
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    if (e->state & (EPCM_PENDING | EPCM_MODIFIED))
        return finish(regs, SGX_PAGE_NOT_MODIFIABLE);
    sgx_secs_of(cpu, e->secs, &state);
    if (!state->initialized)
        return gp();
    e->state = (uint8_t)((e->state & ~EPCM_PR) | EPCM_MODIFIED);
    e->epoch = state->epoch;
    e->perm = 0;
    e->type = (uint8_t)type;
    return finish(regs, SGX_SUCCESS);
}

struct sgx_fault leaf_eremove(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct epc_page page;
    struct secs_state *state;
    struct sgx_fault f = epc_operand(cpu, regs->rcx, &page);
    if (f.vector)
        return f;
    struct epcm *e = page.epcm;
    if (!e->valid)
        return finish(regs, SGX_SUCCESS);
    if (e->type == SGX_PT_SECS) {
        if (secs_state(page.data)->children)
            return finish(regs, SGX_CHILD_PRESENT);
    } else if (e->type != SGX_PT_VA) {
        sgx_secs_of(cpu, e->secs, &state);
        bool trimmed = e->type == SGX_PT_TRIM && !(e->state & EPCM_MODIFIED);
        if (!trimmed && state->active_current + state->active_previous)
            return finish(regs, SGX_ENCLAVE_ACT);
        state->children--;
    }
    e->valid = 0;
    return finish(regs, SGX_SUCCESS);
}

struct sgx_fault leaf_eblock(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct epc_page page;
    struct secs_state *state;
    struct sgx_fault f = epc_operand(cpu, regs->rcx, &page);
    if (f.vector)
        return f;
    struct epcm *e = page.epcm;
    if (!e->valid)
        return finish(regs, SGX_PG_INVLD);
    if (e->type != SGX_PT_REG && e->type != SGX_PT_TCS && e->type != SGX_PT_TRIM)
        return finish(regs, e->type == SGX_PT_SECS ? SGX_PG_IS_SECS : SGX_NOTBLOCKABLE);
    if (e->state & EPCM_BLOCKED) { /* reported in CF, not ZF */
        finish(regs, SGX_SUCCESS);
        regs->rax = SGX_BLSTATE;
        regs->rflags |= RFLAGS_CF;
        return ok();
    }
    sgx_secs_of(cpu, e->secs, &state);
    e->state |= EPCM_BLOCKED;
    e->epoch = state->epoch;
    return finish(regs, SGX_SUCCESS);
}

struct sgx_fault leaf_etrack(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct epc_page page;
    struct sgx_fault f = epc_operand(cpu, regs->rcx, &page);
    if (f.vector)
        return f;
    if (!page.epcm->valid || page.epcm->type != SGX_PT_SECS)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    struct secs_state *state = secs_state(page.data);
    if (state->active_previous)
        return finish(regs, SGX_PREV_TRK_INCMPL);
    uint64_t old = state->track, new;
    do {
        new = ((old >> 32) + 1) << 32;
        /* Counted before the threads can leave as threads of the previous epoch. */
        state->active_previous = (uint32_t)old;
    } while (!__atomic_compare_exchange_n(&state->track, &old, new, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_SEQ_CST));
    return finish(regs, SGX_SUCCESS);
}

/* The quadword that EDBGRD or EDBGWR may touch. `denied` receives the error code, if any. */
static struct sgx_fault debug_operand(struct sgx_cpu *cpu, uint64_t la, struct epc_page *page,
                                      enum sgx_error *denied)
{
    struct sgx_fault f;
    *denied = SGX_SUCCESS;
    if (la & 7)
        return gp();
    if ((f = epc_operand(cpu, la & ~PAGE_MASK, page)).vector)
        return f;
    const struct epcm *e = page->epcm;
    if (!e->valid || (e->type != SGX_PT_REG && e->type != SGX_PT_TCS))
        return pf(la, PF_P | SGX_PF_SGX);
    if (e->state & (EPCM_PENDING | EPCM_MODIFIED)) {
        *denied = SGX_PAGE_NOT_DEBUGGABLE;
        return ok();
    }
    if (!(sgx_secs_of(cpu, e->secs, NULL)->attributes.flags & SGX_FLAG_DEBUG))
        return gp();
    return ok();
}

struct sgx_fault leaf_edbgrd(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct epc_page page;
    enum sgx_error denied;
    struct sgx_fault f = debug_operand(cpu, regs->rcx, &page, &denied);
    if (f.vector)
        return f;
    if (denied)
        return finish(regs, denied);
    copy(&regs->rbx, page.data + (regs->rcx & PAGE_MASK), 8);
    return finish(regs, SGX_SUCCESS);
}

struct sgx_fault leaf_edbgwr(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct epc_page page;
    enum sgx_error denied;
    struct sgx_fault f = debug_operand(cpu, regs->rcx, &page, &denied);
    if (f.vector)
        return f;
    if (denied)
        return finish(regs, denied);
    uint64_t offset = regs->rcx & PAGE_MASK;
    if (page.epcm->type == SGX_PT_TCS && offset != offsetof(struct sgx_tcs, flags))
        return gp();
    copy(page.data + offset, &regs->rbx, 8);
    return finish(regs, SGX_SUCCESS);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Operands: addresses, page walks and the EPCM checks common to many leaves; dispatch. */
#include "sgxemu/core/internal.h"

struct sgx_secs *sgx_secs_of(struct sgx_cpu *cpu, uint32_t handle, struct secs_state **state)
{
    struct epc_page page;
    cpu->mem->secs(cpu->mem, handle, &page);
    if (state)
        *state = secs_state(page.data);
    return (struct sgx_secs *)page.data;
}

struct sgx_fault epc_operand(struct sgx_cpu *cpu, uint64_t la, struct epc_page *page)
{
    bool present;
    if (la & PAGE_MASK || !sgx_canonical(la))
        return gp();
    uint32_t error = cpu->mem->walk(cpu->mem, la, ACCESS_R, false, &present, page);
    if (!present)
        return pf(la, error);
    if (!page->epcm)
        return pf(la, PF_P);
    return ok();
}

struct sgx_fault read_operand(struct sgx_cpu *cpu, uint64_t la, uint64_t align, void *to,
                              size_t len)
{
    uint64_t at = la;
    if (la & (align - 1) || !sgx_canonical(la))
        return gp();
    if (cpu->mem->read(cpu->mem, la, to, len, &at))
        return pf(at, 0);
    return ok();
}

struct sgx_fault enclave_operand(struct sgx_cpu *cpu, uint64_t la, uint64_t align, uint32_t access,
                                 struct epc_page *page)
{
    bool present;
    if (la & (align - 1) || !in_elrange(cpu, la))
        return gp();
    uint32_t error = cpu->mem->walk(cpu->mem, la, access, true, &present, page);
    if (!present)
        return pf(la, error);
    if (!page->epcm)
        return epcm_pf(la, access);
    const struct epcm *e = page->epcm;
    if (!e->valid || e->state & (EPCM_PENDING | EPCM_MODIFIED | EPCM_BLOCKED) ||
        e->type != SGX_PT_REG || e->secs != cpu->secs || e->enclave_address != (la & ~PAGE_MASK) ||
        (e->perm & access) != access)
        return epcm_pf(la, access);
    return ok();
}

struct sgx_fault target_operand(struct sgx_cpu *cpu, uint64_t la, struct epc_page *page)
{
    bool present;
    if (la & PAGE_MASK || !in_elrange(cpu, la))
        return gp();
    uint32_t error = cpu->mem->walk(cpu->mem, la, ACCESS_R, true, &present, page);
    if (!present)
        return pf(la, error);
    if (!page->epcm)
        return epcm_pf(la, ACCESS_R);
    return ok();
}

bool tracked(const struct epcm *epcm, const struct secs_state *state)
{
    if (epcm->epoch == state->epoch)
        return false;
    return epcm->epoch + 1 < state->epoch || state->active_previous == 0;
}

/* One page of an SSA frame, as seen by EENTER and ERESUME. */
static struct sgx_fault check_ssa_page(struct sgx_cpu *cpu, uint64_t la, uint32_t handle)
{
    struct epc_page page;
    bool present;
    const uint32_t access = ACCESS_R | ACCESS_W;
    uint32_t error = cpu->mem->walk(cpu->mem, la, access, true, &present, &page);
    if (!present)
        return pf(la, error);
    if (!page.epcm)
        return epcm_pf(la, access);
    const struct epcm *e = page.epcm;
    if (!e->valid || e->state & (EPCM_BLOCKED | EPCM_PENDING | EPCM_MODIFIED) ||
        e->enclave_address != (la & ~PAGE_MASK) || e->type != SGX_PT_REG || e->secs != handle ||
        (e->perm & access) != access)
        return epcm_pf(la, access);
    return ok();
}

void locate_ssa(struct sgx_cpu *cpu, const struct sgx_secs *secs, const struct sgx_tcs *tcs,
                uint32_t index, struct ssa_frame *frame)
{
    uint64_t frame_size = SGX_PAGE_SIZE * secs->ssa_frame_size;
    uint64_t start = secs->base + tcs->ossa + frame_size * index;
    frame->xsave = start;
    frame->xsave_len = sgx_xsave_size(&cpu->platform->xsave, secs->attributes.xfrm);
    frame->gpr = start + frame_size - sizeof(struct sgx_gpr);
    frame->exinfo = secs->miscselect & SGX_MISC_EXINFO;
}

struct sgx_fault check_ssa(struct sgx_cpu *cpu, const struct sgx_secs *secs, uint32_t handle,
                           const struct sgx_tcs *tcs, uint32_t index, struct ssa_frame *frame)
{
    locate_ssa(cpu, secs, tcs, index, frame);
    const uint64_t start = frame->xsave;
    const uint64_t frame_size = SGX_PAGE_SIZE * secs->ssa_frame_size;
    for (uint64_t la = start; la < start + frame->xsave_len; la += SGX_PAGE_SIZE) {
        struct sgx_fault fault = check_ssa_page(cpu, la, handle);
        if (fault.vector)
            return fault;
    }
    /* The MISC region may start in the page below the GPR area's. */
    uint64_t misc = frame->gpr - (frame->exinfo ? sizeof(struct sgx_exinfo) : 0);
    for (uint64_t la = misc & ~PAGE_MASK; la < start + frame_size; la += SGX_PAGE_SIZE) {
        struct sgx_fault fault = check_ssa_page(cpu, la, handle);
        if (fault.vector)
            return fault;
    }
    return ok();
}

uint32_t sgx_xsave_size(const struct sgx_xsave_layout *layout, uint64_t xfrm)
{
    uint32_t end = 512 + 64;
    for (unsigned i = 2; i < 64; i++) {
        if (xfrm >> i & 1 && layout->offset[i] + layout->size[i] > end)
            end = layout->offset[i] + layout->size[i];
    }
    return end;
}

bool sgx_xfrm_legal(uint64_t xfrm)
{
    if ((xfrm & SGX_XFRM_LEGACY) != SGX_XFRM_LEGACY)
        return false;
    if (xfrm & SGX_XFRM_MPX && (xfrm & SGX_XFRM_MPX) != SGX_XFRM_MPX)
        return false;
    if (xfrm & SGX_XFRM_AVX512 &&
        ((xfrm & SGX_XFRM_AVX512) != SGX_XFRM_AVX512 || !(xfrm & SGX_XFRM_AVX)))
        return false;
    if (xfrm & SGX_XFRM_AMX && (xfrm & SGX_XFRM_AMX) != SGX_XFRM_AMX)
        return false;
    return !(xfrm >> 63);
}

struct sgx_fault sgx_enclu(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    static const struct {
        leaf_fn *run;
        bool inside;
    } leaves[] = {
        [SGX_EREPORT] = {leaf_ereport, true},   [SGX_EGETKEY] = {leaf_egetkey, true},
        [SGX_EENTER] = {leaf_eenter, false},    [SGX_ERESUME] = {leaf_eresume, false},
        [SGX_EEXIT] = {leaf_eexit, true},       [SGX_EACCEPT] = {leaf_eaccept, true},
        [SGX_EMODPE] = {leaf_emodpe, true},     [SGX_EACCEPTCOPY] = {leaf_eacceptcopy, true},
        [SGX_EDECCSSA] = {leaf_edeccssa, true},
    };
    uint32_t leaf = (uint32_t)regs->rax;
    if (leaf >= sizeof(leaves) / sizeof(leaves[0]) || !leaves[leaf].run ||
        leaves[leaf].inside != cpu->in_enclave)
        return gp();
    bool moves = leaf == SGX_EENTER || leaf == SGX_ERESUME || leaf == SGX_EEXIT;
    struct sgx_fault fault = leaves[leaf].run(cpu, regs);
    if (!fault.vector && !moves)
        regs->rip += ENCL_INSN_LEN;
    return fault;
}

struct sgx_fault sgx_encls(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    static leaf_fn *const leaves[] = {
        [SGX_ECREATE] = leaf_ecreate, [SGX_EADD] = leaf_eadd,     [SGX_EINIT] = leaf_einit,
        [SGX_EREMOVE] = leaf_eremove, [SGX_EDBGRD] = leaf_edbgrd, [SGX_EDBGWR] = leaf_edbgwr,
        [SGX_EEXTEND] = leaf_eextend, [SGX_EBLOCK] = leaf_eblock, [SGX_ETRACK] = leaf_etrack,
        [SGX_EAUG] = leaf_eaug,       [SGX_EMODPR] = leaf_emodpr, [SGX_EMODT] = leaf_emodt,
        [SGX_EPA] = leaf_epa,         [SGX_EWB] = leaf_ewb,       [SGX_ELDB] = leaf_eldb,
        [SGX_ELDU] = leaf_eldu,
    };
    uint32_t leaf = (uint32_t)regs->rax;
    if (leaf >= sizeof(leaves) / sizeof(leaves[0]) || !leaves[leaf])
        return gp();
    return leaves[leaf](cpu, regs);
}

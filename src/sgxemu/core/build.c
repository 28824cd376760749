/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* ECREATE, EADD, EEXTEND, EINIT: building an enclave. */
#include "sgxemu/core/internal.h"
#include "sgxemu/core/keys.h"
#include "sgx/sigstruct.h"
#include "crypto/crypto.h"

#define CHUNK 256

static bool secs_reserved_clear(const struct sgx_secs *s)
{
    return all_zero(s->reserved1, sizeof(s->reserved1)) && all_zero(s->mrenclave, 32) &&
           all_zero(s->reserved2, sizeof(s->reserved2)) && all_zero(s->mrsigner, 32) &&
           all_zero(s->reserved3, sizeof(s->reserved3)) && s->isv_prod_id == 0 && s->isv_svn == 0 &&
           all_zero(s->reserved4, sizeof(s->reserved4));
}

static bool secs_legal(const struct sgx_platform *p, const struct sgx_secs *s)
{
    uint64_t misc = s->miscselect & SGX_MISC_EXINFO ? sizeof(struct sgx_exinfo) : 0;
    uint64_t need = sgx_xsave_size(&p->xsave, s->attributes.xfrm) + misc + sizeof(struct sgx_gpr);
    if (!sgx_xfrm_legal(s->attributes.xfrm) || s->attributes.xfrm & ~p->xfrm)
        return false;
    if (s->miscselect & ~p->miscselect)
        return false;
    if (s->attributes.flags & ~p->flags)
        return false;
    if (!(s->attributes.flags & SGX_FLAG_MODE64BIT) && (s->base >> 32 || s->size >> 32))
        return false;
    if (SGX_PAGE_SIZE * s->ssa_frame_size < need)
        return false;
    if (!sgx_canonical(s->base) || s->size < 2 * SGX_PAGE_SIZE || s->size & (s->size - 1) ||
        s->size > 1ULL << p->max_size_log2 || s->base & (s->size - 1))
        return false;
    if (!(p->flags & SGX_FLAG_CET) && (s->cet_attributes || s->cet_leg_bitmap_offset))
        return false;
    if (!(s->attributes.flags & SGX_FLAG_KSS) &&
        (!all_zero(s->config_id, sizeof(s->config_id)) || s->config_svn))
        return false;
    return secs_reserved_clear(s);
}

struct sgx_fault leaf_ecreate(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct sgx_pageinfo info;
    struct sgx_secinfo secinfo;
    struct sgx_secs secs;
    struct epc_page page;
    struct sgx_fault f;
    if (regs->rbx & 31)
        return gp();
    if ((f = epc_operand(cpu, regs->rcx, &page)).vector)
        return f;
    if ((f = read_operand(cpu, regs->rbx, 32, &info, sizeof(info))).vector)
        return f;
    if (info.srcpge & PAGE_MASK || info.secinfo & 63 || info.linaddr || info.secs)
        return gp();
    if ((f = read_operand(cpu, info.secinfo, 64, &secinfo, sizeof(secinfo))).vector)
        return f;
    if (!secinfo_clean(&secinfo) || SGX_SECINFO_TYPE(secinfo.flags) != SGX_PT_SECS)
        return gp();
    if ((f = read_operand(cpu, info.srcpge, SGX_PAGE_SIZE, &secs, sizeof(secs))).vector)
        return f;
    if (page.epcm->valid)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    if (!secs_legal(cpu->platform, &secs))
        return gp();

    copy(page.data, &secs, sizeof(secs));
    struct secs_state *state = secs_state(page.data);
    *state = (struct secs_state){.eid = cpu->mem->new_eid(cpu->mem), .epoch = 1};
    sgx_measure_create(&state->measure, secs.ssa_frame_size, secs.size);
    *page.epcm = (struct epcm){.valid = 1, .type = SGX_PT_SECS};
    return ok();
}

/* The source TCS must be clean; the processor's own fields are cleared, not checked. */
static bool tcs_legal(struct sgx_tcs *tcs)
{
    if (!all_zero(tcs->reserved, sizeof(tcs->reserved)) ||
        tcs->flags & ~(SGX_TCS_DBGOPTIN | SGX_TCS_AEXNOTIFY))
        return false;
    tcs->flags &= ~SGX_TCS_DBGOPTIN;
    tcs->cssa = 0;
    tcs->aep = 0;
    tcs->state = 0;
    return true;
}

/* PAGEINFO.SECS of EADD and EAUG: a valid SECS page. */
static struct sgx_fault parent_secs(struct sgx_cpu *cpu, uint64_t la, struct epc_page *page)
{
    struct sgx_fault f = epc_operand(cpu, la, page);
    if (f.vector)
        return f;
    if (!page->epcm->valid || page->epcm->type != SGX_PT_SECS)
        return pf(la, PF_P | SGX_PF_SGX);
    return ok();
}

static struct sgx_fault eadd_operands(struct sgx_cpu *cpu, struct sgx_regs *regs,
                                      struct sgx_pageinfo *info, struct sgx_secinfo *secinfo,
                                      struct epc_page *page, struct epc_page *parent)
{
    struct sgx_fault f;
    if (regs->rbx & 31 || regs->rcx & PAGE_MASK)
        return gp();
    if ((f = epc_operand(cpu, regs->rcx, page)).vector)
        return f;
    if ((f = read_operand(cpu, regs->rbx, 32, info, sizeof(*info))).vector)
        return f;
    if (info->srcpge & PAGE_MASK || info->secs & PAGE_MASK || info->secinfo & 63 ||
        info->linaddr & PAGE_MASK)
        return gp();
    if ((f = parent_secs(cpu, info->secs, parent)).vector)
        return f;
    return read_operand(cpu, info->secinfo, 64, secinfo, sizeof(*secinfo));
}

struct sgx_fault leaf_eadd(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct sgx_pageinfo info;
    struct sgx_secinfo secinfo;
    struct epc_page page, parent;
    struct sgx_fault f = eadd_operands(cpu, regs, &info, &secinfo, &page, &parent);
    if (f.vector)
        return f;
    uint64_t type = SGX_SECINFO_TYPE(secinfo.flags);
    if (!secinfo_clean(&secinfo) || (type != SGX_PT_REG && type != SGX_PT_TCS) ||
        secinfo.flags & (SGX_SECINFO_PENDING | SGX_SECINFO_MODIFIED | SGX_SECINFO_PR))
        return gp();
    if (page.epcm->valid)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    /* The page is free, so a fault from here on leaves nothing that anybody can see. */
    if ((f = read_operand(cpu, info.srcpge, SGX_PAGE_SIZE, page.data, SGX_PAGE_SIZE)).vector)
        return f;
    if (type == SGX_PT_TCS) {
        if (!tcs_legal((struct sgx_tcs *)page.data))
            return gp();
        secinfo.flags &= ~SGX_SECINFO_RWX;
    } else if ((secinfo.flags & SGX_SECINFO_W) && !(secinfo.flags & SGX_SECINFO_R)) {
        return gp();
    }
    struct sgx_secs *secs = (struct sgx_secs *)parent.data;
    struct secs_state *state = secs_state(parent.data);
    if (info.linaddr < secs->base || info.linaddr - secs->base >= secs->size || state->initialized)
        return gp();

    sgx_measure_add(&state->measure, info.linaddr - secs->base, &secinfo);
    state->children++;
    *page.epcm = (struct epcm){.valid = 1,
                               .type = (uint8_t)type,
                               .perm = (uint8_t)(secinfo.flags & SGX_SECINFO_RWX),
                               .secs = parent.handle,
                               .enclave_address = info.linaddr};
    return ok();
}

/* EEXTEND of the 256 bytes at regs->rcx, or of the `whole` page. */
static struct sgx_fault extend(struct sgx_cpu *cpu, const struct sgx_regs *regs, bool whole)
{
    struct epc_page page, parent;
    struct sgx_fault f;
    if (regs->rcx & (CHUNK - 1) || regs->rbx & PAGE_MASK)
        return gp();
    if ((f = epc_operand(cpu, regs->rbx, &parent)).vector)
        return f;
    if ((f = epc_operand(cpu, regs->rcx & ~PAGE_MASK, &page)).vector)
        return f;
    if (!page.epcm->valid)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    if (page.epcm->type != SGX_PT_REG && page.epcm->type != SGX_PT_TCS)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    if (parent.handle != page.epcm->secs)
        return gp();
    struct secs_state *state = secs_state(parent.data);
    if (state->initialized)
        return gp();
    const uint64_t offset = page.epcm->enclave_address - ((struct sgx_secs *)parent.data)->base;
    const uint64_t in_page = regs->rcx & PAGE_MASK;
    if (whole)
        sgx_measure_extend_page(&state->measure, offset, page.data);
    else
        sgx_measure_extend(&state->measure, offset + in_page, page.data + in_page);
    return ok();
}

struct sgx_fault leaf_eextend(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    return extend(cpu, regs, false);
}

struct sgx_fault sgx_eextend_page(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    return extend(cpu, regs, true);
}

static bool attributes_match(const struct sgx_secs *secs, const struct sgx_sigstruct *sig)
{
    return (secs->attributes.flags & sig->attribute_mask.flags) ==
               (sig->attributes.flags & sig->attribute_mask.flags) &&
           (secs->attributes.xfrm & sig->attribute_mask.xfrm) ==
               (sig->attributes.xfrm & sig->attribute_mask.xfrm) &&
           (secs->miscselect & sig->miscmask) == (sig->miscselect & sig->miscmask);
}

static bool token_reserved_clear(const struct sgx_einittoken *t)
{
    return !(t->valid & ~1U) && all_zero(t->reserved1, sizeof(t->reserved1)) &&
           all_zero(t->reserved2, sizeof(t->reserved2)) &&
           all_zero(t->reserved3, sizeof(t->reserved3)) &&
           all_zero(t->reserved4, sizeof(t->reserved4));
}

/* The launch decision: without a valid token only the launch key's owner may sign. */
static enum sgx_error check_token(const struct sgx_platform *p, const struct sgx_secs *secs,
                                  const struct sgx_einittoken *t, const uint8_t *mrenclave,
                                  const uint8_t *mrsigner)
{
    uint8_t mac[16];
    if (!(t->valid & 1))
        return same(mrsigner, p->launch_key_hash, 32) ? SGX_SUCCESS : SGX_INVALID_EINITTOKEN;
    if (t->masked_attributes_le.flags & SGX_FLAG_DEBUG &&
        !(secs->attributes.flags & SGX_FLAG_DEBUG))
        return SGX_INVALID_EINITTOKEN;
    if (!token_reserved_clear(t))
        return SGX_INVALID_EINITTOKEN;
    if (sgx_cpusvn_beyond(p, t->cpu_svn_le))
        return SGX_INVALID_CPUSVN;
    sgx_einittoken_mac(p, t, mac);
    if (crypto_differs(mac, t->mac, sizeof(mac)))
        return SGX_INVALID_EINITTOKEN;
    if (!same(t->mrenclave, mrenclave, 32) || !same(t->mrsigner, mrsigner, 32))
        return SGX_INVALID_MEASUREMENT;
    if (t->attributes.flags != secs->attributes.flags ||
        t->attributes.xfrm != secs->attributes.xfrm)
        return SGX_INVALID_ATTRIBUTE;
    return SGX_SUCCESS;
}

static enum sgx_error check_launch(const struct sgx_platform *p, const struct sgx_secs *secs,
                                   const struct sgx_sigstruct *sig, const struct sgx_einittoken *t,
                                   const uint8_t *mrenclave, const uint8_t *mrsigner)
{
    if (!all_zero(sig->isv_family_id, 16) && !(secs->attributes.flags & SGX_FLAG_KSS))
        return SGX_INVALID_SIG_STRUCT;
    if (!same(sig->enclave_hash, mrenclave, 32))
        return SGX_INVALID_MEASUREMENT;
    if (secs->attributes.flags & SGX_FLAG_EINITTOKEN_KEY && !same(mrsigner, p->launch_key_hash, 32))
        return SGX_INVALID_ATTRIBUTE;
    if (!attributes_match(secs, sig))
        return SGX_INVALID_ATTRIBUTE;
    return check_token(p, secs, t, mrenclave, mrsigner);
}

struct sgx_fault leaf_einit(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct sgx_sigstruct sig;
    struct sgx_einittoken token;
    struct epc_page page;
    uint8_t mrenclave[32], mrsigner[32];
    struct sgx_fault f;
    if (regs->rbx & PAGE_MASK || regs->rcx & PAGE_MASK || regs->rdx & 511)
        return gp();
    if ((f = epc_operand(cpu, regs->rcx, &page)).vector)
        return f;
    if ((f = read_operand(cpu, regs->rbx, SGX_PAGE_SIZE, &sig, sizeof(sig))).vector)
        return f;
    if ((f = read_operand(cpu, regs->rdx, 512, &token, sizeof(token))).vector)
        return f;
    enum sgx_error code = sgx_sigstruct_check(&sig);
    if (code)
        return finish(regs, code);
    if (!page.epcm->valid || page.epcm->type != SGX_PT_SECS)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    struct sgx_secs *secs = (struct sgx_secs *)page.data;
    struct secs_state *state = secs_state(page.data);
    if (state->initialized)
        return gp();
    sgx_measure_digest(&state->measure, mrenclave);
    sgx_sigstruct_mrsigner(&sig, mrsigner);
    code = check_launch(cpu->platform, secs, &sig, &token, mrenclave, mrsigner);
    if (code)
        return finish(regs, code);

    copy(secs->mrenclave, mrenclave, 32);
    copy(secs->mrsigner, mrsigner, 32);
    copy(state->isv_ext_prod_id, sig.isv_ext_prod_id, 16);
    copy(state->isv_family_id, sig.isv_family_id, 16);
    secs->isv_prod_id = sig.isv_prod_id;
    secs->isv_svn = sig.isv_svn;
    secs->attributes.flags |= SGX_FLAG_INIT;
    state->initialized = 1;
    return finish(regs, SGX_SUCCESS);
}

struct sgx_fault leaf_eaug(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct sgx_pageinfo info;
    struct epc_page page, parent;
    struct sgx_fault f;
    if (regs->rbx & 31 || regs->rcx & PAGE_MASK)
        return gp();
    if ((f = epc_operand(cpu, regs->rcx, &page)).vector)
        return f;
    if ((f = read_operand(cpu, regs->rbx, 32, &info, sizeof(info))).vector)
        return f;
    /* Without CET only the default SECINFO (none) exists. */
    if (info.secs & PAGE_MASK || info.linaddr & PAGE_MASK || info.srcpge || info.secinfo)
        return gp();
    if ((f = parent_secs(cpu, info.secs, &parent)).vector)
        return f;
    if (page.epcm->valid)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    struct sgx_secs *secs = (struct sgx_secs *)parent.data;
    struct secs_state *state = secs_state(parent.data);
    if (!state->initialized || info.linaddr < secs->base || info.linaddr - secs->base >= secs->size)
        return gp();

    __builtin_memset(page.data, 0, SGX_PAGE_SIZE);
    state->children++;
    *page.epcm = (struct epcm){.valid = 1,
                               .type = SGX_PT_REG,
                               .perm = ACCESS_R | ACCESS_W,
                               .state = EPCM_PENDING,
                               .secs = parent.handle,
                               .enclave_address = info.linaddr};
    return ok();
}

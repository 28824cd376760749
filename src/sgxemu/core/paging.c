/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* EPA, EWB, ELDB, ELDU: pages that leave the EPC and come back. */
#include "sgxemu/core/internal.h"
#include "crypto/crypto.h"

struct pcmd {
    struct sgx_secinfo secinfo;
    uint64_t enclave_id;
    uint8_t reserved[40];
    uint8_t mac[16];
};
_Static_assert(sizeof(struct pcmd) == 128, "PCMD");

/* What the MAC covers besides the page. */
struct mac_header {
    uint64_t eid;
    uint64_t linaddr;
    uint64_t secinfo_flags;
    uint8_t secinfo_rest[56];
    uint8_t reserved[48];
};
_Static_assert(sizeof(struct mac_header) == 128, "MAC header");

static bool has_parent(uint64_t type)
{
    return type == SGX_PT_REG || type == SGX_PT_TCS || type == SGX_PT_TRIM;
}

struct sgx_fault leaf_epa(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct epc_page page;
    if (regs->rbx != SGX_PT_VA)
        return gp();
    struct sgx_fault f = epc_operand(cpu, regs->rcx, &page);
    if (f.vector)
        return f;
    if (page.epcm->valid)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    __builtin_memset(page.data, 0, SGX_PAGE_SIZE);
    *page.epcm = (struct epcm){.valid = 1, .type = SGX_PT_VA};
    return ok();
}

/* RBX, RCX and RDX of EWB and ELD: PAGEINFO, the page, the version slot. */
static struct sgx_fault paging_operands(struct sgx_cpu *cpu, const struct sgx_regs *regs,
                                        struct sgx_pageinfo *info, struct epc_page *page,
                                        struct epc_page *va)
{
    struct sgx_fault f;
    if (regs->rbx & 31 || regs->rcx & PAGE_MASK)
        return gp();
    if ((f = epc_operand(cpu, regs->rcx, page)).vector)
        return f;
    if (regs->rdx & 7)
        return gp();
    if ((f = epc_operand(cpu, regs->rdx & ~PAGE_MASK, va)).vector)
        return f;
    if ((f = read_operand(cpu, regs->rbx, 32, info, sizeof(*info))).vector)
        return f;
    if (info->secinfo & 127 || info->srcpge & PAGE_MASK)
        return gp();
    return ok();
}

static uint64_t secinfo_flags(const struct epcm *e)
{
    return SGX_SECINFO_PT(e->type) | e->perm | (e->state & EPCM_PENDING ? SGX_SECINFO_PENDING : 0) |
           (e->state & EPCM_MODIFIED ? SGX_SECINFO_MODIFIED : 0) |
           (e->state & EPCM_PR ? SGX_SECINFO_PR : 0);
}

static enum sgx_error evictable(struct sgx_cpu *cpu, const struct epc_page *page, uint64_t *eid)
{
    struct secs_state *state;
    *eid = 0;
    if (page->epcm->type == SGX_PT_SECS && secs_state(page->data)->children)
        return SGX_CHILD_PRESENT;
    if (!has_parent(page->epcm->type))
        return SGX_SUCCESS;
    if (!(page->epcm->state & EPCM_BLOCKED))
        return SGX_PAGE_NOT_BLOCKED;
    sgx_secs_of(cpu, page->epcm->secs, &state);
    if (!tracked(page->epcm, state))
        return SGX_NOT_TRACKED;
    *eid = state->eid;
    return SGX_SUCCESS;
}

struct sgx_fault leaf_ewb(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    struct sgx_pageinfo info;
    struct epc_page page, va;
    struct secs_state *state;
    uint8_t cipher[SGX_PAGE_SIZE], iv[GCM_IV_SIZE] = {0};
    uint64_t eid, fault;
    struct sgx_fault f = paging_operands(cpu, regs, &info, &page, &va);
    if (f.vector)
        return f;
    if (page.handle == va.handle || info.linaddr || info.secs)
        return gp();
    if (!page.epcm->valid)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    if (!va.epcm->valid || va.epcm->type != SGX_PT_VA)
        return pf(regs->rdx, PF_P | SGX_PF_SGX);
    enum sgx_error code = evictable(cpu, &page, &eid);
    if (code)
        return finish(regs, code);

    uint64_t version = cpu->mem->new_eid(cpu->mem), slot;
    struct mac_header header = {.eid = eid,
                                .linaddr = page.epcm->enclave_address,
                                .secinfo_flags = secinfo_flags(page.epcm)};
    struct pcmd pcmd = {.secinfo.flags = header.secinfo_flags,
                        .enclave_id =
                            page.epcm->type == SGX_PT_SECS ? secs_state(page.data)->eid : eid};
    copy(iv + 4, &version, sizeof(version));
    aes128_gcm_encrypt(cpu->platform->paging_key, iv, &header, sizeof(header), page.data,
                       SGX_PAGE_SIZE, cipher, pcmd.mac);
    if (cpu->mem->write(cpu->mem, info.srcpge, cipher, sizeof(cipher), &fault) ||
        cpu->mem->write(cpu->mem, info.secinfo, &pcmd, sizeof(pcmd), &fault) ||
        cpu->mem->write(cpu->mem, regs->rbx, &page.epcm->enclave_address, 8, &fault))
        return pf(fault, PF_W);
    uint8_t *at = va.data + (regs->rdx & PAGE_MASK);
    copy(&slot, at, sizeof(slot));
    copy(at, &version, sizeof(version));
    if (has_parent(page.epcm->type)) {
        sgx_secs_of(cpu, page.epcm->secs, &state);
        state->children--;
    }
    page.epcm->valid = 0;
    finish(regs, SGX_SUCCESS);
    if (slot) { /* a warning, in CF; the page is out all the same */
        regs->rax = SGX_VA_SLOT_OCCUPIED;
        regs->rflags |= RFLAGS_CF;
    }
    return ok();
}

/* The parent of a page that comes back. */
static struct sgx_fault eld_parent(struct sgx_cpu *cpu, const struct sgx_pageinfo *info,
                                   uint64_t type, struct epc_page *parent)
{
    if (!has_parent(type))
        return info->secs ? gp() : ok();
    struct sgx_fault f = epc_operand(cpu, info->secs, parent);
    if (f.vector)
        return f;
    if (!parent->epcm->valid || parent->epcm->type != SGX_PT_SECS)
        return pf(info->secs, PF_P | SGX_PF_SGX);
    return ok();
}

static struct sgx_fault eld(struct sgx_cpu *cpu, struct sgx_regs *regs, bool blocked)
{
    struct sgx_pageinfo info;
    struct epc_page page, va, parent = {0};
    struct pcmd pcmd;
    uint8_t content[SGX_PAGE_SIZE], iv[GCM_IV_SIZE] = {0};
    struct sgx_fault f = paging_operands(cpu, regs, &info, &page, &va);
    if (f.vector)
        return f;
    if (page.epcm->valid)
        return pf(regs->rcx, PF_P | SGX_PF_SGX);
    if (!va.epcm->valid || va.epcm->type != SGX_PT_VA)
        return pf(regs->rdx, PF_P | SGX_PF_SGX);
    if ((f = read_operand(cpu, info.secinfo, 128, &pcmd, sizeof(pcmd))).vector)
        return f;
    uint64_t flags = pcmd.secinfo.flags, type = SGX_SECINFO_TYPE(flags);
    if ((f = eld_parent(cpu, &info, type, &parent)).vector)
        return f;
    if ((f = read_operand(cpu, info.srcpge, SGX_PAGE_SIZE, content, sizeof(content))).vector)
        return f;
    struct mac_header header = {.linaddr = info.linaddr, .secinfo_flags = flags};
    copy(header.secinfo_rest, pcmd.secinfo.reserved, sizeof(header.secinfo_rest));
    copy(header.reserved, pcmd.reserved, sizeof(pcmd.reserved));
    if (parent.data)
        header.eid = secs_state(parent.data)->eid;
    uint8_t *at = va.data + (regs->rdx & PAGE_MASK);
    copy(iv + 4, at, 8);
    if (aes128_gcm_decrypt(cpu->platform->paging_key, iv, &header, sizeof(header), content,
                           sizeof(content), page.data, pcmd.mac))
        return finish(regs, SGX_MAC_COMPARE_FAIL);

    __builtin_memset(at, 0, 8);
    *page.epcm = (struct epcm){
        .valid = 1,
        .type = (uint8_t)type,
        .perm = (uint8_t)(flags & SGX_SECINFO_RWX),
        .state = (uint8_t)((flags & SGX_SECINFO_PENDING ? EPCM_PENDING : 0) |
                           (flags & SGX_SECINFO_MODIFIED ? EPCM_MODIFIED : 0) |
                           (flags & SGX_SECINFO_PR ? EPCM_PR : 0) |
                           (blocked && parent.data ? EPCM_BLOCKED : 0)),
        .secs = parent.data ? parent.handle : 0,
        .enclave_address = info.linaddr,
    };
    if (parent.data)
        secs_state(parent.data)->children++;
    return finish(regs, SGX_SUCCESS);
}

struct sgx_fault leaf_eldb(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    return eld(cpu, regs, true);
}

struct sgx_fault leaf_eldu(struct sgx_cpu *cpu, struct sgx_regs *regs)
{
    return eld(cpu, regs, false);
}

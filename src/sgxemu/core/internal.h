/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shared by the files of the core; nothing outside includes it. */
#pragma once
#include "sgxemu/core/core.h"

typedef struct sgx_fault leaf_fn(struct sgx_cpu *cpu, struct sgx_regs *regs);

leaf_fn leaf_ereport, leaf_egetkey;
leaf_fn leaf_eenter, leaf_eresume, leaf_eexit, leaf_edeccssa;
leaf_fn leaf_eaccept, leaf_emodpe, leaf_eacceptcopy;
leaf_fn leaf_ecreate, leaf_eadd, leaf_eextend, leaf_einit;
leaf_fn leaf_eremove, leaf_edbgrd, leaf_edbgwr;
leaf_fn leaf_eaug, leaf_emodpr, leaf_emodt, leaf_eblock, leaf_etrack;
leaf_fn leaf_epa, leaf_ewb, leaf_eldb, leaf_eldu;

#define PAGE_MASK (SGX_PAGE_SIZE - 1)

static inline struct sgx_fault ok(void)
{
    return (struct sgx_fault){.vector = SGX_NO_FAULT};
}

static inline struct sgx_fault gp(void)
{
    return (struct sgx_fault){.vector = SGX_GP};
}

static inline struct sgx_fault pf(uint64_t address, uint32_t error)
{
    return (struct sgx_fault){.vector = SGX_PF, .error = error, .address = address};
}

/* The leaf completes with an error code (0: success) in RAX and ZF. */
static inline struct sgx_fault finish(struct sgx_regs *regs, enum sgx_error code)
{
    regs->rax = code;
    regs->rflags &= ~RFLAGS_ARITH;
    if (code)
        regs->rflags |= RFLAGS_ZF;
    return ok();
}

static inline bool all_zero(const void *p, size_t len)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < len; i++) {
        if (b[i])
            return false;
    }
    return true;
}

static inline void copy(void *to, const void *from, size_t len)
{
    __builtin_memcpy(to, from, len);
}

static inline bool same(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < len; i++) {
        if (x[i] != y[i])
            return false;
    }
    return true;
}

static inline bool in_elrange(const struct sgx_cpu *cpu, uint64_t la)
{
    return la >= cpu->base && la - cpu->base < cpu->size;
}

/* #PF raised by the EPCM check of an access by user code. */
static inline struct sgx_fault epcm_pf(uint64_t la, uint32_t access)
{
    return pf(la, PF_P | PF_U | SGX_PF_SGX | (access & ACCESS_W ? PF_W : 0));
}

/* An ENCLS operand that must be an EPC page: page-aligned #GP first, then #PF. */
struct sgx_fault epc_operand(struct sgx_cpu *cpu, uint64_t la, struct epc_page *page);

/* Reads an ENCLS memory operand of ordinary memory, after an alignment check. */
struct sgx_fault read_operand(struct sgx_cpu *cpu, uint64_t la, uint64_t align, void *to,
                              size_t len);

/* An operand of ENCLU inside the enclave: aligned and in ELRANGE (#GP), mapped, a REG page of this
 * enclave that is neither pending, modified nor blocked and allows `access` (#PF). */
struct sgx_fault enclave_operand(struct sgx_cpu *cpu, uint64_t la, uint64_t align, uint32_t access,
                                 struct epc_page *page);

/* Resolves a page of ELRANGE for EACCEPT and its kin: #GP and #PF of the address, no EPCM check. */
struct sgx_fault target_operand(struct sgx_cpu *cpu, uint64_t la, struct epc_page *page);

/* SECINFO flags and reserved bytes that must be zero. */
static inline bool secinfo_clean(const struct sgx_secinfo *s)
{
    return !(s->flags & SGX_SECINFO_RESERVED) && all_zero(s->reserved, sizeof(s->reserved));
}

/* Has every thread left that might still use the page's old permissions? */
bool tracked(const struct epcm *epcm, const struct secs_state *state);

/* The SSA frame `index` of a TCS: its XSAVE part and its GPR area must be writable. */
struct ssa_frame {
    uint64_t xsave; /* linear addresses */
    uint64_t gpr;
    uint32_t xsave_len;
    bool exinfo;
};
void locate_ssa(struct sgx_cpu *cpu, const struct sgx_secs *secs, const struct sgx_tcs *tcs,
                uint32_t index, struct ssa_frame *frame);
struct sgx_fault check_ssa(struct sgx_cpu *cpu, const struct sgx_secs *secs, uint32_t handle,
                           const struct sgx_tcs *tcs, uint32_t index, struct ssa_frame *frame);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The SGX part of a processor as a pure model: EPCM, SECS and TCS state, and every ENCLS and ENCLU
 * leaf as a function of state, registers and an accessor for memory. Written from the pseudocode
 * of Intel's SDM volume 3D. Freestanding: no system call, no allocation, no global state.
 *
 * Locking: the caller serialises all leaves that concern one enclave ("Other SGX instructions are
 * operating on ..." therefore never occurs here).
 */
#pragma once
#include "sgx/arch.h"
#include "sgx/measure.h"

/* Page-fault error code bits. */
#define PF_P (1U << 0)
#define PF_W (1U << 1)
#define PF_U (1U << 2)
#define PF_I (1U << 4)

enum sgx_vector { SGX_NO_FAULT = 0, SGX_UD = 6, SGX_GP = 13, SGX_PF = 14 };

/* What a leaf raised; vector SGX_NO_FAULT means that it completed (perhaps with an error code in
 * RAX). `error` and `address` matter for #PF. */
struct sgx_fault {
    uint32_t vector;
    uint32_t error;
    uint64_t address;
};

#define ACCESS_R 1U
#define ACCESS_W 2U
#define ACCESS_X 4U

/* EPCM entry of one EPC page. `secs` is the handle of the parent SECS page; `epoch` is the
 * tracking epoch in which the page was blocked, restricted or retyped. */
#define EPCM_PENDING  (1U << 0)
#define EPCM_MODIFIED (1U << 1)
#define EPCM_PR       (1U << 2)
#define EPCM_BLOCKED  (1U << 3)
struct epcm {
    uint64_t enclave_address;
    uint32_t secs;
    uint32_t epoch;
    uint8_t valid;
    uint8_t type;
    uint8_t perm; /* ACCESS_* */
    uint8_t state;
    uint32_t unused;
};
_Static_assert(sizeof(struct epcm) == 24, "EPCM entries are shared between processes");

/* One EPC page: its EPCM entry, its 4096 bytes, and a handle that is never 0. */
struct epc_page {
    struct epcm *epcm;
    uint8_t *data;
    uint32_t handle;
};

/* What the processor keeps in the reserved part of a SECS page. */
struct secs_state {
    uint64_t eid;
    uint32_t initialized;
    /* The low half changes without the enclave's lock, together with a check of the high half. */
    union {
        volatile uint64_t track;
        struct {
            uint32_t active_current; /* threads inside that entered in this epoch */
            uint32_t epoch;          /* of ETRACK, starts at 1 */
        };
    };
    volatile uint32_t active_previous; /* threads inside that entered in an earlier one */
    uint64_t children;                 /* EPC pages of the enclave, without the SECS */
    uint8_t isv_family_id[16];
    uint8_t isv_ext_prod_id[16];
    struct sgx_measure measure;
};
#define SECS_STATE_OFFSET 1024
_Static_assert(SECS_STATE_OFFSET + sizeof(struct secs_state) <= SGX_PAGE_SIZE, "must fit the SECS");

/* XSAVE layout of the processor (CPUID leaf 0DH): standard format. */
struct sgx_xsave_layout {
    uint64_t xcr0;
    uint32_t offset[64];
    uint32_t size[64];
};

/* What identifies and limits a platform. Secrets: fuses. */
struct sgx_platform {
    uint8_t seal_fuses[16];
    uint8_t owner_epoch[16];
    uint8_t paging_key[16]; /* fresh per boot */
    uint8_t cpu_svn[16];
    uint8_t report_key_id[32];
    uint8_t launch_key_hash[32]; /* IA32_SGXLEPUBKEYHASH */
    uint64_t flags;              /* ATTRIBUTES.FLAGS that may be set, CPUID.12H.1:EBX:EAX */
    uint64_t xfrm;               /* CPUID.12H.1:EDX:ECX */
    uint32_t miscselect;         /* CPUID.12H.0:EBX */
    uint8_t max_size_log2;       /* CPUID.12H.0:EDX[15:8] */
    struct sgx_xsave_layout xsave;
};

struct sgx_memory {
    /* Page walk for one byte at `la`. Returns 0 and fills `page` (page->epcm NULL when ordinary
     * memory is mapped there), or the error code of the page fault. `user` is false for ENCLS. */
    uint32_t (*walk)(struct sgx_memory *mem, uint64_t la, uint32_t access, bool user, bool *present,
                     struct epc_page *page);
    /* Copies ordinary or EPC memory, no EPCM check; 0 or SGX_PF with the address in *fault. */
    int (*read)(struct sgx_memory *mem, uint64_t la, void *to, size_t len, uint64_t *fault);
    int (*write)(struct sgx_memory *mem, uint64_t la, const void *from, size_t len,
                 uint64_t *fault);
    /* The SECS page with this handle. */
    void (*secs)(struct sgx_memory *mem, uint32_t handle, struct epc_page *page);
    /* A fresh enclave id; ids are never reused. */
    uint64_t (*new_eid)(struct sgx_memory *mem);
};

struct sgx_regs {
    uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rflags, rip; /* rip: address of the ENCLU or ENCLS instruction */
    uint64_t fsbase, gsbase;
    uint8_t *xstate; /* standard-format XSAVE area of all of XCR0, or NULL (AEX, ERESUME) */
};
#define ENCL_INSN_LEN 3

#define RFLAGS_CF    (1ULL << 0)
#define RFLAGS_PF    (1ULL << 2)
#define RFLAGS_AF    (1ULL << 4)
#define RFLAGS_ZF    (1ULL << 6)
#define RFLAGS_SF    (1ULL << 7)
#define RFLAGS_TF    (1ULL << 8)
#define RFLAGS_DF    (1ULL << 10)
#define RFLAGS_OF    (1ULL << 11)
#define RFLAGS_NT    (1ULL << 14)
#define RFLAGS_RF    (1ULL << 16)
#define RFLAGS_AC    (1ULL << 18)
#define RFLAGS_ID    (1ULL << 21)
#define RFLAGS_ARITH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

/* One logical processor. */
struct sgx_cpu {
    struct sgx_memory *mem;
    const struct sgx_platform *platform;
    uint64_t xcr0;
    bool in_enclave;
    bool saved_tf;
    uint32_t secs; /* CR_ACTIVE_SECS */
    uint32_t entry_epoch;
    uint64_t tcs;        /* CR_TCS_LA */
    uint64_t base, size; /* CR_ELRANGE */
    uint64_t saved_fsbase, saved_gsbase;
};

/* ENCLU at regs->rip: leaf in EAX. On completion rip has advanced (or been changed by EENTER,
 * ERESUME, EEXIT); on a fault nothing has changed. */
struct sgx_fault sgx_enclu(struct sgx_cpu *cpu, struct sgx_regs *regs);

/* ENCLS; rip is not touched. */
struct sgx_fault sgx_encls(struct sgx_cpu *cpu, struct sgx_regs *regs);

/* EEXTEND of the sixteen parts of the page at regs->rcx, in order: the same as sixteen leaves. */
struct sgx_fault sgx_eextend_page(struct sgx_cpu *cpu, struct sgx_regs *regs);

/* The event that ends enclave execution. `vector` < 0: one that is not reported (an interrupt).
 * `software`: INT3. */
struct sgx_event {
    int vector;
    bool software;
    uint32_t error;
    uint64_t address;
};

/* Asynchronous exit: state to the SSA frame, synthetic state into `regs`. Returns false when the
 * SSA frame has become unreachable, which hardware excludes by pinning it at entry: the caller can
 * then only end the thread. */
bool sgx_aex(struct sgx_cpu *cpu, struct sgx_regs *regs, const struct sgx_event *event);

/* Bytes of the XSAVE area for `xfrm`, as CPUID.(0DH,0):EBX with XCR0 = xfrm. */
uint32_t sgx_xsave_size(const struct sgx_xsave_layout *layout, uint64_t xfrm);

/* Would XSETBV accept this value? */
bool sgx_xfrm_legal(uint64_t xfrm);

/* A parent SECS by handle. */
struct sgx_secs *sgx_secs_of(struct sgx_cpu *cpu, uint32_t handle, struct secs_state **state);
static inline struct secs_state *secs_state(void *secs_page)
{
    return (struct secs_state *)((uint8_t *)secs_page + SECS_STATE_OFFSET);
}

/* Counts a thread in, and returns its entry epoch; counts it out. */
static inline uint32_t sgx_track_enter(struct secs_state *state)
{
    return (uint32_t)(__atomic_fetch_add(&state->track, 1, __ATOMIC_SEQ_CST) >> 32);
}

static inline void sgx_track_leave(struct secs_state *state, uint32_t entry_epoch)
{
    uint64_t old = state->track;
    while (old >> 32 == entry_epoch) {
        if (__atomic_compare_exchange_n(&state->track, &old, old - 1, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return;
    }
    __atomic_fetch_sub(&state->active_previous, 1, __ATOMIC_SEQ_CST);
}

/* STATE of a TCS: only one thread gets it from inactive to active. */
static inline bool sgx_tcs_claim(struct sgx_tcs *tcs)
{
    uint64_t inactive = 0;
    return __atomic_compare_exchange_n(&tcs->state, &inactive, 1, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static inline void sgx_tcs_release(struct sgx_tcs *tcs)
{
    __atomic_store_n(&tcs->state, 0, __ATOMIC_RELEASE);
}

static inline bool sgx_canonical(uint64_t address)
{
    int64_t top = (int64_t)address >> 47;
    return top == 0 || top == -1;
}

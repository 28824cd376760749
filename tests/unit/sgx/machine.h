/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A small machine around the processor model: 64 EPC pages, an enclave of 16 pages at BASE, ring-0
 * addresses of EPC pages, and a buffer of ordinary memory. For the conformance suite.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "sgxemu/core/core.h"

#define PAGES     64
#define BASE      0x10000000ULL
#define SIZE      0x10000ULL
#define KVA(i)    (0xffff800000000000ULL + 4096ULL * (i)) /* ring-0 address of EPC page i */
#define KVA_PLAIN 0xffff900000000000ULL                   /* mapped, but not EPC */
#define UNMAPPED  0xffffa00000000000ULL
#define OUT       0x600000ULL /* ordinary memory */
#define OUT_SIZE  0x10000ULL
#define NONCANON  0x0000900000000000ULL

/* Offsets of the standard enclave; EPC page n holds offset (n - 1) * 4096, page 0 the SECS. */
#define CODE     0x0ULL    /* RX */
#define TCS      0x1000ULL /* NSSA 2, OENTRY 0x40, FS 0x5000, GS 0x6000 */
#define SSA      0x2000ULL /* two frames, RW */
#define DATA     0x4000ULL /* RW */
#define DATA2    0x5000ULL /* RW */
#define RO       0x6000ULL /* R */
#define FREE     0x8000ULL /* not added */
#define OUTER_FS 0x7000aaa000ULL
#define OUTER_GS 0x7000bbb000ULL
#define AEP      0x401000ULL
#define RIP      0x400100ULL

struct machine {
    struct sgx_memory mem; /* first: the core hands it back */
    struct epcm epcm[PAGES];
    uint8_t epc[PAGES][4096] __attribute__((aligned(4096)));
    struct {
        int page;      /* EPC page, or -1 ordinary memory, or -2 nothing */
        uint32_t prot; /* page table, ACCESS_* */
    } map[SIZE / 4096];
    uint8_t out[OUT_SIZE] __attribute__((aligned(4096)));
    uint8_t plain[4096];
    uint64_t eid;
    uint8_t xstate[4096] __attribute__((aligned(64)));
};

extern struct machine m;
extern struct sgx_cpu c;
extern struct sgx_platform p;
extern struct sgx_regs r;
extern struct sgx_fault fault;

void machine_reset(void);
void *at(uint64_t la);               /* host pointer behind OUT or BASE addresses */
struct epcm *entry(uint64_t offset); /* EPCM entry mapped at BASE + offset */

/* One leaf with the registers given; the outcome lands in `fault` and `r`. */
void encls(uint32_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx);
void enclu(uint32_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx);

/* Operands in ordinary memory, ready for a successful leaf. */
struct sgx_pageinfo *prepare_ecreate(void); /* at OUT, SECINFO OUT+64, SECS OUT+0x1000 */
struct sgx_pageinfo *prepare_eadd(uint64_t offset, uint64_t flags); /* source OUT+0x1000 */
struct sgx_sigstruct *prepare_einit(void); /* at OUT+0x2000, token OUT+0x3000 */
struct sgx_secs *source_secs(void);
struct sgx_tcs *source_tcs(void);

void add_page(uint64_t offset, uint64_t flags);     /* EADD + 16 EEXTEND into the next EPC page */
void build(void);                                   /* the standard enclave, not initialised */
void build_init(void);                              /* and initialised */
void enter(void);                                   /* and entered */
void augment(uint64_t offset);                      /* EAUG into EPC page 32 + offset / 4096 */
struct sgx_secinfo *inside_secinfo(uint64_t flags); /* at BASE + DATA */
void resign(struct sgx_sigstruct *sig);

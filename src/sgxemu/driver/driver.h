/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Enclaves of the driver. An enclave is a file (a memfd): header, SECS page, EPCM and the pages
 * themselves, so that every process that has the descriptor or the mapping shares one state.
 * Page of linear address `la` lies at file offset FILE_PAGES + la: a page can have no second
 * linear address. Internal to the room.
 */
#pragma once
#include "sgxemu/emu.h"

#define ENCLAVE_MAGIC    0x32766c637865736eULL
#define PROVISION_MAGIC  0x32766b7278656773ULL
#define MAX_ENCLAVE      (1ULL << 40)
#define CHUNK_PAGES      512
#define MAX_ACTIVE       1000
#define MAX_SITES_LISTED 512

/* File layout. */
#define FILE_SECS   0x10000ULL
#define FILE_CHUNKS 0x20000ULL /* u16 per CHUNK_PAGES pages: how many EPCM entries are valid */
#define FILE_EPCM   0x200000ULL
#define FILE_META   (FILE_EPCM + (MAX_ENCLAVE >> 12) * sizeof(struct epcm))
#define FILE_PAGES  0x400000000ULL
_Static_assert(FILE_META < FILE_PAGES, "the EPCM must end below the pages");
#define FILE_SIZE (FILE_PAGES + (1ULL << 47))

/* EPCM.unused holds the driver's own: the maximal protection of mappings (VM_READ ...). */
#define MAX_PROT(e) ((e)->unused)

struct header {
    uint64_t magic;
    emu_lock lock;  /* of everything below and of the EPCM */
    emu_lock ioctl; /* held during an ioctl; contention is EBUSY */
    uint32_t created, initialized;
    uint64_t base, size;
    volatile uint64_t generation; /* changes with EPCM and mappings: fast entries look again */
    uint64_t provision_allowed;
    /* Rewritten ENCLUs. An abandoned one has no stub any more. */
    struct site sites[MAX_SITES_LISTED];
    volatile uint32_t site_count;
    volatile uint32_t patcher; /* thread that changes the bytes of a site; 0: none */
    volatile uint64_t patching;
    struct epcm secs_epcm;
    struct {
        volatile uint32_t tid; /* 0: free */
        uint32_t pid;
        volatile uint32_t inside;
        volatile uint32_t kicked;
        uint64_t tcs;
    } active[MAX_ACTIVE];
};
_Static_assert(sizeof(struct header) < FILE_SECS, "header");

struct vma {
    uint64_t start, end;
    uint32_t prot;
};

/* This process's view of one enclave. */
struct enclave {
    struct sgx_memory mem; /* first */
    uint64_t dev, ino;
    int fd_dup; /* kept for mapping; close-on-exec */
    struct header *header;
    uint8_t *meta;  /* the file's first FILE_META bytes */
    uint8_t *pages; /* alias of [base, base + size), once created */
    uint8_t *stage; /* pages [stage_start, stage_end) while ADD_PAGES puts them together */
    uint64_t stage_start, stage_end;
    struct vma *vmas;
    uint32_t count, capacity;
    bool used;
};

/* The enclave behind a descriptor; NULL when it is another file (or a provision file), or when
 * there is no memory or no record for it (`ours` is true then). */
struct enclave *enclave_of(int fd, bool *ours);
bool is_provision(int fd);
void driver_use(void);
struct enclave *enclave_covering(uint64_t start, uint64_t end); /* any mapping in the range? */
bool enclave_alias(struct enclave *e);                          /* after ECREATE: maps the pages */

static inline bool in_enclave_range(const struct enclave *e, uint64_t la)
{
    return la - e->header->base < e->header->size;
}
static inline struct epcm *epcm_of(struct enclave *e, uint64_t la)
{
    return (struct epcm *)(e->meta + FILE_EPCM) + ((la - e->header->base) >> 12);
}
static inline uint16_t *chunk_of(struct enclave *e, uint64_t la)
{
    return (uint16_t *)(e->meta + FILE_CHUNKS) + ((la - e->header->base) >> 12) / CHUNK_PAGES;
}
static inline uint8_t *page_of(struct enclave *e, uint64_t la)
{
    if (la - e->stage_start < e->stage_end - e->stage_start)
        return e->stage + ((la & ~0xfffULL) - e->stage_start);
    return e->pages + ((la & ~0xfffULL) - e->header->base);
}
/* The mapping that covers `la`, copied; false: none. */
bool vma_at(struct enclave *e, uint64_t la, struct vma *out);
bool vma_first(struct enclave *e, uint64_t start, uint64_t end, struct vma *out);
void vma_after_fork(void);
void vma_insert(struct enclave *e, uint64_t start, uint64_t end, uint32_t prot);
void vma_remove(struct enclave *e, uint64_t start, uint64_t end);
/* Page tables from EPCM and mappings; false when the kernel refuses (too many mappings). */
bool sync_range(struct enclave *e, uint64_t start, uint64_t end);

/* A range of an ioctl: aligned, not empty, inside the enclave. */
bool driver_in_range(const struct enclave *e, uint64_t offset, uint64_t length);
/* CREATE, ADD_PAGES, INIT; enclave locked. */
long driver_build(struct thread *t, struct enclave *e, unsigned cmd, uint64_t arg);

/* Addresses that only the driver uses with ENCLS. */
#define KERNEL_ALIAS 0xffff800000000000ULL /* + la: the EPC page for la */
#define KERNEL_SECS  0xffffffffffffe000ULL

/* ENCLS with the enclave locked. */
struct sgx_fault driver_encls(struct enclave *e, struct sgx_regs *regs);
/* Enclave locked: page becomes part of the enclave, PENDING. */
int augment_page(struct enclave *e, uint64_t la);
/* Enclave locked: ETRACK, then waits until every thread of the old epoch has left. */
void track(struct enclave *e);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * How an enclave of ours is laid out: the one definition for signer, loader and enclave.
 * Freestanding.
 *
 *   size      ---------------------------------------------------
 *             thread 0:  TCS | SSA frames | (hole) | stack | box     measured: TCS, box
 *             thread 1 ...
 *             image of the library OS, relocated, bss included      measured
 *             struct enclave_info, one page                         measured
 *   memory_end ------------------------------------------------------
 *             memory: the application's, and the library OS's heap  without EDMM: added, RWX, not
 *                                                                   measured, so cleared before use
 *   64 KiB    ------------------------------------------------------
 *             nothing
 *   0
 *
 * The enclave's base is 0, so that programs linked to fixed addresses find theirs. The image lies
 * at the top because the software device reaches only what is within 2 GiB of its stubs.
 */
#pragma once
#include "sgx/arch.h"

#define ENCLAVE_MAGIC           0x3145564c434e4541ULL /* "AENCLVE1" */
#define ENCLAVE_LOW             0x10000ULL            /* first address of `memory` */
#define ENCLAVE_SSA_FRAME_PAGES 4                     /* room for every XFRM up to AMX */
#define ENCLAVE_NSSA            2                     /* normal code, and the handler above it */
#define ENCLAVE_STACK_PAGES     32
#define ENCLAVE_BOX_PAGES       11 /* struct thread and what platform/sgx/sgx.h adds */
#define ENCLAVE_MAX_THREADS     4096

/* Offsets within a thread's block, in pages. */
#define ENCLAVE_TCS_PAGE     0
#define ENCLAVE_SSA_PAGE     1
#define ENCLAVE_HOLE_PAGE    (ENCLAVE_SSA_PAGE + ENCLAVE_NSSA * ENCLAVE_SSA_FRAME_PAGES)
#define ENCLAVE_STACK_PAGE   (ENCLAVE_HOLE_PAGE + 1)
#define ENCLAVE_BOX_PAGE     (ENCLAVE_STACK_PAGE + ENCLAVE_STACK_PAGES)
#define ENCLAVE_THREAD_PAGES (ENCLAVE_BOX_PAGE + ENCLAVE_BOX_PAGES)
#define ENCLAVE_THREAD_SIZE  (ENCLAVE_THREAD_PAGES * SGX_PAGE_SIZE)

#define ENCLAVE_EDMM (1ULL << 0)

/* The measured page directly below the image. Numbers are bytes, addresses offsets in the enclave,
 * which are addresses as its base is 0. */
struct enclave_info {
    uint64_t magic;
    uint64_t flags; /* ENCLAVE_* */
    uint64_t size;
    uint64_t image, image_end;   /* page aligned */
    uint64_t threads;            /* blocks that the enclave has at start */
    uint64_t memory, memory_end; /* ENCLAVE_LOW and the address of this page */
    uint64_t manifest_size;      /* of the compiled manifest, which the host hands in */
    uint8_t manifest_sha256[32];
    uint8_t reserved[3992];
};
_Static_assert(sizeof(struct enclave_info) == SGX_PAGE_SIZE, "one page");

/* The block of thread `i`. */
static inline uint64_t enclave_thread_block(uint64_t size, uint64_t i)
{
    return size - (i + 1) * ENCLAVE_THREAD_SIZE;
}

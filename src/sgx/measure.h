/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * MRENCLAVE as a running computation (SDM 3D, "Measurement"; the pseudocode of ECREATE, EADD,
 * EEXTEND and EINIT). Feed the operations in the order in which the enclave is built.
 *
 * Offsets are in bytes from the enclave's base. Freestanding; keeps no pointers.
 */
#pragma once
#include "sgx/arch.h"
#include "crypto/crypto.h"

struct sgx_measure {
    struct sha256 hash;
};

/* ECREATE: starts the stream. `ssa_frame_size` in pages, `size` in bytes. */
void sgx_measure_create(struct sgx_measure *m, uint32_t ssa_frame_size, uint64_t size);

/* EADD of the page at `offset`: the first 48 bytes of the SECINFO enter. The caller has already
 * cleared R, W and X of a TCS page, as the processor does. */
void sgx_measure_add(struct sgx_measure *m, uint64_t offset, const struct sgx_secinfo *secinfo);

/* EEXTEND of the 256 bytes at `offset`. */
void sgx_measure_extend(struct sgx_measure *m, uint64_t offset, const void *chunk);

/* The sixteen EEXTENDs of a page, in order, as one run of the hash. */
void sgx_measure_extend_page(struct sgx_measure *m, uint64_t offset, const void *page);

/* EADD followed by sixteen EEXTENDs, as Linux measures a page. `flags` is SECINFO.FLAGS. */
void sgx_measure_page(struct sgx_measure *m, uint64_t offset, uint64_t flags, const void *page);

/* The digest so far; the stream may go on afterwards. */
void sgx_measure_digest(const struct sgx_measure *m, uint8_t mrenclave[SHA256_SIZE]);

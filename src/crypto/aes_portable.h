/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Bitsliced AES-128, four blocks at a time, without tables or branches on secrets. */
#pragma once
#include "kernels.h"

#define AES_PORTABLE_BATCH (4 * AES_BLOCK)

/* The key schedule: bit plane `b` of round key `r`, repeated for each of the four blocks. */
struct aes_portable_key {
    uint64_t plane[AES128_ROUNDS + 1][8];
};
_Static_assert(sizeof(struct aes_portable_key) <= AES_SCHEDULE_MAX, "schedule size");

void aes_portable_expand(struct aes_portable_key *k, const uint8_t key[16]);

/* Encrypts four independent blocks; `out` may equal `in`. */
void aes_portable_encrypt4(const struct aes_portable_key *k, const uint8_t in[AES_PORTABLE_BATCH],
                           uint8_t out[AES_PORTABLE_BATCH]);

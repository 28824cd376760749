/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The RSA check of EINIT: RSA-3072, exponent 3, PKCS #1 v1.5 with SHA-256, by multiplication
 * alone. With q1 = floor(s*s / n) and q2 = floor((s*s mod n) * s / n) the two remainders are
 * s*s - q1*n and (s*s - q1*n)*s - q2*n; both must lie in [0, n). Freestanding; public data only,
 * so not constant time.
 */
#pragma once
#include "sgx/arch.h"

/* All numbers little-endian, SGX_RSA_SIZE bytes. True when s^3 mod n is the PKCS #1 v1.5
 * encoding of the SHA-256 digest, and q1 and q2 are the right quotients. */
bool sgx_rsa3_verify(const uint8_t *modulus, const uint8_t *signature, const uint8_t *q1,
                     const uint8_t *q2, const uint8_t digest[32]);

/* Computes q1 and q2 of a signature. False when the modulus does not have 3072 bits or the
 * signature is not below it. */
bool sgx_rsa3_quotients(const uint8_t *modulus, const uint8_t *signature, uint8_t *q1, uint8_t *q2);

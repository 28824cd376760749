/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * SIGSTRUCT: the parts that need no private key. Freestanding.
 */
#pragma once
#include "sgx/arch.h"

/* Fills the constant fields (HEADER, HEADER2, EXPONENT) and zeroes the rest. */
void sgx_sigstruct_init(struct sgx_sigstruct *sig);

/* The checks that EINIT makes on the structure alone, in the manual's order: the constant and
 * reserved fields, then the RSA signature. Returns SGX_SUCCESS, SGX_INVALID_SIG_STRUCT or
 * SGX_INVALID_SIGNATURE. */
enum sgx_error sgx_sigstruct_check(const struct sgx_sigstruct *sig);

/* The constant and reserved fields alone. */
bool sgx_sigstruct_well_formed(const struct sgx_sigstruct *sig);

/* SHA-256 of the signed 256 bytes, and of the modulus (MRSIGNER). */
void sgx_sigstruct_digest(const struct sgx_sigstruct *sig, uint8_t digest[32]);
void sgx_sigstruct_mrsigner(const struct sgx_sigstruct *sig, uint8_t mrsigner[32]);

/* Sets DATE. Year 0..9999, month 0..12, day 0..31 (all zero: no date). */
void sgx_sigstruct_set_date(struct sgx_sigstruct *sig, unsigned year, unsigned month, unsigned day);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgx/sigstruct.h"
#include "sgx/rsa3.h"
#include "crypto/crypto.h"

static const uint8_t header[16] = {6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
static const uint8_t header2[16] = {1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0};
#define EXPONENT     3
#define VENDOR_INTEL 0x8086

static bool equal(const uint8_t *a, const uint8_t *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (a[i] != b[i])
            return false;
    }
    return true;
}

static bool zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i])
            return false;
    }
    return true;
}

void sgx_sigstruct_init(struct sgx_sigstruct *sig)
{
    *sig = (struct sgx_sigstruct){.exponent = EXPONENT};
    for (size_t i = 0; i < sizeof(header); i++) {
        sig->header[i] = header[i];
        sig->header2[i] = header2[i];
    }
}

bool sgx_sigstruct_well_formed(const struct sgx_sigstruct *sig)
{
    return equal(sig->header, header, sizeof(header)) &&
           (sig->vendor == 0 || sig->vendor == VENDOR_INTEL) &&
           equal(sig->header2, header2, sizeof(header2)) && sig->exponent == EXPONENT &&
           zero(sig->reserved1, sizeof(sig->reserved1)) &&
           zero(sig->reserved2, sizeof(sig->reserved2)) &&
           zero(sig->reserved3, sizeof(sig->reserved3)) &&
           zero(sig->reserved4, sizeof(sig->reserved4));
}

void sgx_sigstruct_digest(const struct sgx_sigstruct *sig, uint8_t digest[32])
{
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, sig, SGX_SIGSTRUCT_HEAD_SIZE);
    sha256_update(&hash, (const uint8_t *)sig + SGX_SIGSTRUCT_BODY_OFFSET, SGX_SIGSTRUCT_BODY_SIZE);
    sha256_final(&hash, digest);
}

void sgx_sigstruct_mrsigner(const struct sgx_sigstruct *sig, uint8_t mrsigner[32])
{
    sha256(sig->modulus, sizeof(sig->modulus), mrsigner);
}

enum sgx_error sgx_sigstruct_check(const struct sgx_sigstruct *sig)
{
    uint8_t digest[32];
    if (!sgx_sigstruct_well_formed(sig))
        return SGX_INVALID_SIG_STRUCT;
    sgx_sigstruct_digest(sig, digest);
    if (!sgx_rsa3_verify(sig->modulus, sig->signature, sig->q1, sig->q2, digest))
        return SGX_INVALID_SIGNATURE;
    return SGX_SUCCESS;
}

static uint8_t bcd(unsigned v)
{
    return (uint8_t)(v / 10 % 10 << 4 | v % 10);
}

void sgx_sigstruct_set_date(struct sgx_sigstruct *sig, unsigned year, unsigned month, unsigned day)
{
    sig->date[0] = bcd(day);
    sig->date[1] = bcd(month);
    sig->date[2] = bcd(year % 100);
    sig->date[3] = bcd(year / 100);
}

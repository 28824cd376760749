/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgx/rsa3.h"

#define LIMBS (SGX_RSA_SIZE / 8)

typedef unsigned __int128 u128;

static void load(uint64_t *limbs, const uint8_t *bytes)
{
    for (size_t i = 0; i < LIMBS; i++) {
        uint64_t v = 0;
        for (size_t b = 8; b-- > 0;)
            v = v << 8 | bytes[8 * i + b];
        limbs[i] = v;
    }
}

static void store(uint8_t *bytes, const uint64_t *limbs)
{
    for (size_t i = 0; i < SGX_RSA_SIZE; i++)
        bytes[i] = (uint8_t)(limbs[i / 8] >> (8 * (i % 8)));
}

static int compare(const uint64_t *a, const uint64_t *b, size_t n)
{
    for (size_t i = n; i-- > 0;) {
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    }
    return 0;
}

static void multiply(uint64_t out[2 * LIMBS], const uint64_t a[LIMBS], const uint64_t b[LIMBS])
{
    for (size_t i = 0; i < 2 * LIMBS; i++)
        out[i] = 0;
    for (size_t i = 0; i < LIMBS; i++) {
        uint64_t carry = 0;
        for (size_t j = 0; j < LIMBS; j++) {
            u128 t = (u128)a[i] * b[j] + out[i + j] + carry;
            out[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
        out[i + LIMBS] = carry;
    }
}

/* a -= b; returns the borrow. */
static uint64_t subtract(uint64_t *a, const uint64_t *b, size_t n)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < n; i++) {
        u128 t = (u128)a[i] - b[i] - borrow;
        a[i] = (uint64_t)t;
        borrow = (uint64_t)(t >> 64) & 1;
    }
    return borrow;
}

/* rest = a*b - q*n, provided that it lies in [0, n). */
static bool reduce(uint64_t rest[LIMBS], const uint64_t *a, const uint64_t *b, const uint64_t *q,
                   const uint64_t *n)
{
    uint64_t product[2 * LIMBS], multiple[2 * LIMBS];
    multiply(product, a, b);
    multiply(multiple, q, n);
    if (subtract(product, multiple, 2 * LIMBS))
        return false;
    for (size_t i = LIMBS; i < 2 * LIMBS; i++) {
        if (product[i])
            return false;
    }
    for (size_t i = 0; i < LIMBS; i++)
        rest[i] = product[i];
    return compare(rest, n, LIMBS) < 0;
}

/* EMSA-PKCS1-v1_5 (RFC 8017, 9.2) as a little-endian number. */
static void encode_digest(uint8_t em[SGX_RSA_SIZE], const uint8_t digest[32])
{
    static const uint8_t info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                   0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    uint8_t big[SGX_RSA_SIZE];
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = 0xff;
    big[0] = 0;
    big[1] = 1;
    size_t at = sizeof(big) - 32 - sizeof(info);
    big[at - 1] = 0;
    for (size_t i = 0; i < sizeof(info); i++)
        big[at + i] = info[i];
    for (size_t i = 0; i < 32; i++)
        big[at + sizeof(info) + i] = digest[i];
    for (size_t i = 0; i < sizeof(big); i++)
        em[i] = big[sizeof(big) - 1 - i];
}

bool sgx_rsa3_verify(const uint8_t *modulus, const uint8_t *signature, const uint8_t *q1,
                     const uint8_t *q2, const uint8_t digest[32])
{
    uint64_t n[LIMBS], s[LIMBS], q[LIMBS], square[LIMBS], cube[LIMBS];
    uint8_t em[SGX_RSA_SIZE];
    load(n, modulus);
    load(s, signature);
    if (!(n[LIMBS - 1] >> 63) || compare(s, n, LIMBS) >= 0)
        return false;
    load(q, q1);
    if (!reduce(square, s, s, q, n))
        return false;
    load(q, q2);
    if (!reduce(cube, square, s, q, n))
        return false;
    encode_digest(em, digest);
    load(q, em);
    return compare(cube, q, LIMBS) == 0;
}

/* quotient = floor(value / n), rest = value mod n, by binary long division. */
static void divide(uint64_t quotient[LIMBS], uint64_t rest[LIMBS], const uint64_t value[2 * LIMBS],
                   const uint64_t n[LIMBS])
{
    for (size_t i = 0; i < LIMBS; i++)
        quotient[i] = rest[i] = 0;
    for (size_t bit = 2 * LIMBS * 64; bit-- > 0;) {
        uint64_t carry = value[bit / 64] >> (bit % 64) & 1;
        for (size_t i = 0; i < LIMBS; i++) {
            uint64_t top = rest[i] >> 63;
            rest[i] = rest[i] << 1 | carry;
            carry = top;
        }
        bool one = carry || compare(rest, n, LIMBS) >= 0;
        if (one)
            subtract(rest, n, LIMBS);
        if (bit < LIMBS * 64)
            quotient[bit / 64] |= (uint64_t)one << (bit % 64);
    }
}

bool sgx_rsa3_quotients(const uint8_t *modulus, const uint8_t *signature, uint8_t *q1, uint8_t *q2)
{
    uint64_t n[LIMBS], s[LIMBS], product[2 * LIMBS], quotient[LIMBS], rest[LIMBS], scratch[LIMBS];
    load(n, modulus);
    load(s, signature);
    if (!(n[LIMBS - 1] >> 63) || compare(s, n, LIMBS) >= 0)
        return false;
    multiply(product, s, s);
    divide(quotient, rest, product, n);
    store(q1, quotient);
    multiply(product, rest, s);
    divide(quotient, scratch, product, n);
    store(q2, quotient);
    return true;
}

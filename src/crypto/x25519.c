/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* X25519 (RFC 7748): Montgomery ladder over 2^255 - 19 in five limbs of 51 bits, constant time. */
#include "crypto.h"
#include "kernels.h"

#define ERR_INVAL (-22)
#define LIMB_MASK (((uint64_t)1 << 51) - 1)
#define CURVE_A24 121665

typedef unsigned __int128 u128;

/* Limbs may exceed 51 bits between operations; each function says what it takes and leaves. */
typedef struct {
    uint64_t v[5];
} fe;

static void fe_load(fe *r, const uint8_t in[32])
{
    r->v[0] = load_le64(in) & LIMB_MASK;
    r->v[1] = (load_le64(in + 6) >> 3) & LIMB_MASK;
    r->v[2] = (load_le64(in + 12) >> 6) & LIMB_MASK;
    r->v[3] = (load_le64(in + 19) >> 1) & LIMB_MASK;
    r->v[4] = (load_le64(in + 24) >> 12) & LIMB_MASK; /* bit 255 is ignored (RFC 7748, section 5) */
}

/* Limbs below 2^52 in; writes the one representative below 2^255 - 19. */
static void fe_store(uint8_t out[32], const fe *a)
{
    uint64_t t[5];

    memcpy(t, a->v, sizeof(t));
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 4; i++) {
            t[i + 1] += t[i] >> 51;
            t[i] &= LIMB_MASK;
        }
        t[0] += 19 * (t[4] >> 51);
        t[4] &= LIMB_MASK;
    }
    /* q = 1 exactly when t + 19 reaches 2^255, that is when t >= 2^255 - 19: then t - p = t + 19 -
     * 2^255. */
    uint64_t q = (t[0] + 19) >> 51;
    for (int i = 1; i < 5; i++)
        q = (t[i] + q) >> 51;
    t[0] += 19 * q;
    for (int i = 0; i < 4; i++) {
        t[i + 1] += t[i] >> 51;
        t[i] &= LIMB_MASK;
    }
    t[4] &= LIMB_MASK;

    store_le64(out, t[0] | t[1] << 51);
    store_le64(out + 8, t[1] >> 13 | t[2] << 38);
    store_le64(out + 16, t[2] >> 26 | t[3] << 25);
    store_le64(out + 24, t[3] >> 39 | t[4] << 12);
    crypto_wipe(t, sizeof(t));
}

/* Limbs below 2^52 in, below 2^53 out. */
static inline void fe_add(fe *r, const fe *a, const fe *b)
{
    for (int i = 0; i < 5; i++)
        r->v[i] = a->v[i] + b->v[i];
}

/* a - b + 4p, so that no limb goes below zero. Limbs below 2^52 in, below 1.5 * 2^53 out. */
static inline void fe_sub(fe *r, const fe *a, const fe *b)
{
    r->v[0] = a->v[0] + 4 * (LIMB_MASK - 18) - b->v[0];
    for (int i = 1; i < 5; i++)
        r->v[i] = a->v[i] + 4 * LIMB_MASK - b->v[i];
}

/* Carries a product's columns (each below 2^115) into limbs below 2^52. */
static inline void fe_carry(fe *r, u128 t[5])
{
    for (int i = 0; i < 4; i++) {
        t[i + 1] += (uint64_t)(t[i] >> 51);
        r->v[i] = (uint64_t)t[i] & LIMB_MASK;
    }
    u128 top = (u128)(uint64_t)(t[4] >> 51) * 19 + r->v[0];
    r->v[4] = (uint64_t)t[4] & LIMB_MASK;
    r->v[0] = (uint64_t)top & LIMB_MASK;
    r->v[1] += (uint64_t)(top >> 51);
}

/* Limbs below 1.5 * 2^53 in (what fe_sub leaves), below 2^52 out. */
static void fe_mul(fe *r, const fe *x, const fe *y)
{
    const uint64_t *a = x->v, *b = y->v;
    uint64_t b1 = 19 * b[1], b2 = 19 * b[2], b3 = 19 * b[3], b4 = 19 * b[4];
    u128 t[5];

    t[0] =
        (u128)a[0] * b[0] + (u128)a[1] * b4 + (u128)a[2] * b3 + (u128)a[3] * b2 + (u128)a[4] * b1;
    t[1] =
        (u128)a[0] * b[1] + (u128)a[1] * b[0] + (u128)a[2] * b4 + (u128)a[3] * b3 + (u128)a[4] * b2;
    t[2] = (u128)a[0] * b[2] + (u128)a[1] * b[1] + (u128)a[2] * b[0] + (u128)a[3] * b4 +
           (u128)a[4] * b3;
    t[3] = (u128)a[0] * b[3] + (u128)a[1] * b[2] + (u128)a[2] * b[1] + (u128)a[3] * b[0] +
           (u128)a[4] * b4;
    t[4] = (u128)a[0] * b[4] + (u128)a[1] * b[3] + (u128)a[2] * b[2] + (u128)a[3] * b[1] +
           (u128)a[4] * b[0];
    fe_carry(r, t);
}

static void fe_square(fe *r, const fe *x, int times)
{
    fe_mul(r, x, x);
    while (--times > 0)
        fe_mul(r, r, r);
}

static void fe_mul_small(fe *r, const fe *a, uint64_t n)
{
    u128 t[5];

    for (int i = 0; i < 5; i++)
        t[i] = (u128)a->v[i] * n;
    fe_carry(r, t);
}

/* a^(p - 2) = 1/a; the exponent 2^255 - 21 in 254 squarings and 11 multiplications. */
static void fe_invert(fe *r, const fe *a)
{
    fe a2, a9, a11, e5, e10, e20, e50, e100, t; /* eN = a^(2^N - 1) */

    fe_square(&a2, a, 1);
    fe_square(&t, &a2, 2);
    fe_mul(&a9, &t, a);
    fe_mul(&a11, &a9, &a2);
    fe_square(&t, &a11, 1);
    fe_mul(&e5, &t, &a9);
    fe_square(&t, &e5, 5);
    fe_mul(&e10, &t, &e5);
    fe_square(&t, &e10, 10);
    fe_mul(&e20, &t, &e10);
    fe_square(&t, &e20, 20);
    fe_mul(&t, &t, &e20);
    fe_square(&t, &t, 10);
    fe_mul(&e50, &t, &e10);
    fe_square(&t, &e50, 50);
    fe_mul(&e100, &t, &e50);
    fe_square(&t, &e100, 100);
    fe_mul(&t, &t, &e100);
    fe_square(&t, &t, 50);
    fe_mul(&t, &t, &e50);
    fe_square(&t, &t, 5);
    fe_mul(r, &t, &a11);
}

static void fe_swap(fe *a, fe *b, uint64_t swap)
{
    for (int i = 0; i < 5; i++) {
        uint64_t t = -swap & (a->v[i] ^ b->v[i]);
        a->v[i] ^= t;
        b->v[i] ^= t;
    }
}

struct ladder {
    fe x1, x2, z2, x3, z3;
    fe a, aa, b, bb, e, c, d;
};

/* One step: (x2:z2) is doubled, (x3:z3) becomes the sum of the two (RFC 7748, section 5). */
static void ladder_step(struct ladder *l)
{
    fe_add(&l->a, &l->x2, &l->z2);
    fe_sub(&l->b, &l->x2, &l->z2);
    fe_add(&l->c, &l->x3, &l->z3);
    fe_sub(&l->d, &l->x3, &l->z3);
    fe_mul(&l->d, &l->d, &l->a);
    fe_mul(&l->c, &l->c, &l->b);
    fe_square(&l->aa, &l->a, 1);
    fe_square(&l->bb, &l->b, 1);
    fe_add(&l->x3, &l->d, &l->c);
    fe_square(&l->x3, &l->x3, 1);
    fe_sub(&l->z3, &l->d, &l->c);
    fe_square(&l->z3, &l->z3, 1);
    fe_mul(&l->z3, &l->z3, &l->x1);
    fe_mul(&l->x2, &l->aa, &l->bb);
    fe_sub(&l->e, &l->aa, &l->bb);
    fe_mul_small(&l->z2, &l->e, CURVE_A24);
    fe_add(&l->z2, &l->z2, &l->aa);
    fe_mul(&l->z2, &l->z2, &l->e);
}

static __attribute__((noinline)) int multiply(uint8_t out[32], const uint8_t scalar[32],
                                              const uint8_t point[32])
{
    struct ladder l = {.x2.v[0] = 1, .z3.v[0] = 1};
    static const uint8_t zero[32];
    uint8_t k[32];
    uint64_t swap = 0;

    memcpy(k, scalar, sizeof(k));
    k[0] &= 248;
    k[31] = (k[31] & 127) | 64;
    fe_load(&l.x1, point);
    l.x3 = l.x1;
    for (int i = 254; i >= 0; i--) {
        uint64_t bit = (k[i / 8] >> (i % 8)) & 1;
        fe_swap(&l.x2, &l.x3, swap ^ bit);
        fe_swap(&l.z2, &l.z3, swap ^ bit);
        swap = bit;
        ladder_step(&l);
    }
    fe_swap(&l.x2, &l.x3, swap);
    fe_swap(&l.z2, &l.z3, swap);
    fe_invert(&l.z2, &l.z2);
    fe_mul(&l.x2, &l.x2, &l.z2);
    fe_store(out, &l.x2);
    crypto_wipe(&l, sizeof(l));
    crypto_wipe(k, sizeof(k));
    /* Without "?:", for which gcc 14 makes a jump: 0 where any bit is set. */
    return (crypto_differs(out, zero, sizeof(zero)) - 1) & ERR_INVAL;
}

int x25519(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32])
{
    int ret = multiply(out, scalar, point);

    wipe_stack();
    return ret;
}

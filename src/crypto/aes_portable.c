/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "aes_portable.h"
#include "crypto.h"

/*
 * State: eight 64-bit planes. Bit i of plane b is bit b of byte i, where i = 16 * block + 4 *
 * column
 * + row, so that ShiftRows moves bits within 16-bit groups and MixColumns within groups of four.
 */

/* Swaps the bits of `a` under `mask << shift` with those of `b` under `mask`. */
static inline void swap_move(uint64_t *a, uint64_t *b, uint64_t mask, unsigned shift)
{
    uint64_t t = ((*a >> shift) ^ *b) & mask;
    *b ^= t;
    *a ^= t << shift;
}

/* Transposes the 8x8 bytes, then the 8x8 bits of every word: bytes to planes. */
static void to_planes(uint64_t q[8], const uint8_t in[AES_PORTABLE_BATCH])
{
    for (int i = 0; i < 8; i++)
        q[i] = load_le64(in + 8 * i);
    for (int i = 0; i < 8; i++) {
        uint64_t x = q[i];
        uint64_t t = (x ^ (x >> 7)) & 0x00aa00aa00aa00aa;
        x ^= t ^ (t << 7);
        t = (x ^ (x >> 14)) & 0x0000cccc0000cccc;
        x ^= t ^ (t << 14);
        t = (x ^ (x >> 28)) & 0x00000000f0f0f0f0;
        q[i] = x ^ t ^ (t << 28);
    }
    for (int i = 0; i < 4; i++)
        swap_move(&q[i], &q[i + 4], 0x00000000ffffffff, 32);
    for (int i = 0; i < 8; i += i & 1 ? 3 : 1)
        swap_move(&q[i], &q[i + 2], 0x0000ffff0000ffff, 16);
    for (int i = 0; i < 8; i += 2)
        swap_move(&q[i], &q[i + 1], 0x00ff00ff00ff00ff, 8);
}

static void from_planes(uint8_t out[AES_PORTABLE_BATCH], uint64_t q[8])
{
    for (int i = 0; i < 8; i += 2)
        swap_move(&q[i], &q[i + 1], 0x00ff00ff00ff00ff, 8);
    for (int i = 0; i < 8; i += i & 1 ? 3 : 1)
        swap_move(&q[i], &q[i + 2], 0x0000ffff0000ffff, 16);
    for (int i = 0; i < 4; i++)
        swap_move(&q[i], &q[i + 4], 0x00000000ffffffff, 32);
    for (int i = 0; i < 8; i++) {
        uint64_t x = q[i];
        uint64_t t = (x ^ (x >> 28)) & 0x00000000f0f0f0f0;
        x ^= t ^ (t << 28);
        t = (x ^ (x >> 14)) & 0x0000cccc0000cccc;
        x ^= t ^ (t << 14);
        t = (x ^ (x >> 7)) & 0x00aa00aa00aa00aa;
        store_le64(out + 8 * i, x ^ t ^ (t << 7));
    }
}

/* The S-box on all bytes at once: Boyar and Peralta's circuit (a depth-16 circuit for the AES
 * S-box, 2011); u[] and s[] there count from the most significant bit. */
static void sub_bytes(uint64_t q[8])
{
    uint64_t u0 = q[7], u1 = q[6], u2 = q[5], u3 = q[4], u4 = q[3], u5 = q[2], u6 = q[1], u7 = q[0];

    uint64_t y14 = u3 ^ u5, y13 = u0 ^ u6, y9 = u0 ^ u3, y8 = u0 ^ u5;
    uint64_t t0 = u1 ^ u2, y1 = t0 ^ u7, y4 = y1 ^ u3, y12 = y13 ^ y14;
    uint64_t y2 = y1 ^ u0, y5 = y1 ^ u6, y3 = y5 ^ y8, t1 = u4 ^ y12;
    uint64_t y15 = t1 ^ u5, y20 = t1 ^ u1, y6 = y15 ^ u7, y10 = y15 ^ t0;
    uint64_t y11 = y20 ^ y9, y7 = u7 ^ y11, y17 = y10 ^ y11, y19 = y10 ^ y8;
    uint64_t y16 = t0 ^ y11, y21 = y13 ^ y16, y18 = u0 ^ y16;

    uint64_t t2 = y12 & y15, t4 = (y3 & y6) ^ t2, t6 = (y4 & u7) ^ t2;
    uint64_t t7 = y13 & y16, t9 = (y5 & y1) ^ t7, t11 = (y2 & y7) ^ t7;
    uint64_t t12 = y9 & y11, t14 = (y14 & y17) ^ t12, t16 = (y8 & y10) ^ t12;
    uint64_t t21 = t4 ^ t14 ^ y20, t22 = t6 ^ t16 ^ y19;
    uint64_t t23 = t9 ^ t14 ^ y21, t24 = t11 ^ t16 ^ y18;

    uint64_t t25 = t21 ^ t22, t26 = t21 & t23, t27 = t24 ^ t26;
    uint64_t t29 = (t25 & t27) ^ t22, t30 = t23 ^ t24, t31 = t22 ^ t26;
    uint64_t t33 = (t31 & t30) ^ t24, t34 = t23 ^ t33, t35 = t27 ^ t33;
    uint64_t t36 = t24 & t35, t37 = t36 ^ t34, t38 = t27 ^ t36;
    uint64_t t40 = t25 ^ (t29 & t38), t41 = t40 ^ t37, t42 = t29 ^ t33;
    uint64_t t43 = t29 ^ t40, t44 = t33 ^ t37, t45 = t42 ^ t41;

    uint64_t z0 = t44 & y15, z1 = t37 & y6, z2 = t33 & u7, z3 = t43 & y16, z4 = t40 & y1;
    uint64_t z5 = t29 & y7, z6 = t42 & y11, z7 = t45 & y17, z8 = t41 & y10, z9 = t44 & y12;
    uint64_t z10 = t37 & y3, z11 = t33 & y4, z12 = t43 & y13, z13 = t40 & y5, z14 = t29 & y2;
    uint64_t z15 = t42 & y9, z16 = t45 & y14, z17 = t41 & y8;

    uint64_t t46 = z15 ^ z16, t47 = z10 ^ z11, t48 = z5 ^ z13, t49 = z9 ^ z10;
    uint64_t t50 = z2 ^ z12, t51 = z2 ^ z5, t52 = z7 ^ z8, t53 = z0 ^ z3;
    uint64_t t54 = z6 ^ z7, t55 = z16 ^ z17, t56 = z12 ^ t48, t57 = t50 ^ t53;
    uint64_t t58 = z4 ^ t46, t59 = z3 ^ t54, t60 = t46 ^ t57, t61 = z14 ^ t57;
    uint64_t t62 = t52 ^ t58, t63 = t49 ^ t58, t64 = z4 ^ t59, t65 = t61 ^ t62;
    uint64_t t66 = z1 ^ t63, t67 = t64 ^ t65, s3 = t53 ^ t66;

    q[7] = t59 ^ t63;
    q[6] = t64 ^ ~s3;
    q[5] = t55 ^ ~t67;
    q[4] = s3;
    q[3] = t51 ^ t66;
    q[2] = t47 ^ t65;
    q[1] = t56 ^ ~t62;
    q[0] = t48 ^ ~t60;
}

static void shift_rows(uint64_t q[8])
{
    for (int b = 0; b < 8; b++) {
        uint64_t x = q[b];
        q[b] = (x & 0x1111111111111111) | ((x >> 4) & 0x0222022202220222) |
               ((x << 12) & 0x2000200020002000) | ((x >> 8) & 0x0044004400440044) |
               ((x << 8) & 0x4400440044004400) | ((x >> 12) & 0x0008000800080008) |
               ((x << 4) & 0x8880888088808880);
    }
}

/* Row r takes the value of row r + n of the same column. */
static inline uint64_t rotate_rows1(uint64_t x)
{
    return ((x >> 1) & 0x7777777777777777) | ((x << 3) & 0x8888888888888888);
}

static inline uint64_t rotate_rows2(uint64_t x)
{
    return ((x >> 2) & 0x3333333333333333) | ((x << 2) & 0xcccccccccccccccc);
}

/* b[r] = 2 * (a[r] + a[r+1]) + a[r+1] + a[r+2] + a[r+3] in GF(2^8) mod x^8 + x^4 + x^3 + x + 1. */
static void mix_columns(uint64_t q[8])
{
    uint64_t next[8], sum[8];

    for (int b = 0; b < 8; b++) {
        next[b] = rotate_rows1(q[b]);
        sum[b] = q[b] ^ next[b];
    }
    for (int b = 0; b < 8; b++) {
        uint64_t twice = b ? sum[b - 1] : sum[7];
        if (b == 1 || b == 3 || b == 4)
            twice ^= sum[7];
        q[b] = twice ^ next[b] ^ rotate_rows2(sum[b]);
    }
}

static void add_round_key(uint64_t q[8], const uint64_t k[8])
{
    for (int b = 0; b < 8; b++)
        q[b] ^= k[b];
}

static uint32_t sub_word(uint32_t w)
{
    uint8_t bytes[AES_PORTABLE_BATCH] = {0};
    uint64_t q[8];

    memcpy(bytes, &w, sizeof(w));
    to_planes(q, bytes);
    sub_bytes(q);
    from_planes(bytes, q);
    memcpy(&w, bytes, sizeof(w));
    crypto_wipe(q, sizeof(q));
    crypto_wipe(bytes, sizeof(bytes));
    return w;
}

void aes_portable_expand(struct aes_portable_key *k, const uint8_t key[16])
{
    uint32_t w[4], rcon = 1;
    uint8_t batch[AES_PORTABLE_BATCH];

    memcpy(w, key, sizeof(w));
    for (int r = 0; r <= AES128_ROUNDS; r++) {
        for (int i = 0; i < 4; i++)
            memcpy(batch + 16 * i, w, sizeof(w));
        to_planes(k->plane[r], batch);

        /* Words are little-endian here: rotating left by a byte is a right rotation of the word. */
        w[0] ^= sub_word((w[3] >> 8) | (w[3] << 24)) ^ rcon;
        w[1] ^= w[0];
        w[2] ^= w[1];
        w[3] ^= w[2];
        rcon = (rcon << 1) ^ ((rcon >> 7) * 0x11b);
    }
    crypto_wipe(w, sizeof(w));
    crypto_wipe(batch, sizeof(batch));
}

void aes_portable_encrypt4(const struct aes_portable_key *k, const uint8_t in[AES_PORTABLE_BATCH],
                           uint8_t out[AES_PORTABLE_BATCH])
{
    uint64_t q[8];

    to_planes(q, in);
    add_round_key(q, k->plane[0]);
    for (int r = 1; r < AES128_ROUNDS; r++) {
        sub_bytes(q);
        shift_rows(q);
        mix_columns(q);
        add_round_key(q, k->plane[r]);
    }
    sub_bytes(q);
    shift_rows(q);
    add_round_key(q, k->plane[AES128_ROUNDS]);
    from_planes(out, q);
    crypto_wipe(q, sizeof(q));
}

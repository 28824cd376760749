/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * AES-128-GCM, counter mode and GHASH stitched into one loop, for any vector width. The including
 * file defines `vec`, LANES (128-bit blocks in a vec), BATCH (vecs per turn of the loop),
 * SPILL_BYTES (no less than the stack that gcm_run() takes) and the v_*() functions, and names its
 * entry point GCM_NAME.
 *
 * A message with a key of its own is the case that matters (each 4 KiB block of an encrypted file
 * has one): so the set-up is short, everything in it can overlap with the first batches, and
 * nothing is kept between calls.
 *
 * GHASH blocks are held byte-reversed. The table holds H^i * x instead of H^i, which saves the
 * shift that bit-reflected products need (Gueron and Kounavis, Intel's white paper on GCM).
 */
#include "x86.h"

#define VEC_BYTES   (16 * LANES)
#define BLOCKS      (LANES * BATCH)
#define BATCH_BYTES (16 * BLOCKS)

struct gcm_state {
    vec power[BATCH + 1]; /* H^BLOCKS ... H^1, one lane each, in this order; then one of padding */
    vec round_key[AES128_ROUNDS + 1];
    vec counter; /* of the next LANES blocks, byte-reversed */
    __m128i y;
    __m128i tag_mask;
};

struct product {
    vec low, middle, high;
};

#define v_reverse(v) v_shuffle8(v, v_broadcast(REVERSE))
#define REVERSE      _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
/* A byte-reversed counter block has its counter in its lowest 32 bits. */
#define v_step() v_broadcast(_mm_set_epi32(0, 0, 0, LANES))

#ifndef v_load_part
/* For n < VEC_BYTES: the first n bytes, then zeros. */
INLINE vec v_load_part(const uint8_t *p, size_t n)
{
    uint8_t buf[VEC_BYTES] = {0};

    memcpy(buf, p, n);
    return v_load(buf);
}

INLINE vec v_keep_part(vec v, size_t n)
{
    uint8_t buf[VEC_BYTES];

    v_store(buf, v);
    memset(buf + n, 0, VEC_BYTES - n);
    return v_load(buf);
}

INLINE void v_store_part(uint8_t *p, vec v, size_t n)
{
    uint8_t buf[VEC_BYTES];

    v_store(buf, v);
    memcpy(p, buf, n);
}
#endif

INLINE __m128i reverse128(__m128i v)
{
    return _mm_shuffle_epi8(v, REVERSE);
}

INLINE void multiply_add(struct product *p, vec a, vec b)
{
    p->low ^= v_clmul(a, b, 0x00);
    p->middle = v_xor3(p->middle, v_clmul(a, b, 0x01), v_clmul(a, b, 0x10));
    p->high ^= v_clmul(a, b, 0x11);
}

/* Two products at once: three-operand XORs then save two additions. */
INLINE void multiply_add2(struct product *p, const vec a[2], const vec b[2])
{
    p->low = v_xor3(p->low, v_clmul(a[0], b[0], 0x00), v_clmul(a[1], b[1], 0x00));
    p->middle = v_xor3(p->middle, v_clmul(a[0], b[0], 0x01), v_clmul(a[0], b[0], 0x10));
    p->middle = v_xor3(p->middle, v_clmul(a[1], b[1], 0x01), v_clmul(a[1], b[1], 0x10));
    p->high = v_xor3(p->high, v_clmul(a[0], b[0], 0x11), v_clmul(a[1], b[1], 0x11));
}

/* Modulo x^128 + x^127 + x^126 + x^121 + 1 (GCM's polynomial, reflected), lane by lane: twice the
 * lowest 64 bits are folded upwards. */
INLINE vec reduce(struct product p)
{
    vec poly = v_set64(0xc200000000000000);
    vec middle = v_xor3(p.middle, v_swap64(p.low), v_clmul(p.low, poly, 0x00));

    return v_xor3(p.high, v_swap64(middle), v_clmul(middle, poly, 0x00));
}

INLINE __m128i multiply128(__m128i a, __m128i b)
{
    const __m128i poly = _mm_set1_epi64x((long long)0xc200000000000000);
    __m128i low = _mm_clmulepi64_si128(a, b, 0x00);
    __m128i high = _mm_clmulepi64_si128(a, b, 0x11);
    __m128i middle = _mm_clmulepi64_si128(a, b, 0x01) ^ _mm_clmulepi64_si128(a, b, 0x10);

    middle ^= _mm_shuffle_epi32(low, 0x4e);
    middle ^= _mm_clmulepi64_si128(low, poly, 0x00);
    high ^= _mm_shuffle_epi32(middle, 0x4e);
    return high ^ _mm_clmulepi64_si128(middle, poly, 0x00);
}

/* H * x: a shift by one bit, reduced. */
INLINE __m128i multiply_x(__m128i h)
{
    const __m128i poly = _mm_set_epi64x((long long)0xc200000000000000, 1);
    __m128i carry = _mm_shuffle_epi32(_mm_srai_epi32(h, 31), 0xff);
    __m128i across = _mm_slli_si128(_mm_srli_epi64(h, 63), 8);

    h = _mm_or_si128(_mm_slli_epi64(h, 1), across);
    return h ^ _mm_and_si128(carry, poly);
}

/* The next batch of counter blocks, with the first round key added. While the lowest byte does not
 * overflow, they are made in memory order. */
INLINE void next_counters(struct gcm_state *s, vec b[BATCH])
{
    vec first = v_reverse(s->counter), step = v_broadcast(_mm_set_epi32(LANES << 24, 0, 0, 0));

    if ((_mm_cvtsi128_si32(v_first(s->counter)) & 0xff) <= 256 - BLOCKS) {
#pragma GCC unroll 16
        for (int i = 0; i < BATCH; i++) {
            b[i] = first ^ s->round_key[0];
            first = v_add32(first, step);
        }
        s->counter = v_add32(s->counter, v_broadcast(_mm_set_epi32(0, 0, 0, BLOCKS)));
        return;
    }
#pragma GCC unroll 16
    for (int i = 0; i < BATCH; i++) {
        b[i] = v_reverse(s->counter) ^ s->round_key[0];
        s->counter = v_add32(s->counter, v_step());
    }
}

INLINE vec encrypt_counter(struct gcm_state *s)
{
    vec b = v_reverse(s->counter) ^ s->round_key[0];

    s->counter = v_add32(s->counter, v_step());
#pragma GCC unroll 16
    for (int r = 1; r < AES128_ROUNDS; r++)
        b = v_aesenc(b, s->round_key[r]);
    return v_aesenclast(b, s->round_key[AES128_ROUNDS]);
}

/* From the lowest `have` vecs of the table computes as many above them. */
INLINE void double_powers(struct gcm_state *s, const int have)
{
    vec factor = v_broadcast(v_first(s->power[BATCH - have]));

#pragma GCC unroll 16
    for (int i = 1; i <= have; i++) {
        struct product p = {0};
        multiply_add(&p, s->power[BATCH - i], factor);
        s->power[BATCH - have - i] = reduce(p);
    }
}

/* Fills the table with the first `blocks` powers of H at least. */
INLINE void compute_powers(struct gcm_state *s, __m128i h, size_t blocks)
{
    _Static_assert(BATCH == 8, "three doublings");
    s->power[BATCH] = (vec){0};
    s->power[BATCH - 1] = v_powers(h);
    if (blocks > 1 * LANES)
        double_powers(s, 1);
    if (blocks > 2 * LANES)
        double_powers(s, 2);
    if (blocks > 4 * LANES)
        double_powers(s, 4);
}

INLINE void gcm_start(struct gcm_state *s, const struct gcm_job *job)
{
    __m128i rk[AES128_ROUNDS + 1], h = _mm_setzero_si128(), iv, mask;

    aes128_schedule(rk, job->key);
    iv = _mm_loadl_epi64((const void *)job->iv);
    iv = _mm_insert_epi32(iv, (int)load_le32(job->iv + 8), 2);
    mask = _mm_insert_epi32(iv, 0x01000000, 3);
    s->counter =
        v_add32(v_broadcast(reverse128(_mm_insert_epi32(iv, 0x02000000, 3))), v_lane_numbers());
    h ^= rk[0];
    mask ^= rk[0];
#pragma GCC unroll 16
    for (int r = 1; r < AES128_ROUNDS; r++) {
        h = _mm_aesenc_si128(h, rk[r]);
        mask = _mm_aesenc_si128(mask, rk[r]);
    }
    h = _mm_aesenclast_si128(h, rk[AES128_ROUNDS]);
    s->tag_mask = _mm_aesenclast_si128(mask, rk[AES128_ROUNDS]);
#pragma GCC unroll 16
    for (int r = 0; r <= AES128_ROUNDS; r++)
        s->round_key[r] = v_broadcast(rk[r]);
    s->y = _mm_setzero_si128();
    compute_powers(s, multiply_x(reverse128(h)), (job->aad_len + 15) / 16 + job->len / 16 + 2);
}

/* The powers that a run of `blocks` blocks starts with. */
INLINE const uint8_t *powers_for(const struct gcm_state *s, size_t blocks)
{
    return (const uint8_t *)s->power + 16 * (BLOCKS - blocks);
}

static void gcm_hash_aad(struct gcm_state *s, const uint8_t *aad, size_t len)
{
    while (len) {
        size_t n = len < BATCH_BYTES ? len : BATCH_BYTES;
        const uint8_t *power = powers_for(s, (n + 15) / 16);
        struct product p = {0};
        vec y = v_from_first(s->y);

        len -= n;
        while (n) {
            size_t part = n < VEC_BYTES ? n : VEC_BYTES;
            vec x = part == VEC_BYTES ? v_load(aad) : v_load_part(aad, part);
            multiply_add(&p, v_reverse(x) ^ y, v_load(power));
            y = (vec){0};
            aad += part;
            power += part;
            n -= part;
        }
        s->y = v_fold(reduce(p));
    }
}

/* Encrypts or decrypts one batch; meanwhile hashes the batch before it, `pending`, and leaves there
 * this batch's ciphertext. */
INLINE void gcm_batch(struct gcm_state *s, const uint8_t *in, uint8_t *out, vec pending[BATCH],
                      bool hash, bool decrypt)
{
    struct product p = {0};
    vec b[BATCH];

    next_counters(s, b);
    if (hash)
        pending[0] ^= v_from_first(s->y);
#pragma GCC unroll 16
    for (int r = 1; r < AES128_ROUNDS; r++) {
        vec rk = s->round_key[r];
#pragma GCC unroll 16
        for (int i = 0; i < BATCH; i++)
            b[i] = v_aesenc(b[i], rk);
        if (hash && r % 2 == 0)
            multiply_add2(&p, pending + r - 2, s->power + r - 2);
    }
    vec last = s->round_key[AES128_ROUNDS];
#pragma GCC unroll 16
    for (int i = 0; i < BATCH; i++) {
        vec text = v_load(in + VEC_BYTES * i);
        b[i] = v_aesenclast(b[i], last ^ text);
        v_store(out + VEC_BYTES * i, b[i]);
        pending[i] = v_reverse(decrypt ? text : b[i]);
    }
    if (hash)
        s->y = v_fold(reduce(p));
}

INLINE void gcm_hash_pending(struct gcm_state *s, vec pending[BATCH])
{
    struct product p = {0};

    pending[0] ^= v_from_first(s->y);
#pragma GCC unroll 16
    for (int i = 0; i < BATCH; i += 2)
        multiply_add2(&p, pending + i, s->power + i);
    s->y = v_fold(reduce(p));
}

/* The last, incomplete batch and the block of lengths: one run of blocks for GHASH. */
INLINE void gcm_finish(struct gcm_state *s, const struct gcm_job *job, size_t done, bool decrypt)
{
    size_t len = job->len - done, blocks = (len + 15) / 16;
    bool full = blocks == BLOCKS; /* with a last block that is not: the lengths are a run of one */
    const uint8_t *power = powers_for(s, full ? blocks : blocks + 1), *in = job->in + done;
    uint8_t *out = job->out + done;
    struct product p = {0};
    vec y = v_from_first(s->y), text, result, lengths;

    while (len >= VEC_BYTES) {
        text = v_load(in);
        result = text ^ encrypt_counter(s);
        v_store(out, result);
        multiply_add(&p, v_reverse(decrypt ? text : result) ^ y, v_load(power));
        y = (vec){0};
        in += VEC_BYTES;
        out += VEC_BYTES;
        power += VEC_BYTES;
        len -= VEC_BYTES;
    }
    if (len) {
        text = v_load_part(in, len);
        result = v_keep_part(text ^ encrypt_counter(s), len);
        v_store_part(out, result, len);
        multiply_add(&p, v_reverse(decrypt ? text : result) ^ y, v_load(power));
        y = (vec){0};
    }
    if (full) {
        y = v_from_first(v_fold(reduce(p)));
        p = (struct product){0};
    }
    lengths = v_from_first(_mm_set_epi64x((long long)job->aad_len * 8, (long long)job->len * 8));
    multiply_add(&p, lengths ^ y, v_from_first(load128(powers_for(s, 1))));
    s->y = v_fold(reduce(p));
}

INLINE void gcm_text(struct gcm_state *s, const struct gcm_job *job, bool decrypt)
{
    size_t done = 0;
    vec pending[BATCH];

    if (job->len >= BATCH_BYTES) {
        gcm_batch(s, job->in, job->out, pending, false, decrypt);
        for (done = BATCH_BYTES; job->len - done >= BATCH_BYTES; done += BATCH_BYTES)
            gcm_batch(s, job->in + done, job->out + done, pending, true, decrypt);
        gcm_hash_pending(s, pending);
    }
    gcm_finish(s, job, done, decrypt);
}

static __attribute__((noinline)) void gcm_run(struct gcm_state *s, const struct gcm_job *job,
                                              uint8_t tag[16])
{
    gcm_start(s, job);
    if (job->aad_len)
        gcm_hash_aad(s, job->aad, job->aad_len);
    if (job->decrypt)
        gcm_text(s, job, true);
    else
        gcm_text(s, job, false);
    store128(tag, s->tag_mask ^ reverse128(s->y));
}

/* Overwrites what gcm_run() may have left on the stack below its caller. */
static __attribute__((noinline)) void gcm_wipe_spills(void)
{
    vec spills[SPILL_BYTES / sizeof(vec)];

#pragma GCC unroll 80
    for (size_t i = 0; i < sizeof(spills) / sizeof(vec); i++)
        spills[i] = (vec){0};
    __asm__ volatile("" : : "r"(spills) : "memory");
}

void GCM_NAME(const struct gcm_job *job, uint8_t tag[16])
{
    struct gcm_state s;

    gcm_run(&s, job, tag);
    gcm_wipe_spills();
#pragma GCC unroll 80
    for (size_t i = 0; i < sizeof(s) / sizeof(vec); i++)
        ((vec *)&s)[i] = (vec){0};
    __asm__ volatile("" : : "r"(&s) : "memory");
    v_wipe_registers();
}

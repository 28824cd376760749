/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* AES-GCM, CBC-MAC for CPUs without the instructions for them: constant time, general registers. */
#include "aes_portable.h"
#include "crypto.h"

typedef unsigned __int128 u128;

struct ghash {
    uint64_t h[2]; /* big-endian halves: [0] is the more significant one */
    uint64_t y[2];
};

/*
 * Carry-less 64x64 multiplication by integer multiplication: of each operand take every fifth bit,
 * so that the at most 13 products that meet in one position cannot carry into the next used one.
 */
static u128 clmul64(uint64_t a, uint64_t b)
{
    const uint64_t fifth = 0x1084210842108421;
    u128 sum[5] = {0}, result = 0;

    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++)
            sum[(i + j) % 5] ^= (u128)(a & (fifth << i)) * (b & (fifth << j));
    for (int i = 0; i < 5; i++) {
        u128 mask = (u128)fifth | (u128)fifth << 65;
        result |= sum[i] & (mask << i);
    }
    return result;
}

/* y = y * h in GCM's bit-reflected field: the product's 255 bits are shifted up by one, then the
 * low half is folded into the high half modulo x^128 + x^7 + x^2 + x + 1. */
static void ghash_multiply(struct ghash *g)
{
    u128 high = clmul64(g->y[0], g->h[0]);
    u128 low = clmul64(g->y[1], g->h[1]);
    u128 middle = clmul64(g->y[0] ^ g->y[1], g->h[0] ^ g->h[1]) ^ high ^ low;

    high ^= middle >> 64;
    low ^= middle << 64;
    uint64_t x3 = high >> 64, x2 = high, x1 = low >> 64, x0 = low;
    x3 = x3 << 1 | x2 >> 63;
    x2 = x2 << 1 | x1 >> 63;
    x1 = x1 << 1 | x0 >> 63;
    x0 <<= 1;

    x1 ^= x0 << 63 ^ x0 << 62 ^ x0 << 57;
    x2 ^= x0 ^ x0 >> 1 ^ x0 >> 2 ^ x0 >> 7;
    x2 ^= x1 << 63 ^ x1 << 62 ^ x1 << 57;
    x3 ^= x1 ^ x1 >> 1 ^ x1 >> 2 ^ x1 >> 7;
    g->y[0] = x3;
    g->y[1] = x2;
}

/* Absorbs `len` bytes, padded with zeros to whole blocks. */
static void ghash_update(struct ghash *g, const uint8_t *data, size_t len)
{
    uint8_t last[16] = {0};

    while (len) {
        const uint8_t *block = data;
        size_t n = len < 16 ? len : 16;
        if (n < 16) {
            memcpy(last, data, n);
            block = last;
        }
        g->y[0] ^= load_be64(block);
        g->y[1] ^= load_be64(block + 8);
        ghash_multiply(g);
        data += n;
        len -= n;
    }
    crypto_wipe(last, sizeof(last));
}

static void ctr_portable(const struct aes_portable_key *k, const uint8_t iv[12], const uint8_t *in,
                         uint8_t *out, size_t len)
{
    uint8_t counters[AES_PORTABLE_BATCH], stream[AES_PORTABLE_BATCH];
    uint32_t counter = 2;

    for (int i = 0; i < 4; i++)
        memcpy(counters + 16 * i, iv, 12);
    while (len) {
        size_t n = len < sizeof(stream) ? len : sizeof(stream);
        for (int i = 0; i < 4; i++)
            store_be32(counters + 16 * i + 12, counter++);
        aes_portable_encrypt4(k, counters, stream);
        for (size_t i = 0; i < n; i++)
            out[i] = in[i] ^ stream[i];
        in += n;
        out += n;
        len -= n;
    }
    crypto_wipe(stream, sizeof(stream));
}

static __attribute__((noinline)) void gcm_run(const struct gcm_job *job, uint8_t tag[16])
{
    struct aes_portable_key k;
    struct ghash g = {0};
    /* Block 0: zeros, for the hash key. Block 1: the first counter, for the tag. */
    uint8_t first[AES_PORTABLE_BATCH] = {0}, lengths[16];

    aes_portable_expand(&k, job->key);
    memcpy(first + 16, job->iv, 12);
    store_be32(first + 28, 1);
    aes_portable_encrypt4(&k, first, first);
    g.h[0] = load_be64(first);
    g.h[1] = load_be64(first + 8);

    ghash_update(&g, job->aad, job->aad_len);
    if (job->decrypt)
        ghash_update(&g, job->in, job->len);
    ctr_portable(&k, job->iv, job->in, job->out, job->len);
    if (!job->decrypt)
        ghash_update(&g, job->out, job->len);
    store_be64(lengths, (uint64_t)job->aad_len * 8);
    store_be64(lengths + 8, (uint64_t)job->len * 8);
    ghash_update(&g, lengths, sizeof(lengths));

    store_be64(tag, g.y[0] ^ load_be64(first + 16));
    store_be64(tag + 8, g.y[1] ^ load_be64(first + 24));
    crypto_wipe(&k, sizeof(k));
    crypto_wipe(&g, sizeof(g));
    crypto_wipe(first, sizeof(first));
}

static void gcm_portable(const struct gcm_job *job, uint8_t tag[16])
{
    gcm_run(job, tag);
    wipe_stack();
}

static void expand_portable(uint8_t schedule[AES_SCHEDULE_MAX], const uint8_t key[16])
{
    aes_portable_expand((struct aes_portable_key *)schedule, key);
    wipe_stack();
}

static void cbc_mac_portable(const uint8_t schedule[AES_SCHEDULE_MAX], uint8_t state[16],
                             const uint8_t *data, size_t blocks)
{
    uint8_t batch[AES_PORTABLE_BATCH] = {0};

    memcpy(batch, state, 16);
    for (; blocks; blocks--, data += 16) {
        for (int i = 0; i < 16; i++)
            batch[i] ^= data[i];
        aes_portable_encrypt4((const struct aes_portable_key *)schedule, batch, batch);
    }
    memcpy(state, batch, 16);
    crypto_wipe(batch, sizeof(batch));
    wipe_stack();
}

const struct aes_kernel aes_portable = {
    .name = "portable",
    .gcm = gcm_portable,
    .expand = expand_portable,
    .cbc_mac = cbc_mac_portable,
};

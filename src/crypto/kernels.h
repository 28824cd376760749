/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What a set of kernels provides to the glue code of this directory. Internal: only src/crypto, its
 * tests and its benchmark include it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Freestanding: whoever links the library supplies these four. */
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#define AES_BLOCK        16
#define AES128_ROUNDS    10
#define AES_SCHEDULE_MAX 704 /* bytes; the bitsliced schedule is the largest */

/* One AES-GCM message. The kernel encrypts (or decrypts) `in` to `out` and computes the tag. */
struct gcm_job {
    const uint8_t *key;
    const uint8_t *iv;
    const uint8_t *aad;
    size_t aad_len;
    const uint8_t *in;
    size_t len;
    uint8_t *out;
    bool decrypt;
};

typedef void gcm_fn(const struct gcm_job *job, uint8_t tag[16]);

struct aes_kernel {
    const char *name;
    gcm_fn *gcm;
    /* AES-128 key schedule in the kernel's own form, and CBC-MAC over whole blocks with it. */
    void (*expand)(uint8_t schedule[AES_SCHEDULE_MAX], const uint8_t key[16]);
    void (*cbc_mac)(const uint8_t schedule[AES_SCHEDULE_MAX], uint8_t state[16],
                    const uint8_t *data, size_t blocks);
};

/* Hashes whole blocks of SHA256_LANES independent messages: state[word][message]. */
#define SHA256_LANES 16
typedef void sha256_lanes_fn(uint32_t state[8][SHA256_LANES],
                             const uint8_t *const data[SHA256_LANES], size_t blocks);

struct sha256_kernel {
    const char *name;
    void (*compress)(uint32_t state[8], const uint8_t *data, size_t blocks);
};

extern const struct aes_kernel aes_portable, aes_aesni, aes_vaes256, aes_vaes512;
extern const struct sha256_kernel sha256_portable, sha256_shani;
gcm_fn gcm_aesni, gcm_vaes256, gcm_vaes512;
sha256_lanes_fn sha256_lanes_avx512;

/* The kernels in use. Written by crypto_init() alone, before other threads use the library. */
extern const struct aes_kernel *aes_kernel;
extern const struct sha256_kernel *sha256_kernel;
extern sha256_lanes_fn *sha256_lanes; /* NULL when this CPU has none */

/* Overwrites the WIPED_STACK bytes below the caller's frame: whatever the functions that it has
 * called may have left there of their spilled registers. */
#define WIPED_STACK 4096
void wipe_stack(void);

static inline uint32_t load_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap32(v);
}

static inline void store_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof(v));
}

static inline uint32_t load_le32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline uint64_t load_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return __builtin_bswap64(v);
}

static inline void store_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof(v));
}

static inline uint64_t load_le64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void store_le64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

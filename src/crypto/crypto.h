/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The cryptographic primitives that run inside the library OS and the tools alike: no libc, no
 * allocation, no global state but the CPU dispatch set once by crypto_init().
 *
 * Lengths are in bytes. Secrets that a function keeps on its own stack are wiped before it returns.
 * The functions use vector registers: a caller that runs on behalf of an application (the library
 * OS) saves the application's vector state around a batch of calls.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define AES128_KEY_SIZE 16
#define GCM_IV_SIZE     12
#define GCM_TAG_SIZE    16
#define CMAC_SIZE       16
#define SHA256_SIZE     32

/*
 * Chooses the fastest kernels this CPU has. `xfrm` is the set of XSAVE components that may be used
 * (XCR0, or SECS.ATTRIBUTES.XFRM in an enclave); 0 means "read XCR0". Calling it is optional: until
 * then the portable kernels serve. Not thread safe against running operations.
 */
void crypto_init(uint64_t xfrm);

/*
 * The same from given CPUID output (Intel's manual, volume 2A, CPUID): for an enclave, where the
 * instruction faults, and for tests, which take features away. A wrong claim that a feature is
 * there ends in an invalid-opcode fault, never in a wrong result. `xfrm` is taken as it is.
 */
struct crypto_cpu {
    uint32_t leaf1_ecx;
    uint32_t leaf7_ebx, leaf7_ecx; /* subleaf 0 */
    uint64_t xfrm;
};
void crypto_init_cpu(const struct crypto_cpu *cpu);
void crypto_read_cpu(struct crypto_cpu *cpu); /* executes CPUID and XGETBV */

/* Name of the kernels in use, for logs and benchmarks: "aes-gcm: vaes512, sha256: sha-ni". */
const char *crypto_kernels(void);

/* AES-128-GCM (NIST SP 800-38D) with a 96-bit IV. `ct` may equal `pt` (in place), not overlap it
 * otherwise; `len` is at most 2^36 - 32. */
void aes128_gcm_encrypt(const uint8_t key[AES128_KEY_SIZE], const uint8_t iv[GCM_IV_SIZE],
                        const void *aad, size_t aad_len, const void *pt, size_t len, void *ct,
                        uint8_t tag[GCM_TAG_SIZE]);

/* Returns 0, or -EBADMSG (-74) when the tag does not match; `pt` is then all zeros. */
int aes128_gcm_decrypt(const uint8_t key[AES128_KEY_SIZE], const uint8_t iv[GCM_IV_SIZE],
                       const void *aad, size_t aad_len, const void *ct, size_t len, void *pt,
                       const uint8_t tag[GCM_TAG_SIZE]);

/* AES-128-CMAC (RFC 4493). */
void aes128_cmac(const uint8_t key[AES128_KEY_SIZE], const void *data, size_t len,
                 uint8_t mac[CMAC_SIZE]);

/* SHA-256 (FIPS 180-4). */
struct sha256 {
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
};
void sha256_init(struct sha256 *ctx);
void sha256_update(struct sha256 *ctx, const void *data, size_t len);
void sha256_final(struct sha256 *ctx, uint8_t digest[SHA256_SIZE]);
void sha256(const void *data, size_t len, uint8_t digest[SHA256_SIZE]);

/*
 * `n` messages of `len` bytes each, one digest each: blocks of a hash tree, above all. With AVX-512
 * more than twice as fast as one after the other, from eight messages on.
 */
void sha256_many(const void *const data[], size_t len, size_t n, uint8_t digests[][SHA256_SIZE]);

/* HKDF-SHA-256 (RFC 5869), extract and expand; `out_len` at most 255 * 32. */
void hkdf_sha256(const void *salt, size_t salt_len, const void *ikm, size_t ikm_len,
                 const void *info, size_t info_len, void *out, size_t out_len);

/* X25519 (RFC 7748). Returns 0, or -EINVAL (-22) when the result is all zeros (low-order point). */
int x25519(uint8_t out[32], const uint8_t scalar[32], const uint8_t point[32]);

/* Compares without branching on the content: 0 when equal, else non-zero. */
int crypto_differs(const void *a, const void *b, size_t len);

/* Overwrites with zeros; the compiler may not remove it. */
void crypto_wipe(void *p, size_t len);

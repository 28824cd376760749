/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Throughput of the primitives on one core, beside OpenSSL's, over short rounds. The case
 * that encrypted files pay for is AES-GCM with a new key for every 4 KiB.
 */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "crypto/crypto.h"
#include "crypto/kernels.h"

#define PAGE      4096
#define PAGES     64
#define HASH_SIZE 16384
#define ROUNDS    41
#define ROUND_NS  2e6 /* each round's length, about */

static uint8_t text[PAGES * PAGE], other[PAGES * PAGE], keys[PAGES][16], iv[12], tags[PAGES][16];
static EVP_CIPHER_CTX *cipher;
static EVP_CIPHER *aes_gcm;
static EVP_MD *md;
static EVP_MD_CTX *digest;

static void ours_encrypt(void)
{
    for (int i = 0; i < PAGES; i++)
        aes128_gcm_encrypt(keys[i], iv, NULL, 0, text + i * PAGE, PAGE, other + i * PAGE, tags[i]);
}

static void ours_decrypt(void)
{
    for (int i = 0; i < PAGES; i++)
        if (aes128_gcm_decrypt(keys[i], iv, NULL, 0, other + i * PAGE, PAGE, text + i * PAGE,
                               tags[i]))
            abort();
}

static void openssl_encrypt(void)
{
    int n;

    for (int i = 0; i < PAGES; i++) {
        EVP_EncryptInit_ex2(cipher, aes_gcm, keys[i], iv, NULL);
        EVP_EncryptUpdate(cipher, other + i * PAGE, &n, text + i * PAGE, PAGE);
        EVP_EncryptFinal_ex(cipher, other, &n);
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, tags[i]);
    }
}

static void openssl_decrypt(void)
{
    int n;

    for (int i = 0; i < PAGES; i++) {
        EVP_DecryptInit_ex2(cipher, aes_gcm, keys[i], iv, NULL);
        EVP_DecryptUpdate(cipher, text + i * PAGE, &n, other + i * PAGE, PAGE);
        EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, 16, tags[i]);
        if (EVP_DecryptFinal_ex(cipher, text, &n) != 1)
            abort();
    }
}

static void ours_sha256(void)
{
    uint8_t out[32];

    for (size_t i = 0; i < sizeof(text); i += HASH_SIZE)
        sha256(text + i, HASH_SIZE, out);
}

static void ours_sha256_many(void)
{
    const void *blocks[sizeof(text) / HASH_SIZE];
    uint8_t out[sizeof(text) / HASH_SIZE][32];

    for (size_t i = 0; i < sizeof(text) / HASH_SIZE; i++)
        blocks[i] = text + i * HASH_SIZE;
    sha256_many(blocks, HASH_SIZE, sizeof(text) / HASH_SIZE, out);
}

static void openssl_sha256(void)
{
    uint8_t out[32];

    for (size_t i = 0; i < sizeof(text); i += HASH_SIZE) {
        EVP_DigestInit_ex2(digest, md, NULL);
        EVP_DigestUpdate(digest, text + i, HASH_SIZE);
        EVP_DigestFinal_ex(digest, out, NULL);
    }
}

static void ours_cmac(void)
{
    uint8_t mac[16];

    for (int i = 0; i < PAGES; i++)
        aes128_cmac(keys[i], text + i * PAGE, PAGE, mac);
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Times rounds of calls; on a busy machine the best round says more than the median. */
static void row(const char *what, const char *by, void (*f)(void))
{
    double rounds[ROUNDS];
    int calls = 1;

    f();
    for (double t0 = now_ns(); now_ns() - t0 < ROUND_NS;)
        f(), calls++;
    for (int i = 0; i < ROUNDS; i++) {
        double t0 = now_ns();
        for (int j = 0; j < calls; j++)
            f();
        rounds[i] = (now_ns() - t0) / calls;
    }
    qsort(rounds, ROUNDS, sizeof(*rounds), compare);
    printf("%-32s %-9s %7.2f %7.2f\n", what, by, sizeof(text) / rounds[ROUNDS / 2],
           sizeof(text) / rounds[0]);
    fflush(stdout);
}

static void bench_aes(void)
{
    row("AES-128-GCM encrypt, 4 KiB a key", aes_kernel->name, ours_encrypt);
    row("AES-128-GCM decrypt, 4 KiB a key", aes_kernel->name, ours_decrypt);
}

int main(void)
{
    struct crypto_cpu cpu, none = {0}, limited;

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i * 2654435761u >> 13);
    for (int i = 0; i < PAGES; i++)
        memset(keys[i], i + 1, 16);
    cipher = EVP_CIPHER_CTX_new();
    aes_gcm = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    md = EVP_MD_fetch(NULL, "SHA256", NULL);
    digest = EVP_MD_CTX_new();
    if (!cipher || !aes_gcm || !md || !digest)
        return 1;

    printf("%-42s %7s %7s\n", "GB/s on one core", "median", "best");
    crypto_read_cpu(&cpu);
    crypto_init_cpu(&none);
    bench_aes();
    row("SHA-256, 16 KiB", sha256_kernel->name, ours_sha256);
    row("AES-128-CMAC, 4 KiB", aes_kernel->name, ours_cmac);
    const uint64_t states[] = {0x3, 0x7, 0xe7};
    const struct aes_kernel *last = aes_kernel;
    for (int i = 0; i < 3; i++) {
        limited = cpu;
        limited.xfrm &= states[i];
        crypto_init_cpu(&limited);
        if (aes_kernel != last)
            bench_aes();
        last = aes_kernel;
    }
    row("SHA-256, 16 KiB", sha256_kernel->name, ours_sha256);
    row("AES-128-CMAC, 4 KiB", "aes-ni", ours_cmac);

    if (sha256_lanes)
        row("SHA-256, 16 blocks of 16 KiB", "avx512", ours_sha256_many);

    openssl_encrypt();
    row("AES-128-GCM encrypt, 4 KiB a key", "OpenSSL", openssl_encrypt);
    row("AES-128-GCM decrypt, 4 KiB a key", "OpenSSL", openssl_decrypt);
    row("SHA-256, 16 KiB", "OpenSSL", openssl_sha256);
    return 0;
}

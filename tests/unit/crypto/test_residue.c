/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * No secret survives a call: each primitive runs on a stack of its own, which is then searched for
 * the key, every round key, the hash key and its powers, the key stream and the plaintext.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include "kernels_under_test.h"

#define STACK   (64 * 1024)
#define TEXT    (8 * 1024)
#define SECRETS 2048

static _Alignas(64) uint8_t stack[STACK];
static uint8_t key[16], iv[12], text[TEXT], crypt[TEXT], tag[16], aad[40], mac[16];
static uint8_t scalar[32], point[32] = {9}, shared[32], okm[64];
static uint8_t secret[SECRETS][16];
static int secrets;
static ucontext_t outside, inside;

static void run_encrypt(void)
{
    aes128_gcm_encrypt(key, iv, aad, sizeof(aad), text, TEXT - 5, crypt, tag);
}

static void run_decrypt(void)
{
    static uint8_t out[TEXT];

    (void)!aes128_gcm_decrypt(key, iv, aad, sizeof(aad), crypt, TEXT - 5, out, tag);
}

static void run_cmac(void)
{
    aes128_cmac(key, text, TEXT - 5, mac);
}

static void run_hkdf(void)
{
    hkdf_sha256(iv, 12, key, 16, aad, sizeof(aad), okm, sizeof(okm));
}

static void run_x25519(void)
{
    (void)!x25519(shared, scalar, point);
}

static void leak_on_purpose(void)
{
    uint8_t copy[16];

    memcpy(copy, key, sizeof(copy));
    __asm__ volatile("" : : "r"(copy) : "memory");
}

static void add_secret(const uint8_t *p)
{
    assert_true(secrets + 2 <= SECRETS);
    memcpy(secret[secrets++], p, 16);
    for (int i = 0; i < 16; i++)
        secret[secrets][i] = p[15 - i];
    secrets++;
}

/* AES of single blocks through OpenSSL; round keys from the S-box of the cipher itself would be
 * circular, so they come from FIPS 197's definition, with the S-box computed. */
static uint8_t sbox(uint8_t x)
{
    uint8_t inverse = 0, y;

    for (int c = 1; c < 256 && x; c++) {
        unsigned product = 0, a = x;
        for (int bit = 0; bit < 8; bit++, a = (a << 1) ^ (a & 0x80 ? 0x11b : 0))
            product ^= c >> bit & 1 ? a : 0;
        if ((product & 0xff) == 1)
            inverse = (uint8_t)c;
    }
    y = inverse;
    for (int i = 1; i < 5; i++)
        y ^= (uint8_t)(inverse << i | inverse >> (8 - i));
    return y ^ 0x63;
}

static void add_round_keys(void)
{
    uint8_t rk[16], rcon = 1;

    memcpy(rk, key, 16);
    for (int r = 0; r <= 10; r++) {
        add_secret(rk);
        uint8_t t[4] = {sbox(rk[13]) ^ rcon, sbox(rk[14]), sbox(rk[15]), sbox(rk[12])};
        for (int i = 0; i < 16; i++)
            rk[i] ^= i < 4 ? t[i] : rk[i - 4];
        rcon = (uint8_t)(rcon << 1 ^ (rcon & 0x80 ? 0x1b : 0));
    }
}

/* Adds E(block) for the hash key (zeros) and the counters; and the hash key times x. */
static void add_blocks(void)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    uint8_t in[16] = {0}, out[32];
    int n;

    assert_int_equal(EVP_EncryptInit_ex(c, EVP_aes_128_ecb(), NULL, key, NULL), 1);
    assert_int_equal(EVP_EncryptUpdate(c, out, &n, in, 16), 1);
    add_secret(out);
    memcpy(in, iv, 12);
    for (int i = 1; i <= TEXT / 16 + 1; i++) {
        in[14] = (uint8_t)(i >> 8);
        in[15] = (uint8_t)i;
        assert_int_equal(EVP_EncryptUpdate(c, out, &n, in, 16), 1);
        if (i == 1 || i > TEXT / 16 - 32 || i < 32) /* the ends: what a frame could still hold */
            add_secret(out);
    }
    EVP_CIPHER_CTX_free(c);
}

static const uint8_t *find_secret(void)
{
    for (int s = 0; s < secrets; s++)
        for (int half = 0; half < 16; half += 8)
            for (size_t i = 0; i + 8 <= STACK; i++)
                if (memcmp(stack + i, secret[s] + half, 8) == 0)
                    return stack + i;
    return NULL;
}

static const uint8_t *residue_of(void (*f)(void))
{
    memset(stack, 0xa5, sizeof(stack));
    assert_int_equal(getcontext(&inside), 0);
    inside.uc_stack.ss_sp = stack;
    inside.uc_stack.ss_size = sizeof(stack);
    inside.uc_link = &outside;
    makecontext(&inside, f, 0);
    assert_int_equal(swapcontext(&outside, &inside), 0);
    return find_secret();
}

static int setup(void **state)
{
    for (int i = 0; i < 16; i++)
        key[i] = (uint8_t)(0x9d * i + 0x51);
    for (int i = 0; i < 12; i++)
        iv[i] = (uint8_t)(0x35 * i + 7);
    for (int i = 0; i < TEXT; i++)
        text[i] = (uint8_t)((unsigned)i * 2654435761u >> 11);
    for (int i = 0; i < 32; i++)
        scalar[i] = (uint8_t)(0xc3 * i + 0x11);
    add_round_keys();
    add_blocks();
    for (int i = TEXT - 512 - 5; i + 16 <= TEXT - 5; i++)
        add_secret(text + i);
    return 0;
}

static void test_search_works(void **state)
{
    assert_non_null(residue_of(leak_on_purpose));
}

static void test_no_residue(void **state)
{
    void (*const calls[])(void) = {run_encrypt, run_decrypt, run_cmac, run_hkdf};

    for (int set = 0; set < KERNEL_SETS; set++) {
        if (use_kernels(set))
            continue;
        for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
            const uint8_t *at = residue_of(calls[i]);
            if (at)
                fail_msg("%s, call %zu: a secret is left %zu bytes below the stack's top",
                         crypto_kernels(), i, (size_t)(stack + STACK - at));
        }
    }
}

static void test_no_residue_x25519(void **state)
{
    secrets = 0;
    add_secret(scalar);
    add_secret(scalar + 16);
    assert_null(residue_of(run_x25519));
    add_secret(shared);
    add_secret(shared + 16);
    assert_null(residue_of(run_x25519));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_search_works),
        cmocka_unit_test(test_no_residue),
        cmocka_unit_test(test_no_residue_x25519),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Every set of kernels against OpenSSL on random input: every short length, every alignment, in
 * place, long messages. Buffers end at an unmapped page, so that a byte read or written too far is
 * a crash in any build. The generator is seeded with CRYPTO_TEST_SEED or a constant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include "kernels_under_test.h"

#define REGION (128 * 1024)

static uint8_t *plain, *crypt, *back, *extra; /* REGION bytes each, then an unmapped page */
static uint8_t *expected;
static uint64_t seed = 0x243f6a8885a308d3;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1d;
}

static void fill(uint8_t *p, size_t n)
{
    while (n--)
        *p++ = (uint8_t)(next_random() >> 56);
}

static uint8_t *guarded(void)
{
    uint8_t *p =
        mmap(NULL, REGION + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    assert_int_equal(mprotect(p + REGION, 4096, PROT_NONE), 0);
    return p;
}

static int setup(void **state)
{
    const char *given = getenv("CRYPTO_TEST_SEED");

    if (given)
        seed = strtoull(given, NULL, 0) | 1;
    plain = guarded();
    crypt = guarded();
    back = guarded();
    extra = guarded();
    expected = malloc(REGION);
    return expected ? 0 : -1;
}

static void openssl_gcm(const uint8_t *key, const uint8_t *iv, const uint8_t *aad, size_t aad_len,
                        const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;

    assert_int_equal(EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, key, iv), 1);
    assert_int_equal(EVP_EncryptUpdate(c, NULL, &n, aad, (int)aad_len), 1);
    assert_int_equal(EVP_EncryptUpdate(c, out, &n, in, (int)len), 1);
    assert_int_equal(EVP_EncryptFinal_ex(c, out, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, 16, tag), 1);
    EVP_CIPHER_CTX_free(c);
}

/* One message: both directions, out of place and in place, and refused after one flipped bit.
 * `shift` moves the buffers away from the end of their region. */
static void check_gcm(size_t len, size_t aad_len, size_t in_shift, size_t out_shift)
{
    uint8_t key[16], iv[12], tag[16], want[16];
    uint8_t *pt = plain + REGION - len - in_shift, *ct = crypt + REGION - len - out_shift;
    uint8_t *dec = back + REGION - len - in_shift, *aad = extra + REGION - aad_len - out_shift;

    fill(key, 16);
    fill(iv, 12);
    fill(pt, len);
    fill(aad, aad_len);
    openssl_gcm(key, iv, aad, aad_len, pt, len, expected, want);

    aes128_gcm_encrypt(key, iv, aad, aad_len, pt, len, ct, tag);
    assert_memory_equal(ct, expected, len);
    assert_memory_equal(tag, want, 16);
    assert_int_equal(aes128_gcm_decrypt(key, iv, aad, aad_len, ct, len, dec, tag), 0);
    assert_memory_equal(dec, pt, len);
    aes128_gcm_encrypt(key, iv, aad, aad_len, dec, len, dec, tag);
    assert_memory_equal(dec, expected, len);
    assert_memory_equal(tag, want, 16);
    assert_int_equal(aes128_gcm_decrypt(key, iv, aad, aad_len, dec, len, dec, tag), 0);
    assert_memory_equal(dec, pt, len);

    uint64_t bit = next_random() % (8 * (len + aad_len + 16));
    uint8_t flip = (uint8_t)(1 << (bit % 8)), *victim;
    size_t byte = bit / 8;
    victim = byte < len             ? ct + byte
             : byte < len + aad_len ? aad + (byte - len)
                                    : tag + (byte - len - aad_len);
    *victim ^= flip;
    assert_int_equal(aes128_gcm_decrypt(key, iv, aad, aad_len, ct, len, dec, tag), -74);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(dec[i], 0);
    if (len && byte >= len) {
        assert_int_equal(aes128_gcm_decrypt(key, iv, aad, aad_len, ct, len, ct, tag), -74);
        for (size_t i = 0; i < len; i++)
            assert_int_equal(ct[i], 0);
    }
}

static void gcm_with(int set)
{
    if (use_kernels(set))
        skip();
    for (size_t len = 0; len <= 600; len++) {
        check_gcm(len, 0, 0, 0);
        check_gcm(len, next_random() % 50, len % 64, next_random() % 64);
    }
    for (size_t aad_len = 0; aad_len <= 600; aad_len++)
        check_gcm(next_random() % 300, aad_len, 0, 0);
    for (size_t shift = 0; shift < 64; shift++) {
        check_gcm(1024 + shift, 16, shift, 0);
        check_gcm(1024, shift, 0, shift);
    }
    for (int i = 0; i < 60; i++)
        check_gcm(next_random() % (set ? 100000 : 10000), next_random() % 5000, next_random() % 64,
                  next_random() % 64);
    check_gcm(4096, 0, 0, 0);
}

static void test_gcm_portable(void **state)
{
    gcm_with(0);
}

static void test_gcm_aesni(void **state)
{
    gcm_with(1);
}

static void test_gcm_vaes256(void **state)
{
    gcm_with(2);
}

static void test_gcm_vaes512(void **state)
{
    gcm_with(3);
}

static void check_cmac(size_t len, size_t shift)
{
    uint8_t key[16], mac[16], want[16], *p = plain + REGION - len - shift;
    size_t n;

    fill(key, 16);
    fill(p, len);
    assert_non_null(
        EVP_Q_mac(NULL, "CMAC", NULL, "AES-128-CBC", NULL, key, 16, p, len, want, 16, &n));
    aes128_cmac(key, p, len, mac);
    assert_memory_equal(mac, want, 16);
}

static void test_cmac(void **state)
{
    for (int set = 0; set < KERNEL_SETS; set++) {
        if (use_kernels(set))
            continue;
        for (size_t len = 0; len <= 600; len++)
            check_cmac(len, 0);
    }
}

static void check_sha256(size_t len, size_t shift)
{
    uint8_t *p = plain + REGION - len - shift, digest[32], want[32];
    struct sha256 ctx;

    fill(p, len);
    assert_int_equal(EVP_Digest(p, len, want, NULL, EVP_sha256(), NULL), 1);
    sha256(p, len, digest);
    assert_memory_equal(digest, want, 32);

    sha256_init(&ctx);
    for (size_t at = 0, n; at < len; at += n) {
        n = 1 + next_random() % (len - at);
        sha256_update(&ctx, p + at, n);
    }
    sha256_final(&ctx, digest);
    assert_memory_equal(digest, want, 32);
}

static void test_sha256(void **state)
{
    for (int set = 0; set < 2; set++) {
        if (use_kernels(set))
            continue;
        for (size_t len = 0; len <= 600; len++)
            check_sha256(len, len % 64);
        for (int i = 0; i < 40; i++)
            check_sha256(next_random() % 100000, 0);
    }
}

static void check_sha256_many(size_t len, size_t n)
{
    const void *data[40] = {0};
    uint8_t digests[41][32] = {0}, want[32], zero[32] = {0};

    for (size_t i = 0; i < n; i++) {
        uint8_t *p = plain + REGION - (i + 1) * len;
        data[i] = p;
        fill(p, len);
    }
    sha256_many(data, len, n, digests);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(EVP_Digest(data[i], len, want, NULL, EVP_sha256(), NULL), 1);
        assert_memory_equal(digests[i], want, 32);
    }
    assert_memory_equal(digests[n], zero, 32);
}

static void test_sha256_many(void **state)
{
    for (int set = 0; set < KERNEL_SETS; set++) {
        if (use_kernels(set))
            continue;
        for (size_t n = 0; n <= 40; n++)
            check_sha256_many(next_random() % 300, n);
        for (size_t len = 0; len <= 300; len++)
            check_sha256_many(len, 16 + len % 3);
        check_sha256_many(3000, 37);
    }
}

/* Short messages of every primitive: a million cases under ADYTON_FULL, where the optimised build
 * does them in a minute. */
static void test_many(void **state)
{
    size_t cases = getenv("ADYTON_FULL") ? 1000000 : 4000;

    for (int set = 0; set < KERNEL_SETS; set++) {
        if (use_kernels(set))
            continue;
        for (size_t i = 0; i < cases / KERNEL_SETS; i++) {
            size_t len = next_random() % (i % 16 ? 200 : 1500), shift = next_random() % 64;
            if (i % 8 == 0)
                check_sha256(len, shift);
            else if (i % 8 == 1)
                check_cmac(len, shift);
            else
                check_gcm(len, i % 3 ? 0 : next_random() % 40, shift, next_random() % 64);
        }
    }
}

static void test_hkdf(void **state)
{
    for (int i = 0; i < 100; i++) {
        uint8_t got[200], want[200], salt[100], ikm[100], info[100], *prk = got;
        size_t salt_len = 1 + next_random() % 100, ikm_len = 1 + next_random() % 100;
        size_t info_len = 1 + next_random() % 100, len = 1 + next_random() % 200, n;

        fill(salt, sizeof(salt));
        fill(ikm, sizeof(ikm));
        fill(info, sizeof(info));
        /* Straight from the RFC, with OpenSSL's HMAC. */
        uint8_t key[32], t[32 + 100 + 1];
        size_t t_len = 0, done = 0;
        assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, salt, salt_len, ikm, ikm_len,
                                  key, 32, &n));
        for (uint8_t round = 1; done < len; round++) {
            memcpy(t + t_len, info, info_len);
            t[t_len + info_len] = round;
            assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, 32, t,
                                      t_len + info_len + 1, t, 32, &n));
            t_len = 32;
            memcpy(want + done, t, len - done < 32 ? len - done : 32);
            done += 32;
            if (done > len)
                done = len;
        }
        hkdf_sha256(salt, salt_len, ikm, ikm_len, info, info_len, prk, len);
        assert_memory_equal(got, want, len);
    }
}

static void test_x25519(void **state)
{
    for (int i = 0; i < 200; i++) {
        uint8_t scalar[32], point[32], got[32], want[32];
        size_t n = 32;

        fill(scalar, 32);
        fill(point, 32);
        if (i % 4 == 0) /* values around the modulus */
            memset(point + 1, 0xff, 31);
        EVP_PKEY *mine = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, scalar, 32);
        EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, point, 32);
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(mine, NULL);
        assert_int_equal(EVP_PKEY_derive_init(ctx), 1);
        assert_int_equal(EVP_PKEY_derive_set_peer(ctx, peer), 1);
        int ok = EVP_PKEY_derive(ctx, want, &n);
        assert_int_equal(x25519(got, scalar, point), ok == 1 ? 0 : -22);
        if (ok == 1)
            assert_memory_equal(got, want, 32);
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(mine);
        EVP_PKEY_free(peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gcm_portable), cmocka_unit_test(test_gcm_aesni),
        cmocka_unit_test(test_gcm_vaes256),  cmocka_unit_test(test_gcm_vaes512),
        cmocka_unit_test(test_cmac),         cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_sha256_many),  cmocka_unit_test(test_many),
        cmocka_unit_test(test_hkdf),         cmocka_unit_test(test_x25519),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

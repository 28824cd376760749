/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Published test vectors, with every set of kernels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "kernels_under_test.h"

static size_t unhex(uint8_t *out, const char *hex)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return n;
}

static void assert_hex(const uint8_t *got, const char *hex)
{
    uint8_t want[256];
    size_t n = unhex(want, hex);

    assert_memory_equal(got, want, n);
}

#define EACH_KERNEL_SET(i)                \
    for (int i = 0; i < KERNEL_SETS; i++) \
        if (use_kernels(i) == 0)

/* Test cases 1 to 4 of McGrew and Viega, "The Galois/Counter Mode of Operation". */
static void test_gcm(void **state)
{
    static const struct {
        const char *key, *iv, *aad, *pt, *ct, *tag;
    } cases[] = {
        {"00000000000000000000000000000000", "000000000000000000000000", "", "", "",
         "58e2fccefa7e3061367f1d57a4e7455a"},
        {"00000000000000000000000000000000", "000000000000000000000000", "",
         "00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
         "ab6e47d42cec13bdf53a67b21257bddf"},
        {"feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
         "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
         "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
         "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
         "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
         "4d5c2af327cd64a62cf35abd2ba6fab4"},
        {"feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
         "feedfacedeadbeeffeedfacedeadbeefabaddad2",
         "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
         "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
         "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
         "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
         "5bc94fbc3221a5db94fae95ae7121a47"},
    };

    EACH_KERNEL_SET(set)
    {
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
            uint8_t key[16], iv[12], aad[64], pt[64], out[64], tag[16];
            unhex(key, cases[i].key);
            unhex(iv, cases[i].iv);
            size_t aad_len = unhex(aad, cases[i].aad), len = unhex(pt, cases[i].pt);
            aes128_gcm_encrypt(key, iv, aad, aad_len, pt, len, out, tag);
            assert_hex(out, cases[i].ct);
            assert_hex(tag, cases[i].tag);
            assert_int_equal(aes128_gcm_decrypt(key, iv, aad, aad_len, out, len, out, tag), 0);
            assert_memory_equal(out, pt, len);
        }
    }
}

/* RFC 4493, section 4. */
static void test_cmac(void **state)
{
    static const struct {
        size_t len;
        const char *mac;
    } cases[] = {
        {0, "bb1d6929e95937287fa37d129b756746"},
        {16, "070a16b46b4d4144f79bdd9dd04a287c"},
        {40, "dfa66747de9ae63030ca32611497c827"},
        {64, "51f0bebf7e3b9d92fc49741779363cfe"},
    };
    uint8_t key[16], text[64], mac[16];

    unhex(key, "2b7e151628aed2a6abf7158809cf4f3c");
    unhex(text, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    EACH_KERNEL_SET(set)
    {
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
            aes128_cmac(key, text, cases[i].len, mac);
            assert_hex(mac, cases[i].mac);
        }
    }
}

/* FIPS 180-4's examples. */
static void test_sha256(void **state)
{
    uint8_t digest[32], *million = malloc(1000000);
    const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

    memset(million, 'a', 1000000);
    EACH_KERNEL_SET(set)
    {
        sha256(NULL, 0, digest);
        assert_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        sha256("abc", 3, digest);
        assert_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        sha256(two_blocks, strlen(two_blocks), digest);
        assert_hex(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        sha256(million, 1000000, digest);
        assert_hex(digest, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
    free(million);
}

/* RFC 5869, appendix A.1 to A.3. */
static void test_hkdf(void **state)
{
    uint8_t ikm[80], salt[80], info[80], out[82];

    memset(ikm, 0x0b, 22);
    for (int i = 0; i < 80; i++) {
        salt[i] = (uint8_t)i;
        info[i] = (uint8_t)(0xf0 + i);
    }
    hkdf_sha256(salt, 13, ikm, 22, info, 10, out, 42);
    assert_hex(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                    "34007208d5b887185865");
    hkdf_sha256(NULL, 0, ikm, 22, NULL, 0, out, 42);
    assert_hex(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                    "9d201395faa4b61a96c8");
    for (int i = 0; i < 80; i++) {
        ikm[i] = (uint8_t)i;
        salt[i] = (uint8_t)(0x60 + i);
        info[i] = (uint8_t)(0xb0 + i);
    }
    hkdf_sha256(salt, 80, ikm, 80, info, 80, out, 82);
    assert_hex(out, "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                    "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                    "cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

/* RFC 7748, section 5.2. */
static void test_x25519(void **state)
{
    uint8_t k[32], u[32], out[32];

    unhex(k, "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
    unhex(u, "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
    assert_int_equal(x25519(out, k, u), 0);
    assert_hex(out, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");

    memset(k, 0, 32);
    k[0] = 9;
    memcpy(u, k, 32);
    for (int i = 1; i <= 1000; i++) {
        assert_int_equal(x25519(out, k, u), 0);
        memcpy(u, k, 32);
        memcpy(k, out, 32);
        if (i == 1)
            assert_hex(k, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
    }
    assert_hex(k, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
}

/* Points of small order, also those not reduced modulo 2^255 - 19: the result is zero, an error. */
static void test_x25519_low_order(void **state)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    uint8_t k[32], u[32], out[32], zero[32] = {0};

    memset(k, 0x55, sizeof(k));
    for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
        unhex(u, points[i]);
        assert_int_equal(x25519(out, k, u), -22);
        assert_memory_equal(out, zero, 32);
    }
}

static void test_differs(void **state)
{
    uint8_t a[33] = {0}, b[33] = {0};

    assert_int_equal(crypto_differs(a, b, 33), 0);
    for (int bit = 0; bit < 33 * 8; bit++) {
        b[bit / 8] ^= 1 << (bit % 8);
        assert_int_not_equal(crypto_differs(a, b, 33), 0);
        b[bit / 8] = 0;
    }
}

/* Every feature and every register state is needed for the kernels that use it, and for no other.
 */
static void test_choice(void **state)
{
    const struct crypto_cpu all = {
        .leaf1_ecx = 1u << 1 | 1u << 9 | 1u << 19 | 1u << 25 | 1u << 27 | 1u << 28,
        .leaf7_ebx = 1u << 5 | 1u << 16 | 1u << 17 | 1u << 29 | 1u << 30 | 1u << 31,
        .leaf7_ecx = 1u << 9 | 1u << 10,
        .xfrm = 0xe7,
    };
    static const struct {
        uint32_t no_leaf1_ecx, no_leaf7_ebx, no_leaf7_ecx, no_xfrm;
        const char *kernels;
    } cases[] = {
        {0, 0, 0, 0, "aes-gcm: vaes512, sha256: sha-ni"},
        {0, 0, 0, 1u << 5, "aes-gcm: vaes256, sha256: sha-ni"},
        {0, 0, 0, 1u << 6, "aes-gcm: vaes256, sha256: sha-ni"},
        {0, 0, 0, 1u << 7, "aes-gcm: vaes256, sha256: sha-ni"},
        {0, 1u << 16, 0, 0, "aes-gcm: vaes256, sha256: sha-ni"},
        {0, 1u << 17, 0, 0, "aes-gcm: vaes256, sha256: sha-ni"},
        {0, 1u << 30, 0, 0, "aes-gcm: vaes256, sha256: sha-ni"},
        {0, 1u << 31, 0, 0, "aes-gcm: vaes256, sha256: sha-ni"},
        {0, 0, 0, 1u << 2, "aes-gcm: aes-ni, sha256: sha-ni"},
        {0, 0, 0, 0xe4, "aes-gcm: aes-ni, sha256: sha-ni"},
        {1u << 28, 0, 0, 0, "aes-gcm: aes-ni, sha256: sha-ni"},
        {0, 1u << 5, 0, 0, "aes-gcm: aes-ni, sha256: sha-ni"},
        {0, 0, 1u << 9, 0, "aes-gcm: aes-ni, sha256: sha-ni"},
        {0, 0, 1u << 10, 0, "aes-gcm: aes-ni, sha256: sha-ni"},
        {1u << 1, 0, 0, 0, "aes-gcm: portable, sha256: sha-ni"},
        {1u << 25, 0, 0, 0, "aes-gcm: portable, sha256: sha-ni"},
        {1u << 9, 0, 0, 0, "aes-gcm: portable, sha256: portable"},
        {1u << 19, 0, 0, 0, "aes-gcm: portable, sha256: portable"},
        {0, 0, 0, 1u << 1, "aes-gcm: portable, sha256: portable"},
        {0, 1u << 29, 0, 0, "aes-gcm: vaes512, sha256: portable"},
        {~0u, ~0u, ~0u, ~0u, "aes-gcm: portable, sha256: portable"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct crypto_cpu cpu = all;
        cpu.leaf1_ecx &= ~cases[i].no_leaf1_ecx;
        cpu.leaf7_ebx &= ~cases[i].no_leaf7_ebx;
        cpu.leaf7_ecx &= ~cases[i].no_leaf7_ecx;
        cpu.xfrm &= ~(uint64_t)cases[i].no_xfrm;
        crypto_init_cpu(&cpu);
        assert_string_equal(crypto_kernels(), cases[i].kernels);
    }
    crypto_init_cpu(&all);
    crypto_init(0x3);
    assert_null(strstr(crypto_kernels(), "vaes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gcm),     cmocka_unit_test(test_cmac),
        cmocka_unit_test(test_sha256),  cmocka_unit_test(test_hkdf),
        cmocka_unit_test(test_x25519),  cmocka_unit_test(test_x25519_low_order),
        cmocka_unit_test(test_differs), cmocka_unit_test(test_choice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* MRENCLAVE against published vectors, and the multiplicative RSA check. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "sgx/key.h"
#include "sgx/layout.h"
#include "sgx/rsa3.h"
#include "sgx/sigstruct.h"

static void expect(const struct sgx_measure *m, const char *hex)
{
    uint8_t digest[32];
    char text[65];
    sgx_measure_digest(m, digest);
    for (int i = 0; i < 32; i++)
        sprintf(text + 2 * i, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

static void vectors(void **state)
{
    struct sgx_measure m;
    uint8_t page[4096];
    struct sgx_tcs tcs = {.nssa = 2, .oentry = 0x40, .fslimit = 0xfff, .gslimit = 0xfff};
    struct sgx_secinfo rw = {.flags = 0x203};
    for (size_t i = 0; i < sizeof(page); i++)
        page[i] = (uint8_t)(i % 251);

    sgx_measure_create(&m, 1, 0x2000);
    expect(&m, "9e197c8837c6d65632dbdd59cd7df4f1a25b68d8e4e5eb6ca3b20b05311fecb8");
    sgx_measure_add(&m, 0, &rw);
    expect(&m, "995c454650d39811c9c53e1af534aa6c34a496ce9302c34e0ced2c7a7e2c4103");
    for (uint64_t at = 0; at < sizeof(page); at += 256)
        sgx_measure_extend(&m, at, page + at);
    expect(&m, "24f8c20eeb22d7b66c973d7882c4982be3533bbf08e533f36ad1169db68de6dd");
    struct sgx_measure whole;
    sgx_measure_create(&whole, 1, 0x2000);
    sgx_measure_add(&whole, 0, &rw);
    sgx_measure_extend_page(&whole, 0, page);
    expect(&whole, "24f8c20eeb22d7b66c973d7882c4982be3533bbf08e533f36ad1169db68de6dd");
    sgx_measure_page(&m, 0x1000, 0x107, &tcs); /* R, W, X of a TCS are not measured */
    expect(&m, "1a5d75e51660efffdc5f21cf99c88c318bdf3324807af4a70c14f4c0fb1904e6");
}

static struct sgx_key *test_key(void)
{
    static char path[] = "/tmp/sgx-unit-key-XXXXXX";
    char err[512] = "";
    struct sgx_key *key = NULL;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(sgx_key_generate(path, true, err, sizeof(err)), 0);
    assert_int_equal(sgx_key_read(path, NULL, &key, err, sizeof(err)), 0);
    unlink(path);
    return key;
}

static void sign_and_break(void **state)
{
    struct sgx_key *key = test_key();
    struct sgx_sigstruct sig, again;
    char err[512] = "";
    sgx_sigstruct_init(&sig);
    sgx_sigstruct_set_date(&sig, 2025, 3, 14);
    assert_memory_equal(sig.date, "\x14\x03\x25\x20", 4);
    memset(sig.enclave_hash, 0x5a, 32);
    again = sig;
    assert_int_equal(sgx_key_sign(key, &sig, err, sizeof(err)), 0);
    assert_int_equal(sgx_key_sign(key, &again, err, sizeof(err)), 0);
    assert_memory_equal(&sig, &again, sizeof(sig));
    assert_int_equal(sgx_sigstruct_check(&sig), SGX_SUCCESS);
    sgx_key_free(key);

    /* Every single flipped bit is noticed, and with the right code. */
    for (size_t bit = 0; bit < 8 * sizeof(sig); bit += 5) {
        size_t at = bit / 8;
        again = sig;
        ((uint8_t *)&again)[at] ^= (uint8_t)(1 << bit % 8);
        bool constant = at < 20 || (at >= 24 && at < 40) || (at >= 44 && at < 128) ||
                        (at >= 512 && at < 516) || (at >= 910 && at < 912) ||
                        (at >= 992 && at < 1008) || (at >= 1028 && at < 1040);
        assert_int_equal(sgx_sigstruct_check(&again),
                         constant ? SGX_INVALID_SIG_STRUCT : SGX_INVALID_SIGNATURE);
    }
}

static BIGNUM *number(const uint8_t *little)
{
    return BN_lebin2bn(little, SGX_RSA_SIZE, NULL);
}

static void quotients_agree_with_openssl(void **state)
{
    uint8_t n[SGX_RSA_SIZE], s[SGX_RSA_SIZE], q1[SGX_RSA_SIZE], q2[SGX_RSA_SIZE];
    BN_CTX *ctx = BN_CTX_new();
    for (unsigned round = 0; round < 20; round++) {
        BIGNUM *N = BN_new(), *S = BN_new(), *t = BN_new(), *q = BN_new(), *r = BN_new();
        BN_rand(N, 3072, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
        BN_rand_range(S, N);
        if (round == 0)
            BN_copy(S, N), BN_sub_word(S, 1);
        if (round == 1)
            BN_zero(S);
        BN_bn2lebinpad(N, n, sizeof(n));
        BN_bn2lebinpad(S, s, sizeof(s));
        assert_true(sgx_rsa3_quotients(n, s, q1, q2));
        BN_sqr(t, S, ctx);
        BN_div(q, r, t, N, ctx);
        BIGNUM *mine = number(q1);
        assert_int_equal(BN_cmp(mine, q), 0);
        BN_free(mine);
        BN_mul(t, r, S, ctx);
        BN_div(q, r, t, N, ctx);
        mine = number(q2);
        assert_int_equal(BN_cmp(mine, q), 0);
        BN_free(mine);
        assert_false(sgx_rsa3_quotients(n, n, q1, q2));
        BN_free(N), BN_free(S), BN_free(t), BN_free(q), BN_free(r);
    }
    BN_CTX_free(ctx);
}

/* Each line is one bad layout; the message names the line. */
static void bad_layouts(void **state)
{
    static const char *const bad[] = {
        "",
        "zero offset=0 perm=rw pages=1\n",
        "enclave\n",
        "enclave size=0x3000\nzero offset=0 perm=rw pages=1\n",
        "enclave size=0x1000\nzero offset=0 perm=rw pages=1\n",
        "enclave size=-1\n",
        "enclave size=0x10000 ssaframesize=0\nzero offset=0 perm=rw pages=1\n",
        "enclave size=0x10000 colour=red\nzero offset=0 perm=rw pages=1\n",
        "enclave size=0x10000\nenclave size=0x10000\n",
        "enclave size=0x10000\nzero offset=0 perm=w pages=1\n",
        "enclave size=0x10000\nzero offset=0 perm=rr pages=1\n",
        "enclave size=0x10000\nzero offset=0 perm=rq pages=1\n",
        "enclave size=0x10000\nzero offset=1 perm=rw pages=1\n",
        "enclave size=0x10000\nzero offset=0x10000 perm=rw pages=1\n",
        "enclave size=0x10000\nzero offset=0 perm=rw pages=17\n",
        "enclave size=0x10000\nzero offset=0 perm=rw pages=0\n",
        "enclave size=0x10000\nzero offset=0 perm=rw pages=2\nzero offset=0x1000 perm=rw pages=1\n",
        "enclave size=0x10000\nzero offset=0 perm=rw\n",
        "enclave size=0x10000\ntcs offset=0 ossa=0 oentry=0\n",
        "enclave size=0x10000\ntcs offset=0 ossa=zz nssa=1 oentry=0\n",
        "enclave size=0x10000\nfile offset=0 perm=rx\n",
        "enclave size=0x10000\nfile offset=0 perm=rx path=/nonexistent/file\n",
        "enclave size=0x10000\nfile offset=0 perm=rx path=/\n",
        "enclave size=0x10000\nwindow offset=0\n",
        "enclave size=0x10000 a a a a a a a a a a a a a a a a a a a a\n",
        "enclave size=99999999999999999999999\n",
    };
    static struct sgx_layout layout;
    char path[] = "/tmp/sgx-unit-layout-XXXXXX", err[512];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, bad[i], strlen(bad[i]), 0), strlen(bad[i]));
        err[0] = '\0';
        assert_true(sgx_layout_read(path, &layout, err, sizeof(err)) < 0);
        assert_non_null(strstr(err, path));
    }
    close(fd);
    unlink(path);
    assert_true(sgx_layout_read(path, &layout, err, sizeof(err)) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(sign_and_break),
        cmocka_unit_test(quotients_agree_with_openssl),
        cmocka_unit_test(bad_layouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RA-TLS certificates, made and judged: what is accepted, and each reason for a refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/forge.h"
#include "ratls/certificate.h"
#include "ratls/verify.h"

static char dir[] = "/tmp/ratls-unit-XXXXXX";
static struct forge *platform;
static struct forge_quote quote_options;
static bool other_report_data;

static int forged_quote(const struct quote_source *source, const uint8_t report_data[64],
                        uint8_t *quote, size_t *size)
{
    static const uint8_t other[64] = {1};
    struct forge_quote q = quote_options;
    q.report_data = other_report_data ? other : report_data;
    uint8_t *made = forge_make_quote(platform, &q, size);
    assert_true(*size <= QUOTE_MAX);
    memcpy(quote, made, *size);
    free(made);
    return 0;
}

static const struct quote_source forged = {.quote = forged_quote};

static void save(const char *name, const void *data, size_t size)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

/* The collateral of a platform with the same keys but other options is not to be had: the platform
 * is made anew, and with it the root. */
static void save_collateral(void)
{
    static const char *const names[] = {
        "pck_chain.pem", "pck_crl_issuer_chain.pem", "root_ca_crl.der",  "pck_crl.der",
        "tcb_info.json", "tcb_info_chain.pem",       "qe_identity.json", "qe_identity_chain.pem"};
    adyton_collateral *c = forge_collateral(platform);
    for (int i = 0; i < ADYTON_COLLATERAL_ITEMS; i++) {
        struct adyton_bytes b = adyton_collateral_get(c, i);
        save(names[i], b.data, b.size);
    }
    adyton_collateral_free(c);
}

static int set_up(void **state)
{
    char path[256];
    struct forge_options o = {.valid_until = time(NULL) + 86400};
    assert_non_null(mkdtemp(dir));
    platform = forge_new(&o);
    save("root.pem", forge_root(platform), strlen(forge_root(platform)));
    save_collateral();
    snprintf(path, sizeof(path), "%s/root.pem", dir);
    setenv(RA_TLS_TRUST_ROOT, path, 1);
    setenv(RA_TLS_COLLATERAL, dir, 1);
    return 0;
}

static int tear_down(void **state)
{
    char command[64];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    forge_free(platform);
    return system(command);
}

static int accept_any(void **state)
{
    setenv(RA_TLS_MRENCLAVE, "any", 1);
    setenv(RA_TLS_MRSIGNER, "any", 1);
    setenv(RA_TLS_ISV_PROD_ID, "any", 1);
    setenv(RA_TLS_ISV_SVN, "any", 1);
    unsetenv(RA_TLS_MIN_EVALUATION_NUMBER);
    unsetenv(RA_TLS_ALLOW_DEBUG_ENCLAVE_INSECURE);
    unsetenv(RA_TLS_ALLOW_EXPIRED_CERT_INSECURE);
    unsetenv(RA_TLS_CERT_TIMESTAMP_NOT_AFTER);
    unsetenv(RA_TLS_CERT_TIMESTAMP_NOT_BEFORE);
    quote_options = (struct forge_quote){0};
    other_report_data = false;
    ra_tls_set_measurement_callback(NULL);
    return 0;
}

static X509 *make(EVP_PKEY **key)
{
    X509 *cert = NULL;
    assert_int_equal(certificate_make(&forged, key, &cert), 0);
    return cert;
}

static int judge_x509(X509 *cert, struct ra_tls_verify_callback_results *r)
{
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    assert_true(len > 0);
    int err = ra_tls_verify_callback_extended_der(der, (size_t)len, r);
    OPENSSL_free(der);
    return err;
}

/* Makes one and judges it. */
static int judge_made(struct ra_tls_verify_callback_results *r)
{
    EVP_PKEY *key;
    X509 *cert = make(&key);
    int err = judge_x509(cert, r);
    X509_free(cert);
    EVP_PKEY_free(key);
    return err;
}

static void expect(int number, enum ra_tls_err_loc place)
{
    struct ra_tls_verify_callback_results r;
    assert_int_equal(judge_made(&r), number);
    assert_int_equal(r.err_loc, place);
}

static void test_accepted(void **state)
{
    expect(0, AT_NONE);
}

/* DER and PEM, and the shape that other readers insist on. */
static void test_form(void **state)
{
    EVP_PKEY *key;
    X509 *cert = make(&key);
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;
    assert_true(PEM_write_bio_X509(bio, cert) && BIO_write(bio, "", 1) == 1);
    long size = BIO_get_mem_data(bio, &pem);
    assert_int_equal(ra_tls_verify_callback_extended_der((uint8_t *)pem, (size_t)size, NULL), 0);
    assert_int_equal(ra_tls_verify_callback_der((uint8_t *)pem, (size_t)size), 0);

    static const char *const oids[] = {"2.5.29.19", "2.5.29.14", "2.5.29.35",
                                       "0.6.9.42.840.113741.1337.6", "2.23.133.5.4.9"};
    assert_int_equal(X509_get_ext_count(cert), 5);
    for (int i = 0; i < 5; i++) {
        char text[80];
        X509_EXTENSION *ext = X509_get_ext(cert, i);
        OBJ_obj2txt(text, sizeof(text), X509_EXTENSION_get_object(ext), 1);
        assert_string_equal(text, oids[i]);
        assert_false(X509_EXTENSION_get_critical(ext));
    }
    const ASN1_OCTET_STRING *evidence = X509_EXTENSION_get_data(X509_get_ext(cert, 4));
    assert_memory_equal(evidence->data, "\xd9\xea\x60\x82\x59", 5);
    assert_in_range(evidence->length, 128, 8192);
    /* claims: { "pubkey-hash": bytes([ 1, bytes digest ]) } at the end */
    const uint8_t *claims = evidence->data + evidence->length - 51;
    assert_memory_equal(claims, "\xa1\x6bpubkey-hash\x58\x24\x82\x01\x58\x20", 19);
    assert_true(X509_verify(cert, key));
    BIO_free(bio);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* Someone else's evidence in a certificate of one's own key. */
static void test_key_substitution(void **state)
{
    EVP_PKEY *key, *mine = EVP_EC_gen("P-384");
    X509 *cert = make(&key);
    assert_true(X509_set_pubkey(cert, mine) && X509_sign(cert, mine, EVP_sha256()));
    struct ra_tls_verify_callback_results r;
    assert_int_equal(judge_x509(cert, &r), RA_TLS_ERR_COMMITMENT);
    assert_int_equal(r.err_loc, AT_EXTRACT_QUOTE);
    /* The older extension alone is bound to its key as well. */
    X509_EXTENSION_free(X509_delete_ext(cert, 4));
    assert_true(X509_sign(cert, mine, EVP_sha256()));
    assert_int_equal(judge_x509(cert, &r), RA_TLS_ERR_COMMITMENT);
    X509_free(cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(mine);
}

static void test_forged_certificates(void **state)
{
    static const struct {
        enum forge_cert kind;
        int number;
    } cases[] = {
        {FORGE_CERT_TAGGED, 0},
        {FORGE_CERT_OLDER, 0},
        {FORGE_CERT_OLDER_PROPER, 0},
        {FORGE_CERT_OTHER_KEY, RA_TLS_ERR_COMMITMENT},
        {FORGE_CERT_NO_HASH, RA_TLS_ERR_EXTENSIONS},
        {FORGE_CERT_OTHER_CLAIMS, RA_TLS_ERR_COMMITMENT},
        {FORGE_CERT_BROKEN, RA_TLS_ERR_EXTENSIONS}, /* and no way down to the older extension */
        {FORGE_CERT_TWICE, RA_TLS_ERR_EXTENSIONS},
        {FORGE_CERT_NONE, RA_TLS_ERR_EXTENSIONS},
    };
    /* These are valid from the second in which they are made. */
    setenv(RA_TLS_ALLOW_EXPIRED_CERT_INSECURE, "1", 1);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct ra_tls_verify_callback_results r;
        size_t size;
        uint8_t *cert = forge_make_cert(platform, cases[i].kind, &size);
        assert_int_equal(ra_tls_verify_callback_extended_der(cert, size, &r), cases[i].number);
        assert_int_equal(r.err_loc, cases[i].number ? AT_EXTRACT_QUOTE : AT_NONE);
        free(cert);
    }
}

static void test_bad_arguments(void **state)
{
    uint8_t garbage[100] = {0x30, 0x82};
    assert_int_equal(ra_tls_verify_callback_extended_der(NULL, 1, NULL), -EINVAL);
    assert_int_equal(ra_tls_verify_callback_extended_der(garbage, sizeof(garbage), NULL),
                     RA_TLS_ERR_BAD_CERTIFICATE);
    assert_int_equal(ra_tls_create_key_and_crt_der(NULL, NULL, NULL, NULL), -EINVAL);
}

static void test_every_cut(void **state)
{
    EVP_PKEY *key;
    X509 *cert = make(&key);
    uint8_t *der = NULL;
    int len = i2d_X509(cert, &der);
    FILE *quiet = freopen("/dev/null", "w", stderr);
    assert_non_null(quiet);
    for (int i = 1; i < len; i += 97)
        assert_true(ra_tls_verify_callback_extended_der(der, (size_t)i, NULL) < 0);
    OPENSSL_free(der);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static void test_wrong_quote(void **state)
{
    EVP_PKEY *key;
    X509 *cert;
    other_report_data = true; /* noticed when the certificate is made */
    assert_int_equal(certificate_make(&forged, &key, &cert), RA_TLS_ERR_FILE);
    assert_null(key);
    other_report_data = false;
    quote_options.bad_quote_signature = true;
    expect(RA_TLS_ERR_VERIFY, AT_VERIFY_EXTERNAL);
    quote_options = (struct forge_quote){.version = 5};
    expect(0, AT_NONE);
    quote_options = (struct forge_quote){.debug = true};
    expect(RA_TLS_ERR_VERIFY, AT_VERIFY_ENCLAVE_ATTRS);
    setenv(RA_TLS_ALLOW_DEBUG_ENCLAVE_INSECURE, "yes", 1);
    expect(RA_TLS_ERR_VERIFY, AT_VERIFY_ENCLAVE_ATTRS);
    setenv(RA_TLS_ALLOW_DEBUG_ENCLAVE_INSECURE, "1", 1);
    expect(0, AT_NONE);
}

static void test_dates(void **state)
{
    static const char *const bad[] = {"",
                                      "2030",
                                      "20301231235960",
                                      "20301331000000",
                                      "2030123123595x",
                                      "203012312359590",
                                      "-0301231235959"};
    EVP_PKEY *key;
    X509 *cert;
    setenv(RA_TLS_CERT_TIMESTAMP_NOT_AFTER, "20200101000000", 1);
    expect(RA_TLS_ERR_VERIFY, AT_EXTRACT_QUOTE);
    setenv(RA_TLS_ALLOW_EXPIRED_CERT_INSECURE, "1", 1);
    expect(0, AT_NONE);
    unsetenv(RA_TLS_ALLOW_EXPIRED_CERT_INSECURE);
    setenv(RA_TLS_CERT_TIMESTAMP_NOT_AFTER, "20991231235959", 1);
    setenv(RA_TLS_CERT_TIMESTAMP_NOT_BEFORE, "20981231235959", 1);
    expect(RA_TLS_ERR_VERIFY, AT_EXTRACT_QUOTE);
    unsetenv(RA_TLS_CERT_TIMESTAMP_NOT_BEFORE);
    expect(0, AT_NONE);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        setenv(RA_TLS_CERT_TIMESTAMP_NOT_AFTER, bad[i], 1);
        assert_int_equal(certificate_make(&forged, &key, &cert), RA_TLS_ERR_BAD_INPUT);
    }
}

static void test_evaluation_number(void **state)
{
    setenv(RA_TLS_MIN_EVALUATION_NUMBER, "16", 1);
    expect(0, AT_NONE);
    setenv(RA_TLS_MIN_EVALUATION_NUMBER, "17", 1);
    expect(RA_TLS_ERR_VERIFY, AT_VERIFY_EXTERNAL);
    setenv(RA_TLS_MIN_EVALUATION_NUMBER, "many", 1);
    expect(RA_TLS_ERR_BAD_INPUT, AT_VERIFY_EXTERNAL);
}

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS "2222222222222222222222222222222222222222222222222222222222222222"

/* The platform's enclave: MRENCLAVE 11.., MRSIGNER 22.., product 7, SVN 3. */
static void test_measurements(void **state)
{
    static const struct {
        const char *variable, *value;
        bool accepted;
    } cases[] = {
        {RA_TLS_MRENCLAVE, ONES, true},       {RA_TLS_MRENCLAVE, TWOS, false},
        {RA_TLS_MRENCLAVE, "", false},        {RA_TLS_MRENCLAVE, "Any", false},
        {RA_TLS_MRENCLAVE, ONES "11", false}, {RA_TLS_MRENCLAVE, &(ONES "g")[1], false},
        {RA_TLS_MRENCLAVE, NULL, false},      {RA_TLS_MRSIGNER, TWOS, true},
        {RA_TLS_MRSIGNER, ONES, false},       {RA_TLS_MRSIGNER, NULL, false},
        {RA_TLS_ISV_PROD_ID, "7", true},      {RA_TLS_ISV_PROD_ID, "6", false},
        {RA_TLS_ISV_PROD_ID, "65543", false}, /* 65536 + 7 */
        {RA_TLS_ISV_PROD_ID, "+7", false},    {RA_TLS_ISV_PROD_ID, "7 ", false},
        {RA_TLS_ISV_PROD_ID, NULL, false},    {RA_TLS_ISV_SVN, "3", true},
        {RA_TLS_ISV_SVN, "2", true},          {RA_TLS_ISV_SVN, "4", false},
        {RA_TLS_ISV_SVN, "-1", false},        {RA_TLS_ISV_SVN, NULL, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        accept_any(NULL);
        if (cases[i].value)
            setenv(cases[i].variable, cases[i].value, 1);
        else
            unsetenv(cases[i].variable);
        if (cases[i].accepted)
            expect(0, AT_NONE);
        else
            expect(RA_TLS_ERR_VERIFY, AT_VERIFY_ENCLAVE_MEASUREMENTS);
    }
}

static int asked;

static int callback(const char *mrenclave, const char *mrsigner, const char *isv_prod_id,
                    const char *isv_svn)
{
    asked++;
    assert_int_equal(mrenclave[0], 0x11);
    assert_int_equal(mrsigner[31], 0x22);
    assert_memory_equal(isv_prod_id, "\7", 2);
    assert_memory_equal(isv_svn, "\3", 2);
    return asked == 1 ? 0 : -1;
}

static void test_callback(void **state)
{
    setenv(RA_TLS_MRENCLAVE, TWOS, 1); /* the callback alone decides */
    ra_tls_set_measurement_callback(callback);
    expect(0, AT_NONE);
    expect(RA_TLS_ERR_VERIFY, AT_VERIFY_ENCLAVE_MEASUREMENTS);
    assert_int_equal(asked, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_accepted, accept_any),
        cmocka_unit_test_setup(test_form, accept_any),
        cmocka_unit_test_setup(test_key_substitution, accept_any),
        cmocka_unit_test_setup(test_forged_certificates, accept_any),
        cmocka_unit_test_setup(test_bad_arguments, accept_any),
        cmocka_unit_test_setup(test_wrong_quote, accept_any),
        cmocka_unit_test_setup(test_dates, accept_any),
        cmocka_unit_test_setup(test_evaluation_number, accept_any),
        cmocka_unit_test_setup(test_measurements, accept_any),
        cmocka_unit_test_setup(test_callback, accept_any),
        cmocka_unit_test_setup(test_every_cut, accept_any),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

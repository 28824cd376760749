/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* DER, X.509 beside OpenSSL's reader, dates, CBOR evidence in certificates, JSON splitting. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/forge_pki.h"
#include "attest/json.h"

#define C(name) ADYTON_ATTEST_##name

static void test_time(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2000-02-29T23:59:59Z", 951868799},
        {"2025-06-15T15:06:40Z", FORGE_AT},
        {"2049-12-31T23:59:59Z", 2524607999},
        {"9999-12-31T23:59:59Z", 253402300799},
    };
    static const char *const bad[] = {
        "",
        "2025-06-15",
        "2025-06-15T15:06:40",
        "2025-02-29T00:00:00Z",
        "2025-13-01T00:00:00Z",
        "2025-00-01T00:00:00Z",
        "2025-06-31T00:00:00Z",
        "2025-06-15T24:00:00Z",
        "2025-06-15T15:60:40Z",
        "2025-06-15T15:06:60Z",
        "2025-06-15t15:06:40Z",
        "1969-12-31T23:59:59Z",
        "2025-06-15T15:06:40Z ",
        "+025-06-15T15:06:40Z",
    };
    int64_t seconds;
    char text[24];
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_true(time_from_iso(good[i].text, &seconds));
        assert_int_equal(seconds, good[i].seconds);
        time_to_iso(seconds, text);
        assert_string_equal(text, good[i].text);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(time_from_iso(bad[i], &seconds));
}

static void test_der(void **state)
{
    static const struct {
        uint8_t data[8];
        size_t size;
        bool good;
        uint32_t value;
    } numbers[] = {
        {{2, 1, 0}, 3, true, 0},
        {{2, 1, 127}, 3, true, 127},
        {{2, 2, 0, 200}, 4, true, 200},
        {{2, 1, 200}, 3, false, 0},        /* negative */
        {{2, 2, 0, 100}, 4, false, 0},     /* not the shortest */
        {{2, 0}, 2, false, 0},             /* empty */
        {{2, 2, 1}, 3, false, 0},          /* cut short */
        {{2, 0x81, 1, 5}, 4, false, 0},    /* long length for a short one */
        {{2, 0x80, 5, 0, 0}, 5, false, 0}, /* indefinite */
        {{2, 3, 1, 0, 0}, 5, false, 0},    /* above the limit */
        {{4, 1, 5}, 3, false, 0},          /* another tag */
        {{0x1f, 2, 1, 5}, 4, false, 0},    /* tag of several bytes */
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        der in = {numbers[i].data, numbers[i].size};
        uint32_t value = 77;
        assert_int_equal(der_take_uint(&in, DER_INTEGER, 65535, &value), numbers[i].good);
        if (numbers[i].good)
            assert_int_equal(value, numbers[i].value);
        assert_int_equal(in.size, numbers[i].good ? 0 : numbers[i].size);
    }
}

static int64_t time_of(const ASN1_TIME *time)
{
    struct tm tm;
    assert_int_equal(ASN1_TIME_to_tm(time, &tm), 1);
    return timegm(&tm);
}

/* Our reader and OpenSSL's see the same in a certificate. */
static void same_as_openssl(const uint8_t *data, size_t size)
{
    const uint8_t *at = data;
    X509 *theirs = d2i_X509(NULL, &at, (long)size);
    struct x509 ours;
    int64_t from, until;
    char name[80], expected[80];
    assert_non_null(theirs);
    assert_true(x509_parse(data, size, &ours));
    assert_int_equal(ours.version, X509_get_version(theirs) + 1);
    assert_true(x509_validity(&ours, &from, &until));
    assert_int_equal(from, time_of(X509_get0_notBefore(theirs)));
    assert_int_equal(until, time_of(X509_get0_notAfter(theirs)));
    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(theirs), NID_commonName, expected,
                                          sizeof(expected)) > 0);
    assert_true(x509_common_name(ours.subject, name));
    assert_string_equal(name, expected);
    uint8_t *spki = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(theirs), &spki);
    assert_true(bytes_equal(ours.public_key, spki, (size_t)len));
    const ASN1_INTEGER *serial = X509_get0_serialNumber(theirs);
    assert_true(bytes_equal(ours.serial, ASN1_STRING_get0_data(serial),
                            (size_t)ASN1_STRING_length(serial)));
    int count = 0;
    struct x509_extension ext;
    for (der list = ours.extensions; list.size; count++)
        assert_true(x509_extension(&list, &ext));
    assert_int_equal(count, X509_get_ext_count(theirs));
    OPENSSL_free(spki);
    X509_free(theirs);
}

static void test_x509(void **state)
{
    struct forge *f = forge_new(NULL);
    const char *text = forge_pck_chain(f);
    size_t left = strlen(text), size;
    uint8_t *data;
    struct x509 cert;
    int count = 0;
    while (pem_next(&text, &left, PEM_CERTIFICATES, &data, &size) == 1) {
        same_as_openssl(data, size);
        /* Cut short or with something behind it, it is none. */
        for (size_t i = 0; i < size; i++)
            assert_false(x509_parse(data, i, &cert));
        uint8_t *longer = calloc(1, size + 1);
        memcpy(longer, data, size);
        assert_false(x509_parse(longer, size + 1, &cert));
        free(longer);
        free(data);
        count++;
    }
    assert_int_equal(count, 3);
    forge_free(f);
}

static void test_crl(void **state)
{
    struct forge *f = forge_new(&(struct forge_options){.revoke_leaf = true});
    adyton_collateral *c = forge_collateral(f);
    struct adyton_bytes b = adyton_collateral_get(c, ADYTON_COLLATERAL_PCK_CRL);
    const uint8_t *at = b.data, serial[] = {71}, other[] = {72};
    X509_CRL *theirs = d2i_X509_CRL(NULL, &at, (long)b.size);
    struct x509_crl ours;
    assert_non_null(theirs);
    assert_true(x509_crl_parse(b.data, b.size, &ours));
    assert_int_equal(ours.this_update, time_of(X509_CRL_get0_lastUpdate(theirs)));
    assert_int_equal(ours.next_update, time_of(X509_CRL_get0_nextUpdate(theirs)));
    assert_true(x509_crl_lists(&ours, (der){serial, 1}));
    assert_false(x509_crl_lists(&ours, (der){other, 1}));
    for (size_t i = 0; i < b.size; i++)
        assert_false(x509_crl_parse(b.data, i, &ours));
    X509_CRL_free(theirs);
    adyton_collateral_free(c);
    forge_free(f);
}

static void test_certificates(void **state)
{
    static const struct {
        enum forge_cert kind;
        int code;
    } cases[] = {
        {FORGE_CERT_TAGGED, 0},
        {FORGE_CERT_OLDER, 0},
        {FORGE_CERT_OLDER_PROPER, 0},
        {FORGE_CERT_OTHER_KEY, C(CERT_KEY_MISMATCH)},
        {FORGE_CERT_NO_HASH, C(CERT_CLAIMS_FORMAT)},
        {FORGE_CERT_OTHER_CLAIMS, C(CERT_CLAIMS_MISMATCH)},
        {FORGE_CERT_BROKEN, C(CERT_EVIDENCE_FORMAT)},
        {FORGE_CERT_TWICE, C(CERT_EVIDENCE_FORMAT)},
        {FORGE_CERT_NONE, C(CERT_NO_EVIDENCE)},
    };
    struct forge *f = forge_new(NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct adyton_attest_error e = {0};
        adyton_quote *quote = NULL;
        size_t size;
        uint8_t *data = forge_make_cert(f, cases[i].kind, &size);
        int code = adyton_quote_from_certificate(data, size, &quote, &e);
        if (code != cases[i].code)
            fail_msg("kind %d: %s: %s", (int)cases[i].kind, adyton_attest_code_name(code), e.text);
        assert_true((quote != NULL) == !code);
        if (cases[i].kind == FORGE_CERT_TAGGED) {
            assert_int_equal(adyton_quote_claim(quote, "pubkey-hash").size, 36);
            assert_null(adyton_quote_claim(quote, "nonce").data);
        }
        adyton_quote_free(quote);
        free(data);
    }
    forge_free(f);
}

static void test_json_split(void **state)
{
#define HEX "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
    static const struct {
        const char *text, *object;
    } cases[] = {
        {"{\"a\":{\"x\":1},\"signature\":\"" HEX HEX "\"}", "{\"x\":1}"},
        {" { \"signature\" : \"" HEX HEX "\" , \"a\" : { \"x\" : \"}\\\"\" } } \n",
         "{ \"x\" : \"}\\\"\" }"},
        {"{\"b\":[1,{\"c\":null}],\"a\":{},\"signature\":\"" HEX HEX "\",\"d\":-1.5e3}", "{}"},
        {"{\"a\":{\"x\":1},\"signature\":\"" HEX "\"}", NULL},
        {"{\"a\":{\"x\":1},\"signature\":\"" HEX HEX "\"", NULL},
        {"{\"a\":{\"x\":1},\"signature\":\"" HEX HEX "\"}x", NULL},
        {"{\"a\":[],\"signature\":\"" HEX HEX "\"}", NULL},
        {"{\"a\":{},\"a\":{},\"signature\":\"" HEX HEX "\"}", NULL},
        {"{\"a\":{},\"signature\":\"" HEX HEX "\",\"signature\":\"" HEX HEX "\"}", NULL},
        {"{\"a\":{],\"signature\":\"" HEX HEX "\"}", NULL},
        {"{\"signature\":\"" HEX HEX "\"}", NULL},
        {"{\"a\":{}}", NULL},
        {"[]", NULL},
        {"", NULL},
    };
    struct signed_json parts;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        bool split = json_split(cases[i].text, strlen(cases[i].text), "a", &parts);
        assert_int_equal(split, cases[i].object != NULL);
        if (split)
            assert_true(bytes_equal(parts.object, cases[i].object, strlen(cases[i].object)));
    }
    /* Nesting, as deep as a document of a megabyte can be. */
    char *deep = malloc(1 << 20);
    memset(deep, '[', 1 << 20);
    memcpy(deep, "{\"a\":{\"b\":", 10);
    assert_false(json_split(deep, 1 << 20, "a", &parts));
    free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time),         cmocka_unit_test(test_der),
        cmocka_unit_test(test_x509),         cmocka_unit_test(test_crl),
        cmocka_unit_test(test_certificates), cmocka_unit_test(test_json_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Quotes and collateral of made platforms, each with one thing wrong, and the verdict they get. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/forge.h"

#define C(name) ADYTON_ATTEST_##name
#define S(name) ADYTON_TCB_##name

struct expected {
    const char *name;
    struct forge_options platform;
    struct forge_quote quote;
    int code, status;
    unsigned expired;
};

static const struct expected table[] = {
    {"v3", {0}, {0}, 0, S(UP_TO_DATE), 0},
    {"processor", {.processor = true}, {0}, 0, S(UP_TO_DATE), 0},
    {"tcb info 2", {.tcb_version = 2}, {0}, 0, S(UP_TO_DATE), 0},
    {"v4 sgx", {0}, {.version = 4}, 0, S(UP_TO_DATE), 0},
    {"v5 sgx", {0}, {.version = 5}, 0, S(UP_TO_DATE), 0},
    {"padding", {0}, {.padding = 3000}, 0, S(UP_TO_DATE), 0},
    {"type 1", {0}, {.certification_type = 1}, 0, S(UP_TO_DATE), 0},
    {"type 2", {0}, {.certification_type = 2}, 0, S(UP_TO_DATE), 0},
    {"type 3", {0}, {.certification_type = 3}, 0, S(UP_TO_DATE), 0},
    {"type 4", {0}, {.certification_type = 4}, 0, S(UP_TO_DATE), 0},
    {"type 4 in v4", {0}, {.version = 4, .certification_type = 4}, 0, S(UP_TO_DATE), 0},
    {"white space", {.pretty = true}, {0}, 0, S(UP_TO_DATE), 0},
    {"extra members", {.extra_tcb = "\"more\":[{\"x\":\"}\\\"\"}],"}, {0}, 0, S(UP_TO_DATE), 0},
    {"member twice", {.extra_tcb = "\"tcbType\":0,"}, {0}, C(TCB_INFO_FORMAT), 0, 0},
    {"level with a strange status", {.platform_status = "Fine"}, {0}, C(TCB_INFO_FORMAT), 0, 0},
    {"debug is no matter of verification", {0}, {.debug = true}, 0, S(UP_TO_DATE), 0},
    {"sw", {.platform_status = "SWHardeningNeeded"}, {0}, 0, S(SW_HARDENING_NEEDED), 0},
    {"cfg", {.platform_status = "ConfigurationNeeded"}, {0}, 0, S(CONFIGURATION_NEEDED), 0},
    {"level revoked", {.platform_status = "Revoked"}, {0}, 0, S(REVOKED), 0},
    {"qe revoked", {.qe_status = "Revoked"}, {0}, 0, S(REVOKED), 0},
    {"old qe", {0}, {.qe_svn = 6}, 0, S(OUT_OF_DATE), 0},
    {"old qe, sw", {.platform_status = "SWHardeningNeeded"}, {.qe_svn = 6}, 0, S(OUT_OF_DATE), 0},
    {"old qe, cfg",
     {.platform_status = "ConfigurationAndSWHardeningNeeded"},
     {.qe_svn = 6},
     0,
     S(OUT_OF_DATE_CONFIGURATION_NEEDED),
     0},
    {"qe below all", {0}, {.qe_svn = 3}, C(QE_SVN_NOT_SUPPORTED), 0, 0},
    {"platform below all", {.levels_too_high = true}, {0}, C(TCB_NOT_SUPPORTED), 0, 0},
    {"qe debug", {0}, {.qe_debug = true}, C(QE_ATTRIBUTES_MISMATCH), 0, 0},
    {"leaf revoked", {.revoke_leaf = true}, {0}, C(PCK_REVOKED), S(REVOKED), 0},
    {"ca revoked", {.revoke_ca = true}, {0}, C(PCK_CA_REVOKED), S(REVOKED), 0},
    {"signer revoked", {.revoke_signer = true}, {0}, C(TCB_INFO_SIGNER_REVOKED), 0, 0},
    {"other platform", {.other_fmspc = true}, {0}, C(TCB_INFO_MISMATCH), 0, 0},
    {"quote signature", {0}, {.bad_quote_signature = true}, C(QUOTE_SIGNATURE), 0, 0},
    {"qe signature", {0}, {.bad_qe_signature = true}, C(QE_REPORT_SIGNATURE), 0, 0},
    {"key hash", {0}, {.bad_key_hash = true}, C(QE_REPORT_DATA), 0, 0},
    {"tcb info until now", {.tcb_next_update = FORGE_AT}, {0}, 0, S(UP_TO_DATE), 0},
    {"tcb info expired",
     {.tcb_next_update = FORGE_AT - 1},
     {0},
     0,
     S(UP_TO_DATE),
     ADYTON_DATED_TCB_INFO},
    {"crl expired", {.crl_next_update = FORGE_AT - 1}, {0}, 0, S(UP_TO_DATE), ADYTON_DATED_PCK_CRL},
    {"pck expired",
     {.certs_not_after = FORGE_AT - 1},
     {0},
     0,
     S(UP_TO_DATE),
     ADYTON_DATED_PCK_CHAIN},
    {"tdx 1.0", {.tdx = true}, {0}, 0, S(UP_TO_DATE), 0},
    {"tdx v5", {.tdx = true}, {.version = 5}, 0, S(UP_TO_DATE), 0},
    {"tdx 1.5",
     {.tdx = true, .module_major = 1},
     {.version = 5, .body_type = 3},
     0,
     S(UP_TO_DATE),
     0},
    {"tdx extended",
     {.tdx = true, .module_major = 1},
     {.version = 5, .body_type = 4},
     0,
     S(UP_TO_DATE),
     0},
    {"tdx module old",
     {.tdx = true, .module_major = 0x1a, .module_status = "OutOfDate"},
     {0},
     0,
     S(OUT_OF_DATE),
     0},
    {"tdx module of another",
     {.tdx = true},
     {.bad_seam = true},
     C(TDX_MODULE_SIGNER_MISMATCH),
     0,
     0},
    {"relaunch",
     {.tdx = true, .module_major = 1, .older_launch = true},
     {.version = 5, .body_type = 3},
     0,
     S(TD_RELAUNCH_ADVISED),
     0},
    {"relaunch, cfg",
     {.tdx = true,
      .module_major = 1,
      .older_launch = true,
      .platform_status = "ConfigurationNeeded"},
     {.version = 5, .body_type = 3},
     0,
     S(TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED),
     0},
    {"relaunch does not help against an old qe",
     {.tdx = true, .module_major = 1, .older_launch = true},
     {.version = 5, .body_type = 3, .qe_svn = 6},
     0,
     S(OUT_OF_DATE),
     0},
    {"relaunch does not help when the present is old",
     {.tdx = true, .module_major = 1, .older_launch = true, .platform_status = "OutOfDate"},
     {.version = 5, .body_type = 3},
     0,
     S(OUT_OF_DATE),
     0},
};

static adyton_attest *verifier_for(const struct forge *f)
{
    adyton_attest *v = adyton_attest_new();
    assert_non_null(v);
    assert_int_equal(adyton_attest_set_trust_root(v, forge_root(f), strlen(forge_root(f)), NULL),
                     0);
    return v;
}

static adyton_quote *quote_of(const struct forge *f, const struct forge_quote *o)
{
    size_t size;
    uint8_t *data = forge_make_quote(f, o, &size);
    adyton_quote *quote = NULL;
    assert_int_equal(adyton_quote_parse(data, size, &quote, NULL), 0);
    free(data);
    return quote;
}

static void check(const struct expected *x, const adyton_verdict *v)
{
    if (v->code != x->code || v->status != x->status)
        fail_msg("%s: %s, %s: %s", x->name, adyton_attest_code_name(v->code),
                 adyton_tcb_status_name(v->status), v->error ? v->error : "");
    assert_int_equal(v->expired, x->expired);
    assert_int_equal(v->not_yet_valid, 0);
    assert_true((v->error != NULL) == (v->code != 0));
    if (!v->code) {
        assert_int_equal(v->trusted_root, ADYTON_ROOT_CUSTOM);
        assert_int_equal(v->evaluation_number, 16);
    }
}

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        struct forge *f = forge_new(&table[i].platform);
        adyton_collateral *c = forge_collateral(f);
        adyton_attest *v = verifier_for(f);
        adyton_quote *q = quote_of(f, &table[i].quote);
        /* Nothing remembered, remembered, and not remembered again: the same each time. */
        for (int round = 0; round < 4; round++) {
            adyton_verdict *verdict = NULL;
            if (round == 3)
                adyton_attest_set_cache(v, 0);
            adyton_attest_verify(v, q, c, FORGE_AT, ADYTON_TEE_ANY, &verdict);
            check(&table[i], verdict);
            adyton_verdict_free(verdict);
        }
        adyton_quote_free(q);
        adyton_attest_free(v);
        adyton_collateral_free(c);
        forge_free(f);
    }
}

static int code_of(adyton_attest *v, const adyton_quote *q, const adyton_collateral *c, int64_t at,
                   int tee)
{
    adyton_verdict *verdict = NULL;
    int code = adyton_attest_verify(v, q, c, at, tee, &verdict);
    assert_non_null(verdict);
    assert_int_equal(verdict->code, code);
    adyton_verdict_free(verdict);
    return code;
}

/* Takes away, cuts, extends and alters each document in turn. */
static void test_each_document(void **state)
{
    static const int missing[] = {0,
                                  0,
                                  C(ROOT_CRL_MISSING),
                                  C(PCK_CRL_MISSING),
                                  C(TCB_INFO_MISSING),
                                  C(TCB_INFO_CHAIN_MISSING),
                                  C(QE_IDENTITY_MISSING),
                                  C(QE_IDENTITY_CHAIN_MISSING)};
    struct forge *f = forge_new(NULL);
    adyton_attest *v = verifier_for(f);
    adyton_quote *q = quote_of(f, NULL);
    for (int item = 0; item < ADYTON_COLLATERAL_ITEMS; item++) {
        adyton_collateral *c = forge_collateral(f);
        struct adyton_bytes b = adyton_collateral_get(c, item);
        uint8_t *copy = malloc(b.size);
        size_t size = b.size;
        memcpy(copy, b.data, size);
        adyton_collateral_set(c, item, NULL, 0, NULL);
        assert_int_equal(code_of(v, q, c, FORGE_AT, ADYTON_TEE_SGX), missing[item]);
        /* The chain of a type 5 quote is in the quote; what lies beside it does not count. */
        for (int i = 0; item && i < 40; i++) {
            size_t at = size / 41 * (size_t)(i + 1);
            copy[at] ^= 0x55;
            adyton_collateral_set(c, item, copy, size, NULL);
            copy[at] ^= 0x55;
            int code = code_of(v, q, c, FORGE_AT, ADYTON_TEE_SGX);
            if (!code)
                fail_msg("byte %zu of document %d altered", at, item);
            adyton_collateral_set(c, item, copy, at, NULL);
            assert_int_not_equal(code_of(v, q, c, FORGE_AT, ADYTON_TEE_SGX), 0);
        }
        adyton_collateral_set(c, item, copy, size, NULL);
        assert_int_equal(code_of(v, q, c, FORGE_AT, ADYTON_TEE_SGX), 0);
        free(copy);
        adyton_collateral_free(c);
    }
    adyton_quote_free(q);
    adyton_attest_free(v);
    forge_free(f);
}

/* Each byte of a quote counts: every altered one is refused, at some step. */
static void test_each_byte_of_quote(void **state)
{
    for (int tdx = 0; tdx < 2; tdx++) {
        struct forge *f = forge_new(&(struct forge_options){.tdx = tdx});
        adyton_attest *v = verifier_for(f);
        adyton_collateral *c = forge_collateral(f);
        size_t size;
        uint8_t *data = forge_make_quote(f, NULL, &size);
        /* The text of the chain has bytes that do not count: white space, between certificates. */
        size_t end = size - strlen(forge_pck_chain(f)) - 1;
        for (size_t i = 0; i < end; i += 1 + i % 3) {
            adyton_quote *q = NULL;
            data[i] ^= (uint8_t)(1 << i % 8);
            if (!adyton_quote_parse(data, size, &q, NULL) &&
                !code_of(v, q, c, FORGE_AT, ADYTON_TEE_ANY))
                fail_msg("byte %zu altered", i);
            adyton_quote_free(q);
            data[i] ^= (uint8_t)(1 << i % 8);
        }
        for (size_t i = 0; i < size; i += 7) {
            adyton_quote *q = NULL;
            assert_int_not_equal(adyton_quote_parse(data, i, &q, NULL), 0);
            assert_null(q);
        }
        free(data);
        adyton_collateral_free(c);
        adyton_attest_free(v);
        forge_free(f);
    }
}

static void test_roots_and_kinds(void **state)
{
    struct forge *f = forge_new(NULL), *other = forge_new(NULL);
    adyton_attest *v = verifier_for(f), *intel = adyton_attest_new(),
                  *strange = verifier_for(other);
    adyton_collateral *c = forge_collateral(f), *none = adyton_collateral_new();
    adyton_collateral *others = forge_collateral(other);
    adyton_quote *q = quote_of(f, NULL);
    adyton_quote *type1 = quote_of(f, &(struct forge_quote){.certification_type = 1});
    assert_int_equal(code_of(v, q, c, FORGE_AT, ADYTON_TEE_SGX), 0);
    assert_int_equal(code_of(v, q, c, FORGE_AT, ADYTON_TEE_TDX), C(WRONG_TEE));
    assert_int_equal(code_of(v, q, c, FORGE_AT, 9), C(INVALID_ARGUMENT));
    assert_int_equal(code_of(intel, q, c, FORGE_AT, ADYTON_TEE_SGX), C(PCK_UNTRUSTED));
    assert_int_equal(code_of(strange, q, c, FORGE_AT, ADYTON_TEE_SGX), C(PCK_UNTRUSTED));
    assert_int_equal(code_of(v, q, none, FORGE_AT, ADYTON_TEE_SGX), C(NO_COLLATERAL));
    assert_int_equal(code_of(v, q, NULL, FORGE_AT, ADYTON_TEE_SGX), C(NO_COLLATERAL));
    assert_int_equal(code_of(v, type1, none, FORGE_AT, ADYTON_TEE_SGX), C(PCK_CHAIN_MISSING));
    /* The same names and another key everywhere. */
    assert_int_equal(code_of(v, q, others, FORGE_AT, ADYTON_TEE_SGX), C(ROOT_CRL_SIGNATURE));
    /* A root that is trusted no more is not remembered. */
    assert_int_equal(
        adyton_attest_set_trust_root(v, forge_root(other), strlen(forge_root(other)), NULL), 0);
    assert_int_equal(code_of(v, q, c, FORGE_AT, ADYTON_TEE_SGX), C(PCK_UNTRUSTED));
    assert_int_equal(adyton_attest_set_trust_root(v, "nonsense", 8, NULL), C(PCK_ROOT_INVALID));
    adyton_quote_free(q);
    adyton_quote_free(type1);
    adyton_collateral_free(c);
    adyton_collateral_free(none);
    adyton_collateral_free(others);
    adyton_attest_free(v);
    adyton_attest_free(intel);
    adyton_attest_free(strange);
    forge_free(f);
    forge_free(other);
}

static void test_too_early(void **state)
{
    struct forge *f = forge_new(NULL);
    adyton_attest *v = verifier_for(f);
    adyton_collateral *c = forge_collateral(f);
    adyton_quote *q = quote_of(f, NULL);
    adyton_verdict *verdict;
    assert_int_equal(adyton_attest_verify(v, q, c, FORGE_AT - 86401, ADYTON_TEE_SGX, &verdict), 0);
    assert_int_equal(verdict->expired, 0);
    assert_int_equal(verdict->not_yet_valid, ADYTON_DATED_PCK_CRL | ADYTON_DATED_ROOT_CRL |
                                                 ADYTON_DATED_TCB_INFO | ADYTON_DATED_QE_IDENTITY);
    adyton_verdict_free(verdict);
    adyton_quote_free(q);
    adyton_collateral_free(c);
    adyton_attest_free(v);
    forge_free(f);
}

struct crowd {
    adyton_attest *verifier;
    adyton_collateral *collateral;
    adyton_quote *quotes[8];
};

static void *verify_many(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 0; i < 200; i++) {
        adyton_verdict *verdict = NULL;
        adyton_attest_verify(crowd->verifier, crowd->quotes[i % 8], crowd->collateral, FORGE_AT,
                             ADYTON_TEE_SGX, &verdict);
        bool good = verdict && !verdict->code && verdict->status == ADYTON_TCB_UP_TO_DATE;
        adyton_verdict_free(verdict);
        if (!good)
            return arg;
    }
    return NULL;
}

/* Four threads, a cache that is much too small: objects come and go under them. */
static void test_threads(void **state)
{
    struct forge *f = forge_new(NULL);
    struct crowd crowd = {verifier_for(f), forge_collateral(f), {0}};
    pthread_t threads[4];
    adyton_attest_set_cache(crowd.verifier, 3);
    for (unsigned i = 0; i < 8; i++)
        crowd.quotes[i] = quote_of(f, &(struct forge_quote){.number = i});
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_many, &crowd), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    for (int i = 0; i < 8; i++)
        adyton_quote_free(crowd.quotes[i]);
    adyton_collateral_free(crowd.collateral);
    adyton_attest_free(crowd.verifier);
    forge_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_each_document),
        cmocka_unit_test(test_each_byte_of_quote),
        cmocka_unit_test(test_roots_and_kinds),
        cmocka_unit_test(test_too_early),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

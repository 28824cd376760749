/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Each rule, set so that it refuses and so that it accepts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/forge.h"

#define C(name) ADYTON_ATTEST_##name
#define H16     "11111111111111111111111111111111"
#define H32     H16 H16
#define H48                                                                                        \
    "33333333333333333333333333333333333333333333333333333333333333333333333333333333333333333333" \
    "3333"
#define Z32 "2222222222222222222222222222222222222222222222222222222222222222"

struct rule {
    const char *rule, *value;
    int code; /* with this rule and allow_custom_root */
};

static adyton_verdict *verdict_of(const struct forge_options *platform, const struct forge_quote *o)
{
    struct forge *f = forge_new(platform);
    adyton_collateral *c = forge_collateral(f);
    adyton_attest *v = adyton_attest_new();
    adyton_quote *quote = NULL;
    adyton_verdict *verdict = NULL;
    size_t size;
    uint8_t *data = forge_make_quote(f, o, &size);
    assert_int_equal(adyton_quote_parse(data, size, &quote, NULL), 0);
    adyton_attest_set_trust_root(v, forge_root(f), strlen(forge_root(f)), NULL);
    adyton_attest_verify(v, quote, c, FORGE_AT, ADYTON_TEE_ANY, &verdict);
    free(data);
    adyton_quote_free(quote);
    adyton_collateral_free(c);
    adyton_attest_free(v);
    forge_free(f);
    return verdict; /* keeps what it needs of all these */
}

static void check(const adyton_verdict *verdict, const struct rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct adyton_attest_error e = {0};
        adyton_policy *policy = adyton_policy_new();
        assert_int_equal(adyton_policy_set(policy, "allow_custom_root", "true", NULL), 0);
        if (adyton_policy_set(policy, rules[i].rule, rules[i].value, &e))
            fail_msg("%s", e.text);
        int code = adyton_policy_check(policy, verdict, &e);
        if (code != rules[i].code)
            fail_msg("%s = %s: %s: %s", rules[i].rule, rules[i].value,
                     adyton_attest_code_name(code), e.text);
        if (code)
            assert_true(strlen(e.text) > 10);
        adyton_policy_free(policy);
    }
}

#define CHECK(verdict, rules) check(verdict, rules, sizeof(rules) / sizeof(*(rules)))

static void test_sgx(void **state)
{
    static const struct rule rules[] = {
        {"mrenclave", H32, 0},
        {"mrenclave", Z32, C(POLICY_MEASUREMENT)},
        {"mrsigner", Z32, 0},
        {"mrsigner", H32, C(POLICY_MEASUREMENT)},
        {"mrtd", H48, C(POLICY_MEASUREMENT)},
        {"isv_prod_id", "7", 0},
        {"isv_prod_id", "8", C(POLICY_MEASUREMENT)},
        {"min_isv_svn", "3", 0},
        {"min_isv_svn", "4", C(POLICY_SVN)},
        {"tee", "sgx", 0},
        {"tee", "tdx", C(POLICY_TEE)},
        {"fmspc", "00E0C0DE0002", 0},
        {"fmspc", "00e0c0de0003", C(POLICY_PLATFORM)},
        {"ppid", "abababababababababababababababab", 0},
        {"ppid", H16, C(POLICY_PLATFORM)},
        {"min_tcb_date", "2024-02-13", 0},
        {"min_tcb_date", "2024-02-14", C(POLICY_TCB_DATE)},
        {"min_evaluation_number", "16", 0},
        {"min_evaluation_number", "17", C(POLICY_EVALUATION_NUMBER)},
        {"max_collateral_age_days", "1", 0},
        {"tcb_status", "SWHardeningNeeded", C(POLICY_STATUS)},
        {"allow_custom_root", "false", C(POLICY_ROOT)},
    };
    adyton_verdict *v = verdict_of(NULL, NULL);
    CHECK(v, rules);
    adyton_verdict_free(v);
}

static void test_tdx(void **state)
{
    static const struct rule rules[] = {
        {"mrtd", H48, 0},
        {"mrenclave", H32, C(POLICY_MEASUREMENT)},
        {"isv_prod_id", "0", C(POLICY_MEASUREMENT)},
        {"min_isv_svn", "1", C(POLICY_SVN)},
        {"tee", "tdx", 0},
        {"mrservicetd", H48, C(POLICY_MEASUREMENT)}, /* a TD 1.0 has none */
    };
    static const struct rule debug[] = {{"tee", "any", C(POLICY_DEBUG)},
                                        {"allow_debug", "true", 0}};
    adyton_verdict *v = verdict_of(&(struct forge_options){.tdx = true}, NULL);
    CHECK(v, rules);
    adyton_verdict_free(v);
    v = verdict_of(&(struct forge_options){.tdx = true}, &(struct forge_quote){.debug = true});
    CHECK(v, debug);
    adyton_verdict_free(v);
}

static void test_states(void **state)
{
    static const struct rule old[] = {
        {"tcb_status", "UpToDate", C(POLICY_STATUS)},
        {"tcb_status", "OutOfDate", 0},
        {"out_of_date_grace_days", "30", C(POLICY_STATUS)},
        {"out_of_date_grace_days", "600", 0},
    };
    static const struct rule advised[] = {
        {"advisory", "INTEL-SA-90002", 0},
        {"advisory", "INTEL-SA-90003", C(POLICY_ADVISORY)},
        {"advisory", "", C(POLICY_ADVISORY)},
        {"tee", "any", 0},
    };
    static const struct rule expired[] = {{"tee", "any", C(POLICY_EXPIRED)},
                                          {"allow_expired", "true", 0}};
    static const struct rule debug[] = {{"tee", "any", C(POLICY_DEBUG)},
                                        {"allow_debug", "true", 0}};
    adyton_verdict *v = verdict_of(
        &(struct forge_options){.platform_status = "OutOfDate", .advisory = "INTEL-SA-90002"},
        NULL);
    CHECK(v, old);
    adyton_verdict_free(v);
    v = verdict_of(&(struct forge_options){.advisory = "INTEL-SA-90002"}, NULL);
    CHECK(v, advised);
    adyton_verdict_free(v);
    v = verdict_of(&(struct forge_options){.crl_next_update = FORGE_AT - 5}, NULL);
    CHECK(v, expired);
    adyton_verdict_free(v);
    v = verdict_of(NULL, &(struct forge_quote){.debug = true});
    CHECK(v, debug);
    adyton_verdict_free(v);
}

/* What failed is never accepted, whatever the policy allows. */
static void test_failures_stay(void **state)
{
    static const char *const allow[] = {"allow_debug", "allow_expired", "allow_custom_root",
                                        "allow_provision_key"};
    adyton_policy *policy = adyton_policy_new();
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(adyton_policy_set(policy, allow[i], "true", NULL), 0);
    for (int s = ADYTON_TCB_UP_TO_DATE; s <= 9; s++)
        if (s != ADYTON_TCB_REVOKED)
            assert_int_equal(
                adyton_policy_set(policy, "tcb_status", adyton_tcb_status_name(s), NULL), 0);
    adyton_verdict *v = verdict_of(&(struct forge_options){.revoke_leaf = true}, NULL);
    assert_int_equal(adyton_policy_check(policy, v, NULL), C(PCK_REVOKED));
    adyton_verdict_free(v);
    v = verdict_of(&(struct forge_options){.platform_status = "Revoked"}, NULL);
    assert_int_equal(adyton_policy_check(policy, v, NULL), C(POLICY_STATUS));
    adyton_verdict_free(v);
    v = verdict_of(NULL, &(struct forge_quote){.bad_quote_signature = true});
    assert_int_equal(adyton_policy_check(policy, v, NULL), C(QUOTE_SIGNATURE));
    adyton_verdict_free(v);
    adyton_policy_free(policy);
}

static void test_syntax(void **state)
{
    static const char *const bad[][2] = {
        {"mrenclave", "12"},
        {"mrenclave", "any"},
        {"isv_prod_id", "65536"},
        {"isv_prod_id", "-1"},
        {"isv_prod_id", "1x"},
        {"isv_prod_id", ""},
        {"min_isv_svn", " 1"},
        {"tcb_status", "uptodate"},
        {"tcb_status", "Revoked"},
        {"allow_debug", "yes"},
        {"allow_debug", "1"},
        {"min_tcb_date", "yesterday"},
        {"min_tcb_date", "2024-02-30"},
        {"tee", "SGX"},
        {"nothing", "x"},
        {"min_evaluation_number", "99999999999"},
    };
    adyton_policy *policy = adyton_policy_new();
    assert_false(adyton_policy_names_program(policy));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct adyton_attest_error e = {0};
        assert_int_equal(adyton_policy_set(policy, bad[i][0], bad[i][1], &e), C(POLICY_SYNTAX));
        assert_int_equal(e.code, C(POLICY_SYNTAX));
        assert_non_null(strstr(e.text, bad[i][0]) ? e.text : strstr(e.text, bad[i][1]));
    }
    assert_int_equal(adyton_policy_set(policy, "mrsigner", H32, NULL), 0);
    assert_true(adyton_policy_names_program(policy));
    adyton_policy_free(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sgx),    cmocka_unit_test(test_tdx),
        cmocka_unit_test(test_states), cmocka_unit_test(test_failures_stay),
        cmocka_unit_test(test_syntax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

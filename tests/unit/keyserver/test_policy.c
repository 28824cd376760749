/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The policy file, decisions by it against verdicts of a forged platform, rates, and secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/forge.h"
#include "keyserver/judge.h"
#include "keyserver/secret.h"

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
#define TWOS "2222222222222222222222222222222222222222222222222222222222222222"
#define HEAD \
    "[server]\ncertificate = \"c\"\nkey = \"/abs/k\"\ncollateral = \"d\"\ntrust_root = \"r\"\n"
#define SECRET(name, rules) \
    "[[secret]]\nname = \"" name "\"\nsource = \"file:s\"\nallow_custom_root = true\n" rules "\n"

static struct ks_policy *parse(const char *text, struct diag *d)
{
    *d = (struct diag){.file = "policy"};
    return ks_policy_parse(text, strlen(text), "/dir", d);
}

static struct ks_policy *good(const char *text)
{
    struct diag d;
    struct ks_policy *p = parse(text, &d);
    if (!p)
        diag_print_errors(&d, stderr, "");
    assert_non_null(p);
    diag_free(&d);
    return p;
}

/* One error, in this line, with this text. */
static void bad(const char *text, unsigned line, const char *message)
{
    struct diag d;
    struct ks_policy *p = parse(text, &d);
    assert_null(p);
    diag_print_errors(&d, stdout, "  ");
    assert_int_equal(d.error_count, 1);
    assert_int_equal(d.errors->line, line);
    assert_non_null(strstr(d.errors->text, message));
    diag_free(&d);
}

static void test_settings(void **state)
{
    struct ks_policy *p = good(HEAD "name = \"x\"\nthreads = 3\n[audit]\nlog = \"a\"\nkey = \"b\"\n"
                                    "sync = false\n" SECRET("a", "mrenclave = \"" ONES "\""));
    assert_string_equal(p->set.certificate, "/dir/c");
    assert_string_equal(p->set.key, "/abs/k");
    assert_string_equal(p->set.listen, "[::]:4433");
    assert_string_equal(p->set.audit_head, "/dir/a.head");
    assert_false(p->set.audit_sync);
    assert_int_equal(p->set.threads, 3);
    assert_int_equal(p->set.max_connections, 4096);
    assert_int_equal(strlen(p->digest), 64);
    assert_string_equal(p->secrets[0].source.path, "/dir/s");
    assert_ptr_equal(ks_policy_find(p, "a", 1), &p->secrets[0]);
    assert_null(ks_policy_find(p, "", 0));
    ks_policy_release(p);
}

static void test_secret(void **state)
{
    struct ks_policy *p = good(
        HEAD "[vault]\nurl = \"https://v\"\ntoken_file = \"t\"\n[pkcs11]\nmodule = \"m\"\npin_file "
             "= \"p\"\n"
             "[[secret]]\nname = \"v\"\nsource = \"vault:secret/data/x#y\"\nmrenclave = \"" ONES
             "\"\nexpires = 2030-01-01\nrate = \"7/hour\"\nencoding = \"hex\"\ncache_seconds = 5\n"
             "[[secret]]\nname = \"p\"\nsource = \"pkcs11:token=t;object=o\"\nmrsigner = \"" ONES
             "\"\nisv_prod_id = 1\nmin_isv_svn = 0\n");
    const struct ks_secret *v = &p->secrets[0], *h = &p->secrets[1];
    assert_int_equal(v->source.kind, KS_SOURCE_VAULT);
    assert_string_equal(v->source.path, "secret/data/x");
    assert_string_equal(v->source.field, "y");
    assert_int_equal(v->rate, 7);
    assert_int_equal(v->rate_seconds, 3600);
    assert_int_equal(v->expires, 1893456000);
    assert_int_equal(v->source.encoding, KS_HEX);
    assert_string_equal(h->source.path, "o");
    assert_string_equal(h->source.field, "t");
    ks_policy_release(p);
}

static void test_slips(void **state)
{
    bad("x = \n", 1, "");
    bad(HEAD, 0, "there is no [[secret]]");
    bad(HEAD SECRET("a", ""), 6, "no enclave is named");
    bad(HEAD SECRET("a", "mrsigner = \"" ONES "\""), 6, "isv_prod_id and min_isv_svn as well");
    bad(HEAD SECRET("a", "mrsigner = \"" ONES "\"\nisv_prod_id = 3"), 6, "min_isv_svn");
    bad(HEAD SECRET("a", "mrenclave = \"" ONES "\"\nallow_debugging = true"), 11, "no rule");
    bad(HEAD SECRET("a", "mrenclave = \"" ONES "\"\nallow_debug = 1"), 11, "true or false");
    bad(HEAD SECRET("a", "mrenclave = \"11\""), 10, "64 hex digits");
    bad(HEAD SECRET("a", "mrenclave = []"), 10, "empty list");
    bad(HEAD SECRET("a", "mrenclave = [[\"" ONES "\"]]"), 10, "cannot be an array");
    bad(HEAD SECRET("a b", "mrenclave = \"" ONES "\""), 7, "letters, digits");
    bad(HEAD "threads = 1000\n" SECRET("a", "mrenclave = \"" ONES "\""), 6, "from 1 to 64");
    bad("[server]\ncertificate = \"c\"\nkey = \"k\"\n" SECRET("a", "mrenclave = \"" ONES "\""), 1,
        "source of collateral");
    bad(HEAD "pccs = \"https://x\"\n" SECRET("a", "mrenclave = \"" ONES "\""), 1, "not two");
    bad(HEAD "[[secret]]\nname = \"a\"\nsource = \"file:s\"\nallow = 3\n", 9, "[[secret.allow]]");
}

/* ---- decisions ---- */

static struct forge *forge;
static adyton_verdict *verdict;
static adyton_quote *quote;

/* A platform whose enclave has MRENCLAVE 11.., MRSIGNER 22.., product 7, SVN 3. */
static int set_up(void **state)
{
    struct adyton_attest_error e;
    size_t size;
    forge = forge_new(&(struct forge_options){0});
    uint8_t *data = forge_make_quote(forge, &(struct forge_quote){0}, &size);
    adyton_attest *a = adyton_attest_new();
    adyton_collateral *c = forge_collateral(forge);
    assert_int_equal(
        adyton_attest_set_trust_root(a, forge_root(forge), strlen(forge_root(forge)), &e), 0);
    assert_int_equal(adyton_quote_parse(data, size, &quote, &e), 0);
    assert_int_equal(adyton_attest_verify(a, quote, c, FORGE_AT, ADYTON_TEE_SGX, &verdict), 0);
    adyton_collateral_free(c);
    adyton_attest_free(a);
    free(data);
    return 0;
}

static int tear_down(void **state)
{
    adyton_verdict_free(verdict);
    adyton_quote_free(quote);
    forge_free(forge);
    return 0;
}

static void decides(const char *rules, int64_t now, const char *code)
{
    char text[2000];
    struct ks_decision d;
    snprintf(text, sizeof(text), HEAD "[[secret]]\nname = \"a\"\nsource = \"file:s\"\n%s\n", rules);
    struct ks_policy *p = good(text);
    assert_int_equal(ks_judge(&p->secrets[0], verdict, now, &d), !strcmp(code, "OK"));
    assert_string_equal(d.code, code);
    assert_int_equal(!d.granted, !!d.reason[0]);
    ks_policy_release(p);
}

#define ROOT "allow_custom_root = true\n"

static void test_decisions(void **state)
{
    const char *signer = ROOT "mrsigner = \"" TWOS "\"\nisv_prod_id = 7\nmin_isv_svn = ";
    char text[400];
    decides(ROOT "mrenclave = \"" ONES "\"", FORGE_AT, "OK");
    decides("mrenclave = \"" ONES "\"", FORGE_AT, "POLICY_ROOT");
    decides(ROOT "mrenclave = \"" TWOS "\"", FORGE_AT, "POLICY_MEASUREMENT");
    decides(ROOT "mrenclave = [\"" TWOS "\", \"" ONES "\"]", FORGE_AT, "OK");
    snprintf(text, sizeof(text), "%s3", signer);
    decides(text, FORGE_AT, "OK");
    snprintf(text, sizeof(text), "%s4", signer);
    decides(text, FORGE_AT, "POLICY_SVN");
    decides(ROOT "mrenclave = \"" ONES "\"\nexpires = 2025-06-15T15:06:41Z", FORGE_AT, "OK");
    decides(ROOT "mrenclave = \"" ONES "\"\nexpires = 2025-06-15T15:06:40Z", FORGE_AT,
            "SECRET_EXPIRED");
    decides(ROOT "mrenclave = \"" ONES "\"\nadvisories = []", FORGE_AT, "OK");
    decides(ROOT "mrenclave = \"" ONES "\"\nppid = \"00000000000000000000000000000000\"", FORGE_AT,
            "POLICY_PLATFORM");
    decides("[[secret.allow]]\n" ROOT "mrenclave = \"" TWOS "\"\n[[secret.allow]]\n" ROOT
            "mrenclave = \"" ONES "\"\nexpires = 2025-01-01",
            FORGE_AT, "RULES_EXPIRED");
    decides("[[secret.allow]]\n" ROOT "mrenclave = \"" TWOS "\"\n[[secret.allow]]\n" ROOT
            "mrenclave = \"" ONES "\"",
            FORGE_AT, "OK");
}

static void test_order(void **state)
{
    struct ks_policy *p =
        good(HEAD SECRET("a", "mrenclave = \"" TWOS "\"") SECRET("b", "mrenclave = \"" ONES "\"")
                 SECRET("c", "mrenclave = \"" ONES "\"\nexpires = 2025-01-01")
                     SECRET("d", "mrenclave = \"" ONES "\""));
    struct ks_decision d;
    assert_int_equal(ks_judge_all(p, verdict, FORGE_AT, 0, &d), 1);
    assert_int_equal(ks_judge_all(p, verdict, FORGE_AT, 2, &d), 3);
    assert_int_equal(ks_judge_all(p, verdict, FORGE_AT, 4, &d), -1);
    assert_string_equal(d.code, "NO_MORE");
    ks_policy_release(p);
    p = good(HEAD SECRET("a", "mrenclave = \"" TWOS "\"")
                 SECRET("c", "mrenclave = \"" ONES "\"\nexpires = 2025-01-01"));
    /* The refusal that says most. */
    assert_int_equal(ks_judge_all(p, verdict, FORGE_AT, 0, &d), -1);
    assert_string_equal(d.code, "SECRET_EXPIRED");
    ks_policy_release(p);
}

static void test_rates(void **state)
{
    struct ks_rates *rates = ks_rates_new();
    struct ks_secret s = {.name = "a", .rate = 2, .rate_seconds = 60}, free_one = {.name = "b"};
    int64_t now = 1000;
    assert_true(ks_rates_take(rates, &s, now));
    assert_true(ks_rates_take(rates, &s, now));
    assert_false(ks_rates_take(rates, &s, now));
    assert_false(ks_rates_take(rates, &s, now + 29000));
    assert_true(ks_rates_take(rates, &s, now + 31000));
    assert_false(ks_rates_take(rates, &s, now + 31000));
    now += 1000000; /* never more than the allowance */
    assert_true(ks_rates_take(rates, &s, now));
    assert_true(ks_rates_take(rates, &s, now));
    assert_false(ks_rates_take(rates, &s, now));
    for (int i = 0; i < 100; i++)
        assert_true(ks_rates_take(rates, &free_one, now));
    ks_rates_free(rates);
}

static void test_secrets(void **state)
{
    struct secret s;
    assert_false(secret_set(&s, "", 0));
    assert_false(secret_room(&s, SECRET_MAX + SECRET_FRAME + 1));
    assert_true(secret_set(&s, "abc", 3));
    assert_memory_equal(s.data, "abc", 3);
    secret_free(&s);
    assert_null(s.data);
    secret_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings), cmocka_unit_test(test_secret),
        cmocka_unit_test(test_slips),    cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_order),    cmocka_unit_test(test_rates),
        cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

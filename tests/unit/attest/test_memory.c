/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Each allocation of the library fails once: NO_MEMORY or a good answer, never a crash, never a
 * leak. */
#define FAILING_IMPLEMENTATION
#include "unit/attest/failing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>

#include <cmocka.h>

#include "attest/forge.h"

static unsigned long left; /* allocations until one fails; 0: none will */
static bool failed;

static bool fails(void)
{
    failed = failed || left == 1;
    return left && !--left;
}

void *failing_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

void *failing_calloc(size_t count, size_t size)
{
    return fails() ? NULL : calloc(count, size);
}

void *failing_realloc(void *p, size_t size)
{
    return fails() ? NULL : realloc(p, size);
}

char *failing_strdup(const char *text)
{
    return fails() ? NULL : strdup(text);
}

char *failing_strndup(const char *text, size_t len)
{
    return fails() ? NULL : strndup(text, len);
}

struct world {
    struct forge *forge;
    adyton_collateral *collateral;
    uint8_t *quote, *cert;
    size_t quote_size, cert_size;
};

/* A code that running out of memory may lead to. */
static void allowed(int code)
{
    if (code && code != ADYTON_ATTEST_NO_MEMORY)
        fail_msg("%s", adyton_attest_code_name(code));
    if (code && !failed)
        fail_msg("%s without a failure", adyton_attest_code_name(code));
}

static void verify(const struct world *w)
{
    adyton_attest *verifier = adyton_attest_new();
    adyton_policy *policy = adyton_policy_new();
    adyton_quote *quote = NULL;
    adyton_verdict *verdict = NULL;
    const char *root = forge_root(w->forge);
    int code = verifier ? adyton_attest_set_trust_root(verifier, root, strlen(root), NULL)
                        : ADYTON_ATTEST_NO_MEMORY;
    if (!code)
        code = adyton_quote_parse(w->quote, w->quote_size, &quote, NULL);
    if (!code)
        code = adyton_attest_verify(verifier, quote, w->collateral, FORGE_AT, ADYTON_TEE_ANY,
                                    &verdict);
    allowed(code);
    if (policy && verdict && !code) {
        code = adyton_policy_set(policy, "allow_custom_root", "true", NULL);
        if (!code)
            code = adyton_policy_set(policy, "advisory", "INTEL-SA-7", NULL);
        if (!code)
            code = adyton_policy_set(policy, "mrtd", "33", NULL) == ADYTON_ATTEST_POLICY_SYNTAX
                       ? 0
                       : ADYTON_ATTEST_FILE;
        if (!code)
            code = adyton_policy_check(policy, verdict, NULL);
        allowed(code);
    }
    adyton_verdict_free(verdict);
    adyton_quote_free(quote);
    adyton_policy_free(policy);
    adyton_attest_free(verifier);
}

static void parse_certificate(const struct world *w)
{
    adyton_quote *quote = NULL;
    allowed(adyton_quote_from_certificate(w->cert, w->cert_size, &quote, NULL));
    adyton_quote_free(quote);
}

static void copy_collateral(const struct world *w)
{
    adyton_collateral *c = adyton_collateral_new();
    for (int i = 0; c && i < ADYTON_COLLATERAL_ITEMS; i++) {
        struct adyton_bytes b = adyton_collateral_get(w->collateral, i);
        allowed(adyton_collateral_set(c, i, b.data, b.size, NULL));
    }
    adyton_collateral_free(c);
}

static void test_each_allocation(void **state)
{
    void (*const actions[])(const struct world *) = {verify, parse_certificate, copy_collateral};
    struct world w = {.forge = forge_new(&(struct forge_options){
                          .tdx = true, .module_major = 1, .advisory = "INTEL-SA-7"})};
    struct forge *sgx = forge_new(NULL);
    w.collateral = forge_collateral(w.forge);
    w.quote = forge_make_quote(w.forge, NULL, &w.quote_size);
    w.cert = forge_make_cert(sgx, FORGE_CERT_TAGGED, &w.cert_size);
    for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
        unsigned long count = 0;
        do {
            failed = false;
            left = ++count;
            actions[i](&w);
            left = 0;
        } while (failed);
        /* The last round had no failure: all before it had one each. */
        assert_true(count > (i ? 2 : 40));
    }
    free(w.quote);
    free(w.cert);
    adyton_collateral_free(w.collateral);
    forge_free(w.forge);
    forge_free(sgx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * attest-bench warm|cold [QUOTES]: distinct quotes of one platform, parsed, verified and held
 * against a policy, one thread. "warm": chain and collateral were verified before; "cold": nothing
 * is remembered from one quote to the next. Prints how many a second of processor time OpenSSL
 * could do if there were only the signatures (2 of a quote, 8 of chain and collateral), and how
 * many were done.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/forge_pki.h"

struct sample {
    uint8_t *data;
    size_t size;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Signatures a second. */
static double signature_rate(void)
{
    EVP_PKEY *key = forge_key();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    uint8_t digest[32] = {1}, sig[80];
    size_t size = sizeof(sig);
    int rounds = 3000;
    FORGE_NEEDS(ctx && EVP_PKEY_sign_init(ctx) > 0 &&
                EVP_PKEY_sign(ctx, sig, &size, digest, sizeof(digest)) > 0);
    FORGE_NEEDS(EVP_PKEY_verify_init(ctx) > 0);
    double start = now();
    for (int i = 0; i < rounds; i++)
        FORGE_NEEDS(EVP_PKEY_verify(ctx, sig, size, digest, sizeof(digest)) == 1);
    double rate = rounds / (now() - start);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return rate;
}

static void verify(adyton_attest *verifier, const adyton_collateral *collateral,
                   const adyton_policy *policy, const struct sample *sample)
{
    adyton_quote *quote = NULL;
    adyton_verdict *verdict = NULL;
    FORGE_NEEDS(!adyton_quote_parse(sample->data, sample->size, &quote, NULL));
    FORGE_NEEDS(
        !adyton_attest_verify(verifier, quote, collateral, FORGE_AT, ADYTON_TEE_SGX, &verdict));
    FORGE_NEEDS(!adyton_policy_check(policy, verdict, NULL));
    adyton_verdict_free(verdict);
    adyton_quote_free(quote);
}

int main(int argc, char **argv)
{
    if (argc < 2 || (strcmp(argv[1], "warm") && strcmp(argv[1], "cold"))) {
        fprintf(stderr, "usage: attest-bench warm|cold [QUOTES]\n");
        return 2;
    }
    int warm = !strcmp(argv[1], "warm"), count = argc > 2 ? atoi(argv[2]) : 1500;
    struct sample *samples = calloc((size_t)count, sizeof(*samples));
    struct forge *f = forge_new(&(struct forge_options){.more_levels = 16});
    adyton_collateral *collateral = forge_collateral(f);
    adyton_attest *verifier = adyton_attest_new();
    adyton_policy *policy = adyton_policy_new();
    FORGE_NEEDS(samples && verifier && policy && count > 0);
    FORGE_NEEDS(!adyton_policy_set(policy, "allow_custom_root", "true", NULL));
    FORGE_NEEDS(
        !adyton_attest_set_trust_root(verifier, forge_root(f), strlen(forge_root(f)), NULL));
    for (int i = 0; i < count; i++)
        samples[i].data =
            forge_make_quote(f, &(struct forge_quote){.number = (uint32_t)i}, &samples[i].size);
    if (warm)
        verify(verifier, collateral, policy, &samples[0]);
    else
        adyton_attest_set_cache(verifier, 0);
    double limit = signature_rate() / (warm ? 2 : 10);
    double start = now();
    for (int i = 0; i < count; i++)
        verify(verifier, collateral, policy, &samples[i]);
    printf("%.0f %.0f\n", limit, count / (now() - start));
    for (int i = 0; i < count; i++)
        free(samples[i].data);
    free(samples);
    adyton_policy_free(policy);
    adyton_attest_free(verifier);
    adyton_collateral_free(collateral);
    forge_free(f);
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keyserver/judge.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/der.h"

void ks_refuse(struct ks_decision *decision, const char *code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(decision->reason, sizeof(decision->reason), fmt, args);
    va_end(args);
    decision->granted = false;
    decision->code = code;
}

/* About which enclave it is: such a refusal is the normal case for the secrets of others. */
static bool about_identity(const char *code)
{
    return !strcmp(code, "POLICY_MEASUREMENT") || !strcmp(code, "POLICY_SVN");
}

static void try_rules(const struct ks_alternative *rules, const adyton_verdict *verdict,
                      int64_t now, struct ks_decision *out)
{
    struct adyton_attest_error error = {0};
    char text[24];
    int code = adyton_policy_check(rules->rules, verdict, &error);
    out->line = rules->line;
    if (code) {
        ks_refuse(out, adyton_attest_code_name(code), "%s", error.text);
    } else if (rules->expires && now >= rules->expires) {
        time_to_iso(rules->expires, text);
        ks_refuse(out, "RULES_EXPIRED", "the rules of line %u ended at %s", rules->line, text);
    } else {
        out->granted = true;
        out->code = "OK";
        out->reason[0] = 0;
    }
}

bool ks_judge(const struct ks_secret *secret, const adyton_verdict *verdict, int64_t now,
              struct ks_decision *decision)
{
    struct ks_decision one = {.secret = secret};
    char text[24];
    bool first = true;
    *decision = (struct ks_decision){.secret = secret, .line = secret->line, .code = "NO_RULES"};
    for (size_t i = 0; i < secret->alternative_count && !decision->granted; i++) {
        try_rules(&secret->alternatives[i], verdict, now, &one);
        if (first || one.granted || (about_identity(decision->code) && !about_identity(one.code)))
            *decision = one;
        first = false;
    }
    if (decision->granted && secret->expires && now >= secret->expires) {
        time_to_iso(secret->expires, text);
        ks_refuse(decision, "SECRET_EXPIRED", "the secret is not given out since %s", text);
    }
    return decision->granted;
}

int ks_judge_all(const struct ks_policy *policy, const adyton_verdict *verdict, int64_t now,
                 size_t from, struct ks_decision *decision)
{
    struct ks_decision one;
    bool first = true;
    *decision = (struct ks_decision){.code = "NO_MORE"};
    snprintf(decision->reason, sizeof(decision->reason), "there is no further secret");
    for (size_t i = from; i < policy->count; i++) {
        if (ks_judge(&policy->secrets[i], verdict, now, &one)) {
            *decision = one;
            return (int)i;
        }
        if (first || (about_identity(decision->code) && !about_identity(one.code)))
            *decision = one;
        first = false;
    }
    return -1;
}

/* ---- rates ---- */

struct bucket {
    struct bucket *next;
    double left;
    int64_t at;
    unsigned rate, seconds;
    char name[KS_NAME_MAX + 1];
};

struct ks_rates {
    pthread_mutex_t lock; /* guards the buckets */
    struct bucket *first;
};

struct ks_rates *ks_rates_new(void)
{
    struct ks_rates *rates = calloc(1, sizeof(*rates));
    if (rates)
        pthread_mutex_init(&rates->lock, NULL);
    return rates;
}

void ks_rates_free(struct ks_rates *rates)
{
    if (!rates)
        return;
    while (rates->first) {
        struct bucket *b = rates->first;
        rates->first = b->next;
        free(b);
    }
    pthread_mutex_destroy(&rates->lock);
    free(rates);
}

static struct bucket *bucket_of(struct ks_rates *rates, const struct ks_secret *secret, int64_t now)
{
    struct bucket *b = rates->first;
    while (b && strcmp(b->name, secret->name) != 0)
        b = b->next;
    if (!b && (b = calloc(1, sizeof(*b)))) {
        snprintf(b->name, sizeof(b->name), "%s", secret->name);
        b->next = rates->first;
        rates->first = b;
    }
    /* A new allowance begins full. */
    if (b && (b->rate != secret->rate || b->seconds != secret->rate_seconds)) {
        b->rate = secret->rate;
        b->seconds = secret->rate_seconds;
        b->left = secret->rate;
        b->at = now;
    }
    return b;
}

bool ks_rates_take(struct ks_rates *rates, const struct ks_secret *secret, int64_t now)
{
    bool taken = false;
    if (!secret->rate)
        return true;
    pthread_mutex_lock(&rates->lock);
    struct bucket *b = bucket_of(rates, secret, now);
    if (b) {
        b->left += (double)(now - b->at) * b->rate / (1000.0 * b->seconds);
        b->left = b->left > b->rate ? b->rate : b->left;
        b->at = now;
        taken = b->left >= 1;
        b->left -= taken;
    }
    pthread_mutex_unlock(&rates->lock);
    return taken;
}

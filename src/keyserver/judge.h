/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Who gets what: a verdict against the rules of the secrets. */
#pragma once
#include "keyserver/policy.h"

struct ks_decision {
    const struct ks_secret *secret; /* NULL: of none in particular */
    bool granted;
    unsigned line;    /* of the rules that decided, in the policy */
    const char *code; /* "OK", a name of adyton_attest_code_name(), or one of docs/keyserver.md */
    char reason[512]; /* a sentence; "" when granted */
};

/* Whether the rules give this secret to whom the verdict is about. Rates are not looked at. */
bool ks_judge(const struct ks_secret *secret, const adyton_verdict *verdict, int64_t now,
              struct ks_decision *decision);

/*
 * The first secret from `from` on that is granted: its index, else -1, and then the refusal that
 * says most: the first that is about something else than the measurements, or the first of all.
 */
int ks_judge_all(const struct ks_policy *policy, const adyton_verdict *verdict, int64_t now,
                 size_t from, struct ks_decision *decision);

__attribute__((format(printf, 3, 4))) void ks_refuse(struct ks_decision *decision, const char *code,
                                                     const char *fmt, ...);

/* How often secrets were released, by name, over reloads of the policy. */
struct ks_rates;
struct ks_rates *ks_rates_new(void);
void ks_rates_free(struct ks_rates *rates);
/* Takes one release of its allowance; false: it is used up (or there is no memory). `now` in
 * milliseconds of a clock that only goes forward. From any thread. */
bool ks_rates_take(struct ks_rates *rates, const struct ks_secret *secret, int64_t now);

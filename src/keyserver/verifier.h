/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Verification with collateral that is kept in memory, fetched when it is needed and refreshed. */
#pragma once
#include "attest/attest.h"
#include "keyserver/policy.h"

struct ks_verifier;

/* NULL with one sentence in `error`. */
struct ks_verifier *ks_verifier_new(const struct ks_settings *settings,
                                    struct adyton_attest_error *error);
void ks_verifier_free(struct ks_verifier *v);

/*
 * Verifies a quote as of `at`. False: the collateral has to be fetched first, and `may_wait` is
 * false. Otherwise *verdict is the caller's (NULL: no memory), and *error has code 0 or says why
 * there is no collateral; the verdict then tells what could be found without it.
 */
bool ks_verifier_verify(struct ks_verifier *v, const adyton_quote *quote, int64_t at, bool may_wait,
                        adyton_verdict **verdict, struct adyton_attest_error *error);

/* Reads the collateral's directory again if it is time to; a failure keeps what there was, and is
 * told in `error` (code 0: none). */
void ks_verifier_refresh(struct ks_verifier *v, int64_t at, struct adyton_attest_error *error);

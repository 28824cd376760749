/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Where secrets come from. */
#pragma once
#include "keyserver/policy.h"
#include "keyserver/secret.h"

struct ks_source_error {
    char text[400]; /* what is wrong, where, what helps; never a part of a secret */
};

struct ks_sources; /* what is kept of them: caches, by the name of the secret */

struct ks_sources *ks_sources_new(void);
void ks_sources_free(struct ks_sources *sources);

/*
 * The secret, into the secure heap (the caller's). May take as long as the time-outs of the policy
 * say; for a thread that may wait. Fails closed: a source that does not answer gives nothing, and
 * what is kept longer than cache_seconds is not used.
 */
bool ks_source_get(struct ks_sources *sources, const struct ks_policy *policy,
                   const struct ks_secret *secret, struct secret *out,
                   struct ks_source_error *error);

/* ---- one kind each; decoding is done by the caller ---- */
bool ks_source_vault(const struct ks_settings *settings, const struct ks_source *source,
                     struct secret *out, struct ks_source_error *error);
bool ks_source_pkcs11(const struct ks_settings *settings, const struct ks_source *source,
                      struct secret *out, struct ks_source_error *error);
__attribute__((format(printf, 2, 3))) bool ks_source_failed(struct ks_source_error *error,
                                                            const char *fmt, ...);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The verifier of this process, made once from the environment. */
#pragma once
#include "attest/attest.h"

struct ratls_verifier {
    adyton_attest *attest;
    const char *trust_root; /* file name, or NULL for Intel's */
};

/* NULL, with a line on stderr, when the environment names something that cannot be used; then the
 * next call tries again. Never freed. */
const struct ratls_verifier *ratls_verifier_get(void);

/* The documents of $RA_TLS_COLLATERAL as they are now, or NULL in `out` when it is not set. */
int ratls_collateral_load(adyton_collateral **out);

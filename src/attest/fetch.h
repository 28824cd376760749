/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Fetching collateral from a PCS or PCCS. */
#pragma once
#include "attest/tcb.h"

void fetcher_free(struct fetcher *fetcher);

/* The PCK chain of a quote, from itself or from beside it, verified up to the trusted root. */
int verify_pck_chain(struct session *s, const struct adyton_quote_info *quote,
                     const adyton_collateral *collateral, const struct chain **chain,
                     struct pck *pck);

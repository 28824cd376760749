/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "attest/fetch.h"

void fetcher_free(struct fetcher *fetcher)
{
}

int adyton_attest_fetch(adyton_attest *verifier, const adyton_quote *quote, int64_t at,
                        adyton_collateral **collateral, struct adyton_attest_error *error)
{
    return attest_fail(error, ADYTON_ATTEST_FETCH_OFF, "no place to fetch collateral from is set");
}

int adyton_attest_set_fetch(adyton_attest *verifier, const struct adyton_fetch_options *options,
                            struct adyton_attest_error *error)
{
    return attest_fail(error, ADYTON_ATTEST_FETCH_OFF, "fetching collateral is not possible yet");
}

int adyton_attest_set_fetch_from_qcnl(adyton_attest *verifier, const char *path,
                                      struct adyton_attest_error *error)
{
    return attest_fail(error, ADYTON_ATTEST_FETCH_OFF, "fetching collateral is not possible yet");
}

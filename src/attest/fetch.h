/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Fetching collateral from a PCS or PCCS. */
#pragma once
#include "attest/collateral.h"
#include "attest/tcb.h"

struct fetcher {
    char *root;       /* "https://host:port", all before /sgx/certification/ */
    unsigned version; /* of the API: 3, 4 */
    char *root_crl_url;
    char *cache_dir; /* NULL: none */
    char *update;    /* "standard" or "early" */
    char *api_key;   /* or NULL */
    bool insecure_tls;
    unsigned timeout_ms, retries;
    bool pcs; /* Intel's own service, not a PCCS */
};

void fetcher_free(struct fetcher *fetcher);

/* What a server answered: body, and the issuer chain out of a header, URL decoding undone. */
struct answer {
    uint8_t *body;
    size_t size;
    char *chain; /* NUL-terminated, or NULL */
};

void answer_free(struct answer *answer);

/* GET; the chain is that of the first header with one of the two names. 0 or a code. */
int http_get(const struct fetcher *fetcher, const char *url, const char *const headers[2],
             struct answer *answer, struct adyton_attest_error *e);

/* An answer kept on disk for this URL, and when it becomes stale. False when there is none that can
 * be read. */
bool fetch_cache_read(const struct fetcher *fetcher, const char *url, struct answer *answer,
                      int64_t *stale);
/* Keeps it; failing to is no error. */
void fetch_cache_write(const struct fetcher *fetcher, const char *url, const struct answer *answer,
                       int64_t stale);

/* The same as adyton_attest_fetch(); `renew` leaves what is kept on disk aside. *kept says whether
 * any of it came from there. */
int fetch_collateral(adyton_attest *verifier, const adyton_quote *quote, int64_t at, bool renew,
                     adyton_collateral **collateral, bool *kept, struct adyton_attest_error *e);

/* The PCK chain of a quote, from itself or from beside it, verified up to the trusted root. */
int verify_pck_chain(struct session *s, const struct adyton_quote_info *quote,
                     const adyton_collateral *collateral, const struct chain **chain,
                     struct pck *pck);

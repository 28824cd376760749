/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which documents a quote needs, and where they are. */
#include "attest/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY            86400
#define INTEL_PCS      "https://api.trustedservices.intel.com"
#define INTEL_ROOT_CRL "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
#define URL_MAX        2048

void fetcher_free(struct fetcher *f)
{
    if (!f)
        return;
    free(f->root);
    free(f->root_crl_url);
    free(f->cache_dir);
    free(f->update);
    free(f->api_key);
    free(f);
}

/* The one state of the process that libcurl wants to be set up once. */
static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static char *default_cache(void)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (base && *base == '/')
        return asprintf(&path, "%s/adyton/collateral", base) < 0 ? NULL : path;
    if (home && *home == '/')
        return asprintf(&path, "%s/.cache/adyton/collateral", home) < 0 ? NULL : path;
    return NULL;
}

/* Splits https://host:port/sgx/certification/v4/ */
static int parse_url(struct fetcher *f, const char *url, struct adyton_attest_error *e)
{
    const char *path = strstr(url, "/sgx/certification/v");
    size_t len = path ? (size_t)(path - url) : 0;
    const char *number = path ? path + strlen("/sgx/certification/v") : "";
    bool good = len > 8 && len < 512 &&
                (!strncmp(url, "https://", 8) || !strncmp(url, "http://", 7)) &&
                (*number == '3' || *number == '4') && (!number[1] || !strcmp(number + 1, "/"));
    for (size_t i = 0; i < len; i++)
        good = good && url[i] > 0x20 && url[i] < 0x7f;
    if (!good)
        return attest_fail(e, ADYTON_ATTEST_INVALID_ARGUMENT,
                           "'%.200s' is not the address of a PCCS or PCS: it must be like "
                           "https://localhost:8081/sgx/certification/v4/",
                           url);
    f->version = (unsigned)(*number - '0');
    f->root = strndup(url, len);
    f->pcs = f->root && !strcmp(f->root, INTEL_PCS);
    return f->root ? 0 : attest_no_memory(e);
}

static int fill(struct fetcher *f, const struct adyton_fetch_options *o,
                struct adyton_attest_error *e)
{
    int err = parse_url(f, o->url, e);
    if (err)
        return err;
    const char *update = o->update ? o->update : "standard";
    if (strcmp(update, "standard") && strcmp(update, "early"))
        return attest_fail(e, ADYTON_ATTEST_INVALID_ARGUMENT,
                           "the kind of update must be standard or early, not '%.40s'", update);
    if (o->api_key && (strlen(o->api_key) > 128 || strpbrk(o->api_key, "\r\n")))
        return attest_fail(e, ADYTON_ATTEST_INVALID_ARGUMENT, "the subscription key is malformed");
    f->update = strdup(update);
    f->api_key = o->api_key ? strdup(o->api_key) : NULL;
    f->insecure_tls = o->insecure_tls;
    f->timeout_ms = o->timeout_ms ? o->timeout_ms : 10000;
    f->retries = o->retries < 10 ? o->retries : 10;
    if (!o->cache_dir)
        f->cache_dir = default_cache();
    else if (*o->cache_dir)
        f->cache_dir = strdup(o->cache_dir);
    int len;
    if (o->root_crl_url)
        len = asprintf(&f->root_crl_url, "%s", o->root_crl_url);
    else if (f->pcs)
        len = asprintf(&f->root_crl_url, "%s", INTEL_ROOT_CRL);
    else
        len = asprintf(&f->root_crl_url, "%s/sgx/certification/v%u/rootcacrl", f->root, f->version);
    if (len < 0)
        f->root_crl_url = NULL;
    return f->update && f->root_crl_url && (!o->api_key || f->api_key) ? 0 : attest_no_memory(e);
}

int adyton_attest_set_fetch(adyton_attest *verifier, const struct adyton_fetch_options *options,
                            struct adyton_attest_error *error)
{
    /* Callers built with an earlier, shorter structure. */
    struct adyton_fetch_options o = {0};
    if (!verifier || !options || options->struct_size < sizeof(size_t) + sizeof(char *))
        return attest_fail(error, ADYTON_ATTEST_INVALID_ARGUMENT, "no options were passed");
    memcpy(&o, options, options->struct_size < sizeof(o) ? options->struct_size : sizeof(o));
    struct fetcher *f = NULL;
    if (o.url) {
        pthread_once(&curl_once, start_curl);
        f = calloc(1, sizeof(*f));
        int err = f ? fill(f, &o, error) : attest_no_memory(error);
        if (err) {
            fetcher_free(f);
            return err;
        }
    }
    fetcher_free(verifier->fetcher);
    verifier->fetcher = f;
    return 0;
}

/* When a document is to be asked for again: a day (or a tenth of its life) before its end. */
static int64_t stale_at(int item, const struct answer *answer, int64_t at)
{
    int64_t from = at, until = at;
    struct x509_crl crl;
    if (item == ADYTON_COLLATERAL_TCB_INFO || item == ADYTON_COLLATERAL_QE_IDENTITY) {
        json_t *root = json_loadb((const char *)answer->body, answer->size, 0, NULL);
        const char *name = item == ADYTON_COLLATERAL_TCB_INFO ? "tcbInfo" : "enclaveIdentity";
        const json_t *inner = json_object_get(root, name);
        if (!json_time(inner, "issueDate", &from) || !json_time(inner, "nextUpdate", &until))
            from = until = at;
        json_decref(root);
    } else if (answer->size && x509_crl_parse(answer->body, answer->size, &crl)) {
        from = crl.this_update;
        until = crl.next_update;
    } else if (item == ADYTON_COLLATERAL_ROOT_CRL || item == ADYTON_COLLATERAL_PCK_CRL) {
        until = at + DAY; /* PEM or hex: not looked into */
    } else {
        until = at + 7 * DAY; /* certificates */
    }
    int64_t margin = (until - from) / 10 < DAY ? (until - from) / 10 : DAY;
    return until - margin;
}

struct fetch {
    adyton_attest *verifier;
    const struct fetcher *f;
    adyton_collateral *out;
    int64_t at;
    bool renew, kept;
    struct adyton_attest_error *e;
};

/* From disk while it is fresh, else from the server, else from disk again. */
static int get(struct fetch *w, int item, const char *url, const char *const headers[2],
               struct answer *answer)
{
    struct answer old = {0};
    int64_t stale = 0;
    bool have = !w->renew && fetch_cache_read(w->f, url, &old, &stale);
    if (have && w->at < stale) {
        *answer = old;
        w->kept = true;
        return 0;
    }
    int err = http_get(w->f, url, headers, answer, w->e);
    if (!err) {
        stale = stale_at(item, answer, w->at);
        if (stale > w->at && (!headers[0] || answer->chain))
            fetch_cache_write(w->f, url, answer, stale);
        answer_free(&old);
        return 0;
    }
    if (have && err == ADYTON_ATTEST_FETCH_NETWORK) {
        *answer = old;
        w->kept = true;
        return 0;
    }
    answer_free(&old);
    return err;
}

/* One document, and its chain to another item (-1: it has none). */
static int take(struct fetch *w, int item, int chain_item, const char *url, const char *header,
                const char *other_header)
{
    const char *const headers[2] = {header, other_header};
    struct answer answer = {0};
    int err = get(w, item, url, headers, &answer);
    if (!err)
        err = adyton_collateral_set(w->out, item, answer.body, answer.size, w->e);
    if (!err && chain_item >= 0 && !answer.chain)
        err = attest_fail(w->e, ADYTON_ATTEST_FETCH_RESPONSE,
                          "the answer to %.200s lacks the header %s", url, header);
    if (!err && chain_item >= 0)
        err = adyton_collateral_set(w->out, chain_item, answer.chain, strlen(answer.chain), w->e);
    answer_free(&answer);
    return err;
}

static int take_lists(struct fetch *w, bool platform)
{
    char url[URL_MAX];
    snprintf(url, sizeof(url), "%s/sgx/certification/v%u/pckcrl?ca=%s&encoding=der", w->f->root,
             w->f->version, platform ? "platform" : "processor");
    int err = take(w, ADYTON_COLLATERAL_ROOT_CRL, -1, w->f->root_crl_url, NULL, NULL);
    if (!err)
        err = take(w, ADYTON_COLLATERAL_PCK_CRL, ADYTON_COLLATERAL_PCK_CRL_ISSUER_CHAIN, url,
                   "SGX-PCK-CRL-Issuer-Chain", NULL);
    return err;
}

static int take_judgement(struct fetch *w, bool tdx, unsigned version, const uint8_t fmspc[6])
{
    const char *kind = tdx ? "tdx" : "sgx";
    char url[URL_MAX], update[32] = "";
    if (version > 3)
        snprintf(update, sizeof(update), "update=%s", w->f->update);
    snprintf(url, sizeof(url), "%s/%s/certification/v%u/tcb?fmspc=%02x%02x%02x%02x%02x%02x%s%s",
             w->f->root, kind, version, fmspc[0], fmspc[1], fmspc[2], fmspc[3], fmspc[4], fmspc[5],
             *update ? "&" : "", update);
    int err = take(w, ADYTON_COLLATERAL_TCB_INFO, ADYTON_COLLATERAL_TCB_INFO_CHAIN, url,
                   "TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain");
    if (err)
        return err;
    snprintf(url, sizeof(url), "%s/%s/certification/v%u/qe/identity%s%s", w->f->root, kind, version,
             *update ? "?" : "", update);
    return take(w, ADYTON_COLLATERAL_QE_IDENTITY, ADYTON_COLLATERAL_QE_IDENTITY_CHAIN, url,
                "SGX-Enclave-Identity-Issuer-Chain", NULL);
}

static void hex(char *out, const uint8_t *data, size_t len)
{
    *out = 0;
    for (size_t i = 0; i < len; i++)
        sprintf(out + 2 * i, "%02x", data[i]);
}

/* The chain of a quote of type 1 to 3, by what it says about its platform. */
static int take_pck(struct fetch *w, const struct adyton_quote_info *q)
{
    static const size_t ppid_sizes[] = {[1] = 0, [2] = 256, [3] = 384};
    const uint8_t *data = q->certification_data.data;
    size_t type = q->certification_type, ppid = type <= 3 ? ppid_sizes[type] : 0;
    size_t tail = type == 1 ? 16 : ppid;
    char url[URL_MAX], text[769], cpu[33], qe[33];
    struct answer answer = {0};
    if (type > 3 || q->certification_data.size < tail + 20)
        return attest_fail(
            w->e, ADYTON_ATTEST_PCK_CHAIN_MISSING,
            "no PCK certificate can be asked for with certification data of type %zu", type);
    hex(text, data, ppid);
    hex(cpu, data + tail, 16);
    hex(qe, q->user_data, 16);
    data += tail + 16;
    snprintf(url, sizeof(url),
             "%s/sgx/certification/v%u/pckcert?qeid=%s&encrypted_ppid=%s&cpusvn=%s&"
             "pcesvn=%02x%02x&pceid=%02x%02x",
             w->f->root, w->f->version, qe, text, cpu, data[0], data[1], data[2], data[3]);
    const char *const headers[2] = {"SGX-PCK-Certificate-Issuer-Chain", NULL};
    int err = get(w, ADYTON_COLLATERAL_PCK_CHAIN, url, headers, &answer);
    if (!err && !answer.chain)
        err = attest_fail(w->e, ADYTON_ATTEST_FETCH_RESPONSE,
                          "the answer with the PCK certificate lacks its chain");
    char *pem = NULL;
    int len =
        err ? 0
            : asprintf(&pem, "%.*s\n%s", (int)answer.size, (const char *)answer.body, answer.chain);
    if (!err && len < 0)
        err = attest_no_memory(w->e);
    if (!err)
        err = adyton_collateral_set(w->out, ADYTON_COLLATERAL_PCK_CHAIN, pem, (size_t)len, w->e);
    if (len >= 0)
        free(pem);
    answer_free(&answer);
    return err;
}

/* What is asked for depends on a certificate whose chain has been verified, and on nothing else
 * that the sender of the quote could choose. */
static int take_all(struct fetch *w, const adyton_quote *quote)
{
    struct session s = {.verifier = w->verifier, .error = w->e};
    const struct adyton_quote_info *q = adyton_quote_get_info(quote);
    const struct chain *chain;
    bool tdx = q->tee == ADYTON_TEE_TDX;
    struct pck pck;
    int err = q->certification_type == 4   ? take_lists(w, true)
              : q->certification_type == 5 ? 0
                                           : take_pck(w, q);
    if (!err)
        err = verify_pck_chain(&s, q, w->out, &chain, &pck);
    session_end(&s);
    if (!err && q->certification_type != 4)
        err = take_lists(w, pck.platform);
    else if (!err && !pck.platform)
        err = take_lists(w, false);
    if (err)
        return err;
    /* TDX came with version 4. */
    unsigned version = tdx ? 4 : w->f->version;
    err = take_judgement(w, tdx, version, pck.fmspc);
    if (err == ADYTON_ATTEST_FETCH_NOT_FOUND && version == 4 && !tdx)
        err = take_judgement(w, tdx, 3, pck.fmspc);
    return err;
}

int fetch_collateral(adyton_attest *verifier, const adyton_quote *quote, int64_t at, bool renew,
                     adyton_collateral **collateral, bool *kept, struct adyton_attest_error *e)
{
    struct adyton_attest_error own;
    struct fetch w = {
        .verifier = verifier, .f = verifier->fetcher, .at = at, .renew = renew, .e = e ? e : &own};
    if (!w.f)
        return attest_fail(e, ADYTON_ATTEST_FETCH_OFF,
                           "there is no collateral, and no PCCS to fetch it from was named");
    w.out = adyton_collateral_new();
    if (!w.out)
        return attest_no_memory(e);
    int err = take_all(&w, quote);
    *kept = w.kept;
    if (err)
        adyton_collateral_free(w.out);
    else
        *collateral = w.out;
    return err;
}

int adyton_attest_fetch(adyton_attest *verifier, const adyton_quote *quote, int64_t at,
                        adyton_collateral **collateral, struct adyton_attest_error *error)
{
    bool kept;
    if (!verifier || !quote || !collateral)
        return attest_fail(error, ADYTON_ATTEST_INVALID_ARGUMENT, "an argument is missing");
    *collateral = NULL;
    return fetch_collateral(verifier, quote, at, false, collateral, &kept, error);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One GET over libcurl, with limits on all that the server sends. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "attest/fetch.h"

#define CHAIN_MAX 65536

struct transfer {
    struct answer *answer;
    const char *const *headers;
    bool too_large, no_memory;
};

void answer_free(struct answer *answer)
{
    free(answer->body);
    free(answer->chain);
    *answer = (struct answer){0};
}

static size_t on_body(char *data, size_t unit, size_t count, void *to)
{
    struct transfer *t = to;
    size_t len = unit * count;
    if (len > COLLATERAL_ITEM_MAX - t->answer->size) {
        t->too_large = true;
        return 0;
    }
    uint8_t *body = realloc(t->answer->body, t->answer->size + len + 1);
    if (!body) {
        t->no_memory = true;
        return 0;
    }
    memcpy(body + t->answer->size, data, len);
    t->answer->body = body;
    t->answer->size += len;
    return len;
}

/* %41 and the like; NULs and bad escapes end it. */
static char *unescape(const char *text, size_t len)
{
    char *out = malloc(len + 1);
    size_t n = 0;
    uint8_t byte;
    for (size_t i = 0; out && i < len; i++) {
        if (text[i] != '%') {
            out[n++] = text[i];
        } else if (len - i > 2 && hex_decode(text + i + 1, 2, &byte, 1) && byte) {
            out[n++] = (char)byte;
            i += 2;
        } else {
            break;
        }
    }
    if (out)
        out[n] = 0;
    return out;
}

static size_t on_header(char *data, size_t unit, size_t count, void *to)
{
    struct transfer *t = to;
    size_t len = unit * count;
    for (int i = 0; i < 2 && t->headers[i]; i++) {
        size_t name = strlen(t->headers[i]);
        if (len <= name || strncasecmp(data, t->headers[i], name) || data[name] != ':' ||
            t->answer->chain)
            continue;
        const char *value = data + name + 1, *end = data + len;
        while (value < end && is_space(*value))
            value++;
        while (end > value && is_space(end[-1]))
            end--;
        if (end - value > CHAIN_MAX)
            t->too_large = true;
        else
            t->answer->chain = unescape(value, (size_t)(end - value));
    }
    return t->too_large ? 0 : len;
}

static void set_options(CURL *curl, const struct fetcher *f, const char *url, struct transfer *t)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 3L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)f->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)f->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, f->insecure_tls ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, f->insecure_tls ? 0L : 2L);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "adyton");
}

static int status_error(long status, const char *url, struct adyton_attest_error *e)
{
    if (status == 404 || status == 461)
        return attest_fail(e, ADYTON_ATTEST_FETCH_NOT_FOUND,
                           "the server knows nothing about this platform (status %ld for %.200s): "
                           "is it registered, and is this the service that serves it?",
                           status, url);
    return attest_fail(e, ADYTON_ATTEST_FETCH_STATUS,
                       "the server answered with status %ld to %.200s", status, url);
}

/* One attempt. *again: the cause may pass. */
static int attempt(CURL *curl, const struct fetcher *f, const char *url, struct transfer *t,
                   bool *again, struct adyton_attest_error *e)
{
    long status = 0;
    *again = false;
    curl_easy_reset(curl);
    set_options(curl, f, url, t);
    struct curl_slist *headers = NULL;
    char line[256];
    if (f->api_key) {
        snprintf(line, sizeof(line), "Ocp-Apim-Subscription-Key: %s", f->api_key);
        headers = curl_slist_append(NULL, line);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    }
    CURLcode r = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    if (t->no_memory)
        return attest_no_memory(e);
    if (t->too_large)
        return attest_fail(e, ADYTON_ATTEST_FETCH_RESPONSE, "the answer to %.200s is too large",
                           url);
    if (r != CURLE_OK) {
        *again = true;
        return attest_fail(e, ADYTON_ATTEST_FETCH_NETWORK, "cannot fetch %.200s: %s%s", url,
                           curl_easy_strerror(r),
                           r == CURLE_PEER_FAILED_VERIFICATION
                               ? " (its certificate may be ignored: all collateral is signed)"
                               : "");
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    *again = status == 429 || status >= 500;
    return status == 200 ? 0 : status_error(status, url, e);
}

int http_get(const struct fetcher *f, const char *url, const char *const headers[2],
             struct answer *answer, struct adyton_attest_error *e)
{
    struct transfer t = {.answer = answer, .headers = headers};
    CURL *curl = curl_easy_init();
    bool again = true;
    int err = 0;
    if (!curl)
        return attest_no_memory(e);
    for (unsigned i = 0; again && i <= f->retries; i++) {
        struct timespec pause = {0, 200000000};
        if (i)
            nanosleep(&pause, NULL);
        answer_free(answer);
        err = attempt(curl, f, url, &t, &again, e);
    }
    curl_easy_cleanup(curl);
    if (err)
        answer_free(answer);
    return err;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Secrets of HashiCorp Vault, OpenBao and servers with the same HTTP API: KV versions 1 and 2. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyserver/source.h"

#define ANSWER_MAX (4 * SECRET_MAX)
#define TOKEN_MAX  4096

struct answer {
    struct secret data; /* room of ANSWER_MAX in the heap of libcurl's kind: wiped when freed */
    bool too_large;
};

static size_t on_body(char *data, size_t unit, size_t count, void *to)
{
    struct answer *a = to;
    size_t len = unit * count;
    if (len > ANSWER_MAX - a->data.size) {
        a->too_large = true;
        return 0;
    }
    memcpy(a->data.data + a->data.size, data, len);
    a->data.size += len;
    return len;
}

/* "X-Vault-Token: ..." from the file, without the newline at its end. */
static bool token_header(const char *path, char *header, size_t size, struct ks_source_error *error)
{
    static const char name[] = "X-Vault-Token: ";
    size_t start = sizeof(name) - 1;
    memcpy(header, name, start);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd < 0 ? -1 : read(fd, header + start, size - start - 1);
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return ks_source_failed(error, "the token of Vault in '%.200s' cannot be read: %s", path,
                                strerror(errno));
    header[start + (size_t)n] = 0;
    header[start + strcspn(header + start, "\r\n")] = 0;
    for (const char *p = header; *p; p++)
        if (*p < 0x20 || *p > 0x7e)
            return ks_source_failed(error, "'%.200s' does not hold a token", path);
    if (!header[start] || strlen(header) >= size - 2)
        return ks_source_failed(error, "'%.200s' does not hold a token", path);
    return true;
}

static void set_options(CURL *curl, const struct ks_settings *s, struct answer *a)
{
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L); /* the token goes nowhere else */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)s->vault_timeout_seconds * 1000);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)s->vault_timeout_seconds * 1000);
    if (s->vault_ca)
        curl_easy_setopt(curl, CURLOPT_CAINFO, s->vault_ca);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, a);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "adyton-keyserver");
}

static bool status_failed(long status, const char *url, struct ks_source_error *error)
{
    const char *helps = status == 403   ? ": has the token expired, and does its policy allow it?"
                        : status == 404 ? ": is there a secret at this path (KV version 2: with "
                                          "/data/ behind the mount)?"
                        : status == 503 ? ": it is sealed"
                                        : "";
    return ks_source_failed(error, "Vault answered %.200s with status %ld%s", url, status, helps);
}

static bool ask(const struct ks_settings *s, const struct ks_source *source, const char *token,
                struct answer *a, struct ks_source_error *error)
{
    char url[2200], space[1100];
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, token);
    long status = 0;
    size_t root = strlen(s->vault_url);
    while (root && s->vault_url[root - 1] == '/')
        root--;
    snprintf(url, sizeof(url), "%.*s/v1/%s", (int)root, s->vault_url, source->path);
    if (s->vault_namespace) {
        snprintf(space, sizeof(space), "X-Vault-Namespace: %s", s->vault_namespace);
        struct curl_slist *more = headers ? curl_slist_append(headers, space) : NULL;
        if (!more)
            curl_slist_free_all(headers);
        headers = more;
    }
    bool ok = curl && headers;
    if (ok) {
        set_options(curl, s, a);
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        CURLcode r = curl_easy_perform(curl);
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        if (a->too_large)
            ok = ks_source_failed(error, "the answer to %.200s is too large", url);
        else if (r != CURLE_OK)
            ok = ks_source_failed(error, "Vault cannot be asked at %.200s: %s", url,
                                  curl_easy_strerror(r));
        else if (status != 200)
            ok = status_failed(status, url, error);
    } else {
        ks_source_failed(error, "there is no memory left");
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return ok;
}

/* {"data": {"data": {FIELD: ...}, "metadata": ...}} of version 2, {"data": {FIELD: ...}} of 1. */
static bool pick(const struct ks_source *source, const struct answer *a, struct secret *out,
                 struct ks_source_error *error)
{
    json_t *root = json_loadb((const char *)a->data.data, a->data.size, JSON_ALLOW_NUL, NULL);
    const json_t *data = json_object_get(root, "data");
    if (json_is_object(json_object_get(data, "data")) &&
        json_is_object(json_object_get(data, "metadata")))
        data = json_object_get(data, "data");
    const json_t *field = json_object_get(data, source->field);
    size_t size = json_string_length(field);
    bool ok = true;
    if (!root || !json_is_object(data))
        ok = ks_source_failed(error, "what Vault gave for '%.200s' is not a secret in JSON",
                              source->path);
    else if (!json_is_string(field) || !size || size > SECRET_MAX)
        ok = ks_source_failed(error,
                              "the secret at '%.200s' in Vault has no field '%.100s' with a "
                              "text of 1 to %d bytes",
                              source->path, source->field, SECRET_MAX);
    else if (!secret_set(out, json_string_value(field), size))
        ok = ks_source_failed(error, "there is no memory for secrets left");
    json_decref(root);
    return ok;
}

bool ks_source_vault(const struct ks_settings *settings, const struct ks_source *source,
                     struct secret *out, struct ks_source_error *error)
{
    char token[TOKEN_MAX];
    struct answer a = {.data.data = malloc(ANSWER_MAX)};
    bool ok = a.data.data;
    if (!ok)
        ks_source_failed(error, "there is no memory left");
    ok = ok && token_header(settings->vault_token_file, token, sizeof(token), error) &&
         ask(settings, source, token, &a, error) && pick(source, &a, out, error);
    explicit_bzero(token, sizeof(token));
    if (a.data.data)
        explicit_bzero(a.data.data, a.data.size);
    free(a.data.data);
    return ok;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Files, encodings and what is kept for a while. */
#include "keyserver/source.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/json.h"

struct kept {
    struct kept *next;
    struct secret secret;
    int64_t until;
    char name[KS_NAME_MAX + 1];
    char digest[65]; /* of the policy it was read under */
};

struct ks_sources {
    pthread_mutex_t lock; /* guards what is kept */
    struct kept *first;
};

bool ks_source_failed(struct ks_source_error *error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(error->text, sizeof(error->text), fmt, args);
    va_end(args);
    return false;
}

struct ks_sources *ks_sources_new(void)
{
    struct ks_sources *s = calloc(1, sizeof(*s));
    if (s)
        pthread_mutex_init(&s->lock, NULL);
    return s;
}

void ks_sources_free(struct ks_sources *s)
{
    if (!s)
        return;
    while (s->first) {
        struct kept *k = s->first;
        s->first = k->next;
        secret_free(&k->secret);
        free(k);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static bool take_kept(struct ks_sources *s, const struct ks_policy *policy, const char *name,
                      struct secret *out)
{
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (struct kept **at = &s->first; *at;) {
        struct kept *k = *at;
        if (k->until <= now() || strcmp(k->digest, policy->digest) != 0) {
            *at = k->next;
            secret_free(&k->secret);
            free(k);
            continue;
        }
        if (!found && !strcmp(k->name, name))
            found = secret_set(out, k->secret.data, k->secret.size);
        at = &k->next;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

static void keep(struct ks_sources *s, const struct ks_policy *policy,
                 const struct ks_secret *secret, const struct secret *value)
{
    struct kept *k = calloc(1, sizeof(*k));
    if (!k || !secret_set(&k->secret, value->data, value->size)) {
        free(k);
        return; /* it is asked for again */
    }
    k->until = now() + secret->source.cache_seconds;
    snprintf(k->name, sizeof(k->name), "%s", secret->name);
    memcpy(k->digest, policy->digest, sizeof(k->digest));
    pthread_mutex_lock(&s->lock);
    k->next = s->first;
    s->first = k;
    pthread_mutex_unlock(&s->lock);
}

static bool from_file(const char *path, struct secret *out, struct ks_source_error *error)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool ok = fd >= 0 && !fstat(fd, &st);
    if (!ok)
        ks_source_failed(error, "the file '%.200s' cannot be opened: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode) || st.st_size < 1 || st.st_size > SECRET_MAX)
        ok = ks_source_failed(error, "'%.200s' must be a file of 1 to %d bytes", path, SECRET_MAX);
    if (ok && !secret_room(out, (size_t)st.st_size))
        ok = ks_source_failed(error, "there is no memory for secrets left");
    size_t got = 0;
    ssize_t n = 1;
    while (ok && got < out->size && n > 0) {
        n = read(fd, out->data + got, out->size - got);
        if (n > 0)
            got += (size_t)n;
    }
    if (ok && got < out->size) {
        secret_free(out);
        ok = ks_source_failed(error, "'%.200s' cannot be read: %s", path,
                              n < 0 ? strerror(errno) : "it became shorter meanwhile");
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Without the white space at the end that editors leave. */
static size_t text_size(const struct secret *s)
{
    size_t size = s->size;
    while (size &&
           (s->data[size - 1] == '\n' || s->data[size - 1] == '\r' || s->data[size - 1] == ' '))
        size--;
    return size;
}

static bool decode_base64(const struct secret *in, struct secret *out)
{
    size_t size = text_size(in);
    if (!size || size % 4 || !secret_room(out, size / 4 * 3))
        return false;
    EVP_ENCODE_CTX *ctx = EVP_ENCODE_CTX_new();
    int part = 0, rest = 0;
    bool ok = ctx;
    if (ok) {
        EVP_DecodeInit(ctx);
        ok = EVP_DecodeUpdate(ctx, out->data, &part, in->data, (int)size) >= 0 &&
             EVP_DecodeFinal(ctx, out->data + part, &rest) == 1 && part + rest > 0;
    }
    EVP_ENCODE_CTX_free(ctx);
    if (!ok) {
        secret_free(out);
        return false;
    }
    struct secret exact;
    ok = secret_set(&exact, out->data, (size_t)part + (size_t)rest);
    secret_free(out);
    *out = exact;
    return ok;
}

static bool decode(enum ks_encoding encoding, struct secret *value, struct ks_source_error *error)
{
    struct secret out = {0};
    bool ok = true;
    if (encoding == KS_HEX) {
        size_t size = text_size(value);
        ok = size && !(size % 2) && secret_room(&out, size / 2) &&
             hex_decode((const char *)value->data, size, out.data, size / 2);
    } else if (encoding == KS_BASE64) {
        ok = decode_base64(value, &out);
    } else {
        return true;
    }
    secret_free(value);
    if (!ok) {
        secret_free(&out);
        return ks_source_failed(error, "what the source gave is not %s, as encoding says",
                                encoding == KS_HEX ? "hex" : "base64");
    }
    *value = out;
    return true;
}

bool ks_source_get(struct ks_sources *sources, const struct ks_policy *policy,
                   const struct ks_secret *secret, struct secret *out,
                   struct ks_source_error *error)
{
    const struct ks_source *source = &secret->source;
    bool ok = false;
    *out = (struct secret){0};
    if (source->cache_seconds && take_kept(sources, policy, secret->name, out))
        return true;
    switch (source->kind) {
    case KS_SOURCE_FILE:
        ok = from_file(source->path, out, error);
        break;
    case KS_SOURCE_PKCS11:
        ok = ks_source_pkcs11(&policy->set, source, out, error);
        break;
    case KS_SOURCE_VAULT:
        ok = ks_source_vault(&policy->set, source, out, error);
        break;
    case KS_SOURCE_KINDS:
        ks_source_failed(error, "there is no such kind of source");
        break;
    }
    ok = ok && decode(source->encoding, out, error);
    if (ok && source->cache_seconds)
        keep(sources, policy, secret, out);
    return ok;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keyserver/secret.h"

#include <curl/curl.h>
#include <jansson.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#define HEAP_SIZE (16u << 20)
#define HEAP_MIN  64

static void wiping_free(void *p)
{
    if (!p)
        return;
    explicit_bzero(p, malloc_usable_size(p));
    free(p);
}

static void *wiping_realloc(void *old, size_t size)
{
    size_t had = old ? malloc_usable_size(old) : 0;
    if (old && !size) {
        wiping_free(old);
        return NULL;
    }
    if (old && size <= had)
        return old;
    void *p = malloc(size);
    if (p && old) {
        memcpy(p, old, had);
        wiping_free(old);
    }
    return p;
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    return malloc(size);
}

static void *openssl_realloc(void *p, size_t size, const char *file, int line)
{
    return wiping_realloc(p, size);
}

static void openssl_free(void *p, const char *file, int line)
{
    wiping_free(p);
}

bool secrets_prepare(const char **why, bool *locked)
{
    const struct rlimit none = {0, 0};
    *why = NULL;
    if (!CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free))
        *why = "OpenSSL is in use already";
    else if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup,
                                  calloc))
        *why = "libcurl cannot be set up";
    else if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        *why = "core dumps cannot be switched off";
    json_set_alloc_funcs(malloc, wiping_free);
    int heap = *why ? 1 : CRYPTO_secure_malloc_init(HEAP_SIZE, HEAP_MIN);
    if (!heap)
        *why = "there is no memory for secrets";
    *locked = heap == 1;
    return !*why;
}

bool secret_room(struct secret *s, size_t size)
{
    *s = (struct secret){0};
    if (!size || size > SECRET_MAX + SECRET_FRAME)
        return false;
    s->data = OPENSSL_secure_malloc(size);
    s->size = s->data ? size : 0;
    return s->data;
}

bool secret_set(struct secret *s, const void *data, size_t size)
{
    if (!secret_room(s, size))
        return false;
    memcpy(s->data, data, size);
    return true;
}

void secret_free(struct secret *s)
{
    OPENSSL_secure_clear_free(s->data, s->size);
    *s = (struct secret){0};
}

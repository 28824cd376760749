/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* SECRET_PROVISION_CONSTRUCTOR: the secret is there before main(). */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keys/secret_prov.h"

#define KEYS       "/dev/attestation/keys"
#define PATH_LIMIT 256
#define KEY_SIZE   16
#define STRING_MAX 4096

static bool wanted(void)
{
    const char *value = getenv(SECRET_PROVISION_CONSTRUCTOR);
    return value && (!strcmp(value, "1") || !strcmp(value, "true") || !strcmp(value, "TRUE"));
}

static bool complain(const char *what, const char *about)
{
    fprintf(stderr, "Secret Provisioning: %s%s%s\n", what, about ? ": " : "", about ? about : "");
    return false;
}

static bool set_key(const char *name, const uint8_t *secret, size_t size)
{
    char path[PATH_LIMIT];
    const char *root = NULL;
#ifdef ADYTON_TEST_BUILD
    root = getenv("ADYTON_TEST_KEYS");
#endif
    if (size != KEY_SIZE)
        return complain("the secret is not a key of 16 bytes", SECRET_PROVISION_SET_KEY);
    if (!*name || strchr(name, '/') ||
        snprintf(path, sizeof(path), "%s/%s", root ? root : KEYS, name) >= (int)sizeof(path))
        return complain("this cannot be the name of a key", SECRET_PROVISION_SET_KEY);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, secret, size);
    int err = errno;
    bool ok = n == (ssize_t)size;
    if (fd >= 0 && close(fd) && ok) {
        err = errno;
        ok = false;
    }
    if (!ok) {
        fprintf(stderr,
                "Secret Provisioning: cannot set the key '%s': %s; is it the key_name of an "
                "encrypted mount?\n",
                path, strerror(err));
    }
    return ok;
}

static bool set_string(const uint8_t *secret, size_t size)
{
    if (size > STRING_MAX || memchr(secret, 0, size) != secret + size - 1)
        return complain(
            "the secret is not a string that ends with NUL, of 4096 bytes at most; a key "
            "needs " SECRET_PROVISION_SET_KEY,
            NULL);
    return !setenv(SECRET_PROVISION_SECRET_STRING, (const char *)secret, 1) ||
           complain("there is no memory left", NULL);
}

static bool provision(void)
{
    const char *key = getenv(SECRET_PROVISION_SET_KEY);
    struct ra_tls_ctx *ctx = NULL;
    uint8_t *secret = NULL;
    size_t size = 0;
    bool ok =
        !secret_provision_start(NULL, NULL, &ctx) && !secret_provision_get(ctx, &secret, &size);
    if (ok && !size)
        ok = complain("the server sent an empty secret", NULL);
    if (ok)
        ok = key ? set_key(key, secret, size) : set_string(secret, size);
    if (secret)
        OPENSSL_cleanse(secret, size);
    free(secret);
    if (ctx)
        secret_provision_close(ctx);
    return ok;
}

__attribute__((constructor)) static void constructor(void)
{
    if (!wanted())
        return;
    /* Programs that this one becomes shall not ask again; and no host sets the result. */
    unsetenv(SECRET_PROVISION_CONSTRUCTOR);
    unsetenv(SECRET_PROVISION_SECRET_STRING);
    if (!provision()) {
        complain("there is no secret; terminating the whole process", NULL);
        exit(1);
    }
}

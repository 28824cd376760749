/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cli/enclave.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "cli/paths.h"
#include "manifest/cache.h"
#include "manifest/compile.h"

static bool compile(struct enclave *e, const char *command, const char *path,
                    const struct buffer *text)
{
    struct diag d = {.file = path};
    uint8_t digest[32];
    SHA256((const unsigned char *)text->data, text->len, digest);
    bool ok = manifest_compile_text(text->data, text->len, digest, &e->block, &d);
    if (!ok)
        fprintf(stderr, "error: %s: the manifest cannot be run:\n", command);
    diag_print_errors(&d, stderr, "error: ");
    diag_free(&d);
    if (ok)
        cache_store(e->block.data, e->block.len);
    return ok && !mf_open(&e->manifest, e->block.data, e->block.len);
}

bool enclave_of_text(struct enclave *e, const char *command, const char *path,
                     const struct buffer *text, const char *libpal)
{
    char err[2 * PATH_MAX];
    *e = (struct enclave){0};
    bool ok = libpal ? strlen(libpal) < sizeof(e->libpal)
                     : !private_path(e->libpal, sizeof(e->libpal), "adyton-enclave");
    if (libpal && ok)
        strcpy(e->libpal, libpal);
    if (!ok)
        fprintf(stderr, "error: %s: the name of the library OS is too long\n", command);
    ok = ok && compile(e, command, path, text);
    if (ok && enclave_image(e->libpal, &e->manifest, e->block.len, &e->layout, err, sizeof(err))) {
        fprintf(stderr, "error: %s: '%s': %s\n", command, path, err);
        ok = false;
    }
    if (!ok)
        enclave_free(e);
    return ok;
}

void enclave_free(struct enclave *e)
{
    sgx_layout_free(&e->layout);
    buffer_free(&e->block);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Two secrets, by the C interface. The file ca.crt names the authority of the server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secret_prov.h"

int main(void)
{
    const char *ca = getenv(SECRET_PROVISION_CA_CHAIN_PATH);
    const char *servers = getenv(SECRET_PROVISION_SERVERS);
    struct ra_tls_ctx *ctx = NULL;
    uint8_t *first = NULL, second[3] = {0};
    size_t size = 0;
    int err = secret_provision_start(servers ? servers
                                             : "dummyserver:80;localhost:4433;anotherdummy:4433",
                                     ca ? ca : "ca.crt", &ctx);
    if (!err)
        err = secret_provision_get(ctx, &first, &size);
    if (!err && (!size || first[size - 1]))
        err = -1;
    if (!err)
        err = secret_provision_write(ctx, (const uint8_t *)"MORE", sizeof("MORE"));
    if (!err)
        err = secret_provision_read(ctx, second, sizeof(second));
    second[sizeof(second) - 1] = 0;
    if (err)
        fprintf(stderr, "[error] no secrets: %d\n", err);
    else
        printf("--- Received secret1 = '%s', secret2 = '%s' ---\n", (char *)first, (char *)second);
    if (first)
        explicit_bzero(first, size);
    free(first);
    if (ctx)
        secret_provision_close(ctx);
    return err ? 1 : 0;
}

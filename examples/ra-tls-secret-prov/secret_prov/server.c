/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Gives one secret to every client, and a second one to those that ask for MORE. */
#include <stdio.h>
#include <string.h>

#include "../measurements.h"

static int send_more(struct ra_tls_ctx *ctx)
{
    static const uint8_t second[] = "42";
    char request[sizeof("MORE")];
    puts("--- Sent secret1 ---");
    fflush(stdout);
    int err = secret_provision_read(ctx, (uint8_t *)request, sizeof(request));
    if (err)
        return 0; /* it has what it wants */
    if (memcmp(request, "MORE", sizeof(request)) != 0) {
        fprintf(stderr, "[error] the client asks for something unknown\n");
        return -1;
    }
    err = secret_provision_write(ctx, second, sizeof(second));
    if (!err)
        printf("--- Sent secret2 = '%s' ---\n", second);
    fflush(stdout);
    return err;
}

int main(void)
{
    static char secret[] = "FIRST_SECRET";
    puts("--- Starting the Secret Provisioning server on port 4433 ---");
    fflush(stdout);
    int err = secret_provision_start_server((uint8_t *)secret, sizeof(secret), "4433",
                                            "../ssl/server.crt", "../ssl/server.key",
                                            check_measurements, send_more);
    fprintf(stderr, "[error] secret_provision_start_server() returned %d\n", err);
    return 1;
}

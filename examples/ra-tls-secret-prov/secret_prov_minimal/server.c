/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Gives a string to the enclaves that RA_TLS_MRENCLAVE and the others name. */
#include <stdio.h>

#include "secret_prov.h"

int main(void)
{
    static char secret[] = "A_SIMPLE_SECRET";
    puts("--- Starting the Secret Provisioning server on port 4433 ---");
    fflush(stdout);
    int err = secret_provision_start_server((uint8_t *)secret, sizeof(secret), "4433",
                                            "../ssl/server.crt", "../ssl/server.key", NULL, NULL);
    fprintf(stderr, "[error] secret_provision_start_server() returned %d\n", err);
    return 1;
}

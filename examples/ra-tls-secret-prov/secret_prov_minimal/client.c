/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Knows nothing of attestation: the preloaded library has put the secret there. */
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    const char *secret = getenv("SECRET_PROVISION_SECRET_STRING");
    if (!secret) {
        fprintf(stderr, "[error] there is no SECRET_PROVISION_SECRET_STRING\n");
        return 1;
    }
    printf("--- Received secret = '%s' ---\n", secret);
    return 0;
}

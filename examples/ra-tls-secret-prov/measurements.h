/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A measurement callback for the servers of this example: shows who asks. With any of
 * RA_TLS_MRENCLAVE, RA_TLS_MRSIGNER, RA_TLS_ISV_PROD_ID, RA_TLS_ISV_SVN set, that policy decides;
 * with none, every enclave is accepted, which is for trying things out only.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "secret_prov.h"

static int has_policy(void)
{
    return getenv(RA_TLS_MRENCLAVE) || getenv(RA_TLS_MRSIGNER) || getenv(RA_TLS_ISV_PROD_ID) ||
           getenv(RA_TLS_ISV_SVN);
}

static int check_measurements(const char *mrenclave, const char *mrsigner, const char *isv_prod_id,
                              const char *isv_svn)
{
    const unsigned char *id = (const unsigned char *)isv_prod_id,
                        *svn = (const unsigned char *)isv_svn;
    char text[512];
    int n = snprintf(text, sizeof(text),
                     "Received the following measurements from the client:\n  - MRENCLAVE:   ");
    for (int i = 0; i < 32; i++)
        n += snprintf(text + n, sizeof(text) - n, "%02x", (unsigned char)mrenclave[i]);
    n += snprintf(text + n, sizeof(text) - n, "\n  - MRSIGNER:    ");
    for (int i = 0; i < 32; i++)
        n += snprintf(text + n, sizeof(text) - n, "%02x", (unsigned char)mrsigner[i]);
    snprintf(text + n, sizeof(text) - n, "\n  - ISV_PROD_ID: %d\n  - ISV_SVN:     %d\n",
             id[0] | id[1] << 8, svn[0] | svn[1] << 8);
    fputs(text, stdout); /* in one piece: clients are served at the same time */
    if (!has_policy())
        puts("[ WARNING: no policy is set, so any enclave gets the secret. In production, set "
             "RA_TLS_MRENCLAVE, RA_TLS_MRSIGNER, RA_TLS_ISV_PROD_ID and RA_TLS_ISV_SVN to the "
             "expected values. ]");
    fflush(stdout);
    return has_policy() ? ra_tls_verify_measurements_env(mrenclave, mrsigner, isv_prod_id, isv_svn)
                        : 0;
}

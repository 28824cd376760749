/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * attest-forge DIR [OPTION...]: writes a test platform into DIR: root.pem, quote.bin, cert.pem-like
 * cert.der, and the collateral under the names that adyton verify reads. Options: tdx, v4, v5,
 * debug, out-of-date, revoked, expired, type1, processor.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/forge.h"

static void save(const char *dir, const char *name, const void *data, size_t size)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "wbe");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) {
        perror(path);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static const char *const names[] = {
        "pck_chain.pem", "pck_crl_issuer_chain.pem", "root_ca_crl.der",  "pck_crl.der",
        "tcb_info.json", "tcb_info_chain.pem",       "qe_identity.json", "qe_identity_chain.pem"};
    struct forge_options o = {0};
    struct forge_quote q = {0};
    size_t size;
    for (int i = 2; i < argc; i++) {
        const char *a = argv[i];
        if (!strcmp(a, "tdx"))
            o.tdx = true;
        else if (!strcmp(a, "v4") || !strcmp(a, "v5"))
            q.version = a[1] - '0';
        else if (!strcmp(a, "debug"))
            q.debug = true;
        else if (!strcmp(a, "out-of-date"))
            o.platform_status = "OutOfDate", o.advisory = "INTEL-SA-90002";
        else if (!strcmp(a, "revoked"))
            o.revoke_leaf = true;
        else if (!strcmp(a, "expired"))
            o.crl_next_update = FORGE_AT - 1;
        else if (!strcmp(a, "type1"))
            q.certification_type = 1;
        else if (!strcmp(a, "processor"))
            o.processor = true;
        else
            argc = 0;
    }
    if (argc < 2) {
        fprintf(stderr, "usage: attest-forge DIR [OPTION...]\n");
        return 2;
    }
    struct forge *f = forge_new(&o);
    adyton_collateral *c = forge_collateral(f);
    for (int i = 0; i < ADYTON_COLLATERAL_ITEMS; i++) {
        struct adyton_bytes b = adyton_collateral_get(c, i);
        save(argv[1], names[i], b.data, b.size);
    }
    save(argv[1], "root.pem", forge_root(f), strlen(forge_root(f)));
    uint8_t *quote = forge_make_quote(f, &q, &size);
    save(argv[1], "quote.bin", quote, size);
    free(quote);
    if (!o.tdx) {
        uint8_t *cert = forge_make_cert(f, FORGE_CERT_TAGGED, &size);
        save(argv[1], "cert.der", cert, size);
        free(cert);
    }
    adyton_collateral_free(c);
    forge_free(f);
    return 0;
}

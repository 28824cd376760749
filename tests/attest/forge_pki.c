/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "attest/forge_pki.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sgxemu/quoting/pki.h"

void forge_needs(int ok, const char *file, int line)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: the test platform cannot be made\n", file, line);
    abort();
}

EVP_PKEY *forge_key(void)
{
    EVP_PKEY *key = pki_key();
    FORGE_NEEDS(key);
    return key;
}

void forge_sign(EVP_PKEY *key, const void *data, size_t size, uint8_t rs[64])
{
    FORGE_NEEDS(pki_sign(key, data, size, rs));
}

void forge_sha256(const void *data, size_t size, uint8_t out[32])
{
    FORGE_NEEDS(pki_sha256(data, size, out));
}

size_t forge_sgx_extension(uint8_t *out, bool platform, const uint8_t ppid[16])
{
    struct pki_platform p = {.platform_ca = platform,
                             .fmspc = {0x00, 0xe0, 0xc0, 0xde, 0x00, 0x02},
                             .pce_svn = 300,
                             .sgx_type = 1,
                             .dynamic_platform = true,
                             .cached_keys = true};
    memset(p.components, 10, sizeof(p.components));
    p.components[2] = 200;
    memcpy(p.ppid, ppid, 16);
    memcpy(p.instance_id, ppid, 16);
    return pki_sgx_extension(out, &p);
}

X509 *forge_certificate(const struct forge_cert_options *o)
{
    X509 *cert = pki_certificate(&(struct pki_certificate){
        .name = o->name,
        .organization = "Adyton test platform",
        .key = o->key,
        .issuer_key = o->issuer_key,
        .issuer = o->issuer,
        .ca = o->ca,
        .serial = o->serial,
        .not_before = FORGE_AT - 86400L * 365,
        .not_after = o->not_after,
        .crl = "https://platform.invalid/crl",
        .sgx = o->sgx,
        .sgx_size = o->sgx_size,
    });
    FORGE_NEEDS(cert);
    return cert;
}

uint8_t *forge_crl(X509 *issuer, EVP_PKEY *key, long revoked, int64_t next_update, size_t *size)
{
    /* As many as Intel's list has, nobody's but the one that is meant. */
    long serials[129];
    for (size_t i = 0; i < 129; i++)
        serials[i] = i == 20 && revoked ? revoked : 900 + (long)i;
    uint8_t *der = pki_crl(&(struct pki_crl){.issuer = issuer,
                                             .key = key,
                                             .number = 7,
                                             .this_update = FORGE_AT - 86400,
                                             .next_update = next_update,
                                             .revoked_at = FORGE_AT - 86400 * 9,
                                             .serials = serials,
                                             .count = 129},
                           size);
    FORGE_NEEDS(der);
    return der;
}

char *forge_pem(X509 *a, X509 *b, X509 *c)
{
    char *pem = pki_pem(a, b, c);
    FORGE_NEEDS(pem);
    return pem;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Certificates, revocation lists and signatures in the forms of a DCAP platform, made with OpenSSL
 * under keys of the caller's: for the test platform of the software device, and for tests.
 * Functions that fail return NULL, false or 0: memory is out, or an argument makes no sense.
 */
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

EVP_PKEY *pki_key(void); /* P-256 */
/* ECDSA with SHA-256: r and s, big endian. */
bool pki_sign(EVP_PKEY *key, const void *data, size_t size, uint8_t rs[64]);
/* x and y, big endian. */
bool pki_point(EVP_PKEY *key, uint8_t xy[64]);
bool pki_sha256(const void *data, size_t size, uint8_t out[32]);

struct pki_certificate {
    const char *name;         /* CN */
    const char *organization; /* O */
    EVP_PKEY *key, *issuer_key;
    X509 *issuer; /* NULL: itself */
    bool ca;
    long serial;
    int64_t not_before, not_after; /* seconds since 1970 */
    const char *crl;               /* URL of the distribution point */
    const uint8_t *sgx;            /* value of the SGX extension, or NULL */
    size_t sgx_size;
};
X509 *pki_certificate(const struct pki_certificate *options);

/* What the SGX extension of a PCK certificate says (1.2.840.113741.1.13.1). */
struct pki_platform {
    bool platform_ca; /* with instance id and configuration, as under the Platform CA */
    uint8_t ppid[16], cpu_svn[16], components[16], fmspc[6], pce_id[2], instance_id[16];
    uint16_t pce_svn;
    uint8_t sgx_type;
    bool dynamic_platform, cached_keys, smt_enabled;
};
#define PKI_SGX_EXTENSION_MAX 2048
/* DER of the extension's value; returns its length. */
size_t pki_sgx_extension(uint8_t out[PKI_SGX_EXTENSION_MAX], const struct pki_platform *platform);

struct pki_crl {
    X509 *issuer;
    EVP_PKEY *key;
    long number;
    int64_t this_update, next_update, revoked_at;
    const long *serials;
    size_t count;
};
/* DER (free()). */
uint8_t *pki_crl(const struct pki_crl *options, size_t *size);

/* PEM of the certificates up to the first NULL (free()). */
char *pki_pem(X509 *a, X509 *b, X509 *c);

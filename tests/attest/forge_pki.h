/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Certificates and lists of the test platform. */
#pragma once
#include <openssl/x509.h>

#include "attest/forge.h"

/* Ends the program, with the line, unless `ok`. */
#define FORGE_NEEDS(ok) forge_needs((ok) != 0, __FILE__, __LINE__)
void forge_needs(int ok, const char *file, int line);

EVP_PKEY *forge_key(void);
/* r, s of the data. */
void forge_sign(EVP_PKEY *key, const void *data, size_t size, uint8_t rs[64]);
void forge_sha256(const void *data, size_t size, uint8_t out[32]);

struct forge_cert_options {
    const char *name;
    EVP_PKEY *key, *issuer_key;
    X509 *issuer; /* NULL: itself */
    bool ca;
    long serial;
    int64_t not_after;
    const uint8_t *sgx; /* value of the SGX extension, or NULL */
    size_t sgx_size;
};
X509 *forge_certificate(const struct forge_cert_options *options);
/* The SGX extension of the platform; returns its length. */
size_t forge_sgx_extension(uint8_t *out, bool platform, const uint8_t ppid[16]);
/* DER of a list with one serial in it (0: none). */
uint8_t *forge_crl(X509 *issuer, EVP_PKEY *key, long revoked, int64_t next_update, size_t *size);
/* PEM texts of up to three certificates, malloc()ed. */
char *forge_pem(X509 *a, X509 *b, X509 *c);

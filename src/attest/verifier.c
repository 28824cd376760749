/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The verifier object and its trusted root. */
#include <openssl/err.h>
#include <stdlib.h>

#include "attest/fetch.h"
#include "attest/verifier.h"

#define CACHE_ENTRIES 512

/* Intel SGX Root CA: the key, not a certificate, since certificates of it differ. */
static const uint8_t intel_root[64] = {
    0x0b, 0xa9, 0xc4, 0xc0, 0xc0, 0xc8, 0x61, 0x93, 0xa3, 0xfe, 0x23, 0xd6, 0xb0, 0x2c, 0xda, 0x10,
    0xa8, 0xbb, 0xd4, 0xe8, 0x8e, 0x48, 0xb4, 0x45, 0x85, 0x61, 0xa3, 0x6e, 0x70, 0x55, 0x25, 0xf5,
    0x67, 0x91, 0x8e, 0x2e, 0xdc, 0x88, 0xe4, 0x0d, 0x86, 0x0b, 0xd0, 0xcc, 0x4e, 0xe2, 0x6a, 0xac,
    0xc9, 0x88, 0xe5, 0x05, 0xa9, 0x53, 0x55, 0x8c, 0x45, 0x3f, 0x6b, 0x09, 0x04, 0xae, 0x73, 0x94,
};

adyton_attest *adyton_attest_new(void)
{
    adyton_attest *verifier = calloc(1, sizeof(*verifier));
    if (!verifier)
        return NULL;
    ERR_set_mark();
    verifier->cache = cache_new(CACHE_ENTRIES);
    verifier->curve = p256_curve();
    ERR_pop_to_mark();
    memcpy(verifier->root, intel_root, sizeof(intel_root));
    verifier->root_kind = ADYTON_ROOT_INTEL;
    if (verifier->cache && verifier->curve)
        return verifier;
    adyton_attest_free(verifier);
    return NULL;
}

void adyton_attest_free(adyton_attest *verifier)
{
    if (!verifier)
        return;
    fetcher_free(verifier->fetcher);
    cache_free(verifier->cache);
    EVP_PKEY_free(verifier->curve);
    free(verifier);
}

void adyton_attest_set_cache(adyton_attest *verifier, size_t entries)
{
    cache_resize(verifier->cache, entries);
}

static int root_from_der(adyton_attest *verifier, const uint8_t *data, size_t size,
                         struct adyton_attest_error *error)
{
    struct x509 cert;
    const uint8_t *point;
    uint8_t rs[64];
    EVP_PKEY *key = NULL;
    bool form = x509_parse(data, size, &cert) && x509_p256_point(&cert, &point) &&
                same_bytes(cert.issuer, cert.subject) &&
                x509_ecdsa_signature(cert.signature_algorithm, cert.signature, rs);
    int made = form ? p256_key(verifier, point, &key) : KEY_INVALID;
    bool good = !made && p256_verify(key, cert.signed_part.data, cert.signed_part.size, rs);
    EVP_PKEY_free(key);
    if (!good)
        return attest_fail(error, ADYTON_ATTEST_PCK_ROOT_INVALID,
                           "the trusted root is not a self-signed certificate with a P-256 key");
    memcpy(verifier->root, point, 64);
    verifier->root_kind = memcmp(point, intel_root, 64) ? ADYTON_ROOT_CUSTOM : ADYTON_ROOT_INTEL;
    cache_flush(verifier->cache);
    return 0;
}

int adyton_attest_set_trust_root(adyton_attest *verifier, const void *certificate, size_t size,
                                 struct adyton_attest_error *error)
{
    const char *text = certificate;
    uint8_t *decoded = NULL;
    if (!certificate || !size || size > 1 << 20)
        return attest_fail(error, ADYTON_ATTEST_INVALID_ARGUMENT,
                           "the certificate of the trusted root is empty or too large");
    if (*text == DER_SEQUENCE)
        return root_from_der(verifier, certificate, size, error);
    int found = pem_next(&text, &size, PEM_CERTIFICATES, &decoded, &size);
    if (found == -2)
        return attest_no_memory(error);
    if (found != 1)
        return attest_fail(error, ADYTON_ATTEST_PCK_ROOT_INVALID,
                           "the trusted root is neither a PEM nor a DER certificate");
    int err = root_from_der(verifier, decoded, size, error);
    free(decoded);
    return err;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* ra_tls_create_key_and_crt_der(): key and certificate as bytes. */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "ratls/certificate.h"
#include "ratls/ra_tls.h"

/* What i2d_... made, into memory of malloc(); wiped where it came from. */
static int encode(int len, uint8_t *der, uint8_t **out, size_t *size)
{
    int err = len > 0 && (*out = malloc((size_t)len)) ? 0 : RA_TLS_ERR_MEMORY;
    if (!err) {
        memcpy(*out, der, (size_t)len);
        *size = (size_t)len;
    }
    if (len > 0)
        OPENSSL_clear_free(der, (size_t)len);
    return err;
}

__attribute__((visibility("default"))) int ra_tls_create_key_and_crt_der(uint8_t **der_key,
                                                                         size_t *der_key_size,
                                                                         uint8_t **der_crt,
                                                                         size_t *der_crt_size)
{
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    uint8_t *key_der = NULL, *cert_der = NULL;
    if (!der_key || !der_key_size || !der_crt || !der_crt_size)
        return -EINVAL;
    *der_key = *der_crt = NULL;
    int err = certificate_make(&dev_attestation, &key, &cert);
    int key_len = err ? 0 : i2d_PrivateKey(key, &key_der),
        cert_len = err ? 0 : i2d_X509(cert, &cert_der);
    if (!err)
        err = encode(key_len, key_der, der_key, der_key_size);
    if (!err) {
        err = encode(cert_len, cert_der, der_crt, der_crt_size);
        if (err) {
            OPENSSL_cleanse(*der_key, *der_key_size);
            free(*der_key);
            *der_key = NULL;
        }
    }
    EVP_PKEY_free(key);
    X509_free(cert);
    return err;
}

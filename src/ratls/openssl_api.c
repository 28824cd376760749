/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RA-TLS for programs on OpenSSL: the certificate of the peer is judged in the handshake. */
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

#include "ratls/openssl_api.h"
#include "ratls/tls.h"

#define API __attribute__((visibility("default")))

int ratls_verify_store(X509_STORE_CTX *store, verify_measurements_cb_t callback,
                       struct ra_tls_verify_callback_results *results)
{
    X509 *cert = X509_STORE_CTX_get0_cert(store);
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
    uint8_t *der = NULL;
    int err = RA_TLS_ERR_BAD_CERTIFICATE;
    if (results) {
        memset(results, 0, sizeof(*results));
        results->err_loc = AT_EXTRACT_QUOTE;
    }
    int len = cert ? i2d_X509(cert, &der) : -1;
    if (sent && sk_X509_num(sent) > 1)
        fprintf(stderr, "RA-TLS: the certificate is refused: it came with %d others\n",
                sk_X509_num(sent) - 1);
    else if (len > 0)
        err = ratls_verify(der, (size_t)len, callback, results);
    OPENSSL_free(der);
    X509_STORE_CTX_set_error(store, err ? X509_V_ERR_APPLICATION_VERIFICATION : X509_V_OK);
    return !err;
}

API int ra_tls_openssl_verify(X509_STORE_CTX *store, void *results)
{
    return ratls_verify_store(store, ratls_process_callback(), results);
}

API int ra_tls_openssl_configure(SSL_CTX *ctx)
{
    if (!ctx || !tls_configure(ctx))
        return RA_TLS_ERR_BAD_INPUT;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, ra_tls_openssl_verify, NULL);
    return 0;
}

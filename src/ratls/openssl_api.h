/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The certificate verify callback of OpenSSL, with a measurement callback per use. */
#pragma once
#include <openssl/x509_vfy.h>

#include "ratls/verify.h"

/* 1 accepts, 0 refuses, as SSL_CTX_set_cert_verify_callback() wants it. */
int ratls_verify_store(X509_STORE_CTX *store, verify_measurements_cb_t callback,
                       struct ra_tls_verify_callback_results *results);

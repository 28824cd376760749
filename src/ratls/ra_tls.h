/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * RA-TLS: X.509 certificates that hold a quote of the enclave that has their key. Installed as
 * gramine/ra_tls.h; libra_tls_attest.so makes them, libra_tls_verify_dcap.so judges them.
 *
 * All functions may be called in any number of threads at once. They return 0, or a negative number
 * (ra_tls_common.h); what went wrong is one line on stderr.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "ra_tls_common.h"

#ifdef __cplusplus
extern "C" {
#endif

enum ra_tls_attestation_scheme {
    RA_TLS_ATTESTATION_SCHEME_UNKNOWN = 0,
    RA_TLS_ATTESTATION_SCHEME_DCAP = 2,
};

/* The step at which verification failed. */
enum ra_tls_err_loc {
    AT_NONE = 0,
    AT_INIT = 1,
    AT_EXTRACT_QUOTE = 2,
    AT_VERIFY_EXTERNAL = 3,
    AT_VERIFY_ENCLAVE_ATTRS = 4,
    AT_VERIFY_ENCLAVE_MEASUREMENTS = 5,
};

/* Part of the binary interface: 136 bytes. */
struct ra_tls_verify_callback_results {
    enum ra_tls_attestation_scheme attestation_scheme;
    enum ra_tls_err_loc err_loc;
    union {
        struct {
            int func_verify_quote_result;  /* quote3_error_t: 0, or 0xE000 and above */
            int quote_verification_result; /* sgx_ql_qv_result_t: 0, or 0xA001 and above */
        } dcap;
        struct {
            char reserved[128];
        } misc;
    };
};

/*
 * Judges the enclave: pointers into the quote, 32, 32, 2 and 2 bytes, the last two little endian.
 * 0 accepts, negative refuses.
 */
typedef int (*verify_measurements_cb_t)(const char *mrenclave, const char *mrsigner,
                                        const char *isv_prod_id, const char *isv_svn);

/* ---- libra_tls_attest.so -------------------------------------------------------------------- */

/*
 * Makes a key (P-384, SEC1 DER) and a certificate for it (DER), with the quotes of this enclave
 * from /dev/attestation. Both are from malloc(): free() them, and wipe the key first. Valid as the
 * environment says, else from 2001 to 2030.
 */
int ra_tls_create_key_and_crt_der(uint8_t **der_key, size_t *der_key_size, uint8_t **der_crt,
                                  size_t *der_crt_size);

/* ---- libra_tls_verify_dcap.so --------------------------------------------------------------- */

/*
 * Verifies a certificate, DER or PEM (the first one in the text; the size is with the NUL): the
 * quote commits to its key, comes from genuine SGX, and the enclave is one that the environment
 * (RA_TLS_MRENCLAVE and the others) or the callback accepts. `results` may be NULL.
 */
int ra_tls_verify_callback_extended_der(uint8_t *der_crt, size_t der_crt_size,
                                        struct ra_tls_verify_callback_results *results);
/* The same without results; deprecated, and says so. */
int ra_tls_verify_callback_der(uint8_t *der_crt, size_t der_crt_size);

/* For the whole process; NULL returns to the environment's policy. */
void ra_tls_set_measurement_callback(verify_measurements_cb_t f_cb);

/* The environment's policy as a function, for callbacks that want to do more. */
int ra_tls_verify_measurements_env(const char *mrenclave, const char *mrsigner,
                                   const char *isv_prod_id, const char *isv_svn);

/*
 * For programs on OpenSSL 3. The first is for SSL_CTX_set_cert_verify_callback() (`results`: a
 * struct ra_tls_verify_callback_results or NULL, used by one handshake at a time); the second sets
 * it and all else that RA-TLS needs: TLS 1.2 or later, a certificate of the peer is required, no
 * resumption, no renegotiation. 0 or negative.
 */
struct x509_store_ctx_st;
struct ssl_ctx_st;
int ra_tls_openssl_verify(struct x509_store_ctx_st *store, void *results);
int ra_tls_openssl_configure(struct ssl_ctx_st *ctx);

#ifdef __cplusplus
}
#endif

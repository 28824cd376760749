/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Judging an RA-TLS certificate: src/attest takes the quote out, checks that it commits to the key
 * and verifies it; what is accepted is decided here, by the environment or a callback.
 */
#include "ratls/verify.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ratls/collateral_source.h"

#define API __attribute__((visibility("default")))

static _Atomic(verify_measurements_cb_t) process_callback;

bool ratls_env_allows(const char *variable)
{
    const char *value = getenv(variable);
    return value && !strcmp(value, "1");
}

/* A refusal in one line. */
static int refuse(int number, const char *text)
{
    fprintf(stderr, "RA-TLS: the certificate is refused: %s\n", text);
    return number;
}

static int number_of_code(int code)
{
    switch (code) {
    case ADYTON_ATTEST_NO_MEMORY:
        return RA_TLS_ERR_MEMORY;
    case ADYTON_ATTEST_CERT_FORMAT:
        return RA_TLS_ERR_BAD_CERTIFICATE;
    case ADYTON_ATTEST_CERT_CLAIMS_MISMATCH:
    case ADYTON_ATTEST_CERT_KEY_MISMATCH:
        return RA_TLS_ERR_COMMITMENT;
    default:
        return code < 200 || code / 100 == 7 ? RA_TLS_ERR_EXTENSIONS : RA_TLS_ERR_VERIFY;
    }
}

/* Where a refusal by the policy belongs in the results. */
static enum ra_tls_err_loc place_of_code(int code)
{
    switch (code) {
    case ADYTON_ATTEST_POLICY_TEE:
    case ADYTON_ATTEST_POLICY_DEBUG:
    case ADYTON_ATTEST_POLICY_ATTRIBUTES:
        return AT_VERIFY_ENCLAVE_ATTRS;
    default:
        return AT_VERIFY_EXTERNAL;
    }
}

/* What helps against a refusal, if it is a variable. */
static const char *remedy(int code)
{
    switch (code) {
    case ADYTON_ATTEST_POLICY_STATUS:
    case ADYTON_ATTEST_POLICY_EXPIRED:
        return "; update the platform (or accept it: RA_TLS_ALLOW_OUTDATED_TCB_INSECURE, "
               "RA_TLS_ALLOW_HW_CONFIG_NEEDED, RA_TLS_ALLOW_SW_HARDENING_NEEDED = 1)";
    case ADYTON_ATTEST_POLICY_DEBUG:
        return "; only for tests: RA_TLS_ALLOW_DEBUG_ENCLAVE_INSECURE=1";
    case ADYTON_ATTEST_FETCH_OFF:
    case ADYTON_ATTEST_ROOT_CRL_MISSING:
        return "; name a PCCS in /etc/sgx_default_qcnl.conf or ADYTON_PCCS_URL, or a directory in "
               "RA_TLS_COLLATERAL";
    default:
        return "";
    }
}

/* The rules that the environment sets for the platform. NULL: wrong value or no memory. */
static adyton_policy *policy_from_environment(const struct ratls_verifier *verifier)
{
    struct adyton_attest_error error = {0};
    bool old = ratls_env_allows(RA_TLS_ALLOW_OUTDATED_TCB_INSECURE),
         config = ratls_env_allows(RA_TLS_ALLOW_HW_CONFIG_NEEDED),
         hardening = ratls_env_allows(RA_TLS_ALLOW_SW_HARDENING_NEEDED);
    const char *least = getenv(RA_TLS_MIN_EVALUATION_NUMBER);
    const struct {
        bool wanted;
        const char *rule, *value;
    } rules[] = {
        {true, "tee", "sgx"},
        {true, "tcb_status", "UpToDate"},
        {old, "tcb_status", "OutOfDate"},
        {config, "tcb_status", "ConfigurationNeeded"},
        {old && config, "tcb_status", "OutOfDateConfigurationNeeded"},
        {hardening, "tcb_status", "SWHardeningNeeded"},
        {config && hardening, "tcb_status", "ConfigurationAndSWHardeningNeeded"},
        {old, "allow_expired", "true"},
        {ratls_env_allows(RA_TLS_ALLOW_DEBUG_ENCLAVE_INSECURE), "allow_debug", "true"},
        {verifier->trust_root, "allow_custom_root", "true"},
        {least, "min_evaluation_number", least},
    };
    adyton_policy *policy = adyton_policy_new();
    int err = policy ? 0 : ADYTON_ATTEST_NO_MEMORY;
    for (size_t i = 0; !err && i < sizeof(rules) / sizeof(*rules); i++)
        if (rules[i].wanted)
            err = adyton_policy_set(policy, rules[i].rule, rules[i].value, &error);
    if (err) {
        fprintf(stderr, "RA-TLS: the policy of the environment cannot be used: %s\n",
                policy ? error.text : "there is no memory left");
        adyton_policy_free(policy);
        policy = NULL;
    }
    return policy;
}

/* The dates of the certificate itself. */
static int check_dates(const uint8_t *cert, size_t size)
{
    const uint8_t *p = cert;
    X509 *x = NULL;
    if (ratls_env_allows(RA_TLS_ALLOW_EXPIRED_CERT_INSECURE))
        return 0;
    if (size && *cert == 0x30) {
        x = d2i_X509(NULL, &p, (long)size);
    } else {
        BIO *bio = BIO_new_mem_buf(cert, (int)size);
        x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
        BIO_free(bio);
    }
    ERR_clear_error();
    if (!x)
        return refuse(RA_TLS_ERR_BAD_CERTIFICATE, "it cannot be parsed");
    int from = X509_cmp_time(X509_get0_notBefore(x), NULL),
        until = X509_cmp_time(X509_get0_notAfter(x), NULL);
    X509_free(x);
    if (from < 0 && until > 0)
        return 0;
    return refuse(RA_TLS_ERR_VERIFY,
                  from && until
                      ? "it is not valid at this time (check the clock, or have the other "
                        "side make a new one)"
                      : "its dates cannot be parsed");
}

static int check_platform(const struct ratls_verifier *verifier, const adyton_quote *quote,
                          struct ra_tls_verify_callback_results *results)
{
    struct adyton_attest_error error = {0};
    adyton_collateral *collateral = NULL;
    adyton_verdict *verdict = NULL;
    adyton_policy *policy = NULL;
    char text[900];
    int err = ratls_collateral_load(&collateral) ? RA_TLS_ERR_FILE : 0;
    if (!err && !(policy = policy_from_environment(verifier)))
        err = RA_TLS_ERR_BAD_INPUT;
    if (!err) {
        adyton_attest_verify(verifier->attest, quote, collateral, time(NULL), ADYTON_TEE_SGX,
                             &verdict);
        err = verdict ? 0 : RA_TLS_ERR_MEMORY;
    }
    if (!err) {
        results->dcap.func_verify_quote_result = (int)verdict->dcap_error;
        results->dcap.quote_verification_result = (int)verdict->dcap_result;
        int code = adyton_policy_check(policy, verdict, &error);
        snprintf(text, sizeof(text), "%s (%s%s%s)%s", error.text, adyton_attest_code_name(code),
                 verdict->status ? ", TCB " : "",
                 verdict->status ? adyton_tcb_status_name(verdict->status) : "", remedy(code));
        if (code) {
            results->err_loc = place_of_code(code);
            err = refuse(RA_TLS_ERR_VERIFY, text);
        }
    }
    adyton_verdict_free(verdict);
    adyton_policy_free(policy);
    adyton_collateral_free(collateral);
    return err;
}

static int check_measurements(const struct adyton_quote_info *info,
                              verify_measurements_cb_t callback)
{
    const char prod_id[2] = {(char)info->isv_prod_id, (char)(info->isv_prod_id >> 8)};
    const char svn[2] = {(char)info->isv_svn, (char)(info->isv_svn >> 8)};
    if (!info->mrenclave || !info->mrsigner)
        return refuse(RA_TLS_ERR_VERIFY, "its quote is not of SGX");
    if (!callback)
        callback = ra_tls_verify_measurements_env;
    return callback((const char *)info->mrenclave, (const char *)info->mrsigner, prod_id, svn) < 0
               ? refuse(RA_TLS_ERR_VERIFY, "the enclave's measurements are not accepted")
               : 0;
}

int ratls_verify_prepare(void)
{
    const struct ratls_verifier *verifier = ratls_verifier_get();
    adyton_policy *policy = verifier ? policy_from_environment(verifier) : NULL;
    adyton_policy_free(policy);
    return policy ? 0 : RA_TLS_ERR_BAD_INPUT;
}

int ratls_verify(const uint8_t *cert, size_t size, verify_measurements_cb_t callback,
                 struct ra_tls_verify_callback_results *results)
{
    struct ra_tls_verify_callback_results own;
    struct adyton_attest_error error = {0};
    adyton_quote *quote = NULL;
    if (!results)
        results = &own;
    memset(results, 0, sizeof(*results));
    results->attestation_scheme = RA_TLS_ATTESTATION_SCHEME_DCAP;
    results->err_loc = AT_INIT;
    const struct ratls_verifier *verifier = ratls_verifier_get();
    if (!verifier)
        return RA_TLS_ERR_BAD_INPUT;
    results->err_loc = AT_EXTRACT_QUOTE;
    int code = adyton_quote_from_certificate(cert, size, &quote, &error);
    int err = code ? refuse(number_of_code(code), error.text) : check_dates(cert, size);
    if (!err) {
        results->err_loc = AT_VERIFY_EXTERNAL;
        err = check_platform(verifier, quote, results);
    }
    if (!err) {
        results->err_loc = AT_VERIFY_ENCLAVE_MEASUREMENTS;
        err = check_measurements(adyton_quote_get_info(quote), callback);
    }
    if (!err) {
        results->err_loc = AT_NONE;
        if (verifier->trust_root)
            fprintf(stderr,
                    "RA-TLS: warning: accepted under the root of '%s', which is not Intel's\n",
                    verifier->trust_root);
    }
    adyton_quote_free(quote);
    return err;
}

verify_measurements_cb_t ratls_process_callback(void)
{
    return process_callback;
}

API int ra_tls_verify_callback_extended_der(uint8_t *der_crt, size_t der_crt_size,
                                            struct ra_tls_verify_callback_results *results)
{
    if (!der_crt || !der_crt_size)
        return -EINVAL;
    return ratls_verify(der_crt, der_crt_size, process_callback, results);
}

API int ra_tls_verify_callback_der(uint8_t *der_crt, size_t der_crt_size)
{
    fprintf(stderr, "RA-TLS: warning: ra_tls_verify_callback_der() is deprecated; use "
                    "ra_tls_verify_callback_extended_der()\n");
    return ra_tls_verify_callback_extended_der(der_crt, der_crt_size, NULL);
}

API void ra_tls_set_measurement_callback(verify_measurements_cb_t f_cb)
{
    process_callback = f_cb;
}

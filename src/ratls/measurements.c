/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* RA_TLS_MRENCLAVE, RA_TLS_MRSIGNER, RA_TLS_ISV_PROD_ID, RA_TLS_ISV_SVN. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratls/verify.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The variable, NULL with a line on stderr when it is not there. */
static const char *needed(const char *variable)
{
    const char *text = getenv(variable);
    if (!text)
        fprintf(stderr,
                "RA-TLS: %s is not set: set it to the value that is expected, or to \"any\"\n",
                variable);
    return text;
}

static bool is_any(const char *text)
{
    return !strcmp(text, "any");
}

/* 32 bytes, or any. */
static bool hash_is(const char *variable, const char *text, const char *actual)
{
    uint8_t expected[32];
    bool ok = strlen(text) == 64;
    if (is_any(text))
        return true;
    for (size_t i = 0; ok && i < 32; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        ok = high >= 0 && low >= 0;
        expected[i] = (uint8_t)(high << 4 | low);
    }
    if (!ok) {
        fprintf(stderr, "RA-TLS: %s must be 64 hex digits or \"any\"\n", variable);
        return false;
    }
    ok = !CRYPTO_memcmp(expected, actual, 32);
    if (!ok)
        fprintf(stderr, "RA-TLS: the enclave is refused: it has another value than %s\n", variable);
    return ok;
}

/* A 16-bit number, or any. */
static bool number_is(const char *variable, const char *text, const char *actual, bool or_more)
{
    unsigned value = (uint8_t)actual[0] | (unsigned)(uint8_t)actual[1] << 8;
    unsigned long expected = 0;
    size_t len = strlen(text);
    if (is_any(text))
        return true;
    if (len && len <= 5 && strspn(text, "0123456789") == len)
        expected = strtoul(text, NULL, 10);
    else
        len = 0;
    if (!len || expected > 65535) {
        fprintf(stderr, "RA-TLS: %s must be a number from 0 to 65535 or \"any\"\n", variable);
        return false;
    }
    bool ok = or_more ? value >= expected : value == expected;
    if (!ok)
        fprintf(stderr, "RA-TLS: the enclave is refused: it has %u, %s asks for %lu%s\n", value,
                variable, expected, or_more ? " or more" : "");
    return ok;
}

__attribute__((visibility("default"))) int ra_tls_verify_measurements_env(const char *mrenclave,
                                                                          const char *mrsigner,
                                                                          const char *isv_prod_id,
                                                                          const char *isv_svn)
{
    const char *enclave = needed(RA_TLS_MRENCLAVE), *signer = needed(RA_TLS_MRSIGNER),
               *prod_id = needed(RA_TLS_ISV_PROD_ID), *svn = needed(RA_TLS_ISV_SVN);
    if (!enclave || !signer || !prod_id || !svn)
        return RA_TLS_ERR_VERIFY;
    if (is_any(enclave) && is_any(signer))
        fprintf(stderr, "RA-TLS: warning: %s and %s are \"any\": every program is accepted\n",
                RA_TLS_MRENCLAVE, RA_TLS_MRSIGNER);
    return hash_is(RA_TLS_MRENCLAVE, enclave, mrenclave) &&
                   hash_is(RA_TLS_MRSIGNER, signer, mrsigner) &&
                   number_is(RA_TLS_ISV_PROD_ID, prod_id, isv_prod_id, false) &&
                   number_is(RA_TLS_ISV_SVN, svn, isv_svn, true)
               ? 0
               : RA_TLS_ERR_VERIFY;
}

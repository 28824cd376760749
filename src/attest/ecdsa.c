/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* P-256 over OpenSSL. Errors never stay in OpenSSL's queue of the calling thread. */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "attest/verifier.h"

EVP_PKEY *p256_curve(void)
{
    char name[] = "prime256v1";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *curve = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &curve, EVP_PKEY_KEY_PARAMETERS, params) <= 0)
        curve = NULL;
    EVP_PKEY_CTX_free(ctx);
    return curve;
}

/* Copying the group and setting the point takes a third of the time of EVP_PKEY_fromdata(). */
int p256_key(const adyton_attest *verifier, const uint8_t point[64], EVP_PKEY **key)
{
    uint8_t encoded[65] = {4};
    int result = KEY_OK;
    memcpy(encoded + 1, point, 64);
    ERR_set_mark();
    *key = EVP_PKEY_new();
    if (!*key || EVP_PKEY_copy_parameters(*key, verifier->curve) <= 0)
        result = KEY_FAILED;
    else if (EVP_PKEY_set1_encoded_public_key(*key, encoded, sizeof(encoded)) <= 0)
        result = KEY_INVALID;
    ERR_pop_to_mark();
    if (result) {
        EVP_PKEY_free(*key);
        *key = NULL;
    }
    return result;
}

/* INTEGER of a 32-byte number; returns the length. */
static size_t put_integer(uint8_t *out, const uint8_t number[32])
{
    size_t skip = 0;
    while (skip < 31 && !number[skip])
        skip++;
    size_t sign = number[skip] >> 7, len = 32 - skip + sign;
    out[0] = DER_INTEGER;
    out[1] = (uint8_t)len;
    out[2] = 0;
    memcpy(out + 2 + sign, number + skip, 32 - skip);
    return 2 + len;
}

bool sha256_of(const void *data, size_t size, uint8_t digest[32])
{
    return EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL);
}

bool p256_verify(EVP_PKEY *key, const void *data, size_t size, const uint8_t rs[64])
{
    uint8_t digest[32], encoded[2 + 2 * 35];
    size_t len = 2;
    len += put_integer(encoded + len, rs);
    len += put_integer(encoded + len, rs + 32);
    encoded[0] = DER_SEQUENCE;
    encoded[1] = (uint8_t)(len - 2);
    ERR_set_mark();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool ok = ctx && sha256_of(data, size, digest) && EVP_PKEY_verify_init(ctx) > 0 &&
              EVP_PKEY_verify(ctx, encoded, len, digest, sizeof(digest)) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_pop_to_mark();
    return ok;
}

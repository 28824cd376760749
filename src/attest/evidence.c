/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The quote in an RA-TLS certificate, and that it commits to the certificate's key.
 *
 *     TCG DICE tagged evidence, 2.23.133.5.4.9:
 *         tag(60000) [ bstr QUOTE, bstr CLAIMS ], report data = SHA-256(CLAIMS), 32 zeros
 *         CLAIMS { "pubkey-hash": bstr([ hash id, bstr digest of SubjectPublicKeyInfo ]), ... }
 *     older extension: QUOTE, report data = SHA-256(SubjectPublicKeyInfo), 32 zeros
 *
 * CBOR heads are decoded by libcbor's streaming decoder, which allocates nothing.
 */
#include <cbor.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "attest/x509.h"

#define EVIDENCE_TAG 60000
/* More would be a way to make a verifier work. */
#define CLAIMS_MAX 64

/* The next CBOR item (for strings: with its content; for maps, arrays and tags: its head). */
struct item {
    enum { OTHER, UNSIGNED, BYTES, TEXT, ARRAY, MAP, TAG } kind;
    uint64_t number;
    der data;
};

static void on_uint8(void *to, uint8_t v)
{
    *(struct item *)to = (struct item){.kind = UNSIGNED, .number = v};
}

static void on_uint16(void *to, uint16_t v)
{
    *(struct item *)to = (struct item){.kind = UNSIGNED, .number = v};
}

static void on_uint32(void *to, uint32_t v)
{
    *(struct item *)to = (struct item){.kind = UNSIGNED, .number = v};
}

static void on_uint64(void *to, uint64_t v)
{
    *(struct item *)to = (struct item){.kind = UNSIGNED, .number = v};
}

static void on_bytes(void *to, cbor_data data, size_t len)
{
    *(struct item *)to = (struct item){.kind = BYTES, .data = {data, len}};
}

static void on_text(void *to, cbor_data data, size_t len)
{
    *(struct item *)to = (struct item){.kind = TEXT, .data = {data, len}};
}

static void on_array(void *to, size_t len)
{
    *(struct item *)to = (struct item){.kind = ARRAY, .number = len};
}

static void on_map(void *to, size_t len)
{
    *(struct item *)to = (struct item){.kind = MAP, .number = len};
}

static void on_tag(void *to, uint64_t v)
{
    *(struct item *)to = (struct item){.kind = TAG, .number = v};
}

/* Whether the next item is of this kind; indefinite lengths are of none. */
static bool take(der *in, int kind, struct item *item)
{
    struct cbor_callbacks calls = cbor_empty_callbacks;
    calls.uint8 = on_uint8;
    calls.uint16 = on_uint16;
    calls.uint32 = on_uint32;
    calls.uint64 = on_uint64;
    calls.byte_string = on_bytes;
    calls.string = on_text;
    calls.array_start = on_array;
    calls.map_start = on_map;
    calls.tag = on_tag;
    item->kind = OTHER;
    struct cbor_decoder_result r = cbor_stream_decode(in->data, in->size, &calls, item);
    if (r.status != CBOR_DECODER_FINISHED || (int)item->kind != kind || r.read > in->size)
        return false;
    in->data += r.read;
    in->size -= r.read;
    return true;
}

/* Steps through CLAIMS; each call gives one pair. */
static bool next_claim(der *in, der *name, der *value)
{
    struct item key, data;
    if (!take(in, TEXT, &key) || !key.data.size || !take(in, BYTES, &data))
        return false;
    *name = key.data;
    *value = data.data;
    return true;
}

/* Finds a claim: 1, 0 none; -1 malformed claims or the name twice. */
static int find_claim(der claims, const char *wanted, der *value)
{
    struct item map;
    der name, data;
    int found = 0;
    if (!take(&claims, MAP, &map) || !map.number || map.number > CLAIMS_MAX)
        return -1;
    for (uint64_t i = 0; i < map.number; i++) {
        if (!next_claim(&claims, &name, &data))
            return -1;
        if (!bytes_equal(name, wanted, strlen(wanted)))
            continue;
        if (found)
            return -1;
        found = 1;
        *value = data;
    }
    return claims.size ? -1 : found;
}

/* Whether no name is there twice. */
static bool names_differ(der claims)
{
    der names[CLAIMS_MAX], value;
    struct item map;
    if (!take(&claims, MAP, &map) || map.number > CLAIMS_MAX)
        return false;
    for (uint64_t i = 0; i < map.number; i++) {
        if (!next_claim(&claims, &names[i], &value))
            return false;
        for (uint64_t j = 0; j < i; j++)
            if (same_bytes(names[i], names[j]))
                return false;
    }
    return true;
}

static bool digest_is(const EVP_MD *md, der data, der digest)
{
    uint8_t actual[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    return EVP_Digest(data.data, data.size, actual, &len, md, NULL) && digest.size == len &&
           !CRYPTO_memcmp(actual, digest.data, len);
}

/* The pubkey-hash claim against the certificate's key. */
static int check_key_claim(der claims, der key, struct adyton_attest_error *e)
{
    struct item array, id, digest;
    const EVP_MD *md = NULL;
    der hash = {0};
    int found = find_claim(claims, "pubkey-hash", &hash);
    if (found < 0 || !names_differ(claims))
        return attest_fail(e, ADYTON_ATTEST_CERT_CLAIMS_FORMAT,
                           "the claims in the certificate are not a map from different names to "
                           "byte strings");
    if (!found)
        return attest_fail(e, ADYTON_ATTEST_CERT_CLAIMS_FORMAT,
                           "the claims in the certificate have no pubkey-hash, so the quote is not "
                           "bound to its key");
    if (!take(&hash, ARRAY, &array) || array.number != 2 || !take(&hash, UNSIGNED, &id) ||
        !take(&hash, BYTES, &digest) || hash.size)
        return attest_fail(e, ADYTON_ATTEST_CERT_CLAIMS_FORMAT,
                           "the pubkey-hash claim is not a pair of hash algorithm and digest");
    if (id.number == 1)
        md = EVP_sha256();
    else if (id.number == 7)
        md = EVP_sha384();
    else if (id.number == 8)
        md = EVP_sha512();
    if (!md || digest.data.size != (size_t)EVP_MD_get_size(md))
        return attest_fail(e, ADYTON_ATTEST_CERT_CLAIMS_FORMAT,
                           "the pubkey-hash claim has an unknown hash algorithm or a digest of the "
                           "wrong length (SHA-256, SHA-384 and SHA-512 are known)");
    if (!digest_is(md, key, digest.data))
        return attest_fail(e, ADYTON_ATTEST_CERT_KEY_MISMATCH,
                           "the claims are about another public key than the certificate's");
    return 0;
}

/* Whether the report data is the SHA-256 of `what` and 32 zero bytes. */
static bool report_data_is(const adyton_quote *quote, der what)
{
    const uint8_t *data = quote->info.report_data;
    return digest_is(EVP_sha256(), what, (der){data, 32}) && all_zero(data + 32, 32);
}

static int from_tagged(der value, der key, adyton_quote **quote, struct adyton_attest_error *e)
{
    struct item tag, array, raw, claims;
    if (!take(&value, TAG, &tag))
        return attest_fail(e, ADYTON_ATTEST_CERT_EVIDENCE_FORMAT,
                           "the evidence in the certificate is not tagged CBOR");
    if (tag.number != EVIDENCE_TAG)
        return attest_fail(e, ADYTON_ATTEST_CERT_EVIDENCE_FORMAT,
                           "the evidence in the certificate has tag %llu; only quotes (60000) are "
                           "supported",
                           (unsigned long long)tag.number);
    if (!take(&value, ARRAY, &array) || array.number < 2 || !take(&value, BYTES, &raw) ||
        !take(&value, BYTES, &claims) || (array.number == 2 && value.size))
        return attest_fail(e, ADYTON_ATTEST_CERT_EVIDENCE_FORMAT,
                           "the evidence in the certificate is not a quote with claims");
    int err = adyton_quote_parse(raw.data.data, raw.data.size, quote, e);
    if (!err && !report_data_is(*quote, claims.data))
        err = attest_fail(e, ADYTON_ATTEST_CERT_CLAIMS_MISMATCH,
                          "the quote's report data is not the hash of the claims beside it");
    if (!err)
        err = check_key_claim(claims.data, key, e);
    if (!err) {
        (*quote)->claims = malloc(claims.data.size);
        if (!(*quote)->claims)
            return attest_no_memory(e);
        memcpy((*quote)->claims, claims.data.data, claims.data.size);
        (*quote)->claims_size = claims.data.size;
    }
    return err;
}

static int from_older(der value, der key, adyton_quote **quote, struct adyton_attest_error *e)
{
    int err = adyton_quote_parse(value.data, value.size, quote, e);
    if (!err && !report_data_is(*quote, key))
        err =
            attest_fail(e, ADYTON_ATTEST_CERT_KEY_MISMATCH,
                        "the quote's report data is not the hash of the certificate's public key");
    return err;
}

static int from_der(const uint8_t *data, size_t size, adyton_quote **quote,
                    struct adyton_attest_error *e)
{
    static const uint8_t tagged[] = {0x67, 0x81, 0x05, 0x05, 0x04, 0x09};
    /* Tag and length of the OID got into its content once, and stayed there for compatibility. */
    static const uint8_t older[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                    0xf8, 0x4d, 0x8a, 0x39, 0x06};
    struct x509 cert;
    der value, proper;
    if (!x509_parse(data, size, &cert))
        return attest_fail(e, ADYTON_ATTEST_CERT_FORMAT, "this is not an X.509 certificate");
    int found = x509_find_extension(&cert, tagged, sizeof(tagged), &value);
    int old = x509_find_extension(&cert, older, sizeof(older), &value);
    int old_proper = x509_find_extension(&cert, older + 2, sizeof(older) - 2, &proper);
    if (found < 0 || old < 0 || old_proper < 0 || old + old_proper > 1)
        return attest_fail(e, ADYTON_ATTEST_CERT_EVIDENCE_FORMAT,
                           "the certificate's extensions are malformed, or it has evidence twice");
    if (found) {
        x509_find_extension(&cert, tagged, sizeof(tagged), &value);
        return from_tagged(value, cert.public_key, quote, e);
    }
    if (old || old_proper)
        return from_older(old ? value : proper, cert.public_key, quote, e);
    return attest_fail(e, ADYTON_ATTEST_CERT_NO_EVIDENCE,
                       "the certificate holds no quote: it is not an RA-TLS certificate");
}

int adyton_quote_from_certificate(const void *data, size_t size, adyton_quote **quote,
                                  struct adyton_attest_error *error)
{
    if (!data || !quote)
        return attest_fail(error, ADYTON_ATTEST_INVALID_ARGUMENT, "no certificate was passed");
    *quote = NULL;
    if (size > 1 << 20)
        return attest_fail(error, ADYTON_ATTEST_CERT_FORMAT,
                           "a certificate of %zu bytes is too large", size);
    const char *text = data;
    size_t left = size;
    uint8_t *decoded = NULL;
    if (size && *text != DER_SEQUENCE) {
        int found = pem_next(&text, &left, PEM_CERTIFICATES, &decoded, &left);
        if (found == -2)
            return attest_no_memory(error);
        if (found != 1)
            return attest_fail(error, ADYTON_ATTEST_CERT_FORMAT,
                               "there is no well-formed PEM certificate in it");
        data = decoded;
        size = left;
    }
    int err = from_der(data, size, quote, error);
    free(decoded);
    if (err) {
        adyton_quote_free(*quote);
        *quote = NULL;
    }
    return err;
}

struct adyton_bytes adyton_quote_claims(const adyton_quote *quote)
{
    return (struct adyton_bytes){quote->claims, quote->claims_size};
}

struct adyton_bytes adyton_quote_claim(const adyton_quote *quote, const char *name)
{
    der value = {NULL, 0};
    if (quote->claims && find_claim(adyton_quote_claims(quote), name, &value) != 1)
        value = (der){NULL, 0};
    return value;
}

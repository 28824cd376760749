/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The certificate of the attesting side:
 *
 *     CN=RATLS, O=GramineDevelopers, C=US, serial 1, P-384, ecdsa-with-SHA256 by itself
 *     basic constraints, subject and authority key id
 *     0.6.9.42.840.113741.1337.6   quote over SHA-256(SubjectPublicKeyInfo)
 *     2.23.133.5.4.9               tag(60000) [ quote over SHA-256(CLAIMS), CLAIMS ]
 *
 * CBOR is written here by hand, four heads of fixed shape, so that the library in the enclave needs
 * no other.
 */
#include "ratls/certificate.h"

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratls/ra_tls_common.h"

#define EVIDENCE_OID "2.23.133.5.4.9"
/* 1.2.840.113741.1337.6 with tag and length of its encoding in front: the form that is in use. */
#define OLDER_OID "0.6.9.42.840.113741.1337.6"

struct writer {
    uint8_t data[EVIDENCE_MAX];
    size_t len;
    bool full;
};

static void put(struct writer *w, const void *data, size_t size)
{
    if (size > sizeof(w->data) - w->len) {
        w->full = true;
    } else {
        memcpy(w->data + w->len, data, size);
        w->len += size;
    }
}

enum {
    CBOR_UNSIGNED = 0,
    CBOR_BYTES = 2,
    CBOR_TEXT = 3,
    CBOR_ARRAY = 4,
    CBOR_MAP = 5,
    CBOR_TAG = 6
};

/* The head of an item in its shortest form; values here are below 65536. */
static void put_head(struct writer *w, int major, size_t value)
{
    uint8_t head[3] = {(uint8_t)(major << 5)};
    if (value < 24) {
        head[0] |= (uint8_t)value;
        put(w, head, 1);
    } else if (value < 256) {
        head[0] |= 24;
        head[1] = (uint8_t)value;
        put(w, head, 2);
    } else {
        head[0] |= 25;
        head[1] = (uint8_t)(value >> 8);
        head[2] = (uint8_t)value;
        put(w, head, 3);
    }
}

static void put_string(struct writer *w, int major, const void *data, size_t size)
{
    put_head(w, major, size);
    put(w, data, size);
}

static int fatal(const char *what)
{
    fprintf(stderr, "RA-TLS: cannot make the certificate: %s failed in the crypto library\n", what);
    return RA_TLS_ERR_FATAL;
}

/* { "pubkey-hash": bstr([ 1, bstr digest ]) } */
static void put_claims(struct writer *w, const uint8_t key_digest[32])
{
    struct writer hash = {.len = 0};
    put_head(&hash, CBOR_ARRAY, 2);
    put_head(&hash, CBOR_UNSIGNED, 1); /* SHA-256 */
    put_string(&hash, CBOR_BYTES, key_digest, 32);
    put_head(w, CBOR_MAP, 1);
    put_string(w, CBOR_TEXT, "pubkey-hash", strlen("pubkey-hash"));
    put_string(w, CBOR_BYTES, hash.data, hash.len);
}

/* A quote over the SHA-256 of `what`, which has to stand in it. */
static int quote_over(const struct quote_source *source, const void *what, size_t what_size,
                      uint8_t *quote, size_t *size)
{
    uint8_t report_data[64] = {0};
    if (!EVP_Digest(what, what_size, report_data, NULL, EVP_sha256(), NULL))
        return fatal("hashing");
    int err = source->quote(source, report_data, quote, size);
    if (err)
        return err;
    /* Report data is the last field of an SGX report; version 5 has six bytes more before it. */
    size_t at = 368 + (quote[0] == 5 ? 6 : 0);
    if (*size >= at + 64 && !CRYPTO_memcmp(quote + at, report_data, 64))
        return 0;
    fprintf(stderr, "RA-TLS: the quote that was delivered is not for this certificate; the quoting "
                    "service gave another one, or something else uses /dev/attestation\n");
    return RA_TLS_ERR_FILE;
}

static int add_extension(X509 *cert, const char *oid, const void *value, size_t size)
{
    ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *string = ASN1_OCTET_STRING_new();
    X509_EXTENSION *ext = NULL;
    bool ok = object && string && ASN1_OCTET_STRING_set(string, value, (int)size) &&
              (ext = X509_EXTENSION_create_by_OBJ(NULL, object, 0, string)) &&
              X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(string);
    ASN1_OBJECT_free(object);
    return ok ? 0 : fatal("adding an extension");
}

static int add_evidence(const struct quote_source *source, X509 *cert, const uint8_t *spki,
                        size_t spki_size)
{
    uint8_t quote[QUOTE_MAX], digest[32];
    struct writer claims = {.len = 0}, evidence = {.len = 0};
    size_t size = 0;
    int err = quote_over(source, spki, spki_size, quote, &size);
    if (!err)
        err = add_extension(cert, OLDER_OID, quote, size);
    if (!err && !EVP_Digest(spki, spki_size, digest, NULL, EVP_sha256(), NULL))
        err = fatal("hashing");
    if (!err) {
        put_claims(&claims, digest);
        err = quote_over(source, claims.data, claims.len, quote, &size);
    }
    if (err)
        return err;
    put_head(&evidence, CBOR_TAG, 60000);
    put_head(&evidence, CBOR_ARRAY, 2);
    put_string(&evidence, CBOR_BYTES, quote, size);
    put_string(&evidence, CBOR_BYTES, claims.data, claims.len);
    if (evidence.full) {
        fprintf(stderr, "RA-TLS: a quote of %zu bytes is too large for a certificate\n", size);
        return RA_TLS_ERR_FILE;
    }
    return add_extension(cert, EVIDENCE_OID, evidence.data, evidence.len);
}

/* YYYYMMDDhhmmss. */
static int set_time(ASN1_TIME *to, const char *variable, const char *otherwise)
{
    const char *text = getenv(variable);
    char generalized[16];
    if (!text)
        text = otherwise;
    snprintf(generalized, sizeof(generalized), "%.14sZ", text);
    if (strlen(text) == 14 && strspn(text, "0123456789") == 14 &&
        ASN1_TIME_set_string_X509(to, generalized))
        return 0;
    fprintf(stderr, "RA-TLS: %s must be a time like 20301231235959 (UTC)\n", variable);
    return RA_TLS_ERR_BAD_INPUT;
}

static int set_dates(X509 *cert)
{
    int err =
        set_time(X509_getm_notBefore(cert), RA_TLS_CERT_TIMESTAMP_NOT_BEFORE, "20010101000000");
    if (!err)
        err = set_time(X509_getm_notAfter(cert), RA_TLS_CERT_TIMESTAMP_NOT_AFTER, "20301231235959");
    return err;
}

static bool set_names(X509 *cert)
{
    X509_NAME *name = X509_get_subject_name(cert);
    return X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING, (const uint8_t *)"RATLS", -1,
                                      -1, 0) &&
           X509_NAME_add_entry_by_txt(name, "O", V_ASN1_UTF8STRING,
                                      (const uint8_t *)"GramineDevelopers", -1, -1, 0) &&
           X509_NAME_add_entry_by_txt(name, "C", V_ASN1_PRINTABLESTRING, (const uint8_t *)"US", -1,
                                      -1, 0) &&
           X509_set_issuer_name(cert, name);
}

/* Basic constraints and the two key ids, which for a self-signed certificate are the same. */
static int add_usual(X509 *cert)
{
    static const uint8_t no_ca[] = {0x30, 0x00};
    uint8_t id[2 + 20] = {0x04, 20}, authority[4 + 20] = {0x30, 22, 0x80, 20};
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(cert);
    unsigned len = 0;
    if (!bits || !EVP_Digest(bits->data, (size_t)bits->length, id + 2, &len, EVP_sha1(), NULL))
        return fatal("the key id");
    memcpy(authority + 4, id + 2, 20);
    int err = add_extension(cert, "2.5.29.19", no_ca, sizeof(no_ca));
    if (!err)
        err = add_extension(cert, "2.5.29.14", id, sizeof(id));
    if (!err)
        err = add_extension(cert, "2.5.29.35", authority, sizeof(authority));
    return err;
}

int certificate_make(const struct quote_source *source, EVP_PKEY **key, X509 **cert)
{
    uint8_t *spki = NULL;
    int spki_size = 0, err = 0;
    *key = EVP_EC_gen("P-384");
    *cert = X509_new();
    if (!*key || !*cert || !X509_set_version(*cert, 2) ||
        !ASN1_INTEGER_set(X509_get_serialNumber(*cert), 1) || !X509_set_pubkey(*cert, *key) ||
        !set_names(*cert) || (spki_size = i2d_PUBKEY(*key, &spki)) <= 0)
        err = fatal("making a key");
    if (!err)
        err = set_dates(*cert);
    if (!err)
        err = add_usual(*cert);
    if (!err)
        err = add_evidence(source, *cert, spki, (size_t)spki_size);
    if (!err && !X509_sign(*cert, *key, EVP_sha256()))
        err = fatal("signing");
    OPENSSL_free(spki);
    if (err) {
        EVP_PKEY_free(*key);
        X509_free(*cert);
        *key = NULL;
        *cert = NULL;
    }
    return err;
}

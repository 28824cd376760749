/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "attest/forge_pki.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void forge_needs(int ok, const char *file, int line)
{
    if (ok)
        return;
    fprintf(stderr, "%s:%d: the test platform cannot be made\n", file, line);
    abort();
}

EVP_PKEY *forge_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FORGE_NEEDS(key);
    return key;
}

void forge_sign(EVP_PKEY *key, const void *data, size_t size, uint8_t rs[64])
{
    uint8_t encoded[80];
    const uint8_t *at = encoded;
    size_t len = sizeof(encoded);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    FORGE_NEEDS(ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) > 0);
    FORGE_NEEDS(EVP_DigestSign(ctx, encoded, &len, data, size) > 0);
    EVP_MD_CTX_free(ctx);
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    FORGE_NEEDS(sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), rs, 32) == 32 &&
                BN_bn2binpad(ECDSA_SIG_get0_s(sig), rs + 32, 32) == 32);
    ECDSA_SIG_free(sig);
}

void forge_sha256(const void *data, size_t size, uint8_t out[32])
{
    FORGE_NEEDS(EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL));
}

/* Wraps the content that ends at out + len into a header, moving it up; returns the new length. */
static size_t wrap(uint8_t *out, uint8_t tag, size_t len)
{
    size_t header = len < 128 ? 2 : len < 256 ? 3 : 4;
    memmove(out + header, out, len);
    out[0] = tag;
    if (header == 2)
        out[1] = (uint8_t)len;
    else if (header == 3)
        out[1] = 0x81, out[2] = (uint8_t)len;
    else
        out[1] = 0x82, out[2] = (uint8_t)(len >> 8), out[3] = (uint8_t)len;
    return header + len;
}

/* SEQUENCE { 1.2.840.113741.1.13.1.a[.b], value } with a value that is DER already. */
static size_t pair(uint8_t *out, int a, int b, const uint8_t *value, size_t len)
{
    uint8_t oid[] = {0x06, 0,    0x2a, 0x86, 0x48,       0x86,      0xf8,
                     0x4d, 0x01, 0x0d, 0x01, (uint8_t)a, (uint8_t)b};
    size_t oid_len = b ? 13 : 12;
    oid[1] = (uint8_t)(oid_len - 2);
    memcpy(out, oid, oid_len);
    memcpy(out + oid_len, value, len);
    return wrap(out, 0x30, oid_len + len);
}

static size_t octets(uint8_t *out, int a, int b, const uint8_t *data, size_t len)
{
    uint8_t value[64];
    memcpy(value, data, len);
    return pair(out, a, b, value, wrap(value, 0x04, len));
}

static size_t number(uint8_t *out, int a, int b, unsigned n)
{
    uint8_t value[8];
    size_t len = 0;
    if (n > 255)
        value[len++] = (uint8_t)(n >> 8);
    value[len++] = (uint8_t)n;
    if (value[0] & 0x80) {
        memmove(value + 1, value, len++);
        value[0] = 0;
    }
    return pair(out, a, b, value, wrap(value, 0x02, len));
}

size_t forge_sgx_extension(uint8_t *out, bool platform, const uint8_t ppid[16])
{
    static const uint8_t fmspc[6] = {0x00, 0xe0, 0xc0, 0xde, 0x00, 0x02}, zeros[16];
    static const uint8_t type[] = {0x0a, 1, 1}, yes[] = {0x01, 1, 0xff}, no[] = {0x01, 1, 0};
    uint8_t tcb[1024];
    size_t len = 0, n = 0;
    len += octets(out + len, 1, 0, ppid, 16);
    for (int i = 1; i <= 16; i++)
        n += number(tcb + n, 2, i, i == 3 ? 200 : 10);
    n += number(tcb + n, 2, 17, 300);
    n += octets(tcb + n, 2, 18, zeros, 16);
    n = wrap(tcb, 0x30, n);
    len += pair(out + len, 2, 0, tcb, n);
    len += octets(out + len, 3, 0, zeros, 2);
    len += octets(out + len, 4, 0, fmspc, 6);
    len += pair(out + len, 5, 0, type, 3);
    if (platform) {
        len += octets(out + len, 6, 0, ppid, 16);
        n = pair(tcb, 7, 1, yes, 3);
        n += pair(tcb + n, 7, 2, yes, 3);
        n += pair(tcb + n, 7, 3, no, 3);
        n = wrap(tcb, 0x30, n);
        len += pair(out + len, 7, 0, tcb, n);
    }
    return wrap(out, 0x30, len);
}

static void extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    FORGE_NEEDS(ext && X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
}

static void add_sgx(X509 *cert, const uint8_t *value, size_t size)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.2.840.113741.1.13.1", 1);
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    FORGE_NEEDS(oid && data && ASN1_OCTET_STRING_set(data, value, (int)size));
    X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, data);
    FORGE_NEEDS(ext && X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(data);
    ASN1_OBJECT_free(oid);
}

X509 *forge_certificate(const struct forge_cert_options *o)
{
    X509 *cert = X509_new(), *issuer = o->issuer ? o->issuer : cert;
    FORGE_NEEDS(cert && X509_set_version(cert, 2));
    FORGE_NEEDS(ASN1_INTEGER_set(X509_get_serialNumber(cert), o->serial));
    X509_NAME *name = X509_get_subject_name(cert);
    FORGE_NEEDS(
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)o->name, -1, -1, 0));
    FORGE_NEEDS(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
                                           (const uint8_t *)"Adyton test platform", -1, -1, 0));
    FORGE_NEEDS(X509_set_issuer_name(cert, X509_get_subject_name(issuer)));
    FORGE_NEEDS(ASN1_TIME_set(X509_getm_notBefore(cert), FORGE_AT - 86400L * 365));
    FORGE_NEEDS(ASN1_TIME_set(X509_getm_notAfter(cert), o->not_after));
    FORGE_NEEDS(X509_set_pubkey(cert, o->key));
    extension(cert, issuer, NID_subject_key_identifier, "hash");
    extension(cert, issuer, NID_authority_key_identifier, "keyid");
    extension(cert, issuer, NID_crl_distribution_points, "URI:https://platform.invalid/crl");
    extension(cert, issuer, NID_key_usage,
              o->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
    extension(cert, issuer, NID_basic_constraints,
              o->ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (o->sgx)
        add_sgx(cert, o->sgx, o->sgx_size);
    FORGE_NEEDS(X509_sign(cert, o->issuer_key, EVP_sha256()));
    return cert;
}

uint8_t *forge_crl(X509 *issuer, EVP_PKEY *key, long revoked, int64_t next_update, size_t *size)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *time = ASN1_TIME_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    AUTHORITY_KEYID *keyid = X509_get_ext_d2i(issuer, NID_authority_key_identifier, NULL, NULL);
    FORGE_NEEDS(crl && time && number && keyid && X509_CRL_set_version(crl, 1));
    FORGE_NEEDS(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer)));
    FORGE_NEEDS(ASN1_TIME_set(time, FORGE_AT - 86400) && X509_CRL_set1_lastUpdate(crl, time));
    FORGE_NEEDS(ASN1_TIME_set(time, next_update) && X509_CRL_set1_nextUpdate(crl, time));
    FORGE_NEEDS(ASN1_INTEGER_set(number, 7) &&
                X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1);
    FORGE_NEEDS(X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, keyid, 0, 0) == 1);
    /* As many as Intel's list has, nobody's but the one that is meant. */
    for (long serial = 900; serial < 1029; serial++) {
        X509_REVOKED *entry = X509_REVOKED_new();
        FORGE_NEEDS(entry && ASN1_INTEGER_set(number, serial == 920 && revoked ? revoked : serial));
        FORGE_NEEDS(X509_REVOKED_set_serialNumber(entry, number));
        FORGE_NEEDS(ASN1_TIME_set(time, FORGE_AT - 86400 * 9));
        FORGE_NEEDS(X509_REVOKED_set_revocationDate(entry, time));
        FORGE_NEEDS(X509_CRL_add0_revoked(crl, entry));
    }
    FORGE_NEEDS(X509_CRL_sort(crl) && X509_CRL_sign(crl, key, EVP_sha256()));
    uint8_t *der = NULL;
    int len = i2d_X509_CRL(crl, &der);
    FORGE_NEEDS(len > 0);
    uint8_t *copy = malloc((size_t)len);
    FORGE_NEEDS(copy);
    memcpy(copy, der, (size_t)len);
    *size = (size_t)len;
    OPENSSL_free(der);
    AUTHORITY_KEYID_free(keyid);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(time);
    X509_CRL_free(crl);
    return copy;
}

char *forge_pem(X509 *a, X509 *b, X509 *c)
{
    X509 *certs[] = {a, b, c};
    BIO *bio = BIO_new(BIO_s_mem());
    char *data;
    FORGE_NEEDS(bio);
    for (int i = 0; i < 3; i++)
        FORGE_NEEDS(!certs[i] || PEM_write_bio_X509(bio, certs[i]));
    long len = BIO_get_mem_data(bio, &data);
    char *copy = strndup(data, (size_t)len);
    FORGE_NEEDS(copy);
    BIO_free(bio);
    return copy;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgxemu/quoting/pki.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

EVP_PKEY *pki_key(void)
{
    return EVP_EC_gen("P-256");
}

bool pki_sign(EVP_PKEY *key, const void *data, size_t size, uint8_t rs[64])
{
    uint8_t encoded[80];
    const uint8_t *at = encoded;
    size_t len = sizeof(encoded);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) > 0 &&
              EVP_DigestSign(ctx, encoded, &len, data, size) > 0;
    EVP_MD_CTX_free(ctx);
    ECDSA_SIG *sig = ok ? d2i_ECDSA_SIG(NULL, &at, (long)len) : NULL;
    ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), rs, 32) == 32 &&
         BN_bn2binpad(ECDSA_SIG_get0_s(sig), rs + 32, 32) == 32;
    ECDSA_SIG_free(sig);
    return ok;
}

bool pki_point(EVP_PKEY *key, uint8_t xy[64])
{
    uint8_t point[65];
    size_t len = 0;
    if (!EVP_PKEY_get_octet_string_param(key, "encoded-pub-key", point, sizeof(point), &len) ||
        len != sizeof(point))
        return false;
    memcpy(xy, point + 1, 64);
    return true;
}

bool pki_sha256(const void *data, size_t size, uint8_t out[32])
{
    return EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL);
}

/* ---- the SGX extension ---------------------------------------------------------------------- */

/* Puts a header before the `len` bytes at out, moving them up; returns the new length. */
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

static size_t boolean(uint8_t *out, int a, int b, bool yes)
{
    const uint8_t value[] = {0x01, 1, yes ? 0xff : 0};
    return pair(out, a, b, value, sizeof(value));
}

size_t pki_sgx_extension(uint8_t out[PKI_SGX_EXTENSION_MAX], const struct pki_platform *p)
{
    const uint8_t type[] = {0x0a, 1, p->sgx_type};
    uint8_t part[1024];
    size_t len = 0, n = 0;
    len += octets(out + len, 1, 0, p->ppid, 16);
    for (int i = 0; i < 16; i++)
        n += number(part + n, 2, i + 1, p->components[i]);
    n += number(part + n, 2, 17, p->pce_svn);
    n += octets(part + n, 2, 18, p->cpu_svn, 16);
    n = wrap(part, 0x30, n);
    len += pair(out + len, 2, 0, part, n);
    len += octets(out + len, 3, 0, p->pce_id, 2);
    len += octets(out + len, 4, 0, p->fmspc, 6);
    len += pair(out + len, 5, 0, type, sizeof(type));
    if (p->platform_ca) {
        len += octets(out + len, 6, 0, p->instance_id, 16);
        n = boolean(part, 7, 1, p->dynamic_platform);
        n += boolean(part + n, 7, 2, p->cached_keys);
        n += boolean(part + n, 7, 3, p->smt_enabled);
        n = wrap(part, 0x30, n);
        len += pair(out + len, 7, 0, part, n);
    }
    return wrap(out, 0x30, len);
}

/* ---- certificates and lists ----------------------------------------------------------------- */

static bool extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return ok;
}

static bool add_sgx(X509 *cert, const uint8_t *value, size_t size)
{
    ASN1_OBJECT *oid = OBJ_txt2obj("1.2.840.113741.1.13.1", 1);
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    X509_EXTENSION *ext = oid && data && ASN1_OCTET_STRING_set(data, value, (int)size)
                              ? X509_EXTENSION_create_by_OBJ(NULL, oid, 0, data)
                              : NULL;
    bool ok = ext && X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(data);
    ASN1_OBJECT_free(oid);
    return ok;
}

static bool add_name(X509_NAME *name, const char *field, const char *value)
{
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, (const uint8_t *)value, -1, -1, 0);
}

static bool add_extensions(X509 *cert, X509 *issuer, const struct pki_certificate *o)
{
    char crl[300] = "URI:";
    strncat(crl, o->crl, sizeof(crl) - 5);
    return extension(cert, issuer, NID_subject_key_identifier, "hash") &&
           extension(cert, issuer, NID_authority_key_identifier, "keyid") &&
           extension(cert, issuer, NID_crl_distribution_points, crl) &&
           extension(cert, issuer, NID_key_usage,
                     o->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
           extension(cert, issuer, NID_basic_constraints,
                     o->ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
           (!o->sgx || add_sgx(cert, o->sgx, o->sgx_size));
}

X509 *pki_certificate(const struct pki_certificate *o)
{
    X509 *cert = X509_new(), *issuer = o->issuer ? o->issuer : cert;
    bool ok = cert && X509_set_version(cert, 2) &&
              ASN1_INTEGER_set(X509_get_serialNumber(cert), o->serial) &&
              add_name(X509_get_subject_name(cert), "CN", o->name) &&
              add_name(X509_get_subject_name(cert), "O", o->organization) &&
              X509_set_issuer_name(cert, X509_get_subject_name(issuer)) &&
              ASN1_TIME_set(X509_getm_notBefore(cert), o->not_before) &&
              ASN1_TIME_set(X509_getm_notAfter(cert), o->not_after) &&
              X509_set_pubkey(cert, o->key) && add_extensions(cert, issuer, o) &&
              X509_sign(cert, o->issuer_key, EVP_sha256());
    if (!ok) {
        X509_free(cert);
        cert = NULL;
    }
    return cert;
}

static bool add_revoked(X509_CRL *crl, long serial, int64_t at)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_TIME *time = ASN1_TIME_set(NULL, at);
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    bool ok = entry && time && number && ASN1_INTEGER_set(number, serial) &&
              X509_REVOKED_set_serialNumber(entry, number) &&
              X509_REVOKED_set_revocationDate(entry, time) && X509_CRL_add0_revoked(crl, entry);
    if (!ok)
        X509_REVOKED_free(entry);
    ASN1_TIME_free(time);
    ASN1_INTEGER_free(number);
    return ok;
}

static bool fill_crl(X509_CRL *crl, const struct pki_crl *o)
{
    ASN1_TIME *from = ASN1_TIME_set(NULL, o->this_update);
    ASN1_TIME *until = ASN1_TIME_set(NULL, o->next_update);
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    AUTHORITY_KEYID *keyid = X509_get_ext_d2i(o->issuer, NID_authority_key_identifier, NULL, NULL);
    bool ok = from && until && number && keyid && X509_CRL_set_version(crl, 1) &&
              X509_CRL_set_issuer_name(crl, X509_get_subject_name(o->issuer)) &&
              X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, until) &&
              ASN1_INTEGER_set(number, o->number) &&
              X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1 &&
              X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, keyid, 0, 0) == 1;
    for (size_t i = 0; ok && i < o->count; i++)
        ok = add_revoked(crl, o->serials[i], o->revoked_at);
    AUTHORITY_KEYID_free(keyid);
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return ok && X509_CRL_sort(crl) && X509_CRL_sign(crl, o->key, EVP_sha256());
}

uint8_t *pki_crl(const struct pki_crl *options, size_t *size)
{
    X509_CRL *crl = X509_CRL_new();
    uint8_t *der = NULL, *copy = NULL;
    int len = crl && fill_crl(crl, options) ? i2d_X509_CRL(crl, &der) : 0;
    if (len > 0 && (copy = malloc((size_t)len)) != NULL) {
        memcpy(copy, der, (size_t)len);
        *size = (size_t)len;
    }
    OPENSSL_free(der);
    X509_CRL_free(crl);
    return copy;
}

char *pki_pem(X509 *a, X509 *b, X509 *c)
{
    X509 *const certs[] = {a, b, c};
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    bool ok = bio;
    for (int i = 0; ok && i < 3 && certs[i]; i++)
        ok = PEM_write_bio_X509(bio, certs[i]);
    long len = ok ? BIO_get_mem_data(bio, &data) : 0;
    char *copy = ok ? strndup(data, (size_t)len) : NULL;
    BIO_free(bio);
    return copy;
}

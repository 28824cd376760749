/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "attest/forge_pki.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MONTH (86400 * 30)
#define YEARS (86400ll * 365 * 5)

enum { LEAF_SERIAL = 71, CA_SERIAL = 72, SIGNER_SERIAL = 73 };

struct forge {
    struct forge_options o;
    EVP_PKEY *root_key, *ca_key, *pck_key, *signer_key;
    X509 *root, *ca, *pck, *signer;
    uint8_t ppid[16];
    char *root_pem, *pck_chain, *ca_chain, *signer_chain;
};

/* What a QE and a TDX module are known by in this world. */
#define QE_SIGNER     0x51
#define MODULE_SIGNER 0x5d

struct forge *forge_new(const struct forge_options *options)
{
    struct forge *f = calloc(1, sizeof(*f));
    uint8_t sgx[2048];
    FORGE_NEEDS(f);
    if (options)
        f->o = *options;
    int64_t until = f->o.certs_not_after ? f->o.certs_not_after : FORGE_AT + YEARS;
    memset(f->ppid, 0xab, sizeof(f->ppid));
    f->root_key = forge_key();
    f->ca_key = forge_key();
    f->pck_key = forge_key();
    f->signer_key = forge_key();
    f->root = forge_certificate(&(struct forge_cert_options){"Adyton Test SGX Root CA", f->root_key,
                                                             f->root_key, NULL, true, 70,
                                                             FORGE_AT + YEARS, NULL, 0});
    f->ca = forge_certificate(&(struct forge_cert_options){
        f->o.processor ? "Adyton Test SGX PCK Processor CA" : "Adyton Test SGX PCK Platform CA",
        f->ca_key, f->root_key, f->root, true, CA_SERIAL, FORGE_AT + YEARS, NULL, 0});
    f->pck = forge_certificate(&(struct forge_cert_options){
        "Adyton Test SGX PCK Certificate", f->pck_key, f->ca_key, f->ca, false, LEAF_SERIAL, until,
        sgx, forge_sgx_extension(sgx, !f->o.processor, f->ppid)});
    f->signer = forge_certificate(
        &(struct forge_cert_options){"Adyton Test SGX TCB Signing", f->signer_key, f->root_key,
                                     f->root, false, SIGNER_SERIAL, FORGE_AT + YEARS, NULL, 0});
    f->root_pem = forge_pem(f->root, NULL, NULL);
    f->pck_chain = forge_pem(f->pck, f->ca, f->root);
    f->ca_chain = forge_pem(f->ca, f->root, NULL);
    f->signer_chain = forge_pem(f->signer, f->root, NULL);
    return f;
}

void forge_free(struct forge *f)
{
    EVP_PKEY_free(f->root_key);
    EVP_PKEY_free(f->ca_key);
    EVP_PKEY_free(f->pck_key);
    EVP_PKEY_free(f->signer_key);
    X509_free(f->root);
    X509_free(f->ca);
    X509_free(f->pck);
    X509_free(f->signer);
    free(f->root_pem);
    free(f->pck_chain);
    free(f->ca_chain);
    free(f->signer_chain);
    free(f);
}

const char *forge_root(const struct forge *f)
{
    return f->root_pem;
}

const char *forge_pck_chain(const struct forge *f)
{
    return f->pck_chain;
}

static void iso(int64_t seconds, char text[32])
{
    time_t t = (time_t)seconds;
    struct tm tm;
    FORGE_NEEDS(gmtime_r(&t, &tm) && strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm));
}

struct text {
    char data[32768];
    size_t len;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(t->data + t->len, sizeof(t->data) - t->len, fmt, args);
    va_end(args);
    FORGE_NEEDS(n >= 0 && (size_t)n < sizeof(t->data) - t->len);
    t->len += (size_t)n;
}

static void say_repeated(struct text *t, unsigned byte, int count)
{
    for (int i = 0; i < count; i++)
        say(t, "%02x", byte);
}

/* One level; all components and the PCE at least `svn` (component 3 of the platform has 200). */
static void say_level(const struct forge *f, struct text *t, int svn, int pce, int tdx,
                      const char *status, const char *advisory)
{
    say(t, "{\"tcb\":{");
    for (int i = 1; f->o.tcb_version == 2 && i <= 16; i++)
        say(t, "\"sgxtcbcomp%02dsvn\":%d,", i, svn);
    for (int i = 0; f->o.tcb_version != 2 && i < 16; i++)
        say(t, "%s{\"svn\":%d}%s", i ? "," : "\"sgxtcbcomponents\":[", svn, i == 15 ? "]," : "");
    say(t, "\"pcesvn\":%d", pce);
    for (int i = 0; f->o.tdx && i < 16; i++)
        say(t, "%s{\"svn\":%d}%s", i ? "," : ",\"tdxtcbcomponents\":[",
            i == 1 && !f->o.module_major ? 0 : tdx, i == 15 ? "]" : "");
    say(t, "},\"tcbDate\":\"2024-0%d-13T00:00:00Z\",\"tcbStatus\":\"%s\"", svn % 9 + 1, status);
    if (advisory)
        say(t, ",\"advisoryIDs\":[\"%s\"]", advisory);
    say(t, "}");
}

static void say_svn_level(struct text *t, int svn, const char *status)
{
    say(t, "{\"tcb\":{\"isvsvn\":%d},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"%s\"}",
        svn, status);
}

static void say_module(struct text *t)
{
    say(t, "\"mrsigner\":\"");
    say_repeated(t, MODULE_SIGNER, 48);
    say(t, "\",\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\"");
}

static void say_tdx(const struct forge *f, struct text *t)
{
    say(t, "\"tdxModule\":{");
    say_module(t);
    say(t, "},");
    if (!f->o.module_major)
        return;
    say(t, "\"tdxModuleIdentities\":[{\"id\":\"TDX_%02X\",", f->o.module_major);
    say_module(t);
    say(t, ",\"tcbLevels\":[");
    say_svn_level(t, 4, f->o.module_status ? f->o.module_status : "UpToDate");
    say(t, ",");
    say_svn_level(t, 2, "OutOfDate");
    say(t, "]}],");
}

static int64_t usual_end(const struct forge *f)
{
    return f->o.valid_until ? f->o.valid_until : FORGE_AT + MONTH;
}

static void say_dates(const struct forge *f, struct text *t, int64_t next_update)
{
    char issued[32], next[32];
    iso(FORGE_AT - 3600, issued);
    iso(next_update ? next_update : usual_end(f), next);
    say(t, "\"issueDate\":\"%s\",\"nextUpdate\":\"%s\",", issued, next);
}

static void say_tcb_info(const struct forge *f, struct text *t)
{
    const char *status = f->o.platform_status ? f->o.platform_status : "UpToDate";
    int version = f->o.tcb_version ? f->o.tcb_version : 3;
    say(t, "{");
    if (version == 3)
        say(t, "\"id\":\"%s\",", f->o.tdx ? "TDX" : "SGX");
    say(t, "\"version\":%d,%s", version, f->o.extra_tcb ? f->o.extra_tcb : "");
    say_dates(f, t, f->o.tcb_next_update);
    say(t, "\"fmspc\":\"00E0C0DE00%02x\",\"pceId\":\"0000\",\"tcbType\":0,",
        f->o.other_fmspc ? 3 : 2);
    say(t, "\"tcbEvaluationDataNumber\":17,");
    if (f->o.tdx)
        say_tdx(f, t);
    say(t, "\"tcbLevels\":[");
    if (f->o.levels_too_high) {
        say_level(f, t, 11, 300, 3, status, NULL);
    } else {
        say_level(f, t, 10, 301, 3, "UpToDate", NULL); /* not reached: PCE */
        if (f->o.older_launch) {
            say(t, ",");
            say_level(f, t, 10, 300, 6, status, NULL); /* reached by the second SVN only */
            say(t, ",");
            say_level(f, t, 10, 299, 3, "OutOfDate", f->o.advisory);
        } else {
            say(t, ",");
            say_level(f, t, 10, 300, 3, status, f->o.advisory);
        }
        for (int i = 0; i < f->o.more_levels; i++) {
            say(t, ",");
            say_level(f, t, 9, 299 - i, 3, "OutOfDate", "INTEL-SA-90009");
        }
        say(t, ",");
        say_level(f, t, 1, 1, 1, "Revoked", "INTEL-SA-90001");
    }
    say(t, "]}");
}

static void say_identity(const struct forge *f, struct text *t)
{
    say(t, "{\"id\":\"%s\",\"version\":2,", f->o.tdx ? "TD_QE" : "QE");
    say_dates(f, t, 0);
    say(t, "\"tcbEvaluationDataNumber\":16,\"miscselect\":\"00000000\","
           "\"miscselectMask\":\"FFFFFFFF\",\"attributes\":\"11000000000000000000000000000000\","
           "\"attributesMask\":\"FBFFFFFFFFFFFFFF0000000000000000\",\"mrsigner\":\"");
    say_repeated(t, QE_SIGNER, 32);
    say(t, "\",\"isvprodid\":1,\"tcbLevels\":[");
    say_svn_level(t, 8, f->o.qe_status ? f->o.qe_status : "UpToDate");
    say(t, ",");
    say_svn_level(t, 5, "OutOfDate");
    say(t, "]}");
}

/* {"NAME":...,"signature":"..."}; with `pretty` white space that was not signed. */
static void set_signed(const struct forge *f, adyton_collateral *c, int item, const char *name,
                       const struct text *inner)
{
    struct text *out = calloc(1, sizeof(*out));
    uint8_t rs[64];
    FORGE_NEEDS(out);
    forge_sign(f->signer_key, inner->data, inner->len, rs);
    say(out, "{\"%s\":", name);
    for (size_t i = 0; i < inner->len; i++)
        say(out, f->o.pretty && inner->data[i] == ',' ? ",\n   " : "%c", inner->data[i]);
    say(out, ",\"signature\":\"");
    for (int i = 0; i < 64; i++)
        say(out, "%02x", rs[i]);
    say(out, "\"}");
    FORGE_NEEDS(!adyton_collateral_set(c, item, out->data, out->len, NULL));
    free(out);
}

static void set_text(adyton_collateral *c, int item, const char *text)
{
    FORGE_NEEDS(!adyton_collateral_set(c, item, text, strlen(text), NULL));
}

static void set_crl(adyton_collateral *c, int item, uint8_t *crl, size_t size)
{
    FORGE_NEEDS(!adyton_collateral_set(c, item, crl, size, NULL));
    free(crl);
}

adyton_collateral *forge_collateral(const struct forge *f)
{
    adyton_collateral *c = adyton_collateral_new();
    struct text *t = calloc(1, sizeof(*t));
    size_t size;
    uint8_t *crl;
    FORGE_NEEDS(c && t);
    set_text(c, ADYTON_COLLATERAL_PCK_CHAIN, f->pck_chain);
    set_text(c, ADYTON_COLLATERAL_PCK_CRL_ISSUER_CHAIN, f->ca_chain);
    set_text(c, ADYTON_COLLATERAL_TCB_INFO_CHAIN, f->signer_chain);
    set_text(c, ADYTON_COLLATERAL_QE_IDENTITY_CHAIN, f->signer_chain);
    int64_t until = f->o.crl_next_update ? f->o.crl_next_update : usual_end(f);
    crl = forge_crl(f->root, f->root_key,
                    f->o.revoke_ca       ? CA_SERIAL
                    : f->o.revoke_signer ? SIGNER_SERIAL
                                         : 0,
                    usual_end(f), &size);
    set_crl(c, ADYTON_COLLATERAL_ROOT_CRL, crl, size);
    crl = forge_crl(f->ca, f->ca_key, f->o.revoke_leaf ? LEAF_SERIAL : 0, until, &size);
    set_crl(c, ADYTON_COLLATERAL_PCK_CRL, crl, size);
    say_tcb_info(f, t);
    set_signed(f, c, ADYTON_COLLATERAL_TCB_INFO, "tcbInfo", t);
    t->len = 0;
    say_identity(f, t);
    set_signed(f, c, ADYTON_COLLATERAL_QE_IDENTITY, "enclaveIdentity", t);
    free(t);
    return c;
}

/* ---- quotes ---- */

struct bytes {
    uint8_t data[16384];
    size_t len;
};

static void put(struct bytes *b, const void *data, size_t len)
{
    FORGE_NEEDS(b->len + len <= sizeof(b->data));
    if (data)
        memcpy(b->data + b->len, data, len);
    else
        memset(b->data + b->len, 0, len);
    b->len += len;
}

static void put_number(struct bytes *b, uint64_t value, size_t len)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    put(b, bytes, len);
}

static void put_header(const struct forge *f, const struct forge_quote *o, struct bytes *b)
{
    static const uint8_t vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                       0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    put_number(b, (uint64_t)o->version, 2);
    put_number(b, 2, 2);
    put_number(b, f->o.tdx ? 0x81 : 0, 4);
    put_number(b, 0, 4);
    put(b, vendor, 16);
    put(b, NULL, 20);
}

static void fill_sgx(const struct forge_quote *o, uint8_t *body)
{
    body[48] = (uint8_t)(5 | (o->debug ? 2 : 0));
    memset(body + 64, 0x11, 32);
    memset(body + 128, 0x22, 32);
    body[256] = 7;
    body[258] = 3;
    memcpy(body + 320, &o->number, 4);
    if (o->report_data)
        memcpy(body + 320, o->report_data, 64);
}

static void fill_tdx(const struct forge *f, const struct forge_quote *o, uint8_t *body, int type)
{
    memset(body, 4, 16); /* TEE_TCB_SVN */
    body[1] = f->o.module_major;
    memset(body + 64, o->bad_seam ? 0x99 : MODULE_SIGNER, 48);
    body[120] = o->debug ? 1 : 0;
    memset(body + 136, 0x33, 48);
    memcpy(body + 520, &o->number, 4);
    if (o->report_data)
        memcpy(body + 520, o->report_data, 64);
    if (type >= 3) {
        memset(body + 584, 7, 16);
        body[585] = f->o.module_major;
    }
}

static void put_body(const struct forge *f, const struct forge_quote *o, struct bytes *b)
{
    static const size_t sizes[] = {0, 384, 584, 648, 885};
    int type = o->body_type ? o->body_type : f->o.tdx ? 2 : 1;
    if (o->version == 5) {
        put_number(b, (uint64_t)type, 2);
        put_number(b, sizes[type], 4);
    }
    uint8_t *body = b->data + b->len;
    put(b, NULL, sizes[type]);
    if (type == 1)
        fill_sgx(o, body);
    else
        fill_tdx(f, o, body, type);
}

/* QE report, its signature, authentication data, certification data. */
static void put_qe(const struct forge *f, const struct forge_quote *o, const uint8_t key[64],
                   struct bytes *b)
{
    uint8_t report[384] = {0}, hashed[96], rs[64];
    int type = o->certification_type ? o->certification_type : 5;
    report[48] = (uint8_t)(0x11 | (o->qe_debug ? 2 : 0));
    memset(report + 64, 0x77, 32);
    memset(report + 128, QE_SIGNER, 32);
    report[256] = 1;
    report[258] = (uint8_t)(o->qe_svn ? o->qe_svn : 8);
    memcpy(hashed, key, 64);
    for (int i = 0; i < 32; i++)
        hashed[64 + i] = (uint8_t)i;
    forge_sha256(hashed, o->bad_key_hash ? 95 : 96, report + 320);
    forge_sign(f->pck_key, report, sizeof(report), rs);
    rs[5] ^= o->bad_qe_signature;
    put(b, report, sizeof(report));
    put(b, rs, 64);
    put_number(b, 32, 2);
    put(b, hashed + 64, 32);
    put_number(b, (uint64_t)type, 2);
    if (type == 1) {
        put_number(b, 36, 4);
        put(b, f->ppid, 16);
        put(b, NULL, 20);
    } else if (type == 4) {
        char *leaf = forge_pem(f->pck, NULL, NULL);
        put_number(b, strlen(leaf), 4);
        put(b, leaf, strlen(leaf));
        free(leaf);
    } else if (type == 5) {
        put_number(b, strlen(f->pck_chain) + 1, 4);
        put(b, f->pck_chain, strlen(f->pck_chain) + 1);
    } else {
        put_number(b, type == 2 ? 276 : 404, 4);
        put(b, NULL, type == 2 ? 276 : 404);
    }
}

uint8_t *forge_make_quote(const struct forge *f, const struct forge_quote *options, size_t *size)
{
    struct bytes *b = calloc(1, sizeof(*b)), *qe = calloc(1, sizeof(*qe));
    struct forge_quote o = options ? *options : (struct forge_quote){0};
    EVP_PKEY *key = forge_key();
    uint8_t point[65], rs[64];
    size_t len = 0;
    FORGE_NEEDS(b && qe);
    FORGE_NEEDS(EVP_PKEY_get_octet_string_param(key, "encoded-pub-key", point, 65, &len) &&
                len == 65);
    o.version = o.version ? o.version : f->o.tdx ? 4 : 3;
    put_header(f, &o, b);
    put_body(f, &o, b);
    forge_sign(key, b->data, b->len, rs);
    rs[40] ^= o.bad_quote_signature;
    put_qe(f, &o, point + 1, qe);
    put_number(b, 128 + qe->len + (o.version > 3 ? 6 : 0), 4);
    put(b, rs, 64);
    put(b, point + 1, 64);
    if (o.version > 3) {
        put_number(b, 6, 2);
        put_number(b, qe->len, 4);
    }
    put(b, qe->data, qe->len);
    put(b, NULL, o.padding);
    uint8_t *copy = malloc(b->len);
    FORGE_NEEDS(copy);
    memcpy(copy, b->data, b->len);
    *size = b->len;
    free(b);
    free(qe);
    EVP_PKEY_free(key);
    return copy;
}

/* ---- certificates with quotes ---- */

/* { "pubkey-hash": h'82 01 58 20 ..' }, or with another name. */
static size_t make_claims(uint8_t *out, const uint8_t digest[32], bool other_name)
{
    static const uint8_t head[] = {0x58, 36, 0x82, 0x01, 0x58, 32};
    out[0] = 0xa1;
    out[1] = 0x60 | 11;
    memcpy(out + 2, other_name ? "pubkey_hash" : "pubkey-hash", 11);
    memcpy(out + 13, head, sizeof(head));
    memcpy(out + 13 + sizeof(head), digest, 32);
    return 13 + sizeof(head) + 32;
}

static void add_extension(X509 *cert, const uint8_t *oid, const uint8_t *value, size_t size)
{
    ASN1_OBJECT *object = d2i_ASN1_OBJECT(NULL, &oid, oid[1] + 2);
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    FORGE_NEEDS(object && data && ASN1_OCTET_STRING_set(data, value, (int)size));
    X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, object, 0, data);
    FORGE_NEEDS(ext && X509_add_ext(cert, ext, -1));
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(data);
    ASN1_OBJECT_free(object);
}

static void add_older(const struct forge *f, X509 *cert, const uint8_t digest[32], bool proper)
{
    static const uint8_t odd[] = {0x06, 11,   0x06, 0x09, 0x2a, 0x86, 0x48,
                                  0x86, 0xf8, 0x4d, 0x8a, 0x39, 0x06};
    uint8_t data[64] = {0};
    size_t size;
    memcpy(data, digest, 32);
    uint8_t *quote = forge_make_quote(f, &(struct forge_quote){.report_data = data}, &size);
    add_extension(cert, proper ? odd + 2 : odd, quote, size);
    free(quote);
}

static void add_tagged(const struct forge *f, X509 *cert, const uint8_t digest[32],
                       enum forge_cert kind)
{
    static const uint8_t oid[] = {0x06, 6, 0x67, 0x81, 0x05, 0x05, 0x04, 0x09};
    uint8_t data[64] = {0}, claims[128];
    struct bytes *b = calloc(1, sizeof(*b));
    size_t size, n = make_claims(claims, digest, kind == FORGE_CERT_NO_HASH);
    FORGE_NEEDS(b);
    forge_sha256(claims, n, data);
    data[0] ^= kind == FORGE_CERT_OTHER_CLAIMS;
    uint8_t *quote = forge_make_quote(f, &(struct forge_quote){.report_data = data}, &size);
    const uint8_t head[] = {0xd9, 0xea, 0x60, 0x82, 0x59, (uint8_t)(size >> 8), (uint8_t)size};
    const uint8_t middle[] = {0x58, (uint8_t)n};
    put(b, head, sizeof(head));
    put(b, quote, size);
    put(b, middle, sizeof(middle));
    put(b, claims, n - (kind == FORGE_CERT_BROKEN));
    add_extension(cert, oid, b->data, b->len);
    if (kind == FORGE_CERT_TWICE)
        add_extension(cert, oid, b->data, b->len);
    free(quote);
    free(b);
}

uint8_t *forge_make_cert(const struct forge *f, enum forge_cert kind, size_t *size)
{
    EVP_PKEY *key = EVP_EC_gen("P-384"), *other = forge_key();
    X509 *cert = X509_new();
    uint8_t *spki = NULL, digest[32];
    FORGE_NEEDS(key && cert && X509_set_version(cert, 2) && X509_set_pubkey(cert, key));
    FORGE_NEEDS(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1));
    FORGE_NEEDS(X509_gmtime_adj(X509_getm_notBefore(cert), 0));
    FORGE_NEEDS(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
    int len = i2d_PUBKEY(kind == FORGE_CERT_OTHER_KEY ? other : key, &spki);
    FORGE_NEEDS(len > 0);
    forge_sha256(spki, (size_t)len, digest);
    if (kind == FORGE_CERT_OLDER || kind == FORGE_CERT_OLDER_PROPER || kind == FORGE_CERT_BROKEN)
        add_older(f, cert, digest, kind == FORGE_CERT_OLDER_PROPER);
    if (kind != FORGE_CERT_OLDER && kind != FORGE_CERT_OLDER_PROPER && kind != FORGE_CERT_NONE)
        add_tagged(f, cert, digest, kind);
    FORGE_NEEDS(X509_sign(cert, key, EVP_sha256()));
    uint8_t *der = NULL;
    len = i2d_X509(cert, &der);
    FORGE_NEEDS(len > 0);
    uint8_t *copy = malloc((size_t)len);
    FORGE_NEEDS(copy);
    memcpy(copy, der, (size_t)len);
    *size = (size_t)len;
    OPENSSL_free(der);
    OPENSSL_free(spki);
    X509_free(cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    return copy;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Hostile quotes, certificates, CRLs, JSON documents and RA-TLS certificates. Byte 0 of the input
 * chooses what; then follow edits of 5 bytes each to a good one: kind, offset (2, little-endian; in
 * 16ths of the length when bit 7 of the kind is set), value, length. So structure stays mostly
 * whole and inputs get deep. What a parser accepts must lie within what it was given; an altered
 * quote must not verify.
 *
 * With clang a libFuzzer target; otherwise a program that makes its own inputs for N seconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attest/collateral.h"
#include "attest/forge.h"
#include "attest/tcb.h"

enum what {
    QUOTE_V3,
    QUOTE_V4_TDX,
    QUOTE_V5_EXTENDED,
    QUOTE_TYPE1,
    CERTIFICATE,
    CRL,
    TCB_INFO,     /* the document as a whole */
    TCB_INFO_TDX, /* parsed as if the signature were good, as the next */
    QE_IDENTITY,
    RATLS,
    RATLS_OLDER,
    BUNDLE,
    VERIFY, /* a quote, verified */
    WHATS,
};

#define ROOM 65536
#define GROW 8192

static struct base {
    uint8_t *data;
    size_t size;
} bases[WHATS];

static adyton_attest *verifier;
static adyton_collateral *collateral;
static unsigned long accepted[WHATS];

static void keep(enum what what, const void *data, size_t size)
{
    bases[what].data = malloc(size);
    if (!bases[what].data || size > ROOM - GROW)
        abort();
    memcpy(bases[what].data, data, size);
    bases[what].size = size;
}

static void keep_quote(enum what what, const struct forge *f, const struct forge_quote *o)
{
    bases[what].data = forge_make_quote(f, o, &bases[what].size);
}

static void keep_bundle(const struct forge *f)
{
    static const char text[] =
        "{\"pck_crl_issuer_chain\":\"a\",\"root_ca_crl\":\"3081\",\"pck_crl\":\"30\\u0031\","
        "\"tcb_info\":\"{}\",\"tcb_info_signature\":\"00\",\"tcb_info_issuer_chain\":\"b\","
        "\"qe_identity\":\"{\\\"x\\\":[1,2.5e3,null,true]}\",\"qe_identity_issuer_chain\":\"c\"}";
    keep(BUNDLE, text, sizeof(text) - 1);
}

static void prepare(void)
{
    struct forge *sgx = forge_new(&(struct forge_options){.advisory = "INTEL-SA-1"});
    struct forge *tdx = forge_new(
        &(struct forge_options){.tdx = true, .module_major = 1, .advisory = "INTEL-SA-1"});
    adyton_collateral *c = forge_collateral(sgx), *t = forge_collateral(tdx);
    const char *pem = forge_pck_chain(sgx);
    size_t left = strlen(pem), size;
    uint8_t *data;
    struct signed_json parts;
    struct adyton_bytes b;
    keep_quote(QUOTE_V3, sgx, NULL);
    keep_quote(VERIFY, sgx, NULL);
    keep_quote(QUOTE_TYPE1, sgx, &(struct forge_quote){.certification_type = 1, .padding = 40});
    keep_quote(QUOTE_V4_TDX, tdx, &(struct forge_quote){.version = 4});
    keep_quote(QUOTE_V5_EXTENDED, tdx, &(struct forge_quote){.version = 5, .body_type = 4});
    if (pem_next(&pem, &left, PEM_CERTIFICATES, &data, &size) != 1)
        abort();
    keep(CERTIFICATE, data, size);
    free(data);
    b = adyton_collateral_get(c, ADYTON_COLLATERAL_PCK_CRL);
    keep(CRL, b.data, b.size);
    b = adyton_collateral_get(c, ADYTON_COLLATERAL_TCB_INFO);
    keep(TCB_INFO, b.data, b.size);
    b = adyton_collateral_get(t, ADYTON_COLLATERAL_TCB_INFO);
    if (!json_split(b.data, b.size, "tcbInfo", &parts))
        abort();
    keep(TCB_INFO_TDX, parts.object.data, parts.object.size);
    b = adyton_collateral_get(t, ADYTON_COLLATERAL_QE_IDENTITY);
    if (!json_split(b.data, b.size, "enclaveIdentity", &parts))
        abort();
    keep(QE_IDENTITY, parts.object.data, parts.object.size);
    bases[RATLS].data = forge_make_cert(sgx, FORGE_CERT_TAGGED, &bases[RATLS].size);
    bases[RATLS_OLDER].data = forge_make_cert(sgx, FORGE_CERT_OLDER, &bases[RATLS_OLDER].size);
    keep_bundle(sgx);
    verifier = adyton_attest_new();
    if (adyton_attest_set_trust_root(verifier, forge_root(sgx), strlen(forge_root(sgx)), NULL))
        abort();
    collateral = c;
    adyton_collateral_free(t);
    forge_free(sgx);
    forge_free(tdx);
}

/* Pieces that mean something to one of the parsers. */
static const char *const tokens[] = {
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "\\",
    "\\u0000",
    "null",
    "-1",
    "1e9",
    "4294967296",
    "\"tcbInfo\":",
    "\"signature\":",
    "\"svn\":256",
    "\"tcbLevels\":[]",
    "\"version\":4",
    "\x30\x80",
    "\x30\x84\x7f\xff\xff\xff",
    "\x02\x01\x80",
    "\x05",
    "\x04\x82\xff\xff",
    "\xa3\x03",
    "\x17\x0d",
    "\xd9\xea\x60\x82",
    "\x9f",
    "\x5f",
    "\xff",
    "\xbf",
    "\x9b\x7f\xff\xff\xff",
    "\x5b\x7f\xff\xff\xff",
    "-----BEGIN CERTIFICATE-----",
    "-----END CERTIFICATE-----",
};

static void edit(uint8_t *data, size_t *size, const uint8_t op[5])
{
    size_t offset = op[1] | (size_t)op[2] << 8, len = op[4];
    const char *token = tokens[op[3] % COUNT(tokens)];
    if (op[0] & 0x80)
        offset = *size * (offset & 0xfff) / 0x1000;
    offset = *size ? offset % *size : 0;
    size_t rest = *size - offset;
    len = len < rest ? len : rest;
    switch (op[0] % 7) {
    case 0:
        if (rest)
            data[offset] = op[3];
        break;
    case 1:
        if (rest)
            data[offset] ^= (uint8_t)(1 << op[3] % 8);
        break;
    case 2: /* take out */
        memmove(data + offset, data + offset + len, rest - len);
        *size -= len;
        break;
    case 3: /* twice */
        if (*size + len <= ROOM) {
            memmove(data + offset + len, data + offset, rest);
            *size += len;
        }
        break;
    case 4: /* put in */
        len = strlen(token);
        if (*size + len <= ROOM) {
            memmove(data + offset + len, data + offset, rest);
            memcpy(data + offset, token, len);
            *size += len;
        }
        break;
    case 5: /* overwrite */
        memcpy(data + offset, token, strlen(token) < rest ? strlen(token) : rest);
        break;
    default: /* cut */
        if (op[4] & 1)
            *size = offset;
        else if (rest >= 2)
            data[offset] = op[3], data[offset + 1] = op[4];
    }
}

static void inside(const void *p, size_t len, const void *data, size_t size)
{
    if (p && ((const uint8_t *)p < (const uint8_t *)data ||
              (const uint8_t *)p + len > (const uint8_t *)data + size))
        abort();
}

static int try_quote(const uint8_t *data, size_t size)
{
    adyton_quote *quote = NULL;
    struct adyton_attest_error e = {0};
    if (adyton_quote_parse(data, size, &quote, &e)) {
        if (quote || !e.code || !*e.text || strlen(e.text) >= sizeof(e.text))
            abort();
        return 0;
    }
    const struct adyton_quote_info *i = adyton_quote_get_info(quote);
    inside(i->report_data, 64, quote->bytes, quote->size);
    inside(i->body.data, i->body.size, quote->bytes, quote->size);
    inside(i->attestation_key, 64, quote->bytes, quote->size);
    inside(i->qe_report, 384, quote->bytes, quote->size);
    inside(i->certification_data.data, i->certification_data.size, quote->bytes, quote->size);
    if (i->size + i->trailing != size || memcmp(i->signed_part.data, data, i->signed_part.size))
        abort();
    adyton_quote_free(quote);
    return 1;
}

static int try_certificate(const uint8_t *data, size_t size)
{
    struct x509 cert;
    struct x509_extension ext;
    struct pck pck;
    uint8_t rs[64];
    char name[80];
    const uint8_t *point;
    int64_t from, until;
    int good = x509_parse(data, size, &cert);
    for (der list = good ? cert.extensions : (der){0}; list.size && x509_extension(&list, &ext);)
        inside(ext.value.data, ext.value.size, data, size);
    if (good) {
        static const uint8_t oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
        der value;
        good = x509_common_name(cert.subject, name) && x509_validity(&cert, &from, &until) &&
               x509_p256_point(&cert, &point) &&
               x509_ecdsa_signature(cert.algorithm, cert.signature, rs) &&
               x509_find_extension(&cert, oid, sizeof(oid), &value) == 1 &&
               pck_parse(value, true, &pck);
    }
    return good;
}

static int try_crl(const uint8_t *data, size_t size)
{
    struct x509_crl crl;
    static const uint8_t serial[] = {71};
    struct x509_extension ext;
    if (!x509_crl_parse(data, size, &crl))
        return 0;
    for (der list = crl.extensions; list.size && x509_extension(&list, &ext);)
        inside(ext.value.data, ext.value.size, data, size);
    return !x509_crl_lists(&crl, (der){serial, 1});
}

static int try_document(const uint8_t *data, size_t size)
{
    struct signed_json parts;
    size_t len;
    if (!json_split(data, size, "tcbInfo", &parts))
        return 0;
    inside(parts.object.data, parts.object.size, data, size);
    char *text = json_minify(parts.object, &len);
    if (!text || len > parts.object.size)
        abort();
    free(text);
    return 1;
}

static int try_inner(const uint8_t *data, size_t size, bool tcb)
{
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    struct tcb_info *info = NULL;
    struct identity *identity = NULL;
    struct pck pck = {.pce_svn = 300};
    uint8_t svn[16] = {4, 1};
    bool version;
    int good = 0;
    if (json && tcb && !tcb_info_parse(json, &info, &version)) {
        tcb_module(info, svn);
        tcb_platform_level(info, &pck, svn);
        object_release(&info->object);
        good = 1;
    }
    if (json && !tcb && !identity_parse(json, &identity, &version)) {
        tcb_svn_level(&identity->levels, 8);
        object_release(&identity->object);
        good = 1;
    }
    json_decref(json);
    return good;
}

static int try_ratls(const uint8_t *data, size_t size)
{
    adyton_quote *quote = NULL;
    if (adyton_quote_from_certificate(data, size, &quote, NULL)) {
        if (quote)
            abort();
        return 0;
    }
    adyton_quote_claim(quote, "nonce");
    adyton_quote_free(quote);
    return 1;
}

static int try_bundle(const uint8_t *data, size_t size)
{
    adyton_collateral *c = adyton_collateral_new();
    int good = !adyton_collateral_load_json(c, (const char *)data, size, NULL);
    adyton_collateral_free(c);
    return good;
}

/* What the signatures cover is all before the certificate chain. */
static int try_verify(const uint8_t *data, size_t size)
{
    const struct base *base = &bases[VERIFY];
    adyton_quote *quote = NULL;
    adyton_verdict *verdict = NULL;
    if (adyton_quote_parse(data, size, &quote, NULL))
        return 0;
    int code =
        adyton_attest_verify(verifier, quote, collateral, FORGE_AT, ADYTON_TEE_SGX, &verdict);
    const struct adyton_quote_info *i = adyton_quote_get_info(quote);
    if (!verdict || verdict->code != code || (code && !verdict->error))
        abort();
    if (!code && (i->signed_part.size != 432 || memcmp(data, base->data, 432) ||
                  memcmp(data + 436, base->data + 436, 64 + 64 + 384 + 64 + 2 + 32)))
        abort();
    adyton_verdict_free(verdict);
    adyton_quote_free(quote);
    return !code;
}

static int try_one(enum what what, const uint8_t *data, size_t size)
{
    switch (what) {
    case CERTIFICATE:
        return try_certificate(data, size);
    case CRL:
        return try_crl(data, size);
    case TCB_INFO:
        return try_document(data, size);
    case TCB_INFO_TDX:
    case QE_IDENTITY:
        return try_inner(data, size, what == TCB_INFO_TDX);
    case RATLS:
    case RATLS_OLDER:
        return try_ratls(data, size);
    case BUNDLE:
        return try_bundle(data, size);
    case VERIFY:
        return try_verify(data, size);
    default:
        return try_quote(data, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static uint8_t work[ROOM];
    if (!verifier)
        prepare();
    if (!len)
        return 0;
    /* Verification is slow: one input of 64. */
    enum what what = (enum what)(input[0] < 252 ? input[0] % VERIFY : VERIFY);
    size_t size = bases[what].size;
    memcpy(work, bases[what].data, size);
    for (size_t i = 1; i + 5 <= len && size; i += 5)
        edit(work, &size, input + i);
    /* Of exactly this size, so that reading beyond it shows. */
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        abort();
    memcpy(exact, work, size);
    accepted[what] += (unsigned long)try_one(what, exact, size);
    free(exact);
    return 0;
}

#ifdef FUZZ_STANDALONE
int main(int argc, char **argv)
{
    uint64_t x = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 3);
    unsigned long runs = 0, unseen = 0;
    for (; time(NULL) < end; runs++) {
        uint8_t input[1 + 5 * 6];
        for (size_t i = 0; i < sizeof(input); i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            input[i] = (uint8_t)(x >> 56);
        }
        LLVMFuzzerTestOneInput(input, 1 + 5 * (runs % 7));
    }
    for (int i = 0; i < WHATS; i++)
        unseen += !accepted[i];
    printf("%lu inputs; of %lu kinds none was accepted\n", runs, unseen);
    return unseen != 0;
}
#endif

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Revocation lists, TCB info and QE identity of the test platform. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "sgxemu/quoting/quoting.h"

#define LIFE (86400 * 30) /* as of Intel's documents */

static bool iso(int64_t seconds, char text[32])
{
    time_t t = (time_t)seconds;
    struct tm tm;
    return gmtime_r(&t, &tm) && strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void hex(char *out, const uint8_t *data, size_t len, bool upper)
{
    for (size_t i = 0; i < len; i++)
        sprintf(out + 2 * i, upper ? "%02X" : "%02x", data[i]);
}

static json_t *components(const uint8_t svn[16])
{
    json_t *list = json_array();
    for (int i = 0; i < 16; i++)
        json_array_append_new(list, json_pack("{s:i}", "svn", svn[i]));
    return list;
}

/* `svn` NULL: the level that everything reaches. */
static json_t *level(const uint8_t svn[16], int pce_svn, int version, const char *date,
                     const char *status)
{
    static const uint8_t none[16];
    char name[32];
    json_t *tcb = json_object();
    if (version == 3)
        json_object_set_new(tcb, "sgxtcbcomponents", components(svn ? svn : none));
    for (int i = 0; version == 2 && i < 16; i++) {
        snprintf(name, sizeof(name), "sgxtcbcomp%02dsvn", i + 1);
        json_object_set_new(tcb, name, json_integer((svn ? svn : none)[i]));
    }
    json_object_set_new(tcb, "pcesvn", json_integer(pce_svn));
    return json_pack("{s:o,s:s,s:s}", "tcb", tcb, "tcbDate", date, "tcbStatus", status);
}

static json_t *svn_level(int svn, const char *date, const char *status)
{
    return json_pack("{s:{s:i},s:s,s:s}", "tcb", "isvsvn", svn, "tcbDate", date, "tcbStatus",
                     status);
}

#define LEVEL_DATE     "2025-01-01T00:00:00Z"
#define OLD_LEVEL_DATE "2024-01-01T00:00:00Z"

static json_t *tcb_info(const struct test_platform *p, int version, const char *issued,
                        const char *next)
{
    char fmspc[13], pce[5];
    hex(fmspc, p->pck.fmspc, 6, true);
    hex(pce, p->pck.pce_id, 2, true);
    json_t *o = json_object();
    if (version == 3)
        json_object_set_new(o, "id", json_string("SGX"));
    json_object_set_new(o, "version", json_integer(version));
    json_object_set_new(o, "issueDate", json_string(issued));
    json_object_set_new(o, "nextUpdate", json_string(next));
    json_object_set_new(o, "fmspc", json_string(fmspc));
    json_object_set_new(o, "pceId", json_string(pce));
    json_object_set_new(o, "tcbType", json_integer(0));
    json_object_set_new(o, "tcbEvaluationDataNumber", json_integer(17));
    json_object_set_new(o, "tcbLevels",
                        json_pack("[o,o]",
                                  level(p->pck.components, p->pck.pce_svn, version, LEVEL_DATE,
                                        p->tcb_status ? p->tcb_status : "UpToDate"),
                                  level(NULL, 0, version, OLD_LEVEL_DATE, "OutOfDate")));
    return o;
}

static json_t *qe_identity(const char *issued, const char *next)
{
    uint8_t signer[32];
    char mrsigner[65];
    test_qe_mrsigner(signer);
    hex(mrsigner, signer, 32, true);
    json_t *o = json_pack("{s:s,s:i,s:s,s:s,s:i}", "id", "QE", "version", 2, "issueDate", issued,
                          "nextUpdate", next, "tcbEvaluationDataNumber", 17);
    json_object_set_new(o, "miscselect", json_string("00000000"));
    json_object_set_new(o, "miscselectMask", json_string("FFFFFFFF"));
    json_object_set_new(o, "attributes", json_string("15000000000000000000000000000000"));
    json_object_set_new(o, "attributesMask", json_string("FFFFFFFFFFFFFFFF0000000000000000"));
    json_object_set_new(o, "mrsigner", json_string(mrsigner));
    json_object_set_new(o, "isvprodid", json_integer(1));
    json_object_set_new(o, "tcbLevels",
                        json_pack("[o,o]", svn_level(TEST_QE_SVN, LEVEL_DATE, "UpToDate"),
                                  svn_level(1, OLD_LEVEL_DATE, "OutOfDate")));
    return o;
}

/* {"NAME":...,"signature":"..."}, the signature over the bytes of the inner object. */
static bool sign(const struct test_platform *p, struct test_documents *out, enum test_document d,
                 const char *name, json_t *inner)
{
    uint8_t rs[64];
    char signature[129], *text = inner ? json_dumps(inner, JSON_COMPACT) : NULL, *whole = NULL;
    int len = -1;
    json_decref(inner);
    if (text && pki_sign(p->keys[KEY_TCB_SIGNING], text, strlen(text), rs)) {
        hex(signature, rs, 64, false);
        len = asprintf(&whole, "{\"%s\":%s,\"signature\":\"%s\"}", name, text, signature);
    }
    free(text);
    if (len < 0)
        return false;
    out->doc[d].data = (uint8_t *)whole;
    out->doc[d].size = (size_t)len;
    return true;
}

static bool chain(struct test_documents *out, enum test_document d, X509 *a, X509 *b, X509 *c)
{
    char *pem = pki_pem(a, b, c);
    out->doc[d].data = (uint8_t *)pem;
    out->doc[d].size = pem ? strlen(pem) : 0;
    return pem;
}

/* Nobody's certificate is revoked, unless a test wants it. */
static bool crl(const struct test_platform *p, struct test_documents *out, enum test_document d,
                enum quoting_key issuer, int64_t now)
{
    const long pck = ASN1_INTEGER_get(X509_get0_serialNumber(p->certs[KEY_PCK]));
    out->doc[d].data = pki_crl(&(struct pki_crl){.issuer = p->certs[issuer],
                                                 .key = p->keys[issuer],
                                                 .number = (long)now,
                                                 .this_update = now,
                                                 .next_update = now + LIFE,
                                                 .revoked_at = now - 3600,
                                                 .serials = &pck,
                                                 .count = p->revoked && issuer == KEY_PLATFORM_CA},
                               &out->doc[d].size);
    return out->doc[d].data;
}

int test_documents_make(const struct test_platform *p, int64_t now, struct test_documents *out,
                        struct quoting_error *e)
{
    char issued[32], next[32];
    X509 *const *c = p->certs;
    *out = (struct test_documents){0};
    now -= 60; /* verifiers' clocks are not ours */
    bool ok = iso(now, issued) && iso(now + LIFE, next) &&
              chain(out, DOC_PCK_CHAIN, c[KEY_PCK], c[KEY_PLATFORM_CA], c[KEY_ROOT]) &&
              chain(out, DOC_PLATFORM_CA_CHAIN, c[KEY_PLATFORM_CA], c[KEY_ROOT], NULL) &&
              chain(out, DOC_PROCESSOR_CA_CHAIN, c[KEY_PROCESSOR_CA], c[KEY_ROOT], NULL) &&
              chain(out, DOC_SIGNING_CHAIN, c[KEY_TCB_SIGNING], c[KEY_ROOT], NULL) &&
              crl(p, out, DOC_ROOT_CRL, KEY_ROOT, now) &&
              crl(p, out, DOC_PLATFORM_CRL, KEY_PLATFORM_CA, now) &&
              crl(p, out, DOC_PROCESSOR_CRL, KEY_PROCESSOR_CA, now) &&
              sign(p, out, DOC_TCB_INFO, "tcbInfo", tcb_info(p, 3, issued, next)) &&
              sign(p, out, DOC_TCB_INFO_V2, "tcbInfo", tcb_info(p, 2, issued, next)) &&
              sign(p, out, DOC_QE_IDENTITY, "enclaveIdentity", qe_identity(issued, next));
    if (ok)
        return 0;
    test_documents_free(out);
    return quoting_fail(e, "OpenSSL cannot sign the documents of the test platform");
}

void test_documents_free(struct test_documents *docs)
{
    for (int i = 0; i < DOC_COUNT; i++)
        free(docs->doc[i].data);
    *docs = (struct test_documents){0};
}

int test_platform_publish(const struct test_platform *p, int64_t now, struct quoting_error *e)
{
    static const struct {
        const char *name;
        enum test_document doc;
    } files[] = {
        {"pck_chain.pem", DOC_PCK_CHAIN},
        {"pck_crl_issuer_chain.pem", DOC_PLATFORM_CA_CHAIN},
        {"tcb_signing_chain.pem", DOC_SIGNING_CHAIN},
        {"root_ca_crl.der", DOC_ROOT_CRL},
        {"pck_crl.der", DOC_PLATFORM_CRL},
        {"tcb_info.json", DOC_TCB_INFO},
        {"qe_identity.json", DOC_QE_IDENTITY},
    };
    struct test_documents docs;
    char dir[PATH_MAX], path[PATH_MAX];
    int r = test_documents_make(p, now, &docs, e);
    if (r)
        return r;
    r = quoting_path(dir, p->dir, "collateral");
    if (!r && mkdir(dir, 0700) && errno != EEXIST)
        r = -errno;
    for (size_t i = 0; !r && i < sizeof(files) / sizeof(*files); i++) {
        r = quoting_path(path, dir, files[i].name);
        if (!r)
            r = quoting_write(path, docs.doc[files[i].doc].data, docs.doc[files[i].doc].size);
    }
    test_documents_free(&docs);
    return r ? quoting_fail(e, "cannot write %s: %s", dir, strerror(-r)) : 0;
}

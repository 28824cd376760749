/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The quoting service. On hardware this is an enclave; here it is a program that knows the fuses,
 * and so can tell the device's reports from others.
 */
#include <stdlib.h>
#include <string.h>

#include "crypto/crypto.h"
#include "sgxemu/quoting/quoting.h"

#define AUTH_SIZE 32

static const uint8_t intel_qe_vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                            0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

static void named_hash(const char *name, uint8_t out[32])
{
    if (!pki_sha256(name, strlen(name), out))
        abort(); /* SHA-256 of a constant: OpenSSL is broken */
}

void test_qe_mrsigner(uint8_t mrsigner[32])
{
    named_hash("Adyton software SGX device: signer of the test quoting enclave", mrsigner);
}

static void qe_mrenclave(uint8_t mrenclave[32])
{
    named_hash("Adyton software SGX device: test quoting enclave 1", mrenclave);
}

void test_qe_target(const struct test_platform *p, struct sgx_targetinfo *target)
{
    *target = (struct sgx_targetinfo){
        .attributes = {SGX_FLAG_INIT | SGX_FLAG_MODE64BIT | SGX_FLAG_PROVISIONKEY, 3}};
    qe_mrenclave(target->mrenclave);
}

static void make_auth(uint8_t auth[AUTH_SIZE])
{
    for (int i = 0; i < AUTH_SIZE; i++)
        auth[i] = (uint8_t)i;
}

bool test_qe_key_id(const struct test_platform *p, uint8_t id[32])
{
    uint8_t bound[64 + AUTH_SIZE];
    make_auth(bound + 64);
    return pki_point(p->keys[KEY_ATTESTATION], bound) && pki_sha256(bound, sizeof(bound), id);
}

void test_report_seal(const struct test_platform *p, const struct sgx_targetinfo *target,
                      struct sgx_report *report)
{
    uint8_t key[16];
    sgx_report_key(&p->processor, target, report->key_id, key);
    aes128_cmac(key, report, SGX_REPORT_BODY_SIZE, report->mac);
    crypto_wipe(key, sizeof(key));
}

static bool is_genuine(const struct test_platform *p, const struct sgx_report *report)
{
    struct sgx_targetinfo self;
    struct sgx_report again = *report;
    test_qe_target(p, &self);
    test_report_seal(p, &self, &again);
    bool same = !crypto_differs(again.mac, report->mac, sizeof(again.mac));
    crypto_wipe(&again, sizeof(again));
    return same;
}

/* ---- the quote ------------------------------------------------------------------------------ */

struct out {
    uint8_t *data;
    size_t len;
};

static void put(struct out *o, const void *data, size_t len)
{
    if (data)
        memcpy(o->data + o->len, data, len);
    else
        memset(o->data + o->len, 0, len);
    o->len += len;
}

static void put_number(struct out *o, uint32_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        o->data[o->len++] = (uint8_t)(value >> 8 * i);
}

static void put_header(const struct test_platform *p, struct out *o)
{
    put_number(o, 3, 2);
    put_number(o, 2, 2); /* ECDSA P-256 */
    put_number(o, 0, 4);
    put_number(o, TEST_QE_SVN, 2);
    put_number(o, p->pck.pce_svn, 2);
    put(o, intel_qe_vendor, 16);
    put(o, p->pck.instance_id, 16);
    put(o, "TEST", 4);
}

/* The quoting enclave's report about its key, signed by the PCK. */
static bool put_qe(const struct test_platform *p, struct out *o)
{
    struct sgx_targetinfo self;
    struct sgx_report report = {.isv_prod_id = 1, .isv_svn = TEST_QE_SVN};
    uint8_t rs[64], auth[AUTH_SIZE];
    test_qe_target(p, &self);
    report.attributes = self.attributes;
    memcpy(report.cpu_svn, p->processor.cpu_svn, 16);
    memcpy(report.mrenclave, self.mrenclave, 32);
    test_qe_mrsigner(report.mrsigner);
    make_auth(auth);
    if (!test_qe_key_id(p, report.report_data) ||
        !pki_sign(p->keys[KEY_PCK], &report, SGX_REPORT_BODY_SIZE, rs))
        return false;
    put(o, &report, SGX_REPORT_BODY_SIZE);
    put(o, rs, sizeof(rs));
    put_number(o, AUTH_SIZE, 2);
    put(o, auth, AUTH_SIZE);
    return true;
}

static uint8_t *make(const struct test_platform *p, const struct sgx_report *report,
                     const char *chain, size_t *size)
{
    const size_t chain_size = strlen(chain) + 1;
    const size_t signature_size =
        64 + 64 + SGX_REPORT_BODY_SIZE + 64 + 2 + AUTH_SIZE + 2 + 4 + chain_size;
    uint8_t rs[64], xy[64];
    struct out o = {malloc(436 + signature_size), 0};
    if (!o.data || 436 + signature_size > TEST_QUOTE_MAX) {
        free(o.data);
        return NULL;
    }
    put_header(p, &o);
    put(&o, report, SGX_REPORT_BODY_SIZE);
    bool ok = pki_sign(p->keys[KEY_ATTESTATION], o.data, o.len, rs) &&
              pki_point(p->keys[KEY_ATTESTATION], xy);
    put_number(&o, (uint32_t)signature_size, 4);
    put(&o, rs, 64);
    put(&o, xy, 64);
    if (!ok || !put_qe(p, &o)) {
        free(o.data);
        return NULL;
    }
    put_number(&o, 5, 2);
    put_number(&o, (uint32_t)chain_size, 4);
    put(&o, chain, chain_size);
    *size = o.len;
    return o.data;
}

uint8_t *test_quote(const struct test_platform *p, const struct sgx_report *report, size_t *size,
                    bool *genuine)
{
    *genuine = is_genuine(p, report);
    if (!*genuine)
        return NULL;
    char *chain = pki_pem(p->certs[KEY_PCK], p->certs[KEY_PLATFORM_CA], p->certs[KEY_ROOT]);
    uint8_t *quote = chain ? make(p, report, chain, size) : NULL;
    free(chain);
    return quote;
}

size_t test_quote_size(const struct test_platform *p)
{
    char *chain = pki_pem(p->certs[KEY_PCK], p->certs[KEY_PLATFORM_CA], p->certs[KEY_ROOT]);
    size_t size = chain ? 436 + 64 + 64 + SGX_REPORT_BODY_SIZE + 64 + 2 + AUTH_SIZE + 2 + 4 +
                              strlen(chain) + 1
                        : 0;
    free(chain);
    return size;
}

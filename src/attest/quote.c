/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Quotes, versions 3, 4 and 5, taken apart:
 *
 *     v3, v4   header 48, body 384 or 584, u32 length, signature data
 *     v5       header 48, u16 body type, u32 body size, body, u32 length, signature data
 *
 * Signature data: signature 64, key 64, then in v3 the QE's part (report 384, signature 64, u16
 * length and authentication data, u16 type and u32 length and certification data), which in v4 and
 * v5 is wrapped into a certification record of type 6.
 */
#include <stdlib.h>

#include "attest/attest_int.h"

#define HEADER_SIZE 48
#define TEE_SGX     0x00u
#define TEE_TDX     0x81u

static const uint8_t intel_vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                         0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

/* What is left to read. */
struct input {
    const uint8_t *at;
    size_t left;
};

/* The next `len` bytes, NULL when there are not so many. */
static const uint8_t *take(struct input *in, size_t len)
{
    if (len > in->left)
        return NULL;
    const uint8_t *p = in->at;
    in->at += len;
    in->left -= len;
    return p;
}

static bool take16(struct input *in, uint16_t *value)
{
    const uint8_t *p = take(in, 2);
    if (p)
        *value = load16(p);
    return p;
}

static bool take32(struct input *in, uint32_t *value)
{
    const uint8_t *p = take(in, 4);
    if (p)
        *value = load32(p);
    return p;
}

static int cut_short(struct adyton_attest_error *e, const char *what)
{
    return attest_fail(e, ADYTON_ATTEST_QUOTE_SIZE,
                       "the quote ends before %s is complete: was it cut off on its way?", what);
}

static int parse_header(struct input *in, struct adyton_quote_info *info, uint32_t *tee,
                        struct adyton_attest_error *e)
{
    const uint8_t *header = take(in, HEADER_SIZE);
    if (!header)
        return cut_short(e, "its header");
    info->version = load16(header);
    if (info->version < 3 || info->version > 5)
        return attest_fail(e, ADYTON_ATTEST_QUOTE_VERSION,
                           "quote version %u is not supported (3, 4 and 5 are): is this a quote?",
                           info->version);
    info->key_type = load16(header + 2);
    if (info->key_type != 2)
        return attest_fail(e, ADYTON_ATTEST_QUOTE_KEY_TYPE,
                           "attestation key type %u is not supported; only 2, ECDSA P-256, is",
                           info->key_type);
    *tee = load32(header + 4);
    if (*tee != TEE_SGX && (*tee != TEE_TDX || info->version == 3))
        return attest_fail(e, ADYTON_ATTEST_QUOTE_TEE_TYPE,
                           "TEE type 0x%x is not one of a version %u quote", *tee, info->version);
    if (info->version == 3) {
        info->qe_svn = load16(header + 8);
        info->pce_svn = load16(header + 10);
    }
    info->tee = *tee == TEE_TDX ? ADYTON_TEE_TDX : ADYTON_TEE_SGX;
    info->vendor_id = header + 12;
    info->user_data = header + 28;
    if (memcmp(info->vendor_id, intel_vendor, sizeof(intel_vendor)))
        return attest_fail(e, ADYTON_ATTEST_QUOTE_VENDOR,
                           "the quoting enclave's vendor id is not Intel's");
    return 0;
}

static void sgx_fields(struct adyton_quote_info *info, const uint8_t *body)
{
    info->cpu_svn = body + REPORT_CPU_SVN;
    info->misc_select = load32(body + REPORT_MISCSELECT);
    info->isv_ext_prod_id = body + REPORT_EXT_PRODID;
    info->attribute_flags = load64(body + REPORT_ATTRIBUTES);
    info->attribute_xfrm = load64(body + REPORT_ATTRIBUTES + 8);
    info->mrenclave = body + REPORT_MRENCLAVE;
    info->mrsigner = body + REPORT_MRSIGNER;
    info->config_id = body + REPORT_CONFIG_ID;
    info->isv_prod_id = load16(body + REPORT_PROD_ID);
    info->isv_svn = load16(body + REPORT_ISV_SVN);
    info->config_svn = load16(body + REPORT_CONFIG_SVN);
    info->isv_family_id = body + REPORT_FAMILY_ID;
    info->report_data = body + REPORT_DATA;
}

static void tdx_fields(struct adyton_quote_info *info, const uint8_t *body)
{
    info->tee_tcb_svn = body;
    info->mrseam = body + 16;
    info->mrsigner_seam = body + 64;
    info->seam_attributes = body + 112;
    info->td_attributes = body + 120;
    info->xfam = body + 128;
    info->mrtd = body + 136;
    info->mrconfigid = body + 184;
    info->mrowner = body + 232;
    info->mrownerconfig = body + 280;
    for (int i = 0; i < 4; i++)
        info->rtmr[i] = body + 328 + 48 * i;
    info->report_data = body + 520;
    if (info->body_type >= 3) {
        info->tee_tcb_svn2 = body + 584;
        info->mrservicetd = body + 600;
    }
}

static int parse_body(struct input *in, struct adyton_quote_info *info, uint32_t tee,
                      struct adyton_attest_error *e)
{
    static const uint16_t sizes[] = {[1] = REPORT_SIZE, [2] = 584, [3] = 648, [4] = 885};
    uint32_t size = 0;
    info->body_type = tee == TEE_TDX ? 2 : 1;
    if (info->version == 5) {
        if (!take16(in, &info->body_type) || !take32(in, &size))
            return cut_short(e, "the type and size of its body");
        if (info->body_type < 1 || info->body_type >= COUNT(sizes) ||
            size != sizes[info->body_type])
            return attest_fail(e, ADYTON_ATTEST_QUOTE_BODY,
                               "a body of type %u with %u bytes is not one of a version 5 quote",
                               info->body_type, size);
        if ((info->body_type == 1) != (tee == TEE_SGX))
            return attest_fail(e, ADYTON_ATTEST_QUOTE_BODY,
                               "body type %u does not go with TEE type 0x%x", info->body_type, tee);
    }
    info->body.size = sizes[info->body_type];
    info->body.data = take(in, info->body.size);
    if (!info->body.data)
        return cut_short(e, "its report body");
    if (tee == TEE_SGX)
        sgx_fields(info, info->body.data);
    else
        tdx_fields(info, info->body.data);
    return 0;
}

/* Report, signature, authentication data and certification data of the quoting enclave. */
static int parse_qe(struct input *in, struct adyton_quote_info *info, struct adyton_attest_error *e)
{
    uint16_t auth;
    uint32_t len;
    info->qe_report = take(in, REPORT_SIZE);
    info->qe_report_signature = take(in, 64);
    if (!info->qe_report || !info->qe_report_signature || !take16(in, &auth))
        return cut_short(e, "the report of the quoting enclave");
    info->qe_auth_data.size = auth;
    info->qe_auth_data.data = take(in, auth);
    if (!info->qe_auth_data.data)
        return cut_short(e, "the quoting enclave's authentication data");
    if (!take16(in, &info->certification_type) || !take32(in, &len) || len != in->left)
        return attest_fail(e, ADYTON_ATTEST_QUOTE_CERTIFICATION,
                           "the length of the certification data does not fit the quote");
    info->certification_data.data = in->at;
    info->certification_data.size = len;
    return 0;
}

/* Types 1 to 3 end with the PCE's id, which the first quotes had not. */
static int check_certification(const struct adyton_quote_info *info, struct adyton_attest_error *e)
{
    static const struct {
        size_t min, max;
    } sizes[] = {[1] = {34, 36},
                 [2] = {274, 276},
                 [3] = {402, 404},
                 [4] = {1, ADYTON_QUOTE_MAX},
                 [5] = {1, ADYTON_QUOTE_MAX},
                 [7] = {0, ADYTON_QUOTE_MAX}};
    unsigned type = info->certification_type;
    size_t size = info->certification_data.size;
    if (type >= COUNT(sizes) || !sizes[type].max)
        return attest_fail(e, ADYTON_ATTEST_QUOTE_CERTIFICATION_TYPE,
                           "certification data type %u is not supported%s", type,
                           type == 6 ? " at this place" : "");
    if (size < sizes[type].min || size > sizes[type].max)
        return attest_fail(e, ADYTON_ATTEST_QUOTE_CERTIFICATION,
                           "certification data of type %u cannot have %zu bytes", type, size);
    return 0;
}

static int parse_signature(struct input *in, struct adyton_quote_info *info,
                           struct adyton_attest_error *e)
{
    uint32_t len;
    uint16_t type = 6;
    if (!take32(in, &len))
        return cut_short(e, "the length of its signature data");
    const uint8_t *data = take(in, len);
    if (!data)
        return attest_fail(e, ADYTON_ATTEST_QUOTE_SIGNATURE_LENGTH,
                           "the signature data is said to have %u bytes, but the quote ends after "
                           "%zu: was it cut off on its way?",
                           len, in->left);
    struct input inner = {data, len};
    info->signature = take(&inner, 64);
    info->attestation_key = take(&inner, 64);
    if (!info->signature || !info->attestation_key)
        return cut_short(e, "the signature");
    if (info->version > 3) {
        uint32_t record;
        if (!take16(&inner, &type) || !take32(&inner, &record))
            return cut_short(e, "the certification record");
        if (type != 6)
            return attest_fail(e, ADYTON_ATTEST_QUOTE_CERTIFICATION_TYPE,
                               "a version %u quote must have a certification record of type 6, "
                               "this one has %u",
                               info->version, type);
        if (record != inner.left)
            return attest_fail(e, ADYTON_ATTEST_QUOTE_CERTIFICATION,
                               "the length of the certification record does not fit the quote");
    }
    int err = parse_qe(&inner, info, e);
    return err ? err : check_certification(info, e);
}

static int parse(adyton_quote *quote, struct adyton_attest_error *e)
{
    struct adyton_quote_info *info = &quote->info;
    struct input in = {quote->bytes, quote->size};
    uint32_t tee = 0;
    int err = parse_header(&in, info, &tee, e);
    if (!err)
        err = parse_body(&in, info, tee, e);
    if (!err) {
        info->signed_part.data = quote->bytes;
        info->signed_part.size = quote->size - in.left;
        err = parse_signature(&in, info, e);
    }
    if (!err) {
        info->size = quote->size - in.left;
        info->trailing = in.left;
        info->trailing_not_zero = !all_zero(in.at, in.left);
    }
    return err;
}

int adyton_quote_parse(const void *data, size_t size, adyton_quote **quote,
                       struct adyton_attest_error *error)
{
    if (!data || !quote)
        return attest_fail(error, ADYTON_ATTEST_INVALID_ARGUMENT, "no quote was passed");
    *quote = NULL;
    if (size > ADYTON_QUOTE_MAX)
        return attest_fail(error, ADYTON_ATTEST_QUOTE_SIZE,
                           "%zu bytes are too many for a quote; at most %u are read", size,
                           ADYTON_QUOTE_MAX);
    adyton_quote *q = calloc(1, sizeof(*q) + size);
    if (!q)
        return attest_no_memory(error);
    atomic_init(&q->references, 1);
    q->size = size;
    memcpy(q->bytes, data, size);
    int err = parse(q, error);
    if (err)
        adyton_quote_free(q);
    else
        *quote = q;
    return err;
}

adyton_quote *attest_quote_hold(const adyton_quote *quote)
{
    adyton_quote *q = (adyton_quote *)quote;
    atomic_fetch_add(&q->references, 1);
    return q;
}

void adyton_quote_free(adyton_quote *quote)
{
    if (!quote || atomic_fetch_sub(&quote->references, 1) > 1)
        return;
    free(quote->claims);
    free(quote);
}

const struct adyton_quote_info *adyton_quote_get_info(const adyton_quote *quote)
{
    return &quote->info;
}

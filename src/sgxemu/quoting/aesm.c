/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgxemu/quoting/aesm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aesm.pb-c.h"

/* Offsets in an attestation key id. */
enum { ID_ID = 0, ID_VERSION = 2, ID_SIGNER_SIZE = 4, ID_SIGNER = 6, ID_ALGORITHM = 154 };

static const uint8_t intel_qe_mrsigner[32] = {
    0x8c, 0x4f, 0x57, 0x75, 0xd7, 0x96, 0x50, 0x3e, 0x96, 0x13, 0x7f, 0x77, 0xc6, 0x8a, 0x82, 0x9a,
    0x00, 0x56, 0xac, 0x8d, 0xed, 0x70, 0x14, 0x0b, 0x08, 0x1b, 0x09, 0x44, 0x90, 0xc5, 0x7b, 0xff};

static uint32_t word(const uint8_t *at, size_t len)
{
    uint32_t value = 0;
    for (size_t i = 0; i < len; i++)
        value |= (uint32_t)at[i] << 8 * i;
    return value;
}

static void make_key_id(uint8_t id[TEST_ATT_KEY_ID])
{
    memset(id, 0, TEST_ATT_KEY_ID);
    id[ID_SIGNER_SIZE] = 32;
    memcpy(id + ID_SIGNER, intel_qe_mrsigner, 32);
    id[54] = 1; /* product */
    id[ID_ALGORITHM] = 2;
}

/* Programs ask for Intel's quoting enclave by its signer; ours stands in for it. */
static bool known_key(bool given, const ProtobufCBinaryData *id)
{
    uint8_t signer[32];
    test_qe_mrsigner(signer);
    if (!given || id->len == 0)
        return true;
    if (id->len < TEST_ATT_KEY_ID || word(id->data + ID_ID, 2) || word(id->data + ID_VERSION, 2) ||
        word(id->data + ID_SIGNER_SIZE, 2) != 32 || word(id->data + ID_ALGORITHM, 4) != 2)
        return false;
    return !memcmp(id->data + ID_SIGNER, intel_qe_mrsigner, 32) ||
           !memcmp(id->data + ID_SIGNER, signer, 32);
}

static void pack(const Aesm__Response *response, struct reply *reply)
{
    size_t size = aesm__response__get_packed_size(response);
    reply->data = malloc(4 + size);
    if (!reply->data)
        return;
    for (int i = 0; i < 4; i++)
        reply->data[i] = (uint8_t)(size >> 8 * i);
    aesm__response__pack(response, reply->data + 4);
    reply->size = 4 + size;
}

static void init_quote(const struct test_platform *p, const Aesm__Request__InitQuoteEx *q,
                       Aesm__Response *response, struct reply *reply)
{
    Aesm__Response__InitQuoteEx m = AESM__RESPONSE__INIT_QUOTE_EX__INIT;
    struct sgx_targetinfo target;
    uint8_t id[32];
    response->init_quote_ex = &m;
    test_qe_target(p, &target);
    if (!known_key(q->has_att_key_id, &q->att_key_id)) {
        m.error = AESM_UNSUPPORTED_ATT_KEY_ID;
    } else if (q->need_pub_key_id && q->buf_size < sizeof(id)) {
        m.error = AESM_PARAMETER;
    } else if (!test_qe_key_id(p, id)) {
        m.error = AESM_UNEXPECTED;
    } else {
        m.has_target_info = true;
        m.target_info = (ProtobufCBinaryData){sizeof(target), (uint8_t *)&target};
        m.has_pub_key_id_size = true;
        m.pub_key_id_size = sizeof(id);
        m.has_pub_key_id = q->need_pub_key_id;
        m.pub_key_id = (ProtobufCBinaryData){sizeof(id), id};
    }
    pack(response, reply);
}

static void get_quote_size(const struct test_platform *p, const Aesm__Request__GetQuoteSizeEx *q,
                           Aesm__Response *response, struct reply *reply)
{
    Aesm__Response__GetQuoteSizeEx m = AESM__RESPONSE__GET_QUOTE_SIZE_EX__INIT;
    response->get_quote_size_ex = &m;
    m.quote_size = (uint32_t)test_quote_size(p);
    if (!known_key(q->has_att_key_id, &q->att_key_id))
        m.error = AESM_UNSUPPORTED_ATT_KEY_ID;
    else if (!m.quote_size)
        m.error = AESM_UNEXPECTED;
    m.has_quote_size = !m.error;
    pack(response, reply);
}

/* The quote padded to the size of the caller's buffer, as the protocol has it. */
static uint32_t make_quote(const struct test_platform *p, const Aesm__Request__GetQuoteEx *q,
                           uint8_t **quote)
{
    struct sgx_report report;
    size_t size = 0;
    bool genuine;
    *quote = NULL;
    if (!known_key(q->has_att_key_id, &q->att_key_id))
        return AESM_UNSUPPORTED_ATT_KEY_ID;
    if (!q->has_report || q->report.len != sizeof(report) || q->buf_size > TEST_QUOTE_MAX ||
        q->buf_size < test_quote_size(p) || (q->has_qe_report_info && q->qe_report_info.len))
        return AESM_PARAMETER;
    memcpy(&report, q->report.data, sizeof(report));
    uint8_t *made = test_quote(p, &report, &size, &genuine);
    if (!made)
        return genuine ? AESM_UNEXPECTED : AESM_INVALID_REPORT;
    *quote = calloc(1, q->buf_size);
    if (*quote && size <= q->buf_size)
        memcpy(*quote, made, size);
    free(made);
    return *quote && size <= q->buf_size ? AESM_SUCCESS : AESM_UNEXPECTED;
}

static void get_quote(const struct test_platform *p, const Aesm__Request__GetQuoteEx *q,
                      Aesm__Response *response, struct reply *reply)
{
    Aesm__Response__GetQuoteEx m = AESM__RESPONSE__GET_QUOTE_EX__INIT;
    uint8_t *quote;
    response->get_quote_ex = &m;
    m.error = make_quote(p, q, &quote);
    m.has_quote = !m.error;
    m.quote = (ProtobufCBinaryData){m.error ? 0 : q->buf_size, quote};
    pack(response, reply);
    free(quote);
}

static void select_key(const Aesm__Request__SelectAttKeyID *q, Aesm__Response *response,
                       struct reply *reply)
{
    Aesm__Response__SelectAttKeyID m = AESM__RESPONSE__SELECT_ATT_KEY_ID__INIT;
    uint8_t id[TEST_ATT_KEY_ID];
    make_key_id(id);
    response->select_att_key_id = &m;
    m.error = q->has_att_key_id_list && q->att_key_id_list.len ? AESM_SUCCESS : AESM_PARAMETER;
    m.has_selected = !m.error;
    m.selected = (ProtobufCBinaryData){sizeof(id), id};
    pack(response, reply);
}

static void count_keys(Aesm__Response *response, struct reply *reply)
{
    Aesm__Response__GetSupportedAttKeyIDNum m = AESM__RESPONSE__GET_SUPPORTED_ATT_KEY_IDNUM__INIT;
    response->get_supported_num = &m;
    m.has_number = true;
    m.number = 1;
    pack(response, reply);
}

static void list_keys(const Aesm__Request__GetSupportedAttKeyIDs *q, Aesm__Response *response,
                      struct reply *reply)
{
    Aesm__Response__GetSupportedAttKeyIDs m = AESM__RESPONSE__GET_SUPPORTED_ATT_KEY_IDS__INIT;
    uint8_t id[TEST_ATT_KEY_ID];
    make_key_id(id);
    response->get_supported_ids = &m;
    m.error = q->has_buf_size && q->buf_size < sizeof(id) ? AESM_PARAMETER : AESM_SUCCESS;
    m.has_ids = !m.error;
    m.ids = (ProtobufCBinaryData){sizeof(id), id};
    pack(response, reply);
}

static void answer(void *context, const uint8_t *request, size_t size, struct reply *reply)
{
    const struct test_platform *p = context;
    Aesm__Response response = AESM__RESPONSE__INIT;
    Aesm__Request *q = aesm__request__unpack(NULL, size - 4, request + 4);
    if (!q)
        return; /* no message: the peer is hung up on */
    if (q->init_quote_ex) {
        init_quote(p, q->init_quote_ex, &response, reply);
    } else if (q->get_quote_size_ex) {
        get_quote_size(p, q->get_quote_size_ex, &response, reply);
    } else if (q->get_quote_ex) {
        get_quote(p, q->get_quote_ex, &response, reply);
    } else if (q->select_att_key_id) {
        select_key(q->select_att_key_id, &response, reply);
    } else if (q->get_supported_num) {
        count_keys(&response, reply);
    } else if (q->get_supported_ids) {
        list_keys(q->get_supported_ids, &response, reply);
    } else {
        Aesm__Response__UnsupportedRequest m = AESM__RESPONSE__UNSUPPORTED_REQUEST__INIT;
        response.unsupported = &m;
        pack(&response, reply);
    }
    aesm__request__free_unpacked(q, NULL);
}

static ssize_t length(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    uint32_t len = word(data, 4);
    return len > AESM_REQUEST_MAX - 4 ? -1 : (ssize_t)len + 4;
}

static bool welcome(void *context, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) &&
           (peer.uid == geteuid() || peer.uid == 0);
}

const struct service aesm_service = {
    .request_max = AESM_REQUEST_MAX,
    .deadline_ms = 10000,
    .length = length,
    .answer = answer,
    .welcome = welcome,
};

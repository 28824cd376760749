/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Hostile requests to the quoting service and the test platform's PCCS. Byte 0 of the input chooses
 * the request; then follow edits of 4 bytes each to a good one: kind, offset (2, little-endian),
 * value. Answers must be whole, and a quote may only come of a report that is as the device made
 * it.
 *
 * With clang a libFuzzer target; otherwise a program that makes its own inputs for N seconds.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "aesm.pb-c.h"
#include "sgxemu/quoting/aesm.h"
#include "sgxemu/quoting/pccs.h"

enum { INIT, SIZE, QUOTE, SELECT, IDS, AESM_WHATS, HTTP = AESM_WHATS, WHATS = HTTP + 8 };
#define ROOM 20000

static const char *const targets[WHATS - HTTP] = {
    "tcb?fmspc=AD7E57000001&update=standard",
    "qe/identity?update=early",
    "pckcrl?ca=platform&encoding=der",
    "pckcrl?ca=processor",
    "rootcacrl",
    "pckcert?qeid=00000000000000000000000000000000&encrypted_ppid=&pceid=0000",
    "crl?uri=https://test-platform.adyton.invalid/root.crl",
    "fmspcs",
};

static struct test_platform *platform;
static struct pccs pccs;
static struct sgx_report report;
static struct base {
    uint8_t data[2048];
    size_t size;
} bases[WHATS];
static unsigned long answered[WHATS], quotes;

static void require(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "quoting_fuzz: %s\n", what);
    abort();
}

static void keep(int what, const Aesm__Request *q)
{
    size_t size = aesm__request__pack(q, bases[what].data + 4);
    require(size == aesm__request__get_packed_size(q) && size < 2000, "a request is too large");
    memcpy(bases[what].data, &(uint32_t){(uint32_t)size}, 4);
    bases[what].size = size + 4;
}

static void make_requests(void)
{
    uint8_t id[256] = {[4] = 32, [54] = 1, [154] = 2};
    ProtobufCBinaryData key = {sizeof(id), id};
    Aesm__Request q = AESM__REQUEST__INIT;
    Aesm__Request__InitQuoteEx init = AESM__REQUEST__INIT_QUOTE_EX__INIT;
    Aesm__Request__GetQuoteSizeEx size = AESM__REQUEST__GET_QUOTE_SIZE_EX__INIT;
    Aesm__Request__GetQuoteEx quote = AESM__REQUEST__GET_QUOTE_EX__INIT;
    Aesm__Request__SelectAttKeyID select = AESM__REQUEST__SELECT_ATT_KEY_ID__INIT;
    Aesm__Request__GetSupportedAttKeyIDs ids = AESM__REQUEST__GET_SUPPORTED_ATT_KEY_IDS__INIT;
    test_qe_mrsigner(id + 6);
    init.has_att_key_id = size.has_att_key_id = quote.has_att_key_id = true;
    init.att_key_id = size.att_key_id = quote.att_key_id = key;
    init.has_need_pub_key_id = init.need_pub_key_id = init.has_buf_size = true;
    init.buf_size = 32;
    q.init_quote_ex = &init;
    keep(INIT, &q);
    q = (Aesm__Request)AESM__REQUEST__INIT;
    q.get_quote_size_ex = &size;
    keep(SIZE, &q);
    q = (Aesm__Request)AESM__REQUEST__INIT;
    quote.has_report = quote.has_buf_size = true;
    quote.report = (ProtobufCBinaryData){sizeof(report), (uint8_t *)&report};
    quote.buf_size = TEST_QUOTE_MAX;
    q.get_quote_ex = &quote;
    keep(QUOTE, &q);
    q = (Aesm__Request)AESM__REQUEST__INIT;
    select.has_att_key_id_list = true;
    select.att_key_id_list = key;
    q.select_att_key_id = &select;
    keep(SELECT, &q);
    q = (Aesm__Request)AESM__REQUEST__INIT;
    ids.has_buf_size = true;
    ids.buf_size = 158;
    q.get_supported_ids = &ids;
    keep(IDS, &q);
    for (int i = HTTP; i < WHATS; i++)
        bases[i].size =
            (size_t)snprintf((char *)bases[i].data, sizeof(bases[i].data),
                             "GET /sgx/certification/v%d/%s HTTP/1.1\r\nHost: x\r\n\r\n", 3 + i % 2,
                             targets[i - HTTP]);
}

static void prepare(void)
{
    char dir[] = "/tmp/quoting-fuzz-XXXXXX", fuses[64], where[64];
    struct quoting_error e = {""};
    struct sgx_targetinfo target;
    require(mkdtemp(dir), "there is no place for a test platform");
    snprintf(fuses, sizeof(fuses), "%s/fuses", dir);
    snprintf(where, sizeof(where), "%s/platform", dir);
    require(!quoting_write(fuses, targets[5], SGX_FUSES_SIZE), "cannot write");
    int r = test_platform_open(where, fuses, true, &platform, &e);
    quoting_remove(dir);
    require(!r, e.text);
    pccs.platform = platform;
    report.attributes.flags = SGX_FLAG_INIT | SGX_FLAG_MODE64BIT;
    memset(report.report_data, 0x5a, sizeof(report.report_data));
    test_qe_target(platform, &target);
    test_report_seal(platform, &target, &report);
    make_requests();
}

/* The answer to a request of AESM: well-formed, and with a quote for the genuine report only. */
static void check_aesm(const uint8_t *request, size_t size, const struct reply *reply)
{
    uint32_t len;
    memcpy(&len, reply->data, 4);
    require(reply->size == len + 4ull, "the length of an answer is wrong");
    Aesm__Response *r = aesm__response__unpack(NULL, len, reply->data + 4);
    require(r, "an answer is malformed");
    if (r->get_quote_ex && !r->get_quote_ex->error) {
        require(r->get_quote_ex->has_quote &&
                    !memcmp(r->get_quote_ex->quote.data + 48, &report, SGX_REPORT_BODY_SIZE) &&
                    memmem(request, size, &report, sizeof(report)),
                "a quote for a report that was never made");
        quotes++;
    }
    aesm__response__free_unpacked(r, NULL);
}

static void check_http(const struct reply *reply)
{
    const uint8_t *end = memmem(reply->data, reply->size, "\r\n\r\n", 4);
    const uint8_t *at = memmem(reply->data, reply->size, "Content-Length: ", 16);
    require(!memcmp(reply->data, "HTTP/1.1 ", 9) && end && at && at < end && reply->close,
            "an answer is no HTTP");
    require(strtoul((const char *)at + 16, NULL, 10) ==
                reply->size - (size_t)(end + 4 - reply->data),
            "the length of an HTTP answer is wrong");
}

static void edit(uint8_t *data, size_t *size, const uint8_t e[4])
{
    size_t at = (size_t)(e[1] | e[2] << 8) % (*size + 1);
    if (e[0] % 4 == 0) { /* cut */
        *size = at;
    } else if (e[0] % 4 == 1 && *size < ROOM) { /* put in */
        memmove(data + at + 1, data + at, *size - at);
        data[at] = e[3];
        (*size)++;
    } else if (e[0] % 4 == 2 && *size + 64 < ROOM) { /* repeat */
        size_t n = *size - at < 64 ? *size - at : 64;
        memmove(data + at + n, data + at, *size - at);
        *size += n;
    } else if (at < *size) {
        data[at] ^= (uint8_t)(e[0] & 8 ? e[3] : 1 << (e[3] & 7));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    static uint8_t work[ROOM + 64];
    if (!platform)
        prepare();
    if (!len)
        return 0;
    const int what = input[0] % WHATS;
    const struct service *s = what < HTTP ? &aesm_service : &pccs_service;
    size_t size = bases[what].size;
    memcpy(work, bases[what].data, size);
    for (size_t i = 1; i + 4 <= len; i += 4)
        edit(work, &size, input + i);
    /* The frame is right more often than not: what is in it matters more. */
    if (what < HTTP && size > 4 && !(input[0] & 0x80))
        memcpy(work, &(uint32_t){(uint32_t)size - 4}, 4);
    uint8_t *exact = malloc(size ? size : 1);
    require(exact, "memory is out");
    memcpy(exact, work, size);
    ssize_t whole = size ? s->length(exact, size) : 0;
    if (whole > 0 && (size_t)whole <= size && (size_t)whole <= s->request_max) {
        struct reply reply = {0};
        s->answer(what < HTTP ? (void *)platform : &pccs, exact, (size_t)whole, &reply);
        if (reply.data && what < HTTP)
            check_aesm(exact, (size_t)whole, &reply);
        else if (reply.data)
            check_http(&reply);
        answered[what] += reply.data != NULL;
        free(reply.data);
    }
    free(exact);
    return 0;
}

#ifdef FUZZ_STANDALONE
int main(int argc, char **argv)
{
    uint64_t x = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 3);
    unsigned long runs = 0, silent = 0;
    for (; time(NULL) < end; runs++) {
        uint8_t input[1 + 4 * 5];
        for (size_t i = 0; i < sizeof(input); i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            input[i] = (uint8_t)(x >> 56);
        }
        LLVMFuzzerTestOneInput(input, 1 + 4 * (runs % 6));
    }
    for (int i = 0; i < WHATS; i++)
        silent += !answered[i];
    test_documents_free(&pccs.documents);
    test_platform_close(platform);
    printf("%lu inputs, %lu quotes; %lu kinds of request without an answer\n", runs, quotes,
           silent);
    return silent != 0 || !quotes;
}
#endif

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The machine's quoting service: a request and its answer over a UNIX socket, each a length and a
 * protobuf message with one message in it. Fields: attestation interface of Intel's AESM.
 */
#include "sgx/runtime/runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ABSTRACT   "sgx_aesm_socket_base"
#define FILE_NAME  "/var/run/aesmd/aesm.socket"
#define QUOTE_SIZE 8192
#define KEY_ID     256
#define SECONDS    30

enum { INIT_QUOTE_EX = 15, GET_QUOTE_EX = 17 };

struct message {
    uint8_t data[QUOTE_SIZE + 2048];
    size_t len;
};

/* A message that is read. */
struct reader {
    const uint8_t *at, *end;
    bool broken;
};

static void put_varint(struct message *m, uint64_t v)
{
    for (; v > 127; v >>= 7)
        m->data[m->len++] = (uint8_t)(v | 128);
    m->data[m->len++] = (uint8_t)v;
}

static void put_number(struct message *m, unsigned field, uint64_t v)
{
    put_varint(m, field << 3);
    put_varint(m, v);
}

static void put_bytes(struct message *m, unsigned field, const void *p, size_t n)
{
    put_varint(m, field << 3 | 2);
    put_varint(m, n);
    memcpy(m->data + m->len, p, n);
    m->len += n;
}

static uint64_t get_varint(struct reader *r)
{
    uint64_t v = 0;
    for (int shift = 0; r->at < r->end && shift < 64; shift += 7) {
        uint8_t byte = *r->at++;
        v |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128))
            return v;
    }
    r->broken = true;
    return 0;
}

/* The next field: its number, 0 at the end. Bytes come as `part`, numbers as `value`. */
static unsigned get_field(struct reader *r, uint64_t *value, struct reader *part)
{
    if (r->broken || r->at == r->end)
        return 0;
    uint64_t tag = get_varint(r), v = get_varint(r);
    unsigned kind = tag & 7;
    *value = v;
    if (r->broken || (kind != 0 && kind != 2) || (kind == 2 && v > (uint64_t)(r->end - r->at))) {
        r->broken = true;
        return 0;
    }
    *part = (struct reader){.at = r->at, .end = r->at + (kind == 2 ? v : 0)};
    r->at = part->end;
    return (unsigned)(tag >> 3);
}

static int reach(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = SECONDS};
    memcpy(a.sun_path + 1, ABSTRACT, sizeof(ABSTRACT) - 1);
    for (int i = 0; i < 2; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return -errno;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
            return fd;
        close(fd);
        memset(a.sun_path, 0, sizeof(a.sun_path));
        strcpy(a.sun_path, FILE_NAME);
    }
    fprintf(stderr, "error: no quoting service: neither the socket @" ABSTRACT " nor " FILE_NAME
                    " answers; install and start aesmd (package sgx-aesm-service)\n");
    return -ECONNREFUSED;
}

static bool transfer(int fd, uint8_t *p, size_t n, bool out)
{
    while (n) {
        ssize_t r = out ? send(fd, p, n, MSG_NOSIGNAL) : recv(fd, p, n, 0);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return false;
        p += r;
        n -= (size_t)r;
    }
    return true;
}

/* Sends `inner` as message `number` and leaves the answer's inner message in `r`, over `m`. */
static long exchange(struct message *m, unsigned number, const struct message *inner,
                     struct reader *r)
{
    uint32_t size;
    uint64_t value;
    int fd = reach();
    if (fd < 0)
        return fd;
    m->len = 0;
    put_bytes(m, number, inner->data, inner->len);
    size = (uint32_t)m->len;
    bool ok = transfer(fd, (uint8_t *)&size, 4, true) && transfer(fd, m->data, size, true) &&
              transfer(fd, (uint8_t *)&size, 4, false) && size <= sizeof(m->data) &&
              transfer(fd, m->data, size, false);
    close(fd);
    struct reader whole = {.at = m->data, .end = m->data + size};
    if (ok && get_field(&whole, &value, r) == number)
        return 0;
    fprintf(stderr, "error: the quoting service broke off, or answered what is no answer\n");
    return -EPROTO;
}

static long explain(uint64_t error)
{
    static const struct {
        unsigned error;
        const char *why;
    } known[] = {{2, "it finds no SGX device"},
                 {12, "it does not get through to the provisioning service: network or proxy"},
                 {30, "it is unavailable: is aesmd running?"},
                 {31, "it does not recognise the platform"},
                 {44, "there is no certification data: is this machine registered with its PCCS?"},
                 {47, "it takes the report for none of this machine"}};
    const char *why = "see the list of AESM's errors";
    if (error == SGX_AESM_NO_KEY)
        return SGX_AESM_NO_KEY;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (known[i].error == error)
            why = known[i].why;
    fprintf(stderr, "error: the quoting service gives no quote: error %llu, %s\n",
            (unsigned long long)error, why);
    return -EACCES;
}

/* Reads error (1) and the bytes of `field` from an answer into `to`. */
static long take_answer(struct reader *r, unsigned field, void *to, size_t size)
{
    uint64_t value, error = 0;
    struct reader part;
    bool found = false;
    memset(to, 0, size);
    for (unsigned f; (f = get_field(r, &value, &part));) {
        if (f == 1)
            error = value;
        size_t n = (size_t)(part.end - part.at);
        if (f == field && n && n <= size) {
            memcpy(to, part.at, n);
            found = true;
        }
    }
    if (error)
        return explain(error);
    if (found && !r->broken)
        return 0;
    fprintf(stderr, "error: the quoting service broke off, or answered what is no answer\n");
    return -EPROTO;
}

/* Which key is asked for: ECDSA P-256 of Intel's quoting enclave. */
static void put_key_id(struct message *m, unsigned field)
{
    static const uint8_t signer[32] = {0x8c, 0x4f, 0x57, 0x75, 0xd7, 0x96, 0x50, 0x3e,
                                       0x96, 0x13, 0x7f, 0x77, 0xc6, 0x8a, 0x82, 0x9a,
                                       0x00, 0x56, 0xac, 0x8d, 0xed, 0x70, 0x14, 0x0b,
                                       0x08, 0x1b, 0x09, 0x44, 0x90, 0xc5, 0x7b, 0xff};
    uint8_t id[KEY_ID] = {0};
    id[4] = sizeof(signer);
    memcpy(id + 6, signer, sizeof(signer));
    id[54] = 1;  /* product */
    id[154] = 2; /* algorithm */
    put_bytes(m, field, id, sizeof(id));
}

long aesm_target(struct sgx_targetinfo *target)
{
    struct message m, q = {.len = 0};
    struct reader r;
    put_key_id(&q, 1);
    put_number(&q, 3, 1);  /* the public key's id, too, */
    put_number(&q, 4, 32); /* of this size */
    long err = exchange(&m, INIT_QUOTE_EX, &q, &r);
    return err ? err : take_answer(&r, 2, target, sizeof(*target));
}

long aesm_quote(const struct sgx_report *report, uint8_t quote[QUOTE_SIZE])
{
    struct message m, q = {.len = 0};
    struct reader r;
    put_bytes(&q, 1, report, sizeof(*report));
    put_key_id(&q, 2);
    put_number(&q, 4, QUOTE_SIZE);
    long err = exchange(&m, GET_QUOTE_EX, &q, &r);
    return err ? err : take_answer(&r, 2, quote, QUOTE_SIZE);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The channel between two enclaves: who may open one, and what a host in between cannot do. Reports
 * are made by a machine of the test's own, with a secret that only it knows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "crypto/crypto.h"
#include "platform/sgx/channel.h"

#define HANDSHAKE (32 + sizeof(struct sgx_report)) /* bytes in each direction */

struct enclave {
    struct sgx_report identity; /* its body */
    uint8_t machine;
    bool credulous; /* checks nothing */
    int fd;
};

static void seal(uint8_t machine, const struct sgx_report *target, const struct sgx_report *r,
                 uint8_t mac[16])
{
    uint8_t digest[32];
    struct sha256 h;
    sha256_init(&h);
    sha256_update(&h, &machine, 1);
    sha256_update(&h, target->mrenclave, sizeof(target->mrenclave));
    sha256_update(&h, &target->attributes, sizeof(target->attributes));
    sha256_update(&h, r, sizeof(*r) - sizeof(r->mac));
    sha256_final(&h, digest);
    memcpy(mac, digest, 16);
}

static bool way_send(void *arg, const void *p, size_t n)
{
    const struct enclave *e = arg;
    return send(e->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool way_receive(void *arg, void *p, size_t n)
{
    const struct enclave *e = arg;
    return recv(e->fd, p, n, MSG_WAITALL) == (ssize_t)n;
}

static bool way_random(void *arg, void *p, size_t n)
{
    (void)arg;
    return getrandom(p, n, 0) == (ssize_t)n;
}

static void way_report(void *arg, const uint8_t data[64], struct sgx_report *report)
{
    const struct enclave *e = arg;
    *report = e->identity;
    memcpy(report->report_data, data, 64);
    seal(e->machine, &e->identity, report, report->mac);
}

static bool way_is_peer(void *arg, const struct sgx_report *report)
{
    const struct enclave *e = arg;
    struct sgx_report like = *report;
    uint8_t mac[16];
    seal(e->machine, &e->identity, report, mac);
    memcpy(like.report_data, e->identity.report_data, 64);
    return e->credulous ||
           (!memcmp(mac, report->mac, 16) && !memcmp(&like, &e->identity, SGX_REPORT_BODY_SIZE));
}

struct side {
    struct enclave enclave;
    struct channel_ways ways;
    struct channel channel;
    bool parent;
    int result;
    pthread_t thread;
};

static void *open_side(void *arg)
{
    struct side *s = arg;
    s->result = channel_open(&s->channel, s->parent, &s->ways);
    shutdown(s->enclave.fd, SHUT_WR);
    return NULL;
}

static void start(struct side *s, bool parent, int fd)
{
    s->enclave.fd = fd;
    s->parent = parent;
    s->ways = (struct channel_ways){way_send,   way_receive, way_random,
                                    way_report, way_is_peer, &s->enclave};
    assert_int_equal(pthread_create(&s->thread, NULL, open_side, s), 0);
}

static void finish(struct side *s)
{
    pthread_join(s->thread, NULL);
    close(s->enclave.fd);
}

static void meet(struct side *parent, struct side *child)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    start(parent, true, pair[0]);
    start(child, false, pair[1]);
    finish(parent);
    finish(child);
}

/* ---- records, in memory ---- */

static struct channel_buffer out, wire[4];
static size_t wire_len;

static bool keep(void *arg, const void *p, size_t n)
{
    (void)arg, (void)p;
    wire_len = n;
    return true;
}

static bool feed(void *arg, void *p, size_t n)
{
    const uint8_t **at = arg;
    memcpy(p, *at, n);
    *at += n;
    return true;
}

static void record(struct channel *c, int slot, uint32_t type, const char *text)
{
    static const struct channel_ways ways = {.send = keep};
    c->ways = &ways;
    assert_int_equal(channel_send(c, &out, type, type * 4096, text, (uint32_t)strlen(text)), 0);
    memcpy(&wire[slot], &out, wire_len);
}

/* What the receiver makes of the bytes in the slot. */
static int read_record(struct channel *c, int slot, struct channel_head *head, char *text)
{
    const uint8_t *at = (const uint8_t *)&wire[slot];
    struct channel_ways ways = {.receive = feed, .arg = &at};
    c->ways = &ways;
    memset(text, 0x55, CHANNEL_MOST);
    int err = channel_head(c, head);
    return err ? err : channel_content(c, head, text);
}

static char text[CHANNEL_MOST];

static void expect(struct channel *c, int slot, uint32_t type, const char *expected)
{
    struct channel_head head;
    assert_int_equal(read_record(c, slot, &head, text), 0);
    assert_int_equal(head.type, type);
    assert_int_equal(head.at, type * 4096);
    assert_int_equal(head.len, strlen(expected));
    assert_memory_equal(text, expected, head.len);
}

static void refuse(struct channel *c, int slot)
{
    struct channel copy = *c;
    struct channel_head head;
    static const uint8_t zeros[16];
    assert_int_equal(read_record(&copy, slot, &head, text), -EBADMSG);
    assert_false(copy.open);
    assert_memory_equal(copy.receive_key, zeros, 16);
    assert_int_equal(read_record(&copy, slot, &head, text), -EIO);
}

static void pair_of_three(struct side *p, struct side *c)
{
    memset(p, 0, sizeof(*p));
    memset(c, 0, sizeof(*c));
    meet(p, c);
    assert_int_equal(p->result, 0);
    assert_int_equal(c->result, 0);
    record(&p->channel, 0, 1, "the first");
    record(&p->channel, 1, 2, "the second");
    record(&p->channel, 2, 3, "");
}

static void in_order(void **state)
{
    struct side p, c;
    (void)state;
    pair_of_three(&p, &c);
    expect(&c.channel, 0, 1, "the first");
    expect(&c.channel, 1, 2, "the second");
    expect(&c.channel, 2, 3, "");
    record(&c.channel, 0, 7, "back");
    expect(&p.channel, 0, 7, "back");
    assert_null(memmem(&wire[1], sizeof(wire[1]), "the second", 10));
}

static void out_of_order(void **state)
{
    struct side p, c, others_p, others_c;
    (void)state;
    pair_of_three(&p, &c);
    refuse(&c.channel, 1); /* the first left out, or the two swapped */
    refuse(&c.channel, 2);
    refuse(&p.channel, 0); /* sent back */
    expect(&c.channel, 0, 1, "the first");
    refuse(&c.channel, 0); /* again */
    refuse(&c.channel, 2);
    pair_of_three(&others_p, &others_c);
    refuse(&c.channel, 1); /* the same record of another child */
    expect(&others_c.channel, 0, 1, "the first");
}

static void changed(void **state)
{
    struct side p, c;
    (void)state;
    pair_of_three(&p, &c);
    size_t whole = sizeof(struct channel_head) + strlen("the first") + 16;
    for (size_t bit = 0; bit < whole * 8; bit++) {
        ((uint8_t *)&wire[0])[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refuse(&c.channel, 0);
        ((uint8_t *)&wire[0])[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    wire[3].head = (struct channel_head){.type = 1, .len = CHANNEL_MOST + 1};
    refuse(&c.channel, 3);
    expect(&c.channel, 0, 1, "the first");
}

/* ---- who may open one ---- */

static void another(struct side *s, int what)
{
    struct sgx_report *r = &s->enclave.identity;
    switch (what) {
    case 0:
        r->mrenclave[31] ^= 1;
        break;
    case 1:
        r->attributes.flags ^= SGX_FLAG_DEBUG;
        break;
    case 2:
        r->attributes.xfrm ^= 4;
        break;
    case 3:
        r->mrsigner[0] ^= 1;
        break;
    case 4:
        r->isv_svn++;
        break;
    default:
        s->enclave.machine++;
    }
}

static void another_enclave(void **state)
{
    (void)state;
    for (int what = 0; what < 6; what++) {
        struct side p = {0}, c = {0};
        another(&c, what);
        meet(&p, &c);
        assert_int_equal(c.result, -EACCES);
        assert_int_equal(p.result, -EIO);
        assert_false(p.channel.open || c.channel.open);
        /* Nor when it does as if it believed. */
        c = p = (struct side){0};
        another(&c, what);
        c.enclave.credulous = true;
        meet(&p, &c);
        assert_int_equal(p.result, -EACCES);
        c = p = (struct side){0};
        another(&p, what);
        p.enclave.credulous = true;
        meet(&p, &c);
        assert_int_equal(c.result, -EACCES);
    }
}

struct relay {
    int from, to;
    size_t flip; /* bit of the stream */
    pthread_t thread;
};

static void *run_relay(void *arg)
{
    struct relay *r = arg;
    uint8_t bytes[256];
    ssize_t n;
    for (size_t at = 0; (n = recv(r->from, bytes, sizeof(bytes), 0)) > 0; at += (size_t)n) {
        if (r->flip / 8 >= at && r->flip / 8 < at + (size_t)n)
            bytes[r->flip / 8 - at] ^= (uint8_t)(1 << r->flip % 8);
        if (send(r->to, bytes, (size_t)n, MSG_NOSIGNAL) != n)
            break;
    }
    shutdown(r->to, SHUT_WR);
    return NULL;
}

static void meet_through(struct side *p, struct side *c, size_t down, size_t up)
{
    int a[2], b[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, a), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b), 0);
    struct relay to_child = {a[1], b[1], down, 0}, to_parent = {b[1], a[1], up, 0};
    pthread_create(&to_child.thread, NULL, run_relay, &to_child);
    pthread_create(&to_parent.thread, NULL, run_relay, &to_parent);
    start(p, true, a[0]);
    start(c, false, b[0]);
    finish(p);
    finish(c);
    pthread_join(to_child.thread, NULL);
    pthread_join(to_parent.thread, NULL);
    close(a[1]);
    close(b[1]);
}

static void changed_handshake(void **state)
{
    const size_t never = SIZE_MAX;
    struct side p = {0}, c = {0};
    (void)state;
    meet_through(&p, &c, never, never);
    assert_true(p.channel.open && c.channel.open);
    for (size_t byte = 0; byte < HANDSHAKE; byte += byte < 40 ? 1 : 5) {
        size_t bit = byte * 8 + byte % 8;
        p = c = (struct side){0};
        meet_through(&p, &c, bit, never);
        assert_false(p.channel.open || c.channel.open);
        p = c = (struct side){0};
        meet_through(&p, &c, never, bit);
        assert_false(p.channel.open);
    }
}

/* A host without an enclave sends back what it got. */
static void own_report(void **state)
{
    int pair[2];
    struct side p = {0};
    uint8_t bytes[HANDSHAKE] = {9};
    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    start(&p, true, pair[0]);
    assert_int_equal(send(pair[1], bytes, 32, 0), 32);
    assert_int_equal(recv(pair[1], bytes, HANDSHAKE, MSG_WAITALL), HANDSHAKE);
    assert_int_equal(send(pair[1], bytes + 32, HANDSHAKE - 32, 0), HANDSHAKE - 32);
    finish(&p);
    close(pair[1]);
    assert_int_equal(p.result, -EACCES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order),          cmocka_unit_test(out_of_order),
        cmocka_unit_test(changed),           cmocka_unit_test(another_enclave),
        cmocka_unit_test(changed_handshake), cmocka_unit_test(own_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a host may say about sockets, and what none says: addresses, control data, values of
 * options, lengths (host/host_net.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/host_net.h"
#include "libos/net/net.h"
#include "platform/test/mock.h"
#include "platform/test/world.h"
#include <asm/socket.h>

/* The answer to the next call. */
static struct address said;
static struct msg said_message;
static const void *said_control;
static size_t said_control_len;
static int said_value, said_len;
static long said_result;

static long answer(long nr, const long a[6], long r)
{
    (void)r;
    struct msg *m = (void *)a[1];
    switch (nr) {
    case __NR_accept4:
    case __NR_getsockname:
        memcpy((void *)a[1], &said.at, sizeof(said.at));
        *(uint32_t *)a[2] = said.len;
        return said_result;
    case __NR_recvmsg:
        if (m->name)
            memcpy(m->name, &said.at, sizeof(said.at));
        if (said_control)
            memcpy(m->control, said_control, said_control_len);
        m->name_len = said_message.name_len;
        m->control_len = said_message.control_len;
        m->flags = said_message.flags;
        return said_result;
    case __NR_getsockopt:
        memcpy((void *)a[3], &said_value, sizeof(said_value));
        *(int *)a[4] = said_len;
        return said_result;
    }
    return r;
}

static void say(uint16_t family, uint32_t len, long result)
{
    said = (struct address){.len = len};
    said.at.ss_family = family;
    said_message = (struct msg){.name_len = (int)len};
    said_result = result;
}

static void test_addresses(void **state)
{
    static const struct {
        uint16_t family;
        uint32_t len;
        bool good;
    } cases[] = {
        {AF_INET, 16, true},
        {AF_INET, 15, false},
        {AF_INET, 17, false},
        {AF_INET, 200, false},
        {AF_INET6, 28, true},
        {AF_INET6, 27, false},
        {AF_UNIX, 2, true},
        {AF_UNIX, 110, true},
        {AF_UNIX, 111, true},
        {AF_UNIX, 112, false},
        {AF_UNIX, UINT32_MAX, false},
        {AF_NETLINK, 12, true},
        {AF_NETLINK, 8, false},
        {17, 20, false},
        {0, 0, true},
        {AF_INET, 1, false},
        {0, 2, false},
    };
    char buf[16];
    struct address a;
    (void)state;
    mock_spoil(answer);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        say(cases[i].family, cases[i].len, 0);
        assert_int_equal(host_socket_name(5, false, &a), cases[i].good ? 0 : -EIO);
        said_result = 4;
        assert_int_equal(host_recvfrom(5, buf, sizeof(buf), 0, &a), cases[i].good ? 4 : -EIO);
    }
    say(AF_UNIX, 2, 17);
    assert_int_equal(host_recvfrom(5, buf, sizeof(buf), 0, &a), -EIO);
    assert_int_equal(host_recvfrom(5, buf, sizeof(buf), 0x20, &a), 17); /* MSG_TRUNC: the whole */
    said_result = 1L << 32;
    assert_int_equal(host_recvfrom(5, buf, sizeof(buf), 0x20, &a), -EIO);
    assert_int_equal(host_accept(5, 0, &a), -EIO);
    said_result = -5000;
    assert_int_equal(host_accept(5, 0, &a), -EIO);
    said_result = -513; /* ERESTARTNOINTR is nobody's but ours */
    assert_int_equal(host_recvfrom(5, buf, sizeof(buf), 0, &a), -EIO);
    mock_spoil(NULL);
}

static ssize receive(size_t control_room, size_t control_len, int name_len)
{
    char buf[16], control[256] = {0};
    struct address from;
    struct iovec iov = {buf, sizeof(buf)};
    struct msg m = {.name = &from,
                    .name_len = sizeof(from.at),
                    .iov = &iov,
                    .iov_len = 1,
                    .control = control,
                    .control_len = control_room};
    said_message = (struct msg){.name_len = name_len, .control_len = control_len, .flags = 0x20};
    ssize r = host_recvmsg(5, &m, 0);
    if (r >= 0) {
        assert_ptr_equal(m.control, control);
        assert_ptr_equal(m.iov, &iov);
        assert_true(m.control_len <= control_room);
    }
    return r;
}

static void test_messages(void **state)
{
    struct {
        struct cmsg c;
        int fd[4];
    } control = {{20, 1, 1}, {7}};
    (void)state;
    mock_spoil(answer);
    say(AF_UNIX, 0, 5);
    assert_int_equal(receive(64, 0, 2), 5);
    assert_int_equal(receive(64, 0, 200), -EIO); /* a longer name than there was room for */
    assert_int_equal(receive(64, 0, -1), -EIO);
    said_control = &control;
    said_control_len = sizeof(control);
    assert_int_equal(receive(64, 24, 2), 5);
    assert_int_equal(receive(64, 65, 2), -EIO); /* more control data than room */
    assert_int_equal(receive(64, SIZE_MAX, 2), -EIO);
    control.c.len = 25; /* a header that says more than there is */
    assert_int_equal(receive(64, 24, 2), -EIO);
    control.c.len = 15;
    assert_int_equal(receive(64, 24, 2), -EIO);
    control.c.len = SIZE_MAX;
    assert_int_equal(receive(64, 24, 2), -EIO);
    said_result = 17; /* more than the buffers hold */
    control.c.len = 20;
    assert_int_equal(receive(64, 24, 2), -EIO);
    said_control = NULL;
    mock_spoil(NULL);
}

static int option(int level, int name, int room)
{
    char value[MOST_OPTION_BYTES];
    int len = room, err = host_option_get(5, level, name, value, &len);
    assert_true(err || (len >= 0 && len <= MAX(room, 0)));
    return err;
}

static void test_options(void **state)
{
    struct ucred_k cred;
    (void)state;
    mock_spoil(answer);
    say(0, 0, 0);
    said_value = 1, said_len = 4;
    assert_int_equal(option(SOL_SOCKET, SO_TYPE, 4), 0);
    assert_int_equal(option(SOL_SOCKET, SO_TYPE, 100), 0);
    said_len = 5; /* more than the option has */
    assert_int_equal(option(SOL_SOCKET, SO_TYPE, 100), -EIO);
    said_len = -1;
    assert_int_equal(option(SOL_SOCKET, SO_TYPE, 100), -EIO);
    said_result = 1; /* a status is 0 */
    assert_int_equal(option(SOL_SOCKET, SO_TYPE, 4), -EIO);
    said_result = 0;
    said_len = 4;
    assert_int_equal(option(SOL_SOCKET, 77, 4), -ENOPROTOOPT); /* SO_PEERPIDFD: a descriptor */
    assert_int_equal(option(SOL_SOCKET, SO_ATTACH_FILTER, 4), -ENOPROTOOPT);
    assert_int_equal(option(9999, 1, 4), -ENOPROTOOPT);
    assert_int_equal(host_option_set(5, SOL_SOCKET, SO_TYPE, &cred, 4), -ENOPROTOOPT);
    assert_int_equal(host_option_set(5, SOL_SOCKET, SO_ATTACH_BPF, &cred, 4), -ENOPROTOOPT);
    for (int level = 0; level < 300; level++) /* what fits into the callers' buffers */
        for (int name = 0; name < 300; name++) {
            const struct host_option *o = host_option_find(level, name, OPTION_GET | OPTION_SET);
            assert_true(!o || (o->size > 0 && o->size <= MOST_OPTION_BYTES));
        }
    mock_spoil(NULL);
}

/* ---- data ---- */

enum { WIRE = 700000 };
static unsigned char wire[WIRE]; /* what was sent, and is received again */
static size_t wire_sent, wire_received, wire_pieces;

static long loop_back(long nr, const long a[6], long r)
{
    const struct msg *m = (void *)a[1];
    switch (nr) {
    case __NR_sendmsg:
        for (size_t i = r = 0; i < m->iov_len; i++) {
            memcpy(wire + wire_sent, m->iov[i].iov_base, m->iov[i].iov_len);
            wire_sent += m->iov[i].iov_len;
            r += (long)m->iov[i].iov_len;
        }
        wire_pieces++;
        return r;
    case __NR_recvmsg:
        for (size_t i = r = 0; i < m->iov_len; i++) {
            size_t n = MIN(m->iov[i].iov_len, wire_sent - wire_received);
            memcpy(m->iov[i].iov_base, wire + wire_received, n);
            wire_received += n;
            r += (long)n;
        }
        wire_pieces++;
        return r;
    }
    return answer(nr, a, r);
}

/* Gathered and scattered whole, whatever the pieces. */
static void test_transfers(void **state)
{
    static unsigned char out[WIRE], in[WIRE];
    struct iovec iov[4] = {{out, 1}, {NULL, 0}, {out + 1, 300000}, {out + 300001, WIRE - 300001}};
    struct msg m = {.iov = iov, .iov_len = 4};
    (void)state;
    for (int i = 0; i < WIRE; i++)
        out[i] = (unsigned char)(i * 7 + i / 251);
    mock_spoil(loop_back);
    say(0, 0, 0);
    said_value = 1, said_len = 4; /* SOCK_STREAM */
    assert_int_equal(host_sendmsg(5, &m, 0), WIRE);
    assert_memory_equal(wire, out, WIRE);
    iov[0] = (struct iovec){in, 499999};
    iov[2] = (struct iovec){in + 499999, WIRE - 499999};
    assert_int_equal(host_recvmsg(5, &(struct msg){.iov = iov, .iov_len = 3}, MSG_WAITALL), WIRE);
    assert_memory_equal(in, out, WIRE);
    assert_true(wire_pieces >= 2 && wire_received == WIRE);
    if (wire_pieces > 2) { /* an arena: a packet of more than a piece is none */
        said_value = 2;    /* SOCK_DGRAM */
        assert_int_equal(host_sendmsg(5, &(struct msg){.iov = iov, .iov_len = 3}, 0), -EMSGSIZE);
    }
    mock_spoil(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_transfers),
    };
    world_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_finish();
    return failed;
}

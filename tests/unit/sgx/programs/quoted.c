/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * quoted OUTPUT [MODE]: the example's enclave makes a report for the quoting enclave, and the AESM
 * service turns it into a quote. Modes: "file" connects to the socket's path instead of its
 * abstract name; "forged" changes a bit of the report; "stranger" makes it for the enclave itself;
 * "unpadded" passes the abstract address with its exact length. Messages are written by hand.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "host.h"

static const char *mode = "";

static _Noreturn void fail(const char *what)
{
    printf("failed: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int reach(void)
{
    static const char name[] = "sgx_aesm_socket_base";
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t len = sizeof(a);
    if (!strcmp(mode, "file"))
        strcpy(a.sun_path, "/var/run/aesmd/aesm.socket");
    else
        memcpy(a.sun_path + 1, name, sizeof(name) - 1);
    if (!strcmp(mode, "unpadded"))
        len = offsetof(struct sockaddr_un, sun_path) + sizeof(name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, len))
        fail("connect");
    return fd;
}

struct message {
    unsigned char data[12000];
    size_t len;
};

static void put_varint(struct message *m, unsigned long value)
{
    for (; value > 127; value >>= 7)
        m->data[m->len++] = (unsigned char)(value | 128);
    m->data[m->len++] = (unsigned char)value;
}

static void put_bytes(struct message *m, unsigned field, const void *data, size_t len)
{
    put_varint(m, field << 3 | 2);
    put_varint(m, len);
    memcpy(m->data + m->len, data, len);
    m->len += len;
}

static void put_number(struct message *m, unsigned field, unsigned long value)
{
    put_varint(m, field << 3);
    put_varint(m, value);
}

static unsigned long get_varint(const unsigned char **at, const unsigned char *end)
{
    unsigned long value = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        value |= (unsigned long)(**at & 127) << shift;
        if (!(*(*at)++ & 128))
            return value;
    }
    fail("varint");
}

/* Field `wanted` of a message: a number's value, or the length of bytes that go to *data. */
static unsigned long find(const unsigned char *at, size_t len, unsigned wanted,
                          const unsigned char **data)
{
    const unsigned char *end = at + len;
    while (at < end) {
        unsigned long key = get_varint(&at, end), value = get_varint(&at, end);
        if (data)
            *data = at;
        if ((key & 7) == 2 && value > (unsigned long)(end - at))
            fail("message");
        if (key >> 3 == wanted)
            return value;
        if ((key & 7) == 2)
            at += value;
    }
    return 0;
}

/* Sends `inner` as member `number`, returns the same member of the answer in *inner. */
static void ask(unsigned number, struct message *inner)
{
    struct message outer = {.len = 4};
    int fd = reach();
    put_bytes(&outer, number, inner->data, inner->len);
    unsigned size = (unsigned)outer.len - 4;
    memcpy(outer.data, &size, 4);
    if (write(fd, outer.data, outer.len) != (ssize_t)outer.len)
        fail("write");
    if (recv(fd, &size, 4, MSG_WAITALL) != 4 || size > sizeof(outer.data) ||
        recv(fd, outer.data, size, MSG_WAITALL) != (ssize_t)size)
        fail("answer");
    close(fd);
    const unsigned char *data = NULL;
    inner->len = find(outer.data, size, number, &data);
    if (!inner->len)
        fail("another answer");
    memcpy(inner->data, data, inner->len);
    unsigned long error = find(inner->data, inner->len, 1, NULL);
    if (error) {
        printf("aesm error %lu\n", error);
        exit(3);
    }
}

static void make_key_id(unsigned char id[256])
{
    static const unsigned char signer[32] = {0x8c, 0x4f, 0x57, 0x75, 0xd7, 0x96, 0x50, 0x3e,
                                             0x96, 0x13, 0x7f, 0x77, 0xc6, 0x8a, 0x82, 0x9a,
                                             0x00, 0x56, 0xac, 0x8d, 0xed, 0x70, 0x14, 0x0b,
                                             0x08, 0x1b, 0x09, 0x44, 0x90, 0xc5, 0x7b, 0xff};
    memset(id, 0, 256);
    id[4] = 32;
    memcpy(id + 6, signer, 32);
    id[54] = 1;
    id[154] = 2;
}

int main(int argc, char **argv)
{
    static struct exchange x;
    static struct message m;
    struct loaded enclave = {0};
    const unsigned char *data = NULL;
    unsigned char id[256];
    mode = argc > 2 ? argv[2] : "";
    load_enclave(&enclave, "hello.layout", "hello.sig");
    make_key_id(id);
    put_bytes(&m, 1, id, sizeof(id));
    put_number(&m, 3, 1);
    put_number(&m, 4, 32);
    ask(15, &m);
    if (find(m.data, m.len, 2, &data) != sizeof(x.target))
        fail("target info");
    memcpy(&x.target, data, sizeof(x.target));
    if (!strcmp(mode, "stranger"))
        enter(enclave.base + THREAD0_TCS, CMD_TARGET, &x.target);
    for (int i = 0; i < 64; i++)
        x.data[i] = (unsigned char)(200 - i);
    enter(enclave.base + THREAD0_TCS, CMD_REPORT, &x);
    if (!strcmp(mode, "forged"))
        x.report.mrsigner[7] ^= 16;
    m.len = 0;
    put_bytes(&m, 1, id, sizeof(id));
    ask(16, &m);
    unsigned long size = find(m.data, m.len, 2, NULL);
    m.len = 0;
    put_bytes(&m, 1, &x.report, sizeof(x.report));
    put_bytes(&m, 2, id, sizeof(id));
    put_number(&m, 4, 8192);
    ask(17, &m);
    if (find(m.data, m.len, 2, &data) != 8192)
        fail("quote");
    unsigned signed_size;
    memcpy(&signed_size, data + 432, 4);
    if (436 + signed_size != size)
        fail("size");
    FILE *f = fopen(argv[1], "w");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f))
        fail(argv[1]);
    printf("quote of %lu bytes\n", size);
    unload_enclave(&enclave);
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a host may try with an undo log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include "crypto/crypto.h"
#include "mem.h"

#define MARK    3943 /* the notes in node 0: 48 bytes, then (first node, nodes) of two logs */
#define LOG_TAG 48   /* in a log's header: which version it leads to */
#define TAG     10   /* in node 0 */
#define SIZE    2000

static const uint8_t key[PFS_KEY_SIZE] = "0123456789abcdef";

static int open_file(struct mem *m, unsigned flags, struct pfs **f)
{
    struct pfs_env env = mem_env();
    struct pfs_backend b = mem_backend(m);
    struct pfs_open_args args = {.flags = flags, .path = "f"};
    return pfs_open(&env, &b, key, &args, f);
}

static void put(struct pfs *f, char c, bool sync)
{
    char text[SIZE];
    memset(text, c, sizeof text);
    assert_int_equal(pfs_write(f, 0, text, sizeof text), sizeof text);
    assert_int_equal(pfs_flush(f, sync), 0);
}

static int opens_as(struct mem *m)
{
    struct pfs *f;
    char c;
    int rc = open_file(m, PFS_READONLY, &f);
    if (rc)
        return rc;
    assert_int_equal(pfs_read(f, 0, &c, 1), 1);
    assert_int_equal(pfs_close(f), 0);
    return c;
}

/* The copy of node 0 in the log that leads to the version with this tag. */
static uint8_t *logged(struct mem *m, const uint8_t *tag)
{
    for (int i = 0; i < 2; i++) {
        uint64_t first;
        memcpy(&first, m->data + MARK + 48 + i * 16, 8);
        uint8_t *head = m->data + first * PFS_NODE_SIZE;
        if (first && !memcmp(head + LOG_TAG, tag, PFS_TAG_SIZE))
            return head + PFS_NODE_SIZE;
    }
    fail_msg("no such log");
    return NULL;
}

/* A log leads to the version that it names and to no other, however authentic. */
static void test_version(void **state)
{
    struct mem m = {0};
    struct pfs *f;
    uint8_t a[PFS_NODE_SIZE], b[PFS_NODE_SIZE];
    assert_int_equal(open_file(&m, PFS_CREATE, &f), 0);
    put(f, 'a', true);
    memcpy(a, m.data, sizeof a);
    put(f, 'b', true);
    memcpy(b, m.data, sizeof b);
    put(f, 'c', false);
    pfs_discard(f);
    assert_int_equal(opens_as(&m), 'c');
    m.data[1000] ^= 1; /* node 0 is torn */
    assert_int_equal(opens_as(&m), 'b');
    uint8_t *copy = logged(&m, b + TAG);
    assert_memory_equal(copy, b, MARK);
    memcpy(copy, a, sizeof a);
    assert_int_equal(opens_as(&m), -EKEYREJECTED);
    memcpy(copy, b, sizeof b);
    assert_int_equal(opens_as(&m), 'b');
    mem_reset(&m);
}

/* Nor does its header lead anywhere once it is altered. */
static void test_header(void **state)
{
    struct mem m = {0};
    struct pfs *f;
    uint8_t tag[PFS_TAG_SIZE];
    assert_int_equal(open_file(&m, PFS_CREATE, &f), 0);
    put(f, 'a', true);
    pfs_root_tag(f, tag);
    put(f, 'b', false);
    pfs_discard(f);
    m.data[1000] ^= 1;
    assert_int_equal(opens_as(&m), 'a');
    uint8_t *head = logged(&m, tag) - PFS_NODE_SIZE;
    for (size_t i = 0; i < 120; i++) {
        head[i] ^= 1;
        assert_int_equal(opens_as(&m), -EKEYREJECTED);
        head[i] ^= 1;
    }
    assert_int_equal(opens_as(&m), 'a');
    mem_reset(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version),
        cmocka_unit_test(test_header),
    };
    crypto_init(0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

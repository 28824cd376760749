/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A host file system without room: what still works, and what is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include "crypto/crypto.h"
#include "disk.h"
#include "mem.h"

static const uint8_t key[PFS_KEY_SIZE] = "0123456789abcdef";
static uint8_t plain[2000000], got[2000000];

static int open_file(struct object *o, unsigned flags, struct pfs **f)
{
    struct pfs_env env = mem_env();
    struct pfs_backend b = object_backend(o);
    static const uint8_t boot[PFS_BOOT_SIZE] = "this boot";
    struct pfs_open_args args = {.flags = flags, .path = "f", .boot_id = boot};
    return pfs_open(&env, &b, key, &args, f);
}

/* A synced file of `size` bytes on a disk that has `room` more nodes. */
static struct pfs *on_disk(struct object *o, size_t size, size_t room)
{
    struct pfs *f;
    image_free(&o->image);
    *o = (struct object){.copies = size % 2};
    assert_int_equal(open_file(o, PFS_CREATE, &f), 0);
    assert_int_equal(pfs_write(f, 0, plain, size), size);
    assert_int_equal(pfs_flush(f, true), 0);
    assert_int_equal(pfs_close(f), 0);
    object_fill_disk(o, room);
    assert_int_equal(open_file(o, 0, &f), 0);
    return f;
}

static void check_content(struct object *o, const uint8_t *want, size_t size)
{
    struct pfs *f;
    assert_int_equal(open_file(o, PFS_READONLY, &f), 0);
    assert_int_equal(pfs_size(f), size);
    assert_int_equal(pfs_read(f, 0, got, sizeof got), size);
    assert_memory_equal(got, want, size);
    assert_int_equal(pfs_close(f), 0);
}

static struct object m;

static void test_emptied(void **state)
{
    static const size_t sizes[] = {1, 3072, 3073, 7169, 60000, 500000, 1900000};
    for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++) {
        struct pfs *f = on_disk(&m, sizes[i / 2], 0);
        assert_int_equal(pfs_set_size(f, 0), 0);
        if (i % 2)
            assert_int_equal(pfs_flush(f, true), 0);
        assert_int_equal(pfs_close(f), 0);
        assert_int_equal(m.image.size, PFS_NODE_SIZE);
        check_content(&m, plain, 0);
    }
}

/* As a program does that saves a file in place. */
static void test_rewritten(void **state)
{
    static const size_t sizes[] = {1, 3072, 3073, 7169, 60000, 500000, 1900000};
    for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++) {
        size_t size = sizes[i / 2];
        struct pfs *f = on_disk(&m, size, 0);
        size_t before = m.image.size;
        assert_int_equal(pfs_set_size(f, 0), 0);
        assert_int_equal(pfs_write(f, 0, plain + 1, size), size);
        assert_int_equal(pfs_flush(f, i % 2), 0);
        check_content(&m, plain + 1, size);
        assert_int_equal(pfs_close(f), 0);
        assert_int_equal(m.image.size, before);
        check_content(&m, plain + 1, size);
    }
}

/* A commit has begun to overwrite when the disk is full; then the file is emptied. */
static void test_emptied_after_failure(void **state)
{
    for (size_t more = 0; more < 40; more++) {
        struct pfs *f = on_disk(&m, 100000, more);
        assert_int_equal(pfs_write(f, 0, plain + 5, 30000), 30000);
        assert_int_equal(pfs_write(f, 100000, plain, 60000), 60000);
        int rc = pfs_flush(f, false);
        assert_true(!rc || (rc == -ENOSPC && more < 35));
        if (rc)
            check_content(&m, plain, 100000);
        assert_int_equal(pfs_set_size(f, 0), 0);
        assert_int_equal(pfs_flush(f, true), 0);
        check_content(&m, plain, 0);
        assert_int_equal(pfs_write(f, 0, plain, 90000), 90000);
        assert_int_equal(pfs_close(f), 0);
        check_content(&m, plain, 90000);
    }
}

/* What a commit took for which there was no room. */
static void test_given_back(void **state)
{
    for (size_t more = 0; more < 30; more++) {
        struct pfs *f = on_disk(&m, 1000000, more);
        size_t size = m.image.size;
        assert_int_equal(pfs_write(f, 500000, plain, 90000), 90000);
        int rc = pfs_close(f);
        assert_true(!rc || rc == -ENOSPC);
        if (rc)
            assert_int_equal(m.image.size, size);
    }
    /* Here the log had room and what follows had not: who opens it next gives it back. */
    struct pfs *f = on_disk(&m, 300000, 120);
    size_t size = m.image.size;
    assert_int_equal(pfs_write(f, 0, plain + 5, 300000), 300000);
    for (size_t i = 0; i < 400000; i += 5000)
        assert_int_equal(pfs_write(f, 300000 + i, plain, 5000), 5000);
    assert_int_equal(pfs_close(f), -ENOSPC);
    assert_true(m.image.size > size + 130 * PFS_NODE_SIZE);
    assert_int_equal(open_file(&m, 0, &f), 0);
    assert_int_equal(pfs_close(f), 0);
    assert_int_equal(m.image.size, size);
    check_content(&m, plain, 300000);
}

/* A blank is good for its file and key alone, and only for a node 0 that is none. */
static void test_blank(void **state)
{
    struct object torn = {0};
    struct pfs *f = on_disk(&m, 100000, 0), *other;
    uint8_t before[PFS_NODE_SIZE];
    memcpy(before, m.image.bytes, sizeof before);
    assert_int_equal(pfs_set_size(f, 0), 0);
    assert_int_equal(pfs_write(f, 0, plain + 1, 50000), 50000);
    assert_int_equal(pfs_flush(f, false), 0);
    image_copy(&torn.image, &m.image);
    memcpy(torn.image.bytes, before, 512);
    check_content(&torn, plain, 0);
    assert_int_equal(open_file(&torn, 0, &other), 0);
    assert_int_equal(pfs_size(other), 0);
    assert_int_equal(pfs_write(other, 0, plain, 7000), 7000);
    assert_int_equal(pfs_close(other), 0);
    check_content(&torn, plain, 7000);

    struct pfs_env env = mem_env();
    struct pfs_backend b = object_backend(&torn);
    struct pfs_open_args args = {.path = "g",
                                 .boot_id = (const uint8_t *)"this boot\0\0\0\0\0\0\0"};
    memcpy(torn.image.bytes, before, 512);
    assert_int_equal(pfs_open(&env, &b, key, &args, &other), -EKEYREJECTED);
    args.path = NULL;
    assert_int_equal(pfs_open(&env, &b, key, &args, &other), -EKEYREJECTED);
    args.path = "f";
    static const uint8_t wrong[PFS_KEY_SIZE] = "fedcba9876543210";
    assert_int_equal(pfs_open(&env, &b, wrong, &args, &other), -EKEYREJECTED);

    /* Authentic, with a damaged node below: damaged, not empty. */
    image_copy(&torn.image, &m.image);
    torn.image.bytes[5 * PFS_NODE_SIZE] ^= 1;
    assert_int_equal(open_file(&torn, 0, &other), 0);
    assert_int_equal(pfs_read(other, 0, got, 50000), 3072 + 3 * PFS_NODE_SIZE);
    assert_int_equal(pfs_close(other), -EBADMSG);
    assert_int_equal(pfs_close(f), 0);
    image_free(&torn.image);
}

/* Torn while it is emptied: as it was last synced, or empty, though a log leads to a version
 * before.
 */
static void test_torn(void **state)
{
    bool done = false;
    for (unsigned long at = 1; !done; at++) {
        struct pfs *f = on_disk(&m, 60000, 100);
        struct object torn = {0};
        uint8_t before[16 * PFS_NODE_SIZE];
        assert_int_equal(pfs_write(f, 3072, plain, 4096), 4096);
        assert_int_equal(pfs_flush(f, true), 0);
        memcpy(before, m.image.bytes, sizeof before);
        object_fill_disk(&m, 0);
        m.fail_at = m.calls + at;
        m.fail_onwards = true;
        m.error = -EIO;
        assert_int_equal(pfs_set_size(f, 0), 0);
        assert_int_equal(pfs_write(f, 0, plain, 80000), 80000); /* where the log is */
        pfs_flush(f, false);
        done = m.calls < m.fail_at;
        pfs_discard(f);
        if (memcmp(m.image.bytes + PFS_NODE_SIZE, before + PFS_NODE_SIZE,
                   sizeof before - PFS_NODE_SIZE))
            continue; /* node 0 of the empty file has been synced */
        for (size_t half = 512; half <= PFS_NODE_SIZE; half += 512) {
            image_copy(&torn.image, &m.image);
            memcpy(torn.image.bytes, before, half);
            assert_int_equal(open_file(&torn, PFS_READONLY, &f), 0);
            size_t size = pfs_size(f);
            assert_true(size == 0 || size == 60000);
            assert_int_equal(pfs_read(f, 0, got, sizeof got), size);
            assert_memory_equal(got + 3072, plain, size ? 4096 : 0);
            assert_int_equal(pfs_close(f), 0);
        }
        image_free(&torn.image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_emptied),
        cmocka_unit_test(test_rewritten),
        cmocka_unit_test(test_emptied_after_failure),
        cmocka_unit_test(test_given_back),
        cmocka_unit_test(test_blank),
        cmocka_unit_test(test_torn),
    };
    crypto_init(0);
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i * 31 + i / 4096 * 7 + 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    image_free(&m.image);
    return failed;
}

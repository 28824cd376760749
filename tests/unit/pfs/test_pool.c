/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Files that share the memory for their nodes. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "crypto/crypto.h"
#include "mem.h"

#define MIB (1u << 20)

static const uint8_t key[PFS_KEY_SIZE] = "0123456789abcdef";

static uint8_t pattern(size_t file, uint64_t i)
{
    return (uint8_t)(i * 31 + i / 4096 * 7 + file * 13);
}

static struct pfs *open_in(struct pfs_pool *pool, struct mem *m, unsigned flags)
{
    struct pfs_env env = mem_env();
    struct pfs_backend b = mem_backend(m);
    struct pfs_open_args args = {.flags = flags, .path = "f", .pool = pool};
    struct pfs *f;
    assert_int_equal(pfs_open(&env, &b, key, &args, &f), 0);
    return f;
}

static void make(struct mem *m, size_t file, size_t size)
{
    uint8_t *plain = malloc(size);
    for (size_t i = 0; i < size; i++)
        plain[i] = pattern(file, i);
    struct pfs *f = open_in(NULL, m, PFS_CREATE);
    assert_int_equal(pfs_write(f, 0, plain, size), size);
    assert_int_equal(pfs_close(f), 0);
    free(plain);
}

static void check_read(struct pfs *f, size_t file, uint64_t off, size_t n)
{
    uint8_t buf[20000];
    assert_true(n <= sizeof(buf));
    assert_int_equal(pfs_read(f, off, buf, n), n);
    for (size_t i = 0; i < n; i += 97)
        assert_int_equal(buf[i], pattern(file, off + i));
}

static void check_write(struct pfs *f, size_t file, uint64_t off, size_t n)
{
    uint8_t buf[20000];
    assert_true(n <= sizeof(buf));
    for (size_t i = 0; i < n; i++)
        buf[i] = pattern(file, off + i);
    assert_int_equal(pfs_write(f, off, buf, n), n);
}

/* However files are used, they stay within the limit and 1 MiB each. */
static void test_limit(void **state)
{
    enum { FILES = 12, SIZE = 4 * MIB };
    struct pfs_pool pool = {.limit = 6 * MIB};
    struct mem m[FILES] = {0};
    struct pfs *f[FILES];
    uint64_t rng = 5;
    size_t before, most = 0;
    for (size_t i = 0; i < FILES; i++)
        make(&m[i], i, SIZE);
    before = mem_allocated;
    for (size_t i = 0; i < FILES; i++)
        f[i] = open_in(&pool, &m[i], 0);
    for (int step = 0; step < 20000; step++) {
        size_t i = test_random(&rng) % (step < 10000 ? 3 : FILES);
        uint64_t off = test_random(&rng) % (SIZE - 20000);
        size_t n = 1 + test_random(&rng) % (step % 8 ? 5000 : 20000);
        if (test_random(&rng) % 2)
            check_read(f[i], i, off, n);
        else
            check_write(f[i], i, off, n);
        if (mem_allocated - before > most)
            most = mem_allocated - before;
        if (step == 15000)
            pool.limit = 2 * MIB;
        if (step == 16000)
            assert_true(pool.used <= pool.limit + FILES * MIB);
    }
    assert_true(most <= 6 * MIB + FILES * MIB);
    for (size_t i = 0; i < FILES; i++)
        assert_int_equal(pfs_close(f[i]), 0);
    assert_int_equal(mem_allocated, before);
    assert_int_equal(pool.used, 0);
    assert_int_equal(pool.count, 0);
    for (size_t i = 0; i < FILES; i++) {
        struct pfs *again = open_in(NULL, &m[i], PFS_READONLY);
        for (uint64_t off = 0; off < SIZE; off += 16384)
            check_read(again, i, off, 16384);
        pfs_close(again);
        mem_reset(&m[i]);
    }
}

/* A file that nobody uses gives its memory to one that is used, and another that is used keeps its.
 */
static void test_idle_gives(void **state)
{
    enum { SIZE = 3 * MIB };
    struct pfs_pool pool = {.limit = 4 * MIB};
    struct mem m[3] = {0};
    struct pfs *f[3];
    for (size_t i = 0; i < 3; i++) {
        make(&m[i], i, SIZE);
        f[i] = open_in(&pool, &m[i], PFS_READONLY);
    }
    for (uint64_t off = 0; off < SIZE; off += 4096) /* fills the pool, then idle */
        check_read(f[0], 0, off, 4096);
    for (int turn = 0; turn < 3; turn++) {
        m[1].reads = m[2].reads = 0;
        for (uint64_t off = 0; off + 4096 < SIZE; off += 4096) {
            check_read(f[1], 1, off, 4096);
            check_read(f[2], 2, off % (256 << 10), 1);
        }
    }
    assert_true(m[1].reads < 60); /* most of it is cached now */
    assert_true(m[2].reads < 60);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pfs_close(f[i]), 0);
        mem_reset(&m[i]);
    }
}

/* A scan of a file larger than the pool leaves to others what they have. */
static void test_scan(void **state)
{
    struct pfs_pool pool = {.limit = 2 * MIB};
    struct mem large = {0}, small = {0};
    make(&large, 0, 16 * MIB);
    make(&small, 1, MIB);
    struct pfs *a = open_in(&pool, &small, PFS_READONLY), *b = open_in(&pool, &large, PFS_READONLY);
    for (uint64_t off = 0; off < MIB; off += 4096)
        check_read(a, 1, off, 4096);
    for (uint64_t off = 0; off < 16 * MIB; off += 8192)
        check_read(b, 0, off, 8192);
    small.reads = 0;
    for (uint64_t off = 0; off < MIB; off += 4096)
        check_read(a, 1, off, 4096);
    assert_true(small.reads < 10);
    pfs_close(a);
    pfs_close(b);
    mem_reset(&large);
    mem_reset(&small);
}

struct user {
    struct pfs_pool *pool;
    struct mem m;
    size_t number;
};

#define USER_SIZE (2 * MIB)

static void *use(void *arg)
{
    struct user *u = arg;
    uint64_t rng = u->number + 1;
    struct pfs *f = open_in(u->pool, &u->m, 0);
    for (int step = 0; step < 3000; step++) {
        uint64_t off = test_random(&rng) % (USER_SIZE - 10000);
        size_t n = 1 + test_random(&rng) % 10000;
        if (step % 3)
            check_read(f, u->number, off, n);
        else
            check_write(f, u->number, off, n);
        if (step % 500 == 0) {
            assert_int_equal(pfs_close(f), 0);
            f = open_in(u->pool, &u->m, 0);
        }
    }
    assert_int_equal(pfs_close(f), 0);
    return NULL;
}

static void test_threads(void **state)
{
    enum { USERS = 6 };
    struct pfs_pool pool = {.limit = 3 * MIB};
    struct user u[USERS];
    pthread_t thread[USERS];
    for (size_t i = 0; i < USERS; i++) {
        u[i] = (struct user){.pool = &pool, .number = i};
        make(&u[i].m, i, USER_SIZE);
    }
    for (size_t i = 0; i < USERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, use, &u[i]), 0);
    for (size_t i = 0; i < USERS; i++) {
        pthread_join(thread[i], NULL);
        mem_reset(&u[i].m);
    }
    assert_int_equal(pool.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_idle_gives),
        cmocka_unit_test(test_scan),
        cmocka_unit_test(test_threads),
    };
    crypto_init(0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The encrypted-file library against a plain byte array. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "crypto/crypto.h"
#include "mem.h"

static const uint8_t key[PFS_KEY_SIZE] = "0123456789abcdef";

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)((i * 31 + 7) % 251);
}

static int open_with(struct mem *m, unsigned flags, const char *path, size_t cache, struct pfs **f)
{
    struct pfs_env env = mem_env();
    struct pfs_backend b = mem_backend(m);
    static const uint8_t boot[PFS_BOOT_SIZE] = "boot 1";
    struct pfs_open_args args = {
        .flags = flags, .path = path, .cache_bytes = cache, .boot_id = boot};
    return pfs_open(&env, &b, key, &args, f);
}

static struct pfs *must_open(struct mem *m, unsigned flags)
{
    struct pfs *f;
    assert_int_equal(open_with(m, flags, "d/file", 0, &f), 0);
    return f;
}

static uint64_t expected_host_size(uint64_t size)
{
    uint64_t nd = size <= 3072 ? 0 : (size - 3072 + 4095) / 4096;
    return 4096 * (1 + nd + (nd + 95) / 96);
}

static const uint64_t boundaries[] = {
    0,      1,      15,     16,     3071,    3072,     3073,     4096,     7167,
    7168,   7169,   8192,   65537,  396287,  396288,   396289,   400383,   400384,
    400385, 789503, 789504, 789505, 1048577, 12979199, 12979200, 12979201, 13107200};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static uint8_t *patterned(size_t n)
{
    uint8_t *p = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = pattern(i);
    return p;
}

static void check_content(struct mem *m, const uint8_t *want, uint64_t size, size_t step)
{
    struct pfs *f = must_open(m, PFS_READONLY);
    uint8_t *got = malloc(size + 64);
    assert_int_equal(pfs_size(f), size);
    for (uint64_t off = 0; off < size;) {
        int64_t n = pfs_read(f, off, got + off, step);
        assert_true(n > 0);
        off += (uint64_t)n;
    }
    assert_int_equal(pfs_read(f, size, got, 10), 0);
    assert_memory_equal(got, want, size);
    assert_int_equal(pfs_close(f), 0);
    free(got);
}

/* Every boundary size, written in steps of several kinds. */
static void test_boundaries(void **state)
{
    static const size_t steps[] = {1u << 20, 65536, 4096, 5000};
    for (size_t i = 0; i < COUNT(boundaries); i++) {
        size_t size = boundaries[i];
        uint8_t *want = patterned(size);
        for (size_t s = 0; s < (size > 2000000 ? 1 : COUNT(steps)); s++) {
            struct mem m = {0};
            struct pfs *f = must_open(&m, PFS_CREATE);
            for (size_t off = 0; off < size;) {
                size_t n = size - off < steps[s] ? size - off : steps[s];
                assert_int_equal(pfs_write(f, off, want + off, n), n);
                off += n;
            }
            assert_int_equal(pfs_close(f), 0);
            assert_int_equal(m.size, expected_host_size(size));
            check_content(&m, want, size, steps[s]);
            mem_reset(&m);
        }
        free(want);
    }
    assert_int_equal(mem_allocated, 0);
}

#define MODEL_MAX 1500000

struct model {
    uint8_t *bytes;
    uint64_t size;
};

static uint64_t pick_offset(uint64_t *rng, uint64_t max)
{
    uint64_t near = boundaries[test_random(rng) % 23];
    uint64_t off = test_random(rng) % 3 ? near + test_random(rng) % 7 : test_random(rng) % max;
    off = off > 3 ? off - 3 : off;
    return off < max ? off : max - 1;
}

static void model_write(struct model *mo, struct pfs *f, uint64_t off, size_t n, uint64_t *rng)
{
    uint8_t *buf = calloc(1, n + 1);
    for (size_t i = 0; i < n; i++)
        buf[i] = (uint8_t)(test_random(rng) >> 8);
    assert_int_equal(pfs_write(f, off, buf, n), n);
    if (n && off > mo->size)
        memset(mo->bytes + mo->size, 0, off - mo->size);
    memcpy(mo->bytes + off, buf, n);
    if (n && off + n > mo->size)
        mo->size = off + n;
    free(buf);
}

static void model_read(struct model *mo, struct pfs *f, uint64_t off, size_t n)
{
    uint8_t *buf = calloc(1, n + 1);
    size_t want = off >= mo->size ? 0 : n < mo->size - off ? n : mo->size - off;
    assert_int_equal(pfs_read(f, off, buf, n), want);
    assert_memory_equal(buf, mo->bytes + off, want);
    free(buf);
}

static void model_resize(struct model *mo, struct pfs *f, uint64_t size)
{
    assert_int_equal(pfs_set_size(f, size), 0);
    if (size > mo->size)
        memset(mo->bytes + mo->size, 0, size - mo->size);
    mo->size = size;
}

/* Writes that follow each other, from a node boundary or near one, now and then disturbed. */
static void model_sequence(struct model *mo, struct pfs *f, uint64_t off, uint64_t *rng)
{
    static const size_t steps[] = {4096, 1024, 3072, 512, 5000, 60000};
    off -= off % 4096;
    off += test_random(rng) % 2 ? 3072 : 0;
    off = off > mo->size ? mo->size : off;
    size_t step = steps[test_random(rng) % COUNT(steps)];
    model_read(mo, f, off > 10 ? off - 10 : 0, off > 10 ? 10 : off); /* the sequence starts here */
    for (unsigned i = test_random(rng) % 30; i && off < MODEL_MAX; i--) {
        model_write(mo, f, off, step, rng);
        off += step;
        uint32_t what = test_random(rng) % 24;
        if (what == 0)
            model_read(mo, f, off - 3000, 6000);
        else if (what == 1)
            assert_int_equal(pfs_flush(f, false), 0);
        else if (what == 2)
            model_write(mo, f, off + 100, 50, rng);
        else if (what == 3)
            model_resize(mo, f, off - 200);
    }
}

static void model_step(struct model *mo, struct mem *m, struct pfs **f, size_t cache, uint64_t *rng)
{
    uint64_t off = pick_offset(rng, MODEL_MAX / 2);
    size_t n = test_random(rng) % 4 ? test_random(rng) % 9000 : test_random(rng) % 300000;
    switch (test_random(rng) % 13) {
    case 0 ... 3:
        model_write(mo, *f, off, n, rng);
        break;
    case 4:
        model_write(mo, *f, mo->size > MODEL_MAX / 2 ? off : mo->size, n, rng);
        break;
    case 5 ... 8:
        model_read(mo, *f, off, n);
        break;
    case 9:
        model_resize(mo, *f, off);
        break;
    case 10:
        model_sequence(mo, *f, off, rng);
        break;
    case 11:
        assert_int_equal(pfs_flush(*f, test_random(rng) % 2), 0);
        assert_int_equal(m->size >= expected_host_size(mo->size), 1);
        break;
    default:
        assert_int_equal(pfs_close(*f), 0);
        assert_int_equal(open_with(m, 0, "d/file", cache, f), 0);
    }
    assert_int_equal(pfs_size(*f), mo->size);
}

/* Random operations, with a roomy and with the smallest cache, whole and cut transfers. */
static void test_model(void **state)
{
    struct model mo = {.bytes = calloc(1, MODEL_MAX + 400000)};
    for (unsigned seed = 0; seed < 24; seed++) {
        uint64_t rng = seed * 77 + 1;
        size_t cache = seed % 3 ? seed % 3 == 1 ? 1 : 200000 : 0;
        struct mem m = {.max_io = seed % 4 ? 0 : 10000};
        struct pfs *f;
        mo.size = 0;
        assert_int_equal(open_with(&m, PFS_CREATE, "d/file", cache, &f), 0);
        for (unsigned i = 0; i < 60; i++)
            model_step(&mo, &m, &f, cache, &rng);
        assert_int_equal(pfs_close(f), 0);
        check_content(&m, mo.bytes, mo.size, 70000);
        mem_reset(&m);
    }
    free(mo.bytes);
    assert_int_equal(mem_allocated, 0);
}

/* Overwritten nodes reach the storage in a commit only; new nodes may come before. */
static void test_write_order(void **state)
{
    struct mem m = {0};
    uint8_t *want = patterned(3000000);
    struct pfs *f = must_open(&m, PFS_CREATE);
    assert_int_equal(pfs_write(f, 0, want, 1000000), 1000000);
    assert_int_equal(pfs_flush(f, false), 0);
    struct mem before = {0};
    mem_copy(&before, &m);
    /* Fewer overwritten nodes than force a commit, and more new ones than stay in memory. */
    assert_int_equal(pfs_write(f, 5000, want + 9, 300000), 300000);
    assert_int_equal(pfs_write(f, 1000000, want + 1000000, 2000000), 2000000);
    assert_true(m.size > before.size + 1000000);
    m.size = before.size;
    check_content(&m, want, 1000000, 65536);
    mem_reset(&before);
    m.size = expected_host_size(3000000);
    assert_int_equal(pfs_flush(f, true), 0);
    assert_int_equal(m.syncs, 1);
    memmove(want + 5000, want + 9, 300000);
    check_content(&m, want, 3000000, 65536);
    assert_int_equal(pfs_close(f), 0);
    mem_reset(&m);
    free(want);
}

/* Host calls for sequential work stay near one per 96 nodes. */
static void test_call_counts(void **state)
{
    struct mem m = {0};
    uint8_t *want = patterned(16 << 20);
    struct pfs *f = must_open(&m, PFS_CREATE);
    for (size_t off = 0; off < 16 << 20; off += 4096)
        assert_int_equal(pfs_write(f, off, want + off, 4096), 4096);
    assert_int_equal(pfs_close(f), 0);
    assert_true(m.writes < 150);
    assert_true(m.reads == 0);
    m.reads = 0;
    check_content(&m, want, 16 << 20, 4096);
    assert_true(m.reads < 200);
    m.reads = m.writes = 0;
    f = must_open(&m, 0);
    assert_int_equal(pfs_write(f, 3072, want, 8 << 20), 8 << 20);
    assert_int_equal(pfs_close(f), 0);
    assert_true(m.reads < 100); /* a commit's nodes once, for the log */
    assert_true(m.writes < 150);
    mem_reset(&m);
    free(want);
}

static void test_open_errors(void **state)
{
    struct mem m = {0};
    struct pfs *f = must_open(&m, PFS_CREATE), *g;
    uint8_t tag[PFS_TAG_SIZE];
    assert_int_equal(pfs_write(f, 0, key, 5), 5);
    assert_int_equal(pfs_close(f), 0);
    assert_int_equal(open_with(&m, 0, "file", 0, &g), -EXDEV);
    assert_int_equal(open_with(&m, 0, "./d/x/..//file", 0, &g), 0);
    assert_string_equal(pfs_path(g), "d/file");
    pfs_root_tag(g, tag);
    assert_int_equal(pfs_close(g), 0);
    struct pfs_env env = mem_env();
    struct pfs_backend b = mem_backend(&m);
    struct pfs_open_args args = {.expected_tag = tag};
    assert_int_equal(pfs_open(&env, &b, key, &args, &g), 0);
    assert_int_equal(pfs_write(g, 0, key, 5), 5);
    assert_int_equal(pfs_close(g), 0);
    assert_int_equal(pfs_open(&env, &b, key, &args, &g), -ESTALE);
    uint8_t other[PFS_KEY_SIZE] = {1};
    args.expected_tag = NULL;
    assert_int_equal(pfs_open(&env, &b, other, &args, &g), -EKEYREJECTED);
    m.data[8] = 3;
    assert_int_equal(open_with(&m, 0, NULL, 0, &g), -EPROTONOSUPPORT);
    m.data[8] = 2;
    m.data[58] = 1;
    assert_int_equal(open_with(&m, PFS_REFUSE_PENDING, NULL, 0, &g), 0);
    struct pfs_info info;
    pfs_info(g, &info);
    assert_true(info.pending && !info.recovered);
    assert_int_equal(pfs_close(g), 0);
    m.data[0] = 0;
    assert_int_equal(open_with(&m, 0, NULL, 0, &g), -EINVAL);
    m.size = 4000;
    assert_int_equal(open_with(&m, 0, NULL, 0, &g), -EINVAL);
    m.size = 0;
    assert_int_equal(open_with(&m, 0, NULL, 0, &g), -ENODATA);
    assert_int_equal(open_with(&m, PFS_CREATE, NULL, 0, &g), -EINVAL);
    assert_int_equal(open_with(&m, PFS_CREATE | PFS_READONLY, "x", 0, &g), -EINVAL);
    mem_reset(&m);
    assert_int_equal(mem_allocated, 0);
}

static void test_limits(void **state)
{
    struct mem m = {0};
    struct pfs *f = must_open(&m, PFS_CREATE);
    assert_int_equal(pfs_set_size(f, (uint64_t)PFS_MAX_SIZE + 1), -EFBIG);
    assert_int_equal(pfs_write(f, UINT64_MAX - 3, key, 16), -EFBIG);
    assert_int_equal(pfs_write(f, PFS_MAX_SIZE, key, 1), -EFBIG);
    assert_int_equal(pfs_write(f, UINT64_MAX, key, 0), 0);
    assert_int_equal(pfs_size(f), 0);
    assert_int_equal(pfs_close(f), 0);
    f = must_open(&m, PFS_READONLY);
    assert_int_equal(pfs_write(f, 0, key, 1), -EROFS);
    assert_int_equal(pfs_set_size(f, 1), -EROFS);
    assert_int_equal(pfs_rename(f, "x"), -EROFS);
    assert_int_equal(pfs_close(f), 0);
    mem_reset(&m);
}

/* Syncing what was opened for reading only writes nothing, not even notes of its own. */
static void test_readonly(void **state)
{
    struct mem m = {0};
    uint8_t data[5000] = {1};
    struct pfs *f = must_open(&m, PFS_CREATE);
    assert_int_equal(pfs_write(f, 0, data, sizeof data), sizeof data);
    assert_int_equal(pfs_close(f), 0);
    f = must_open(&m, PFS_READONLY);
    m.writes = 0;
    assert_int_equal(pfs_read(f, 0, data, 100), 100);
    assert_int_equal(pfs_flush(f, true), 0);
    assert_int_equal(pfs_close(f), 0);
    assert_int_equal(m.writes, 0);
    mem_reset(&m);
}

static void test_sticky(void **state)
{
    struct mem m = {0};
    uint8_t *want = patterned(500000), buf[9000];
    struct pfs *f = must_open(&m, PFS_CREATE);
    assert_int_equal(pfs_write(f, 0, want, 500000), 500000);
    assert_int_equal(pfs_close(f), 0);
    m.data[4096 * 5 + 17] ^= 1; /* data node 3 */
    f = must_open(&m, 0);
    assert_int_equal(pfs_read(f, 400000, buf, 10), 10);
    assert_int_equal(pfs_read(f, 3072 + 2 * 4096 - 100, buf, 9000), 4096 + 100);
    assert_memory_equal(buf, want + 3072 + 2 * 4096 - 100, 4096 + 100);
    assert_int_equal(pfs_read(f, 0, buf, 10), -EBADMSG);
    assert_int_equal(pfs_write(f, 0, buf, 10), -EBADMSG);
    assert_int_equal(pfs_set_size(f, 0), -EBADMSG);
    assert_int_equal(pfs_flush(f, false), -EBADMSG);
    assert_int_equal(pfs_rename(f, "x"), -EBADMSG);
    m.writes = 0;
    assert_int_equal(pfs_close(f), -EBADMSG);
    assert_int_equal(m.writes, 0);
    mem_reset(&m);
    free(want);
}

/* A full disk: nothing committed is lost, and with space again everything arrives. */
static void test_full_disk(void **state)
{
    struct mem m = {.limit = 600000};
    uint8_t *want = patterned(2000000);
    struct pfs *f = must_open(&m, PFS_CREATE);
    assert_int_equal(pfs_write(f, 0, want, 100000), 100000);
    assert_int_equal(pfs_flush(f, false), 0);
    uint64_t off = 100000;
    int64_t rc = 1;
    while (off < 2000000 && (rc = pfs_write(f, off, want + off, 7000)) > 0)
        off += (uint64_t)rc;
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(pfs_size(f), off);
    assert_int_equal(pfs_set_size(f, 3000000), -ENOSPC);
    assert_int_equal(pfs_size(f), off);
    assert_int_equal(pfs_flush(f, false), -ENOSPC);
    check_content(&m, want, 100000, 4096);
    m.limit = 0;
    assert_int_equal(pfs_flush(f, false), 0);
    check_content(&m, want, off, 4096);
    assert_int_equal(pfs_close(f), 0);
    mem_reset(&m);
    free(want);
}

/* The sequence whose calls fail one after the other; returns the first error. */
static int fault_scenario(struct mem *m, const uint8_t *want, size_t size)
{
    struct pfs *f;
    uint8_t buf[5000];
    int64_t rc = open_with(m, PFS_CREATE, "d/file", 1, &f);
    if (rc)
        return (int)rc;
    for (size_t off = 0; off < size && rc >= 0; off += 60000) {
        int64_t n = (int64_t)(size - off < 60000 ? size - off : 60000);
        rc = pfs_write(f, off, want + off, (size_t)n);
        if (rc >= 0 && rc < n)
            rc = -EIO; /* short: the rest of this test needs no more */
    }
    if (rc >= 0)
        rc = pfs_flush(f, true);
    if (rc >= 0)
        rc = pfs_write(f, 200000, want, 5000);
    if (rc >= 0)
        rc = pfs_read(f, 1000, buf, sizeof buf);
    if (rc >= 0)
        rc = pfs_set_size(f, 150000);
    if (rc >= 0)
        rc = pfs_set_size(f, 250000);
    if (rc >= 0)
        rc = pfs_rename(f, "other");
    int close_rc = pfs_close(f);
    if (rc < 0 || close_rc < 0)
        return rc < 0 ? (int)rc : close_rc;
    rc = open_with(m, 0, "other", 1, &f);
    if (rc)
        return (int)rc;
    for (uint64_t off = 0; off < 250000 && rc >= 0; off += sizeof buf) {
        rc = pfs_read(f, off, buf, sizeof buf);
        if (rc >= 0 && rc < (int64_t)sizeof buf)
            rc = -EIO;
    }
    close_rc = pfs_close(f);
    return rc < 0 ? (int)rc : close_rc;
}

static void test_faults(void **state)
{
    uint8_t *want = patterned(450000);
    for (int after = 0; after < 2; after++) {
        unsigned long at = 0, survived = 0;
        mem_fail_after = after;
        for (;;) {
            struct mem m = {0};
            mem_calls = 0;
            mem_fail_at = ++at;
            int rc = fault_scenario(&m, want, 450000);
            bool done = mem_calls < at;
            survived += rc == 0;
            mem_reset(&m);
            assert_int_equal(mem_allocated, 0);
            assert_true(rc == 0 || rc == -EIO || rc == -ENOMEM || rc == -EAGAIN);
            if (done) {
                assert_int_equal(rc, 0);
                break;
            }
            if (after)
                assert_int_not_equal(rc, 0);
        }
        assert_true(at > 60);
        /* Single failures are absorbed only where memory or read-ahead is optional. */
        assert_true(survived < at / 3);
    }
    mem_fail_at = 0;
    mem_fail_after = false;
    free(want);
}

/* A failed flush that is tried again stores the right file, wherever it failed. */
static void test_flush_retry(void **state)
{
    uint8_t *want = patterned(500000), *before = patterned(500000);
    struct mem base = {0};
    struct pfs *f = must_open(&base, PFS_CREATE);
    assert_int_equal(pfs_write(f, 0, want, 450000), 450000);
    assert_int_equal(pfs_flush(f, true), 0);
    assert_int_equal(pfs_close(f), 0);
    memset(want + 100000, 9, 20000);
    memset(want + 420000, 8, 80000);
    memset(want + 3072, 7, 1000);
    bool failed = true;
    for (unsigned long at = 1; failed; at++) {
        struct mem m = {0};
        mem_copy(&m, &base);
        f = must_open(&m, 0);
        assert_int_equal(pfs_write(f, 100000, want + 100000, 20000), 20000);
        assert_int_equal(pfs_write(f, 420000, want + 420000, 80000), 80000);
        /* The start of a node in sequence: its rest is read by the flush. */
        assert_int_equal(pfs_write(f, 3070, want + 3070, 2), 2);
        assert_int_equal(pfs_write(f, 3072, want + 3072, 1000), 1000);
        mem_calls = 0;
        mem_fail_at = at;
        failed = pfs_flush(f, false) != 0;
        mem_fail_at = 0;
        /* After a failed sync none is believed again, and nothing has been overwritten. */
        assert_int_equal(pfs_flush(f, false), m.sync_failed ? -EIO : 0);
        assert_int_equal(pfs_close(f), m.sync_failed ? -EIO : 0);
        if (m.sync_failed)
            check_content(&m, before, 450000, 65536);
        else
            check_content(&m, want, 500000, 65536);
        mem_reset(&m);
    }
    mem_reset(&base);
    free(before);
    free(want);
    assert_int_equal(mem_allocated, 0);
}

static int open_logged(struct mem *m, struct mem *log, unsigned flags, struct pfs **f)
{
    static struct pfs_backend l;
    struct pfs_env env = mem_env();
    struct pfs_backend b = mem_backend(m);
    l = mem_backend(log);
    struct pfs_open_args args = {.flags = flags, .path = "d/file", .log = &l};
    return pfs_open(&env, &b, key, &args, f);
}

/* An interrupted write of Gramine's: some nodes are new, node 0 is old and flagged, the log has the
 * old content of all that were to change, and zeros for one that was to be added. */
static void foreign_log(bool synced)
{
    struct mem m = {0}, log = {0}, pristine = {0};
    uint8_t *want = patterned(30000), buf[100] = {0};
    struct pfs_backend l = mem_backend(&log);
    struct pfs_info info;
    struct pfs *f = must_open(&m, PFS_CREATE);
    assert_int_equal(pfs_write(f, 0, want, 30000), 30000);
    assert_int_equal(pfs_flush(f, synced), 0);
    assert_int_equal(pfs_close(f), 0);
    uint64_t nodes[] = {5, 3, 9, 1, 0};
    for (size_t i = 0; i < COUNT(nodes); i++) {
        uint8_t node[4096] = {0};
        if (nodes[i] < m.size / 4096)
            memcpy(node, m.data + nodes[i] * 4096, 4096);
        l.write_at(&log, &nodes[i], 8, i * 4104);
        l.write_at(&log, node, 4096, i * 4104 + 8);
    }
    m.data[5 * 4096] ^= 1;
    m.data[1 * 4096 + 9] ^= 1;
    m.data[58] = 1;
    mem_copy(&pristine, &m);
    assert_int_equal(open_with(&m, PFS_REFUSE_PENDING, "d/file", 0, &f), -EUCLEAN);
    assert_int_equal(open_logged(&m, &log, PFS_READONLY, &f), 0);
    pfs_info(f, &info);
    assert_true(info.pending && info.recovered);
    assert_int_equal(pfs_read(f, 12000, buf, sizeof buf), sizeof buf);
    assert_memory_equal(buf, want + 12000, sizeof buf);
    assert_int_equal(pfs_close(f), 0);
    assert_memory_equal(m.data, pristine.data, m.size);
    for (int bad = 0; bad < 4; bad++) {
        struct mem broken = {0}, file = {0};
        mem_copy(&broken, &log);
        mem_copy(&file, &pristine);
        if (bad == 0)
            broken.size -= 4104; /* node 0 stays flagged */
        else if (bad == 1)
            broken.size--;
        else if (bad == 2)
            broken.data[4104 * 2 + 6] = 1; /* a node far away */
        else
            broken.data[4104 * 3 + 100] ^= 1;
        assert_int_equal(open_logged(&file, &broken, 0, &f), -EUCLEAN);
        mem_reset(&broken);
        mem_reset(&file);
    }
    assert_int_equal(open_logged(&m, &log, 0, &f), 0);
    assert_int_equal(pfs_close(f), 0);
    check_content(&m, want, 30000, 4096);
    mem_reset(&m);
    mem_reset(&log);
    mem_reset(&pristine);
    free(want);
    assert_int_equal(mem_allocated, 0);
}

static void test_foreign_log(void **state)
{
    foreign_log(true);
    foreign_log(false); /* our own notes are there, too */
}

static void test_normalize(void **state)
{
    static const char *const cases[][2] = {{"./q//../q/./zz", "q/zz"},
                                           {"a", "a"},
                                           {"/", "/"},
                                           {"/..", "/"},
                                           {"/../a/../b/", "/b"},
                                           {"../a", "../a"},
                                           {"../../a/..", "../.."},
                                           {"a/../..", ".."},
                                           {"a/b/../../c", "c"},
                                           {".", ""},
                                           {"a/..", ""},
                                           {"//x///y", "/x/y"},
                                           {"..a/b", "..a/b"},
                                           {"a../..", ""},
                                           {"/a/...", "/a/..."}};
    char out[PFS_PATH_SIZE], longest[800];
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(pfs_normalize_path(cases[i][0], out), 0);
        assert_string_equal(out, cases[i][1]);
    }
    assert_int_equal(pfs_normalize_path("", out), -EINVAL);
    memset(longest, 'a', sizeof longest);
    longest[771] = 0;
    assert_int_equal(pfs_normalize_path(longest, out), 0);
    longest[771] = 'a';
    longest[772] = 0;
    assert_int_equal(pfs_normalize_path(longest, out), -ENAMETOOLONG);
    longest[770] = '/';
    assert_int_equal(pfs_normalize_path(longest, out), -ENAMETOOLONG);
    longest[769] = '/';
    assert_int_equal(pfs_normalize_path(longest, out), 0);
}

int main(void)
{
    crypto_init(0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalize),   cmocka_unit_test(test_open_errors),
        cmocka_unit_test(test_limits),      cmocka_unit_test(test_sticky),
        cmocka_unit_test(test_boundaries),  cmocka_unit_test(test_model),
        cmocka_unit_test(test_write_order), cmocka_unit_test(test_call_counts),
        cmocka_unit_test(test_full_disk),   cmocka_unit_test(test_faults),
        cmocka_unit_test(test_flush_retry), cmocka_unit_test(test_foreign_log),
        cmocka_unit_test(test_readonly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

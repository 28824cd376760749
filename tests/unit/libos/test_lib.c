/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* lib/heap.c and lib/region.c over the real host, lib/string.c beside the C library's. Platform
 * `test` has a heap of its own, so these are linked alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "host/host.h"
#include "libos/lib/lock.h"
#include "libos/lib/region.h"
#include <linux/mman.h>

long syscall(long nr, ...);
__attribute__((noreturn)) void abort(void);
void *malloc(size_t n);
void free(void *p);

struct thread *test_current;
const char libos_image_start[1] = {0}, libos_image_end[1] = {0};

long host_mmap(uintptr_t addr, size_t len, int prot, int flags, int fd, int64_t off)
{
    return syscall(9, addr, len, prot, flags, fd, off);
}

void lock_slow(struct lock *l)
{
    (void)l;
    abort(); /* one thread: whoever waits here waits for itself */
}

void unlock_slow(struct lock *l)
{
    (void)l;
    abort();
}

void panic(const char *format, ...)
{
    (void)format;
    mock_assert(0, format, __FILE__, __LINE__);
    abort();
}

static uint64_t state_ = 88172645463325252UL;

static uint64_t next(void)
{
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    return state_ ^= state_ << 17;
}

#define BLOCKS 500

struct block {
    unsigned char *p;
    size_t size;
    unsigned char mark;
};

static size_t some_size(void)
{
    switch (next() % 8) {
    case 0:
        return next() % 8;
    case 1:
        return 60000 + next() % 200000;
    case 2:
        return 1UL << next() % 18;
    default:
        return next() % 2000;
    }
}

static void check_block(const struct block *b)
{
    for (size_t i = 0; i < b->size; i++)
        assert_int_equal(b->p[i], b->mark);
}

/* Blocks keep their content whatever happens to others, and all of it comes back. */
static void test_heap(void **state)
{
    static struct block blocks[BLOCKS];
    size_t before = heap_in_use(), total = 0;
    (void)state;
    for (int round = 0; round < 30000; round++) {
        struct block *b = &blocks[next() % BLOCKS];
        size_t size = some_size();
        check_block(b);
        total -= b->size;
        if (b->p && next() % 4 == 0) {
            unsigned char *p = heap_realloc(b->p, size);
            assert_non_null(p);
            for (size_t i = 0; i < MIN(size, b->size); i++)
                assert_int_equal(p[i], b->mark);
            b->p = p;
        } else {
            heap_free(b->p);
            b->p = next() % 2 ? heap_alloc(size) : heap_zalloc(size);
            assert_non_null(b->p);
        }
        assert_int_equal((uintptr_t)b->p % 16, 0);
        assert_true(libos_range(b->p, MAX(size, 1UL)));
        *b = (struct block){b->p, size, (unsigned char)next()};
        memset(b->p, b->mark, size);
        total += size;
        assert_int_equal(heap_in_use(), before + total);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        check_block(&blocks[i]);
        heap_free(blocks[i].p);
    }
    assert_int_equal(heap_in_use(), before);
}

static void test_heap_limits(void **state)
{
    (void)state;
    assert_null(heap_alloc(SIZE_MAX));
    assert_null(heap_alloc((1UL << 40) + 1));
    assert_null(heap_alloc(65UL << 30)); /* more than the region has */
    heap_free(NULL);
    unsigned char *z = heap_zalloc(100);
    memset(z, 7, 100);
    heap_free(z);
    z = heap_zalloc(100); /* the same block, most likely */
    for (int i = 0; i < 100; i++)
        assert_int_equal(z[i], 0);
    heap_free(z);
    char *s = heap_strdup("abc"), *t = heap_strndup("abcdef", 3);
    assert_string_equal(s, t);
    heap_free(s);
    heap_free(t);
    void *p = heap_alloc(10);
    heap_free(p);
    expect_assert_failure(heap_free(p)); /* twice */
}

/* Runs of pages never overlap, are joined again, and come back empty. */
static void test_region(void **state)
{
    enum { RUNS = 64 };
    static struct {
        unsigned char *p;
        size_t size;
    } runs[RUNS];
    (void)state;
    for (int round = 0; round < 5000; round++) {
        size_t i = next() % RUNS;
        if (runs[i].p) {
            assert_int_equal(runs[i].p[0], i + 1);
            assert_int_equal(runs[i].p[runs[i].size - 1], i + 1);
            region_free(runs[i].p, runs[i].size);
            runs[i].p = NULL;
            continue;
        }
        size_t size = (1 + next() % 16) * PAGE_SIZE;
        unsigned char *p = region_alloc(size);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p & PAGE_MASK, 0);
        assert_true(libos_range(p, size) && !user_range_ok(p, 1));
        for (size_t j = 0; j < RUNS; j++)
            assert_true(!runs[j].p || p + size <= runs[j].p || runs[j].p + runs[j].size <= p);
        assert_int_equal(p[0] | p[size / 2] | p[size - 1], 0);
        p[0] = p[size - 1] = (unsigned char)(i + 1);
        runs[i].p = p;
        runs[i].size = size;
    }
    for (size_t i = 0; i < RUNS; i++)
        if (runs[i].p)
            region_free(runs[i].p, runs[i].size);
    /* One hole again: what is asked for first lies lowest. */
    unsigned char *whole = region_alloc(RUNS * 16 * PAGE_SIZE);
    assert_non_null(whole);
    region_free(whole, RUNS * 16 * PAGE_SIZE);
}

static void test_ranges(void **state)
{
    int mine = 0;
    (void)state;
    assert_true(user_range_ok(&mine, sizeof(mine)));
    assert_true(user_range_ok(NULL, 0));
    assert_false(user_range_ok((void *)USER_TOP, 1));
    assert_true(user_range_ok((void *)(USER_TOP - 1), 1));
    assert_false(user_range_ok((void *)1, SIZE_MAX));
    assert_false(user_range_ok((void *)UINTPTR_MAX, 1));
    char *p = heap_alloc(1);
    assert_false(user_range_ok(p, 1));
    assert_false(user_range_ok(p - (2UL << 20), 4UL << 20)); /* around it */
    heap_free(p);
}

/* ---- string.c, its functions under the names own_... ---- */

void *own_memcpy(void *dst, const void *src, size_t n);
void *own_memmove(void *dst, const void *src, size_t n);
void *own_memset(void *dst, int c, size_t n);
int own_memcmp(const void *a, const void *b, size_t n);
void *own_memchr(const void *s, int c, size_t n);
size_t own_strlen(const char *s);
size_t own_strnlen(const char *s, size_t n);

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

static void test_strings(void **state)
{
    enum { SIZE = 700 };
    /* Ends with a page that may not be touched. */
    char *pages = (char *)host_mmap(0, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    syscall(10, pages + PAGE_SIZE, PAGE_SIZE, PROT_NONE);
    char *a = pages + PAGE_SIZE - SIZE, other[SIZE], want[SIZE];
    (void)state;
    for (int round = 0; round < 200000; round++) {
        size_t n = next() % (next() % 2 ? 40 : SIZE / 2), x = next() % (SIZE - n + 1),
               y = next() % (SIZE - n + 1);
        if (next() % 4 == 0)
            x = SIZE - n;
        a[next() % SIZE] = (char)(next() % 3);
        memcpy(want, a, SIZE);
        int c = (int)(next() % 4);
        switch (next() % 4) {
        case 0:
            memmove(want + x, want + y, n);
            assert_ptr_equal(own_memmove(a + x, a + y, n), a + x);
            break;
        case 1:
            memset(want + x, c, n);
            assert_ptr_equal(own_memset(a + x, c, n), a + x);
            break;
        case 2:
            memcpy(other, a, SIZE);
            memcpy(want + x, other + y, n);
            assert_ptr_equal(own_memcpy(a + x, other + y, n), a + x);
            break;
        default:
            assert_ptr_equal(own_memchr(a + x, c, n), memchr(a + x, c, n));
            assert_int_equal(sign(own_memcmp(a + x, a + y, n)), sign(memcmp(a + x, a + y, n)));
            assert_int_equal(own_strnlen(a + x, n), strnlen(a + x, n));
            if (memchr(a + x, 0, SIZE - x))
                assert_int_equal(own_strlen(a + x), strlen(a + x));
        }
        assert_memory_equal(a, want, SIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings), cmocka_unit_test(test_region),
        cmocka_unit_test(test_heap),    cmocka_unit_test(test_heap_limits),
        cmocka_unit_test(test_ranges),
    };
    region_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

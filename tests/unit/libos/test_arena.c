/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The arena and the look at what leaves (host/arena.h, host/filter.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/arena.h"
#include "host/filter.h"
#include "libos/process.h"
#include "platform/test/world.h"
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/uio.h>

#define FAULT(nr, ...) filter_fault(__NR_##nr, (const long[6]){__VA_ARGS__})

static void test_copies(void **state)
{
    char text[200], back[200];
    (void)state;
    uint32_t used = current()->arena.used;
    for (size_t n = 0; n < sizeof(text); n++) {
        ARENA;
        memset(text, (int)n, sizeof(text));
        memset(back, 0, sizeof(back));
        char *out = give(text, n);
        assert_true(out != text);
        memset(text, 0xee, n);
        take(back, out, n);
        for (size_t i = 0; i < sizeof(back); i++)
            assert_int_equal((unsigned char)back[i], i < n ? n : 0);
    }
    assert_int_equal(current()->arena.used, used);
    assert_null(give(NULL, 8));
    assert_null(room(NULL, 8));
}

static void test_bad_user_memory(void **state)
{
    ARENA;
    char *out = room_for(64);
    (void)state;
    mock_catch_faults();
    assert_int_equal(give_user(out, (char *)MOCK_WINDOW + (8UL << 30), 64), -EFAULT);
    assert_int_equal(take_user((char *)MOCK_WINDOW + (8UL << 30), out, 64), -EFAULT);
}

/* A pointer that is not the arena's, in each place that may hold one. */
static void test_look(void **state)
{
    ARENA;
    char inside[512] = "name";
    char *out = give(inside, sizeof(inside)), *name = give_text("name");
    const long in = (long)inside, o = (long)out;
    (void)state;
    assert_null(FAULT(read, 0, o, 512));
    assert_non_null(FAULT(read, 0, o, 4096));
    assert_non_null(FAULT(read, 0, o - 1, 1));
    assert_non_null(FAULT(read, 0, o, -1L));
    assert_string_equal(FAULT(read, 0, in, 1), "argument 2 leads");
    assert_null(FAULT(openat, 0, (long)name, 0, 0));
    assert_non_null(FAULT(openat, 0, in, 0, 0));
    assert_null(FAULT(fstat, 0, o));
    assert_non_null(FAULT(fstat, 0, in));
    assert_null(FAULT(fstat, 0, 0)); /* the host's to refuse */
    assert_non_null(FAULT(fcntl, 0, F_SETLK, in));
    assert_null(FAULT(fcntl, 0, F_SETFL, in)); /* a number */
    assert_non_null(FAULT(vmsplice, 0, 0, 0)); /* not in the list */
    assert_non_null(FAULT(exit_group + 100000, 0));
    assert_non_null(filter_fault(-1, (const long[6]){0}));
    assert_null(FAULT(futex, (long)arena_word((uint32_t *)inside), 0));
    assert_non_null(FAULT(futex, in, 0));

    struct iovec v[2] = {{out, 16}, {out + 16, 16}};
    long list = (long)give(v, sizeof(v));
    assert_null(FAULT(writev, 0, list, 2));
    assert_non_null(FAULT(writev, 0, (long)v, 2));
    v[1].iov_base = inside;
    list = (long)give(v, sizeof(v));
    assert_null(FAULT(writev, 0, list, 1));
    assert_non_null(FAULT(writev, 0, list, 2));
    struct { /* msghdr */
        void *name;
        long name_len;
        void *vectors;
        size_t count;
        void *control;
        size_t control_len;
        long flags;
    } m = {out, 16, (void *)list, 1, out, 16, 0}, bad = m;
    assert_null(FAULT(sendmsg, 0, (long)give(&m, sizeof(m))));
    bad.name = inside;
    assert_non_null(FAULT(sendmsg, 0, (long)give(&bad, sizeof(m))));
    bad = m;
    bad.control = inside;
    assert_non_null(FAULT(sendmsg, 0, (long)give(&bad, sizeof(m))));
    bad = m;
    bad.count = 2;
    assert_non_null(FAULT(sendmsg, 0, (long)give(&bad, sizeof(m))));
}

/* What was given back is no longer the arena's. */
static void test_given_back(void **state)
{
    void *out;
    (void)state;
    {
        ARENA;
        out = room_for(64);
        assert_true(arena_holds((uintptr_t)out, 64));
    }
    assert_false(arena_holds((uintptr_t)out, 64));
}

/* Content longer than a piece, over the mock host. */
static void test_pieces(void **state)
{
    static char text[3 * ARENA_PIECE + 100], back[sizeof(text) + 10];
    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7 + i / 4096);
    int fd = host_open("pieces", O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(host_write(fd, text, sizeof(text)), sizeof(text));
    assert_int_equal(host_lseek(fd, 0, 0), 0);
    assert_int_equal(host_read(fd, back, sizeof(back)), sizeof(text));
    assert_memory_equal(text, back, sizeof(text));
    assert_int_equal(host_pwrite(fd, text, sizeof(text), 1), sizeof(text));
    assert_int_equal(host_pread(fd, back, sizeof(back), 1), sizeof(text));
    assert_memory_equal(text, back, sizeof(text));
    assert_int_equal(host_read(fd, back, 0), 0);
    /* An error after the first piece: what was done. */
    mock_inject(MOCK_ERRNO, EIO, 2, false);
    assert_int_equal(host_pwrite(fd, text, sizeof(text), 0), ARENA_PIECE);
    mock_inject(MOCK_LIE_MORE, 1, 2, false);
    assert_int_equal(host_pread(fd, back, sizeof(text), 0), ARENA_PIECE);
    mock_inject(MOCK_NONE, 0, 0, false);
    host_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies), cmocka_unit_test(test_bad_user_memory),
        cmocka_unit_test(test_look),   cmocka_unit_test(test_given_back),
        cmocka_unit_test(test_pieces),
    };
    world_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_finish();
    return failed;
}

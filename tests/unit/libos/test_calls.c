/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* System calls of the library OS over the mock host: results, bad pointers, false host results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "libos/process.h"
#include "platform/test/world.h"
#include <asm/unistd.h>
#include <linux/mman.h>

#define CALL(nr, ...) CALL_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_(nr, a, b, c, d, e, f, ...) \
    world_call(__NR_##nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static char *m; /* four pages of application memory */
#define NOWHERE ((char *)MOCK_WINDOW + (8UL << 30))
#define OURS    ((char *)MOCK_GUARDED)

static void begin(void)
{
    mock_catch_faults();
    world_reset();
    mock_inject(MOCK_NONE, 0, 0, false);
    m = world_memory(4 * PAGE_SIZE);
    assert_non_null(m);
}

static char *text(size_t at, const char *s)
{
    memcpy(m + at, s, strlen(s) + 1);
    return m + at;
}

static void test_files(void **state)
{
    static const char *const dirs[] = {"/", "/tmp", "/enc"};
    begin();
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        fmt(name, sizeof(name), "%s/file", dirs[i]);
        long fd = CALL(open, text(0, name), O_RDWR | O_CREAT | O_TRUNC, 0644);
        if (fd < 0)
            fail_msg("open %s: %ld", name, fd);
        assert_int_equal(CALL(write, fd, text(100, "hello"), 6), 6);
        assert_int_equal(CALL(pread64, fd, m + 200, 6, 0), 6);
        assert_string_equal(m + 200, "hello");
        assert_int_equal(CALL(write, fd, NOWHERE, 6), -EFAULT);
        assert_int_equal(CALL(write, fd, OURS, 6), -EFAULT);
        assert_int_equal(CALL(pread64, fd, OURS, 6, 0), -EFAULT);
        assert_int_equal(CALL(pread64, fd, NOWHERE, 6, 0), -EFAULT);
        assert_int_equal(CALL(close, fd), 0);
        assert_int_equal(CALL(close, fd), -EBADF);
        assert_int_equal(CALL(unlink, m), 0);
        assert_int_equal(CALL(open, m, O_RDONLY, 0), -ENOENT);
    }
    mock_check_guarded();
}

static void test_bad_paths(void **state)
{
    begin();
    assert_int_equal(CALL(open, NOWHERE, O_RDONLY), -EFAULT);
    assert_int_equal(CALL(open, OURS, O_RDONLY), -EFAULT);
    assert_int_equal(CALL(open, 0, O_RDONLY), -EFAULT);
    memset(m, 'a', PAGE_SIZE + 1);
    assert_int_equal(CALL(open, m, O_RDONLY), -ENAMETOOLONG);
    m[300] = 0;
    assert_int_equal(CALL(open, m, O_RDONLY), -ENAMETOOLONG);
    /* Ends with the last byte of the mapping. */
    char *end = m + 4 * PAGE_SIZE - 9;
    memcpy(end, "/program", 9);
    assert_true(CALL(open, end, O_RDONLY) >= 0);
    end[8] = 'x';
    assert_int_equal(CALL(open, end, O_RDONLY), -EFAULT);
}

static void test_links(void **state)
{
    begin();
    text(0, "/tmp/loop");
    assert_int_equal(CALL(symlink, m, m), 0);
    assert_int_equal(CALL(open, m, O_RDONLY), -ELOOP);
    assert_int_equal(CALL(unlink, m), 0);
    text(0, "/tmp/d");
    assert_int_equal(CALL(mkdir, m, 0755), 0);
    text(0, "/tmp/d/l");
    text(100, "../../program");
    assert_int_equal(CALL(symlink, m + 100, m), 0);
    long fd = CALL(open, m, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(CALL(pread64, fd, m + 200, 4, 0), 4);
    assert_memory_equal(m + 200, "\177ELF", 4);
    text(0, "/tmp/../../../enc/.././tmp//d/");
    assert_true(CALL(open, m, O_RDONLY | O_DIRECTORY) >= 0);
    text(0, "/tmp/d/l/");
    assert_int_equal(CALL(open, m, O_RDONLY), -ENOTDIR);
    text(0, "/tmp/d/l");
    assert_int_equal(CALL(unlink, m), 0);
    text(0, "/tmp/d");
    assert_int_equal(CALL(unlink, m), -EISDIR);
    assert_int_equal(CALL(rmdir, m), 0);
}

static void test_descriptors(void **state)
{
    begin();
    text(0, "/program");
    long first = CALL(open, m, O_RDONLY);
    for (int i = 1; i < 100; i++)
        assert_int_equal(CALL(dup, first), first + i);
    assert_int_equal(CALL(close, first + 7), 0);
    assert_int_equal(CALL(close, first + 3), 0);
    assert_int_equal(CALL(dup, first), first + 3);
    assert_int_equal(CALL(dup, first), first + 7);
    assert_int_equal(CALL(dup2, first, 200), 200);
    assert_int_equal(CALL(fcntl, first, F_DUPFD, 200), 201);
    assert_int_equal(CALL(fcntl, first, F_DUPFD, -1), -EINVAL);
    assert_int_equal(CALL(fcntl, first, F_DUPFD, 1 << 30), -EINVAL);
    assert_int_equal(CALL(dup2, first, -1), -EBADF);
    assert_int_equal(CALL(dup2, first, 1 << 30), -EBADF);
    assert_int_equal(CALL(dup3, first, first, 0), -EINVAL);
    world_reset();
    assert_int_equal(mock_open_fds(), 0);
}

static void test_signals(void **state)
{
    begin();
    int pid = current_process()->pid, tid = current()->tid;
    sigmask all = ~0UL, pending = 0;
    memcpy(m, &all, 8);
    assert_int_equal(CALL(rt_sigprocmask, SIG_SETMASK, m, 0, 8), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(CALL(tgkill, pid, tid, SIGUSR1), 0);
        assert_int_equal(CALL(tgkill, pid, tid, 40), 0);
        assert_int_equal(CALL(kill, pid, 41), 0);
    }
    assert_int_equal(CALL(rt_sigpending, m + 8, 8), 0);
    memcpy(&pending, m + 8, 8);
    assert_int_equal(pending, SIGBIT(SIGUSR1) | SIGBIT(40) | SIGBIT(41));
    memset(m + 16, 0, 16); /* no wait */
    int order[] = {SIGUSR1, 40, 40, 40, 41, 41, 41};
    for (size_t i = 0; i < ARRAY_SIZE(order); i++)
        assert_int_equal(CALL(rt_sigtimedwait, m, m + 64, m + 16, 8), order[i]);
    assert_int_equal(CALL(rt_sigtimedwait, m, m + 64, m + 16, 8), -EAGAIN);
    assert_int_equal(CALL(rt_sigtimedwait, OURS, 0, m + 16, 8), -EFAULT);
    assert_int_equal(CALL(rt_sigaction, 65, 0, 0, 8), -EINVAL);
    assert_int_equal(CALL(rt_sigaction, SIGKILL, m, 0, 8), -EINVAL);
}

static void deliver(void *arg)
{
    (void)arg;
    CALL(tgkill, current_process()->pid, current()->tid, SIGUSR1);
}

/* The frame of a handler goes to the stack that the application names, wherever that is. */
static void test_signal_frames(void **state)
{
    begin();
    int value;
    struct ksigaction act = {.handler = 0x1000, .flags = SA_SIGINFO | SA_RESTORER};
    memcpy(m, &act, sizeof(act));
    assert_int_equal(CALL(rt_sigaction, SIGUSR1, m, 0, 8), 0);
    struct regs *r = thread_regs(current());
    r->rsp = (uintptr_t)m + 4 * PAGE_SIZE;
    assert_int_equal(mock_enter(deliver, NULL, &value), MOCK_RETURNED);
    uintptr_t bad[] = {(uintptr_t)NOWHERE, (uintptr_t)OURS + 0x8000, 0, 64, UINTPTR_MAX};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        world_reset();
        m = world_memory(4 * PAGE_SIZE);
        memcpy(m, &act, sizeof(act));
        CALL(rt_sigaction, SIGUSR1, m, 0, 8);
        r->rsp = bad[i];
        assert_int_equal(mock_enter(deliver, NULL, &value), MOCK_EXITED);
        assert_int_equal(value, 128 + SIGSEGV); /* the first process of the run */
    }
    mock_check_guarded();
}

static void test_futexes(void **state)
{
    begin();
    uint32_t seven = 7;
    memcpy(m, &seven, 4);
    memset(m + 16, 0, 16);
    assert_int_equal(CALL(futex, m, 0 /* WAIT */, 6, m + 16), -EAGAIN);
    assert_int_equal(CALL(futex, m, 0, 7, m + 16), -ETIMEDOUT);
    assert_int_equal(CALL(futex, m, 9, 7, m + 16, 0, 0), -EINVAL); /* empty bitset */
    assert_int_equal(CALL(futex, m + 1, 0, 7, m + 16), -EINVAL);
    assert_int_equal(CALL(futex, m, 1 /* WAKE */, 1), 0);
    assert_int_equal(CALL(futex, OURS, 0, 7, m + 16), -EFAULT);
    assert_int_equal(CALL(futex, OURS, 1, 7), -EFAULT);
    assert_int_equal(CALL(futex, NOWHERE, 0, 7, m + 16), -EFAULT);
    assert_int_equal(CALL(futex, m, 4 /* CMP_REQUEUE */, 1, 1, m + 4, 6), -EAGAIN);
    assert_int_equal(CALL(futex, m, 4, 1, 1, m + 4, 7), 0);
    assert_int_equal(CALL(futex, m, 4, 1, 1, OURS, 7), -EFAULT);
    /* WAKE_OP: *uaddr2 += 5, compare with 7 */
    assert_int_equal(CALL(futex, m + 8, 5, 1, 1, m, 1u << 28 | 0u << 24 | 5u << 12 | 7), 0);
    assert_int_equal(*(uint32_t *)m, 12);
    assert_int_equal(CALL(futex, m + 8, 5, 1, 1, OURS, 1u << 28), -EFAULT);
}

static void test_memory(void **state)
{
    begin();
    assert_int_equal(CALL(mmap, OURS, PAGE_SIZE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1),
                     -ENOMEM);
    assert_int_equal(CALL(munmap, OURS, PAGE_SIZE), -EINVAL);
    assert_int_equal(CALL(munmap, OURS - PAGE_SIZE, 2 * PAGE_SIZE), -EINVAL);
    assert_int_equal(CALL(mprotect, OURS, PAGE_SIZE, 0), -ENOMEM);
    assert_int_equal(CALL(madvise, OURS, PAGE_SIZE, 4), -ENOMEM);
    assert_int_equal(CALL(mremap, OURS, PAGE_SIZE, 2 * PAGE_SIZE, 1), -EFAULT);
    assert_int_equal(CALL(mremap, m, PAGE_SIZE, PAGE_SIZE, 3, OURS), -EINVAL);
    assert_int_equal(CALL(munmap, m, ~0UL), -EINVAL);
    assert_int_equal(CALL(mmap, 0, ~0UL, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1), -ENOMEM);
    m[0] = 1;
    char *n = (char *)CALL(mremap, m, 4 * PAGE_SIZE, 8 * PAGE_SIZE, MREMAP_MAYMOVE);
    assert_true(mock_in_window((uintptr_t)n, 8 * PAGE_SIZE));
    assert_int_equal(n[0], 1);
    mock_check_guarded();
}

/* Everything below happens once per kind of false result, for every call of the scenario. */
static void use_files(void *arg)
{
    (void)arg;
    memcpy(m, "/f", 3);
    long fd = CALL(open, m, O_RDWR | O_CREAT, 0644);
    CALL(write, fd, m, 3000);
    CALL(pread64, fd, m + PAGE_SIZE, 3000, 0);
    CALL(fstat, fd, m + PAGE_SIZE);
    CALL(getrandom, m + PAGE_SIZE, 64, 0);
    CALL(close, fd);
    memcpy(m, "/enc/f", 7);
    fd = CALL(open, m, O_RDWR | O_CREAT, 0644);
    CALL(write, fd, m, 8000);
    CALL(lseek, fd, 0, 0);
    CALL(read, fd, m + PAGE_SIZE, 8000);
    CALL(close, fd);
    CALL(unlink, m);
    memcpy(m, "/", 2);
    fd = CALL(open, m, O_RDONLY | O_DIRECTORY);
    CALL(getdents64, fd, m + PAGE_SIZE, 4096);
    CALL(close, fd);
    memcpy(m, "/f", 3);
    CALL(readlink, m, m + PAGE_SIZE, 100);
    CALL(unlink, m);
}

static void test_false_results(void **state)
{
    static const struct {
        enum mock_fault kind;
        long value;
    } lies[] = {{MOCK_LIE_MORE, 1},       {MOCK_LIE_MORE, 1L << 40},
                {MOCK_LIE, 0x7fffffff},   {MOCK_LIE, 1L << 50},
                {MOCK_LIE, -100000},      {MOCK_LIE, INT64_MIN},
                {MOCK_LIE, MOCK_GUARDED}, {MOCK_LIE, 0},
                {MOCK_LIE, -4095}};
    int value;
    begin();
    mock_inject(MOCK_NONE, 0, 0, false);
    assert_int_equal(mock_enter(use_files, NULL, &value), MOCK_RETURNED);
    long total = mock_count();
    if (total < 25)
        fail_msg("the scenario made %ld host calls", total);
    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        for (long n = 1; n <= total; n++) {
            mock_inject(lies[i].kind, lies[i].value, n, false);
            assert_int_equal(mock_enter(use_files, NULL, &value), MOCK_RETURNED);
            mock_check_guarded();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),         cmocka_unit_test(test_bad_paths),
        cmocka_unit_test(test_links),         cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_signals),       cmocka_unit_test(test_signal_frames),
        cmocka_unit_test(test_futexes),       cmocka_unit_test(test_memory),
        cmocka_unit_test(test_false_results),
    };
    world_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_finish();
    return failed;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Every host call of a scenario fails once, with each of several errors, alone and with all that
 * follow it: no crash, nothing leaked, no lock left behind, and an error comes back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/host_net.h"
#include "libos/process.h"
#include "platform/test/world.h"
#include <asm/unistd.h>
#include <linux/mman.h>

int printf(const char *format, ...);

#define CALL(nr, ...) CALL_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_(nr, a, b, c, d, e, f, ...) \
    world_call(__NR_##nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#define CONTENT 20000L

static char *m;      /* application memory, filled before each run */
static int errors;   /* steps that failed */
static bool corrupt; /* a step succeeded and gave other bytes than were written */

static long step(long r)
{
    errors += IS_ERR(r);
    return r;
}

/* A transfer that ends early has failed as well. */
static long whole(long r, long n)
{
    errors += r != n;
    return r;
}

static void scenario(void *arg)
{
    const char *dir = arg;
    char *from = m, *to = m + 64, *data = m + PAGE_SIZE, *back = m + 8 * PAGE_SIZE;
    fmt(from, 64, "%s/one", dir);
    fmt(to, 64, "%s/two", dir);
    memset(data, 'x', CONTENT);
    memset(back, 0, CONTENT);
    long fd = step(CALL(open, from, O_RDWR | O_CREAT | O_TRUNC, 0644));
    if (!IS_ERR(fd)) {
        bool written = whole(CALL(write, fd, data, CONTENT), CONTENT) == CONTENT;
        step(CALL(fsync, fd));
        long n = whole(CALL(pread64, fd, back, CONTENT, 0), CONTENT);
        corrupt |= written && n > 0 && memcmp(back, data, (size_t)n) != 0;
        step(CALL(ftruncate, fd, CONTENT / 2));
        step(CALL(fstat, fd, back));
        step(CALL(close, fd));
    }
    step(CALL(rename, from, to));
    fd = step(CALL(open, to, O_RDONLY));
    if (!IS_ERR(fd)) {
        long p = step(CALL(mmap, 0, CONTENT / 2, PROT_READ, MAP_PRIVATE, fd, 0));
        if (!IS_ERR(p)) {
            corrupt |= !errors && memcmp((char *)p, data, CONTENT / 2) != 0;
            step(CALL(munmap, p, CONTENT / 2));
        }
        step(CALL(close, fd));
    }
    fmt(back, 64, "%s/.", dir);
    fd = step(CALL(open, back, O_RDONLY | O_DIRECTORY));
    if (!IS_ERR(fd)) {
        step(CALL(getdents64, fd, back, PAGE_SIZE));
        step(CALL(close, fd));
    }
    step(CALL(unlink, to));
}

static void clean(const char *dir)
{
    mock_inject(MOCK_NONE, 0, 0, false);
    for (int i = 0; i < 2; i++) {
        fmt(m, 64, "%s/%s", dir, i ? "one" : "two");
        CALL(unlink, m);
    }
}

static void prepare(void)
{
    mock_inject(MOCK_NONE, 0, 0, false);
    world_reset();
    m = world_memory(16 * PAGE_SIZE);
    assert_non_null(m);
    errors = 0;
}

/* Calls whose failure the application need not hear of: their work was done before, is done another
 * way, or they are made again (the content is checked). */
static bool may_be_silent(long nr, long error)
{
    if (nr == __NR_pread64 || nr == __NR_pwrite64 || nr == __NR_ftruncate)
        return true;
    return nr == __NR_close || nr == __NR_fstat || nr == __NR_newfstatat || nr == __NR_munmap ||
           nr == __NR_statx || nr == __NR_clock_gettime || nr == __NR_getdents64 ||
           nr == __NR_utimensat || nr == __NR_fstatfs || nr == __NR_copy_file_range ||
           error == EINTR;
}

/* `tells`: each error must be seen by the application. */
static void sweep(const char *dir, void (*scenario)(void *), bool tells)
{
    static const long codes[] = {ENOSPC, EIO, EMFILE, ENOMEM, EINTR};
    int value;
    prepare();
    mock_inject(MOCK_NONE, 0, 0, false);
    assert_int_equal(mock_enter(scenario, (void *)dir, &value), MOCK_RETURNED);
    long total = mock_count();
    if (errors)
        fail_msg("%s: %d steps fail without any fault", dir, errors);
    for (size_t c = 0; c < ARRAY_SIZE(codes); c++) {
        for (long n = 1; n <= 2 * total; n++) {
            bool onwards = n > total;
            prepare();
            size_t heap = heap_in_use();
            int fds = mock_open_fds();
            mock_inject(MOCK_ERRNO, codes[c], onwards ? n - total : n, onwards);
            /* EINTR for ever is a signal that never comes: the call is right to go on. */
            if (onwards && codes[c] == EINTR)
                continue;
            assert_int_equal(mock_enter(scenario, (void *)dir, &value), MOCK_RETURNED);
            long befell = mock_befell();
            int seen = errors;
            clean(dir);
            prepare(); /* what could not be unmapped goes */
            if (tells && befell >= 0 && !seen && !may_be_silent(befell, codes[c]))
                fail_msg("%s: error %ld of host call %ld (number %ld) went unnoticed", dir,
                         codes[c], n, befell);
            if (heap_in_use() != heap)
                fail_msg("%s: %ld bytes leaked after error %ld of host call %ld (number %ld)%s",
                         dir, (long)(heap_in_use() - heap), codes[c], n, befell,
                         onwards ? " and all later ones" : "");
            if (mock_open_fds() != fds)
                fail_msg(
                    "%s: %d descriptors leaked after error %ld of host call %ld (number %ld)%s",
                    dir, mock_open_fds() - fds, codes[c], n, befell,
                    onwards ? " and all later ones" : "");
            if (corrupt)
                fail_msg("%s: wrong content after error %ld of host call %ld (number %ld)", dir,
                         codes[c], n, befell);
        }
    }
    printf("%s: %ld host calls, %zu errors each\n", *dir ? dir : "/", total, ARRAY_SIZE(codes));
}

/* A message with the reading end of a pipe and credentials, of a stream or as a packet. */
static long send_right(long fd, int *right)
{
    struct {
        size_t len;
        int level, type;
        int fd, pad;
    } *control = (void *)(m + 2048);
    struct iovec *iov = (void *)(m + 2304);
    struct msg *h = (void *)(m + 2560);
    control->len = 20, control->level = 1, control->type = 1, control->fd = right[0];
    *iov = (struct iovec){m + 4096, 3000};
    *h = (struct msg){.iov = iov, .iov_len = 1, .control = control, .control_len = 24};
    return CALL(sendmsg, fd, h, 0);
}

static long receive_right(long fd, size_t n)
{
    struct iovec *iov = (void *)(m + 2304);
    struct msg *h = (void *)(m + 2560);
    *iov = (struct iovec){m + 12288, n};
    *h = (struct msg){.iov = iov, .iov_len = 1, .control = m + 3072, .control_len = 256};
    return CALL(recvmsg, fd, h, 0x40);
}

/* What is on its way over a socket pair that becomes the host's arrives. */
static void pairs(void *arg)
{
    const char *type = arg;
    int *fds = (int *)m, *right = (int *)(m + 64);
    memset(m + 4096, 'x', 3000);
    memset(m + 12288, 0, 4000);
    if (IS_ERR(step(CALL(socketpair, 1, strlen(type), 0, fds))))
        return;
    if (IS_ERR(step(CALL(pipe2, right, 0))))
        return;
    step(CALL(sendto, fds[0], m + 4096, 5, 0, 0, 0));
    step(send_right(fds[0], right));
    step(CALL(sendto, fds[1], m + 4096, 4, 0, 0, 0));
    step(CALL(close, right[0]));
    step(receive_right(fds[1], 5));
    step(CALL(fstat, fds[1], m + 8192)); /* the host's from here on */
    long r = whole(receive_right(fds[1], 4000), 3000);
    corrupt |= r == 3000 && memcmp(m + 12288, m + 4096, 3000) != 0;
    if (r == 3000 && *(size_t *)(m + 3072) == 20)
        step(CALL(close, *(int *)(m + 3088)));
    step(CALL(recvfrom, fds[0], m + 12288, 100, 0x40, 0, 0));
    step(CALL(close, right[1]));
    step(CALL(close, fds[0]));
    step(CALL(close, fds[1]));
}

static void test_pairs(void **state)
{
    (void)state;
    mock_catch_faults();
    sweep("-", pairs, false);     /* stream */
    sweep("--", pairs, false);    /* datagrams */
    sweep("-----", pairs, false); /* packets */
}

static void test_chroot(void **state)
{
    (void)state;
    mock_catch_faults();
    sweep("", scenario, true);
}

static void test_encrypted(void **state)
{
    (void)state;
    mock_catch_faults();
    sweep("/enc", scenario, true);
}

static void test_tmpfs(void **state)
{
    (void)state;
    mock_catch_faults();
    sweep("/tmp", scenario, true);
}

/* Transfers that the host cuts short are completed, or reported short. */
static void test_short(void **state)
{
    static const char *const dirs[] = {"", "/enc", "/tmp"};
    int value;
    (void)state;
    mock_catch_faults();
    for (size_t i = 0; i < 3; i++) {
        for (long most = 1; most < 5000; most = most * 7 + 1) {
            prepare();
            mock_inject(MOCK_SHORT, most, 1, true);
            assert_int_equal(mock_enter(scenario, (void *)dirs[i], &value), MOCK_RETURNED);
            assert_false(corrupt);
            clean(dirs[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chroot), cmocka_unit_test(test_encrypted),
        cmocka_unit_test(test_tmpfs),  cmocka_unit_test(test_short),
        cmocka_unit_test(test_pairs),
    };
    world_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_finish();
    return failed;
}

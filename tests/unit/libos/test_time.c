/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Time: arithmetic of deadlines, and a host that wakes or rings before it is time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/host.h"
#include "libos/process.h"
#include "libos/time/clock.h"
#include "platform/test/world.h"
#include <asm/unistd.h>
#include <linux/eventpoll.h>
#include <linux/poll.h>
#include <linux/time.h>

#define CALL(nr, ...) CALL_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_(nr, a, b, c, d, e, f, ...) \
    world_call(__NR_##nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

#define SECOND 1000000000UL

static char *m; /* application memory */

static void begin(void)
{
    mock_catch_faults();
    world_reset();
    mock_inject(MOCK_NONE, 0, 0, false);
    m = world_memory(PAGE_SIZE);
    assert_non_null(m);
}

static void test_numbers(void **state)
{
    struct __kernel_timespec ts = {INT64_MAX, 999999999};
    uint64_t at = 10;
    (void)state;
    assert_true(ns_of(&ts) == CLOCK_MOST);
    ts = (struct __kernel_timespec){9223372035, 999999999};
    assert_true(ns_of(&ts) == 9223372035999999999UL);
    assert_true(ns_sum(CLOCK_MOST - 5, 4) == CLOCK_MOST - 1);
    assert_true(ns_sum(CLOCK_MOST - 5, 5) == CLOCK_MOST);
    assert_true(ns_sum(CLOCK_MOST, UINT64_MAX) == CLOCK_MOST);
    assert_true(ns_sum(5, UINT64_MAX) == CLOCK_MOST);
    assert_int_equal(ns_forward(&at, 9, 3), 0);
    assert_int_equal(at, 10);
    assert_int_equal(ns_forward(&at, 10, 3), 1);
    assert_int_equal(at, 13);
    assert_int_equal(ns_forward(&at, 18, 3), 2);
    assert_int_equal(at, 19);
    assert_int_equal(ns_forward(&at, 20, CLOCK_MOST), 1);
    assert_true(at == CLOCK_MOST);
    at = 1;
    assert_true(ns_forward(&at, CLOCK_MOST - 1, 1) == CLOCK_MOST - 1);
    assert_true(at == CLOCK_MOST);
    for (int64_t sec = -1; sec <= 0; sec++)
        for (int64_t ns = -1; ns <= (int64_t)SECOND; ns += (int64_t)SECOND / 2 + 1) {
            ts = (struct __kernel_timespec){sec, ns};
            assert_int_equal(timespec_ok(&ts), sec >= 0 && ns >= 0 && ns < (int64_t)SECOND);
        }
}

/* ---- waits of one second ---- */

static struct __kernel_timespec *one_second(void)
{
    struct __kernel_timespec *ts = (void *)m;
    *ts = (struct __kernel_timespec){.tv_sec = 1};
    return ts;
}

static long by_sleep(void)
{
    return CALL(nanosleep, one_second(), 0);
}

static long by_clock(void)
{
    struct __kernel_timespec *ts = one_second();
    ts->tv_sec += (int64_t)(clock_now(CLOCK_REALTIME) / SECOND) + 1;
    return CALL(clock_nanosleep, CLOCK_REALTIME, TIMER_ABSTIME, ts, 0);
}

static long by_futex(void)
{
    memset(m + 100, 0, 4);
    return CALL(futex, m + 100, 0, 0, one_second()) == -ETIMEDOUT ? 0 : -1;
}

static long by_signal(void)
{
    *(uint64_t *)(m + 100) = SIGBIT(SIGUSR1);
    return CALL(rt_sigtimedwait, m + 100, 0, one_second(), 8) == -EAGAIN ? 0 : -1;
}

static long polled(bool own)
{
    struct pollfd *p = (void *)(m + 100);
    long fd = CALL(eventfd2, 0, 0);
    if (!own)
        CALL(fstat, fd, m + 200); /* makes it the host's */
    *p = (struct pollfd){.fd = (int)fd, .events = POLLIN};
    long r = CALL(poll, p, 1, 1000);
    CALL(close, fd);
    return r;
}

static long by_poll(void)
{
    return polled(false);
}

static long by_poll_own(void)
{
    return polled(true);
}

static long epoll_waited(bool own)
{
    long ep = CALL(epoll_create1, 0), fd = CALL(eventfd2, 0, 0);
    if (!own)
        CALL(fstat, fd, m + 200);
    *(struct epoll_event *)(m + 100) = (struct epoll_event){.events = EPOLLIN};
    CALL(epoll_ctl, ep, EPOLL_CTL_ADD, fd, m + 100);
    long r = CALL(epoll_wait, ep, m + 200, 4, 1000);
    CALL(close, fd);
    CALL(close, ep);
    return r;
}

static long by_epoll(void)
{
    return epoll_waited(false);
}

static long by_epoll_own(void)
{
    return epoll_waited(true);
}

static long by_timerfd(void)
{
    struct __kernel_itimerspec *v = (void *)(m + 100);
    long fd = CALL(timerfd_create, CLOCK_MONOTONIC, 0);
    *v = (struct __kernel_itimerspec){.it_value.tv_sec = 1};
    CALL(timerfd_settime, fd, 0, v, 0);
    long r = CALL(read, fd, m + 200, 8);
    CALL(close, fd);
    return r - 8;
}

static uint64_t now(void)
{
    return clock_now(CLOCK_MONOTONIC);
}

/* The host says at each of its waits in turn that the time is over when it is not. */
static void test_early(void **state)
{
    static const struct {
        const char *name;
        long (*wait)(void);
        long how; /* the host's call, and what it says */
        long says;
    } waits[] = {{"nanosleep", by_sleep, __NR_futex, ETIMEDOUT},
                 {"clock_nanosleep", by_clock, __NR_futex, ETIMEDOUT},
                 {"futex", by_futex, __NR_futex, ETIMEDOUT},
                 {"sigtimedwait", by_signal, __NR_futex, ETIMEDOUT},
                 {"poll", by_poll, __NR_ppoll, 0},
                 {"poll, own", by_poll_own, __NR_futex, ETIMEDOUT},
                 {"epoll", by_epoll, __NR_epoll_pwait2, 0},
                 {"epoll, own", by_epoll_own, __NR_futex, ETIMEDOUT},
                 {"timerfd", by_timerfd, __NR_futex, ETIMEDOUT}};
    for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
        int met = 0;
        begin();
        for (long n = 1; n < 40; n++) {
            uint64_t from = now();
            mock_inject(MOCK_ERRNO, waits[i].says, n, false);
            long r = waits[i].wait();
            bool hit = mock_befell() == waits[i].how;
            mock_inject(MOCK_NONE, 0, 0, false);
            if (!hit)
                continue;
            met++;
            if (r || now() - from < SECOND)
                fail_msg("%s: %ld after %lu ns", waits[i].name, r, now() - from);
        }
        if (!met)
            fail_msg("%s: no wait was met", waits[i].name);
    }
    (void)state;
}

/* ---- an alarm clock that rings when it likes ---- */

static uint64_t pending(void)
{
    CALL(rt_sigpending, m + 500, 8);
    return *(uint64_t *)(m + 500);
}

static void ring(void)
{
    work_set(current(), WORK_TIMER);
}

static void test_alarm(void **state)
{
    struct __kernel_itimerspec *v = (void *)(m + 100);
    (void)state;
    begin();
    v = (void *)(m + 100);
    *(uint64_t *)m = SIGBIT(SIGALRM) | SIGBIT(SIGUSR1);
    assert_int_equal(CALL(rt_sigprocmask, SIG_BLOCK, m, 0, 8), 0);
    *(struct sigevent *)m = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    assert_int_equal(CALL(timer_create, CLOCK_MONOTONIC, m, m + 80), 0);
    int id = *(int *)(m + 80);
    *v = (struct __kernel_itimerspec){.it_value.tv_sec = 1, .it_interval.tv_sec = 1};
    assert_int_equal(CALL(timer_settime, id, 0, v, 0), 0);
    assert_int_equal(CALL(alarm, 3), 0);
    for (int i = 0; i < 3; i++) {
        ring();
        assert_true(pending() == 0);
    }
    assert_int_equal(by_sleep(), 0);
    ring();
    assert_true(pending() == SIGBIT(SIGUSR1));
    one_second()->tv_sec = 4;
    assert_int_equal(CALL(nanosleep, m, 0), 0);
    ring();
    assert_true(pending() == (SIGBIT(SIGUSR1) | SIGBIT(SIGALRM)));
    /* Taken after 5 of its seconds; the alarm is over. */
    *(uint64_t *)m = SIGBIT(SIGUSR1);
    assert_int_equal(CALL(rt_sigtimedwait, m, m + 200, 0, 8), SIGUSR1);
    assert_int_equal(((siginfo_t *)(m + 200))->si_overrun, 4);
    assert_int_equal(CALL(timer_getoverrun, id), 4);
    *(uint64_t *)m = SIGBIT(SIGALRM);
    assert_int_equal(CALL(rt_sigtimedwait, m, m + 200, 0, 8), SIGALRM);
    assert_int_equal(CALL(alarm, 0), 0);
    ring();
    assert_true(pending() == 0);
    assert_int_equal(CALL(timer_delete, id), 0);
    assert_int_equal(CALL(timer_delete, id), -EINVAL);
}

/* ---- what the host writes ---- */

static struct __kernel_itimerspec written;

static long write_it(long nr, const long a[6], long r)
{
    (void)r;
    memcpy((void *)a[nr == __NR_setitimer ? 2 : 1], &written, sizeof(written));
    return 0;
}

static void test_written(void **state)
{
    struct __kernel_itimerspec v;
    struct __kernel_old_itimerval t = {0}, old;
    int fd = host_timerfd_make(CLOCK_MONOTONIC, 0);
    (void)state;
    assert_true(fd >= 0);
    mock_spoil(write_it);
    written = (struct __kernel_itimerspec){{1, 2}, {3, 4}};
    assert_int_equal(host_timerfd_get(fd, &v), 0);
    assert_int_equal(host_itimer_get(1, &old), 0);
    assert_int_equal(host_itimer_set(1, &t, &old), 0);
    assert_int_equal(old.it_value.tv_usec, 4);
    written.it_value.tv_nsec = SECOND;
    assert_int_equal(host_timerfd_get(fd, &v), -EIO);
    written.it_value.tv_nsec = 1000000;
    assert_int_equal(host_itimer_get(1, &old), -EIO);
    assert_int_equal(host_itimer_set(1, &t, &old), -EIO);
    written = (struct __kernel_itimerspec){{-1, 2}, {3, 4}};
    assert_int_equal(host_timerfd_get(fd, &v), -EIO);
    assert_int_equal(host_itimer_get(1, &old), -EIO);
    mock_spoil(NULL);
    host_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_early),
        cmocka_unit_test(test_alarm),
        cmocka_unit_test(test_written),
    };
    world_start();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    world_finish();
    return failed;
}

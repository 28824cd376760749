/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* timer_create in its three kinds, timerfd, and what fork and exec leave of them. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/timerfd.h>

static volatile int signals, value, code;
static volatile pthread_t by;

static void on_timer(int sig, siginfo_t *info, void *ctx)
{
    (void)sig;
    (void)ctx;
    value = info->si_value.sival_int;
    code = info->si_code;
    by = pthread_self();
    signals++;
}

static struct itimerspec in_ms(long ms, long every)
{
    return (struct itimerspec){{every / 1000, every % 1000 * 1000000},
                               {ms / 1000, ms % 1000 * 1000000}};
}

static void wait_signals(int n)
{
    long long end = now_ms() + 5000;
    while (signals < n && now_ms() < end)
        sleep_ms(2);
}

static void by_signal(void)
{
    timer_t t;
    struct itimerspec v = in_ms(5, 0);
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
    e.sigev_value.sival_int = 4711;
    handle_info(SIGRTMIN + 1, on_timer, SA_RESTART);
    TRY("create", timer_create(CLOCK_MONOTONIC, &e, &t));
    TRY("set", timer_settime(t, 0, &v, NULL));
    wait_signals(1);
    say("arrived", "%d %d %s", signals, value, code == SI_TIMER ? "SI_TIMER" : "other");
    TRY("over", timer_gettime(t, &v));
    CHECK("disarmed", !v.it_value.tv_sec && !v.it_value.tv_nsec);
    v = in_ms(2, 2);
    TRY("every 2 ms", timer_settime(t, 0, &v, NULL));
    wait_signals(6);
    CHECK("goes on", signals >= 6);
    v = in_ms(60000, 0);
    TRY("far away", timer_settime(t, 0, &v, NULL));
    TRY("get", timer_gettime(t, &v));
    CHECK("close to a minute", v.it_value.tv_sec >= 58 && v.it_value.tv_sec <= 60);
    TRY("overrun", timer_getoverrun(t));
    v.it_value.tv_nsec = 1000000000;
    TRY("bad time", timer_settime(t, 0, &v, NULL));
    SYS("set from nowhere", SYS_timer_settime, t, 0, BAD_LOW, NULL);
    int child = fork();
    if (child == 0)
        _exit(syscall(SYS_timer_gettime, t, &v) == -1 && errno == EINVAL ? 0 : 1);
    int status = -1;
    waitpid(child, &status, 0);
    show_status("a child has none", status);
    TRY("delete", timer_delete(t));
    SYS("deleted", SYS_timer_gettime, 0x7fff, &v);
    TRY("bad clock", timer_create(77, &e, &t));
    e.sigev_signo = 99;
    TRY("bad signal", timer_create(CLOCK_REALTIME, &e, &t));
    e.sigev_notify = 77;
    TRY("bad notification", timer_create(CLOCK_REALTIME, &e, &t));
    SYS("id nowhere", SYS_timer_create, CLOCK_REALTIME, NULL, BAD_LOW);
}

static volatile int threaded;

static void on_thread(union sigval v)
{
    threaded = v.sival_int;
}

static void by_thread(void)
{
    timer_t t;
    struct itimerspec v = in_ms(5, 0);
    struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread};
    e.sigev_value.sival_int = 99;
    TRY("create for a thread", timer_create(CLOCK_REALTIME, &e, &t));
    TRY("set", timer_settime(t, 0, &v, NULL));
    for (int i = 0; i < 2000 && !threaded; i++)
        sleep_ms(2);
    VALUE("thread called", threaded);
    TRY("delete", timer_delete(t));
    e = (struct sigevent){.sigev_notify = SIGEV_NONE};
    TRY("create for nobody", timer_create(CLOCK_MONOTONIC, &e, &t));
    v = in_ms(30000, 0);
    TRY("set", timer_settime(t, 0, &v, NULL));
    TRY("get", timer_gettime(t, &v));
    CHECK("runs", v.it_value.tv_sec >= 28);
    TRY("delete", timer_delete(t));
}

static void *busy(void *arg)
{
    int n = signals;
    long long end = now_ms() + 5000;
    while (signals == n && now_ms() < end)
        sleep_ms(1);
    *(pthread_t *)arg = by;
    return NULL;
}

/* The kernel's SIGEV_THREAD_ID: one thread and no other gets the signal. */
static void to_one_thread(void)
{
    timer_t t;
    pthread_t other, got = 0;
    struct itimerspec v = in_ms(20, 0);
    struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 1};
    e._sigev_un._tid = gettid();
    NEED(pthread_create(&other, NULL, busy, &got) == 0);
    TRY("create for this thread", timer_create(CLOCK_MONOTONIC, &e, &t));
    TRY("set", timer_settime(t, 0, &v, NULL));
    pthread_join(other, NULL);
    CHECK("this thread got it", pthread_equal(got, pthread_self()));
    TRY("delete", timer_delete(t));
}

static void descriptors(void)
{
    uint64_t n = 0;
    struct itimerspec v = in_ms(10, 0), old;
    int fd = (int)OK("timerfd", timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    CHECK("flags", fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
    TRY("not armed", read(fd, &n, 8));
    TRY("arm", timerfd_settime(fd, 0, &v, NULL));
    struct pollfd p = {fd, POLLIN, 0};
    TRY("poll", poll(&p, 1, 5000));
    TRY("read short", read(fd, &n, 4));
    TRY("read", read(fd, &n, 8));
    VALUE("once", n);
    v = in_ms(1, 1);
    TRY("every ms", timerfd_settime(fd, 0, &v, &old));
    sleep_ms(20);
    TRY("read", read(fd, &n, 8));
    CHECK("many", n > 5);
    TRY("get", timerfd_gettime(fd, &v));
    VALUE("interval", v.it_interval.tv_nsec);
    clock_gettime(CLOCK_MONOTONIC, &v.it_value);
    v.it_interval = (struct timespec){0, 0};
    TRY("absolute, now", timerfd_settime(fd, TFD_TIMER_ABSTIME, &v, NULL));
    TRY("poll", poll(&p, 1, 5000));
    TRY("write", write(fd, &n, 8));
    TRY("no timer", timerfd_gettime(0, &v));
    TRY("closed", timerfd_gettime(999, &v));
    TRY("bad flags", timerfd_create(CLOCK_MONOTONIC, 1));
    TRY("bad clock", timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    SYS("from nowhere", SYS_timerfd_settime, fd, 0, BAD_LOW, NULL);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    by_signal();
    by_thread();
    to_one_thread();
    descriptors();
    return 0;
}

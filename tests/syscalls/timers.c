/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* timer_create in its three kinds, timerfd, and what fork and exec leave of them. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/time.h>
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

static int watched;

static void *set_later(void *arg)
{
    sleep_ms(20);
    timerfd_settime(watched, 0, arg, NULL);
    return NULL;
}

static int wait_by(int how, int ep)
{
    struct pollfd p = {watched, POLLIN, 0};
    struct epoll_event e = {.events = 0};
    uint64_t n = 0;
    if (how == 0)
        return poll(&p, 1, 5000) == 1 ? p.revents : -1;
    if (how == 1)
        return epoll_wait(ep, &e, 1, 5000) == 1 ? (int)e.events : -1;
    return read(watched, &n, 8) == 8 ? (int)n : -1;
}

/* Descriptors that wait, are set by another thread, change hands with and without news. */
static void descriptors_shared(void)
{
    static const char *const names[] = {"poll", "epoll", "read"};
    uint64_t n = 0;
    struct itimerspec soon = in_ms(3, 0), huge = {{1000000000, 0}, {0, 1}}, off = {0}, now;
    struct epoll_event e = {.events = EPOLLIN | EPOLLET};
    int ep = epoll_create1(0);
    watched = timerfd_create(CLOCK_MONOTONIC, 0);
    NEED(ep >= 0 && watched >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, watched, &e) == 0);
    for (int how = 0; how < 3; how++) {
        pthread_t other;
        timerfd_settime(watched, 0, &off, NULL);
        NEED(pthread_create(&other, NULL, set_later, &soon) == 0);
        say("set by another thread", "%s %d", names[how], wait_by(how, ep));
        pthread_join(other, NULL);
        timerfd_settime(watched, 0, &soon, NULL);
        say("set before", "%s %d", names[how], wait_by(how, ep));
    }
    fcntl(watched, F_SETFL, O_NONBLOCK);
    TRY("past", timerfd_settime(watched, TFD_TIMER_ABSTIME, &huge, NULL));
    VALUE("at once", wait_by(0, ep));
    TRY("moves on", timerfd_gettime(watched, &now));
    CHECK("far", now.it_value.tv_sec > 900000000 && now.it_interval.tv_sec == 1000000000);
    VALUE("not read yet", wait_by(0, ep));
    pid_t child = fork();
    if (child == 0) {
        VALUE("in a child", wait_by(0, ep));
        TRY("read", read(watched, &n, 8));
        VALUE("once", n);
        TRY("again", read(watched, &n, 8));
        timerfd_gettime(watched, &now);
        CHECK("far", now.it_value.tv_sec > 900000000 && now.it_interval.tv_sec == 1000000000);
        TRY("set", timerfd_settime(watched, 0, &soon, NULL));
        _exit(0);
    }
    NEED(waitpid(child, NULL, 0) == child);
    VALUE("set by the child", wait_by(0, ep));
    TRY("read", read(watched, &n, 8));
    int notices = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
    TRY("notices", timerfd_settime(notices, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
                                   &(struct itimerspec){{0, 0}, {INT_MAX, 0}}, NULL));
    TRY("not set", read(notices, &n, 8));
    TRY("interval alone", timerfd_settime(notices, 0, &(struct itimerspec){{5, 0}, {0, 0}}, NULL));
    TRY("get", timerfd_gettime(notices, &now));
    say("kept", "%ld %ld", (long)now.it_interval.tv_sec, (long)now.it_value.tv_sec);
    TRY("flags", timerfd_settime(notices, 4, &off, NULL));
    TRY("clock that wakes", timerfd_create(CLOCK_BOOTTIME_ALARM, 0) >= 0 ? 0 : -1);
    TRY("TAI", timerfd_create(CLOCK_TAI, 0));
    close(ep), close(watched), close(notices);
}

/* What a timer with an interval does while its signal is blocked, and how that is counted. */
static void overruns(void)
{
    timer_t t, second;
    siginfo_t i;
    sigset_t set, old;
    struct itimerspec v = {{0, 1}, {0, 1}}, huge = {{1000000000, 0}, {0, 1}}, now;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, &old);
    e.sigev_value.sival_int = 1;
    NEED(timer_create(CLOCK_MONOTONIC, &e, &t) == 0);
    e.sigev_value.sival_int = 2;
    NEED(timer_create(CLOCK_MONOTONIC, &e, &second) == 0);
    TRY("1 ns", timer_settime(t, 0, &v, NULL));
    sleep_ms(3);
    TRY("blocked", sigwaitinfo(&set, &i));
    CHECK("overran", i.si_overrun > 1000 && timer_getoverrun(t) == i.si_overrun);
    TRY("disarm", timer_settime(t, 0, &(struct itimerspec){0}, NULL));
    VALUE("none any more", timer_getoverrun(t));
    while (sigtimedwait(&set, &i, &(struct timespec){0, 0}) > 0)
        continue;
    TRY("since the start", timer_settime(t, TIMER_ABSTIME, &v, NULL));
    TRY("at once", sigwaitinfo(&set, &i));
    VALUE("as many as there can be", i.si_overrun);
    timer_settime(t, 0, &(struct itimerspec){0}, NULL);
    while (sigtimedwait(&set, &i, &(struct timespec){0, 0}) > 0)
        continue;
    /* Two timers with one signal, each has its own; one that is sent by kill is one more. */
    TRY("past", timer_settime(second, TIMER_ABSTIME, &huge, NULL));
    sleep_ms(2);
    TRY("past", timer_settime(t, TIMER_ABSTIME, &huge, NULL));
    sleep_ms(2);
    kill(getpid(), SIGUSR2);
    for (int k = 0; k < 3; k++) {
        int sig = sigtimedwait(&set, &i, &(struct timespec){0, 0});
        say("each its own", "%d", sig < 0 ? 0 : i.si_value.sival_int);
    }
    TRY("goes on", timer_gettime(t, &now));
    CHECK("far", now.it_value.tv_sec > 900000000);
    timer_delete(t);
    timer_delete(second);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

/* Ignored while it expires: the timer goes on, and is heard again. */
static void ignored(void)
{
    timer_t t;
    struct itimerspec v = in_ms(1, 1);
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
    signal(SIGRTMIN + 2, SIG_IGN);
    NEED(timer_create(CLOCK_MONOTONIC, &e, &t) == 0);
    TRY("ignored", timer_settime(t, 0, &v, NULL));
    sleep_ms(5);
    signals = 0;
    handle_info(SIGRTMIN + 2, on_timer, SA_RESTART);
    wait_signals(3);
    CHECK("heard again", signals >= 3);
    timer_delete(t);
    signals = 0;
}

static void burn(int ms)
{
    long long end = now_ms() + 20000;
    struct timespec from, now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < ms &&
           now_ms() < end);
}

static void clocks_of(void)
{
    static const struct {
        const char *name;
        int clock;
    } all[] = {{"real", CLOCK_REALTIME},
               {"monotonic", CLOCK_MONOTONIC},
               {"process", CLOCK_PROCESS_CPUTIME_ID},
               {"thread", CLOCK_THREAD_CPUTIME_ID},
               {"raw", CLOCK_MONOTONIC_RAW},
               {"real coarse", CLOCK_REALTIME_COARSE},
               {"coarse", CLOCK_MONOTONIC_COARSE},
               {"boot", CLOCK_BOOTTIME},
               {"real alarm", CLOCK_REALTIME_ALARM},
               {"boot alarm", CLOCK_BOOTTIME_ALARM},
               {"none", 10},
               {"tai", CLOCK_TAI},
               {"12", 12},
               {"nobody's", -(0x3ffffff << 3) - 6}};
    struct itimerspec soon = in_ms(1, 0), past = {{0, 0}, {0, 1}}, now;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        int t;
        struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
        char name[40];
        snprintf(name, sizeof(name), "timer on %s", all[i].name);
        signals = 0;
        if (SYS_OK(name, SYS_timer_create, all[i].clock, &e, &t))
            continue;
        TRY(name, syscall(SYS_timer_settime, t, 0, &soon, NULL));
        burn(60);
        wait_signals(1);
        TRY(name, syscall(SYS_timer_settime, t, TIMER_ABSTIME, &past, NULL));
        burn(60);
        wait_signals(2);
        VALUE(name, signals);
        TRY(name, syscall(SYS_timer_gettime, t, &now));
        CHECK(name, !now.it_value.tv_sec && !now.it_value.tv_nsec);
        TRY(name, syscall(SYS_timer_delete, t));
    }
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct timespec one = {0, 1000}, bad = {0, 1000000000}, left = {7, 7};
        char name[40];
        snprintf(name, sizeof(name), "sleep on %s", all[i].name);
        if (all[i].clock != CLOCK_PROCESS_CPUTIME_ID)
            SYS(name, SYS_clock_nanosleep, all[i].clock, 0, &one, &left);
        SYS(name, SYS_clock_nanosleep, all[i].clock, TIMER_ABSTIME, &one, &left);
        SYS(name, SYS_clock_nanosleep, all[i].clock, 0, &bad, &left);
        VALUE("left alone", left.tv_nsec);
    }
    signals = 0;
}

static void on_alarm(int sig)
{
    (void)sig;
    signals++;
}

static void intervals(void)
{
    struct itimerval v = {{0, 3000}, {0, 3000}}, old, off = {0};
    VALUE("no alarm", alarm(100));
    VALUE("of a hundred seconds", alarm(0));
    handle(SIGALRM, on_alarm, 0);
    signals = 0;
    setitimer(ITIMER_REAL, &v, NULL);
    wait_signals(3);
    CHECK("interval timer goes on", signals >= 3);
    TRY("off", setitimer(ITIMER_REAL, &off, &old));
    VALUE("was every", old.it_interval.tv_usec);
    TRY("get", getitimer(ITIMER_REAL, &old));
    CHECK("nothing", !old.it_value.tv_sec && !old.it_value.tv_usec && !old.it_interval.tv_usec);
    v = (struct itimerval){{5, 0}, {0, 0}};
    TRY("interval alone", setitimer(ITIMER_REAL, &v, NULL));
    TRY("get", getitimer(ITIMER_REAL, &old));
    VALUE("counts for nothing", old.it_interval.tv_sec);
    v = (struct itimerval){{0, 0}, {LONG_MAX, 0}};
    TRY("for ever", setitimer(ITIMER_REAL, &v, NULL));
    TRY("get", getitimer(ITIMER_REAL, &old));
    CHECK("long", old.it_value.tv_sec > 1000000000);
    SYS("no value", SYS_setitimer, ITIMER_REAL, NULL, &old);
    struct timespec req = {5, 0}, left = {0, 0};
    v = (struct itimerval){{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &v, NULL);
    TRY("sleep cut short", nanosleep(&req, &left));
    CHECK("rest", left.tv_sec <= 4 && left.tv_nsec > 0 && left.tv_nsec < 1000000000);
    signal(SIGALRM, SIG_DFL);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    overruns();
    ignored();
    by_signal();
    by_thread();
    to_one_thread();
    descriptors();
    descriptors_shared();
    clocks_of();
    intervals();
    return 0;
}

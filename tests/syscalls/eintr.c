/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Blocking calls and signals: EINTR, SA_RESTART, what is never restarted. */
#include "check.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/time.h>

static volatile sig_atomic_t alarms;
static volatile sig_atomic_t feed;
static int p[2];

/* Each alarm; when asked, the third gives a blocked read something to return with. */
static void on_alarm(int sig)
{
    (void)sig;
    if (++alarms == 3 && feed)
        (void)!write(p[1], "late", 4);
}

static void arm(int flags)
{
    struct itimerval every = {{0, 15000}, {0, 15000}};
    alarms = 0;
    handle(SIGALRM, on_alarm, flags);
    setitimer(ITIMER_REAL, &every, NULL);
}

static void disarm(void)
{
    struct itimerval off = {0};
    setitimer(ITIMER_REAL, &off, NULL);
}

static void interrupted(void)
{
    char c[8];
    int s[2], ep = epoll_create1(0), e = eventfd(0, 0), word = 0;
    struct timespec t = {20, 0}, rest = {0, 0};
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
#define INTERRUPTED(name, call) \
    do {                        \
        arm(0);                 \
        TRY(name, call);        \
        disarm();               \
    } while (0)
    INTERRUPTED("read pipe", read(p[0], c, 1));
    INTERRUPTED("read eventfd", read(e, c, 8));
    INTERRUPTED("recv", recv(s[0], c, 1, 0));
    INTERRUPTED("poll", poll(&(struct pollfd){p[0], POLLIN, 0}, 1, 20000));
    INTERRUPTED("ppoll", ppoll(&(struct pollfd){p[0], POLLIN, 0}, 1, &t, NULL));
    INTERRUPTED("select", select(0, NULL, NULL, NULL, &(struct timeval){20, 0}));
    INTERRUPTED("epoll_wait", epoll_wait(ep, &(struct epoll_event){0}, 1, 20000));
    INTERRUPTED("futex", syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0));
    INTERRUPTED("futex with time-out", syscall(SYS_futex, &word, FUTEX_WAIT, 0, &t, NULL, 0));
    INTERRUPTED("nanosleep", nanosleep(&t, &rest));
    CHECK("nanosleep says what is left", rest.tv_sec == 19 && rest.tv_nsec > 0);
    INTERRUPTED("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &rest) == EINTR);
    CHECK("clock_nanosleep says what is left", rest.tv_sec == 19);
    struct timespec later = {now_ms() / 1000 + 20, 0};
    rest.tv_sec = 77;
    INTERRUPTED("absolute",
                clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &later, &rest) == EINTR);
    VALUE("absolute leaves it alone", rest.tv_sec);
    INTERRUPTED("pause", pause());
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    INTERRUPTED("waitpid", waitpid(child, NULL, 0));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    fcntl(p[1], F_SETPIPE_SZ, 4096);
    static char big[8192];
    int q[2];
    NEED(pipe(q) == 0 && fcntl(q[1], F_SETPIPE_SZ, 4096) == 4096);
    INTERRUPTED("write, part done", write(q[1], big, sizeof(big)));
    INTERRUPTED("write, nothing done", write(q[1], big, 1));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    INTERRUPTED("sigwaitinfo", sigwaitinfo(&set, NULL));
    int srv = socket(AF_INET, SOCK_STREAM, 0);
    NEED(listen(srv, 1) == 0);
    INTERRUPTED("accept", accept(srv, NULL, NULL));
    NEED(mkfifo("fifo", 0600) == 0);
    INTERRUPTED("open fifo", open("fifo", O_RDONLY));
    int a = open("lock", O_RDWR | O_CREAT, 0600), b = open("lock", O_RDWR);
    NEED(flock(a, LOCK_EX) == 0);
    INTERRUPTED("flock", flock(b, LOCK_EX));
}

static void restarted(void)
{
    char c[8];
    int ep = epoll_create1(0);
    struct timespec t = {20, 0};
    feed = 1;
    arm(SA_RESTART);
    TRY("read goes on", read(p[0], c, 4));
    disarm();
    feed = 0;
    CHECK("after three signals", alarms >= 3);
    arm(SA_RESTART);
    TRY("poll does not", poll(&(struct pollfd){p[0], POLLIN, 0}, 1, 20000));
    disarm();
    arm(SA_RESTART);
    TRY("nanosleep does not", nanosleep(&t, NULL));
    disarm();
    arm(SA_RESTART);
    TRY("epoll_wait does not", epoll_wait(ep, &(struct epoll_event){0}, 1, 20000));
    disarm();
    arm(SA_RESTART);
    TRY("select does not", select(0, NULL, NULL, NULL, &(struct timeval){20, 0}));
    disarm();
    arm(SA_RESTART);
    TRY("pause does not", pause());
    disarm();
    pid_t child = fork();
    int status;
    if (child == 0) {
        sleep_ms(60);
        _exit(5);
    }
    arm(SA_RESTART);
    CHECK("waitpid goes on", waitpid(child, &status, 0) == child);
    disarm();
    show_status("child", status);
    arm(SA_RESTART);
    int sock[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
    struct timeval limit = {20, 0};
    setsockopt(sock[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    TRY("recv with SO_RCVTIMEO does not", recv(sock[0], c, 1, 0));
    disarm();
}

static void ignored(void)
{
    struct timespec t = {0, 40000000};
    struct itimerval every = {{0, 10000}, {0, 10000}};
    signal(SIGALRM, SIG_IGN);
    setitimer(ITIMER_REAL, &every, NULL);
    long long then = now_ms();
    TRY("ignored signals do not interrupt", nanosleep(&t, NULL));
    CHECK("slept it all", now_ms() - then >= 39);
    disarm();
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGALRM);
    sigprocmask(SIG_BLOCK, &s, NULL);
    arm(0);
    then = now_ms();
    TRY("blocked signals do not interrupt", nanosleep(&t, NULL));
    CHECK("slept it all again", now_ms() - then >= 39);
    disarm();
    VALUE("not handled", alarms);
    sigprocmask(SIG_UNBLOCK, &s, NULL);
    VALUE("handled once", alarms);
    handle(SIGCHLD, on_alarm, 0);
    signal(SIGCHLD, SIG_DFL);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    TRY("default-ignored signals do not interrupt", nanosleep(&t, NULL));
    waitpid(child, NULL, 0);
}

static void *interrupt(void *arg)
{
    for (int i = 0; i < 5; i++) {
        sleep_ms(10);
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
    }
    return NULL;
}

static volatile sig_atomic_t others;

static void on_other(int sig)
{
    (void)sig;
    others++;
}

static void from_threads(void)
{
    pthread_t t, me = pthread_self();
    struct timespec rest = {0, 200000000};
    int interruptions = 0;
    handle(SIGUSR1, on_other, 0);
    long long then = now_ms();
    NEED(pthread_create(&t, NULL, interrupt, &me) == 0);
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        interruptions++;
    pthread_join(t, NULL);
    CHECK("slept all the same", now_ms() - then >= 199);
    CHECK("was interrupted", interruptions >= 1 && interruptions <= 5 && others >= interruptions);
    alarm(0);
    TRY("alarm", alarm(100));
    CHECK("alarm returns what is left", alarm(0) >= 99);
    struct itimerval it = {{3, 0}, {50, 0}}, old;
    TRY("setitimer", setitimer(ITIMER_REAL, &it, NULL));
    TRY("getitimer", getitimer(ITIMER_REAL, &old));
    CHECK("its values",
          old.it_interval.tv_sec == 3 && old.it_value.tv_sec >= 40 && old.it_value.tv_sec <= 50);
    it.it_value.tv_usec = 1000000;
    TRY("setitimer bad time", setitimer(ITIMER_REAL, &it, NULL));
    TRY("getitimer unknown", syscall(SYS_getitimer, 9, &old));
    disarm();
}

int main(int argc, char **argv)
{
    start(argc, argv);
    NEED(pipe(p) == 0);
    interrupted();
    restarted();
    ignored();
    from_threads();
    return 0;
}

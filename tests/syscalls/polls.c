/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* poll, ppoll, select, pselect. */
#include "check.h"
#include <poll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/time.h>

static int p[2], file;
static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
    (void)sig;
    alarms++;
}

static void polling(void)
{
    struct pollfd f[4] = {
        {p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {file, POLLIN | POLLOUT, 0}, {-1, POLLIN, 77}};
    TRY("poll", poll(f, 4, 0));
    say("events", "%#x %#x %#x %#x", (unsigned)f[0].revents, (unsigned)f[1].revents,
        (unsigned)f[2].revents, (unsigned)f[3].revents);
    f[0].fd = 999;
    TRY("closed", poll(f, 1, -1));
    say("POLLNVAL", "%#x", (unsigned)f[0].revents);
    f[0].fd = p[0];
    long long then = now_ms();
    TRY("times out", poll(f, 1, 25));
    CHECK("in time", now_ms() - then >= 24 && now_ms() - then < 5000);
    then = now_ms();
    SYS("sleep with poll", SYS_poll, BAD_NULL, 0L, 15);
    CHECK("slept", now_ms() - then >= 14);
    SYS("nowhere", SYS_poll, BAD_LOW, 1L, 0);
    SYS("more than the limit", SYS_poll, f, 1L << 30, 0);
    f[1].events = 0;
    TRY("nothing asked", poll(f + 1, 1, 0));
    f[2].events = POLLPRI | POLLRDHUP;
    TRY("nothing of this kind", poll(f + 2, 1, 0));
    struct pollfd same[2] = {{p[1], POLLOUT, 0}, {p[1], POLLOUT, 0}};
    TRY("same twice", poll(same, 2, 0));
    struct pollfd dir = {open(".", O_RDONLY), POLLIN | POLLOUT, 0};
    TRY("directory", poll(&dir, 1, 0));
    struct pollfd zero = {open("/dev/zero", O_RDWR), POLLIN | POLLOUT, 0};
    TRY("/dev/zero", poll(&zero, 1, 0));
    say("its events", "%#x", (unsigned)zero.revents);
}

static void ppolling(void)
{
    struct pollfd f = {p[0], POLLIN, 0};
    struct timespec t = {0, 25000000};
    sigset_t block, none;
    long long then = now_ms();
    TRY("ppoll times out", ppoll(&f, 1, &t, NULL));
    CHECK("in time", now_ms() - then >= 24);
    SYS("raw ppoll", SYS_ppoll, &f, 1L, &t, NULL, 8L);
    CHECK("raw ppoll writes back the rest", t.tv_sec == 0 && t.tv_nsec == 0);
    t.tv_nsec = 1000000000;
    TRY("bad nanoseconds", ppoll(&f, 1, &t, NULL));
    t = (struct timespec){-1, 0};
    TRY("negative time", ppoll(&f, 1, &t, NULL));
    sigemptyset(&none);
    sigemptyset(&block);
    sigaddset(&block, SIGALRM);
    sigprocmask(SIG_BLOCK, &block, NULL);
    handle(SIGALRM, on_alarm, SA_RESTART);
    raise(SIGALRM);
    VALUE("blocked", alarms);
    TRY("ppoll lets it in", ppoll(&f, 1, NULL, &none));
    VALUE("handled", alarms);
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK("mask is back", sigismember(&now, SIGALRM) == 1);
    SYS("bad mask size", SYS_ppoll, &f, 1L, NULL, &none, 7L);
    SYS("mask nowhere", SYS_ppoll, &f, 1L, NULL, BAD_LOW, 8L);
    SYS("time nowhere", SYS_ppoll, &f, 1L, BAD_LOW, NULL, 8L);
    raise(SIGALRM);
    fd_set r;
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    TRY("pselect lets it in", pselect(p[0] + 1, &r, NULL, NULL, NULL, &none));
    VALUE("handled again", alarms);
    raise(SIGALRM);
    f = (struct pollfd){p[1], POLLOUT, 0};
    TRY("ready and a signal", ppoll(&f, 1, NULL, &none));
    sigprocmask(SIG_SETMASK, &none, NULL);
    VALUE("delivered in the end", alarms);
    struct itimerval it = {{0, 0}, {0, 30000}};
    setitimer(ITIMER_REAL, &it, NULL);
    f = (struct pollfd){p[0], POLLIN, 0};
    TRY("poll is not restarted", poll(&f, 1, 10000));
}

static void selecting(void)
{
    fd_set r, w, x;
    struct timeval tv = {0, 0};
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_ZERO(&x);
    FD_SET(p[0], &r);
    FD_SET(p[1], &w);
    FD_SET(file, &r);
    FD_SET(file, &w);
    FD_SET(file, &x);
    TRY("select", select(p[1] + 1, &r, &w, &x, &tv));
    say("sets", "%d %d %d %d %d", FD_ISSET(p[0], &r), FD_ISSET(p[1], &w), FD_ISSET(file, &r),
        FD_ISSET(file, &w), FD_ISSET(file, &x));
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    tv.tv_usec = 25000;
    long long then = now_ms();
    TRY("select times out", select(p[0] + 1, &r, NULL, NULL, &tv));
    CHECK("in time", now_ms() - then >= 24);
    say("set cleared, time used up", "%d %ld %ld", FD_ISSET(p[0], &r), (long)tv.tv_sec,
        (long)tv.tv_usec);
    FD_SET(p[0], &r);
    tv = (struct timeval){5, 0};
    NEED(write(p[1], "x", 1) == 1);
    TRY("ready at once", select(p[0] + 1, &r, NULL, NULL, &tv));
    CHECK("time left written", tv.tv_sec == 4 || (tv.tv_sec == 5 && tv.tv_usec == 0));
    NEED(dup2(p[0], 200) == 200 && close(200) == 0); /* the table is that large now */
    FD_SET(200, &r);
    TRY("closed", select(201, &r, NULL, NULL, &tv));
    FD_CLR(200, &r);
    TRY("negative count", select(-1, &r, NULL, NULL, &tv));
    tv = (struct timeval){-1, 0};
    TRY("negative time", select(1, NULL, NULL, NULL, &tv));
    tv = (struct timeval){0, 1500000};
    FD_SET(p[0], &r);
    TRY("microseconds carry", select(p[0] + 1, &r, NULL, NULL, &tv));
    SYS("sets nowhere", SYS_select, 10, BAD_LOW, NULL, NULL, NULL);
    tv = (struct timeval){0, 10000};
    then = now_ms();
    TRY("sleep with select", select(0, NULL, NULL, NULL, &tv));
    CHECK("slept", now_ms() - then >= 9);
    struct timespec bad = {0, -1};
    TRY("pselect bad time", pselect(0, NULL, NULL, NULL, &bad, NULL));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    file = open("f", O_RDWR | O_CREAT, 0600);
    NEED(file >= 0 && pipe(p) == 0);
    polling();
    ppolling();
    selecting();
    return 0;
}

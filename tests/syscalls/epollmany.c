/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* epoll as servers use it: one listener in several processes and threads, many edge-triggered
 * connections, one shot for each, sets shared over fork, members that go away. */
#include "check.h"
#include <netinet/in.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static int control(int ep, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, op, fd, &e);
}

static int listener(struct sockaddr_in *a)
{
    socklen_t n = sizeof(*a);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    NEED(bind(s, (void *)a, sizeof(*a)) == 0 && listen(s, 128) == 0 &&
         getsockname(s, (void *)a, &n) == 0);
    return s;
}

/* ---- workers ---- */

enum { CONNECTIONS = 200 };

/* Serves until the pipe `over` is closed; its exit status says whether anything went wrong. */
static int worker(int l, uint32_t flags, int over)
{
    int ep = epoll_create1(0);
    NEED(control(ep, EPOLL_CTL_ADD, l, EPOLLIN | flags, 0) == 0);
    NEED(control(ep, EPOLL_CTL_ADD, over, EPOLLIN, 1) == 0);
    for (;;) {
        struct epoll_event got[16];
        int n = epoll_wait(ep, got, 16, 10000);
        if (n <= 0)
            return 1;
        for (int i = 0; i < n; i++) {
            int c = (int)got[i].data.u64;
            char byte;
            if (c == 1)
                return 0;
            while (c == 0 && (c = accept4(l, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (control(ep, EPOLL_CTL_ADD, c, EPOLLIN | EPOLLET | EPOLLRDHUP, (uint64_t)c) != 0)
                    return 2;
                c = 0;
            }
            while (c > 0 && read(c, &byte, 1) == 1)
                if (write(c, &byte, 1) != 1)
                    return 3;
            if (c > 0 && got[i].events & EPOLLRDHUP)
                close(c);
        }
    }
}

static void processes(const char *name, uint32_t flags)
{
    struct sockaddr_in a;
    int l = listener(&a), good = 0, status, over[2];
    NEED(pipe(over) == 0);
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            close(over[1]);
            _exit(worker(l, flags, over[0]));
        }
    for (int i = 0; i < CONNECTIONS; i++) {
        int c = socket(AF_INET, SOCK_STREAM, 0);
        char byte = 'x';
        NEED(connect(c, (void *)&a, sizeof(a)) == 0);
        good += write(c, &byte, 1) == 1 && read(c, &byte, 1) == 1;
        close(c);
    }
    say(name, "%d answers", good);
    close(over[0]);
    close(over[1]);
    while (wait(&status) > 0)
        show_status("worker", status);
    close(l);
}

/* ---- many, edge-triggered ---- */

enum { PAIRS = 350 };

static void many(void)
{
    static int s[PAIRS][2];
    static struct epoll_event got[PAIRS];
    int ep = epoll_create1(0), n, sum = 0;
    char buf[8];
    for (int i = 0; i < PAIRS; i++) {
        NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s[i]) == 0);
        NEED(control(ep, EPOLL_CTL_ADD, s[i][0], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                     (uint64_t)i) == 0);
    }
    TRY("all writable at first", epoll_wait(ep, got, PAIRS, 0));
    TRY("and only once", epoll_wait(ep, got, PAIRS, 0));
    for (int i = 0; i < PAIRS; i += 3)
        NEED(write(s[i][1], "ab", 2) == 2);
    n = (int)TRY("every third", epoll_wait(ep, got, PAIRS, 0));
    for (int i = 0; i < n; i++)
        sum += got[i].data.u64 % 3 || !(got[i].events & EPOLLIN);
    VALUE("wrong ones", sum);
    for (int i = 0; i < n; i++)
        NEED(read(s[got[i].data.u64][0], buf, 1) == 1);
    TRY("no edge for what is left", epoll_wait(ep, got, PAIRS, 0));
    TRY("few at a time", (write(s[0][1], "c", 1), write(s[1][1], "c", 1), write(s[2][1], "c", 1),
                          epoll_wait(ep, got, 2, 0)));
    TRY("the rest", epoll_wait(ep, got, 2, 0));
    for (int i = 0; i < PAIRS; i += 2)
        close(s[i][1]);
    n = (int)TRY("half hung up", epoll_wait(ep, got, PAIRS, 0));
    sum = 0;
    for (int i = 0; i < n; i++)
        sum += (got[i].events & (EPOLLHUP | EPOLLRDHUP)) == (EPOLLHUP | EPOLLRDHUP);
    VALUE("hang-ups", sum);
    for (int i = 0; i < PAIRS; i++)
        close(s[i][0]);
    TRY("none left", epoll_wait(ep, got, PAIRS, 0));
    for (int i = 1; i < PAIRS; i += 2)
        close(s[i][1]);
    close(ep);
}

/* ---- threads, one shot each ---- */

static int shared_ep, events_seen;

static void *one_shot_thread(void *arg)
{
    struct epoll_event got;
    while (epoll_wait(shared_ep, &got, 1, 10000) == 1 && got.data.u64 != 0) {
        uint64_t count;
        if (read((int)got.data.u64, &count, 8) == 8)
            __atomic_fetch_add(&events_seen, (int)count, __ATOMIC_SEQ_CST);
        control(shared_ep, EPOLL_CTL_MOD, (int)got.data.u64, EPOLLIN | EPOLLONESHOT, got.data.u64);
    }
    return arg;
}

static void threads(void)
{
    pthread_t t[4];
    int e[8], over = eventfd(0, 0);
    shared_ep = epoll_create1(0);
    for (int i = 0; i < 8; i++) {
        e[i] = eventfd(0, EFD_NONBLOCK);
        NEED(control(shared_ep, EPOLL_CTL_ADD, e[i], EPOLLIN | EPOLLONESHOT, (uint64_t)e[i]) == 0);
    }
    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&t[i], NULL, one_shot_thread, NULL) == 0);
    for (int i = 0; i < 4000; i++)
        eventfd_write(e[i % 8], 1);
    while (__atomic_load_n(&events_seen, __ATOMIC_SEQ_CST) < 4000)
        sleep_ms(1);
    NEED(control(shared_ep, EPOLL_CTL_ADD, over, EPOLLIN, 0) == 0);
    eventfd_write(over, 1);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    VALUE("events", events_seen);
}

/* ---- over fork ---- */

static void over_fork(void)
{
    int ep = epoll_create1(0), e = eventfd(0, 0), f, status;
    struct epoll_event got[4];
    NEED(control(ep, EPOLL_CTL_ADD, e, EPOLLIN, 1) == 0);
    pid_t child = fork();
    if (child == 0) {
        eventfd_t v;
        int bad = epoll_wait(ep, got, 4, 10000) != 1 || got[0].data.u64 != 1;
        eventfd_read(e, &v);
        f = eventfd(1, 0);
        bad |= control(ep, EPOLL_CTL_ADD, f, EPOLLIN, 2) != 0;
        bad |= control(ep, EPOLL_CTL_MOD, e, EPOLLOUT, 3) != 0;
        _exit(bad);
    }
    eventfd_write(e, 1);
    waitpid(child, &status, 0);
    show_status("child", status);
    int n = (int)TRY("what the child left", epoll_wait(ep, got, 4, 0));
    for (int i = 0; i < n; i++)
        say("member", "%d %#x", (int)got[i].data.u64, got[i].events);
    TRY("removed here", control(ep, EPOLL_CTL_DEL, e, 0, 0));
    child = fork();
    if (child == 0)
        _exit(control(ep, EPOLL_CTL_ADD, e, EPOLLOUT, 4) != 0 || epoll_wait(ep, got, 4, 0) < 1);
    waitpid(child, &status, 0);
    show_status("added by a child", status);
    TRY("seen here", epoll_wait(ep, got, 4, 0));
    TRY("removed by the parent", control(ep, EPOLL_CTL_DEL, e, 0, 0));
    TRY("gone", epoll_wait(ep, got, 4, 0));
    close(e);
    close(ep);
}

/* ---- numbers used again, duplicates, other objects ---- */

static void numbers(void)
{
    int ep = epoll_create1(0), p[2], q[2];
    struct epoll_event got[4];
    NEED(pipe(p) == 0 && pipe(q) == 0);
    NEED(control(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1) == 0);
    int d = dup(p[0]);
    TRY("duplicate", control(ep, EPOLL_CTL_ADD, d, EPOLLIN, 2));
    NEED(write(p[1], "x", 1) == 1);
    TRY("both report", epoll_wait(ep, got, 4, 0));
    TRY("other object in its place", dup2(q[0], p[0]) == p[0]);
    TRY("old ones stay while one is open", epoll_wait(ep, got, 4, 0));
    TRY("number is free for the new one", control(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 3));
    TRY("change the new one", control(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 4));
    close(d);
    TRY("old ones gone", epoll_wait(ep, got, 4, 0));
    NEED(write(q[1], "y", 1) == 1);
    int n = (int)TRY("the new one", epoll_wait(ep, got, 4, 0));
    VALUE("its data", n ? (long)got[0].data.u64 : -1);
    int t = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec it = {.it_value.tv_nsec = 3000000, .it_interval.tv_nsec = 3000000};
    timerfd_settime(t, 0, &it, NULL);
    NEED(control(ep, EPOLL_CTL_DEL, p[0], 0, 0) == 0 &&
         control(ep, EPOLL_CTL_ADD, t, EPOLLIN | EPOLLET, 5) == 0);
    TRY("timer", epoll_wait(ep, got, 4, 5000));
    TRY("timer again, unread", epoll_wait(ep, got, 4, 5000));
    uint64_t ticks; /* read, since an edge may be told twice where a timer changes hands */
    NEED(read(t, &ticks, 8) == 8);
    int null = open("/dev/null", O_RDWR), nested = epoll_create1(0);
    TRY("/dev/null", control(ep, EPOLL_CTL_ADD, null, EPOLLIN, 6));
    TRY("nested", control(nested, EPOLL_CTL_ADD, ep, EPOLLIN | EPOLLET, 7));
    TRY("through it", epoll_wait(nested, got, 4, 5000));
    TRY("path only", control(ep, EPOLL_CTL_ADD, open("/dev/null", O_PATH), EPOLLIN, 8));
    TRY("EPOLLWAKEUP", control(ep, EPOLL_CTL_ADD, q[1], EPOLLOUT | EPOLLWAKEUP, 9));
    close(ep), close(t), close(null), close(nested);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    processes("level", 0);
    processes("edge", EPOLLET);
    processes("exclusive", EPOLLEXCLUSIVE);
    many();
    threads();
    over_fork();
    numbers();
    return 0;
}

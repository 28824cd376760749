/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* epoll: level, edge, one-shot, nested, errors. */
#include "check.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>

static struct epoll_event got[8];

static int add(int ep, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}

static int change(int ep, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
}

/* Prints what one wait returns, ordered by data. */
static void wait_for(const char *name, int ep, int timeout)
{
    char out[200] = "";
    int n = epoll_wait(ep, got, 8, timeout);
    if (n < 0) {
        report(name, -1);
        return;
    }
    for (uint64_t data = 0; data < 20; data++)
        for (int i = 0; i < n; i++)
            if (got[i].data.u64 == data)
                sprintf(out + strlen(out), " %d:%#x", (int)data, got[i].events);
    say(name, "%d%s", n, out);
}

static void triggers(void)
{
    int ep = (int)OK("epoll_create1", epoll_create1(EPOLL_CLOEXEC)), p[2], e;
    char c[8];
    TRY("FD_CLOEXEC", fcntl(ep, F_GETFD));
    NEED(pipe2(p, O_NONBLOCK) == 0);
    TRY("add", add(ep, p[0], EPOLLIN, 1));
    wait_for("nothing yet", ep, 0);
    NEED(write(p[1], "ab", 2) == 2);
    wait_for("level", ep, -1);
    wait_for("level again", ep, 0);
    TRY("to edge", change(ep, p[0], EPOLLIN | EPOLLET, 2));
    wait_for("edge after change", ep, 0);
    wait_for("edge once", ep, 0);
    NEED(read(p[0], c, 1) == 1);
    wait_for("part was read: no edge", ep, 0);
    NEED(write(p[1], "c", 1) == 1);
    wait_for("new bytes: edge", ep, 0);
    NEED(read(p[0], c, 8) == 2);
    TRY("to one-shot", change(ep, p[0], EPOLLIN | EPOLLONESHOT, 3));
    NEED(write(p[1], "d", 1) == 1);
    wait_for("one shot", ep, 0);
    NEED(write(p[1], "e", 1) == 1);
    wait_for("shot", ep, 0);
    TRY("arm again", change(ep, p[0], EPOLLIN | EPOLLONESHOT, 4));
    wait_for("armed", ep, 0);
    TRY("no events", change(ep, p[0], 0, 5));
    wait_for("silent", ep, 0);
    TRY("add the other end", add(ep, p[1], EPOLLOUT, 6));
    wait_for("writable", ep, 0);
    close(p[1]);
    wait_for("hang-up comes unasked", ep, 0);
    TRY("remove", epoll_ctl(ep, EPOLL_CTL_DEL, p[0], NULL));
    wait_for("removed", ep, 0);
    e = eventfd(0, EFD_NONBLOCK);
    TRY("eventfd", add(ep, e, EPOLLIN | EPOLLOUT | EPOLLET, 7));
    wait_for("eventfd writable", ep, 0);
    wait_for("eventfd quiet", ep, 0);
    eventfd_write(e, 1);
    wait_for("eventfd both", ep, 0);
    eventfd_write(e, 1);
    wait_for("eventfd edge at each write", ep, 0);
    close(e);
    wait_for("closing removes", ep, 0);
    close(ep);
}

static void errors(void)
{
    int ep = epoll_create1(0), p[2], file = open("f", O_RDWR | O_CREAT, 0600), ep2, deep[8];
    struct epoll_event e = {.events = EPOLLIN};
    NEED(pipe(p) == 0 && mkdir("d", 0700) == 0);
    TRY("create size 0", epoll_create(0));
    OK("create size 1", epoll_create(1));
    TRY("create1 unknown flag", epoll_create1(1));
    TRY("add twice", (add(ep, p[0], EPOLLIN, 1), add(ep, p[0], EPOLLIN, 1)));
    TRY("change absent", change(ep, p[1], EPOLLIN, 1));
    TRY("remove absent", epoll_ctl(ep, EPOLL_CTL_DEL, p[1], &e));
    TRY("add closed", add(ep, 999, EPOLLIN, 1));
    TRY("add to closed", add(999, p[0], EPOLLIN, 1));
    TRY("add to non-epoll", add(p[0], p[1], EPOLLIN, 1));
    TRY("add itself", add(ep, ep, EPOLLIN, 1));
    TRY("regular file", add(ep, file, EPOLLIN, 1));
    TRY("directory", add(ep, open("d", O_RDONLY), EPOLLIN, 1));
    TRY("unknown operation", epoll_ctl(ep, 9, p[1], &e));
    SYS("event nowhere", SYS_epoll_ctl, ep, EPOLL_CTL_ADD, p[1], BAD_LOW);
    SYS("event NULL", SYS_epoll_ctl, ep, EPOLL_CTL_ADD, p[1], BAD_NULL);
    TRY("no room", epoll_wait(ep, got, 0, 0));
    SYS("negative room", SYS_epoll_wait, ep, got, -1, 0);
    TRY("wait on closed", epoll_wait(999, got, 8, 0));
    TRY("wait on pipe", epoll_wait(p[0], got, 8, 0));
    NEED(write(p[1], "x", 1) == 1);
    SYS("wait to nowhere", SYS_epoll_wait, ep, BAD_LOW, 8, 0);
    SYS("wait to read-only", SYS_epoll_wait, ep, page_then_none(PROT_READ), 8, 0);
    wait_for("event is still there", ep, 0);
    ep2 = epoll_create1(0);
    TRY("nest", add(ep2, ep, EPOLLIN, 9));
    wait_for("nested", ep2, 0);
    TRY("cycle", add(ep, ep2, EPOLLIN, 1));
    char c;
    NEED(read(p[0], &c, 1) == 1);
    wait_for("nested quiet", ep2, 0);
    TRY("EPOLLEXCLUSIVE", add(ep, p[1], EPOLLOUT | EPOLLEXCLUSIVE, 1));
    TRY("change to EPOLLEXCLUSIVE", change(ep, p[0], EPOLLIN | EPOLLEXCLUSIVE, 1));
    TRY("EPOLLEXCLUSIVE with EPOLLONESHOT",
        add(ep, eventfd(0, 0), EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1));
    deep[0] = epoll_create1(0);
    int depth = 1;
    for (; depth < 8; depth++) {
        deep[depth] = epoll_create1(0);
        if (add(deep[depth], deep[depth - 1], EPOLLIN, 1) != 0)
            break;
    }
    report("too deep", depth < 8 ? -1 : 0);
    VALUE("depth reached", depth);
    TRY("read epoll", read(ep, &c, 1));
    struct stat st;
    TRY("fstat epoll", fstat(ep, &st));
}

static void waiting(void)
{
    int ep = epoll_create1(0), s[2];
    long long then = now_ms();
    TRY("empty set times out", epoll_wait(ep, got, 8, 25));
    CHECK("in time", now_ms() - then >= 24 && now_ms() - then < 5000);
    struct timespec t = {0, 20000000};
    then = now_ms();
    TRY("epoll_pwait2", syscall(SYS_epoll_pwait2, ep, got, 8, &t, NULL, 0L));
    CHECK("epoll_pwait2 in time", now_ms() - then >= 19);
    t.tv_nsec = -1;
    TRY("epoll_pwait2 bad time", syscall(SYS_epoll_pwait2, ep, got, 8, &t, NULL, 0L));
    sigset_t none;
    sigemptyset(&none);
    TRY("epoll_pwait", epoll_pwait(ep, got, 8, 0, &none));
    SYS("epoll_pwait bad set size", SYS_epoll_pwait, ep, got, 8, 0, &none, 4L);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    add(ep, s[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP, 1);
    wait_for("socket writable", ep, 0);
    shutdown(s[1], SHUT_WR);
    wait_for("peer shut down", ep, 0);
    close(s[1]);
    wait_for("peer closed", ep, 0);
    int d = dup(s[0]);
    close(s[0]);
    wait_for("open by another descriptor", ep, 0);
    close(d);
    wait_for("last one closed", ep, 0);
}

static void *poke(void *arg)
{
    sleep_ms(30);
    eventfd_write(*(int *)arg, 1);
    return NULL;
}

static void *add_later(void *arg)
{
    int *fds = arg;
    sleep_ms(30);
    add(fds[0], fds[1], EPOLLIN, 5);
    return NULL;
}

static void threads(void)
{
    int ep = epoll_create1(0), e = eventfd(0, 0), fds[2] = {ep, eventfd(1, 0)};
    pthread_t t;
    add(ep, e, EPOLLIN, 3);
    NEED(pthread_create(&t, NULL, poke, &e) == 0);
    wait_for("woken by a thread", ep, 10000);
    pthread_join(t, NULL);
    change(ep, e, EPOLLIN | EPOLLET, 3);
    wait_for("edge", ep, 0);
    NEED(pthread_create(&t, NULL, add_later, fds) == 0);
    wait_for("woken by an addition", ep, 10000);
    pthread_join(t, NULL);
}

/* More events than fit in a small buffer come with one call. */
static void many(void)
{
    enum { COUNT = 5000 };
    static struct epoll_event got[COUNT + 10];
    struct rlimit limit;
    NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_max < 3 * COUNT) {
        say("many events", "not so many descriptors");
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    TRY("soft limit to the hard one", setrlimit(RLIMIT_NOFILE, &limit));
    int ep = epoll_create1(0), fd = eventfd(1, 0);
    for (int i = 0; i < COUNT; i++) {
        int copy = dup(fd);
        NEED(copy > 0 && add(ep, copy, EPOLLIN, (uint64_t)i) == 0);
    }
    TRY("many events", epoll_wait(ep, got, COUNT + 10, 0));
    TRY("some of many", epoll_wait(ep, got, COUNT - 10, 0));
    close_range((unsigned)ep, ~0U, 0);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    triggers();
    errors();
    waiting();
    threads();
    many();
    return 0;
}

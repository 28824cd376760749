/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Socket pairs between threads that wait, under signals and time limits, and what is on its way
 * when a second process gets them. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>

extern char **environ;

static int s[2];
static char big[1 << 20], in[1 << 20];
static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
    (void)sig;
    signals++;
}

static void fresh(int type)
{
    NEED(socketpair(AF_UNIX, type, 0, s) == 0);
}

static void done(void)
{
    close(s[0]);
    close(s[1]);
}

/* ---- a thread that waits ---- */

struct call {
    enum { RECEIVE, RECEIVE_ALL, SEND, POLL, EPOLL } what;
    int fd;
    size_t n;
    long r;
    int err, events;
    pthread_t thread;
    volatile int tid;
};

static void *perform(void *arg)
{
    struct call *c = arg;
    struct pollfd p = {c->fd, POLLIN, 0};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP};
    int ep = c->what == EPOLL ? epoll_create1(0) : -1;
    if (ep >= 0)
        epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
    c->tid = (int)syscall(SYS_gettid);
    switch (c->what) {
    case RECEIVE:
        c->r = recv(c->fd, in, c->n, 0);
        break;
    case RECEIVE_ALL:
        c->r = recv(c->fd, in, c->n, MSG_WAITALL);
        break;
    case SEND:
        c->r = send(c->fd, big, c->n, 0);
        break;
    case POLL:
        c->r = poll(&p, 1, -1);
        c->events = p.revents;
        break;
    case EPOLL:
        c->r = epoll_wait(ep, &ev, 1, -1);
        c->events = (int)ev.events;
        close(ep);
    }
    c->err = c->r < 0 ? errno : 0;
    return NULL;
}

/* Asleep, as a rule. */
static void begin(struct call *c)
{
    NEED(pthread_create(&c->thread, NULL, perform, c) == 0);
    while (!c->tid)
        sched_yield();
    usleep(20000);
}

static void finish(const char *name, struct call *c)
{
    NEED(pthread_join(c->thread, NULL) == 0);
    errno = c->err;
    char line[100];
    snprintf(line, sizeof(line), "%s, events %x", name, (unsigned)c->events);
    report(line, c->r);
}

static void wakes(void)
{
    static const struct {
        const char *name;
        int type;
    } kinds[] = {{"stream", SOCK_STREAM}, {"datagrams", SOCK_DGRAM}, {"packets", SOCK_SEQPACKET}};
    for (int k = 0; k < 3; k++)
        for (int what = 0; what < 3; what++) {
            char line[100];
            struct call c = {.what = what == 0 ? RECEIVE : what == 1 ? POLL : EPOLL, .n = 100};
            fresh(kinds[k].type);
            c.fd = s[0];
            begin(&c);
            NEED(send(s[1], "hello", 5, 0) == 5);
            snprintf(line, sizeof(line), "%s %d: woken by data", kinds[k].name, what);
            finish(line, &c);
            done();
            if (kinds[k].type == SOCK_DGRAM)
                continue;
            fresh(kinds[k].type);
            c = (struct call){.what = c.what, .fd = s[0], .n = 100};
            begin(&c);
            NEED(shutdown(s[1], SHUT_WR) == 0);
            snprintf(line, sizeof(line), "%s %d: woken by shutdown", kinds[k].name, what);
            finish(line, &c);
            done();
            fresh(kinds[k].type);
            c = (struct call){.what = c.what, .fd = s[0], .n = 100};
            begin(&c);
            close(s[1]);
            snprintf(line, sizeof(line), "%s %d: woken by close", kinds[k].name, what);
            finish(line, &c);
            close(s[0]);
        }
    fresh(SOCK_STREAM);
    struct call c = {.what = RECEIVE, .fd = s[0], .n = 100};
    NEED(send(s[0], "unread", 6, 0) == 6);
    begin(&c);
    close(s[1]);
    finish("woken by close with something unread", &c);
    close(s[0]);
}

static void full(void)
{
    fresh(SOCK_STREAM);
    struct call c = {.what = SEND, .fd = s[0], .n = sizeof(big)};
    begin(&c);
    size_t got = 0;
    while (got < sizeof(in)) {
        ssize_t r = recv(s[1], in + got, sizeof(in) - got > 7000 ? 7000 : sizeof(in) - got, 0);
        if (r <= 0)
            break;
        got += (size_t)r;
    }
    finish("a megabyte sent", &c);
    CHECK("as it was", got == sizeof(big) && memcmp(big, in, got) == 0);
    c = (struct call){.what = SEND, .fd = s[0], .n = sizeof(big)};
    begin(&c);
    close(s[1]);
    NEED(pthread_join(c.thread, NULL) == 0);
    CHECK("a part sent before the close", c.r > 0 && c.r < (long)sizeof(big));
    close(s[0]);
    fresh(SOCK_STREAM);
    while (send(s[0], big, 4096, MSG_DONTWAIT) > 0)
        ;
    c = (struct call){.what = SEND, .fd = s[0], .n = 4096};
    begin(&c);
    close(s[1]);
    NEED(pthread_join(c.thread, NULL) == 0); /* it may not have been asleep yet */
    CHECK("no room, then no reader", c.r < 0 && (c.err == EPIPE || c.err == ECONNRESET));
    signals = 0;
    TRY("again", send(s[0], big, 1, 0));
    say("SIGPIPE", "%d", (int)signals);
    close(s[0]);
}

static void limits(void)
{
    struct timeval t = {0, 30000};
    fresh(SOCK_STREAM);
    NEED(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
    NEED(setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) == 0);
    long long then = now_ms();
    TRY("receive, limited", recv(s[0], in, 10, 0));
    CHECK("not at once", now_ms() - then >= 25);
    while (send(s[0], big, 4096, MSG_DONTWAIT) > 0)
        ;
    then = now_ms();
    TRY("send, limited", send(s[0], big, 4096, 0));
    CHECK("not at once", now_ms() - then >= 25);
    t = (struct timeval){0, 1000000};
    TRY("no time", setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
    TRY("short", setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, 8));
    done();
}

/* Again and again: one may come before the call waits. 0: no more. */
static void alarms(int ms, int flags)
{
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = flags};
    struct itimerval t = {.it_value = {0, ms * 1000}, .it_interval = {0, ms * 1000}};
    NEED(sigaction(SIGALRM, &act, NULL) == 0);
    NEED(setitimer(ITIMER_REAL, &t, NULL) == 0);
}

static void *send_later(void *arg)
{
    usleep(100000);
    NEED(send(*(int *)arg, "late", 4, 0) == 4);
    return NULL;
}

static void interrupted(void)
{
    struct timeval t = {5, 0};
    pthread_t helper;
    fresh(SOCK_STREAM);
    alarms(20, 0);
    TRY("interrupted", recv(s[0], in, 10, 0));
    alarms(0, SA_RESTART);
    NEED(pthread_create(&helper, NULL, send_later, &s[1]) == 0);
    alarms(20, SA_RESTART);
    TRY("goes on", recv(s[0], in, 10, 0));
    NEED(pthread_join(helper, NULL) == 0);
    NEED(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)) == 0);
    alarms(20, SA_RESTART);
    TRY("with a limit it does not", recv(s[0], in, 10, 0));
    NEED(send(s[1], "abc", 3, 0) == 3);
    alarms(20, SA_RESTART);
    TRY("all of it, interrupted after some", recv(s[0], in, 10, MSG_WAITALL));
    alarms(0, 0);
    done();
}

/* ---- a second process ---- */

static void passed_on(int type)
{
    char control[256] __attribute__((aligned(8))) = {0}, byte = 0, text[64];
    struct iovec one = {big, 5};
    struct msghdr m = {.msg_iov = &one, .msg_iovlen = 1, .msg_control = control};
    int p[2], on = 1, fd = -1;
    fresh(type);
    NEED(pipe(p) == 0 && write(p[1], "pipe", 4) == 4);
    NEED(send(s[0], "first message", 13, 0) == 13);
    m.msg_controllen = CMSG_SPACE(sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &p[0], sizeof(int));
    memcpy(big, "right", 5);
    NEED(sendmsg(s[0], &m, 0) == 5);
    close(p[0]);
    NEED(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
    NEED(send(s[0], "known", 5, 0) == 5);
    NEED(send(s[1], "back", 4, 0) == 4 || type != SOCK_STREAM);
    TRY("a part read", recv(s[1], in, 3, 0));
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        for (int i = 0; i < 5; i++) {
            one = (struct iovec){in, 100};
            memset(control, 0, sizeof(control));
            m.msg_controllen = sizeof(control);
            ssize_t r = recvmsg(s[1], &m, MSG_DONTWAIT);
            snprintf(text, sizeof(text), "type %d, message %d", type, i);
            report(text, r);
            show_bytes(text, in, r > 0 ? (size_t)r : 0);
            for (c = r >= 0 ? CMSG_FIRSTHDR(&m) : NULL; c; c = CMSG_NXTHDR(&m, c)) {
                struct ucred u;
                say(text, "control %d, %zu bytes", c->cmsg_type, (size_t)c->cmsg_len);
                memcpy(&u, CMSG_DATA(c), c->cmsg_type == SCM_CREDENTIALS ? sizeof(u) : 0);
                if (c->cmsg_type == SCM_CREDENTIALS)
                    say(text, "of %s",
                        u.pid == getppid() ? "the parent"
                        : u.pid            ? "another"
                                           : "nobody");
                else
                    memcpy(&fd, CMSG_DATA(c), sizeof(fd));
            }
        }
        say("descriptor", "%zd %d", read(fd, &byte, 1), byte);
        TRY("answer", send(s[1], "answer", 6, 0));
        _exit(0);
    }
    int status;
    NEED(waitpid(child, &status, 0) == child);
    ssize_t r = recv(s[0], in, 100, MSG_DONTWAIT);
    report("from the child", r);
    close(p[1]);
    done();
}

static void fork_beside_a_reader(void)
{
    fresh(SOCK_STREAM);
    struct call c = {.what = RECEIVE_ALL, .fd = s[0], .n = 10};
    begin(&c);
    NEED(send(s[1], "1234", 4, 0) == 4);
    usleep(10000);
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        usleep(20000);
        _exit(send(s[1], "567890", 6, 0) != 6);
    }
    finish("all, of two processes", &c);
    show_bytes("all", in, 10);
    int status;
    NEED(waitpid(child, &status, 0) == child);
    show_status("child", status);
    done();
}

static void spawned(void)
{
    char *argv[] = {"cat", NULL};
    posix_spawn_file_actions_t a;
    pid_t pid;
    fresh(SOCK_STREAM);
    NEED(send(s[0], "to cat\n", 7, 0) == 7);
    NEED(posix_spawn_file_actions_init(&a) == 0);
    posix_spawn_file_actions_adddup2(&a, s[1], 0);
    posix_spawn_file_actions_addclose(&a, s[0]);
    NEED(posix_spawn(&pid, "/bin/cat", &a, NULL, argv, environ) == 0);
    close(s[1]);
    close(s[0]);
    int status;
    NEED(waitpid(pid, &status, 0) == pid);
    show_status("cat", status);
}

/* ---- the rest ---- */

static void rooms(void)
{
    int v = 1;
    socklen_t n = sizeof(v);
    fresh(SOCK_DGRAM);
    TRY("smallest room", setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, sizeof(v)));
    NEED(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &v, &n) == 0);
    say("SO_SNDBUF", "%d", v);
    TRY("too long", send(s[0], big, (size_t)v, 0));
    TRY("longest", send(s[0], big, (size_t)v - 32, 0));
    v = 100000;
    TRY("SO_RCVBUF", setsockopt(s[0], SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)));
    NEED(getsockopt(s[0], SOL_SOCKET, SO_RCVBUF, &v, &n) == 0);
    say("SO_RCVBUF", "%d", v);
    TRY("not for sockets of no protocol", socketpair(AF_UNIX, SOCK_STREAM, 5, s));
    TRY("AF_INET", socketpair(AF_INET, SOCK_STREAM, 0, s));
    TRY("no type", socketpair(AF_UNIX, 9, 0, s));
    SYS("nowhere", SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, BAD_LOW);
    done();
    fresh(SOCK_SEQPACKET);
    TRY("empty packet", send(s[0], big, 0, 0));
    TRY("received", recv(s[1], in, 10, MSG_DONTWAIT));
    TRY("no more", recv(s[1], in, 10, MSG_DONTWAIT));
    SYS("from nowhere", SYS_sendto, s[0], BAD_LOW, 10, 0, 0, 0);
    NEED(send(s[0], "lost", 4, 0) == 4);
    SYS("to nowhere", SYS_recvfrom, s[1], BAD_LOW, 10, 0, 0, 0);
    TRY("lost", recv(s[1], in, 10, MSG_DONTWAIT));
    done();
}

/* Two sockets that hold each other and nobody else does: nothing to see but that it goes on. */
static void ring(void)
{
    for (int i = 0; i < 50; i++) {
        char control[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(8))) = {0};
        struct iovec one = {big, 1};
        struct msghdr m = {.msg_iov = &one,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
        fresh(SOCK_STREAM);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(2 * sizeof(int)),
                              .cmsg_level = SOL_SOCKET,
                              .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(c), s, sizeof(s));
        NEED(sendmsg(s[0], &m, 0) == 1);
        done();
    }
    say("rings", "left behind");
}

int main(int argc, char **argv)
{
    start(argc, argv);
    struct sigaction act = {.sa_handler = on_signal};
    NEED(sigaction(SIGPIPE, &act, NULL) == 0);
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)(i * 7 + i / 251);
    wakes();
    full();
    limits();
    interrupted();
    passed_on(SOCK_STREAM);
    passed_on(SOCK_DGRAM);
    passed_on(SOCK_SEQPACKET);
    fork_beside_a_reader();
    spawned();
    rooms();
    ring();
    return 0;
}

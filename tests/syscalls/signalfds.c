/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signals read from a descriptor. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

static int fd;

static void show(const char *name)
{
    struct signalfd_siginfo s[4];
    ssize_t n = read(fd, s, sizeof(s));
    if (n < 0) {
        report(name, -1);
        return;
    }
    for (size_t i = 0; i < (size_t)n / sizeof(s[0]); i++)
        say(name, "signal %d code %d own %d int %d status %d", (int)s[i].ssi_signo,
            (int)s[i].ssi_code, s[i].ssi_pid == (uint32_t)getpid(), (int)s[i].ssi_int,
            (int)s[i].ssi_status);
}

static int ready(int timeout)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, timeout);
}

static void *later(void *arg)
{
    sleep_ms(30);
    kill(getpid(), *(int *)arg);
    return NULL;
}

static void *reader(void *arg)
{
    struct signalfd_siginfo s;
    (void)arg;
    return (void *)(read(fd, &s, sizeof(s)) == sizeof(s) ? (long)s.ssi_int : -1L);
}

/* Each waiting reader gets one; one that is meant for a thread only that thread can see. */
static void readers(void)
{
    enum { N = 4 };
    pthread_t t[N];
    void *got;
    long sum = 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 2);
    fd = signalfd(-1, &set, 0);
    for (int i = 0; i < N; i++)
        NEED(pthread_create(&t[i], NULL, reader, NULL) == 0);
    tgkill(getpid(), gettid(), SIGRTMIN + 2); /* nobody's but ours */
    sleep_ms(20);
    for (int i = 0; i < N; i++)
        sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 1 << i});
    for (int i = 0; i < N; i++) {
        pthread_join(t[i], &got);
        sum += (long)got;
    }
    VALUE("all were read", sum);
    VALUE("ours", ready(0));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    show("ours");
    show("no more");
    close(fd);
}

/* execve keeps what is pending, and the descriptor. */
static void over_exec(const char *self, const char *scratch)
{
    char number[12];
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    fd = signalfd(-1, &set, SFD_NONBLOCK);
    int child = fork();
    if (child == 0) {
        raise(SIGUSR2);
        kill(getpid(), SIGUSR2);
        snprintf(number, sizeof(number), "%d", fd);
        execl(self, self, scratch, number, NULL);
        _exit(9);
    }
    int status;
    NEED(waitpid(child, &status, 0) == child);
    show_status("after execve", status);
    close(fd);
}

static int after_exec(const char *number)
{
    fd = atoi(number);
    VALUE("kept over execve", ready(0));
    show("signal");
    show("signal");
    show("no more");
    return 0;
}

int main(int argc, char **argv)
{
    start(argc, argv);
    if (argc > 2)
        return after_exec(argv[2]);
    sigset_t set, more;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGALRM);
    sigaddset(&set, SIGRTMIN + 2);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    kill(getpid(), SIGUSR2);
    fd = (int)OK("signalfd", signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    CHECK("flags", fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
    VALUE("pending before it was made", ready(0));
    show("read");
    VALUE("not ready", ready(0));
    show("nothing there");
    kill(getpid(), SIGUSR1);
    VALUE("ready", ready(0));
    VALUE("still ready", ready(0));
    union sigval v = {.sival_int = 7};
    sigqueue(getpid(), SIGRTMIN + 2, v);
    v.sival_int = 8;
    sigqueue(getpid(), SIGRTMIN + 2, v);
    show("three");
    VALUE("empty", ready(0));
    raise(SIGUSR1);
    show("to the thread");
    int child = fork();
    if (child == 0)
        _exit(3);
    VALUE("a child ends", ready(5000));
    show("SIGCHLD");
    waitpid(child, NULL, 0);
    alarm(1);
    VALUE("alarm", ready(5000));
    show("SIGALRM");
    int sig = SIGUSR2, ep = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN};
    pthread_t t;
    NEED(ep >= 0);
    TRY("epoll", epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    NEED(pthread_create(&t, NULL, later, &sig) == 0);
    TRY("epoll_wait", epoll_wait(ep, &e, 1, 5000));
    pthread_join(t, NULL);
    show("by epoll");
    TRY("no longer", epoll_wait(ep, &e, 1, 0));
    fcntl(fd, F_SETFL, 0);
    NEED(pthread_create(&t, NULL, later, &sig) == 0);
    show("read waits");
    pthread_join(t, NULL);
    sigemptyset(&more);
    sigaddset(&more, SIGUSR1);
    CHECK("change the mask", signalfd(fd, &more, 0) == fd);
    kill(getpid(), SIGUSR2);
    VALUE("not in the mask", ready(0));
    CHECK("back again", signalfd(fd, &set, 0) == fd);
    VALUE("pending all the while", ready(0));
    signalfd(fd, &set, 0);
    child = fork();
    if (child == 0) {
        VALUE("nothing pending in a child", ready(0));
        raise(SIGUSR1);
        VALUE("its own", ready(0));
        show("in the child");
        VALUE("no more", ready(0));
        _exit(0);
    }
    NEED(waitpid(child, NULL, 0) == child);
    VALUE("still pending in the parent", ready(0));
    signalfd(fd, &more, 0);
    VALUE("not in the mask again", ready(0));
    signalfd(fd, &set, 0);
    struct timespec none = {0, 0};
    TRY("taken another way", sigtimedwait(&set, NULL, &none));
    VALUE("gone", ready(0));
    TRY("too small", read(fd, &e, 8));
    TRY("write", write(fd, &e, 8));
    TRY("not one", signalfd(0, &set, 0));
    TRY("closed", signalfd(999, &set, 0));
    TRY("bad flags", signalfd(-1, &set, 1));
    SYS("bad size", SYS_signalfd4, -1, &set, 4, 0);
    SYS("nowhere", SYS_signalfd4, -1, BAD_LOW, 8, 0);
    readers();
    over_exec(argv[0], argv[1]);
    return 0;
}

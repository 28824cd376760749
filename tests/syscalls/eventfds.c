/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* eventfd: counting, semaphore, overflow, waiting. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>

static uint64_t v;

static long get(int fd)
{
    v = 0;
    return read(fd, &v, 8);
}

static long set(int fd, uint64_t x)
{
    return write(fd, &x, 8);
}

static int events(int fd)
{
    struct pollfd f = {fd, POLLIN | POLLOUT, 0};
    poll(&f, 1, 0);
    return f.revents;
}

static void counting(void)
{
    uint64_t two[2] = {0};
    int fd = (int)OK("eventfd", eventfd(5, EFD_NONBLOCK));
    say("flags", "%#x %d", (unsigned)fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
    TRY("read", get(fd));
    VALUE("value", v);
    TRY("read empty", get(fd));
    say("poll empty", "%#x", (unsigned)events(fd));
    TRY("add 3", set(fd, 3));
    TRY("add 4", set(fd, 4));
    say("poll filled", "%#x", (unsigned)events(fd));
    TRY("read sum", get(fd));
    VALUE("sum", v);
    TRY("add nothing", set(fd, 0));
    TRY("read nothing", get(fd));
    TRY("largest", set(fd, UINT64_MAX - 1));
    say("poll full", "%#x", (unsigned)events(fd));
    TRY("one more", set(fd, 1));
    TRY("invalid value", set(fd, UINT64_MAX));
    TRY("read largest", get(fd));
    CHECK("is largest", v == UINT64_MAX - 1);
    TRY("short read", read(fd, &v, 7));
    TRY("short write", write(fd, &v, 4));
    TRY("long read", (set(fd, 9), read(fd, two, 16)));
    say("long read value", "%d %d", (int)two[0], (int)two[1]);
    TRY("pread", pread(fd, &v, 8, 0));
    SYS("write from nowhere", SYS_write, fd, BAD_LOW, 8L);
    set(fd, 1);
    TRY("sendfile to itself", sendfile(fd, fd, NULL, 8));
    SYS("read to nowhere", SYS_read, fd, BAD_LOW, 8L);
    TRY("unknown flag", eventfd(0, 0x1000));
    SYS("flags of eventfd2", SYS_eventfd2, 0, EFD_CLOEXEC + 1 + 2);
    fd = eventfd(0, EFD_CLOEXEC);
    TRY("EFD_CLOEXEC", fcntl(fd, F_GETFD));
}

static void semaphore(void)
{
    int fd = (int)OK("semaphore", eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
    TRY("first", get(fd));
    VALUE("one", v);
    TRY("second", get(fd));
    TRY("third", get(fd));
    TRY("post 2", set(fd, 2));
    TRY("fourth", get(fd));
    say("still there", "%#x", (unsigned)events(fd));
}

static void *post_later(void *arg)
{
    sleep_ms(30);
    set(*(int *)arg, 7);
    return NULL;
}

static void *drain_later(void *arg)
{
    uint64_t x;
    sleep_ms(30);
    return (void *)read(*(int *)arg, &x, 8);
}

static void *take_hundred(void *arg)
{
    uint64_t x;
    for (int i = 0; i < 100; i++)
        if (read(*(int *)arg, &x, 8) != 8)
            return (void *)1;
    return NULL;
}

static void waiting(void)
{
    pthread_t t[4];
    int fd = eventfd(0, 0);
    long long then = now_ms();
    NEED(pthread_create(t, NULL, post_later, &fd) == 0);
    TRY("read waits", get(fd));
    VALUE("posted", v);
    CHECK("waited", now_ms() - then >= 25);
    pthread_join(*t, NULL);
    set(fd, UINT64_MAX - 1);
    NEED(pthread_create(t, NULL, drain_later, &fd) == 0);
    TRY("write waits", set(fd, 5));
    pthread_join(*t, NULL);
    TRY("after it", (get(fd), (long)v));
    int sem = eventfd(0, EFD_SEMAPHORE);
    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&t[i], NULL, take_hundred, &sem) == 0);
    for (int i = 0; i < 40; i++)
        set(sem, 10);
    long failed = 0;
    for (int i = 0; i < 4; i++) {
        void *r;
        pthread_join(t[i], &r);
        failed += r != NULL;
    }
    VALUE("semaphore threads failed", failed);
    say("semaphore empty", "%#x", (unsigned)events(sem));
}

static void shared(void)
{
    int fd = eventfd(0, 0), status;
    pid_t child = fork();
    if (child == 0)
        _exit(set(fd, 11) == 8 ? 0 : 1);
    TRY("from the child", get(fd));
    VALUE("its value", v);
    waitpid(child, &status, 0);
    show_status("child", status);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    counting();
    semaphore();
    waiting();
    shared();
    return 0;
}

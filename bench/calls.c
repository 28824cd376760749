/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* calls getppid|kill|queue|clock|eventfd|pipe|epoll|timerfd|timer|expiry|sleep|open FILE|stat FILE|
 * rename FILE|mmap|pread FILE|pwrite FILE: prints the nanoseconds of one call. The median slice
 * counts (slices.h). */
#define _GNU_SOURCE
#include "slices.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { SLICES = 501, BLOCK = 4096 };

static char buffer[BLOCK];

static void getppid_raw(int fd, long n)
{
    (void)fd;
    for (long i = 0; i < n; i++) {
        long ret;
        __asm__ volatile("mov %1, %%eax\n\tsyscall"
                         : "=a"(ret)
                         : "i"(SYS_getppid)
                         : "rcx", "r11", "memory");
    }
}

static void kill_self(int fd, long n)
{
    (void)fd;
    int me = getpid();
    for (long i = 0; i < n; i++)
        if (kill(me, 0))
            exit(1);
}

static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
    (void)sig;
    handled = 1;
}

static void queue_to_self(int fd, long n)
{
    (void)fd;
    int me = getpid();
    signal(SIGUSR1, on_signal);
    for (long i = 0; i < n; i++) {
        handled = 0;
        if (sigqueue(me, SIGUSR1, (union sigval){0}) || !handled)
            exit(1);
    }
}

static void clock_call(int fd, long n)
{
    (void)fd;
    struct timespec t;
    for (long i = 0; i < n; i++)
        clock_gettime(CLOCK_MONOTONIC, &t);
}

static void pread_block(int fd, long n)
{
    for (long i = 0; i < n; i++)
        if (pread(fd, buffer, BLOCK, (i & 255) * BLOCK) != BLOCK)
            exit(1);
}

static void pwrite_block(int fd, long n)
{
    for (long i = 0; i < n; i++)
        if (pwrite(fd, buffer, BLOCK, (i & 255) * BLOCK) != BLOCK)
            exit(1);
}

static const char *file_name;

static void open_close(int fd, long n)
{
    (void)fd;
    for (long i = 0; i < n; i++)
        if ((fd = open(file_name, O_RDONLY)) < 0 || close(fd))
            exit(1);
}

static void stat_file(int fd, long n)
{
    struct stat st;
    (void)fd;
    for (long i = 0; i < n; i++)
        if (stat(file_name, &st))
            exit(1);
}

/* To another name and back. */
static void rename_file(int fd, long n)
{
    char other[4096];
    (void)fd;
    snprintf(other, sizeof other, "%s.moved", file_name);
    for (long i = 0; i < n; i += 2)
        if (rename(file_name, other) || rename(other, file_name))
            exit(1);
}

static void map_touch_unmap(int fd, long n)
{
    enum { SIZE = 65536 };
    (void)fd;
    for (long i = 0; i < n; i++) {
        char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            exit(1);
        for (long at = 0; at < SIZE; at += 4096)
            p[at] = 1;
        munmap(p, SIZE);
    }
}

static void count_up_down(int fd, long count)
{
    uint64_t v = 1;
    int e = eventfd(0, 0);
    (void)fd;
    while (count--)
        if (write(e, &v, 8) != 8 || read(e, &v, 8) != 8)
            abort();
    close(e);
}

static void byte_through(int fd, long count)
{
    int p[2];
    char c = 1;
    (void)fd;
    if (pipe(p) != 0)
        abort();
    while (count--)
        if (write(p[1], &c, 1) != 1 || read(p[0], &c, 1) != 1)
            abort();
    close(p[0]);
    close(p[1]);
}

/* A ready event counter beside a socket of the host that is not. */
static void wait_for_one(int fd, long count)
{
    int e = eventfd(1, 0), s = socket(AF_INET, SOCK_DGRAM, 0), ep = epoll_create1(0);
    struct epoll_event ev = {.events = EPOLLIN}, out[4];
    (void)fd;
    if (epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev) != 0 || epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev) != 0)
        abort();
    while (count--)
        if (epoll_wait(ep, out, 4, -1) != 1)
            abort();
    close(ep);
    close(s);
    close(e);
}

static const struct itimerspec over = {.it_value.tv_nsec = 1};

static void set_and_read(int fd, long count)
{
    uint64_t ticks;
    int t = timerfd_create(CLOCK_MONOTONIC, 0);
    (void)fd;
    while (count--)
        if (timerfd_settime(t, TFD_TIMER_ABSTIME, &over, NULL) != 0 || read(t, &ticks, 8) != 8)
            abort();
    close(t);
}

/* A limit that is put off again and again, as by servers. */
static void put_off(int fd, long count)
{
    timer_t t;
    struct itimerspec later = {.it_value.tv_sec = 100};
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    (void)fd;
    if (timer_create(CLOCK_MONOTONIC, &e, &t) != 0)
        abort();
    while (count--)
        if (timer_settime(t, 0, &later, NULL) != 0)
            abort();
    timer_delete(t);
}

static void expire_and_wait(int fd, long count)
{
    timer_t t;
    sigset_t set;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    (void)fd;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (timer_create(CLOCK_MONOTONIC, &e, &t) != 0)
        abort();
    while (count--)
        if (timer_settime(t, TIMER_ABSTIME, &over, NULL) != 0 || sigwaitinfo(&set, NULL) != SIGUSR1)
            abort();
    timer_delete(t);
}

static void sleep_shortly(int fd, long count)
{
    struct timespec ts = {.tv_nsec = 50000};
    (void)fd;
    while (count--)
        nanosleep(&ts, NULL);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(int, long);
        long count;
        int flags;
    } kinds[] = {
        {"kill", kill_self, 1000, -1},         {"queue", queue_to_self, 200, -1},
        {"getppid", getppid_raw, 1000, -1},    {"clock", clock_call, 2000, -1},
        {"eventfd", count_up_down, 500, -1},   {"pipe", byte_through, 500, -1},
        {"epoll", wait_for_one, 200, -1},      {"open", open_close, 100, O_RDONLY},
        {"stat", stat_file, 200, O_RDONLY},    {"rename", rename_file, 50, O_RDONLY},
        {"mmap", map_touch_unmap, 5, -1},      {"pread", pread_block, 256, O_RDONLY},
        {"pwrite", pwrite_block, 256, O_RDWR}, {"timerfd", set_and_read, 200, -1},
        {"timer", put_off, 500, -1},           {"expiry", expire_and_wait, 100, -1},
        {"sleep", sleep_shortly, 2, -1},
    };
    for (size_t k = 0; argc > 1 && k < sizeof kinds / sizeof *kinds; k++) {
        if (strcmp(argv[1], kinds[k].name) != 0)
            continue;
        int fd = -1;
        if (kinds[k].flags >= 0 && (argc < 3 || (fd = open(argv[2], kinds[k].flags)) < 0)) {
            perror("open");
            return 1;
        }
        file_name = argv[2];
        double slices[SLICES];
        for (int i = -20; i < SLICES; i++) { /* the first warm up */
            uint64_t begin = now();
            kinds[k].run(fd, kinds[k].count);
            if (i >= 0)
                slices[i] = (double)(now() - begin) / (double)kinds[k].count;
        }
        printf("%.2f\n", median(slices, SLICES));
        return 0;
    }
    fprintf(stderr, "usage: calls getppid|kill|queue|clock|eventfd|pipe|epoll|timerfd|timer|expiry|"
                    "sleep|open FILE|stat FILE|rename FILE|mmap|pread FILE|pwrite FILE\n");
    return 2;
}

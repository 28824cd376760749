/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Random sequences over pipes, event counters, poll and epoll: what each call returns, and for the
 * waits who is ready with which events, must be the same. One line for each 256 steps, the digest
 * of their outcomes; with EVENTS_SHOW set, one for each step. EVENTS_STEPS and EVENTS_SEED as
 * numbers change the length and the sequence. A fork now and then makes everything shared, after
 * which the child's and the parent's steps take turns. Where an object may change hands (fork,
 * fstat, a watched epoll) no member is edge triggered or for one shot: an edge reported twice is no
 * error (epoll(7)).
 */
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

enum { OBJECTS = 12, EPOLLS = 3, MEMBERS = 64 };

static uint64_t random_state, digest;
static int fds[2 * OBJECTS]; /* even: what is read; odd: what is written; -1: none */
static int epolls[EPOLLS];
static bool show, edges; /* edges: members with flags, and no object changes hands */
static long steps_done;

static uint32_t draw(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 20) % n;
}

__attribute__((format(printf, 1, 2))) static void note(const char *fmt, ...)
{
    char line[2000];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    for (int i = 0; i < n && i < (int)sizeof(line); i++)
        digest = (digest ^ (unsigned char)line[i]) * 0x100000001b3;
    if (show)
        say("step", "%ld %s", steps_done, line);
}

/* A result, or the name of its error. */
static const char *outcome(long r)
{
    static char text[32];
    if (r < 0)
        return errno_name(errno);
    snprintf(text, sizeof(text), "%ld", r);
    return text;
}

static int some_fd(void)
{
    return fds[draw(2 * OBJECTS)];
}

static void forget(int fd)
{
    for (int i = 0; i < 2 * OBJECTS; i++)
        if (fds[i] == fd)
            fds[i] = -1;
}

static void make(void)
{
    int i = (int)draw(OBJECTS), pair[2];
    if (fds[2 * i] >= 0 || fds[2 * i + 1] >= 0)
        return;
    if (draw(2)) {
        note("pipe %s", outcome(pipe2(pair, O_NONBLOCK)));
        fds[2 * i] = pair[0], fds[2 * i + 1] = pair[1];
    } else {
        fds[2 * i] = fds[2 * i + 1] =
            eventfd(draw(3), EFD_NONBLOCK | (draw(4) ? 0 : EFD_SEMAPHORE));
        note("eventfd %d", fds[2 * i]);
    }
}

static char data[70000];

static size_t some_length(void)
{
    static const size_t usual[] = {1, 7, 8, 8, 8, 100, 4095, 4096, 4097, 10000, 65536, 70000};
    return usual[draw(sizeof(usual) / sizeof(usual[0]))];
}

static uint64_t sum(const char *p, ssize_t n)
{
    uint64_t h = 0;
    for (ssize_t i = 0; i < n; i++)
        h = h * 31 + (unsigned char)p[i];
    return h;
}

static void do_read(int fd)
{
    static char in[sizeof(data)];
    size_t n = some_length();
    errno = 0;
    ssize_t r = read(fd, in, n);
    note("read %d %zu: %s %lx", fd, n, outcome(r), sum(in, r));
}

static void do_write(int fd)
{
    size_t n = some_length(), at = draw(1000);
    if (n + at > sizeof(data))
        at = 0;
    if (n == 8 || draw(3) == 0) {
        uint64_t v = draw(50) ? draw(4) : UINT64_MAX - 1;
        note("write8 %d: %s", fd, outcome(write(fd, &v, 8)));
    } else {
        for (int i = 0; i < OBJECTS; i++) /* what a counter says to more depends on the kernel */
            if (fds[2 * i] == fd && fds[2 * i + 1] == fd)
                n = n < 8 ? n : 8;
        note("write %d %zu: %s", fd, n, outcome(write(fd, data + at, n)));
    }
}

static void do_poll(void)
{
    struct pollfd p[8];
    char text[400];
    int n = 1 + (int)draw(8), at = 0;
    for (int i = 0; i < n; i++)
        p[i] = (struct pollfd){some_fd(),
                               (short)(draw(4) == 0 ? POLLIN | POLLOUT | POLLRDNORM
                                       : draw(2)    ? POLLIN
                                                    : POLLOUT),
                               77};
    int r = poll(p, (nfds_t)n, draw(6) ? 0 : 1);
    for (int i = 0; i < n; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, " %d:%x", p[i].fd,
                       (unsigned)p[i].revents);
    note("poll %s%s", outcome(r), text);
}

static void do_control(void)
{
    static const uint32_t flags[] = {0, 0, EPOLLET, EPOLLET, EPOLLONESHOT, EPOLLONESHOT | EPOLLET};
    int ep = epolls[draw(EPOLLS)], fd = some_fd(), op = 1 + (int)draw(3);
    struct epoll_event ev = {.events = (draw(3) ? EPOLLIN : 0) | (draw(2) ? EPOLLOUT : 0) |
                                       flags[draw(6)] * edges};
    ev.data.u64 = (uint64_t)(unsigned)fd << 32 | draw(100);
    note("ctl %d %d %d %x: %s", ep, op, fd, ev.events, outcome(epoll_ctl(ep, op, fd, &ev)));
}

static int by_data(const void *a, const void *b)
{
    const struct epoll_event *x = a, *y = b;
    return x->data.u64 < y->data.u64 ? -1 : x->data.u64 > y->data.u64;
}

static void do_wait(void)
{
    struct epoll_event ev[MEMBERS];
    char text[1500] = "";
    int ep = epolls[draw(EPOLLS)], at = 0;
    int r = epoll_wait(ep, ev, MEMBERS, draw(6) ? 0 : 1);
    if (r > 0) /* who comes first is not laid down */
        qsort(ev, (size_t)r, sizeof(ev[0]), by_data);
    for (int i = 0; i < r; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, " %lx:%x", (long)ev[i].data.u64,
                       ev[i].events);
    note("wait %d: %s%s", ep, outcome(r), text);
}

static void do_odd(void)
{
    int fd = some_fd(), n = -1, what = (int)draw(12);
    if (edges && (what < 2 || what == 5))
        return;
    switch (what) {
    case 0: /* what makes an object the host's */
        note("fionread %d: %s", fd, outcome(ioctl(fd, FIONREAD, &n)));
        break;
    case 1: {
        struct stat st;
        note("fstat %d: %s", fd, outcome(fstat(fd, &st)));
        break;
    }
    case 2:
    case 3:
        note("flags %d: %s", fd, outcome(fcntl(fd, F_GETFL)));
        break;
    case 4: {
        int copy = dup(fd);
        note("dup %d: %s", fd, copy < 0 ? errno_name(errno) : "ok");
        if (copy >= 0)
            close(copy);
        break;
    }
    case 5: {
        struct pollfd p = {epolls[draw(EPOLLS)], POLLIN, 0};
        int r = poll(&p, 1, 0);
        note("poll of epoll: %d %x", r, (unsigned)p.revents);
        break;
    }
    default:
        if (draw(3) == 0 && fd >= 0) {
            note("close %d: %s", fd, outcome(close(fd)));
            forget(fd);
        }
    }
}

static void step(void)
{
    steps_done++;
    switch (draw(16)) {
    case 0:
        make();
        break;
    case 1:
        if (draw(3) == 0)
            do_odd();
        break;
    case 2 ... 4:
        do_read(some_fd());
        break;
    case 5 ... 7:
        do_write(some_fd());
        break;
    case 8 ... 9:
        do_poll();
        break;
    case 10 ... 12:
        do_control();
        break;
    default:
        do_wait();
    }
}

static void run_steps(const char *who, long n)
{
    for (long i = 0; i < n; i++) {
        step();
        if (steps_done % 256 == 0)
            say(who, "%ld %016lx", steps_done, digest);
    }
}

/* The child goes first, then the parent, on the same objects. */
static void fork_and_go_on(void)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        run_steps("child", 300);
        _exit(0);
    }
    int status;
    NEED(waitpid(child, &status, 0) == child);
    show_status("child ended", status);
}

static void fresh(void)
{
    for (int fd = 3; fd < 100; fd++)
        close(fd);
    memset(fds, 0xff, sizeof(fds));
    for (int i = 0; i < EPOLLS; i++)
        epolls[i] = epoll_create1(0);
}

int main(int argc, char **argv)
{
    const char *steps = getenv("EVENTS_STEPS"), *seed = getenv("EVENTS_SEED");
    long left = steps ? atol(steps) : 100000;
    start(argc, argv);
    show = getenv("EVENTS_SHOW") != NULL;
    signal(SIGPIPE, SIG_IGN);
    random_state = 0x9e3779b97f4a7c15 ^ (seed ? strtoul(seed, NULL, 0) * 0x100000001 : 0);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 + i / 251);
    for (; left > 0; left -= 1000) {
        fresh();
        edges = draw(2);
        run_steps("steps", 700);
        if (!edges && draw(4) == 0)
            fork_and_go_on();
        run_steps("steps", 300);
    }
    return 0;
}

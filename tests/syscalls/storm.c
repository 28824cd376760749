/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signals every 50 us, wherever the thread is: in reads of a trusted file (the program itself), in
 * waits with time limits. Each call does what it does without signals, or EINTR. */
#include "check.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/time.h>

#define SIGNALS 1500

static volatile sig_atomic_t arrived;

static void on_alarm(int sig)
{
    (void)sig;
    arrived++;
}

static char first[PAGE], again[PAGE];
static int file, epoll, word;

static bool reading(void)
{
    return pread(file, again, PAGE, PAGE) == PAGE && memcmp(first, again, PAGE) == 0;
}

static bool times_out(long r)
{
    return r == 0 || (r < 0 && (errno == EINTR || errno == ETIMEDOUT));
}

static bool waiting(void)
{
    struct timespec short_time = {0, 20000};
    struct epoll_event e;
    return times_out(epoll_wait(epoll, &e, 1, 1)) && times_out(poll(NULL, 0, 1)) &&
           times_out(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &short_time, NULL, 0)) &&
           times_out(nanosleep(&short_time, NULL));
}

static void storm(const char *name, bool (*call)(void))
{
    struct itimerval every = {{0, 50}, {0, 50}}, off = {0};
    long wrong = 0;
    arrived = 0;
    setitimer(ITIMER_REAL, &every, NULL);
    while (arrived < SIGNALS)
        wrong += !call();
    setitimer(ITIMER_REAL, &off, NULL);
    say(name, "%ld wrong", wrong);
}

int main(int argc, char **argv)
{
    (void)argc;
    file = open(argv[0], O_RDONLY);
    epoll = epoll_create1(0);
    NEED(file >= 0 && epoll >= 0 && pread(file, first, PAGE, PAGE) == PAGE);
    handle(SIGALRM, on_alarm, SA_RESTART);
    storm("trusted file", reading);
    storm("time limits", waiting);
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Random sequences over timerfds, POSIX and interval timers, signalfds, signals, poll and epoll:
 * what each call returns must be the same. Time is a matter of logic: a timer is set for what is
 * over, and then waited for, or for a day that does not come; intervals are longer than the clocks
 * have run. One line for each 256 steps, the digest of their outcomes; with EXPIRIES_SHOW set, one
 * for each step. EXPIRIES_STEPS and EXPIRIES_SEED as numbers change the length and the sequence.
 * All signals are blocked; those of a timer are taken before it is set anew or deleted, since
 * kernels before Linux 6.13 deliver what the old setting sent. A fork now and then shares the
 * descriptors.
 */
#include "check.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/timerfd.h>

enum { FDS = 6, SIGNALFDS = 4, TIMERS = 6, EPOLLS = 3, MEMBERS = 32 };

#define HUGE_SECONDS 4000000000L /* no clock has run as long */

static const int signals[] = {SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGCHLD};
static const int clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_TAI};

static uint64_t random_state, digest;
static int timerfds[FDS], signalfds[SIGNALFDS], epolls[EPOLLS];
static struct timer {
    bool is, quiet;
    int id, signal;
} timers[TIMERS];
static bool show, edges; /* edges: members with flags, and no object changes hands */
static bool in_child;
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

static int some_signal(void)
{
    uint32_t n = draw(8);
    return n < 5 ? signals[n] : SIGRTMIN + (int)n - 5;
}

static sigset_t some_set(void)
{
    sigset_t set;
    sigemptyset(&set);
    for (uint32_t n = 0; n < 8; n++)
        if (draw(2))
            sigaddset(&set, n < 5 ? signals[n] : SIGRTMIN + (int)n - 5);
    return set;
}

static int some_fd(void)
{
    return draw(2) ? timerfds[draw(FDS)] : signalfds[draw(SIGNALFDS)];
}

/* ---- times ---- */

enum when { OFF, FAR, OVER, SOON };

static const char *kind_of(const struct timespec *t)
{
    return t->tv_sec > 1000 ? "far" : t->tv_sec || t->tv_nsec ? "near" : "zero";
}

static const char *show_value(const struct itimerspec *v)
{
    static char text[60];
    snprintf(text, sizeof(text), "%s/%ld", kind_of(&v->it_value), (long)v->it_interval.tv_sec);
    return text;
}

static enum when some_value(struct itimerspec *v, int *flags)
{
    enum when when = draw(6) == 0 ? OFF : draw(3) == 0 ? FAR : draw(2) ? OVER : SOON;
    *v = (struct itimerspec){.it_interval.tv_sec = draw(2) ? HUGE_SECONDS : 0};
    *flags = when == OVER || (when == FAR && draw(2)) ? TIMER_ABSTIME : 0;
    if (when == FAR)
        v->it_value.tv_sec = HUGE_SECONDS;
    else if (when != OFF)
        v->it_value.tv_nsec = 1;
    return when;
}

/* ---- timers that are read ---- */

static void make_timerfd(void)
{
    int i = (int)draw(FDS);
    if (timerfds[i] >= 0)
        return;
    timerfds[i] = timerfd_create(clocks[draw(3)], TFD_NONBLOCK | (draw(2) ? TFD_CLOEXEC : 0));
    note("timerfd %d", timerfds[i]);
}

static void set_timerfd(void)
{
    struct itimerspec v, old;
    int fd = timerfds[draw(FDS)], flags;
    enum when when = some_value(&v, &flags);
    memset(&old, 0, sizeof(old));
    long r = timerfd_settime(fd, flags, &v, &old);
    note("set %d %d: %s %s", fd, (int)when, outcome(r), show_value(&old));
    struct pollfd p = {fd, POLLIN, 0};
    if (r == 0 && when >= OVER && poll(&p, 1, 20000) != 1)
        say("never expired", "%d", fd);
}

static void get_timerfd(void)
{
    struct itimerspec v = {0};
    int fd = draw(8) ? timerfds[draw(FDS)] : some_fd();
    long r = timerfd_gettime(fd, &v);
    note("get %d: %s %s", fd, outcome(r), show_value(&v));
}

static void show_info(char *to, size_t room, const struct signalfd_siginfo *s)
{
    snprintf(to, room, " %u.%d.%d.%u.%d", s->ssi_signo, s->ssi_code, (int)s->ssi_int,
             s->ssi_overrun, s->ssi_pid != 0);
}

static void do_read(int fd)
{
    struct signalfd_siginfo in[3];
    char text[400] = "";
    size_t n = draw(20) ? sizeof(in[0]) * (1 + draw(3)) : draw(10);
    ssize_t r = read(fd, in, n);
    if (r > 8)
        for (size_t i = 0, at = 0; i < (size_t)r / sizeof(in[0]); i++, at = strlen(text))
            show_info(text + at, sizeof(text) - at, &in[i]);
    else if (r == 8)
        snprintf(text, sizeof(text), " %ld", *(long *)in);
    note("read %d %zu: %s%s", fd, n, outcome(r), text);
}

/* ---- timers that send ---- */

/* Whatever is pending of `sig`. */
static void drain(int sig)
{
    sigset_t set;
    siginfo_t i;
    sigemptyset(&set);
    sigaddset(&set, sig);
    while (sigtimedwait(&set, &i, &(struct timespec){0, 0}) > 0)
        note("drained %d %d %d", sig, i.si_code, i.si_code == SI_TIMER ? i.si_value.sival_int : 0);
}

static void make_timer(void)
{
    struct timer *t = &timers[draw(TIMERS)];
    struct sigevent e = {.sigev_signo = some_signal(), .sigev_value.sival_int = (int)draw(1000)};
    uint32_t how = draw(4);
    if (t->is)
        return;
    e.sigev_notify = how == 0 ? SIGEV_NONE : how == 1 ? SIGEV_THREAD_ID : SIGEV_SIGNAL;
    e._sigev_un._tid = gettid();
    long r = syscall(SYS_timer_create, clocks[draw(4)], &e, &t->id);
    note("timer %d: %s", how, outcome(r));
    t->is = r == 0;
    t->quiet = how == 0;
    t->signal = e.sigev_signo;
}

/* One that was set for what is over has expired once its value is not due any more. */
static void wait_timer(const struct timer *t)
{
    struct itimerspec v;
    time_t end = time(NULL) + 20;
    do {
        if (syscall(SYS_timer_gettime, t->id, &v))
            return;
        if (time(NULL) > end) {
            say("never expired", "timer %d", t->id);
            return;
        }
    } while (!v.it_value.tv_sec && v.it_value.tv_nsec == 1);
}

static void set_timer(void)
{
    struct timer *t = &timers[draw(TIMERS)];
    struct itimerspec v, old = {0};
    int flags;
    enum when when = some_value(&v, &flags);
    if (t->is && !t->quiet)
        drain(t->signal);
    long r = syscall(SYS_timer_settime, t->is ? t->id : 1 << 20, flags, &v, &old);
    note("timer set %d: %s %s", (int)when, outcome(r), t->quiet ? "" : show_value(&old));
    if (r == 0 && when >= OVER && !t->quiet)
        wait_timer(t);
}

static void get_timer(void)
{
    struct timer *t = &timers[draw(TIMERS)];
    struct itimerspec v = {0};
    int id = t->is ? t->id : 1 << 20;
    if (t->quiet)
        return;
    long r = syscall(SYS_timer_gettime, id, &v);
    note("timer get: %s %s", outcome(r), show_value(&v));
    note("overrun: %s", outcome(syscall(SYS_timer_getoverrun, id)));
}

static void delete_timer(void)
{
    struct timer *t = &timers[draw(TIMERS)];
    if (t->is && !t->quiet)
        drain(t->signal);
    note("timer delete: %s", outcome(syscall(SYS_timer_delete, t->is ? t->id : 1 << 20)));
    t->is = false;
}

static void set_itimer(void)
{
    struct itimerval v = {{draw(2) ? HUGE_SECONDS : 0, 0}, {0, 0}}, old;
    uint32_t when = draw(3);
    v.it_value.tv_sec = when == 1 ? HUGE_SECONDS : 0;
    v.it_value.tv_usec = when == 2;
    long r = setitimer(ITIMER_REAL, &v, &old);
    struct timespec left = {old.it_value.tv_sec, old.it_value.tv_usec};
    note("itimer %d: %s %s/%ld", when, outcome(r), kind_of(&left), (long)old.it_interval.tv_sec);
    for (time_t end = time(NULL) + 20; when == 2 && time(NULL) <= end;)
        if (!getitimer(ITIMER_REAL, &old) && !old.it_value.tv_sec && !old.it_value.tv_usec)
            return;
    if (draw(4) == 0)
        note("alarm %d", alarm(draw(2) ? 1000000 : 0) > 1000);
}

/* ---- signals ---- */

static void send_signal(void)
{
    int sig = some_signal();
    union sigval v = {.sival_int = (int)draw(100)};
    switch (draw(3)) {
    case 0:
        note("kill %d: %s", sig, outcome(kill(getpid(), sig)));
        break;
    case 1:
        note("tgkill %d: %s", sig, outcome(tgkill(getpid(), gettid(), sig)));
        break;
    default:
        note("queue %d: %s", sig, outcome(sigqueue(getpid(), sig, v)));
    }
}

static void see_pending(void)
{
    sigset_t set;
    unsigned long bits = 0;
    sigpending(&set);
    memcpy(&bits, &set, sizeof(bits));
    note("pending %lx", bits);
}

static void take_signal(void)
{
    sigset_t set = some_set();
    siginfo_t i = {0};
    long r = sigtimedwait(&set, &i, &(struct timespec){0, 0});
    note("take: %s %d %d %d", outcome(r), i.si_code,
         r > 0 && i.si_code < 0 ? i.si_value.sival_int : 0,
         r > 0 && i.si_code == SI_TIMER ? i.si_overrun : 0);
}

static void make_signalfd(void)
{
    int i = (int)draw(SIGNALFDS);
    sigset_t set = some_set();
    if (signalfds[i] < 0)
        signalfds[i] = signalfd(-1, &set, SFD_NONBLOCK);
    else if (draw(2) && !in_child) /* inside, a mask is a process's own */
        note("mask %d", signalfd(signalfds[i], &set, 0));
    note("signalfd %d", signalfds[i]);
}

/* ---- waits ---- */

static void do_poll(void)
{
    struct pollfd p[8];
    char text[400] = "";
    int n = 1 + (int)draw(8), at = 0;
    for (int i = 0; i < n; i++)
        p[i] = (struct pollfd){some_fd(), draw(4) ? POLLIN : POLLIN | POLLOUT | POLLRDNORM, 77};
    int r = poll(p, (nfds_t)n, draw(20) ? 0 : 1);
    for (int i = 0; i < n; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, " %d:%x", p[i].fd,
                       (unsigned)p[i].revents);
    note("poll %s%s", outcome(r), text);
}

static void do_control(void)
{
    static const uint32_t flags[] = {0, 0, EPOLLET, EPOLLET, EPOLLONESHOT, EPOLLONESHOT | EPOLLET};
    int ep = epolls[draw(EPOLLS)], fd = in_child ? timerfds[draw(FDS)] : some_fd();
    int op = 1 + (int)draw(3);
    struct epoll_event ev = {.events = (draw(4) ? EPOLLIN : EPOLLOUT) | flags[draw(6)] * edges};
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
    int r = epoll_wait(ep, ev, MEMBERS, draw(20) ? 0 : 1);
    if (r > 0) /* who comes first is not laid down */
        qsort(ev, (size_t)r, sizeof(ev[0]), by_data);
    for (int i = 0; i < r; i++)
        at += snprintf(text + at, sizeof(text) - (size_t)at, " %lx:%x", (long)ev[i].data.u64,
                       ev[i].events);
    note("wait %d: %s%s", ep, outcome(r), text);
}

static void do_odd(void)
{
    int *fd = draw(2) ? &timerfds[draw(FDS)] : &signalfds[draw(SIGNALFDS)], copy;
    struct timespec past = {0, 1}, left = {5, 5};
    struct stat st;
    switch (draw(8)) {
    case 0:
        note("close %d: %s", *fd, outcome(close(*fd)));
        *fd = -1;
        break;
    case 1:
        copy = dup(*fd);
        note("dup %d: %s", *fd, copy < 0 ? errno_name(errno) : "ok");
        close(copy);
        break;
    case 2:
        note("flags %d: %s", *fd, outcome(fcntl(*fd, F_GETFL)));
        break;
    case 3:
        note("write %d: %s", *fd, outcome(write(*fd, &past, 8)));
        break;
    case 4:
        if (!edges) /* what makes an object the host's */
            note("fstat %d: %s", *fd, outcome(fstat(*fd, &st)));
        break;
    case 5:
        note("sleep %d",
             clock_nanosleep(clocks[draw(3)], draw(2) ? TIMER_ABSTIME : 0, &past, &left));
        break;
    case 6: {
        struct pollfd p = {epolls[draw(EPOLLS)], POLLIN, 0};
        if (!edges && draw(8) == 0)
            note("poll of epoll: %d", poll(&p, 1, 0));
        break;
    }
    default:
        note("mask %s", outcome(epoll_pwait(epolls[0], &(struct epoll_event){0}, 0, 0, NULL)));
    }
}

static void step(void)
{
    steps_done++;
    switch (draw(24)) {
    case 0:
        make_timerfd();
        break;
    case 1:
        make_timer();
        break;
    case 2:
        make_signalfd();
        break;
    case 3 ... 4:
        set_timerfd();
        break;
    case 5:
        get_timerfd();
        break;
    case 6 ... 8:
        do_read(some_fd());
        break;
    case 9 ... 10:
        set_timer();
        break;
    case 11:
        get_timer();
        break;
    case 12:
        draw(3) ? see_pending() : delete_timer();
        break;
    case 13:
        if (draw(3) == 0)
            set_itimer();
        break;
    case 14 ... 15:
        send_signal();
        break;
    case 16:
        take_signal();
        break;
    case 17 ... 18:
        do_poll();
        break;
    case 19 ... 20:
        do_control();
        break;
    case 21:
        if (draw(3) == 0)
            do_odd();
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

/* The child goes first, then the parent, on the same descriptors. An epoll tells of the signals of
 * the process that put a signalfd in, so none is in one. */
static void fork_and_go_on(void)
{
    for (int i = 0; i < EPOLLS * SIGNALFDS; i++)
        epoll_ctl(epolls[i / SIGNALFDS], EPOLL_CTL_DEL, signalfds[i % SIGNALFDS], NULL);
    drain(SIGCHLD);
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        for (int i = 0; i < TIMERS; i++) {
            struct itimerspec v;
            if (timers[i].is)
                note("not the child's: %s", outcome(syscall(SYS_timer_gettime, timers[i].id, &v)));
            timers[i].is = false;
        }
        in_child = true;
        see_pending();
        run_steps("child", 200);
        _exit(0);
    }
    int status;
    NEED(waitpid(child, &status, 0) == child);
    show_status("child ended", status);
    drain(SIGCHLD);
}

static void fresh(void)
{
    for (int fd = 3; fd < 60; fd++)
        close(fd);
    memset(timerfds, 0xff, sizeof(timerfds));
    memset(signalfds, 0xff, sizeof(signalfds));
    for (int i = 0; i < EPOLLS; i++)
        epolls[i] = epoll_create1(0);
}

int main(int argc, char **argv)
{
    const char *steps = getenv("EXPIRIES_STEPS"), *seed = getenv("EXPIRIES_SEED");
    long left = steps ? atol(steps) : 100000;
    sigset_t all;
    start(argc, argv);
    show = getenv("EXPIRIES_SHOW") != NULL;
    random_state = 0x9e3779b97f4a7c15 ^ (seed ? strtoul(seed, NULL, 0) * 0x100000001 : 0);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
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

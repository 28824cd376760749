/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signals between processes: queues with values, order, limits, timers over fork and exec, and what
 * becomes of a handler that returns to nonsense. */
#include "check.h"
#include <pthread.h>
#include <setjmp.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile sig_atomic_t count, last, last_code, last_value, wrong;

static void on_info(int sig, siginfo_t *i, void *context)
{
    (void)context;
    if (sig >= SIGRTMIN && i->si_value.sival_int != count)
        wrong++;
    count++;
    last = sig;
    last_code = i->si_code;
    last_value = i->si_value.sival_int;
}

static sigset_t set_of(int sig)
{
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, sig);
    return s;
}

static void block(int how, int sig)
{
    sigset_t s = set_of(sig);
    sigprocmask(how, &s, NULL);
}

/* A child that is busy, asleep or waiting while hundreds of signals come for it. */
static void flood(const char *name, int how)
{
    int p[2], status, n = 500;
    char c;
    NEED(pipe(p) == 0);
    block(SIG_BLOCK, SIGRTMIN);
    pid_t child = fork();
    if (child == 0) {
        count = wrong = 0;
        if (how == 0) { /* stays blocked: taken one by one */
            (void)!write(p[1], "r", 1);
            sigset_t s = set_of(SIGRTMIN);
            siginfo_t i;
            sleep_ms(20);
            while (count < n && sigtimedwait(&s, &i, &(struct timespec){20, 0}) == SIGRTMIN)
                wrong += i.si_value.sival_int != count++;
        } else {
            handle_info(SIGRTMIN, on_info, 0);
            block(SIG_UNBLOCK, SIGRTMIN);
            (void)!write(p[1], "r", 1);
            while (count < n) {
                if (how == 1) /* in the application */
                    for (volatile int i = 0; i < 1000; i++)
                        ;
                else if (how == 2) /* in short calls */
                    getppid();
                else /* in one that blocks */
                    sleep_ms(1);
            }
        }
        say(name, "%d came, %d out of order", count, wrong);
        _exit(0);
    }
    NEED(read(p[0], &c, 1) == 1);
    for (int i = 0; i < n; i++)
        NEED(sigqueue(child, SIGRTMIN, (union sigval){i}) == 0);
    waitpid(child, &status, 0);
    show_status(name, status);
    close(p[0]), close(p[1]);
    block(SIG_UNBLOCK, SIGRTMIN);
}

static void order(void)
{
    sigset_t all;
    siginfo_t i;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    const int sigs[] = {SIGRTMIN + 2, SIGUSR2, SIGRTMIN, SIGRTMIN + 2, SIGUSR1, SIGRTMIN, SIGUSR1};
    for (int k = 0; k < 7; k++)
        TRY("queue", sigqueue(getpid(), sigs[k], (union sigval){k}));
    kill(getpid(), SIGTERM);
    while (sigtimedwait(&all, &i, &(struct timespec){0, 0}) > 0)
        say("order", "%s%d code %d value %d", i.si_signo >= SIGRTMIN ? "RT+" : "",
            i.si_signo >= SIGRTMIN ? i.si_signo - SIGRTMIN : i.si_signo, i.si_code,
            i.si_code == SI_QUEUE ? i.si_value.sival_int : -1);
    TRY("to init's group of nobody", sigqueue(0x3fffff, SIGUSR1, (union sigval){0}));
    TRY("signal 0", sigqueue(getpid(), 0, (union sigval){0}));
    TRY("signal 65", sigqueue(getpid(), 65, (union sigval){0}));
    pid_t other = fork(); /* the parent is outside when this runs inside */
    NEED(other >= 0);
    if (other == 0)
        for (;;)
            pause();
    i = (siginfo_t){.si_code = SI_USER};
    SYS("as if by kill, to ourselves", SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &i);
    SYS("as if by kill, to a child", SYS_rt_sigqueueinfo, other, 0, &i);
    i.si_code = SI_TKILL;
    SYS("as if by tkill, to a child", SYS_rt_sigqueueinfo, other, 0, &i);
    i.si_code = -60;
    SYS("any negative code", SYS_rt_sigqueueinfo, other, 0, &i);
    SYS("thread", SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR2, &i);
    SYS("thread of another", SYS_rt_tgsigqueueinfo, other, other, 0, &i);
    SYS("not its thread", SYS_rt_tgsigqueueinfo, getpid(), other, 0, &i);
    SYS("tkill of another process", SYS_tkill, other, 0);
    SYS("tgkill of another process", SYS_tgkill, other, other, 0);
    SYS("tgkill mismatch", SYS_tgkill, getpid(), other, 0);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    while (sigtimedwait(&all, &i, &(struct timespec){0, 0}) > 0)
        say("left", "%d code %d", i.si_signo, i.si_code);
    struct rlimit l, was;
    getrlimit(RLIMIT_SIGPENDING, &was);
    l = (struct rlimit){.rlim_cur = 3, .rlim_max = was.rlim_max};
    setrlimit(RLIMIT_SIGPENDING, &l);
    TRY("limit", getrlimit(RLIMIT_SIGPENDING, &l) == 0 && l.rlim_cur == 3);
    setrlimit(RLIMIT_SIGPENDING, &was);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
}

static void timers(void)
{
    int status;
    struct itimerval t = {{0, 0}, {50, 0}}, now;
    setitimer(ITIMER_REAL, &t, NULL);
    alarm(100);
    pid_t child = fork();
    if (child == 0) {
        getitimer(ITIMER_REAL, &now);
        VALUE("no interval timer in the child", now.it_value.tv_sec);
        VALUE("no alarm", alarm(0));
        _exit(0);
    }
    waitpid(child, &status, 0);
    show_status("child", status);
    CHECK("the parent keeps it", alarm(0) > 90);
    timer_t id;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
    e.sigev_value.sival_int = 4711;
    NEED(timer_create(CLOCK_MONOTONIC, &e, &id) == 0);
    child = fork();
    if (child == 0) {
        struct itimerspec s;
        TRY("POSIX timer in the child", timer_gettime(id, &s));
        _exit(0);
    }
    waitpid(child, &status, 0);
    block(SIG_BLOCK, SIGRTMIN + 3);
    struct itimerspec s = {{0, 1000000}, {0, 1000000}};
    NEED(timer_settime(id, 0, &s, NULL) == 0);
    sleep_ms(30);
    sigset_t set = set_of(SIGRTMIN + 3);
    siginfo_t i;
    TRY("timer signal", sigtimedwait(&set, &i, &(struct timespec){0, 0}) == SIGRTMIN + 3);
    say("timer", "code %d value %d overrun %d", i.si_code, i.si_value.sival_int, i.si_overrun > 3);
    timer_delete(id);
    signal(SIGRTMIN + 3, SIG_IGN); /* it may have expired once more meanwhile */
    block(SIG_UNBLOCK, SIGRTMIN + 3);
    /* ITIMER_VIRTUAL and PROF count the application's work. */
    for (int k = 0; k < 2; k++) {
        int sig = k ? SIGPROF : SIGVTALRM;
        handle_info(sig, on_info, 0);
        last = 0;
        t = (struct itimerval){{0, 0}, {0, 10000}};
        NEED(setitimer(k ? ITIMER_PROF : ITIMER_VIRTUAL, &t, NULL) == 0);
        while (last != sig)
            for (volatile int j = 0; j < 100000; j++)
                ;
        say("timer of work", "%d code %d", last, last_code == SI_KERNEL);
    }
}

/* What survives execve: pending signals, the mask, ignored ones, alarm; not handlers or timers. */
static void after_exec(void)
{
    sigset_t s;
    struct sigaction a;
    sigpending(&s);
    say("pending after exec", "%d %d", sigismember(&s, SIGUSR1), sigismember(&s, SIGRTMIN + 1));
    sigprocmask(SIG_SETMASK, NULL, &s);
    say("mask", "%d %d", sigismember(&s, SIGUSR1), sigismember(&s, SIGUSR2));
    sigaction(SIGUSR2, NULL, &a);
    CHECK("handler is gone", a.sa_handler == SIG_DFL);
    sigaction(SIGHUP, NULL, &a);
    CHECK("ignored stays", a.sa_handler == SIG_IGN);
    siginfo_t i;
    s = set_of(SIGRTMIN + 1);
    while (sigtimedwait(&s, &i, &(struct timespec){0, 0}) > 0)
        VALUE("queued", i.si_value.sival_int);
    CHECK("alarm goes on", alarm(0) > 50);
    stack_t ss;
    sigaltstack(NULL, &ss);
    CHECK("no alternate stack", ss.ss_flags == SS_DISABLE);
    exit(12);
}

static void before_exec(const char *self, const char *dir)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        static char stack[65536];
        stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
        sigaltstack(&ss, NULL);
        block(SIG_BLOCK, SIGUSR1);
        block(SIG_BLOCK, SIGRTMIN + 1);
        handle_info(SIGUSR2, on_info, 0);
        signal(SIGHUP, SIG_IGN);
        kill(getpid(), SIGUSR1);
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){5});
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){6});
        alarm(100);
        execl(self, self, dir, "exec", NULL);
        _exit(1);
    }
    waitpid(child, &status, 0);
    show_status("exec", status);
}

static void *exec_here(void *arg)
{
    char **argv = arg;
    execl(argv[0], argv[0], argv[1], "thread", NULL);
    return NULL;
}

static void *spin(void *arg)
{
    for (;;)
        pause();
    return arg;
}

/* execve in a thread that is not the first: the process keeps its pid, the thread gets it. */
static void exec_in_thread(char **argv)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        pthread_t t;
        pthread_create(&t, NULL, spin, NULL);
        pthread_create(&t, NULL, exec_here, argv);
        for (;;)
            pause();
    }
    CHECK("pid stays", waitpid(child, &status, 0) == child);
    show_status("exec in a thread", status);
}

static void in_new_program(void)
{
    handle_info(SIGUSR1, on_info, 0);
    CHECK("thread is the first", gettid() == getpid());
    TRY("tgkill", syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1));
    say("came", "%d code %d", last == SIGUSR1, last_code);
    TRY("raise", raise(SIGUSR1));
    TRY("kill", kill(getpid(), SIGUSR1));
    VALUE("all came", count);
    pid_t me = getpid(), child = fork();
    if (child == 0) {
        kill(me, SIGUSR1);
        syscall(SYS_tgkill, me, me, SIGUSR1);
        _exit(getppid() == me ? 3 : 4);
    }
    int status;
    while (waitpid(child, &status, 0) != child)
        ;
    show_status("fork", status);
    for (int k = 0; k < 5000 && count < 4; k++)
        sleep_ms(1);
    CHECK("from the child", count >= 4);
    char path[64], link[64];
    snprintf(path, sizeof(path), "/proc/self/task/%d", me);
    TRY("in /proc", access(path, F_OK));
    CHECK("/proc/self", readlink("/proc/self", link, sizeof(link)) > 0 && atoi(link) == me);
    exit(33);
}

static void bad_return_handler(int sig, siginfo_t *i, void *context)
{
    ucontext_t *u = context;
    (void)i;
    if (sig == SIGUSR1) /* a stack that is not there */
        __asm__ volatile("mov $0x1000, %%rsp; mov $15, %%eax; syscall" ::: "memory");
    else if (sig == SIGUSR2) /* vector state that is not there */
        u->uc_mcontext.fpregs = opaque(0x1000);
    else if (sig == SIGHUP) { /* nonsense in it */
        memset(u->uc_mcontext.fpregs, 0xff, 512);
    } else if (sig == SIGTERM) /* an address that is none */
        u->uc_mcontext.gregs[REG_RIP] = (long)0x8000000000000000;
    else if (sig == SIGINT) /* odd flags and segments are put right */
        u->uc_mcontext.gregs[REG_EFL] |= 0x3000 | 0x4000;
    else if (sig == SIGALRM)
        u->uc_mcontext.fpregs = opaque(0x8000000000000000);
    else if (sig == SIGVTALRM)
        u->uc_mcontext.gregs[REG_RSP] = 8;
    else if (sig == SIGPROF)
        u->uc_mcontext.gregs[REG_CSGSFS] = 0;
}

static void bad_returns(void)
{
    const int sigs[] = {SIGUSR1, SIGUSR2, SIGHUP, SIGTERM, SIGINT, SIGALRM, SIGVTALRM};
    int status;
    for (int k = 0; k < 7; k++) {
        pid_t child = fork();
        if (child == 0) {
            handle_info(sigs[k], bad_return_handler, 0);
            raise(sigs[k]);
            _exit(1);
        }
        waitpid(child, &status, 0);
        show_status("bad return", status);
    }
    pid_t child = fork();
    if (child == 0) {
        syscall(SYS_rt_sigreturn); /* nothing to return to */
        _exit(1);
    }
    waitpid(child, &status, 0);
    CHECK("sigreturn out of nothing", WIFSIGNALED(status));
    child = fork();
    if (child == 0) { /* no room for a frame */
        handle_info(SIGUSR1, on_info, 0);
        __asm__ volatile(
            "mov $0x100000, %%rsp; mov $39, %%eax; syscall; mov %%eax, %%edi; mov $62, "
            "%%eax; mov $10, %%esi; syscall; ud2" ::
                : "memory");
    }
    waitpid(child, &status, 0);
    show_status("no stack for the frame", status);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    if (argc > 2 && strcmp(argv[2], "exec") == 0)
        after_exec();
    if (argc > 2)
        in_new_program();
    flood("blocked", 0);
    flood("busy", 1);
    flood("short calls", 2);
    flood("blocking call", 3);
    order();
    timers();
    before_exec(argv[0], argv[1]);
    exec_in_thread(argv);
    bad_returns();
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Masks, pending signals, sigsuspend, sigtimedwait, queueing; threads and signals. */
#include "check.h"
#include <pthread.h>

static volatile sig_atomic_t got, values[64], value_count, in_thread;
static volatile pid_t handler_tid;

static void plain(int sig)
{
    (void)sig;
    got++;
}

static void keep(int sig, siginfo_t *i, void *context)
{
    (void)context;
    if (value_count < 64)
        values[value_count] = sig * 1000 + i->si_value.sival_int;
    value_count++;
}

static void note_thread(int sig)
{
    (void)sig;
    handler_tid = (pid_t)syscall(SYS_gettid);
    in_thread++;
}

static sigset_t set_of(int a, int b)
{
    sigset_t s;
    sigemptyset(&s);
    if (a)
        sigaddset(&s, a);
    if (b)
        sigaddset(&s, b);
    return s;
}

static void show_set(const char *name, const sigset_t *s)
{
    char out[300] = "";
    for (int i = 1; i <= 64; i++)
        if (sigismember(s, i) == 1)
            sprintf(out + strlen(out), " %d", i);
    say(name, "{%s }", out);
}

static void masks(void)
{
    sigset_t one = set_of(SIGUSR1, 0), two = set_of(SIGUSR2, SIGTERM), now, all;
    TRY("block", sigprocmask(SIG_BLOCK, &one, NULL));
    TRY("block more", sigprocmask(SIG_BLOCK, &two, &now));
    show_set("old", &now);
    sigprocmask(SIG_SETMASK, NULL, &now);
    show_set("now", &now);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    sigprocmask(SIG_SETMASK, NULL, &now);
    show_set("unblocked", &now);
    sigfillset(&all);
    TRY("all", syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8L));
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK("SIGKILL and SIGSTOP stay out",
          sigismember(&now, SIGKILL) == 0 && sigismember(&now, SIGSTOP) == 0);
    CHECK("SIGSEGV may be blocked", sigismember(&now, SIGSEGV) == 1);
    sigemptyset(&now);
    sigprocmask(SIG_SETMASK, &now, NULL);
    TRY("unknown how", sigprocmask(77, &one, NULL));
    TRY("unknown how without set", syscall(SYS_rt_sigprocmask, 77, NULL, &now, 8L));
    SYS("bad size", SYS_rt_sigprocmask, SIG_BLOCK, &one, NULL, 4L);
    SYS("nowhere", SYS_rt_sigprocmask, SIG_BLOCK, BAD_LOW, NULL, 8L);
    SYS("old nowhere", SYS_rt_sigprocmask, SIG_BLOCK, NULL, BAD_LOW, 8L);
}

static void pending(void)
{
    sigset_t two = set_of(SIGUSR1, SIGUSR2), now, none = set_of(0, 0);
    handle(SIGUSR1, plain, 0);
    handle(SIGUSR2, plain, 0);
    sigprocmask(SIG_BLOCK, &two, NULL);
    sigpending(&now);
    show_set("nothing pending", &now);
    raise(SIGUSR1);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    TRY("sigpending", sigpending(&now));
    show_set("pending", &now);
    VALUE("not yet handled", got);
    sigprocmask(SIG_SETMASK, &none, NULL);
    CHECK("handled", got == 2 || got == 3);
    sigpending(&now);
    show_set("pending after", &now);
    got = 0;
    sigprocmask(SIG_BLOCK, &two, NULL);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    sigprocmask(SIG_SETMASK, &none, NULL);
    VALUE("standard signals do not queue", got);
    sigprocmask(SIG_BLOCK, &two, NULL);
    kill(getpid(), SIGUSR1);
    signal(SIGUSR1, SIG_IGN);
    sigpending(&now);
    show_set("ignoring discards", &now);
    SYS("sigpending nowhere", SYS_rt_sigpending, BAD_LOW, 8L);
    SYS("sigpending bad size", SYS_rt_sigpending, &now, 16L);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void queueing(void)
{
    sigset_t two = set_of(SIGRTMIN, SIGRTMIN + 1), none = set_of(0, 0);
    handle_info(SIGRTMIN, keep, 0);
    handle_info(SIGRTMIN + 1, keep, 0);
    sigprocmask(SIG_BLOCK, &two, NULL);
    for (int i = 0; i < 5; i++) {
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i});
        sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i});
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    VALUE("real-time signals queue", value_count);
    /* Frames are stacked, so what is delivered first runs last. */
    long sum = 0;
    for (int i = 0; i < value_count; i++)
        sum += values[i];
    VALUE("sum of values", sum);
    char out[200] = "";
    for (int i = 0; i < value_count; i++)
        sprintf(out + strlen(out), " %d", (int)values[i]);
    say("order", "%s", out);
}

static void waiting(void)
{
    sigset_t two = set_of(SIGUSR1, SIGRTMIN), none = set_of(0, 0), now;
    siginfo_t i;
    struct timespec t = {0, 20000000}, zero = {0, 0}, bad = {0, -1};
    sigprocmask(SIG_BLOCK, &two, NULL);
    handle(SIGUSR1, plain, 0);
    got = 0;
    long long then = now_ms();
    TRY("sigtimedwait times out", sigtimedwait(&two, &i, &t));
    CHECK("in time", now_ms() - then >= 19);
    TRY("sigtimedwait at once", sigtimedwait(&two, &i, &zero));
    TRY("sigtimedwait bad time", sigtimedwait(&two, &i, &bad));
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 42});
    kill(getpid(), SIGUSR1);
    TRY("lowest first", sigtimedwait(&two, &i, &t));
    say("info", "code %d self %d", i.si_code, i.si_pid == getpid());
    TRY("then the next", sigwaitinfo(&two, &i));
    say("next info", "code %d value %d", i.si_code, i.si_value.sival_int);
    VALUE("no handler ran", got);
    int sig = 0;
    raise(SIGUSR1);
    VALUE("sigwait", sigwait(&two, &sig));
    VALUE("sigwait signal", sig);
    SYS("sigtimedwait nowhere", SYS_rt_sigtimedwait, BAD_LOW, &i, &t, 8L);
    SYS("sigtimedwait bad size", SYS_rt_sigtimedwait, &two, &i, &t, 9L);
    raise(SIGUSR1);
    TRY("sigsuspend", sigsuspend(&none));
    VALUE("handled by it", got);
    sigprocmask(SIG_SETMASK, NULL, &now);
    show_set("mask restored", &now);
    SYS("sigsuspend bad size", SYS_rt_sigsuspend, &none, 4L);
    SYS("sigsuspend nowhere", SYS_rt_sigsuspend, BAD_LOW, 8L);
    raise(SIGUSR1);
    sigset_t only = set_of(SIGUSR2, 0);
    TRY("other signal while waiting", sigtimedwait(&only, &i, &zero));
    sigprocmask(SIG_SETMASK, &none, NULL);
    VALUE("delivered on unblocking", got);
}

static volatile int ready, stop;

static void *blocked_thread(void *arg)
{
    sigset_t s = set_of(SIGUSR2, 0);
    (void)arg;
    pthread_sigmask(SIG_BLOCK, &s, NULL);
    ready = 1;
    while (!stop)
        sleep_ms(1);
    return NULL;
}

static void *open_thread(void *arg)
{
    *(volatile pid_t *)arg = (pid_t)syscall(SYS_gettid);
    while (!stop)
        sleep_ms(1);
    return NULL;
}

static void threads(void)
{
    pthread_t t;
    volatile pid_t tid = 0;
    sigset_t s = set_of(SIGUSR2, 0), none = set_of(0, 0);
    handle(SIGUSR2, note_thread, 0);
    NEED(pthread_create(&t, NULL, blocked_thread, NULL) == 0);
    while (!ready)
        sleep_ms(1);
    kill(getpid(), SIGUSR2);
    CHECK("process signal goes to the open thread", in_thread == 1 && handler_tid == getpid());
    stop = 1;
    pthread_join(t, NULL);
    stop = 0;
    NEED(pthread_create(&t, NULL, open_thread, (void *)&tid) == 0);
    while (!tid)
        sleep_ms(1);
    pthread_sigmask(SIG_BLOCK, &s, NULL);
    in_thread = 0;
    kill(getpid(), SIGUSR2);
    for (int i = 0; i < 5000 && !in_thread; i++)
        sleep_ms(1);
    CHECK("process signal finds another thread", in_thread == 1 && handler_tid == tid);
    in_thread = 0;
    VALUE("pthread_kill", pthread_kill(t, SIGUSR2));
    for (int i = 0; i < 5000 && !in_thread; i++)
        sleep_ms(1);
    CHECK("handled there", in_thread == 1 && handler_tid == tid);
    stop = 1;
    pthread_join(t, NULL);
    in_thread = 0;
    kill(getpid(), SIGUSR2);
    VALUE("nobody open: pending", in_thread);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    VALUE("opened", in_thread);
    sigset_t inherited;
    pthread_sigmask(SIG_BLOCK, &s, NULL);
    pid_t child = fork();
    if (child == 0) {
        sigprocmask(SIG_SETMASK, NULL, &inherited);
        _exit(sigismember(&inherited, SIGUSR2));
    }
    int status;
    waitpid(child, &status, 0);
    show_status("mask is inherited by fork", status);
    kill(getpid(), SIGUSR2);
    child = fork();
    if (child == 0) {
        sigpending(&inherited);
        _exit(sigismember(&inherited, SIGUSR2));
    }
    waitpid(child, &status, 0);
    show_status("pending signals are not", status);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    masks();
    pending();
    queueing();
    waiting();
    threads();
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signal behaviour of an ordinary program; its output must not depend on the device. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

extern char **environ;
static volatile int count, on_stack, nested;
static sigjmp_buf env;
static char stack[65536];

static void handler(int sig, siginfo_t *info, void *context)
{
    char here;
    count++;
    on_stack = &here >= stack && &here < stack + sizeof(stack);
    if (info->si_value.sival_int == 77)
        nested = 77;
}

static void fault(int sig, siginfo_t *info, void *context)
{
    char here;
    on_stack = &here >= stack && &here < stack + sizeof(stack);
    siglongjmp(env, sig);
}

static void skip(int sig, siginfo_t *info, void *context)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

static void set(int sig, void (*f)(int, siginfo_t *, void *), int flags)
{
    struct sigaction sa = {.sa_sigaction = f, .sa_flags = SA_SIGINFO | flags};
    sigaction(sig, &sa, NULL);
}

static void masks(void)
{
    sigset_t all, old, now, pending;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    sigprocmask(SIG_SETMASK, NULL, &now);
    printf("masked segv %d kill %d\n", sigismember(&now, SIGSEGV), sigismember(&now, SIGKILL));
    count = 0;
    raise(SIGUSR1);
    raise(SIGUSR1);
    sigpending(&pending);
    printf("pending %d count %d\n", sigismember(&pending, SIGUSR1), count);
    sigprocmask(SIG_SETMASK, &old, NULL);
    printf("delivered %d\n", count);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_BLOCK, &all, &old);
    raise(SIGUSR1);
    int r = sigsuspend(&none);
    printf("sigsuspend %d %d count %d\n", r, errno == EINTR, count);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void segv_blocked(void)
{
    pid_t child = fork();
    if (child == 0) {
        sigset_t s;
        sigemptyset(&s);
        sigaddset(&s, SIGSEGV);
        sigprocmask(SIG_BLOCK, &s, NULL);
        raise(SIGSEGV); /* waits */
        printf("segv waits\n");
        fflush(stdout);
        *(volatile int *)8 = 1; /* kills: a blocked fault */
    }
    int status;
    waitpid(child, &status, 0);
    printf("blocked fault: signal %d\n", WTERMSIG(status));
}

/* sigtimedwait for signals that a device under the program may keep for itself. */
static void waiting(void)
{
    const int kept[] = {SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGTRAP, SIGSYS};
    sigset_t s, old;
    siginfo_t info;
    struct timespec none = {0, 0}, some = {0, 30000000}, long_ = {20, 0};
    sigemptyset(&s);
    for (int i = 0; i < 6; i++)
        sigaddset(&s, kept[i]);
    sigprocmask(SIG_BLOCK, &s, &old);
    int r = sigtimedwait(&s, &info, &none);
    printf("none waits: %d %d\n", r, errno == EAGAIN);
    for (int i = 0; i < 6; i++) {
        raise(kept[i]);
        r = sigtimedwait(&s, &info, &none);
        printf("waited for %d: %d %d\n", kept[i], r, info.si_pid == getpid());
    }
    r = sigtimedwait(&s, &info, &some);
    printf("timeout: %d %d\n", r, errno == EAGAIN);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        usleep(50000);
        kill(parent, SIGILL);
        usleep(50000);
        kill(parent, SIGSEGV);
        usleep(50000);
        kill(parent, SIGUSR1);
        _exit(0);
    }
    r = sigwaitinfo(&s, &info);
    printf("from outside: %d %d\n", r, info.si_pid == pid);
    r = sigtimedwait(&s, &info, &long_);
    printf("from outside: %d %d\n", r, info.si_pid == pid);
    r = sigtimedwait(&s, &info, &long_);
    printf("interrupted: %d %d\n", r, errno == EINTR);
    waitpid(pid, NULL, 0);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void faults(void)
{
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)}, old;
    sigaltstack(&ss, NULL);
    sigaltstack(NULL, &old);
    printf("altstack %d %zu\n", old.ss_sp == stack, old.ss_size);
    set(SIGSEGV, fault, SA_ONSTACK);
    set(SIGFPE, fault, SA_ONSTACK);
    int sig = sigsetjmp(env, 1);
    if (!sig)
        *(volatile int *)8 = 1;
    printf("fault %d onstack %d\n", sig, on_stack);
    sig = sigsetjmp(env, 1);
    if (!sig)
        printf("%d\n", 1 / (count - count));
    printf("fault %d onstack %d\n", sig, on_stack);
    set(SIGILL, skip, 0);
    __asm__ volatile("ud2");
    printf("ud2 skipped\n");
    set(SIGUSR2, handler, SA_ONSTACK);
    raise(SIGUSR2);
    printf("usr2 onstack %d\n", on_stack);
    ss.ss_flags = SS_DISABLE;
    sigaltstack(&ss, NULL);
    raise(SIGUSR2);
    printf("usr2 onstack %d\n", on_stack);
    union sigval v = {.sival_int = 77};
    sigqueue(getpid(), SIGUSR2, v);
    printf("queued %d\n", nested);
}

static void vectors_survive(void)
{
    double x = 3.25;
    set(SIGUSR1, handler, 0);
    __asm__ volatile("movsd %0, %%xmm9\n\t" : : "m"(x) : "xmm9");
    pid_t me = getpid();
    long r;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "0"(62L), "D"((long)me), "S"((long)SIGUSR1)
                     : "rcx", "r11", "memory");
    double y;
    __asm__ volatile("movsd %%xmm9, %0\n\t" : "=m"(y));
    printf("xmm %s\n", x == y ? "kept" : "lost");
}

static void in_cleared_child(void)
{
    struct sigaction a;
    int bad = 0;
    for (int sig = SIGHUP; sig <= SIGSYS; sig++) {
        if (sig == SIGKILL || sig == SIGSTOP)
            continue;
        sigaction(sig, NULL, &a);
        bad |= a.sa_handler != (sig == SIGUSR2 ? SIG_IGN : SIG_DFL);
    }
    _exit(bad);
}

/* clone3 with CLONE_CLEAR_SIGHAND, as posix_spawn of later C libraries makes it. */
static long cleared_child(uint64_t flags)
{
    static char stack[65536] __attribute__((aligned(16)));
    struct clone_args args = {.flags = flags | CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
    if (flags & CLONE_VM) {
        args.stack = (uint64_t)stack;
        args.stack_size = sizeof(stack);
    }
    register void (*child)(void) __asm__("r8") = in_cleared_child;
    long r;
    __asm__ volatile("syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "andq $-16, %%rsp\n\t"
                     "callq *%%r8\n"
                     "1:"
                     : "=a"(r)
                     : "0"((long)SYS_clone3), "D"(&args), "S"(sizeof(args)), "r"(child)
                     : "rcx", "r11", "memory");
    return r;
}

static void cleared_children(void)
{
    const uint64_t kinds[] = {0, CLONE_VM | CLONE_VFORK};
    const int caught[] = {SIGUSR1, SIGSYS, SIGSEGV};
    for (int i = 0; i < 3; i++)
        set(caught[i], handler, 0);
    signal(SIGUSR2, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        int status = -1;
        pid_t pid = (pid_t)cleared_child(kinds[i]);
        waitpid(pid, &status, 0);
        struct sigaction a;
        sigaction(SIGSYS, NULL, &a);
        printf("cleared child %x, the parent's %s\n", status,
               a.sa_handler == SIG_DFL ? "gone" : "kept");
    }
    printf("cleared and shared %d\n", cleared_child(CLONE_VM | CLONE_SIGHAND) == -EINVAL);
    for (int i = 0; i < 3; i++)
        signal(caught[i], SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}

static void children(void)
{
    for (int i = 0; i < 20; i++) {
        pid_t pid = vfork();
        if (pid == 0)
            execl("/bin/true", "true", NULL);
        int status;
        waitpid(pid, &status, 0);
        if (status)
            printf("vfork %d failed\n", i);
    }
    char *args[] = {"sh", "-c", "exit 5", NULL};
    pid_t pid;
    int status;
    posix_spawn(&pid, "/bin/sh", NULL, NULL, args, environ);
    waitpid(pid, &status, 0);
    printf("spawn %d\n", WEXITSTATUS(status));
    char *bad[] = {"none", NULL};
    printf("enoent %d\n", posix_spawn(&pid, "/nonexistent", NULL, NULL, bad, environ) == ENOENT);
    pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_DFL);
        pause();
    }
    usleep(20000);
    kill(pid, SIGTERM);
    waitpid(pid, &status, 0);
    printf("child killed by %d\n", WTERMSIG(status));
}

static void *thread(void *arg)
{
    for (int i = 0; i < 2000; i++)
        pthread_kill(*(pthread_t *)arg, SIGUSR2);
    return NULL;
}

static void threads(void)
{
    pthread_t self = pthread_self(), t[4];
    count = 0;
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, thread, &self);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    printf("signals from threads: %s\n", count > 0 ? "some" : "none");
    for (int i = 0; i < 200; i++) {
        pthread_create(&t[0], NULL, thread, &self);
        pthread_join(t[0], NULL);
    }
    printf("threads done\n");
}

static void no_room_handler(int sig, siginfo_t *info, void *context)
{
    char text[40];
    int n = snprintf(text, sizeof(text), "no room: signal %d code %d\n", sig, info->si_code);
    _exit(write(1, text, (size_t)n) != n);
}

static void print_end(const char *what, pid_t pid)
{
    int status;
    waitpid(pid, &status, 0);
    printf("%s: ended with %x\n", what, status & 0xff7f);
}

/* A frame that does not fit on the alternate stack, or for which there is no stack at all. */
static void no_room(void)
{
    stack_t small = {.ss_sp = stack + 8192, .ss_size = 2048},
            large = {.ss_sp = stack, .ss_size = sizeof(stack)};
    const struct {
        const char *name;
        stack_t *alternate;
        int flags;
        int has_stack;
    } cases[] = {{"small alternate stack", &small, SA_ONSTACK, 1},
                 {"no stack, fault handler on another", &large, 0, 0},
                 {"no stack, fault handler has none", &small, 0, 0}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pid_t pid = fork();
        if (pid == 0) {
            sigaltstack(cases[i].alternate, NULL);
            set(SIGSEGV, no_room_handler, SA_ONSTACK);
            set(SIGUSR2, handler, cases[i].flags);
            if (cases[i].has_stack)
                raise(SIGUSR2);
            else
                __asm__ volatile("movl $64, %%esp\nmovl $200, %%eax\nsyscall"
                                 :
                                 : "D"(getpid()), "S"(SIGUSR2)
                                 : "rcx", "r11", "memory");
            _exit(9);
        }
        print_end(cases[i].name, pid);
    }
}

static void pending_ones(void)
{
    sigset_t all, pending;
    sigfillset(&all);
    pid_t pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &all, NULL);
        raise(SIGILL);
        raise(SIGTRAP);
        raise(SIGUSR2);
        sigpending(&pending);
        for (int i = 1; i < 65; i++) {
            if (sigismember(&pending, i))
                printf("pending %d\n", i);
        }
        fflush(stdout);
        _exit(0);
    }
    print_end("pending", pid);
}

/* System calls and faults with alignment checks on. */
static void alignment(void)
{
    long r[3];
    set(SIGSEGV, skip, 0);
    __asm__ volatile("pushfq\n"
                     "orl $0x40000, (%%rsp)\n"
                     "popfq\n"
                     "movl $21, %%eax\n"
                     "syscall\n"
                     "movq %%rax, %0\n"
                     "movl $13, %%eax\n"
                     "movl $70, %%edi\n"
                     "movl $8, %%r10d\n"
                     "syscall\n"
                     "movq %%rax, %1\n"
                     "xorl %%eax, %%eax\n"
                     "movl (%%rax), %%eax\n"
                     "pushfq\n"
                     "popq %2\n"
                     "andq $0x40000, %2\n"
                     "pushfq\n"
                     "andl $~0x40000, (%%rsp)\n"
                     "popfq"
                     : "=&r"(r[0]), "=&r"(r[1]), "=&r"(r[2])
                     : "D"("/dev/null"), "S"(4)
                     : "rax", "rcx", "r10", "r11", "memory", "cc");
    printf("alignment %ld %ld %lx\n", r[0], r[1], r[2]);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    set(SIGUSR1, handler, 0);
    masks();
    segv_blocked();
    waiting();
    faults();
    vectors_survive();
    children();
    cleared_children();
    no_room();
    pending_ones();
    alignment();
    set(SIGUSR2, handler, 0);
    threads();
    raise(SIGKILL);
}

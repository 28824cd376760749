/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What host programs do with an enclave's descriptor, mappings and threads, and expect to work. */
#define _GNU_SOURCE
#include "host.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct loaded e;
static uint64_t counted;
static volatile uint32_t flag;
static int failures;

static int count(uint64_t tcs)
{
    uint64_t one = 1;
    return enter(e.base + tcs, CMD_COUNT, &one) == ++counted;
}

static void report(const char *what, int fine)
{
    printf("%s: %s\n", what, fine ? "fine" : "WRONG");
    fflush(stdout);
    failures += !fine;
}

static void *spin(void *unused)
{
    return (void *)enter(e.base + THREAD0_TCS, CMD_SPIN, (void *)&flag);
}

static pthread_t start_spinning(void)
{
    pthread_t t;
    flag = 0;
    pthread_create(&t, NULL, spin, NULL);
    usleep(20000);
    return t;
}

static int stop_spinning(pthread_t t)
{
    flag = 1;
    return pthread_join(t, NULL) == 0;
}

static int status_of(pid_t pid)
{
    int status = -1;
    waitpid(pid, &status, 0);
    return status;
}

/* ------------------------------------------------------------ descriptors */

static int map_all(int fd)
{
    const struct {
        uint64_t at, length;
        int prot;
    } parts[] = {{0, 0x10000, PROT_READ | PROT_EXEC},
                 {0x10000, 0x8000, PROT_READ | PROT_WRITE},
                 {0x20000, 0x10000, PROT_READ | PROT_WRITE}};
    for (int i = 0; i < 3; i++) {
        if (mmap((void *)(e.base + parts[i].at), parts[i].length, parts[i].prot,
                 MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
            return -1;
    }
    return 0;
}

/* The child has neither mapping nor descriptor until one comes over a socket. */
static int passed(void)
{
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof(control)};
    pid_t pid = fork();
    if (pid == 0) {
        munmap((void *)e.base, e.size);
        close(e.fd);
        if (recvmsg(pair[1], &m, 0) != 1 || map_all(*(int *)CMSG_DATA(CMSG_FIRSTHDR(&m))))
            _exit(1);
        _exit(count(THREAD1_TCS) ? 0 : 2);
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &e.fd, sizeof(int));
    sendmsg(pair[0], &m, 0);
    counted++;
    close(pair[0]), close(pair[1]);
    return status_of(pid) == 0;
}

static int closed_while_running(void)
{
    pthread_t t = start_spinning();
    int other = dup(e.fd);
    close(e.fd);
    int fine = count(THREAD1_TCS);
    fine &= dup2(other, e.fd) == e.fd;
    close(other);
    close_range(3, ~0U, 0); /* as daemons do */
    fine &= count(THREAD1_TCS);
    return stop_spinning(t) && fine && count(THREAD0_TCS);
}

/* ------------------------------------------------------------ mappings */

static int protected_in_parts(void)
{
    pthread_t t = start_spinning();
    int fine = 1;
    for (int i = 0; i < 20; i++) {
        for (uint64_t at = 0x29000; at < 0x30000; at += 0x3000) {
            fine &= mprotect((void *)(e.base + at), 0x1000, PROT_NONE) == 0;
            fine &= mprotect((void *)(e.base + at), 0x1000, PROT_READ | PROT_WRITE) == 0;
        }
        fine &= count(THREAD1_TCS);
    }
    fine &= munmap((void *)(e.base + HEAP), 0x10000) == 0;
    fine &= mremap((void *)(e.base + 0x10000), 0x1000, 0x2000, MREMAP_MAYMOVE) == MAP_FAILED;
    return stop_spinning(t) && fine;
}

/* ------------------------------------------------------------ processes */

static int exec_while_running(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t t;
        flag = 0;
        pthread_create(&t, NULL, spin, NULL);
        usleep(20000);
        execl("/bin/sh", "sh", "-c", "exit 7", NULL);
    }
    int status = status_of(pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 7;
}

static int vfork_while_running(void)
{
    pthread_t t = start_spinning();
    int fine = 1;
    for (int i = 0; i < 10; i++) {
        pid_t pid = vfork();
        if (pid == 0) {
            execl("/bin/true", "true", NULL);
            _exit(9);
        }
        fine &= status_of(pid) == 0 && count(THREAD1_TCS);
    }
    return stop_spinning(t) && fine;
}

static int killed_inside(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        flag = 0;
        enter(e.base + THREAD1_TCS, CMD_SPIN, (void *)&flag);
        _exit(0);
    }
    usleep(30000);
    kill(pid, SIGTERM);
    int status = status_of(pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
}

/* ------------------------------------------------------------ the rest */

static volatile uint32_t expired;
static void on_timer(union sigval v)
{
    expired += (uint32_t)v.sival_int;
}

static int timers(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_timer};
    struct itimerspec when = {{0, 2000000}, {0, 2000000}};
    timer_t timer;
    event.sigev_value.sival_int = 1;
    expired = 0;
    int fine = timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 &&
               timer_settime(timer, 0, &when, NULL) == 0;
    for (int i = 0; i < 200000 && expired < 20; i++)
        fine &= count(THREAD0_TCS);
    for (int i = 0; i < 1000 && expired < 20; i++)
        usleep(10000);
    timer_delete(timer);
    return fine && expired >= 20;
}

static volatile uint32_t handled;
static char *volatile handler_stack;
static void on_fault(int sig, siginfo_t *info, void *context)
{
    char here;
    handled++;
    handler_stack = &here;
}

/* A handler's alternate stack that the kernel forgets while it runs. */
static int alternate_stacks(void)
{
    static char stack[65536];
    stack_t s = {.ss_sp = stack, .ss_size = sizeof(stack), .ss_flags = (int)(1U << 31)}, now;
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaltstack(&s, NULL);
    sigaction(SIGUSR1, &a, NULL);
    pthread_kill(pthread_self(), SIGUSR1);
    sigaltstack(NULL, &now);
    int fine = handled == 1 && handler_stack > stack && handler_stack < stack + sizeof(stack);
    return fine && now.ss_sp == stack && now.ss_size == sizeof(stack);
}

static int limits(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit few = {3, 3}, small = {64 << 20, 64 << 20};
        int fine = setrlimit(RLIMIT_NOFILE, &few) == 0;
        setrlimit(RLIMIT_DATA, &small);
        for (int i = 0; i < 1000; i++)
            fine &= count(THREAD1_TCS);
        _exit(!fine);
    }
    counted += 1000;
    return status_of(pid) == 0;
}

static int another_user(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (getuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(1);
        _exit(!count(THREAD1_TCS) || !count(THREAD0_TCS));
    }
    counted += 2;
    return status_of(pid) == 0;
}

static void *many(void *unused)
{
    uint64_t one = 1, wrong = 0;
    for (int i = 0; i < 300; i++)
        wrong += enter(e.base + THREAD1_TCS, CMD_NOTHING, &one) > 1000000;
    return (void *)wrong;
}

/* Threads come and go with tiny stacks; each enters the TCS that the last one left. */
static int short_lived_threads(void)
{
    pthread_attr_t a;
    int fine = 1;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 16384);
    for (int i = 0; i < 60; i++) {
        pthread_t t;
        void *wrong = NULL;
        fine &= pthread_create(&t, &a, many, NULL) == 0;
        pthread_join(t, &wrong);
        fine &= wrong == NULL;
    }
    return fine;
}

int main(void)
{
    load_enclave(&e, "hello.layout", "hello.sig");
    report("entered", count(THREAD0_TCS));
    report("passed over a socket", passed());
    report("protected in parts", protected_in_parts());
    report("vfork while a thread is inside", vfork_while_running());
    report("timers", timers());
    report("alternate stacks", alternate_stacks());
    report("short-lived threads", short_lived_threads());
    report("limits", limits());
    report("another user", another_user());
    report("closed while running", closed_while_running());
    /* Each leaves one TCS behind for good. */
    report("exec while a thread is inside", exec_while_running());
    report("killed inside", killed_inside());
    return failures != 0;
}

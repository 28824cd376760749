/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* tasks pipe|threadpipe|threadsockets|eventfds|futex|thread|fork|spawn|forkexec: prints the
 * nanoseconds of one round.
 *
 *   pipe      two processes pass a byte to and fro
 *   threadpipe, threadsockets, eventfds  the same for two threads, by pipes, by a pair of sockets
 *             and by event counters
 *   futex     two threads wake each other
 *   thread    create and join
 *   fork      fork, _exit, wait
 *   spawn     posix_spawn /bin/true, wait
 *   forkexec  fork, exec /bin/true, wait
 *
 * All on one processor. The slices (slices.h) are as short as they can be. */
#define _GNU_SOURCE
#include "slices.h"
#include <linux/futex.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_SLICES = 2000, WARM_UP = 10 };

/* ---- ping-pong ---- */

static int there[2], back[2];

static void pipe_partner(void)
{
    char c;
    while (read(there[0], &c, 1) == 1 && write(back[1], &c, 1) == 1)
        ;
    _exit(0);
}

static void pipe_setup(void)
{
    expect(pipe(there) == 0 && pipe(back) == 0, "pipe");
    pid_t child = fork();
    expect(child >= 0, "fork");
    if (child == 0) {
        close(there[1]);
        pipe_partner();
    }
}

static void pipe_round(void)
{
    char c = 'x';
    expect(write(there[1], &c, 1) == 1 && read(back[0], &c, 1) == 1, "pipe");
}

static void *pipe_thread(void *arg)
{
    pipe_partner();
    return arg;
}

static void thread_pipe_setup(void)
{
    pthread_t partner;
    expect(pipe(there) == 0 && pipe(back) == 0, "pipe");
    expect(pthread_create(&partner, NULL, pipe_thread, NULL) == 0, "pthread_create");
}

static void *counter_partner(void *arg)
{
    uint64_t v;
    while (read(there[0], &v, 8) == 8 && write(back[0], &v, 8) == 8)
        ;
    return arg;
}

static void *socket_partner(void *arg)
{
    char c;
    while (recv(there[1], &c, 1, 0) == 1 && send(there[1], &c, 1, 0) == 1)
        ;
    return arg;
}

static void sockets_setup(void)
{
    pthread_t partner;
    expect(socketpair(AF_UNIX, SOCK_STREAM, 0, there) == 0, "socketpair");
    expect(pthread_create(&partner, NULL, socket_partner, NULL) == 0, "pthread_create");
}

static void sockets_round(void)
{
    char c = 'x';
    expect(send(there[0], &c, 1, 0) == 1 && recv(there[0], &c, 1, 0) == 1, "socketpair");
}

static void eventfds_setup(void)
{
    pthread_t partner;
    there[0] = eventfd(0, 0);
    back[0] = eventfd(0, 0);
    expect(pthread_create(&partner, NULL, counter_partner, NULL) == 0, "pthread_create");
}

static void eventfds_round(void)
{
    uint64_t v = 1;
    expect(write(there[0], &v, 8) == 8 && read(back[0], &v, 8) == 8, "eventfd");
}

static atomic_int ball; /* whose turn: 0 the main thread's, 1 its partner's */

static void pass_to(int whose)
{
    atomic_store(&ball, whose);
    syscall(SYS_futex, &ball, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void await(int whose)
{
    while (atomic_load(&ball) != whose)
        syscall(SYS_futex, &ball, FUTEX_WAIT_PRIVATE, !whose, NULL, NULL, 0);
}

static void *futex_partner(void *arg)
{
    for (;;) {
        await(1);
        pass_to(0);
    }
    return arg;
}

static void futex_setup(void)
{
    pthread_t partner;
    expect(pthread_create(&partner, NULL, futex_partner, NULL) == 0, "pthread_create");
}

static void futex_round(void)
{
    pass_to(1);
    await(0);
}

/* ---- threads and processes ---- */

static void *nothing(void *arg)
{
    return arg;
}

static void thread_round(void)
{
    pthread_t t;
    expect(pthread_create(&t, NULL, nothing, NULL) == 0, "pthread_create");
    pthread_join(t, NULL);
}

static void reap(pid_t child)
{
    int status;
    expect(child > 0 && waitpid(child, &status, 0) == child && status == 0, "child");
}

static char *const true_argv[] = {"/bin/true", NULL};
static char *const no_env[] = {NULL};

static void fork_round(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    reap(child);
}

static void fork_exec_round(void)
{
    pid_t child = fork();
    if (child == 0) {
        execve(true_argv[0], true_argv, no_env);
        _exit(127);
    }
    reap(child);
}

static void spawn_round(void)
{
    pid_t child;
    expect(posix_spawn(&child, true_argv[0], NULL, NULL, true_argv, no_env) == 0, "posix_spawn");
    reap(child);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*setup)(void);
        void (*round)(void);
        int count, slices; /* rounds in a slice */
    } kinds[] = {
        {"pipe", pipe_setup, pipe_round, 20, 1000},
        {"futex", futex_setup, futex_round, 20, 1000},
        {"threadpipe", thread_pipe_setup, pipe_round, 20, 1000},
        {"threadsockets", sockets_setup, sockets_round, 20, 1000},
        {"eventfds", eventfds_setup, eventfds_round, 20, 1000},
        {"thread", NULL, thread_round, 1, 2000},
        {"fork", NULL, fork_round, 1, 400},
        {"spawn", NULL, spawn_round, 1, 60},
        {"forkexec", NULL, fork_exec_round, 1, 60},
    };
    one_processor();
    for (size_t k = 0; argc == 2 && k < sizeof kinds / sizeof *kinds; k++) {
        if (strcmp(argv[1], kinds[k].name) != 0)
            continue;
        double slices[MOST_SLICES];
        if (kinds[k].setup)
            kinds[k].setup();
        for (int i = -WARM_UP; i < kinds[k].slices; i++) {
            uint64_t begin = now();
            for (int n = 0; n < kinds[k].count; n++)
                kinds[k].round();
            if (i >= 0)
                slices[i] = (double)(now() - begin) / kinds[k].count;
        }
        printf("%.0f\n", median(slices, (size_t)kinds[k].slices));
        return 0;
    }
    fprintf(
        stderr,
        "usage: tasks pipe|threadpipe|threadsockets|eventfds|futex|thread|fork|spawn|forkexec\n");
    return 2;
}

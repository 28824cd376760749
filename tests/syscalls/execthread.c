/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* execve by a thread that is not the first one: it becomes the first one, the others are gone. */
#include "check.h"
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>

static const char *me;
static int out[2]; /* its read end is where a thread of the old program waited */

static int tasks(int pid)
{
    char path[64];
    int n = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    struct dirent *e;
    while (dir && (e = readdir(dir)))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static char state(int pid)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n < 0 ? 0 : n] = 0;
    char *at = strrchr(text, ')');
    return at ? at[2] : '?';
}

/* The new program: says who it is when it is asked, and ends at the end of questions. */
static int again(void)
{
    sigset_t mask;
    char line[200];
    NEED(sigprocmask(0, NULL, &mask) == 0);
    snprintf(line, sizeof(line), "tid %s, mask %s, state %c, %d task",
             gettid() == getpid() ? "is pid" : "differs",
             sigismember(&mask, SIGUSR1) && !sigismember(&mask, SIGUSR2) ? "kept" : "lost",
             state(getpid()), tasks(getpid()));
    NEED(syscall(SYS_tgkill, getpid(), getpid(), 0) == 0);
    char c;
    while (read(0, &c, 1) == 1)
        say("new program", "%s", line);
    return 42;
}

static void *exec_now(void *arg)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &one, NULL);
    usleep(arg ? 20000 : 0);
    execl(me, me, "-", "again", NULL);
    _exit(9);
}

static void *wait_for_data(void *arg)
{
    char c;
    (void)arg;
    return (void *)(long)read(out[0], &c, 1);
}

enum { IN_JOIN, IN_READ, IN_SLEEP, IN_SUSPEND, IN_EPOLL, IN_APPLICATION, ENDED, IN_FORKS, KINDS };
static const char *const kinds[KINDS] = {"join",  "read",        "sleep", "sigsuspend",
                                         "epoll", "application", "ended", "forks"};

__attribute__((noreturn)) static void first_thread(int kind, pthread_t t)
{
    sigset_t all;
    struct epoll_event event;
    char c;
    sigfillset(&all);
    for (;;)
        switch (kind) {
        case IN_JOIN:
            pthread_join(t, NULL);
            break;
        case IN_READ:
            if (read(out[0], &c, 1) == 0)
                pause();
            break;
        case IN_SLEEP:
            nanosleep(&(struct timespec){100, 0}, NULL);
            break;
        case IN_SUSPEND:
            sigsuspend(&all);
            break;
        case IN_EPOLL:
            epoll_wait(epoll_create1(EPOLL_CLOEXEC), &event, 1, -1);
            break;
        case IN_APPLICATION:
            for (volatile long n = 0;; n++)
                ;
        case ENDED:
            pthread_exit(NULL);
        case IN_FORKS: {
            int pid = fork();
            if (pid == 0)
                _exit(0);
            waitpid(pid, NULL, 0);
        }
        }
}

static void one(int kind)
{
    int in[2], st;
    char name[64];
    NEED(pipe(in) == 0 && pipe2(out, O_CLOEXEC) == 0);
    int pid = fork();
    if (pid == 0) {
        pthread_t t[4];
        dup2(in[0], 0);
        close(in[0]);
        close(in[1]);
        close(out[1]);
        for (int i = 0; i < 2; i++)
            NEED(pthread_create(&t[i], NULL, wait_for_data, NULL) == 0);
        for (int i = 2; i < 4; i++)
            NEED(pthread_create(&t[i], NULL, exec_now, (void *)1L) == 0);
        first_thread(kind, t[2]);
    }
    close(in[0]);
    close(out[0]);
    say("first thread", "%s", kinds[kind]);
    struct pollfd p = {out[1], 0, 0};
    int n = poll(&p, 1, 10000); /* until nobody is left to read */
    snprintf(name, sizeof(name), "the old descriptors are closed (%s)", kinds[kind]);
    CHECK(name, n == 1 && p.revents & POLLERR);
    if (kind != ENDED) { /* then the host keeps what was the first thread as a zombie */
        for (int i = 0; i < 5000 && (state(pid) != 'S' || tasks(pid) != 1); i++)
            usleep(1000);
        say("its parent sees", "%c, %d", state(pid), tasks(pid));
    }
    kill(pid, SIGSTOP);
    NEED(waitpid(pid, &st, WUNTRACED) == pid);
    say("stopped", "%x", st);
    kill(pid, SIGCONT);
    if (kind != ENDED)
        NEED(write(in[1], "?", 1) == 1);
    close(in[1]);
    NEED(waitpid(pid, &st, 0) == pid);
    say("ends with", "%d", WEXITSTATUS(st));
    close(out[1]);
}

int main(int argc, char **argv)
{
    static char exe[PATH_MAX];
    NEED(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
    me = exe;
    if (argc > 2)
        return again();
    NEED(argc == 2 && chdir(argv[1]) == 0);
    for (int kind = 0; kind < KINDS; kind++)
        one(kind);
    return 0;
}

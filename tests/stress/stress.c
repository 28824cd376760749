/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Much of one thing at a time: `stress WHAT COUNT [DIRECTORY]`. Prints one line and exits 0 when
 * everything happened as it should; what went wrong goes to stderr with exit status 1.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NEED(cond)                                                                          \
    do {                                                                                    \
        if (!(cond)) {                                                                      \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #cond, strerror(errno)); \
            _exit(1);                                                                       \
        }                                                                                   \
    } while (0)

static atomic_bool stop;

static void run_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 << 10);
    errno = pthread_create(t, &attr, fn, arg);
    NEED(errno == 0);
}

/* ---- fork while threads allocate and write ---- */

#define BUSY 8

struct busy {
    pthread_t thread;
    int pipe[2];
    unsigned long rounds;
};

static void *allocate_and_write(void *arg)
{
    struct busy *b = arg;
    unsigned seed = (unsigned)(uintptr_t)b;
    while (!stop) {
        size_t n = 16 + (size_t)rand_r(&seed) % 200000; /* from the heap and from mmap */
        char *p = malloc(n), byte = (char)n;
        memset(p, byte, n);
        NEED(write(b->pipe[1], &byte, 1) == 1);
        char back = 0;
        NEED(read(b->pipe[0], &back, 1) == 1);
        if (back != byte || p[0] != byte || p[n - 1] != byte) {
            fprintf(stderr, "thread read %d, wrote %d, memory %d\n", back, byte, p[n - 1]);
            _exit(1);
        }
        free(p);
        b->rounds++;
    }
    return NULL;
}

static int forks(int count)
{
    struct busy busy[BUSY] = {0};
    unsigned long total = 0;
    for (int i = 0; i < BUSY; i++) {
        NEED(pipe(busy[i].pipe) == 0);
        run_thread(&busy[i].thread, allocate_and_write, &busy[i]);
    }
    for (int i = 0; i < count; i++) {
        char *before = malloc(5000);
        memset(before, i, 5000);
        pid_t child = fork();
        NEED(child >= 0);
        if (child == 0) { /* alone, with a heap that works and memory as it was */
            char *p = malloc(100000);
            memset(p, 1, 100000);
            bool good = before[4999] == (char)i && getpid() != getppid();
            free(before);
            free(p);
            _exit(good ? 7 : 8);
        }
        int status;
        NEED(waitpid(child, &status, 0) == child);
        NEED(status == 7 << 8);
        free(before);
    }
    stop = true;
    for (int i = 0; i < BUSY; i++) {
        pthread_join(busy[i].thread, NULL);
        total += busy[i].rounds;
    }
    NEED(total > 0);
    printf("forks: %d\n", count);
    return 0;
}

/* ---- threads created and joined ---- */

#define MANY_THREADS 500

static void *touch(void *arg)
{
    char stack[4096];
    memset(stack, 1, sizeof(stack));
    atomic_fetch_add((atomic_int *)arg, stack[100]);
    return arg;
}

static int threads(int rounds)
{
    static pthread_t t[MANY_THREADS];
    atomic_int sum = 0;
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < MANY_THREADS; i++)
            run_thread(&t[i], touch, &sum);
        for (int i = 0; i < MANY_THREADS; i++) {
            void *back;
            NEED(pthread_join(t[i], &back) == 0 && back == &sum);
        }
    }
    NEED(sum == rounds * MANY_THREADS);
    printf("threads: %d\n", sum);
    return 0;
}

/* ---- signals on a pool of threads ---- */

#define POOL 16

static atomic_long handled, queued_handled;
static pthread_t pool[POOL];

static void count_signal(int sig)
{
    int e = errno;
    atomic_fetch_add(sig == SIGRTMIN + 1 ? &queued_handled : &handled, 1);
    errno = e;
}

/* Memory, futexes, pipes, time: whatever a handler may interrupt. */
static void *work_interrupted(void *arg)
{
    static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    static long counter;
    int p[2];
    char block[2000], back[2000];
    NEED(pipe(p) == 0);
    for (unsigned long i = 0; !stop; i++) {
        memset(block, (int)i, sizeof(block));
        ssize_t n = write(p[1], block, sizeof(block));
        NEED(n == sizeof(block));
        for (ssize_t got = 0; got < n;) {
            ssize_t r = read(p[0], back + got, (size_t)(n - got));
            NEED(r > 0);
            got += r;
        }
        NEED(memcmp(block, back, sizeof(back)) == 0);
        pthread_mutex_lock(&m);
        counter++;
        pthread_mutex_unlock(&m);
        struct timespec t = {0, 1000};
        while (i % 8 == 0 && nanosleep(&t, &t) != 0)
            NEED(errno == EINTR);
        free(malloc(3000));
    }
    close(p[0]), close(p[1]);
    return arg;
}

static int signals(int count)
{
    struct sigaction sa = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
    NEED(sigaction(SIGUSR1, &sa, NULL) == 0 && sigaction(SIGRTMIN + 1, &sa, NULL) == 0);
    sigset_t all;
    sigfillset(&all);
    for (int i = 0; i < POOL; i++)
        run_thread(&pool[i], work_interrupted, NULL);
    sigprocmask(SIG_BLOCK, &all, NULL); /* those for the process are the pool's, too */
    long sent = 0;
    for (int i = 0; i < count; i++) {
        NEED(pthread_kill(pool[i % POOL], SIGUSR1) == 0);
        NEED(kill(getpid(), SIGUSR1) == 0);
        while (sigqueue(getpid(), SIGRTMIN + 1, (union sigval){i}) != 0)
            NEED(errno == EAGAIN);
        sent++;
    }
    for (int i = 0; i < 20000 && queued_handled < sent; i++)
        usleep(1000);
    stop = true;
    for (int i = 0; i < POOL; i++)
        pthread_join(pool[i], NULL);
    NEED(handled > 0);
    if (queued_handled != sent) {
        fprintf(stderr, "%ld of %ld queued signals came\n", queued_handled, sent);
        return 1;
    }
    printf("signals: %ld queued, all handled\n", sent);
    return 0;
}

/* ---- a tree of processes with pipes ---- */

/* Of `n` processes below this one: three children take a share each and send up their counts. */
static int subtree(int n)
{
    int count = 0, p[2];
    NEED(pipe(p) == 0);
    for (int left = n, i = 0; left > 0 && i < 3; i++) {
        int share = (left + 2 - i) / (3 - i);
        left -= share;
        pid_t child = fork();
        NEED(child >= 0);
        if (child == 0) {
            close(p[0]);
            int below = 1 + subtree(share - 1);
            _exit(write(p[1], &below, sizeof(below)) == sizeof(below) ? 5 : 6);
        }
    }
    close(p[1]);
    int below, status;
    ssize_t r;
    while ((r = read(p[0], &below, sizeof(below))) != 0) {
        NEED(r == sizeof(below));
        count += below;
    }
    close(p[0]);
    while (wait(&status) > 0)
        NEED(status == 5 << 8);
    NEED(errno == ECHILD);
    return count;
}

static int tree(int count)
{
    int all = subtree(count);
    NEED(all == count);
    printf("processes: %d\n", all);
    return 0;
}

/* ---- many files ---- */

static long list(const char *prefix)
{
    DIR *d = opendir(".");
    long n = 0;
    NEED(d != NULL);
    for (struct dirent *e; (e = readdir(d));)
        n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    closedir(d);
    return n;
}

static int files(int count, const char *dir)
{
    char from[40], to[40], text[40] = "";
    NEED(dir && chdir(dir) == 0);
    for (int i = 0; i < count; i++) {
        sprintf(from, "before-%d", i);
        int fd = open(from, O_CREAT | O_EXCL | O_WRONLY, 0600);
        NEED(fd >= 0 && write(fd, from, strlen(from)) == (ssize_t)strlen(from) && close(fd) == 0);
    }
    NEED(list("before-") == count);
    for (int i = 0; i < count; i++) {
        sprintf(from, "before-%d", i);
        sprintf(to, "after-%d", i);
        NEED(rename(from, to) == 0);
    }
    NEED(list("before-") == 0 && list("after-") == count);
    for (int i = 0; i < count; i += 97) {
        sprintf(from, "before-%d", i);
        sprintf(to, "after-%d", i);
        int fd = open(to, O_RDONLY);
        ssize_t n = read(fd, text, sizeof(text) - 1);
        NEED(n > 0);
        text[n] = 0;
        NEED(strcmp(text, from) == 0 && close(fd) == 0);
    }
    for (int i = 0; i < count; i++) {
        sprintf(to, "after-%d", i);
        NEED(unlink(to) == 0);
    }
    NEED(list("after-") == 0);
    printf("files: %d\n", count);
    return 0;
}

/* ---- many sockets in one epoll, edge-triggered ---- */

static int sockets(int pairs, int rounds)
{
    struct rlimit l;
    NEED(getrlimit(RLIMIT_NOFILE, &l) == 0);
    l.rlim_cur = l.rlim_max < 8192 ? l.rlim_max : 8192;
    NEED(setrlimit(RLIMIT_NOFILE, &l) == 0);
    int(*s)[2] = calloc((size_t)pairs, sizeof(*s)), ep = epoll_create1(0);
    int *seen = calloc((size_t)pairs, sizeof(*seen));
    struct epoll_event e[64];
    NEED(ep >= 0);
    for (int i = 0; i < pairs; i++) {
        NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s[i]) == 0);
        e[0] = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.u32 = (uint32_t)i};
        NEED(epoll_ctl(ep, EPOLL_CTL_ADD, s[i][0], &e[0]) == 0);
    }
    for (int r = 1; r <= rounds; r++) {
        int missing = pairs, n;
        for (int i = 0; i < pairs; i++)
            NEED(write(s[i][1], &r, sizeof(r)) == sizeof(r));
        while (missing && (n = epoll_wait(ep, e, 64, 10000)) > 0)
            for (int i = 0; i < n; i++) {
                uint32_t k = e[i].data.u32;
                int value = 0;
                NEED(seen[k] == r - 1); /* once for each edge */
                NEED(read(s[k][0], &value, sizeof(value)) == sizeof(value) && value == r);
                NEED(read(s[k][0], &value, sizeof(value)) == -1 && errno == EAGAIN);
                seen[k] = r;
                missing--;
            }
        NEED(missing == 0);
        NEED(epoll_wait(ep, e, 64, 0) == 0);
    }
    printf("sockets: %d\n", pairs * 2);
    return 0;
}

/* ---- SIGKILL of any process ---- */

/* Uses what processes share: a pipe, a lock on a file, shared memory with a robust mutex. */
static void share(int in, int out, int fd, pthread_mutex_t *m, long *total)
{
    for (;;) {
        char c = 'x';
        struct pollfd p = {.fd = in, .events = POLLIN};
        (void)!write(out, &c, 1);
        if (poll(&p, 1, 1) == 1)
            (void)!read(in, &c, 1);
        struct flock l = {.l_type = F_WRLCK, .l_len = 1};
        NEED(fcntl(fd, F_SETLKW, &l) == 0);
        l.l_type = F_UNLCK;
        NEED(fcntl(fd, F_SETLK, &l) == 0);
        int r = pthread_mutex_lock(m);
        NEED(r == 0 || r == EOWNERDEAD);
        if (r == EOWNERDEAD)
            pthread_mutex_consistent(m);
        ++*total;
        pthread_mutex_unlock(m);
        int status;
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(3);
        NEED(waitpid(grandchild, &status, 0) == grandchild && status == 3 << 8);
    }
}

#define SHARERS 6

static int kills(int count, const char *dir)
{
    struct {
        pthread_mutex_t m;
        long total;
    } *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attr;
    int p[2], fd, status;
    pid_t child[SHARERS];
    unsigned seed = 1;
    NEED(s != MAP_FAILED && dir && chdir(dir) == 0);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&s->m, &attr);
    NEED(pipe2(p, O_NONBLOCK) == 0);
    NEED((fd = open("lock", O_RDWR | O_CREAT, 0600)) >= 0);
    NEED(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    for (int i = 0; i < SHARERS; i++)
        child[i] = 0;
    for (int n = 0; n < count; n++) {
        for (int i = 0; i < SHARERS; i++)
            if (!child[i] && (child[i] = fork()) == 0)
                share(p[0], p[1], fd, &s->m, &s->total);
        long before = __atomic_load_n(&s->total, __ATOMIC_RELAXED);
        for (int i = 0; __atomic_load_n(&s->total, __ATOMIC_RELAXED) < before + 4; i++) {
            NEED(i < 10000); /* the others go on whoever was killed */
            usleep(1000);
        }
        int victim = rand_r(&seed) % SHARERS;
        NEED(kill(child[victim], SIGKILL) == 0);
        NEED(waitpid(child[victim], &status, 0) == child[victim]);
        NEED(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        child[victim] = 0;
    }
    for (int i = 0; i < SHARERS; i++)
        if (child[i])
            kill(child[i], SIGKILL);
    while (wait(&status) > 0)
        ;
    unlink("lock");
    printf("killed: %d\n", count);
    return 0;
}

/* The first process of the run is killed: its children go on, and end by themselves. */
static int orphans(int count)
{
    int p[2];
    char c;
    NEED(pipe(p) == 0);
    for (int i = 0; i < count; i++) {
        pid_t child = fork();
        NEED(child >= 0);
        if (child == 0) {
            close(p[1]);
            (void)!read(p[0], &c, 1); /* end of file: the parent is gone */
            pid_t inner = fork();
            if (inner == 0)
                _exit(4);
            int status;
            NEED(waitpid(inner, &status, 0) == inner && status == 4 << 8);
            if (write(STDOUT_FILENO, "alive\n", 6) != 6)
                _exit(1);
            _exit(0);
        }
    }
    kill(getpid(), SIGKILL);
    return 1;
}

int main(int argc, char **argv)
{
    int count = argc > 2 ? atoi(argv[2]) : 0;
    const char *what = argc > 2 ? argv[1] : "", *dir = argc > 3 ? argv[3] : NULL;
    if (!strcmp(what, "forks"))
        return forks(count);
    if (!strcmp(what, "threads"))
        return threads(count);
    if (!strcmp(what, "signals"))
        return signals(count);
    if (!strcmp(what, "tree"))
        return tree(count);
    if (!strcmp(what, "files"))
        return files(count, dir);
    if (!strcmp(what, "sockets"))
        return sockets(1000, count);
    if (!strcmp(what, "kills"))
        return kills(count, dir);
    if (!strcmp(what, "orphans"))
        return orphans(count);
    fprintf(stderr, "usage: stress forks|threads|signals|tree|files|sockets|kills|orphans COUNT "
                    "[DIRECTORY]\n");
    return 2;
}

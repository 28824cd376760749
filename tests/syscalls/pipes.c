/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Pipes and FIFOs: blocking, ends, atomicity, capacity, packets. */
#include "check.h"
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>

static char buf[70000];
static volatile sig_atomic_t broken;

static void on_pipe(int sig)
{
    (void)sig;
    broken++;
}

static int events(int fd)
{
    struct pollfd f = {fd, POLLIN | POLLOUT, 0};
    poll(&f, 1, 0);
    return f.revents;
}

static void basics(void)
{
    int p[2], q[2];
    struct stat st;
    TRY("pipe", pipe(p));
    TRY("write", write(p[1], "hello", 5));
    TRY("read part", read(p[0], buf, 3));
    TRY("read the rest", read(p[0], buf, 100));
    TRY("write nothing", write(p[1], buf, 0));
    TRY("read from the writing end", read(p[1], buf, 1));
    TRY("write to the reading end", write(p[0], buf, 1));
    fstat(p[0], &st);
    say("mode", "%o size %d", st.st_mode, (int)st.st_size);
    TRY("pipe2 O_CLOEXEC|O_NONBLOCK", pipe2(q, O_CLOEXEC | O_NONBLOCK));
    say("flags", "%#x %d", (unsigned)fcntl(q[0], F_GETFL), fcntl(q[1], F_GETFD));
    TRY("pipe2 unknown flag", pipe2(q, O_APPEND));
    SYS("pipe to nowhere", SYS_pipe, BAD_LOW);
    SYS("pipe to read-only", SYS_pipe, page_then_none(PROT_READ));
    int fd = dup(0);
    CHECK("failed pipes leave nothing open", fd == q[1] + 1);
    SYS("read to nowhere", SYS_read, (write(p[1], "abc", 3), p[0]), BAD_LOW, 3L);
    TRY("bytes are still there", read(p[0], buf, 10));
    SYS("write from nowhere", SYS_write, p[1], BAD_LOW, 3L);
    say("poll empty", "%#x %#x", (unsigned)events(p[0]), (unsigned)events(p[1]));
    NEED(write(p[1], "x", 1) == 1);
    say("poll filled", "%#x", (unsigned)events(p[0]));
    close(p[1]);
    say("poll hung up, filled", "%#x", (unsigned)events(p[0]));
    TRY("read what is left", read(p[0], buf, 10));
    TRY("end of file", read(p[0], buf, 10));
    say("poll hung up", "%#x", (unsigned)events(p[0]));
    close(p[0]);
}

static void no_reader(void)
{
    int p[2];
    NEED(pipe(p) == 0);
    handle(SIGPIPE, on_pipe, 0);
    close(p[0]);
    say("poll without reader", "%#x", (unsigned)events(p[1]));
    TRY("write without reader", write(p[1], "x", 1));
    VALUE("SIGPIPE handled", broken);
    signal(SIGPIPE, SIG_IGN);
    TRY("SIGPIPE ignored", write(p[1], "x", 1));
    TRY("nothing without reader", write(p[1], "x", 0));
    VALUE("no more signals", broken);
    signal(SIGPIPE, SIG_DFL);
    pid_t child = fork();
    if (child == 0) {
        (void)!write(p[1], "x", 1);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    show_status("default action", status);
    close(p[1]);
}

static void capacity(void)
{
    int p[2];
    long total = 0;
    ssize_t n;
    NEED(pipe2(p, O_NONBLOCK) == 0);
    TRY("empty, nonblocking", read(p[0], buf, 1));
    TRY("more than fits", write(p[1], buf, sizeof(buf)));
    TRY("full", write(p[1], buf, 1));
    say("poll full", "%#x", (unsigned)events(p[1]));
    TRY("make one page of room", read(p[0], buf, 4096));
    TRY("PIPE_BUF fits", write(p[1], buf, PIPE_BUF));
    TRY("read 4095", read(p[0], buf, 4095));
    TRY("PIPE_BUF does not fit", write(p[1], buf, PIPE_BUF));
    while ((n = read(p[0], buf, sizeof(buf))) > 0)
        total += n;
    VALUE("drained", total);
    int bytes = -1;
    NEED(write(p[1], buf, 777) == 777 && ioctl(p[0], FIONREAD, &bytes) == 0);
    VALUE("FIONREAD", bytes);
    close(p[0]), close(p[1]);
    NEED(pipe2(p, O_DIRECT | O_NONBLOCK) == 0);
    NEED(write(p[1], "one", 3) == 3 && write(p[1], "three", 5) == 5);
    TRY("first packet", read(p[0], buf, 100));
    TRY("second packet cut", read(p[0], buf, 2));
    TRY("rest of it is gone", read(p[0], buf, 100));
    close(p[0]), close(p[1]);
}

struct writer {
    int fd;
    char mark;
};

static void *write_blocks(void *arg)
{
    struct writer *w = arg;
    char block[PIPE_BUF];
    memset(block, w->mark, sizeof(block));
    for (int i = 0; i < 100; i++)
        if (write(w->fd, block, sizeof(block)) != sizeof(block))
            break;
    return NULL;
}

static void atomicity(void)
{
    int p[2], mixed = 0, counts[4] = {0};
    pthread_t t[4];
    struct writer w[4];
    char block[PIPE_BUF];
    NEED(pipe(p) == 0);
    for (int i = 0; i < 4; i++) {
        w[i] = (struct writer){p[1], (char)('a' + i)};
        NEED(pthread_create(&t[i], NULL, write_blocks, &w[i]) == 0);
    }
    for (int i = 0; i < 400; i++) {
        for (size_t got = 0; got < sizeof(block);) {
            ssize_t n = read(p[0], block + got, sizeof(block) - got);
            NEED(n > 0);
            got += (size_t)n;
        }
        for (size_t j = 1; j < sizeof(block); j++)
            mixed += block[j] != block[0];
        counts[(block[0] - 'a') & 3]++;
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    say("blocks of four writers", "%d %d %d %d, mixed bytes %d", counts[0], counts[1], counts[2],
        counts[3], mixed);
    close(p[0]), close(p[1]);
}

static void *write_later(void *arg)
{
    sleep_ms(30);
    return (void *)write(*(int *)arg, "late", 4);
}

static void *read_later(void *arg)
{
    char block[70000];
    sleep_ms(30);
    for (size_t got = 0; got < 200000;) {
        ssize_t n = read(*(int *)arg, block, sizeof(block));
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return NULL;
}

static void blocking(void)
{
    int p[2];
    pthread_t t;
    NEED(pipe(p) == 0);
    long long then = now_ms();
    NEED(pthread_create(&t, NULL, write_later, &p[1]) == 0);
    TRY("read waits", read(p[0], buf, 10));
    CHECK("waited", now_ms() - then >= 25);
    pthread_join(t, NULL);
    char *big = calloc(1, 200000);
    NEED(pthread_create(&t, NULL, read_later, &p[0]) == 0);
    TRY("write waits for room", write(p[1], big, 200000));
    pthread_join(t, NULL);
    free(big);
    close(p[0]), close(p[1]);
}

static void named(void)
{
    int r, w;
    NEED(mkfifo("fifo", 0600) == 0);
    TRY("write end without reader", open("fifo", O_WRONLY | O_NONBLOCK));
    r = (int)OK("read end, nonblocking", open("fifo", O_RDONLY | O_NONBLOCK));
    TRY("read without writer", read(r, buf, 1));
    w = (int)OK("write end", open("fifo", O_WRONLY | O_NONBLOCK));
    TRY("read, empty", read(r, buf, 1));
    TRY("write", write(w, "abc", 3));
    TRY("read", read(r, buf, 10));
    TRY("lseek", lseek(r, 0, SEEK_SET));
    close(w);
    TRY("writer gone", read(r, buf, 1));
    close(r);
    pid_t child = fork();
    if (child == 0) {
        int fd = open("fifo", O_WRONLY);
        (void)!write(fd, "from the child", 14);
        _exit(0);
    }
    r = (int)OK("open waits for the writer", open("fifo", O_RDONLY));
    TRY("read from the child", read(r, buf, 100));
    TRY("end", read(r, buf, 100));
    waitpid(child, NULL, 0);
    close(r);
    int both = (int)OK("both ends", open("fifo", O_RDWR));
    TRY("to itself", write(both, "x", 1));
    TRY("from itself", read(both, buf, 10));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    basics();
    no_reader();
    capacity();
    atomicity();
    blocking();
    named();
    return 0;
}

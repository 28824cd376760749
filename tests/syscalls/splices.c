/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Moving data without copying it: sendfile, splice and tee between files, pipes and sockets. */
#include "check.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

enum { SIZE = 300000 };

static char data[SIZE], back[SIZE];

static void connected(int family, int s[2])
{
    if (family == AF_UNIX) {
        NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
        return;
    }
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int l = socket(AF_INET, SOCK_STREAM, 0);
    NEED(bind(l, (void *)&a, sizeof(a)) == 0 && listen(l, 1) == 0 &&
         getsockname(l, (void *)&a, &n) == 0);
    s[0] = socket(AF_INET, SOCK_STREAM, 0);
    NEED(connect(s[0], (void *)&a, sizeof(a)) == 0 && (s[1] = accept(l, NULL, NULL)) >= 0);
    close(l);
}

struct reader {
    int fd;
    size_t got;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    ssize_t n;
    while (r->got < SIZE && (n = read(r->fd, back + r->got, SIZE - r->got)) > 0)
        r->got += (size_t)n;
    return NULL;
}

static void to_socket(int family, int file)
{
    int s[2];
    off_t off = 1000;
    connected(family, s);
    struct reader r = {s[1], 0};
    pthread_t t;
    NEED(pthread_create(&t, NULL, read_all, &r) == 0);
    say("to", "%s", family == AF_UNIX ? "AF_UNIX" : "TCP");
    size_t sent = 0;
    while (sent < SIZE - 1000) {
        ssize_t n = sendfile(s[0], file, &off, SIZE);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    VALUE("sent", sent);
    VALUE("offset", off);
    VALUE("file's own", lseek(file, 0, SEEK_CUR));
    shutdown(s[0], SHUT_WR);
    pthread_join(t, NULL);
    CHECK("arrived", r.got == SIZE - 1000 && memcmp(back, data + 1000, r.got) == 0);
    TRY("at the end", sendfile(s[0], file, &off, 10));
    TRY("from a socket", sendfile(file, s[1], NULL, 10));
    close(s[0]);
    close(s[1]);
    connected(family, s);
    fcntl(s[0], F_SETFL, O_NONBLOCK);
    off = 0;
    long total = 0, n;
    while ((n = sendfile(s[0], file, &off, SIZE)) > 0 && off < SIZE)
        total += n;
    CHECK("stops when full, or at the end", n > 0 || (n == 0 && off == SIZE) || errno == EAGAIN);
    CHECK("offset is what was sent", n > 0 || off == total);
    close(s[1]);
    signal(SIGPIPE, SIG_IGN);
    off = 0;
    while ((n = sendfile(s[0], file, &off, 1000)) > 0 && off < SIZE)
        ;
    CHECK("peer gone", n == -1 && (errno == EPIPE || errno == ECONNRESET));
    close(s[0]);
}

static void errors(int file)
{
    int p[2], only = open("f", O_RDONLY), wr = open("g", O_WRONLY | O_CREAT, 0600),
              app = open("g", O_WRONLY | O_APPEND);
    off_t off = -1;
    NEED(pipe(p) == 0);
    TRY("negative offset", sendfile(p[1], file, &off, 10));
    SYS("offset nowhere", SYS_sendfile, p[1], file, BAD_LOW, 10L);
    TRY("not readable", sendfile(p[1], wr, NULL, 10));
    TRY("not writable", sendfile(only, file, NULL, 10));
    TRY("closed", sendfile(999, file, NULL, 10));
    off = 0;
    TRY("to a file", sendfile(wr, file, &off, 100));
    TRY("to an appending file", sendfile(app, file, &off, 100));
    TRY("nothing", sendfile(p[1], file, &off, 0));
    TRY("from a pipe", sendfile(wr, p[0], NULL, 10));
    TRY("splice neither a pipe", splice(file, NULL, wr, NULL, 10, 0));
    TRY("splice with the pipe's offset", splice(file, NULL, p[1], &off, 10, 0));
    TRY("splice unknown flag", splice(file, NULL, p[1], NULL, 10, 0x100));
    TRY("splice a closed one", splice(999, NULL, p[1], NULL, 10, 0));
    TRY("splice from the writing end", splice(p[1], NULL, wr, NULL, 10, 0));
    TRY("splice within a pipe", splice(p[0], NULL, p[1], NULL, 10, 0));
    SYS("splice offset nowhere", SYS_splice, file, BAD_LOW, p[1], NULL, 10L, 0);
    TRY("tee files", tee(file, p[1], 10, 0));
    TRY("tee itself", tee(p[0], p[1], 10, 0));
    TRY("empty, nonblocking", splice(p[0], NULL, wr, NULL, 10, SPLICE_F_NONBLOCK));
    TRY("splice to an appending file", (write(p[1], "x", 1), splice(p[0], NULL, app, NULL, 10, 0)));
    close(p[1]);
    TRY("end of a pipe", (read(p[0], back, 10), splice(p[0], NULL, wr, NULL, 10, 0)));
    close(p[0]), close(only), close(wr), close(app);
}

static void pipes(int file)
{
    int p[2], q[2], s[2], out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0600);
    off_t off = 5;
    NEED(pipe(p) == 0 && pipe(q) == 0);
    connected(AF_INET, s);
    TRY("file to pipe", splice(file, &off, p[1], NULL, 5000, SPLICE_F_MOVE));
    VALUE("offset", off);
    TRY("tee", tee(p[0], q[1], 3000, 0));
    TRY("pipe to socket", splice(p[0], NULL, s[0], NULL, 5000, SPLICE_F_MORE));
    TRY("copy to file", splice(q[0], NULL, out, NULL, 5000, 0));
    size_t got = 0;
    while (got < 5000) {
        ssize_t n = read(s[1], back + got, 5000 - got);
        NEED(n > 0);
        got += (size_t)n;
    }
    CHECK("the same on the socket", memcmp(back, data + 5, 5000) == 0);
    TRY("file", pread(out, back, 5000, 0));
    CHECK("the same in the file", memcmp(back, data + 5, 3000) == 0);
    NEED(write(s[1], "answer", 6) == 6);
    poll(&(struct pollfd){s[0], POLLIN, 0}, 1, 5000);
    TRY("socket to pipe", splice(s[0], NULL, p[1], NULL, 100, 0));
    TRY("pipe to pipe", splice(p[0], NULL, q[1], NULL, 4, 0));
    TRY("first part", read(q[0], back, 10));
    TRY("second part", read(p[0], back, 10));
    off = 100;
    NEED(write(p[1], "placed", 6) == 6);
    TRY("pipe to a place in the file", splice(p[0], NULL, out, &off, 6, 0));
    VALUE("offset then", off);
    TRY("there", pread(out, back, 6, 100));
    show_bytes("bytes", back, 6);
    TRY("capacity", fcntl(p[1], F_SETPIPE_SZ, 8192) >= 8192);
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    long total = 0, n;
    off = 0;
    while ((n = splice(file, &off, p[1], NULL, SIZE, SPLICE_F_NONBLOCK)) > 0)
        total += n;
    report("full", n);
    VALUE("fitted", total);
    close(p[0]), close(p[1]), close(q[0]), close(q[1]), close(s[0]), close(s[1]), close(out);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    for (int i = 0; i < SIZE; i++)
        data[i] = (char)(i * 31 + i / 251);
    int file = open("f", O_RDWR | O_CREAT, 0600);
    NEED(file >= 0 && write(file, data, SIZE) == SIZE && lseek(file, 77, SEEK_SET) == 77);
    to_socket(AF_UNIX, file);
    to_socket(AF_INET, file);
    errors(file);
    pipes(file);
    return 0;
}

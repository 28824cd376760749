/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* sendfile and copy_file_range. */
#include "check.h"
#include <sys/sendfile.h>
#include <sys/socket.h>

static char buf[64];

static void sending(void)
{
    int p[2], s[2], in, out, append;
    off_t at = 2;
    put("in", "0123456789");
    in = open("in", O_RDONLY), out = open("out", O_RDWR | O_CREAT, 0600);
    append = open("in", O_RDWR | O_APPEND);
    NEED(pipe2(p, O_NONBLOCK) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    TRY("to file", sendfile(out, in, NULL, 4));
    TRY("input offset moved", lseek(in, 0, SEEK_CUR));
    TRY("output offset moved", lseek(out, 0, SEEK_CUR));
    TRY("from a position", sendfile(out, in, &at, 3));
    VALUE("position moved", at);
    TRY("input offset kept", lseek(in, 0, SEEK_CUR));
    show_file("output", "out");
    TRY("more than there is", sendfile(out, in, NULL, 1000));
    TRY("at the end", sendfile(out, in, NULL, 1000));
    show_file("whole output", "out");
    at = 100;
    TRY("beyond the end", sendfile(out, in, &at, 10));
    at = -1;
    TRY("negative position", sendfile(out, in, &at, 10));
    at = 0;
    TRY("to pipe", sendfile(p[1], in, &at, 10));
    TRY("read pipe", read(p[0], buf, sizeof(buf)));
    at = 0;
    TRY("to socket", sendfile(s[0], in, &at, 10));
    TRY("read socket", read(s[1], buf, sizeof(buf)));
    show_bytes("bytes", buf, 10);
    TRY("nothing", sendfile(out, in, NULL, 0));
    TRY("from pipe", sendfile(out, p[0], NULL, 10));
    at = 0;
    TRY("to O_APPEND", sendfile(append, in, &at, 10));
    TRY("to read-only", sendfile(in, in, &at, 10));
    TRY("from write-only", sendfile(out, open("in", O_WRONLY), &at, 10));
    TRY("from closed", sendfile(out, 999, NULL, 10));
    TRY("to closed", sendfile(999, in, NULL, 10));
    TRY("from directory", sendfile(out, open(".", O_RDONLY), NULL, 10));
    SYS("position nowhere", SYS_sendfile, out, in, BAD_LOW, 4L);
    while (write(p[1], buf, sizeof(buf)) > 0)
        ;
    at = 0;
    TRY("to full pipe", sendfile(p[1], in, &at, 10));
}

static void big(void)
{
    size_t n = 1500000;
    char *a = malloc(n), *b = malloc(n);
    for (size_t i = 0; i < n; i++)
        a[i] = (char)(i * 7 + i / 1000);
    int in = open("big", O_RDWR | O_CREAT, 0600), out = open("copy", O_RDWR | O_CREAT, 0600);
    NEED(write(in, a, n) == (ssize_t)n);
    off_t at = 0;
    size_t sent = 0;
    ssize_t r;
    while (sent < n && (r = sendfile(out, in, &at, n - sent)) > 0)
        sent += (size_t)r;
    VALUE("sent all", sent);
    CHECK("copy equal", pread(out, b, n, 0) == (ssize_t)n && memcmp(a, b, n) == 0);
    free(a);
    free(b);
}

static void ranges(void)
{
    int in, out, p[2], dir = open(".", O_RDONLY);
    off_t from = 3, to = 1;
    put("a", "abcdefghij");
    put("b", "..........");
    in = open("a", O_RDWR), out = open("b", O_RDWR);
    NEED(pipe(p) == 0);
    TRY("positions", copy_file_range(in, &from, out, &to, 4, 0));
    say("moved", "%d %d", (int)from, (int)to);
    show_file("result", "b");
    TRY("offsets", copy_file_range(in, NULL, out, NULL, 3, 0));
    say("offsets moved", "%d %d", (int)lseek(in, 0, SEEK_CUR), (int)lseek(out, 0, SEEK_CUR));
    show_file("second result", "b");
    from = 8;
    TRY("more than there is", copy_file_range(in, &from, out, NULL, 100, 0));
    TRY("at the end", copy_file_range(in, &from, out, NULL, 100, 0));
    from = 0, to = 5;
    TRY("within one file", copy_file_range(in, &from, in, &to, 5, 0));
    show_file("within", "a");
    from = 0, to = 2;
    TRY("overlapping", copy_file_range(in, &from, in, &to, 5, 0));
    TRY("unknown flag", copy_file_range(in, NULL, out, NULL, 1, 1));
    TRY("from directory", copy_file_range(dir, NULL, out, NULL, 1, 0));
    TRY("from pipe", copy_file_range(p[0], NULL, out, NULL, 1, 0));
    TRY("to read-only", copy_file_range(in, NULL, open("b", O_RDONLY), NULL, 1, 0));
    TRY("to O_APPEND", copy_file_range(in, NULL, open("b", O_RDWR | O_APPEND), NULL, 1, 0));
    TRY("from closed", copy_file_range(999, NULL, out, NULL, 1, 0));
    TRY("to closed", copy_file_range(in, NULL, 999, NULL, 1, 0));
    from = -1;
    TRY("negative position", copy_file_range(in, &from, out, NULL, 1, 0));
    SYS("position nowhere", SYS_copy_file_range, in, BAD_LOW, out, NULL, 1L, 0);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    sending();
    big();
    ranges();
    return 0;
}

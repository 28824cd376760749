/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* /dev: null, zero, full, random, urandom, tty, fd, shm. */
#include "check.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <termios.h>

static void device(const char *path)
{
    char line[64], buf[4096];
    struct stat st;
    bool zero = true;
#define LINE(text) (snprintf(line, sizeof(line), "%s %s", path, text), line)
    int fd = (int)OK(LINE("open"), open(path, O_RDWR));
    if (fd < 0)
        return;
    fstat(fd, &st);
    say(LINE("is"), "type %o device %u:%u size %d", st.st_mode & S_IFMT, major(st.st_rdev),
        minor(st.st_rdev), (int)st.st_size);
    memset(buf, 7, sizeof(buf));
    TRY(LINE("read"), read(fd, buf, 100));
    for (int i = 0; i < 100; i++)
        zero &= buf[i] == 0;
    CHECK(LINE("reads zero"), zero);
    TRY(LINE("pread"), pread(fd, buf, 10, 50));
    TRY(LINE("write"), write(fd, buf, 100));
    TRY(LINE("pwrite"), pwrite(fd, buf, 10, 50));
    TRY(LINE("lseek"), lseek(fd, 10, SEEK_SET));
    TRY(LINE("lseek end"), lseek(fd, 10, SEEK_END));
    TRY(LINE("ftruncate"), ftruncate(fd, 0));
    TRY(LINE("fsync"), fsync(fd));
    SYS(LINE("read nowhere"), SYS_read, fd, BAD_LOW, 10L);
    SYS(LINE("write nowhere"), SYS_write, fd, BAD_LOW, 10L);
    struct pollfd p = {fd, POLLIN | POLLOUT, 0};
    TRY(LINE("poll"), poll(&p, 1, 0));
    TRY(LINE("TCGETS"), ioctl(fd, TCGETS, &(struct termios){0}));
    void *m = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    say(LINE("mmap"), "%s", m == MAP_FAILED ? errno_name(errno) : "ok");
    OK(LINE("O_DIRECTORY"), open(path, O_RDONLY | O_DIRECTORY));
    OK(LINE("O_TRUNC"), open(path, O_WRONLY | O_TRUNC));
    OK(LINE("O_CREAT"), open(path, O_WRONLY | O_CREAT, 0600));
    OK(LINE("O_CREAT|O_EXCL"), open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
    char below[64];
    snprintf(below, sizeof(below), "%s/x", path);
    OK(LINE("below"), open(below, O_RDONLY));
    close(fd);
}

int main(int argc, char **argv)
{
    unsigned char a[64], b[64];
    struct stat st;
    start(argc, argv);
    device("/dev/null");
    device("/dev/zero");
    device("/dev/full");
    int r = open("/dev/urandom", O_RDONLY);
    TRY("urandom", read(r, a, 64));
    TRY("urandom again", read(r, b, 64));
    CHECK("they differ", memcmp(a, b, 64) != 0);
    r = open("/dev/random", O_RDONLY | O_NONBLOCK);
    TRY("random", read(r, a, 64));
    fstat(r, &st);
    say("random is", "%u:%u", major(st.st_rdev), minor(st.st_rdev));
    OK("tty without terminal", open("/dev/tty", O_RDWR));
    OK("missing", open("/dev/no-such-device", O_RDONLY));
    int p[2];
    char path[32], c;
    NEED(pipe(p) == 0 && write(p[1], "z", 1) == 1);
    snprintf(path, sizeof(path), "/dev/fd/%d", p[0]);
    int again = (int)OK("/dev/fd", open(path, O_RDONLY));
    TRY("read through it", read(again, &c, 1));
    TRY("/dev/stdout", access("/dev/stdout", W_OK));
    lstat("/dev/stdin", &st);
    CHECK("/dev/stdin is a link", S_ISLNK(st.st_mode));
    CHECK("/dev/shm is a directory", stat("/dev/shm", &st) == 0 && S_ISDIR(st.st_mode));
    return 0;
}

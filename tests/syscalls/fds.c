/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Descriptors: dup, fcntl, close_range, locks, small ioctls, limits. */
#include "check.h"
#include <linux/close_range.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

static void duplicates(void)
{
    int fd = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    NEED(fd >= 0 && write(fd, "0123456789", 10) == 10);
    int d = (int)OK("dup", dup(fd));
    CHECK("lowest", d == fd + 1);
    CHECK("dup drops FD_CLOEXEC", fcntl(d, F_GETFD) == 0);
    TRY("shared offset", (lseek(fd, 3, SEEK_SET), lseek(d, 0, SEEK_CUR)));
    TRY("shared status flags", (fcntl(fd, F_SETFL, O_APPEND), !!(fcntl(d, F_GETFL) & O_APPEND)));
    TRY("dup2", dup2(fd, 50));
    TRY("dup2 over open", dup2(d, 50));
    TRY("dup2 itself", dup2(fd, fd) == fd);
    CHECK("dup2 itself keeps FD_CLOEXEC", fcntl(fd, F_GETFD) == FD_CLOEXEC);
    TRY("dup2 itself, closed", dup2(60, 60));
    TRY("dup2 from closed", dup2(60, 61));
    TRY("dup2 to -1", dup2(fd, -1));
    TRY("dup2 far", dup2(fd, 1 << 30));
    TRY("dup3", dup3(fd, 51, O_CLOEXEC));
    TRY("dup3 flag", fcntl(51, F_GETFD));
    SYS("dup3 itself", SYS_dup3, fd, fd, 0);
    SYS("dup3 unknown flag", SYS_dup3, fd, 52, O_APPEND);
    TRY("dup closed", dup(60));
    TRY("dup -1", dup(-1));
    TRY("F_DUPFD", fcntl(fd, F_DUPFD, 70));
    TRY("F_DUPFD next", fcntl(fd, F_DUPFD, 70));
    TRY("F_DUPFD_CLOEXEC", fcntl(fd, F_DUPFD_CLOEXEC, 80));
    TRY("its flag", fcntl(80, F_GETFD));
    TRY("F_DUPFD negative", fcntl(fd, F_DUPFD, -1));
    TRY("F_DUPFD far", fcntl(fd, F_DUPFD, 1 << 30));
    TRY("close", close(d));
    TRY("close again", close(d));
    TRY("close -1", close(-1));
    close(fd);
    TRY("copy outlives it", write(50, "x", 1));
}

static void control(void)
{
    int p[2], fd = open("f", O_RDWR);
    NEED(pipe(p) == 0);
    TRY("F_SETFD", fcntl(fd, F_SETFD, FD_CLOEXEC));
    TRY("F_GETFD", fcntl(fd, F_GETFD));
    TRY("F_SETFD clears", fcntl(fd, F_SETFD, 0x7ffffffe));
    TRY("F_GETFD cleared", fcntl(fd, F_GETFD));
    TRY("F_SETFL", fcntl(fd, F_SETFL, O_WRONLY | O_APPEND | O_NONBLOCK | O_TRUNC | O_CREAT));
    say("only status flags change", "%#x", (unsigned)fcntl(fd, F_GETFL));
    TRY("F_SETFL clears", fcntl(fd, F_SETFL, 0));
    say("cleared", "%#x", (unsigned)fcntl(fd, F_GETFL));
    say("pipe flags", "%#x %#x", (unsigned)fcntl(p[0], F_GETFL), (unsigned)fcntl(p[1], F_GETFL));
    TRY("F_GETPIPE_SZ", fcntl(p[0], F_GETPIPE_SZ));
    TRY("F_SETPIPE_SZ", fcntl(p[0], F_SETPIPE_SZ, 5000));
    TRY("F_GETPIPE_SZ after", fcntl(p[1], F_GETPIPE_SZ));
    TRY("F_GETPIPE_SZ on file", fcntl(fd, F_GETPIPE_SZ));
    TRY("F_SETOWN", fcntl(p[0], F_SETOWN, getpid()));
    CHECK("F_GETOWN", fcntl(p[0], F_GETOWN) == getpid());
    TRY("unknown command", fcntl(fd, 9999, 0));
    TRY("F_GETFD closed", fcntl(999, F_GETFD));
    TRY("F_SETFL closed", fcntl(999, F_SETFL, 0));
    close(fd);
}

static void ranges(void)
{
    for (int i = 100; i < 110; i++)
        NEED(dup2(STDOUT_FILENO, i) == i);
    SYS("close_range", SYS_close_range, 102u, 104u, 0);
    TRY("below stays", fcntl(101, F_GETFD));
    TRY("inside closed", fcntl(103, F_GETFD));
    TRY("above stays", fcntl(105, F_GETFD));
    SYS("close_range again", SYS_close_range, 102u, 104u, 0);
    SYS("CLOEXEC", SYS_close_range, 105u, 106u, CLOSE_RANGE_CLOEXEC);
    TRY("flag set", fcntl(106, F_GETFD));
    TRY("flag not set", fcntl(107, F_GETFD));
    SYS("first above last", SYS_close_range, 10u, 9u, 0);
    SYS("unknown flag", SYS_close_range, 100u, 101u, 1u << 10);
    SYS("to the end", SYS_close_range, 3u, ~0u, 0);
    int low = open("f", O_RDONLY);
    VALUE("lowest now", low);
    close(low);
}

static void locks(void)
{
    int a = open("f", O_RDWR), b = open("f", O_RDWR), status, p[2];
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3};
    NEED(pipe(p) == 0);
    TRY("F_SETLK", fcntl(a, F_SETLK, &l));
    TRY("own locks do not conflict", fcntl(b, F_SETLK, &l));
    pid_t child = fork();
    if (child == 0) {
        TRY("other process is refused", fcntl(b, F_SETLK, &l));
        l.l_len = 0, l.l_start = 0;
        TRY("F_GETLK", fcntl(b, F_GETLK, &l));
        say("holder", "type %d start %d length %d parent %d", l.l_type, (int)l.l_start,
            (int)l.l_len, l.l_pid == getppid());
        l = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1};
        TRY("beside it", fcntl(b, F_SETLK, &l));
        _exit(0);
    }
    waitpid(child, &status, 0);
    l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
    TRY("F_GETLK, free", fcntl(a, F_GETLK, &l));
    VALUE("F_UNLCK", l.l_type == F_UNLCK);
    l.l_type = 77;
    TRY("bad type", fcntl(a, F_SETLK, &l));
    SYS("lock from nowhere", SYS_fcntl, a, F_SETLK, BAD_LOW);
    TRY("lock on pipe", (l.l_type = F_RDLCK, fcntl(p[0], F_SETLK, &l)));
    TRY("lock closed", fcntl(999, F_SETLK, &l));
    TRY("flock", flock(a, LOCK_EX | LOCK_NB));
    TRY("flock other description", flock(b, LOCK_SH | LOCK_NB));
    TRY("flock again", flock(a, LOCK_SH | LOCK_NB));
    TRY("flock shared", flock(b, LOCK_SH | LOCK_NB));
    TRY("flock unlock", flock(b, LOCK_UN));
    TRY("flock nonsense", flock(b, 0x40));
    TRY("flock closed", flock(999, LOCK_EX));
    close(a), close(b);
}

static void ioctls(void)
{
    int n = -1, p[2], fd = open("f", O_RDONLY), on = 1;
    NEED(pipe(p) == 0 && write(p[1], "abc", 3) == 3);
    TRY("FIONREAD pipe", ioctl(p[0], FIONREAD, &n));
    VALUE("bytes", n);
    lseek(fd, 4, SEEK_SET);
    struct stat st;
    fstat(fd, &st);
    TRY("FIONREAD file", ioctl(fd, FIONREAD, &n));
    CHECK("rest of the file", n == st.st_size - 4);
    TRY("FIONBIO", ioctl(p[0], FIONBIO, &on));
    CHECK("nonblocking now", fcntl(p[0], F_GETFL) & O_NONBLOCK);
    TRY("FIOCLEX", ioctl(fd, FIOCLEX));
    TRY("FD_CLOEXEC", fcntl(fd, F_GETFD));
    TRY("FIONCLEX", ioctl(fd, FIONCLEX));
    TRY("FD_CLOEXEC off", fcntl(fd, F_GETFD));
    TRY("TCGETS on file", ioctl(fd, TCGETS, &st));
    TRY("isatty file", isatty(fd));
    TRY("isatty pipe", isatty(p[0]));
    TRY("isatty closed", isatty(999));
    TRY("unknown ioctl", ioctl(fd, 0xdeadbeef, &n));
    SYS("FIONREAD to nowhere", SYS_ioctl, p[0], FIONREAD, BAD_LOW);
    TRY("ioctl closed", ioctl(999, FIONREAD, &n));
}

static void limit(void)
{
    struct rlimit old, l;
    int first = -1, fd, n = 0;
    syscall(SYS_close_range, 3u, ~0u, 0);
    NEED(getrlimit(RLIMIT_NOFILE, &old) == 0);
    l = old;
    l.rlim_cur = 20;
    TRY("lower the limit", setrlimit(RLIMIT_NOFILE, &l));
    while ((fd = open("f", O_RDONLY)) >= 0) {
        first = first < 0 ? fd : first;
        n++;
    }
    report("one too many", -1);
    VALUE("opened", n);
    int p[2];
    TRY("pipe at the limit", pipe(p));
    TRY("dup at the limit", dup(0));
    TRY("dup2 at the limit", dup2(0, 20));
    TRY("dup2 below the limit", dup2(0, 19));
    TRY("F_DUPFD at the limit", fcntl(0, F_DUPFD, 20));
    close(10);
    TRY("pipe with one left", pipe(p));
    TRY("the one is still free", open("f", O_RDONLY));
    NEED(setrlimit(RLIMIT_NOFILE, &old) == 0);
    TRY("raised again", open("f", O_RDONLY));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    duplicates();
    control();
    ranges();
    locks();
    ioctls();
    limit();
    return 0;
}

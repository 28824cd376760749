/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* File mappings: private, shared, coherent with read and write, beyond the end. */
#include "check.h"
#include <setjmp.h>

static sigjmp_buf out;
static volatile sig_atomic_t code;

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    code = info->si_code;
    siglongjmp(out, sig);
}

static void touch(const char *name, volatile char *p, bool writing)
{
    int sig = sigsetjmp(out, 1);
    if (sig == 0) {
        if (writing)
            *p = 1;
        else
            (void)*p;
        say(name, "ok");
    } else {
        say(name, "%s code %d", sigabbrev_np(sig), (int)code);
    }
}

static char *try_map(const char *name, size_t n, int prot, int flags, int fd, off_t at)
{
    char *p = mmap(NULL, n, prot, flags, fd, at);
    report_ok(name, p == MAP_FAILED ? -1 : 0);
    return p;
}

static int fill(const char *path, long size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    char *data = malloc((size_t)size);
    for (long i = 0; i < size; i++)
        data[i] = (char)('a' + i / PAGE % 26);
    NEED(fd >= 0 && write(fd, data, (size_t)size) == size);
    free(data);
    return fd;
}

static void private(void)
{
    char buf[4];
    int fd = fill("p", 3 * PAGE + 100);
    char *p = try_map("private", 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    say("content", "%c%c%c", p[0], p[PAGE], p[3 * PAGE + 99]);
    bool zero = true;
    for (long i = 3 * PAGE + 100; i < 4 * PAGE; i++)
        zero &= p[i] == 0;
    CHECK("zero after the end", zero);
    p[0] = 'X';
    NEED(pread(fd, buf, 1, 0) == 1);
    CHECK("file unchanged", buf[0] == 'a');
    NEED(pwrite(fd, "WW", 2, 0) == 2 && pwrite(fd, "Y", 1, 2 * PAGE) == 1);
    VALUE("own copy is kept", p[0]);
    close(fd);
    VALUE("lives on after close", p[PAGE]);
    TRY("MADV_DONTNEED brings the file back", madvise(p, PAGE, MADV_DONTNEED));
    VALUE("file content", p[0]);
    munmap(p, 4 * PAGE);
    fd = open("p", O_RDONLY);
    p = try_map("private writable of read-only", PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    touch("write it", p, true);
    munmap(p, PAGE);
    p = try_map("at an offset", 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 2 * PAGE);
    say("offset content", "%c%c", p[0], p[PAGE]);
    munmap(p, 2 * PAGE);
    close(fd);
}

static void shared(void)
{
    char buf[8];
    int fd = fill("s", 2 * PAGE), other = open("s", O_RDWR), ro = open("s", O_RDONLY);
    char *p = try_map("shared", 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memcpy(p + 10, "mapped", 6);
    NEED(pread(other, buf, 6, 10) == 6);
    show_bytes("seen by pread", buf, 6);
    NEED(pwrite(other, "written", 7, PAGE - 3) == 7);
    show_bytes("seen in the mapping", p + PAGE - 3, 7);
    char *q = try_map("second mapping", PAGE, PROT_READ, MAP_SHARED, other, 0);
    p[20] = 'Q';
    CHECK("both see it", q[20] == 'Q');
    char *r = try_map("private beside it", PAGE, PROT_READ, MAP_PRIVATE, other, 0);
    CHECK("private sees it too", r[20] == 'Q');
    TRY("msync", msync(p, 2 * PAGE, MS_SYNC));
    TRY("msync async", msync(p, PAGE, MS_ASYNC));
    TRY("msync invalidate", msync(p, PAGE, MS_SYNC | MS_INVALIDATE));
    touch("write to read-only view", q, true);
    TRY("make it writable", mprotect(q, PAGE, PROT_READ | PROT_WRITE));
    try_map("shared writable of read-only", PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0);
    char *s = try_map("shared readable of read-only", PAGE, PROT_READ, MAP_SHARED, ro, 0);
    TRY("cannot become writable", mprotect(s, PAGE, PROT_READ | PROT_WRITE));
    TRY("truncate under the mapping", ftruncate(other, 10));
    touch("beyond the new end", p + PAGE, false);
    touch("same page", p + 100, false);
    VALUE("zero beyond the end", p[15]);
    TRY("grow again", ftruncate(other, 2 * PAGE));
    touch("back again", p + PAGE, false);
    VALUE("zero now", p[PAGE]);
    unlink("s");
    memcpy(p, "gone?", 5);
    NEED(pread(other, buf, 5, 0) == 5);
    show_bytes("still shared after unlink", buf, 5);
    munmap(p, 2 * PAGE);
    TRY("append under a mapping", pwrite(other, "tail", 4, 3 * PAGE));
    pid_t child = fork();
    if (child == 0) {
        q[30] = 'C';
        _exit(0);
    }
    waitpid(child, NULL, 0);
    CHECK("shared with the child", q[30] == 'C');
    close(fd), close(other), close(ro);
}

static void beyond(void)
{
    int fd = fill("b", PAGE + 1);
    char buf[4];
    char *p = try_map("longer than the file", 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    touch("last page", p + 2 * PAGE - 1, true);
    touch("page after", p + 2 * PAGE, false);
    touch("page after, writing", p + 3 * PAGE, true);
    SYS("read into it", SYS_pread64, fd, p + 2 * PAGE, 1L, 0L);
    SYS("write from it", SYS_pwrite64, fd, p + 2 * PAGE, 1L, 0L);
    NEED(pwrite(fd, "new", 3, 2 * PAGE) == 3);
    VALUE("once written, there", p[2 * PAGE]);
    TRY("bytes after the end stay out", pread(fd, buf, 4, 2 * PAGE));
    munmap(p, 4 * PAGE);
    char *q = try_map("private beyond", 6 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    touch("its last page", q + 2 * PAGE + 3, false);
    touch("its page after", q + 4 * PAGE, false);
    close(fd);
    fd = open("empty", O_RDWR | O_CREAT, 0600);
    p = try_map("empty file", PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    touch("touch it", p, false);
    close(fd);
}

static void errors(void)
{
    int p[2], wo = open("b", O_WRONLY), fd = open("b", O_RDWR), dir = open(".", O_RDONLY);
    NEED(pipe(p) == 0);
    try_map("write-only file", PAGE, PROT_WRITE, MAP_SHARED, wo, 0);
    try_map("closed", PAGE, PROT_READ, MAP_PRIVATE, 999, 0);
    try_map("pipe", PAGE, PROT_READ, MAP_PRIVATE, p[0], 0);
    try_map("directory", PAGE, PROT_READ, MAP_PRIVATE, dir, 0);
    try_map("unaligned offset", PAGE, PROT_READ, MAP_PRIVATE, fd, 100);
    try_map("negative offset", PAGE, PROT_READ, MAP_PRIVATE, fd, -PAGE);
    try_map("no type", PAGE, PROT_READ, 0, fd, 0);
    try_map("no length", 0, PROT_READ, MAP_PRIVATE, fd, 0);
    try_map("MAP_SHARED_VALIDATE", PAGE, PROT_READ, MAP_SHARED_VALIDATE, fd, 0);
    try_map("MAP_SHARED_VALIDATE, unknown flag", PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x1000000,
            fd, 0);
    char *zero = try_map("/dev/zero", PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
                         open("/dev/zero", O_RDWR), 0);
    VALUE("is zero", zero[5]);
    char *m = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK("MAP_FIXED file into memory",
          mmap(m + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == m + PAGE);
    say("its neighbours", "%d %d %d", m[0], m[PAGE], m[2 * PAGE]);
    char *g = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    g = mremap(g, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
    CHECK("mremap of a file shows more of it", g != MAP_FAILED && g[PAGE] != 0);
    fork() == 0 ? _exit(0) : (void)wait(NULL);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    handle_info(SIGSEGV, on_fault, SA_NODEFER);
    handle_info(SIGBUS, on_fault, SA_NODEFER);
    private();
    shared();
    beyond();
    errors();
    return 0;
}

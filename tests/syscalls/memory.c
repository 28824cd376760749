/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Anonymous memory: mmap, munmap, mprotect, mremap, madvise, mincore, brk. */
#include "check.h"
#include <setjmp.h>

static sigjmp_buf out;

static void on_fault(int sig)
{
    siglongjmp(out, sig);
}

/* What touching a byte does: "ok", or the signal. */
static void touch(const char *name, volatile char *p, bool writing)
{
    int sig = sigsetjmp(out, 1);
    if (sig == 0) {
        if (writing)
            *p = 1;
        else
            (void)*p;
    }
    say(name, "%s", sig ? sigabbrev_np(sig) : "ok");
}

static char *map(size_t n)
{
    char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(p != MAP_FAILED);
    return p;
}

static char *try_map(const char *name, void *at, size_t n, int prot, int flags)
{
    char *p = mmap(at, n, prot, flags, -1, 0);
    report_ok(name, p == MAP_FAILED ? -1 : 0);
    return p;
}

static void mapping(void)
{
    const int anon = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
    char *p = try_map("mmap", NULL, 10 * PAGE, rw, anon);
    CHECK("aligned", ((uintptr_t)p & (PAGE - 1)) == 0);
    bool zero = true;
    for (long i = 0; i < 10 * PAGE; i++)
        zero &= p[i] == 0;
    CHECK("zero", zero);
    TRY("munmap middle", munmap(p + 4 * PAGE, 2 * PAGE));
    touch("before the hole", p + 4 * PAGE - 1, true);
    touch("in the hole", p + 4 * PAGE, false);
    touch("after the hole", p + 6 * PAGE, true);
    TRY("munmap over the hole", munmap(p, 10 * PAGE));
    TRY("munmap nothing there", munmap(p, 10 * PAGE));
    TRY("munmap unaligned", munmap(p + 1, PAGE));
    TRY("munmap of nothing", munmap(p, 0));
    SYS("munmap beyond", SYS_munmap, (void *)(1L << 47), PAGE);
    p = map(4 * PAGE);
    memset(p, 7, 4 * PAGE);
    char *q = try_map("MAP_FIXED over it", p + PAGE, PAGE, rw, anon | MAP_FIXED);
    CHECK("there", q == p + PAGE);
    say("fresh and old bytes", "%d %d", q[0], p[0]);
    try_map("MAP_FIXED_NOREPLACE over it", p + PAGE, PAGE, rw, anon | MAP_FIXED_NOREPLACE);
    munmap(p + 2 * PAGE, PAGE);
    q = try_map("MAP_FIXED_NOREPLACE in a hole", p + 2 * PAGE, PAGE, rw,
                anon | MAP_FIXED_NOREPLACE);
    CHECK("there too", q == p + 2 * PAGE);
    q = try_map("hint that is taken", p, PAGE, rw, anon);
    CHECK("elsewhere", q != p && q != MAP_FAILED);
    munmap(p + 2 * PAGE, PAGE);
    q = try_map("hint that is free", p + 2 * PAGE, PAGE, rw, anon);
    CHECK("as hinted", q == p + 2 * PAGE);
    try_map("MAP_FIXED unaligned", p + 1, PAGE, rw, anon | MAP_FIXED);
    try_map("no length", NULL, 0, rw, anon);
    try_map("huge length", NULL, (size_t)-1, rw, anon);
    try_map("longer than the address space", NULL, 1UL << 47, rw, anon);
    try_map("neither private nor shared", NULL, PAGE, rw, MAP_ANONYMOUS);
    try_map("shared", NULL, PAGE, rw, MAP_SHARED | MAP_ANONYMOUS);
    try_map("MAP_FIXED in the kernel's half", (void *)-4096L, PAGE, rw, anon | MAP_FIXED);
    q = try_map("MAP_32BIT", NULL, PAGE, rw, anon | MAP_32BIT);
    CHECK("below 2 GiB", (uintptr_t)q < 1UL << 31);
    try_map("MAP_NORESERVE 4 GiB", NULL, 1UL << 32, rw, anon | MAP_NORESERVE);
    try_map("PROT_NONE 64 GiB", NULL, 1UL << 36, PROT_NONE, anon);
    q = try_map("MAP_POPULATE", NULL, 16 * PAGE, rw, anon | MAP_POPULATE);
    touch("populated", q + 15 * PAGE, true);
    q = try_map("MAP_GROWSDOWN", NULL, PAGE, rw, anon | MAP_GROWSDOWN | MAP_STACK);
    touch("its page", q, true);
    SYS("file of -1", SYS_mmap, NULL, PAGE, rw, MAP_PRIVATE, -1, 0L);
    SYS("unaligned offset", SYS_mmap, NULL, PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 1L);
}

static void protection(void)
{
    char *p = map(6 * PAGE);
    memset(p, 1, 6 * PAGE);
    TRY("read-only", mprotect(p + PAGE, PAGE, PROT_READ));
    touch("read", p + PAGE, false);
    touch("write", p + PAGE, true);
    touch("write beside", p + 2 * PAGE, true);
    TRY("none", mprotect(p + PAGE, PAGE, PROT_NONE));
    touch("read none", p + PAGE, false);
    TRY("back", mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE));
    VALUE("content stays", p[PAGE]);
    TRY("write-only", mprotect(p, PAGE, PROT_WRITE));
    touch("read write-only", p, false);
    TRY("unaligned", mprotect(p + 1, PAGE, PROT_READ));
    TRY("no length", mprotect(p, 0, PROT_READ));
    TRY("bad protection", mprotect(p, PAGE, 0x100));
    TRY("PROT_GROWSDOWN, no such area", mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN));
    munmap(p + 4 * PAGE, PAGE);
    TRY("over a hole", mprotect(p + 3 * PAGE, 3 * PAGE, PROT_READ));
    touch("before the hole is changed", p + 3 * PAGE, true);
    touch("after the hole is not", p + 5 * PAGE, true);
    SYS("wraps around", SYS_mprotect, (void *)-4096L, 2 * PAGE, PROT_READ);
    unsigned char code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3}; /* mov $42,%eax; ret */
    memcpy(p, code, sizeof(code));
    NEED(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0);
    VALUE("executes", ((int (*)(void))(uintptr_t)p)());
    NEED(mprotect(p, PAGE, PROT_READ | PROT_WRITE) == 0);
    int sig = sigsetjmp(out, 1);
    if (sig == 0)
        ((int (*)(void))(uintptr_t)p)();
    say("does not execute", "%s", sig ? sigabbrev_np(sig) : "ran");
}

static void *moved(const char *name, void *p, size_t old, size_t new, int flags, void *to)
{
    void *q = mremap(p, old, new, flags, to);
    report_ok(name, q == MAP_FAILED ? -1 : 0);
    return q;
}

static void remapping(void)
{
    char *area = map(64 * PAGE), *p = area, *q;
    munmap(area + 4 * PAGE, 60 * PAGE);
    memset(p, 5, 4 * PAGE);
    q = moved("grow in place", p, 4 * PAGE, 8 * PAGE, 0, NULL);
    CHECK("same place", q == p);
    say("old and new bytes", "%d %d", q[4 * PAGE - 1], q[4 * PAGE]);
    q = moved("shrink", p, 8 * PAGE, 2 * PAGE, 0, NULL);
    touch("cut off", p + 2 * PAGE, false);
    NEED(mmap(p + 2 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
         MAP_FAILED);
    moved("grow into a neighbour", p, 2 * PAGE, 4 * PAGE, 0, NULL);
    q = moved("grow, may move", p, 2 * PAGE, 100 * PAGE, MREMAP_MAYMOVE, NULL);
    CHECK("moved", q != p);
    say("content moved along", "%d %d", q[2 * PAGE - 1], q[99 * PAGE]);
    touch("old place is gone", p, false);
    char *to = map(8 * PAGE);
    to[5 * PAGE] = 9;
    p = moved("MREMAP_FIXED", q, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    CHECK("there", p == to);
    say("moved and beside", "%d %d", p[0], to[5 * PAGE]);
    touch("part that stayed", q + 50 * PAGE, true);
    moved("MREMAP_FIXED alone", p, PAGE, PAGE, MREMAP_FIXED, q);
    moved("MREMAP_FIXED overlapping", p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
          p + PAGE);
    moved("MREMAP_FIXED unaligned", p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 1);
    moved("unaligned", p + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL);
    moved("to nothing", p, PAGE, 0, MREMAP_MAYMOVE, NULL);
    moved("unknown flag", p, PAGE, PAGE, 0x80, NULL);
    char *gone = map(PAGE);
    munmap(gone, PAGE);
    moved("nothing there", gone, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL);
    moved("private, old length 0", p, 0, PAGE, MREMAP_MAYMOVE, NULL);
    q = moved("MREMAP_DONTUNMAP", p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    say("left behind and moved", "%d %d", p[0], q[0]);
    NEED(mprotect(to + PAGE, PAGE, PROT_READ) == 0);
    q = moved("read-only moves", to + PAGE, PAGE, 3 * PAGE, MREMAP_MAYMOVE, NULL);
    touch("still read-only", q + PAGE, true);
}

static void advice(void)
{
    unsigned char seen[4] = {9, 9, 9, 9};
    char *p = map(4 * PAGE);
    memset(p, 3, 4 * PAGE);
    TRY("MADV_DONTNEED", madvise(p + PAGE, PAGE, MADV_DONTNEED));
    say("dropped and beside", "%d %d", p[PAGE], p[2 * PAGE]);
    TRY("MADV_DONTNEED unaligned", madvise(p + 1, PAGE, MADV_DONTNEED));
    TRY("MADV_NORMAL", madvise(p, PAGE, MADV_NORMAL));
    TRY("MADV_SEQUENTIAL", madvise(p, PAGE, MADV_SEQUENTIAL));
    TRY("MADV_WILLNEED", madvise(p, PAGE, MADV_WILLNEED));
    TRY("MADV_FREE", madvise(p, PAGE, MADV_FREE));
    TRY("MADV_DONTFORK", madvise(p, PAGE, MADV_DONTFORK));
    TRY("MADV_DONTDUMP", madvise(p, PAGE, MADV_DONTDUMP));
    TRY("no length", madvise(p, 0, MADV_DONTNEED));
    TRY("unknown advice", madvise(p, PAGE, 9999));
    TRY("unknown advice, no length", madvise(p, 0, 9999));
    munmap(p + 3 * PAGE, PAGE);
    TRY("over a hole", madvise(p, 4 * PAGE, MADV_DONTNEED));
    VALUE("the rest is dropped", p[2 * PAGE]);
    memset(p, 1, PAGE);
    TRY("mincore", mincore(p, PAGE, seen));
    VALUE("resident", seen[0] & 1);
    TRY("mincore hole", mincore(p, 4 * PAGE, seen));
    TRY("mincore unaligned", mincore(p + 1, PAGE, seen));
    SYS("mincore to nowhere", SYS_mincore, p, PAGE, BAD_LOW);
    TRY("mlock", mlock(p, PAGE));
    TRY("munlock", munlock(p, PAGE));
    TRY("msync anonymous", msync(p, PAGE, MS_SYNC));
    TRY("msync hole", msync(p, 4 * PAGE, MS_SYNC));
    TRY("msync unaligned", msync(p + 1, PAGE, MS_SYNC));
    TRY("msync both", msync(p, PAGE, MS_SYNC | MS_ASYNC));
    TRY("msync unknown flag", msync(p, PAGE, 0x100));
}

static void breaking(void)
{
    char *old = sbrk(0);
    char *p = sbrk(3 * PAGE);
    CHECK("sbrk returns the old break", p == old);
    memset(p, 1, 3 * PAGE);
    CHECK("break moved", (char *)sbrk(0) == old + 3 * PAGE);
    CHECK("raw brk(0) is the break", syscall(SYS_brk, 0L) == (long)sbrk(0));
    CHECK("absurd brk is refused", syscall(SYS_brk, 1L << 46) == (long)sbrk(0));
    CHECK("brk below the start is refused", syscall(SYS_brk, 0x1000L) == (long)sbrk(0));
    CHECK("odd brk is taken",
          syscall(SYS_brk, (long)old + 2 * PAGE + 5) == (long)old + 2 * PAGE + 5);
    CHECK("shrinks", syscall(SYS_brk, (long)old + PAGE) == (long)old + PAGE);
    char *end = (char *)(((uintptr_t)old + 2 * PAGE - 1) & ~(uintptr_t)(PAGE - 1));
    touch("cut off", end + PAGE, true);
    CHECK("grows again", syscall(SYS_brk, (long)end + 3 * PAGE) == (long)end + 3 * PAGE);
    VALUE("zero again", end[PAGE]);
    syscall(SYS_brk, (long)old + 3 * PAGE);
    free(malloc(100000));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    handle(SIGSEGV, on_fault, SA_NODEFER);
    handle(SIGBUS, on_fault, SA_NODEFER);
    mapping();
    protection();
    remapping();
    advice();
    breaking();
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* read, write and their positioned and vectored forms. */
#include "check.h"
#include <sys/uio.h>

static char buf[64];

static void plain(int fd)
{
    TRY("write", write(fd, "abcdefghij", 10));
    TRY("write nothing", write(fd, "", 0));
    TRY("read at the end", read(fd, buf, 10));
    TRY("back", lseek(fd, 0, SEEK_SET));
    TRY("read 4", read(fd, buf, 4));
    show_bytes("read bytes", buf, 4);
    TRY("read the rest, asking for more", read(fd, buf, sizeof(buf)));
    TRY("read nothing", read(fd, buf, 0));
    TRY("pread", pread(fd, buf, 3, 2));
    show_bytes("pread bytes", buf, 3);
    TRY("pread leaves the offset", lseek(fd, 0, SEEK_CUR));
    TRY("pread beyond the end", pread(fd, buf, 3, 100));
    TRY("pread negative", pread(fd, buf, 3, -1));
    TRY("pwrite negative", pwrite(fd, buf, 3, -5));
    TRY("pwrite", pwrite(fd, "XY", 2, 1));
    TRY("pwrite beyond the end", pwrite(fd, "Z", 1, 20));
    TRY("pwrite leaves the offset", lseek(fd, 0, SEEK_CUR));
    show_file("content with a gap", "f");
}

static void vectors(int fd)
{
    char a[3], b[5], c[2];
    struct iovec in[3] = {{a, 3}, {b, 5}, {c, 2}};
    struct iovec out[3] = {{"12", 2}, {"", 0}, {"345678", 6}};
    static struct iovec many[IOV_MAX + 1];

    ftruncate(fd, 0);
    lseek(fd, 0, SEEK_SET);
    TRY("writev", writev(fd, out, 3));
    TRY("writev moves the offset", lseek(fd, 0, SEEK_CUR));
    lseek(fd, 0, SEEK_SET);
    memset(c, '-', 2);
    TRY("readv short", readv(fd, in, 3));
    show_bytes("readv first", a, 3);
    show_bytes("readv second", b, 5);
    show_bytes("readv third untouched", c, 2);
    TRY("readv at the end", readv(fd, in, 3));
    TRY("readv of no parts", readv(fd, in, 0));
    SYS("readv of -1 parts", SYS_readv, fd, in, -1L);
    TRY("readv of too many parts", readv(fd, many, IOV_MAX + 1));
    TRY("readv of IOV_MAX parts", readv(fd, many, IOV_MAX));
    struct iovec huge[2] = {{a, SSIZE_MAX}, {b, SSIZE_MAX}};
    SYS("readv lengths overflow", SYS_readv, fd, huge, 2L);
    struct iovec negative[1] = {{a, (size_t)-1}};
    SYS("writev negative length", SYS_writev, fd, negative, 1L);
    TRY("preadv", preadv(fd, in, 2, 1));
    show_bytes("preadv first", a, 3);
    TRY("pwritev", pwritev(fd, out, 3, 4));
    show_file("pwritev content", "f");
    TRY("preadv negative", preadv(fd, in, 1, -2));
    SYS("readv bad vector", SYS_readv, fd, BAD_LOW, 1L);
    SYS("writev bad vector", SYS_writev, fd, BAD_KERNEL, 2L);
    struct iovec bad_base[2] = {{(void *)BAD_LOW, 2}, {b, 5}};
    SYS("writev bad part first", SYS_writev, fd, bad_base, 2L);
    lseek(fd, 0, SEEK_SET);
    struct iovec bad_second[2] = {{a, 2}, {(void *)BAD_LOW, 2}};
    SYS("readv bad part second", SYS_readv, fd, bad_second, 2L);
    SYS("readv of no bytes to nowhere", SYS_readv, fd, (&(struct iovec){(void *)BAD_LOW, 0}), 1L);
}

static void second_versions(int fd)
{
    char a[4];
    struct iovec v[1] = {{a, 4}};

    lseek(fd, 2, SEEK_SET);
    TRY("preadv2 at the offset", preadv2(fd, v, 1, -1, 0));
    TRY("preadv2 moved it", lseek(fd, 0, SEEK_CUR));
    TRY("preadv2 positioned", preadv2(fd, v, 1, 0, 0));
    TRY("preadv2 unknown flag", preadv2(fd, v, 1, 0, 0x40000000));
    TRY("pwritev2 RWF_DSYNC", pwritev2(fd, v, 1, 0, RWF_DSYNC));
    struct stat st;
    fstat(fd, &st);
    TRY("pwritev2 RWF_APPEND", pwritev2(fd, v, 1, 0, RWF_APPEND));
    off_t before = st.st_size;
    fstat(fd, &st);
    CHECK("RWF_APPEND appended", st.st_size == before + 4);
    TRY("pwritev2 -2", pwritev2(fd, v, 1, -2, 0));
}

static void descriptors(void)
{
    int p[2], dir = open(".", O_RDONLY), append = open("f", O_RDWR | O_APPEND);
    NEED(pipe(p) == 0);
    put("f", "0123");
    TRY("read closed", read(999, buf, 1));
    TRY("write closed", write(-1, buf, 1));
    TRY("read directory", read(dir, buf, 1));
    TRY("pread directory", pread(dir, buf, 1, 0));
    TRY("write directory", write(dir, buf, 1));
    TRY("pread pipe", pread(p[0], buf, 1, 0));
    TRY("pwrite pipe", pwrite(p[1], buf, 1, 0));
    TRY("pwrite on O_APPEND appends", pwrite(append, "++", 2, 0));
    show_file("after pwrite on O_APPEND", "f");
    TRY("read closed, nothing", read(999, buf, 0));
}

static void pointers(void)
{
    char *edge = page_then_none(PROT_READ | PROT_WRITE), *ro = page_then_none(PROT_READ);
    int fd = open("g", O_RDWR | O_CREAT, 0600);
    char text[200];

    memset(text, 'q', sizeof(text));
    NEED(write(fd, text, sizeof(text)) == sizeof(text));
    SYS("pread to NULL", SYS_pread64, fd, BAD_NULL, 1L, 0L);
    SYS("pread to nowhere", SYS_pread64, fd, BAD_LOW, 1L, 0L);
    SYS("pread to the kernel", SYS_pread64, fd, BAD_KERNEL, 8L, 0L);
    SYS("pread to a non-address", SYS_pread64, fd, BAD_NONCANON, 8L, 0L);
    SYS("pread wraps around", SYS_pread64, fd, BAD_TOP, 16L, 0L);
    SYS("pread to no access", SYS_pread64, fd, edge + PAGE, 1L, 0L);
    SYS("pread to read-only", SYS_pread64, fd, ro, 1L, 0L);
    SYS("pread to the edge", SYS_pread64, fd, edge + PAGE - 100, 100L, 0L);
    SYS("pread over the edge", SYS_pread64, fd, edge + PAGE - 100, 200L, 0L);
    SYS("pread no bytes to nowhere", SYS_pread64, fd, BAD_LOW, 0L, 0L);
    SYS("pread huge count", SYS_pread64, fd, text, (long)-1, 0L);
    SYS("pwrite from NULL", SYS_pwrite64, fd, BAD_NULL, 1L, 0L);
    SYS("pwrite from nowhere", SYS_pwrite64, fd, BAD_LOW, 1L, 0L);
    SYS("pwrite from the kernel", SYS_pwrite64, fd, BAD_KERNEL, 8L, 0L);
    SYS("pwrite from no access", SYS_pwrite64, fd, edge + PAGE, 1L, 0L);
    SYS("pwrite from read-only", SYS_pwrite64, fd, ro, 1L, 0L);
    SYS("pwrite from the edge", SYS_pwrite64, fd, edge + PAGE - 100, 100L, 0L);
    SYS("pwrite over the edge", SYS_pwrite64, fd, edge + PAGE - 100, 200L, 0L);
    SYS("pwrite no bytes from nowhere", SYS_pwrite64, fd, BAD_LOW, 0L, 0L);
    SYS("read nowhere at the end", SYS_read, fd, BAD_LOW, 10L);
    char *code = (char *)(uintptr_t)&pointers;
    SYS("read into code", SYS_pread64, fd, code, 1L, 0L);
}

static void large(void)
{
    size_t n = 3 << 20;
    unsigned char *a = malloc(n), *b = malloc(n);
    int fd = open("large", O_RDWR | O_CREAT, 0600);
    unsigned x = 1;
    for (size_t i = 0; i < n; i++)
        a[i] = (unsigned char)((x = x * 1103515245 + 12345) >> 16);
    TRY("write 3 MiB", write(fd, a, n));
    TRY("pread 3 MiB", pread(fd, b, n, 0));
    CHECK("3 MiB equal", memcmp(a, b, n) == 0);
    TRY("pread odd part", pread(fd, b, 70001, 12345));
    CHECK("odd part equal", memcmp(a + 12345, b, 70001) == 0);
    TRY("write at 5 GiB", pwrite(fd, "end", 3, 5LL << 30));
    TRY("end at 5 GiB", lseek(fd, 0, SEEK_END));
    TRY("write beyond what files hold", pwrite(fd, "x", 1, LLONG_MAX));
    unlink("large");
    close(fd);
    free(a);
    free(b);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    NEED(fd >= 0);
    plain(fd);
    vectors(fd);
    second_versions(fd);
    descriptors();
    pointers();
    large();
    return 0;
}

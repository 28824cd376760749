/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* lseek, holes, truncate, fallocate, fsync, fadvise and cachestat. */
#include "check.h"
#include <linux/falloc.h>

static off_t size_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? st.st_size : -1;
}

static void seeking(void)
{
    int p[2], fd = open("s", O_RDWR | O_CREAT, 0600);
    NEED(pipe(p) == 0 && write(fd, "0123456789", 10) == 10);
    TRY("SEEK_SET", lseek(fd, 3, SEEK_SET));
    TRY("SEEK_CUR", lseek(fd, 4, SEEK_CUR));
    TRY("SEEK_CUR back", lseek(fd, -2, SEEK_CUR));
    TRY("SEEK_END", lseek(fd, 0, SEEK_END));
    TRY("SEEK_END back", lseek(fd, -10, SEEK_END));
    TRY("beyond the end", lseek(fd, 1000, SEEK_SET));
    TRY("read there", read(fd, p, 4));
    TRY("size unchanged", size_of(fd));
    TRY("before the start", lseek(fd, -1, SEEK_SET));
    TRY("before the start from the end", lseek(fd, -11, SEEK_END));
    TRY("failed seek leaves the offset", lseek(fd, 0, SEEK_CUR));
    TRY("bad whence", lseek(fd, 0, 99));
    TRY("overflow", lseek(fd, LLONG_MAX, SEEK_CUR));
    TRY("closed", lseek(999, 0, SEEK_SET));
    TRY("pipe", lseek(p[0], 0, SEEK_CUR));
    close(fd);
}

static void holes(void)
{
    int fd = open("h", O_RDWR | O_CREAT, 0600);
    NEED(pwrite(fd, "x", 1, 1 << 20) == 1);
    NEED(ftruncate(fd, 2 << 20) == 0);
    TRY("first data", lseek(fd, 0, SEEK_DATA));
    TRY("hole at 0", lseek(fd, 0, SEEK_HOLE));
    TRY("hole after data", lseek(fd, 1 << 20, SEEK_HOLE));
    TRY("data after data", lseek(fd, (1 << 20) + 4096, SEEK_DATA));
    TRY("data at the end", lseek(fd, 2 << 20, SEEK_DATA));
    TRY("hole at the end", lseek(fd, 2 << 20, SEEK_HOLE));
    TRY("data negative", lseek(fd, -1, SEEK_DATA));
    close(fd);
}

static void truncation(void)
{
    char buf[16];
    int p[2], fd = open("t", O_RDWR | O_CREAT, 0600), ro;
    NEED(pipe(p) == 0 && write(fd, "0123456789", 10) == 10);
    ro = open("t", O_RDONLY);
    TRY("shrink", ftruncate(fd, 4));
    TRY("shrunk", size_of(fd));
    TRY("offset stays", lseek(fd, 0, SEEK_CUR));
    TRY("read beyond", read(fd, buf, 1));
    TRY("grow", ftruncate(fd, 8));
    memset(buf, 1, sizeof(buf));
    TRY("pread grown", pread(fd, buf, 16, 0));
    show_bytes("old bytes do not come back", buf, 8);
    TRY("by name", truncate("t", 2));
    show_file("content by name", "t");
    TRY("negative", ftruncate(fd, -1));
    TRY("negative by name", truncate("t", -1));
    TRY("read-only", ftruncate(ro, 0));
    TRY("pipe", ftruncate(p[1], 0));
    TRY("closed", ftruncate(999, 0));
    TRY("missing", truncate("missing", 0));
    TRY("directory", truncate(".", 0));
    TRY("under a file", truncate("t/x", 0));
    SYS("bad pointer", SYS_truncate, BAD_LOW, 0L);
    TRY("sparse 6 GiB", ftruncate(fd, 6LL << 30));
    TRY("sparse size", size_of(fd));
    TRY("read in the hole", pread(fd, buf, 2, 5LL << 30));
    show_bytes("hole reads zero", buf, 2);
    close(fd);
    unlink("t");
}

static void allocation(void)
{
    char buf[8];
    int p[2], fd = open("a", O_RDWR | O_CREAT, 0600);
    struct stat st;
    NEED(pipe(p) == 0);
    TRY("allocate", fallocate(fd, 0, 0, 8192));
    TRY("allocated size", size_of(fd));
    fstat(fd, &st);
    CHECK("blocks are there", st.st_blocks >= 16);
    TRY("within: no change", fallocate(fd, 0, 100, 100));
    TRY("size stays", size_of(fd));
    TRY("keep size", fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 65536));
    TRY("kept", size_of(fd));
    TRY("zero length", fallocate(fd, 0, 0, 0));
    TRY("negative length", fallocate(fd, 0, 0, -1));
    TRY("negative offset", fallocate(fd, 0, -1, 10));
    TRY("unknown mode", fallocate(fd, 0x4000, 0, 10));
    NEED(pwrite(fd, "abcdefgh", 8, 4096) == 8);
    TRY("punch without keep", fallocate(fd, FALLOC_FL_PUNCH_HOLE, 4096, 4));
    TRY("punch", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4));
    TRY("read punched", pread(fd, buf, 8, 4096));
    show_bytes("punched", buf, 8);
    TRY("zero range", fallocate(fd, FALLOC_FL_ZERO_RANGE, 4100, 2));
    TRY("read zeroed", pread(fd, buf, 8, 4096));
    show_bytes("zeroed", buf, 8);
    TRY("pipe", fallocate(p[1], 0, 0, 10));
    int ro = open("a", O_RDONLY);
    TRY("read-only", fallocate(ro, 0, 0, 10));
    TRY("closed", fallocate(999, 0, 0, 10));
    TRY("posix_fallocate", posix_fallocate(fd, 0, 20000));
    TRY("posix_fallocate size", size_of(fd));
    TRY("fsync", fsync(fd));
    TRY("fdatasync", fdatasync(fd));
    TRY("fsync pipe", fsync(p[0]));
    TRY("fsync closed", fsync(999));
    TRY("fadvise", posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    VALUE("fadvise unknown", posix_fadvise(fd, 0, 0, 99) == EINVAL);
    VALUE("fadvise pipe", posix_fadvise(p[0], 0, 0, 0) == ESPIPE);
    VALUE("fadvise closed", posix_fadvise(999, 0, 0, 0) == EBADF);
}

#ifndef SYS_cachestat
#    define SYS_cachestat 451
#endif

static void cached(void)
{
    uint64_t all[2] = {0, 0}, two[2] = {PAGE, 2 * PAGE}, counts[5] = {0};
    char block[4 * PAGE];
    int p[2];
    memset(block, 7, sizeof(block));
    int fd = open("cached", O_RDWR | O_CREAT, 0600);
    NEED(fd >= 0 && pipe(p) == 0);
    NEED(write(fd, block, sizeof(block)) == sizeof(block));
    TRY("cachestat", syscall(SYS_cachestat, fd, all, counts, 0));
    VALUE("all", counts[0]);
    TRY("cachestat part", syscall(SYS_cachestat, fd, two, counts, 0));
    VALUE("two", counts[0]);
    TRY("cachestat flags", syscall(SYS_cachestat, fd, all, counts, 1));
    TRY("cachestat pipe", syscall(SYS_cachestat, p[0], all, counts, 0));
    TRY("cachestat closed", syscall(SYS_cachestat, 999, all, counts, 0));
    SYS("cachestat range", SYS_cachestat, fd, BAD_LOW, counts, 0);
    SYS("cachestat counts", SYS_cachestat, fd, all, BAD_LOW, 0);
    close(fd);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    seeking();
    holes();
    truncation();
    allocation();
    cached();
    return 0;
}

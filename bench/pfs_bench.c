/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Encrypted files on tmpfs, one core: sequential rates by size of call, beside the bare cipher,
 * bare pread/pwrite of the same calls, and what the two in a row would give (the limit).
 *
 *   pfs-bench [MIB [RUNS]]      default 128 MiB, best of 5 runs
 */
#define _GNU_SOURCE
#include "crypto/crypto.h"
#include "pfs/pfs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const uint8_t key[PFS_KEY_SIZE] = "0123456789abcdef";
static size_t total = 128u << 20;
static unsigned runs = 5;
static int fd;
static uint8_t *buf;

static int64_t fd_read(void *ctx, void *p, size_t n, uint64_t off)
{
    ssize_t rc = pread(fd, p, n, (off_t)off);
    return rc < 0 ? -errno : rc;
}

static int64_t fd_write(void *ctx, const void *p, size_t n, uint64_t off)
{
    ssize_t rc = pwrite(fd, p, n, (off_t)off);
    return rc < 0 ? -errno : rc;
}

static int fd_truncate(void *ctx, uint64_t size)
{
    return ftruncate(fd, (off_t)size) ? -errno : 0;
}

static int64_t fd_size(void *ctx)
{
    struct stat st;
    return fstat(fd, &st) ? -errno : st.st_size;
}

static int fd_sync(void *ctx)
{
    return fsync(fd) ? -errno : 0;
}

static void env_free(void *p, size_t size)
{
    free(p);
}

static int env_random(void *p, size_t n)
{
    return getrandom(p, n, 0) == (ssize_t)n ? 0 : -EIO;
}

static struct pfs *open_file(unsigned flags)
{
    static const struct pfs_env env = {.alloc = malloc, .free = env_free, .random = env_random};
    static const struct pfs_backend backend = {NULL,        fd_read, fd_write,
                                               fd_truncate, fd_size, fd_sync};
    static const uint8_t boot[PFS_BOOT_SIZE] = "this one";
    struct pfs_open_args args = {.flags = flags, .path = "bench", .boot_id = boot};
    struct pfs *f;
    int rc = pfs_open(&env, &backend, key, &args, &f);
    if (rc) {
        fprintf(stderr, "pfs-bench: cannot open: %s\n", strerror(-rc));
        exit(1);
    }
    return f;
}

static void check(int64_t rc, int64_t want)
{
    if (rc == want)
        return;
    fprintf(stderr, "pfs-bench: %lld instead of %lld\n", (long long)rc, (long long)want);
    exit(1);
}

static void plain_write(size_t call)
{
    for (size_t off = 0; off < total; off += call)
        check(pwrite(fd, buf, call, (off_t)off), (int64_t)call);
}

static void plain_read(size_t call)
{
    for (size_t off = 0; off < total; off += call)
        check(pread(fd, buf, call, (off_t)off), (int64_t)call);
}

static void pfs_write_all(size_t call)
{
    struct pfs *f = open_file(fd_size(NULL) ? 0 : PFS_CREATE);
    for (size_t off = 0; off < total; off += call)
        check(pfs_write(f, off, buf, call), (int64_t)call);
    check(pfs_close(f), 0);
}

static void pfs_read_all(size_t call)
{
    struct pfs *f = open_file(PFS_READONLY);
    for (size_t off = 0; off < total; off += call)
        check(pfs_read(f, off, buf, call), (int64_t)call);
    check(pfs_close(f), 0);
}

/* As the nodes are: a key each, 4096 bytes, working set of one batch. */
static void cipher(size_t call)
{
    static uint8_t nodes[96][4096];
    static const uint8_t iv[GCM_IV_SIZE];
    uint8_t k[AES128_KEY_SIZE] = {0}, tag[GCM_TAG_SIZE];
    for (size_t i = 0; i < total / 4096; i++) {
        k[i % 16]++;
        aes128_gcm_encrypt(k, iv, NULL, 0, nodes[i % 96], 4096, nodes[i % 96], tag);
    }
}

static uint64_t rng = 88172645463325252ull;

static size_t random_block(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng % (total / 4096) * 4096;
}

#define RANDOM_CALLS 20000

static void plain_random_read(size_t call)
{
    for (int i = 0; i < RANDOM_CALLS; i++)
        check(pread(fd, buf, 4096, (off_t)random_block()), 4096);
}

static void plain_random_write(size_t call)
{
    for (int i = 0; i < RANDOM_CALLS; i++)
        check(pwrite(fd, buf, 4096, (off_t)random_block()), 4096);
}

static void pfs_random_read(size_t call)
{
    struct pfs *f = open_file(PFS_READONLY);
    for (int i = 0; i < RANDOM_CALLS; i++)
        check(pfs_read(f, random_block(), buf, 4096), 4096);
    check(pfs_close(f), 0);
}

static void pfs_random_write(size_t call)
{
    struct pfs *f = open_file(0);
    for (int i = 0; i < RANDOM_CALLS; i++) {
        check(pfs_write(f, random_block(), buf, 4096), 4096);
        if (i % 1000 == 999)
            check(pfs_flush(f, true), 0);
    }
    check(pfs_close(f), 0);
}

static void pfs_open_close(size_t call)
{
    for (int i = 0; i < RANDOM_CALLS; i++)
        check(pfs_close(open_file(PFS_READONLY)), 0);
}

/* Best rate in MB/s of processor time, which other load disturbs least; the file is emptied before
 * each run when `fresh`. */
static double rate(void (*work)(size_t), size_t call, bool fresh)
{
    double best = 0;
    for (unsigned i = 0; i < runs; i++) {
        struct timespec a, b;
        if (fresh)
            check(fd_truncate(NULL, 0), 0);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        work(call);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
        double seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
        if (!i || seconds < best)
            best = seconds;
    }
    return (double)total / best / 1e6;
}

static void row(const char *what, size_t call, double bare, double aes, double ours)
{
    double limit = 1 / (1 / bare + 1 / aes);
    printf("%-10s %7zu %10.0f %10.0f %10.0f %10.0f %8.2f\n", what, call, bare, aes, limit, ours,
           ours / limit);
}

int main(int argc, char **argv)
{
    static const size_t calls[] = {4096, 16384, 65536, 1 << 20};
    if (argc > 1)
        total = strtoul(argv[1], NULL, 10) << 20;
    if (argc > 2)
        runs = (unsigned)strtoul(argv[2], NULL, 10);
    if (!total || total > 1ul << 40 || !runs) {
        fprintf(stderr, "usage: %s [MIB [RUNS]]\n", argv[0]);
        return 2;
    }
    char name[] = "/dev/shm/pfs-bench-XXXXXX";
    fd = mkstemp(name);
    buf = malloc(1 << 20);
    if (fd < 0 || !buf) {
        perror("pfs-bench");
        return 1;
    }
    unlink(name);
    memset(buf, 0x5a, 1 << 20);
    crypto_init(0);
    double aes = rate(cipher, 0, false);
    printf("%s; %zu MiB, MB/s of processor time, best of %u\n", crypto_kernels(), total >> 20,
           runs);
    printf("%-10s %7s %10s %10s %10s %10s %8s\n", "", "call", "bare file", "bare gcm", "limit",
           "ours", "of limit");
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
        double created = rate(plain_write, calls[i], true);
        double over = rate(plain_write, calls[i], false);
        double read = rate(plain_read, calls[i], false);
        row("create", calls[i], created, aes, rate(pfs_write_all, calls[i], true));
        row("overwrite", calls[i], over, aes, rate(pfs_write_all, calls[i], false));
        row("read", calls[i], read, aes, rate(pfs_read_all, calls[i], false));
    }
    pfs_write_all(1 << 20);
    double scale = (double)RANDOM_CALLS * 1e6 / (double)total;
    printf("random read bare %.0f ours %.0f /s\n", rate(plain_random_read, 0, false) * scale,
           rate(pfs_random_read, 0, false) * scale);
    printf("random write ours %.0f /s\n", rate(pfs_random_write, 0, false) * scale);
    printf("open+close %.0f /s\n", rate(pfs_open_close, 0, false) * scale);
    printf("random write bare %.0f\n", rate(plain_random_write, 0, false) * scale);
    return 0;
}

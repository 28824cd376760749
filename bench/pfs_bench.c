/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Encrypted files on tmpfs, one core: sequential rates by size of call, beside the bare cipher,
 * bare pread/pwrite of the same calls, and what the two in a row would give (the limit).
 *
 *   pfs-bench [MIB [RUNS]]         default 128 MiB, best of 5 runs
 *   pfs-bench --row NAME [MIB]     two numbers, native and ours, for bench.py
 *
 * Time is processor time, which other load on the machine disturbs least. The disk rows alone run
 * in the current directory and take real time.
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

/* What the library asked of the host: a write, or a sync (no length). */
struct host_call {
    off_t off;
    size_t len;
};

static struct host_call *recorded;
static size_t record_count, record_room;
static bool recording;

static void record(uint64_t off, size_t len)
{
    if (!recording)
        return;
    if (record_count == record_room) {
        record_room = 2 * record_room + 1024;
        recorded = realloc(recorded, record_room * sizeof *recorded);
        if (!recorded)
            abort();
    }
    recorded[record_count++] = (struct host_call){(off_t)off, len};
}

static int64_t fd_read(void *ctx, void *p, size_t n, uint64_t off)
{
    ssize_t rc = pread(fd, p, n, (off_t)off);
    return rc < 0 ? -errno : rc;
}

static int64_t fd_write(void *ctx, const void *p, size_t n, uint64_t off)
{
    ssize_t rc = pwrite(fd, p, n, (off_t)off);
    record(off, n);
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
    record(0, 0);
    return fsync(fd) ? -errno : 0;
}

static int64_t fd_copy(void *ctx, uint64_t from, uint64_t to, size_t n)
{
    off_t in = (off_t)from, out = (off_t)to;
    record(to, n);
    ssize_t rc = copy_file_range(fd, &in, fd, &out, n, 0);
    return rc < 0 ? -errno : rc;
}

static size_t allocated;

static void *env_alloc(size_t size)
{
    allocated += size;
    return malloc(size);
}

static void env_free(void *p, size_t size)
{
    allocated -= size;
    free(p);
}

static int env_random(void *p, size_t n)
{
    return getrandom(p, n, 0) == (ssize_t)n ? 0 : -EIO;
}

static struct pfs_pool pool;

static struct pfs *open_file(unsigned flags)
{
    static const struct pfs_env env = {.alloc = env_alloc, .free = env_free, .random = env_random};
    static const struct pfs_backend backend = {NULL,    fd_read, fd_write, fd_truncate,
                                               fd_size, fd_sync, fd_copy};
    struct pfs_open_args args = {.flags = flags, .path = "bench", .pool = &pool};
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

static size_t random_block(void)
{
    static uint64_t x = 88172645463325252;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x % (total / 4096) * 4096;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Best rate in MB/s of processor time, which other load disturbs least; the file is emptied before
 * each run when `fresh`. */
static double rate(void (*work)(size_t), size_t call, bool fresh)
{
    double best = 0;
    for (unsigned i = 0; i < runs; i++) {
        if (fresh)
            check(fd_truncate(NULL, 0), 0);
        double begin = seconds();
        work(call);
        double took = seconds() - begin;
        if (!i || took < best)
            best = took;
    }
    return (double)total / best / 1e6;
}

static void row(const char *what, size_t call, double bare, double aes, double ours)
{
    double limit = 1 / (1 / bare + 1 / aes);
    printf("%-10s %7zu %10.0f %10.0f %10.0f %10.0f %8.2f\n", what, call, bare, aes, limit, ours,
           ours / limit);
}

#define RANDOM_CALLS 30000

/* Random 4 KiB calls a second, in thousands: bare, and ours with a warm cache. */
static void row_random(bool writing)
{
    double took[2];
    pfs_write_all(1 << 20);
    struct pfs *f = open_file(0);
    check(pfs_flush(f, true), 0);
    for (int ours = 1; ours >= 0; ours--) { /* bare writing leaves no encrypted file */
        for (int i = -RANDOM_CALLS; i < RANDOM_CALLS; i++) {
            size_t at = random_block();
            if (i == 0)
                took[ours] = seconds();
            if (ours)
                check(writing ? pfs_write(f, at, buf, 4096) : pfs_read(f, at, buf, 4096), 4096);
            else
                check(writing ? pwrite(fd, buf, 4096, (off_t)at) : pread(fd, buf, 4096, (off_t)at),
                      4096);
            if (writing && i % 1000 == 999)
                check(ours ? pfs_flush(f, true) : fd_sync(NULL), 0);
        }
        took[ours] = seconds() - took[ours];
        if (ours)
            check(pfs_close(f), 0);
    }
    printf("%.1f %.1f\n", RANDOM_CALLS / took[0] / 1e3, RANDOM_CALLS / took[1] / 1e3);
}

static double real_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int disk_file(void)
{
    char name[] = "pfs-bench-XXXXXX";
    int made = mkstemp(name);
    if (made < 0) {
        perror("pfs-bench: a file in the current directory");
        exit(1);
    }
    unlink(name);
    return made;
}

/* The recorded calls, nothing else, on `other`. */
static void replay(int other)
{
    for (size_t i = 0; i < record_count; i++) {
        const struct host_call *c = &recorded[i];
        for (size_t done = 0, n; done < c->len; done += n) {
            n = c->len - done < 1 << 20 ? c->len - done : 1 << 20;
            check(pwrite(other, buf, n, c->off + (off_t)done), (int64_t)n);
        }
        if (!c->len)
            check(fsync(other), 0);
    }
}

static void random_overwrites(struct pfs *f, int other)
{
    for (int i = 0; i < 1000; i++) {
        size_t at = random_block();
        check(f ? pfs_write(f, at, buf, 4096) : pwrite(other, buf, 4096, (off_t)at), 4096);
    }
    check(f ? pfs_flush(f, true) : fsync(other), 0);
}

/* Thousands of random 4 KiB overwrites a second, synced after 1,000, on the file system of the
 * current directory: ours, and native the very host writes and syncs (of the undo log, too) that
 * ours needed for them, or, `plain`, 4 KiB writes as they are. In turn, and the file of the native
 * side went through the same before. */
static void row_disk(bool plain)
{
    enum { ROUNDS = 24, WARM = 4 };
    double took[2] = {0};
    int other = disk_file();
    fd = disk_file();
    struct pfs *f = open_file(PFS_CREATE);
    recording = true;
    for (size_t off = 0; off < total; off += 1 << 20)
        check(pfs_write(f, off, buf, 1 << 20), 1 << 20);
    check(pfs_flush(f, true), 0);
    for (int i = 0; i < ROUNDS + WARM; i++) {
        double begin = real_seconds();
        if (plain && i)
            random_overwrites(NULL, other);
        else
            replay(other);
        double middle = real_seconds();
        record_count = 0;
        random_overwrites(f, -1);
        if (i >= WARM) {
            took[0] += middle - begin;
            took[1] += real_seconds() - middle;
        }
    }
    check(pfs_close(f), 0);
    printf("%.2f %.2f\n", ROUNDS / took[0], ROUNDS / took[1]);
}

/* Microseconds to open and close a file of 4 GiB: the host's part, and all of it. */
static void row_open(void)
{
    enum { CALLS = 2000 };
    struct pfs *f = open_file(PFS_CREATE | PFS_UNTRACKED);
    char path[64];
    check(pfs_set_size(f, UINT64_C(4) << 30), 0);
    check(pfs_close(f), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    double begin = seconds();
    for (int i = 0; i < CALLS; i++) {
        int other = open(path, O_RDONLY);
        check(pread(other, buf, 8192, 0), 8192);
        close(other);
    }
    double host = seconds() - begin;
    begin = seconds();
    for (int i = 0; i < CALLS; i++)
        check(pfs_close(open_file(PFS_READONLY)), 0);
    printf("%.2f %.2f\n", host / CALLS * 1e6, (host + seconds() - begin) / CALLS * 1e6);
}

/* KiB that each of 64 files in use has beyond the shared cache of 4 MiB. */
static void row_memory(void)
{
    enum { FILES = 64 };
    struct pfs *f[FILES];
    pool.limit = 4 << 20;
    pfs_write_all(1 << 20);
    size_t before = allocated, most = 0;
    for (int i = 0; i < FILES; i++)
        f[i] = open_file(PFS_READONLY);
    for (int i = 0; i < 100 * FILES; i++) {
        size_t n = i % 7 ? 4096 : 1 << 20;
        check(pfs_read(f[i % FILES], random_block() / 2, buf, n), (int64_t)n);
        if (allocated - before > most)
            most = allocated - before;
    }
    for (int i = 0; i < FILES; i++)
        check(pfs_close(f[i]), 0);
    printf("0 %.0f\n", (double)(most - pool.limit) / FILES / 1024);
}

/* GB/s of calls of 64 KiB. */
static void row_stream(const char *name)
{
    bool over = !strcmp(name, "overwrite");
    bool writing = over || !strcmp(name, "write"), reading = !strcmp(name, "read");
    double aes = rate(cipher, 0, false), bare, ours = aes;
    if (writing) {
        bare = rate(plain_write, 65536, !over);
        check(fd_truncate(NULL, 0), 0);
        pfs_write_all(1 << 20);
        struct pfs *f = open_file(0);
        check(pfs_flush(f, true), 0);
        check(pfs_close(f), 0);
        ours = rate(pfs_write_all, 65536, !over);
    } else {
        pfs_write_all(1 << 20);
        bare = rate(plain_read, 65536, false);
        if (reading)
            ours = rate(pfs_read_all, 65536, false);
    }
    printf("%.3f %.3f\n", (writing || reading ? 1 / (1 / bare + 1 / aes) : bare) / 1e3, ours / 1e3);
}

static int one_row(const char *name)
{
    if (!strcmp(name, "random-read") || !strcmp(name, "random-write"))
        row_random(!strcmp(name, "random-write"));
    else if (!strcmp(name, "disk") || !strcmp(name, "disk-plain"))
        row_disk(!strcmp(name, "disk-plain"));
    else if (!strcmp(name, "open"))
        row_open();
    else if (!strcmp(name, "memory"))
        row_memory();
    else if (!strcmp(name, "read") || !strcmp(name, "write") || !strcmp(name, "overwrite") ||
             !strcmp(name, "aes"))
        row_stream(name);
    else
        return 2;
    return 0;
}

int main(int argc, char **argv)
{
    static const size_t calls[] = {4096, 16384, 65536, 1 << 20};
    const char *row_name = argc > 2 && !strcmp(argv[1], "--row") ? argv[2] : NULL;
    if (row_name) {
        argv += 2;
        argc -= 2;
    }
    if (argc > 1)
        total = strtoul(argv[1], NULL, 10) << 20;
    if (argc > 2)
        runs = (unsigned)strtoul(argv[2], NULL, 10);
    if (!total || total > 1ul << 40 || !runs) {
        fprintf(stderr, "usage: pfs-bench [--row NAME] [MIB [RUNS]]\n");
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
    if (row_name)
        return one_row(row_name);
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
    return 0;
}

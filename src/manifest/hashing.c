/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/hashing.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "manifest/arena.h"
#include "manifest/tree.h"

#define READ_SIZE   (16 * TREE_DATA_BLOCK)
#define THREADS_MAX 32

struct work {
    struct hash_job *jobs;
    const size_t *order; /* largest first, so that no thread is left alone with a big one */
    size_t count;
    int dir;
    bool in_root, trees;
    _Atomic size_t next, done;
    _Atomic uint64_t bytes_done;
    uint64_t bytes_total;
};

int hash_open(int dir, bool in_root, const char *path, int flags)
{
    flags |= flags & O_PATH ? O_CLOEXEC : O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    struct open_how how = {.flags = (uint64_t)flags,
                           .resolve = in_root ? RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS : 0};
    int fd = in_root ? (int)syscall(SYS_openat2, dir, path, &how, sizeof(how))
                     : openat(dir, path, (int)how.flags);
    return fd < 0 ? -errno : fd;
}

static int read_full(int fd, uint8_t *buf, size_t len, size_t *got)
{
    *got = 0;
    while (*got < len) {
        ssize_t n = read(fd, buf + *got, len - *got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (!n)
            break;
        *got += (size_t)n;
    }
    return 0;
}

/* Adds the leaves for the `len` bytes from `offset`, a multiple of the block size. */
static void add_leaves(const struct tree_shape *s, uint8_t *interior, uint64_t offset,
                       const uint8_t *data, size_t len)
{
    for (size_t at = 0; at < len; at += TREE_DATA_BLOCK) {
        size_t part = len - at < TREE_DATA_BLOCK ? len - at : TREE_DATA_BLOCK;
        sha256(data + at, part, tree_leaf(s, interior, (offset + at) / TREE_DATA_BLOCK));
    }
}

static int hash_content(struct work *w, struct hash_job *job, int fd, uint64_t size, uint8_t *buf)
{
    struct tree_shape shape;
    bool tree = w->trees && size > TREE_MIN_SIZE && !tree_shape(&shape, size);
    if (tree) {
        job->interior = calloc(1, shape.size);
        if (!job->interior)
            return -ENOMEM;
    }
    struct sha256 ctx;
    sha256_init(&ctx);
    uint64_t total = 0;
    size_t got;
    do {
        int rc = read_full(fd, buf, READ_SIZE, &got);
        if (rc)
            return rc;
        if (tree && total + got > size)
            return -EAGAIN;
        sha256_update(&ctx, buf, got);
        if (tree)
            add_leaves(&shape, job->interior, total, buf, got);
        total += got;
        atomic_fetch_add_explicit(&w->bytes_done, got, memory_order_relaxed);
    } while (got == READ_SIZE);
    if (tree && total != size)
        return -EAGAIN; /* it changed while it was read */
    sha256_final(&ctx, job->sha256);
    job->size = total;
    job->has_tree = tree;
    if (tree)
        tree_finish(&shape, job->interior, job->root);
    return 0;
}

static void hash_one(struct work *w, struct hash_job *job, uint8_t *buf)
{
    struct stat st;
    int fd = hash_open(w->dir, w->in_root, job->path, O_RDONLY);
    if (fd < 0) {
        job->error = fd;
        return;
    }
    if (fstat(fd, &st))
        job->error = -errno;
    else if (!S_ISREG(st.st_mode))
        job->error = S_ISDIR(st.st_mode) ? -EISDIR : -ENXIO;
    else
        job->error = hash_content(w, job, fd, (uint64_t)st.st_size, buf);
    close(fd);
    if (job->error) {
        free(job->interior);
        job->interior = NULL;
    }
}

static void *worker(void *arg)
{
    struct work *w = arg;
    uint8_t *buf = xmalloc(READ_SIZE);
    size_t i;
    while ((i = atomic_fetch_add(&w->next, 1)) < w->count) {
        hash_one(w, &w->jobs[w->order[i]], buf);
        atomic_fetch_add(&w->done, 1);
    }
    free(buf);
    return NULL;
}

static void draw(const struct work *w)
{
    enum { WIDTH = 40 };
    char bar[WIDTH + 1];
    uint64_t done = w->bytes_done, total = w->bytes_total ? w->bytes_total : 1;
    unsigned filled = done < total ? (unsigned)(done * WIDTH / total) : WIDTH;
    memset(bar, ' ', WIDTH);
    memset(bar, '#', filled);
    bar[WIDTH] = '\0';
    fprintf(stderr, "\rhashing trusted files [%s] %zu/%zu, %llu/%llu MiB", bar, (size_t)w->done,
            w->count, (unsigned long long)(done >> 20), (unsigned long long)(total >> 20));
    fflush(stderr);
}

/* Until all is done, ten times a second, from the second tenth on. */
static void show_progress(const struct work *w)
{
    bool shown = false;
    for (int tick = 0; w->done < w->count; tick++) {
        struct timespec tenth = {.tv_nsec = 5000000};
        nanosleep(&tenth, NULL);
        if (tick >= 40 && tick % 20 == 0) {
            draw(w);
            shown = true;
        }
    }
    if (shown)
        fputs("\r\033[K", stderr);
}

static int by_size(const void *a, const void *b, void *jobs)
{
    uint64_t x = ((struct hash_job *)jobs)[*(const size_t *)a].size_hint;
    uint64_t y = ((struct hash_job *)jobs)[*(const size_t *)b].size_hint;
    if (x != y)
        return x < y ? 1 : -1;
    return *(const size_t *)a < *(const size_t *)b ? -1 : 1;
}

static unsigned thread_count(size_t jobs)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
    if (n > THREADS_MAX)
        n = THREADS_MAX;
    return (size_t)n < jobs ? (unsigned)n : jobs ? (unsigned)jobs : 1;
}

void hash_files(struct hash_job *jobs, size_t count, int dir, bool in_root, bool trees)
{
    size_t *order = xmalloc(count * sizeof(*order));
    struct work w = {.jobs = jobs,
                     .order = order,
                     .count = count,
                     .dir = dir,
                     .in_root = in_root,
                     .trees = trees};
    for (size_t i = 0; i < count; i++) {
        order[i] = i;
        w.bytes_total += jobs[i].size_hint;
    }
    qsort_r(order, count, sizeof(*order), by_size, jobs);
    crypto_init(0);
    pthread_t threads[THREADS_MAX];
    unsigned started = 0, wanted = thread_count(count);
    while (started < wanted && !pthread_create(&threads[started], NULL, worker, &w))
        started++;
    if (!started)
        worker(&w);
    else if (isatty(STDERR_FILENO))
        show_progress(&w);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(order);
}

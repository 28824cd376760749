/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One run of a command: a file or a tree, on all cores; progress and signals. */
#include "crypt_core.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* From this size on a file gets all threads, below it one thread. */
#define LARGE (8u << 20)

struct work {
    struct crypt *c;
    struct tree tree;
    atomic_size_t next;
    pthread_mutex_t lock; /* guards status, done */
    pthread_cond_t finished;
    bool done;
    int status;
    double started;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run_job(struct crypt *c, const struct job *j)
{
    char stored[PFS_PATH_SIZE];
    if (!c->encrypt) {
        if (c->verbose)
            fprintf(stderr, "Decrypting: %s -> %s\n", j->in, j->out ? j->out : "(check only)");
        return crypt_decrypt_file(c, j->in, j->out, j->path);
    }
    if (c->verbose)
        fprintf(stderr, "Encrypting: %s -> %s\n", j->in, j->out);
    int status = crypt_encrypt_file(c, j->in, j->out, j->path);
    if (!status && c->manifest_hint && !pfs_normalize_path(j->path, stored))
        fprintf(stderr, "  A manifest must reach this file as \"file:%s\", spelled exactly so\n",
                stored);
    return status;
}

static void do_job(struct work *w, const struct job *j)
{
    int status = run_job(w->c, j);
    if (!status)
        return;
    pthread_mutex_lock(&w->lock);
    if (!w->status)
        w->status = status;
    pthread_mutex_unlock(&w->lock);
    w->c->stop = true;
}

static void small_files(void *arg)
{
    struct work *w = arg;
    size_t i;
    while (!w->c->stop && (i = w->next++) < w->tree.count) {
        if (w->tree.jobs[i].size < LARGE)
            do_job(w, &w->tree.jobs[i]);
    }
}

/* Large files one after the other, each on all cores; then small ones side by side. */
static void *do_jobs(void *arg)
{
    struct work *w = arg;
    unsigned threads = crypt_cores();
    w->c->threads = threads;
    for (size_t i = 0; i < w->tree.count && !w->c->stop; i++) {
        if (w->tree.jobs[i].size >= LARGE)
            do_job(w, &w->tree.jobs[i]);
    }
    w->c->threads = 1;
    crypt_parallel(threads < w->tree.count ? threads : (unsigned)w->tree.count, small_files, w);
    pthread_mutex_lock(&w->lock);
    w->done = true;
    pthread_cond_signal(&w->finished);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void show_progress(const struct work *w)
{
    unsigned long long done = w->c->bytes_done, total = w->c->bytes_total;
    double part = total && done < total ? (double)done / (double)total : 1;
    double rate = (double)done / (now() - w->started);
    char bar[41], left[40] = "";
    memset(bar, '.', 40);
    memset(bar, '#', (size_t)(part * 40));
    bar[40] = 0;
    if (rate > 0) {
        unsigned long seconds = (unsigned long)((double)(total > done ? total - done : 0) / rate);
        snprintf(left, sizeof(left), "  %lu:%02lu:%02lu left", seconds / 3600, seconds / 60 % 60,
                 seconds % 60);
    }
    fprintf(stderr, "\r[%s] %3u %%  %llu MB  %.0f MB/s%s\033[K", bar, (unsigned)(part * 100),
            done / 1000000, rate / 1e6, left);
}

/* Waits for the end; draws on a terminal only, and only when it takes a while. */
static void wait_for(struct work *w, bool terminal)
{
    bool drawn = false;
    pthread_mutex_lock(&w->lock);
    while (!w->done) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 250000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        int rc = pthread_cond_timedwait(&w->finished, &w->lock, &until);
        if (rc == ETIMEDOUT && terminal) {
            show_progress(w);
            drawn = true;
        }
    }
    pthread_mutex_unlock(&w->lock);
    if (drawn)
        fprintf(stderr, "\r\033[K");
}

static void run_all(struct work *w)
{
    pthread_t thread;
    w->started = now();
    if (pthread_create(&thread, NULL, do_jobs, w)) {
        do_jobs(w); /* without a display */
        return;
    }
    wait_for(w, isatty(STDERR_FILENO) && !w->c->verbose);
    pthread_join(thread, NULL);
}

/* Makes the names of the output last. */
static int sync_names(const struct work *w, const char *out)
{
    int rc = output_sync_name(out);
    for (size_t i = 0; i < w->tree.dir_count && !rc; i++)
        rc = output_sync_dir(w->tree.dirs[i]);
    return rc ? crypt_output_failed(w->c, out, rc) : CRYPT_OK;
}

/* The process has one run; the handler may only touch these. */
static struct crypt *running;
static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
    signalled = sig;
    running->stop = true;
}

int crypt_run(struct crypt *c, const char *in, const char *out, const char *path)
{
    struct work w = {.c = c, .tree = {.c = c}};
    struct stat st;
    if (stat(in, &st))
        return crypt_fail(c, CRYPT_IO, "cannot read '%s': %s", in, strerror(errno));
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return crypt_fail(c, CRYPT_IO, "'%s' is neither a file nor a directory", in);
    if (S_ISDIR(st.st_mode) && out && crypt_inside(out, &st))
        return crypt_fail(c, CRYPT_USAGE, "output '%s' lies inside input '%s'", out, in);
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.finished, NULL);
    umask(c->umask = umask(0));
    running = c;
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, old[3];
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++) {
        sigaction(signals[i], NULL, &old[i]);
        if (old[i].sa_handler != SIG_IGN) /* as nohup wants it */
            sigaction(signals[i], &sa, NULL);
    }
    w.status = crypt_collect(&w.tree, in, out, path);
    if (!w.status)
        run_all(&w);
    if (!w.status && out)
        w.status = sync_names(&w, out);
    if (!w.status && c->skipped)
        w.status = CRYPT_IO;
    if (signalled)
        w.status = crypt_fail(c, CRYPT_IO, "interrupted");
    for (int i = 0; i < 3; i++)
        sigaction(signals[i], &old[i], NULL);
    crypt_tree_free(&w.tree);
    return w.status;
}

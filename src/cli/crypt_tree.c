/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Trees: collect the files first, then work on them with one thread per core. */
#include "crypt_core.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct job {
    char *in, *out, *path;
};

struct work {
    struct crypt *c;
    struct job *jobs;
    size_t count, capacity;
    atomic_size_t next;
    pthread_mutex_t lock; /* guards status, finished and running */
    pthread_cond_t finished;
    unsigned running;
    int status;
};

/* The directories from the top down to the one being read. */
struct ancestor {
    const struct ancestor *up;
    dev_t dev;
    ino_t ino;
};

static char *copy_of(const char *s)
{
    char *copy = s ? strdup(s) : NULL;
    if (s && !copy)
        abort();
    return copy;
}

static char *join(const char *dir, const char *name)
{
    char *s = NULL;
    if (!dir)
        return NULL;
    size_t n = strlen(dir);
    if (asprintf(&s, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name) < 0)
        abort();
    return s;
}

static void job_free(struct job *j)
{
    free(j->in);
    free(j->out);
    free(j->path);
}

static int collect_dir(struct work *w, const struct job *dir, const struct stat *st,
                       const struct ancestor *up);

/* Takes over `j`. */
static int collect(struct work *w, struct job j, const struct ancestor *up)
{
    struct crypt *c = w->c;
    struct stat st;
    int status = CRYPT_OK;
    if (stat(j.in, &st))
        status = crypt_fail(c, CRYPT_IO, "cannot read '%s': %s", j.in, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        status = collect_dir(w, &j, &st, up);
    else if (!S_ISREG(st.st_mode))
        fprintf(stderr, "%s: skipping '%s': neither file nor directory\n", c->name, j.in);
    if (status || !S_ISREG(st.st_mode)) {
        job_free(&j);
        return status;
    }
    if (w->count == w->capacity) {
        w->capacity = w->capacity ? 2 * w->capacity : 64;
        w->jobs = realloc(w->jobs, w->capacity * sizeof(*w->jobs));
        if (!w->jobs)
            abort();
    }
    w->jobs[w->count++] = j;
    c->bytes_total += (unsigned long long)st.st_size;
    return CRYPT_OK;
}

static int collect_dir(struct work *w, const struct job *dir, const struct stat *st,
                       const struct ancestor *up)
{
    struct crypt *c = w->c;
    struct ancestor here = {.up = up, .dev = st->st_dev, .ino = st->st_ino};
    for (const struct ancestor *a = up; a; a = a->up) {
        if (a->dev == here.dev && a->ino == here.ino)
            return crypt_fail(c, CRYPT_IO, "'%s' is a link to a directory above it", dir->in);
    }
    struct stat out_st;
    if (dir->out && mkdir(dir->out, 0775) &&
        (errno != EEXIST || stat(dir->out, &out_st) || !S_ISDIR(out_st.st_mode)))
        return crypt_fail(c, CRYPT_IO, "cannot make directory '%s': %s", dir->out, strerror(errno));
    DIR *d = opendir(dir->in);
    if (!d)
        return crypt_fail(c, CRYPT_IO, "cannot read directory '%s': %s", dir->in, strerror(errno));
    int status = CRYPT_OK;
    struct dirent *e;
    while (!status && (errno = 0, e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        struct job j = {join(dir->in, e->d_name), join(dir->out, e->d_name),
                        join(dir->path, e->d_name)};
        status = collect(w, j, &here);
    }
    if (!status && errno)
        status =
            crypt_fail(c, CRYPT_IO, "cannot read directory '%s': %s", dir->in, strerror(errno));
    closedir(d);
    return status;
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

static void *worker(void *arg)
{
    struct work *w = arg;
    size_t i;
    while (!w->c->stop && (i = w->next++) < w->count) {
        int status = run_job(w->c, &w->jobs[i]);
        if (!status)
            continue;
        pthread_mutex_lock(&w->lock);
        if (!w->status)
            w->status = status;
        pthread_mutex_unlock(&w->lock);
        w->c->stop = true;
    }
    pthread_mutex_lock(&w->lock);
    w->running--;
    pthread_cond_signal(&w->finished);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void show_progress(const struct crypt *c)
{
    unsigned long long done = c->bytes_done, total = c->bytes_total;
    unsigned percent =
        total && done < total ? (unsigned)(100.0 * (double)done / (double)total) : 100;
    char bar[41];
    memset(bar, '.', 40);
    memset(bar, '#', percent * 40 / 100);
    bar[40] = 0;
    fprintf(stderr, "\r[%s] %3u %%  %llu MB", bar, percent, done / 1000000);
}

/* Waits for the workers; draws on a terminal only, and only when it takes a while. */
static void wait_for(struct work *w, bool terminal)
{
    bool drawn = false;
    pthread_mutex_lock(&w->lock);
    while (w->running) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 250000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        int rc = pthread_cond_timedwait(&w->finished, &w->lock, &until);
        if (rc == ETIMEDOUT && terminal) {
            show_progress(w->c);
            drawn = true;
        }
    }
    pthread_mutex_unlock(&w->lock);
    if (drawn)
        fprintf(stderr, "\r\033[K");
}

static unsigned cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set))
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

static int run_all(struct work *w)
{
    pthread_t threads[64];
    size_t want = cores(), started = 0;
    if (want > w->count)
        want = w->count;
    if (want > sizeof(threads) / sizeof(*threads))
        want = sizeof(threads) / sizeof(*threads);
    w->running = (unsigned)want;
    while (started < want && !pthread_create(&threads[started], NULL, worker, w))
        started++;
    if (started < want) {
        pthread_mutex_lock(&w->lock);
        w->running -= (unsigned)(want - started);
        pthread_mutex_unlock(&w->lock);
    }
    wait_for(w, isatty(STDERR_FILENO) && !w->c->verbose);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (want && !started)
        return crypt_fail(w->c, CRYPT_IO, "cannot start a thread");
    return w->status;
}

/* The process has one run; the handler may only touch these. */
static struct crypt *running;
static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
    signalled = sig;
    running->stop = true;
}

/* Whether `out`, or the directory it will be made in, lies in the tree `in`. */
static bool inside(const char *out, const struct stat *in)
{
    char *path = realpath(out, NULL);
    if (!path) {
        char *copy = copy_of(out);
        size_t n = strlen(copy);
        while (n > 1 && copy[n - 1] == '/')
            copy[--n] = 0;
        char *slash = strrchr(copy, '/');
        if (slash)
            slash[slash == copy] = 0;
        path = realpath(slash ? copy : ".", NULL);
        free(copy);
    }
    bool found = false;
    while (path && !found) {
        struct stat st;
        found = !stat(path, &st) && st.st_dev == in->st_dev && st.st_ino == in->st_ino;
        char *slash = strrchr(path, '/');
        if (!slash || !path[1])
            break;
        slash[slash == path] = 0;
    }
    free(path);
    return found;
}

int crypt_run(struct crypt *c, const char *in, const char *out, const char *path)
{
    struct work w = {.c = c};
    struct stat st, out_st;
    if (stat(in, &st))
        return crypt_fail(c, CRYPT_IO, "cannot read '%s': %s", in, strerror(errno));
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return crypt_fail(c, CRYPT_IO, "'%s' is neither a file nor a directory", in);
    if (S_ISDIR(st.st_mode) && out && inside(out, &st))
        return crypt_fail(c, CRYPT_USAGE, "output '%s' lies inside input '%s'", out, in);
    if (S_ISREG(st.st_mode) && out && !stat(out, &out_st) && st.st_dev == out_st.st_dev &&
        st.st_ino == out_st.st_ino)
        return crypt_fail(c, CRYPT_USAGE, "'%s' and '%s' are the same file", in, out);
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.finished, NULL);
    umask(c->umask = umask(0));
    running = c;
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, old[3];
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++)
        sigaction(signals[i], &sa, &old[i]);
    struct job top = {copy_of(in), copy_of(out), copy_of(path)};
    int status = collect(&w, top, NULL);
    if (!status)
        status = run_all(&w);
    if (signalled)
        status = crypt_fail(c, CRYPT_IO, "interrupted");
    for (int i = 0; i < 3; i++)
        sigaction(signals[i], &old[i], NULL);
    for (size_t i = 0; i < w.count; i++)
        job_free(&w.jobs[i]);
    free(w.jobs);
    return status;
}

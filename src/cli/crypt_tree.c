/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a tree holds: its files and, for the output, its directories. */
#include "crypt_core.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directories from the top down to the one being read. */
struct ancestor {
    const struct ancestor *up;
    dev_t dev;
    ino_t ino;
};

char *crypt_copy(const char *s)
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

/* An array with room for one more than `count`, which doubles at powers of two. */
static void *grown(void *array, size_t count, size_t size)
{
    if (count & (count - 1) || count == 1)
        return array;
    array = realloc(array, (count ? 2 * count : 2) * size);
    if (!array)
        abort();
    return array;
}

static void job_free(struct job *j)
{
    free(j->in);
    free(j->out);
    free(j->path);
}

static int collect_dir(struct tree *t, const struct job *dir, const struct stat *st,
                       const struct ancestor *up);

/* Takes over `j`. */
static int collect(struct tree *t, struct job j, const struct ancestor *up)
{
    struct crypt *c = t->c;
    struct stat st;
    int status = CRYPT_OK;
    if (stat(j.in, &st))
        status = crypt_fail(c, CRYPT_IO, "cannot read '%s': %s", j.in, strerror(errno));
    else if (S_ISDIR(st.st_mode))
        status = collect_dir(t, &j, &st, up);
    else if (!S_ISREG(st.st_mode))
        fprintf(stderr, "%s: skipping '%s': neither file nor directory\n", c->name, j.in);
    if (status || !S_ISREG(st.st_mode)) {
        job_free(&j);
        return status;
    }
    j.size = (unsigned long long)st.st_size;
    t->jobs = grown(t->jobs, t->count, sizeof(*t->jobs));
    t->jobs[t->count++] = j;
    c->bytes_total += (unsigned long long)st.st_size;
    return CRYPT_OK;
}

static int collect_dir(struct tree *t, const struct job *dir, const struct stat *st,
                       const struct ancestor *up)
{
    struct crypt *c = t->c;
    struct ancestor here = {.up = up, .dev = st->st_dev, .ino = st->st_ino};
    for (const struct ancestor *a = up; a; a = a->up) {
        if (a->dev == here.dev && a->ino == here.ino)
            return crypt_fail(c, CRYPT_IO, "'%s' is a link to a directory above it", dir->in);
    }
    struct stat out_st;
    if (dir->out && mkdir(dir->out, 0775) &&
        (errno != EEXIST || stat(dir->out, &out_st) || !S_ISDIR(out_st.st_mode)))
        return crypt_fail(c, CRYPT_IO, "cannot make directory '%s': %s", dir->out, strerror(errno));
    if (dir->out) {
        t->dirs = grown(t->dirs, t->dir_count, sizeof(*t->dirs));
        t->dirs[t->dir_count++] = crypt_copy(dir->out);
    }
    DIR *d = opendir(dir->in);
    if (!d)
        return crypt_fail(c, CRYPT_IO, "cannot read directory '%s': %s", dir->in, strerror(errno));
    int status = CRYPT_OK;
    struct dirent *e;
    while (!status && (errno = 0, e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        struct job j = {.in = join(dir->in, e->d_name),
                        .out = join(dir->out, e->d_name),
                        .path = join(dir->path, e->d_name)};
        status = collect(t, j, &here);
    }
    if (!status && errno)
        status =
            crypt_fail(c, CRYPT_IO, "cannot read directory '%s': %s", dir->in, strerror(errno));
    closedir(d);
    return status;
}

int crypt_collect(struct tree *t, const char *in, const char *out, const char *path)
{
    struct job top = {.in = crypt_copy(in), .out = crypt_copy(out), .path = crypt_copy(path)};
    return collect(t, top, NULL);
}

void crypt_tree_free(struct tree *t)
{
    for (size_t i = 0; i < t->count; i++)
        job_free(&t->jobs[i]);
    for (size_t i = 0; i < t->dir_count; i++)
        free(t->dirs[i]);
    free(t->jobs);
    free(t->dirs);
}

bool crypt_inside(const char *out, const struct stat *in)
{
    char *path = realpath(out, NULL);
    if (!path) {
        char *copy = crypt_copy(out);
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

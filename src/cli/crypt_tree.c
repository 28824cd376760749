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
    struct file_id id;
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

static bool is_link(const char *path)
{
    struct stat st;
    return !lstat(path, &st) && S_ISLNK(st.st_mode);
}

/* What cannot be looked at. */
static int unseen(struct crypt *c, const char *path, bool top)
{
    int error = errno;
    if (top || !c->skip_broken || (error != ENOENT && error != ELOOP) || !is_link(path))
        return crypt_fail(c, CRYPT_IO, "cannot read '%s': %s", path, strerror(error));
    fprintf(stderr, "warning: %s: skipping '%s': a link that leads nowhere\n", c->name, path);
    c->skipped = true;
    return CRYPT_OK;
}

/* Takes over `j`. */
static int collect(struct tree *t, struct job j, const struct ancestor *up)
{
    struct crypt *c = t->c;
    struct stat st = {0};
    int status = CRYPT_OK;
    if (stat(j.in, &st))
        status = unseen(c, j.in, !up);
    else if (S_ISDIR(st.st_mode))
        status = collect_dir(t, &j, &st, up);
    else if (!S_ISREG(st.st_mode))
        fprintf(stderr, "%s: skipping '%s': neither file nor directory\n", c->name, j.in);
    if (status || !S_ISREG(st.st_mode)) {
        job_free(&j);
        return status;
    }
    j.size = (unsigned long long)st.st_size;
    j.id = file_id(&st);
    t->jobs = grown(t->jobs, t->count, sizeof(*t->jobs));
    t->jobs[t->count++] = j;
    c->bytes_total += (unsigned long long)st.st_size;
    return CRYPT_OK;
}

static int collect_dir(struct tree *t, const struct job *dir, const struct stat *st,
                       const struct ancestor *up)
{
    struct crypt *c = t->c;
    struct ancestor here = {.up = up, .id = file_id(st)};
    if (t->dir_count && same_file(here.id, t->out_top))
        return crypt_fail(c, CRYPT_USAGE, "'%s' is the output directory", dir->in);
    for (const struct ancestor *a = up; a; a = a->up) {
        if (same_file(a->id, here.id))
            return crypt_fail(c, CRYPT_IO, "'%s' is a link to a directory above it", dir->in);
    }
    struct stat out_st;
    if (dir->out && mkdir(dir->out, 0775) &&
        (errno != EEXIST || stat(dir->out, &out_st) || !S_ISDIR(out_st.st_mode)))
        return crypt_fail(c, CRYPT_IO, "cannot make directory '%s': %s", dir->out, strerror(errno));
    if (dir->out) {
        if (!t->dir_count && !stat(dir->out, &out_st))
            t->out_top = file_id(&out_st);
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
        if (output_is_temporary(e->d_name)) {
            fprintf(stderr, "%s: skipping '%s/%s': left behind by a run that was killed\n", c->name,
                    dir->in, e->d_name);
            continue;
        }
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

static int compare_ids(const void *a, const void *b)
{
    const struct file_id *x = a, *y = b;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return x->ino == y->ino ? 0 : x->ino < y->ino ? -1 : 1;
}

/* Refuses outputs that would replace what cannot be made again. */
static int check_outputs(const struct tree *t)
{
    struct file_id *inputs = calloc(t->count + 1, sizeof(*inputs));
    int status = CRYPT_OK;
    if (!inputs)
        abort();
    for (size_t i = 0; i < t->count; i++)
        inputs[i] = t->jobs[i].id;
    qsort(inputs, t->count, sizeof(*inputs), compare_ids);
    for (size_t i = 0; i < t->count && !status; i++) {
        const struct job *j = &t->jobs[i];
        struct stat st;
        if (!j->out || stat(j->out, &st))
            continue;
        const struct file_id id = file_id(&st);
        if (same_file(id, t->c->key_file))
            status = crypt_fail(t->c, CRYPT_USAGE, "output '%s' is the key file", j->out);
        else if (!same_file(id, j->id) && /* which is refused when the file is opened */
                 bsearch(&id, inputs, t->count, sizeof(*inputs), compare_ids))
            status = crypt_fail(t->c, CRYPT_USAGE, "output '%s' is one of the input files", j->out);
    }
    free(inputs);
    return status;
}

int crypt_collect(struct tree *t, const char *in, const char *out, const char *path)
{
    struct job top = {.in = crypt_copy(in), .out = crypt_copy(out), .path = crypt_copy(path)};
    int status = collect(t, top, NULL);
    return status ? status : check_outputs(t);
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
        found = !stat(path, &st) && same_file(file_id(&st), file_id(in));
        char *slash = strrchr(path, '/');
        if (!slash || !path[1])
            break;
        slash[slash == path] = 0;
    }
    free(path);
    return found;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/trusted.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manifest/compiled.h"
#include "manifest/hashing.h"
#include "manifest/tree.h"
#include "manifest/value.h"

#define DEPTH_MAX 128

/* A file of the list. Its content is hashed as job number `job`; several names of one inode share
 * one. */
struct entry {
    const char *path;         /* normalised, without "file:" */
    const struct dom *origin; /* the entry of the manifest it comes from */
    const struct dom *given;  /* that entry, if it has a hash of its own */
    size_t job;
    bool named; /* by its own name, not found in a directory */
};

struct inode {
    dev_t dev;
    ino_t ino;
    size_t job;
};

struct expansion {
    struct arena *arena;
    struct diag *diag;
    int dir;
    bool in_root;
    struct buffer entries;  /* struct entry */
    struct buffer jobs;     /* struct hash_job */
    struct entry **by_path; /* hash table, open addressing; filled by merge() */
    struct inode *by_inode; /* hash table; job = SIZE_MAX: free */
    size_t inode_slots, inode_count;
};

static struct hash_job *job_at(const struct expansion *x, size_t i)
{
    return (struct hash_job *)(void *)x->jobs.data + i;
}

static struct inode *find_inode(struct inode *table, size_t slots, dev_t dev, ino_t ino)
{
    size_t i = (ino * 0x9e3779b97f4a7c15u ^ dev) >> 7;
    for (;; i++) {
        struct inode *n = &table[i & (slots - 1)];
        if (n->job == SIZE_MAX || (n->ino == ino && n->dev == dev))
            return n;
    }
}

static void grow_inodes(struct expansion *x)
{
    size_t slots = x->inode_slots ? 2 * x->inode_slots : 4096;
    struct inode *table = xmalloc(slots * sizeof(*table));
    for (size_t i = 0; i < slots; i++)
        table[i].job = SIZE_MAX;
    for (size_t i = 0; i < x->inode_slots; i++)
        if (x->by_inode[i].job != SIZE_MAX)
            *find_inode(table, slots, x->by_inode[i].dev, x->by_inode[i].ino) = x->by_inode[i];
    free(x->by_inode);
    x->by_inode = table;
    x->inode_slots = slots;
}

/* Adds a regular file; `path` is as the manifest writes it. */
static void add_file(struct expansion *x, const struct dom *origin, const char *path,
                     const struct stat *st, bool named)
{
    size_t len = strlen(path);
    char *normal = arena_alloc(x->arena, len + 2);
    if (mf_path_normalise(path, len, normal, len + 2) < 0)
        return;
    if (2 * x->inode_count >= x->inode_slots)
        grow_inodes(x);
    struct inode *n = find_inode(x->by_inode, x->inode_slots, st->st_dev, st->st_ino);
    if (n->job == SIZE_MAX) {
        struct hash_job job = {.path = path, .name = normal, .size_hint = (uint64_t)st->st_size};
        *n = (struct inode){st->st_dev, st->st_ino, x->jobs.len / sizeof(job)};
        buffer_add(&x->jobs, &job, sizeof(job));
        x->inode_count++;
    }
    struct entry e = {.path = normal, .origin = origin, .job = n->job, .named = named};
    buffer_add(&x->entries, &e, sizeof(e));
}

static bool valid_utf8(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;
    while (*p) {
        unsigned extra = *p < 0x80                 ? 0
                         : *p >= 0xc2 && *p < 0xe0 ? 1
                         : *p >= 0xe0 && *p < 0xf0 ? 2
                         : *p >= 0xf0 && *p < 0xf5 ? 3
                                                   : 9;
        if (extra == 9)
            return false;
        unsigned lo = *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80;
        unsigned hi = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;
        for (p++; extra; extra--, p++, lo = 0x80, hi = 0xbf)
            if (*p < lo || *p > hi)
                return false;
    }
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void walk(struct expansion *x, const struct dom *origin, const char *path, int fd,
                 unsigned depth);

static void walk_name(struct expansion *x, const struct dom *origin, const char *path, int fd,
                      const char *name, unsigned depth)
{
    struct stat st;
    const char *full = arena_printf(x->arena, "%s%s", path, name);
    if (!valid_utf8(name)) {
        diag_warning(x->diag, origin->line, "'%s' is left out: its name is not UTF-8", full);
        return;
    }
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW))
        return;
    if (S_ISLNK(st.st_mode)) {
        /* Through the root of --chroot, which fstatat() knows nothing about. */
        int target = hash_open(x->dir, x->in_root, full, O_PATH);
        if (target < 0)
            return;
        bool file = !fstat(target, &st) && S_ISREG(st.st_mode);
        close(target);
        if (file)
            add_file(x, origin, full, &st, false);
    } else if (S_ISREG(st.st_mode)) {
        add_file(x, origin, full, &st, false);
    } else if (S_ISDIR(st.st_mode)) {
        int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0)
            walk(x, origin, arena_printf(x->arena, "%s/", full), below, depth + 1);
    }
}

/* Takes over `fd`; `path` ends in a slash. */
static void walk(struct expansion *x, const struct dom *origin, const char *path, int fd,
                 unsigned depth)
{
    struct buffer names = {0};
    DIR *d = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
    if (!d) {
        if (depth >= DEPTH_MAX)
            diag_error(x->diag, origin->line, "'%s' is nested more than %d directories deep", path,
                       DEPTH_MAX);
        close(fd);
        return;
    }
    struct dirent *e;
    while ((e = readdir(d))) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        char *name = arena_copy(x->arena, e->d_name, strlen(e->d_name));
        buffer_add(&names, &name, sizeof(name));
    }
    size_t count = names.len / sizeof(char *);
    char **list = (char **)(void *)names.data;
    if (count)
        qsort(list, count, sizeof(*list), by_name);
    for (size_t i = 0; i < count; i++)
        walk_name(x, origin, path, dirfd(d), list[i], depth);
    closedir(d);
    buffer_free(&names);
}

static void cannot(struct expansion *x, const struct dom *origin, const char *path, int error)
{
    if (error == -ENOENT)
        diag_error(x->diag, origin->line, "Missing trusted file: '%s'; build it first or remove it",
                   path);
    else if (error == -EAGAIN)
        diag_error(x->diag, origin->line, "the trusted file '%s' changed while it was hashed",
                   path);
    else
        diag_error(x->diag, origin->line, "cannot read the trusted file '%s': %s", path,
                   strerror(-error));
}

static void expand_uri(struct expansion *x, const struct dom *origin, const char *path)
{
    struct stat st;
    size_t len = strlen(path);
    bool slash = path[len - 1] == '/';
    if (x->in_root && path[0] != '/') {
        diag_error(x->diag, origin->line, "'%s' is not absolute, as --chroot needs", path);
        return;
    }
    int fd = hash_open(x->dir, x->in_root, path, O_PATH);
    if (fd < 0 || fstat(fd, &st)) {
        cannot(x, origin, path, slash && fd == -ENOTDIR ? -ENOTDIR : fd);
    } else if (S_ISDIR(st.st_mode) && !slash) {
        diag_error(x->diag, origin->line,
                   "'%s' is a directory; end it with a slash to trust all files below it", path);
    } else if (S_ISDIR(st.st_mode)) {
        int dir = hash_open(x->dir, x->in_root, path, O_RDONLY | O_DIRECTORY);
        if (dir < 0)
            cannot(x, origin, path, dir);
        else
            walk(x, origin, path, dir, 0);
    } else if (slash) {
        diag_error(x->diag, origin->line, "'%s' is not a directory; remove the slash", path);
    } else if (S_ISREG(st.st_mode)) {
        add_file(x, origin, path, &st, true);
    } else {
        diag_error(x->diag, origin->line, "'%s' is not a regular file", path);
    }
    if (fd >= 0)
        close(fd);
}

static void expand_entry(struct expansion *x, const struct dom *e)
{
    const char *uri = e->type == DOM_STRING ? e->text : dom_string(e, "uri");
    const char *path = uri ? uri_file(uri) : NULL;
    if (!path || !*path) {
        diag_error(x->diag, e->line, "a trusted file is written \"file:PATH\"");
        return;
    }
    if (!dom_child(e, "sha256")) {
        expand_uri(x, e, path);
        return;
    }
    size_t len = strlen(path);
    char *normal = arena_alloc(x->arena, len + 2);
    struct entry given = {.path = normal, .origin = e, .given = e, .job = SIZE_MAX, .named = true};
    if (mf_path_normalise(path, len, normal, len + 2) > 0)
        buffer_add(&x->entries, &given, sizeof(given));
}

static const char *hex(struct arena *a, const uint8_t *bytes)
{
    char *s = arena_alloc(a, 65);
    for (int i = 0; i < 32; i++) {
        s[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        s[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    return s;
}

static void entry_hash(const struct expansion *x, const struct entry *e, uint8_t out[32])
{
    memset(out, 0, 32);
    if (e->given)
        value_hex(dom_string(e->given, "sha256"), out, 32);
    else
        memcpy(out, job_at(x, e->job)->sha256, 32);
}

/* True when `e` is the first with its path; another one with a different hash is an error. */
static bool first_of_path(struct expansion *x, struct entry *e, size_t slots)
{
    uint64_t h = 14695981039346656037u;
    for (const char *p = e->path; *p; p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    for (size_t i = h ^ h >> 29;; i++) {
        struct entry **slot = &x->by_path[i & (slots - 1)];
        if (!*slot) {
            *slot = e;
            return true;
        }
        if (strcmp((*slot)->path, e->path))
            continue;
        uint8_t old[32], new[32];
        entry_hash(x, *slot, old);
        entry_hash(x, e, new);
        if (memcmp(old, new, sizeof(old)))
            diag_error(x->diag, e->origin->line,
                       "'%s' is trusted twice with different hashes (also on line %u); remove one",
                       e->path, (*slot)->origin->line);
        return false;
    }
}

static void append_table(struct expansion *x, struct dom *list, const struct entry *e)
{
    struct arena *a = x->arena;
    struct dom *t = dom_new(a, DOM_TABLE, NULL);
    t->line = e->origin->line;
    dom_append(t, dom_new_string(a, "uri", arena_printf(a, "file:%s", e->path)));
    uint8_t sha[32];
    entry_hash(x, e, sha);
    dom_append(t, dom_new_string(a, "sha256", hex(a, sha)));
    if (e->given) {
        const struct dom *size = dom_child(e->given, "size");
        const char *tree = dom_string(e->given, "tree");
        if (size && size->type == DOM_INTEGER)
            dom_append(t, dom_new_integer(a, "size", size->integer));
        if (tree)
            dom_append(t, dom_new_string(a, "tree", tree));
    } else if (job_at(x, e->job)->has_tree) {
        dom_append(t, dom_new_integer(a, "size", (int64_t)job_at(x, e->job)->size));
        dom_append(t, dom_new_string(a, "tree", hex(a, job_at(x, e->job)->root)));
    }
    dom_append(list, t);
}

/* The expanded list; files that could not be read are errors if named, else left out. */
static void build_list(struct expansion *x, struct dom *list)
{
    struct entry *entries = (struct entry *)(void *)x->entries.data;
    size_t count = x->entries.len / sizeof(*entries), slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    x->by_path = xmalloc(slots * sizeof(*x->by_path));
    memset(x->by_path, 0, slots * sizeof(*x->by_path));
    for (size_t i = 0; i < count; i++) {
        struct entry *e = &entries[i];
        int error = e->given ? 0 : job_at(x, e->job)->error;
        if (error && (e->named || (error != -EACCES && error != -EPERM && error != -ENOENT)))
            cannot(x, e->origin, e->path, error);
        if (!error && first_of_path(x, e, slots))
            append_table(x, list, e);
    }
    free(x->by_path);
}

struct stored {
    struct trees_entry entry;
    const uint8_t *interior;
    uint64_t size;
};

static int by_root(const void *a, const void *b)
{
    return memcmp(((const struct stored *)a)->entry.root, ((const struct stored *)b)->entry.root,
                  32);
}

/* Header, sorted index, interiors. */
static void build_sidecar(const struct expansion *x, struct buffer *out)
{
    size_t jobs = x->jobs.len / sizeof(struct hash_job), count = 0, unique = 0;
    struct stored *s = xmalloc(jobs * sizeof(*s));
    for (size_t i = 0; i < jobs; i++) {
        const struct hash_job *j = job_at(x, i);
        struct tree_shape shape;
        if (!j->interior || tree_shape(&shape, j->size))
            continue;
        s[count] = (struct stored){
            .entry.file_size = j->size, .interior = j->interior, .size = shape.size};
        memcpy(s[count++].entry.root, j->root, 32);
    }
    if (count)
        qsort(s, count, sizeof(*s), by_root);
    for (size_t i = 0; i < count; i++)
        if (!unique || by_root(&s[unique - 1], &s[i]))
            s[unique++] = s[i];
    uint64_t at = sizeof(struct trees_header) + unique * sizeof(struct trees_entry);
    at = (at + TREE_HASH_BLOCK - 1) & ~(uint64_t)(TREE_HASH_BLOCK - 1);
    for (size_t i = 0; i < unique; i++) {
        s[i].entry.offset = at;
        at += s[i].size;
    }
    struct trees_header h = {
        .magic = "", .version = TREES_VERSION, .count = (uint32_t)unique, .total_size = at};
    memcpy(h.magic, TREES_MAGIC, sizeof(h.magic));
    if (unique)
        buffer_add(out, &h, sizeof(h));
    for (size_t i = 0; i < unique; i++)
        buffer_add(out, &s[i].entry, sizeof(s[i].entry));
    buffer_align(out, TREE_HASH_BLOCK);
    for (size_t i = 0; i < unique; i++)
        buffer_add(out, s[i].interior, s[i].size);
    free(s);
}

static bool open_root(struct expansion *x, const struct trusted_options *options)
{
    x->dir = AT_FDCWD;
    if (!options->chroot)
        return true;
    x->in_root = true;
    x->dir = open(options->chroot, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (x->dir < 0)
        diag_error(x->diag, 0, "cannot use --chroot '%s': %s", options->chroot, strerror(errno));
    return x->dir >= 0;
}

bool trusted_expand(struct arena *a, struct dom *root, const struct trusted_options *options,
                    struct buffer *sidecar, struct diag *d)
{
    unsigned before = d->error_count;
    struct expansion x = {.arena = a, .diag = d};
    struct dom *sgx = dom_make_table(a, root, "sgx"), *old = dom_child(sgx, "trusted_files");
    if (!sgx || (old && old->type != DOM_ARRAY)) {
        diag_error(d, old ? old->line : 0, "Cannot parse 'sgx.trusted_files': not an array");
        return false;
    }
    if (!open_root(&x, options))
        return false;
    for (const struct dom *e = old ? old->first : NULL; e; e = e->next)
        expand_entry(&x, e);
    size_t jobs = x.jobs.len / sizeof(struct hash_job);
    struct dom *list = dom_new(a, DOM_ARRAY, "trusted_files");
    if (d->error_count == before) {
        hash_files(job_at(&x, 0), jobs, x.dir, x.in_root, options->trees);
        build_list(&x, list);
    }
    if (sidecar && d->error_count == before)
        build_sidecar(&x, sidecar);
    for (size_t i = 0; i < jobs; i++)
        free(job_at(&x, i)->interior);
    if (old) {
        list->line = old->line;
        dom_replace(old, list);
    } else {
        dom_append(sgx, list);
    }
    buffer_free(&x.entries);
    buffer_free(&x.jobs);
    free(x.by_inode);
    if (x.in_root)
        close(x.dir);
    return d->error_count == before;
}

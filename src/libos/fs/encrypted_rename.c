/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Renaming on an encrypted mount. Each file is bound to its host path by its own metadata, so first
 * the files are bound to the path that they will have, the one file or all below a directory; each
 * can then be opened under both paths (pfs_rename()). Then the host renames, and the directories
 * are synced. Whatever the process stops at, no file is refused.
 */
#include "host/host.h"
#include "libos/fs/encrypted_names.h"
#include "libos/fs/links.h"
#include "libos/fs/encrypted_share.h"
#include <linux/fs.h>

#define MOST_HELD 128 /* files that are kept open meanwhile */
#define TYPE_DIR  4   /* DT_DIR */
#define TYPE_REG  8   /* DT_REG */

/* One rename at a time. Above node.lock. */
static struct lock rename_lock;

struct item {
    char *rel; /* below the root of the tree; "": the root itself */
    bool dir;
    bool bound;            /* to its new path */
    struct enc_node *node; /* held until the host has renamed, or NULL */
};

/* A file, or a directory with all below it. */
struct tree {
    const char *root, *to;
    struct item *items;
    size_t count, capacity;
    size_t listing; /* item whose entries are being added */
};

static int add(struct tree *t, const char *dir, const char *name, size_t len, bool is_dir)
{
    if (t->count == t->capacity) {
        size_t capacity = t->capacity ? t->capacity * 2 : 16;
        struct item *items = heap_realloc(t->items, capacity * sizeof(*items));
        if (!items)
            return -ENOMEM;
        t->items = items;
        t->capacity = capacity;
    }
    size_t size = strlen(dir) + len + 2;
    char *rel = heap_alloc(size);
    if (!rel)
        return -ENOMEM;
    fmt(rel, size, "%s%s%.*s", dir, *dir && len ? "/" : "", (int)len, name);
    t->items[t->count++] = (struct item){.rel = rel, .dir = is_dir};
    return 0;
}

static int join(const char *root, const char *rel, char out[PATH_LIMIT])
{
    int n = fmt(out, PATH_LIMIT, "%s%s%s", root, *rel ? "/" : "", rel);
    return n < PATH_LIMIT ? 0 : -ENAMETOOLONG;
}

static int add_entry(void *ctx, const char *name, size_t len, uint8_t type)
{
    struct tree *t = ctx;
    char path[PATH_LIMIT];
    const char *dir = t->items[t->listing].rel;
    if (enc_hidden_name(name, len))
        return 0;
    if (!type) {
        struct stat st;
        int err = join(t->root, dir, path);
        size_t n = err ? 0 : strlen(path);
        if (err || n + len + 2 > PATH_LIMIT)
            return -ENAMETOOLONG;
        fmt(path + n, PATH_LIMIT - n, "/%.*s", (int)len, name);
        err = host_stat(path, false, &st);
        if (err)
            return err;
        type = (uint8_t)((st.st_mode & S_IFMT) >> 12);
    }
    return type == TYPE_DIR || type == TYPE_REG ? add(t, dir, name, len, type == TYPE_DIR) : 0;
}

/* All below t->root; directories are lists of what follows. */
static int collect(struct tree *t, bool is_dir)
{
    char path[PATH_LIMIT];
    int err = add(t, "", "", 0, is_dir);
    for (t->listing = 0; !err && t->listing < t->count; t->listing++) {
        if (!t->items[t->listing].dir)
            continue;
        err = join(t->root, t->items[t->listing].rel, path);
        if (!err)
            err = enc_list(path, add_entry, t);
    }
    return err;
}

static void forget(struct tree *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->items[i].node)
            enc_node_put(t->items[i].node);
        heap_free(t->items[i].rel);
    }
    heap_free(t->items);
}

/* Times are not to change with the name. */
static int bind_node(struct enc_node *n, const char *path)
{
    struct stat st;
    int err = (int)enc_io_result(pfs_flush(n->pfs, false));
    if (!err)
        err = host_fstat(n->host_fd, &st);
    if (!err)
        err = (int)enc_io_result(pfs_rename(n->pfs, path));
    if (err)
        return err;
    struct __kernel_timespec ts[2] = {{(long)st.st_atime, (long)st.st_atime_nsec},
                                      {(long)st.st_mtime, (long)st.st_mtime_nsec}};
    host_utimens(n->host_fd, NULL, ts, 0);
    return 0;
}

static int bind_locked(struct enc_node *n, const char *path, bool keep_log)
{
    lock(&n->lock);
    int err = enc_begin(n, true);
    if (!err) {
        err = bind_node(n, path);
        n->keep_log = !err && keep_log;
        int ended = enc_end(n, true);
        err = err ? err : ended;
    }
    unlock(&n->lock);
    return err;
}

/*
 * `is`: what it is bound to, NULL: whatever. Its old path is in a log in the file, which goes when
 * the file is closed: it is held, in *held, or (`keep_log`) closed without that.
 */
static int bind_file(struct mount *m, const char *host, const char *is, const char *path,
                     bool keep_log, struct enc_node **held)
{
    struct stat st;
    struct enc_node *n;
    int err = host_stat(host, false, &st);
    if (!err)
        err = enc_node_get(m, host, is, &st, false, &n);
    if (err)
        return err;
    err = bind_locked(n, path, keep_log);
    if (!err && held)
        *held = n;
    else
        enc_node_put(n);
    return err;
}

/* Binds all files to their paths below t->to. A file below a directory that is no good under its
 * present name stays so. */
static int bind_all(struct mount *m, struct tree *t)
{
    char from[PATH_LIMIT], to[PATH_LIMIT];
    int err = 0;
    for (size_t i = 0; !err && i < t->count; i++) {
        struct item *it = &t->items[i];
        if (it->dir)
            continue;
        err = join(t->root, it->rel, from);
        if (!err)
            err = join(t->to, it->rel, to);
        bool hold = i < MOST_HELD;
        if (!err)
            err = bind_file(m, from, from, to, !hold, hold ? &it->node : NULL);
        it->bound = !err;
        if (err == -EACCES && *it->rel)
            err = 0;
    }
    return err;
}

/* The host has renamed: files that were not held lose their logs now. */
static void settle(struct mount *m, struct tree *t)
{
    char to[PATH_LIMIT];
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].bound && !t->items[i].node && join(t->to, t->items[i].rel, to) == 0)
            bind_file(m, to, NULL, to, false, NULL);
}

static void bind_back(struct mount *m, struct tree *t)
{
    char from[PATH_LIMIT];
    for (size_t i = 0; i < t->count; i++) {
        struct item *it = &t->items[i];
        if (!it->bound || join(t->root, it->rel, from))
            continue;
        if (it->node)
            bind_locked(it->node, from, false);
        else
            bind_file(m, from, NULL, from, false, NULL);
    }
}

int enc_sync_parent(const char *host)
{
    int fd = enc_open_parent(host, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    int err = host_fsync(fd, false);
    host_close(fd);
    return err == -EINVAL ? 0 : err; /* the host's file system has no such thing */
}

static int rename_alone(const char *from, const char *to, uint32_t flags)
{
    int err = links_keep();
    if (!err) {
        err = host_rename(from, to, flags);
        links_let_go();
    }
    return err;
}

static int host_rename_over(const char *from, const char *to, uint32_t flags)
{
    int err = rename_alone(from, to, flags);
    if (err != -ENOTEMPTY && err != -EEXIST)
        return err;
    if (flags & RENAME_NOREPLACE || enc_remove_dir(to)) /* nothing but logs in it? */
        return err;
    return rename_alone(from, to, flags);
}

static bool below(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    return strncmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]);
}

/* What the host would refuse is refused before any file is touched. */
static int check(const char *from, const struct stat *a, const char *to, const struct stat *b,
                 int b_err, uint32_t flags)
{
    bool exchange = flags & RENAME_EXCHANGE, exists = !b_err;
    bool dir = (a->st_mode & S_IFMT) == S_IFDIR, dir_b = exists && (b->st_mode & S_IFMT) == S_IFDIR;
    if (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    if (b_err && (b_err != -ENOENT || exchange))
        return b_err;
    if (exists && flags & RENAME_NOREPLACE)
        return -EEXIST;
    if ((dir && below(to, from)) || (exchange && dir_b && below(from, to)))
        return -EINVAL;
    if (exists && !exchange && dir != dir_b)
        return dir ? -ENOTDIR : -EISDIR;
    return 0;
}

static int rename_tree(struct mount *m, const char *from, bool dir, const char *to, bool dir_b,
                       uint32_t flags)
{
    struct tree a = {.root = from, .to = to}, b = {.root = to, .to = from};
    bool exchange = flags & RENAME_EXCHANGE;
    int err = collect(&a, dir);
    if (!err && exchange)
        err = collect(&b, dir_b);
    if (!err)
        err = bind_all(m, &a);
    if (!err)
        err = bind_all(m, &b);
    if (!err)
        err = host_rename_over(from, to, flags);
    if (err) {
        bind_back(m, &a);
        bind_back(m, &b);
    } else {
        int synced = enc_sync_parent(to);
        err = synced ? synced : enc_sync_parent(from);
        settle(m, &a);
        settle(m, &b);
    }
    forget(&a);
    forget(&b);
    return err;
}

int enc_rename(struct mount *m, const char *from, const char *to, uint32_t flags)
{
    char host_from[PATH_LIMIT], host_to[PATH_LIMIT];
    struct stat a, b = {0};
    int err = enc_host_path(m, from, host_from);
    if (!err)
        err = enc_host_path(m, to, host_to);
    if (!err)
        err = host_stat(host_from, false, &a);
    if (err)
        return err;
    int b_err = host_stat(host_to, false, &b);
    if (!b_err && a.st_ino == b.st_ino && a.st_dev == b.st_dev)
        return flags & RENAME_NOREPLACE ? -EEXIST : 0;
    err = check(host_from, &a, host_to, &b, b_err, flags);
    if (err)
        return err;
    uint32_t type = a.st_mode & S_IFMT, type_b = b.st_mode & S_IFMT;
    if (type == S_IFDIR)
        err = links_note_tree(host_from, NULL, NULL);
    else if (type == S_IFLNK)
        links_note();
    if (err)
        return err;
    if (type != S_IFDIR &&
        type != S_IFREG) /* exchanged, a file would come to a path it is not bound to */
        return flags & RENAME_EXCHANGE ? -EINVAL : rename_alone(host_from, host_to, flags);
    lock(&rename_lock);
    err = rename_tree(m, host_from, type == S_IFDIR, host_to, type_b == S_IFDIR, flags);
    links_moved();
    unlock(&rename_lock);
    return err;
}

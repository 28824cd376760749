/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * File systems whose files are made up when they are looked at: /proc, /sys, /dev. Each is a static
 * tree of nodes. The text of a file is made at open, so that one descriptor reads one snapshot.
 */
#pragma once
#include "libos/fs/vfs.h"

/* A growable text; `failed` once memory was short. */
struct text {
    char *data;
    size_t len, capacity;
    bool failed;
};
__attribute__((format(printf, 2, 3))) void text_add(struct text *t, const char *format, ...);
void text_add_bytes(struct text *t, const void *bytes, size_t n);
void text_free(struct text *t);
/* Appends a host file whole, at most 8 MiB. 0 or errno. */
int text_add_host(struct text *t, const char *host);

struct pseudo_node;

/* A node in its place: which directory numbers led to it. */
struct pseudo_ref {
    const struct pseudo_node *node;
    struct mount *mount;
    const char *rel; /* path below the mount */
    size_t rel_len;  /* for next(): how much of it names the directory */
    long num[4];     /* of the '#' and '*' components, in order */
    int depth;       /* how many of them there are */
};

/*
 * `name` is the name of the node. With a '#' at its end it stands for all names that continue with
 * a decimal number n for which next(dir, n) == n; "*" stands for the names that name_at gives.
 */
struct pseudo_node {
    const char *name;
    uint32_t mode;                      /* type and permissions, as in st_mode */
    const struct pseudo_node *children; /* of a directory; a NULL name ends them */
    bool (*exists)(const struct pseudo_ref *r);
    /* The lowest number >= from; -1: none. `dir` is the parent directory. */
    long (*next)(const struct pseudo_ref *dir, long from);
    const char *(*name_at)(long index); /* NULL behind the last */
    int (*fill)(const struct pseudo_ref *r, struct text *t);
    ssize (*link)(const struct pseudo_ref *r, char *buf, size_t size);
    /* One write(2) of at most a page, already in our memory. Returns n or errno. */
    ssize (*write)(const struct pseudo_ref *r, const char *buf, size_t n);
    /* 0, or why it, or what is below it, cannot be opened. */
    int (*check)(const struct pseudo_ref *r);
    /* Opens an object instead of a text; for links: what the link leads to. */
    int (*open)(const struct pseudo_ref *r, uint32_t flags, struct file **out);
    /* What the object says of itself; for links: what the link leads to. */
    int (*stat)(const struct pseudo_ref *r, kstat *st);
    /* For links: they lead to an object that no path names. */
    bool (*magic)(const struct pseudo_ref *r);
    /* User and group that it belongs to; NULL: root. */
    void (*owner)(const struct pseudo_ref *r, uint32_t ids[2]);
};

/* The fs_ops of a tree; `root` is its root directory. */
int pseudo_open(const struct pseudo_node *root, struct mount *m, const char *rel, uint32_t flags,
                struct file **out);
int pseudo_stat(const struct pseudo_node *root, struct mount *m, const char *rel, bool follow,
                kstat *st);
ssize pseudo_readlink(const struct pseudo_node *root, struct mount *m, const char *rel, char *buf,
                      size_t size);
bool pseudo_magic(const struct pseudo_node *root, struct mount *m, const char *rel);
/* `type`: the magic number of the file system (linux/magic.h). */
int pseudo_statfs(uint32_t type, struct statfs64_k *st);

#define PSEUDO_FS(symbol, title, root, type)                                                  \
    static int symbol##_open(struct mount *m, const char *rel, uint32_t flags, uint32_t mode, \
                             struct file **out)                                               \
    {                                                                                         \
        (void)mode;                                                                           \
        return pseudo_open(root, m, rel, flags, out);                                         \
    }                                                                                         \
    static int symbol##_stat(struct mount *m, const char *rel, bool follow, kstat *st)        \
    {                                                                                         \
        return pseudo_stat(root, m, rel, follow, st);                                         \
    }                                                                                         \
    static ssize symbol##_readlink(struct mount *m, const char *rel, char *buf, size_t size)  \
    {                                                                                         \
        return pseudo_readlink(root, m, rel, buf, size);                                      \
    }                                                                                         \
    static bool symbol##_magic(struct mount *m, const char *rel)                              \
    {                                                                                         \
        return pseudo_magic(root, m, rel);                                                    \
    }                                                                                         \
    static int symbol##_statfs(struct mount *m, struct statfs64_k *st)                        \
    {                                                                                         \
        (void)m;                                                                              \
        return pseudo_statfs(type, st);                                                       \
    }                                                                                         \
    const struct fs_ops symbol = {.name = title,                                              \
                                  .own_links = true,                                          \
                                  .open = symbol##_open,                                      \
                                  .stat = symbol##_stat,                                      \
                                  .readlink = symbol##_readlink,                              \
                                  .magic_link = symbol##_magic,                               \
                                  .statfs = symbol##_statfs}

/* For nodes that show the host's file of the same path: fill, exists and next. */
int pseudo_host_fill(const struct pseudo_ref *r, struct text *t);
bool pseudo_host_exists(const struct pseudo_ref *r);

/* st_dev of what a mount holds: an anonymous device, different for each mount. */
uint64_t mount_device(const struct mount *m);
/* Copies `text` to a readlink buffer, cut to size. */
ssize link_text(char *buf, size_t size, const char *text);

/* Table shorthands. */
#define P_DIR(n, mode_, children_)                                  \
    {                                                               \
        .name = n, .mode = 0040000 | (mode_), .children = children_ \
    }
#define P_FILE(n, mode_, fill_)                             \
    {                                                       \
        .name = n, .mode = 0100000 | (mode_), .fill = fill_ \
    }
#define P_LINK(n, link_)                          \
    {                                             \
        .name = n, .mode = 0120777, .link = link_ \
    }
#define P_HOST(n)                                                                          \
    {                                                                                      \
        .name = n, .mode = 0100444, .fill = pseudo_host_fill, .exists = pseudo_host_exists \
    }

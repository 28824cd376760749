/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * tmpfs: names and attributes live in the library OS (fs/tmpfs_tree.c), the content of a regular
 * file in a host memfd, so that reads, writes and mappings of it go straight to the host and are
 * shared with processes that fork afterwards. Names are not: after fork each process has a copy of
 * the tree, and what one then creates, renames or removes the other does not see.
 */
#pragma once
#include "libos/fs/vfs.h"
#include "libos/lib/list.h"

struct tmpfs;

struct tmp_inode {
    uint32_t refs; /* one for each name, open file and, for the root, the mount */
    uint64_t ino;
    uint32_t mode, nlink, uid, gid;
    struct __kernel_timespec atime, mtime, ctime;
    int memfd;    /* content of regular files; O_PATH of a nameless FIFO; else -1 */
    char *target; /* symbolic links */
    /* directories */
    struct list entries; /* struct tmp_entry, ascending cookies */
    uint32_t count;
    struct tmp_inode *parent; /* not counted: it has a name in there; NULL: root, or removed */
};

struct tmp_entry {
    struct list link;
    struct tmp_inode *inode;
    uint32_t hash;
    int64_t cookie;
    char name[];
};

struct tmpfs {
    struct lock lock; /* the tree and every inode of it; an object lock, before the heap's only */
    struct tmp_inode *root;
    uint64_t next_ino;
    int64_t next_cookie;
    uint64_t device;
};

/* Gives the mount its file system. 0 or -ENOMEM. */
int tmpfs_setup(struct mount *m);

/* ---- fs/tmpfs_tree.c; all under tmpfs.lock ---- */

/* A last component: directory, name and what is there now (NULL: nothing). */
struct tmp_place {
    struct tmp_inode *dir;
    const char *name;
    struct tmp_entry *entry;
};
/* Finds `rel`; for the root dir is NULL. -ENOENT for a missing directory on the way, -ENOTDIR,
 * -EACCES; a missing last component is no error. */
int tmp_find(struct tmpfs *fs, const char *rel, struct tmp_place *out);
/* The inode itself, not counted. */
int tmp_lookup(struct tmpfs *fs, const char *rel, struct tmp_inode **out);
/* MAY_* for the calling process: -EACCES. */
#define MAY_EXEC  1u
#define MAY_WRITE 2u
#define MAY_READ  4u
int tmp_may(const struct tmp_inode *i, uint32_t want);
/* May the entry be removed or replaced? Write permission and the sticky bit. */
int tmp_may_remove(const struct tmp_place *p);
/* A new inode, one reference, no name. NULL with *err set. */
struct tmp_inode *tmp_new(struct tmpfs *fs, const struct tmp_inode *dir, uint32_t mode, int *err);
/* Drops a reference; with the last one the inode goes. */
void tmp_put(struct tmp_inode *i);
/* Gives the inode another name; takes a reference of its own. -ENOMEM */
int tmp_enter(struct tmpfs *fs, struct tmp_inode *dir, const char *name, struct tmp_inode *i);
/* Takes the name away. */
void tmp_remove(struct tmp_inode *dir, struct tmp_entry *e);
void tmp_touch(struct tmp_inode *i, bool content);
int tmp_rename(struct tmpfs *fs, struct tmp_place *from, struct tmp_place *to, uint32_t flags);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * tmpfs: names and attributes live in the library OS (fs/tmpfs_tree.c), the content of a regular
 * file in a host memfd, so that reads, writes and mappings of it go straight to the host.
 *
 * The trees have one home. A process that never forked has them itself. The first use after a fork
 * makes a process of their own out of whoever is first (all have the same trees until then); it
 * holds them for all others and ends with the last of them (fs/tmpfs_home.c).
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
    struct tmp_inode *parent;    /* not counted: it has a name in there; NULL: root, or removed */
    struct tmpfs *fs;            /* whose by_ino has it, or NULL */
    struct tmp_inode *same_hash; /* next there */
};

#define TMP_HASH 256

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
    struct tmp_inode *by_ino[TMP_HASH]; /* every inode of this tree */
};

/* One thing to do to a tree. */
enum tmp_op {
    TMP_OPEN,
    TMP_STAT,
    TMP_ACCESS,
    TMP_READLINK,
    TMP_UNLINK,
    TMP_CREATE,
    TMP_LINK,
    TMP_RENAME,
    TMP_CHMOD,
    TMP_CHOWN,
    TMP_UTIMENS,
    TMP_LIST
};

struct tmp_call {
    enum tmp_op op;
    const char *path, *other; /* below the mount; `other`: new name, or target of a link */
    uint64_t ino;             /* instead of `path`: of an open file */
    struct tmp_inode *inode;  /* the same in this process; NULL at home */
    int content_fd;           /* of the open file */
    uint32_t flags, mode, uid, gid;
    int64_t cookie; /* TMP_LIST: where to start */
    bool times_given;
    struct __kernel_timespec times[2];
};

struct tmp_answer {
    kstat st;                /* TMP_OPEN, TMP_STAT */
    struct tmp_inode *inode; /* TMP_OPEN: counted */
    int fd;                  /* TMP_OPEN: a host descriptor, of a FIFO O_PATH only; or -1 */
    char *text;              /* TMP_READLINK, TMP_LIST: `room` bytes */
    size_t room;
};

/* TMP_LIST: entries one after the other, each followed by its name. */
struct tmp_listed {
    uint64_t ino;
    int64_t next; /* cookie */
    uint8_t type, len;
} __attribute__((packed));

/* Does it, wherever the tree is. A length or 0, or an errno. fs/tmpfs_home.c */
ssize tmp_call(struct mount *m, struct tmp_call *c, struct tmp_answer *a);
/* Does it to a tree of this process, under its lock. -ESTALE: no such inode. fs/tmpfs.c */
ssize tmp_perform(struct tmpfs *fs, const struct tmp_call *c, struct tmp_answer *a);
/* Opens the content anew on the host; `wait`: a FIFO, may return -EINTR. */
int tmp_reopen(int content_fd, uint32_t flags, bool wait);
/* The process is about to have a child: from now on others may use the trees. 0. */
int tmp_before_fork(void);

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
/* The inode of this number, not counted, or NULL. */
struct tmp_inode *tmp_by_ino(struct tmpfs *fs, uint64_t ino);
/* Gives up all content: the tree is somewhere else now. */
void tmp_forget(struct tmpfs *fs);
/* Gives the inode another name; takes a reference of its own. -ENOMEM */
int tmp_enter(struct tmpfs *fs, struct tmp_inode *dir, const char *name, struct tmp_inode *i);
/* Takes the name away. */
void tmp_remove(struct tmp_inode *dir, struct tmp_entry *e);
void tmp_touch(struct tmp_inode *i, bool content);
int tmp_rename(struct tmpfs *fs, struct tmp_place *from, struct tmp_place *to, uint32_t flags);

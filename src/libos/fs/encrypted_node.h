/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The contexts behind open encrypted files: one for each host file, found by the host's (device,
 * inode) and shared by all handles.
 */
#pragma once
#include "libos/fs/vfs.h"
#include "libos/lib/list.h"
#include "libos/lib/lock.h"
#include "pfs/pfs.h"

#define ENC_BOUNCE (128 * 1024UL) /* bytes */

#define ENC_SEEN \
    (PFS_TAG_SIZE + PFS_PAD_SIZE) /* bytes of node 0 that tell whether the file was changed */

struct enc_map;
struct share_slot;

struct enc_node {
    struct list link;     /* in the list of all, under enc_nodes_lock */
    uint32_t refs;        /* under enc_nodes_lock */
    uint64_t dev, ino;    /* of the host file */
    const char *key_name; /* of the mount that opened it */
    uint8_t key[PFS_KEY_SIZE];
    bool readonly;    /* the host does not let us write */
    bool copies;      /* the host's file system copies within a file, and no more than that */
    bool new_name;    /* given by us, and its directory not synced since */
    bool writable;    /* the context may write: opened for writing, made or renamed */
    struct lock lock; /* over every use of what follows; above enc_nodes_lock */
    int host_fd;
    int error;       /* why the context could not be made */
    struct pfs *pfs; /* NULL: `error`, or lost in a failed reload */
    /* fs/encrypted_share.c */
    struct share_slot *slot;
    bool owned;           /* the file is ours until we are asked */
    bool locked;          /* the host's lock is held for the operation that is on */
    uint32_t shared_uses; /* operations while others were there, too */
    bool own_fd;          /* host_fd is of no other process: locks can be taken on it */
    bool keep_log;        /* closing leaves the log in the file: it opens under its old path, too */
    bool stale;           /* memory holds what is not to be written */
    uint8_t seen[ENC_SEEN]; /* what node 0 was when the file was let go */
    int stores_of;          /* process that first mapped it for stores, or 0 */
    struct list files;      /* enc_file.link */
    char *bounce;           /* ENC_BOUNCE bytes of plain text on their way, or NULL */
    size_t bounce_used;     /* so many are wiped at the end */
    struct enc_map *map;    /* what is or was mapped, or NULL: fs/encrypted_map.c */
    /* Written since somebody looked at the times; the time that was shown then, if it is not the
     * host file's yet. */
    bool touched, mtime_shown;
    struct __kernel_timespec mtime;
};

/* An open handle, struct file.priv. */
struct enc_file {
    struct enc_node *node;
    struct file *file;
    struct list link; /* in node.files, under node.lock */
    int fd; /* a description of the handle's own, for locks and a shared offset; -1: not yet */
};

extern const struct file_ops encrypted_ops;

/* All contexts, linked through enc_node.link. Below node.lock; a node.lock may be tried under it.
 */
extern struct lock enc_nodes_lock;
void enc_nodes_each(void (*fn)(struct enc_node *n));

/*
 * The context of an existing host file, which `st` describes, counted. `path`: what it must be
 * stored for, or NULL: anything. `replace`: what an interrupted creation left counts as new.
 * -EACCES, after one line that names the cause, for what is no file of this mount's key and path.
 */
int enc_node_get(const struct mount *m, const char *host, const char *path, const kstat *st,
                 bool replace, struct enc_node **out);
/* The same for a host file that is open already and empty: makes it. `fd` is taken over. `mode`:
 * the permissions to be shown. */
int enc_node_make(int fd, const struct mount *m, const char *path, uint32_t mode,
                  struct enc_node **out);
/* Opens the host file once more, as a description of its own. */
int enc_reopen(struct enc_node *n);
/* Gives a host file that has no name one. */
int enc_node_name(struct enc_node *n, const char *host);
/* Creates the host file; -EEXIST, or -EACCES while the key is not set. */
int enc_node_create(const struct mount *m, const char *host, uint32_t mode, struct enc_node **out);
/* The last one closes the file: the error of writing what was still in memory. */
int enc_node_put(struct enc_node *n);
/* Writes what is dirty, mappings included; with `sync` down to the host's disk. */
int enc_node_flush(struct enc_node *n, bool sync);
/* What a result of src/pfs means to the application. */
ssize enc_io_result(int64_t r);

/* ---- encrypted_mode.c ---- */

/* Takes note of the permissions of a file; returns those that its host file gets. */
uint32_t enc_mode_set(uint64_t dev, uint64_t ino, uint32_t mode);
/* Puts the permissions that were asked for into `st`, which is otherwise the host's. */
void enc_mode_show(kstat *st);

/* ---- encrypted_crash.c: opening after a crash ---- */

/* Which boot of the host this is, for pfs_open(); NULL: unknown. */
const uint8_t *enc_boot_id(void);
/* pfs_open() once more, with the recovery log that Gramine left beside the file, which is removed
 * then. -EUCLEAN if there is none, or no good one. */
int enc_open_with_log(const char *host, const struct pfs_env *env, const struct pfs_backend *back,
                      const uint8_t key[PFS_KEY_SIZE], struct pfs_open_args *args,
                      struct pfs **out);

/* ---- under node.lock; what touches the content also between enc_begin() and enc_end() ---- */

/* ENC_BOUNCE bytes for plain text in transit, of which the first `use` will be used; NULL: no
 * memory. */
char *enc_bounce(struct enc_node *n, size_t use);
/* Sets the size, mappings included. A long extension ends with -EINTR when the thread is to end. */
int enc_set_size(struct enc_node *n, int64_t size);
/* The handle's own description. -1: none could be had. */
int enc_file_fd(struct enc_file *ef);
/* Writes from library-OS memory; returns the count or an error. */
ssize enc_put_bytes(struct enc_node *n, const char *buf, size_t len, int64_t pos);
/* After a flush, which changed the host file's times: the one that was shown stays. */
void enc_settle_times(struct enc_node *n);
/* Size and times as the application is to see them. */
void enc_describe(struct enc_node *n, kstat *st);

/* A handle on the context, whose reference is taken over. */
int enc_file_new(struct enc_node *n, uint32_t flags, struct file **out);

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

struct enc_node {
    struct list link;  /* in `nodes`, under nodes_lock */
    uint32_t refs;     /* under nodes_lock */
    uint64_t dev, ino; /* of the host file */
    int host_fd;
    bool readonly;    /* the host does not let us write */
    struct lock lock; /* over every use of `pfs`; above heap_lock */
    struct pfs *pfs;
    char *bounce; /* ENC_BOUNCE bytes of plain text on their way, or NULL; wiped at the end */
};

/*
 * The context of an existing host file, counted. `replace_empty`: a file of no bytes, left by an
 * interrupted creation, counts as new. -EACCES, after one line that names the cause, for what is no
 * file of this mount's key and path.
 */
int enc_node_get(const struct mount *m, const char *host, bool replace_empty,
                 struct enc_node **out);
/* Creates the host file; -EEXIST, or -EACCES while the key is not set. */
int enc_node_create(const struct mount *m, const char *host, uint32_t mode, struct enc_node **out);
/* The last one closes the file: the error of writing what was still in memory. */
int enc_node_put(struct enc_node *n);
/* Writes what is dirty; with `sync` down to the host's disk. */
int enc_node_flush(struct enc_node *n, bool sync);
/* What a result of src/pfs means to the application. */
ssize enc_io_result(int64_t r);

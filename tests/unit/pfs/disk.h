/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A disk with a page cache that records what is done to it, and the states a crash may leave it in:
 * of the writes to an object since its last sync any subset, in program order, each 4096-byte node
 * of a write for itself and torn at 512 bytes (the length covers the node, what is missing of it
 * are zeros); of the changes of names since the last sync of the directory the first few.
 */
#pragma once
#include "pfs/pfs.h"

#define DISK_INODES 24
#define DISK_NAMES  4
#define DISK_NODES  2500 /* of an object, if the disk is ever full */

struct image {
    uint8_t *bytes;
    size_t size, capacity;
};

enum event_kind {
    EV_WRITE,
    EV_TRUNCATE,
    EV_SYNC,
    EV_LINK,
    EV_UNLINK,
    EV_RENAME,
    EV_DIRSYNC,
    EV_NOTE
};

struct event {
    enum event_kind kind;
    int inode;    /* or the name */
    int to;       /* EV_LINK: the inode; EV_RENAME: the name */
    uint64_t off; /* EV_TRUNCATE: the size */
    size_t len;
    uint8_t *data;
    int began, flushed, synced; /* EV_NOTE: what the application did to the inode so far */
};

struct record {
    struct event *event;
    size_t count, capacity;
};

/* An object: the storage of an encrypted file. */
struct object {
    struct image image;
    struct record *record; /* NULL: not recorded */
    int inode;
    unsigned long calls, fail_at; /* the fail_at'th call fails with `error`; 0: none */
    bool fail_onwards;            /* and all later ones */
    int error;
    bool short_writes;
    bool copies; /* it can copy by itself */
    bool full;   /* -ENOSPC for more than `room` nodes that are not there yet */
    size_t room;
    bool there[DISK_NODES];
};

struct pfs_backend object_backend(struct object *o);
/* From now on the disk has so many free nodes. */
void object_fill_disk(struct object *o, size_t room);

void image_copy(struct image *to, const struct image *from);
void image_free(struct image *i);
void record_add(struct record *r, struct event e);
void record_clear(struct record *r);

/* Replays a record, event by event, from a durable beginning. */
struct replay {
    struct image durable[DISK_INODES], cached[DISK_INODES];
    int names[DISK_NAMES], cached_names[DISK_NAMES]; /* inodes, or -1 */
    int began[DISK_INODES], flushed[DISK_INODES], synced[DISK_INODES];
    size_t pending[DISK_INODES]; /* index of the first event that may be lost */
    size_t pending_names;
    size_t at;
};

void replay_step(struct replay *p, const struct record *r);
void replay_free(struct replay *p);

/* How a power loss treats the parts of un-synced writes. */
enum loss {
    LOSS_ALL,
    LOSS_NONE,
    LOSS_ONE,
    LOSS_BUT_ONE,
    LOSS_AFTER,
    LOSS_NODES,
    LOSS_SECTORS,
    LOSS_KINDS
};

/* Units (nodes of writes, truncations) of `inode` that a power loss may lose now. */
size_t replay_units(const struct replay *p, const struct record *r, int inode);
/* The object after a power loss; `which` selects the unit of LOSS_ONE, _BUT_ONE, _AFTER. */
void replay_power_loss(const struct replay *p, const struct record *r, int inode, enum loss loss,
                       size_t which, uint64_t *rng, struct image *out);
/* The names after a power loss that kept the first `keep` changes since the sync. Returns how many
 * changes there are. */
size_t replay_names(const struct replay *p, const struct record *r, size_t keep,
                    int names[DISK_NAMES]);

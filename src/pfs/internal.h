/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Inside the encrypted-file library.
 *
 * The cached part of the tree is a tree in memory: a hash node points to its cached children and
 * data nodes, so a parent is never evicted before what hangs below it, and a node that is dirty has
 * dirty ancestors up to the root. The root is there exactly when the size is above the inline area.
 *
 * Nodes that the node 0 on the storage refers to (data numbers below `committed`) are overwritten
 * by pfs_commit() alone, after their content went to an undo log (undo.c); nodes beyond are written
 * as soon as a batch of them is ready.
 */
#pragma once
#include "pfs.h"
#include "crypto/crypto.h"
#include <asm/errno.h>

#define INLINE_SIZE   PFS_INLINE_SIZE
#define GROUP_NODES   PFS_GROUP_NODES
#define DATA_SLOTS    (GROUP_NODES - 1)
#define CHILD_SLOTS   32
#define NONCE_SIZE    32
#define META_SIZE     3884
#define PADDING_SIZE  PFS_PAD_SIZE
#define MAX_DEPTH     12              /* 32^11 hash nodes are more than PFS_MAX_SIZE needs */
#define HASH_FLOOR    (2 * MAX_DEPTH) /* so many it may have however little room there is */
#define FLAG_PENDING  1
#define DEFAULT_CACHE (2u << 20)
#define READAHEAD_MIN 4
#define DIRECT_WRITE  48 /* so many whole nodes in sequence bypass the cache */
#define DIRECT_READ   12
/* A sequence of writes is written after so many nodes, while they are in the CPU's cache: beyond
 * the stored end of the file, where that is free to do, and below it, where it takes a commit, if
 * that needs no sync. */
#define NEW_NODES 192
#define OLD_NODES 420

struct link {
    struct link *prev, *next;
};

struct entry {
    uint8_t key[AES128_KEY_SIZE];
    uint8_t tag[GCM_TAG_SIZE];
};

struct data_node {
    struct link link; /* in `clean` (most recently used first) or `dirty` */
    struct hash_node *owner;
    unsigned slot;
    bool is_dirty;
    bool streamed; /* read or written to its end in passing: once clean, the first to go */
    uint8_t bytes[PFS_NODE_SIZE];
};

struct hash_node {
    struct link link;         /* in `hashes`, most recently used first */
    struct hash_node *parent; /* NULL: the root */
    uint64_t number;
    unsigned parent_slot;
    unsigned kids; /* non-NULL pointers in `data` and `child` */
    bool is_dirty;
    struct data_node *data[DATA_SLOTS];
    struct hash_node *child[CHILD_SLOTS];
    struct entry entries[DATA_SLOTS + CHILD_SLOTS]; /* the node as stored */
};

#define DATA_OF(l) ((struct data_node *)(void *)((char *)(l)-offsetof(struct data_node, link)))
#define HASH_OF(l) ((struct hash_node *)(void *)((char *)(l)-offsetof(struct hash_node, link)))

/* The decrypted part of node 0, as stored (the size little-endian). */
struct meta {
    char path[PFS_PATH_SIZE];
    uint8_t size[8];
    struct entry root;
    uint8_t data[INLINE_SIZE];
};

/* What storage nodes hold in a version of the file: entry.node's content is at entry.offset. */
struct undo_entry {
    uint64_t node, offset;
};

struct undo {
    struct undo_entry *entry; /* ascending nodes; the last of equals counts */
    size_t count, limit;
    const struct pfs_backend *from;
};

struct log_slot {
    uint64_t first, nodes; /* on the storage; 0, 0: none */
};

struct pfs {
    struct pfs_env env;
    struct pfs_backend backend;
    uint8_t wrap_key[PFS_KEY_SIZE];
    bool readonly;
    bool dirty; /* node 0 must be written, and the tree if the root is dirty */
    int failed; /* sticky error, or 0 */
    uint64_t size;
    uint64_t committed; /* data nodes that the stored node 0 refers to */

    /* undo.c */
    bool untracked, force_log;
    bool touched;   /* this context has written */
    bool fresh;     /* created and never synced: there is no version that power loss must spare */
    bool emptied;   /* since the last commit there was a time when it was empty */
    bool is_blank;  /* `blank` is noted: blank.c */
    bool unsynced;  /* the version on the storage may not outlive a power loss */
    bool live;      /* and then slot[newest] is needed */
    bool log_open;  /* a commit has begun to overwrite; `undo` is the version before it */
    bool overlay;   /* every read goes through `undo` */
    int sync_error; /* sticky */
    uint64_t guard; /* data nodes of the version before, if a power loss may bring it back */
    uint64_t log_seq;
    struct log_slot slot[2];
    unsigned newest;
    struct undo undo;
    uint8_t boot_id[PFS_BOOT_SIZE];
    uint8_t sum[GCM_TAG_SIZE]; /* of the stored node 0, if fresh */
    uint8_t blank[CMAC_SIZE];

    struct pfs_info info;
    uint8_t header_flags;
    uint8_t tag[PFS_TAG_SIZE];
    uint8_t padding[PADDING_SIZE];
    struct meta meta;

    struct hash_node *root;
    struct hash_node *last; /* found last */
    struct link hashes, clean, dirty_data;
    size_t hash_count, dirty_hashes, hash_limit; /* limits of what is dirty at a time */
    size_t data_count, dirty_count, data_limit;
    size_t dirty_new, new_limit; /* dirty nodes beyond `committed`, and when to write them */
    size_t data_floor;           /* so many it may have however little room there is */

    /* pool.c */
    struct pfs_pool *pool, own_pool;
    struct link pool_link;
    size_t pool_bytes; /* counted in by this file */
    bool busy;
    uint64_t stamp; /* pool->round at its last use */

    /* The one dirty node whose bytes from `partial_end` on are still only on the storage, or NULL:
     * a sequence of writes is about to overwrite them too. */
    struct data_node *partial;
    size_t partial_end;

    uint64_t next_off; /* where the next access continues a sequence */
    size_t readahead;  /* nodes fetched at the last miss of the sequence */

    uint8_t *io; /* ciphertext in transit */
    size_t io_nodes;
    uint8_t scratch[PFS_NODE_SIZE]; /* node 0 in transit */
};

/* layout.c: section numbers of the tree */

/* Data nodes of a file of `size` bytes; hash nodes above `pfs_data_nodes` data nodes. */
uint64_t pfs_data_nodes(uint64_t size);
uint64_t pfs_hash_nodes(uint64_t data_nodes);
/* Length of the storage that a file of `size` bytes needs. */
uint64_t pfs_host_size(uint64_t size);

/* Length in nodes of the storage of a file with so many data nodes. */
uint64_t pfs_extent(uint64_t data_nodes);

/* node0.c */

/* The part of node 0 that the format leaves alone, where undo.c keeps its notes. */
#define OFF_PAD  (PFS_NODE_SIZE - PADDING_SIZE)
#define OFF_TAGS PFS_TAG_AT /* nonce and metadata tag */

/* Whether `raw` begins as node 0 does. */
bool pfs_has_magic(const uint8_t *raw);
/* Whether the pending-write flag is set. */
bool pfs_is_flagged(const uint8_t *raw);
/* Reads, authenticates and unpacks node 0; -EINVAL, -EPROTONOSUPPORT, -EKEYREJECTED, I/O errors. */
int pfs_meta_read(struct pfs *f);
/* Packs, encrypts under a new nonce and writes node 0. */
int pfs_meta_write(struct pfs *f);

/* host.c: everything that reaches the storage */

/* Reads up to `count` nodes from node `first`; returns how many came completely. */
int64_t pfs_nodes_read(struct pfs *f, uint64_t first, size_t count, void *buf);
int pfs_nodes_write(struct pfs *f, uint64_t first, size_t count, const void *buf);
int pfs_bytes_write(struct pfs *f, uint64_t off, const void *buf, size_t n);
/* Syncs the storage; what was unsynced is durable then. */
int pfs_sync(struct pfs *f);
int pfs_random(struct pfs *f, void *buf, size_t n);
/* Makes f->io hold `nodes` nodes. */
int pfs_io_reserve(struct pfs *f, size_t nodes);
/* One node with its own key and the constant zero IV. pfs_open_node() returns 0 or -EBADMSG. */
void pfs_seal_node(const uint8_t *plain, uint8_t *sealed, struct entry *e);
int pfs_open_node(const struct entry *e, const uint8_t *sealed, uint8_t *plain);
/* Makes the integrity failure sticky and returns it. */
int pfs_corrupt(struct pfs *f);

/* cache.c */
/* Finds or loads hash node `number`; one at or beyond the end of the tree is made, all zeros. */
int pfs_hash_get(struct pfs *f, uint64_t number, struct hash_node **out);
/* Reads node 1 into f->root, or makes it (`fresh`). */
int pfs_root_load(struct pfs *f, bool fresh);
/* A free data node, not yet in the tree, content undefined. */
int pfs_data_take(struct pfs *f, struct data_node **out);
void pfs_data_insert(struct pfs *f, struct data_node *n, struct hash_node *h, unsigned slot);
/* Returns a node from pfs_data_take() unused. */
void pfs_data_release(struct pfs *f, struct data_node *n);
void pfs_data_mark_dirty(struct pfs *f, struct data_node *n);
void pfs_data_mark_clean(struct pfs *f, struct data_node *n);
void pfs_hash_mark_dirty(struct pfs *f, struct hash_node *h);
void pfs_hash_mark_clean(struct pfs *f, struct hash_node *h);
/* Brings data node `slot` of `h` into the cache, and up to `want` - 1 that follow it. */
int pfs_data_fetch(struct pfs *f, struct hash_node *h, unsigned slot, size_t want);
/* Reads the rest of f->partial. */
int pfs_data_complete(struct pfs *f);
/* Forgets everything that a file of `size` bytes does not have. */
void pfs_cache_cut(struct pfs *f, uint64_t size);
void pfs_cache_free(struct pfs *f);
/* Frees up to `count` clean nodes; whether there was one. */
bool pfs_cache_shrink(struct pfs *f, size_t count);

/* pool.c */

/* Around everything that touches the cache of an open file. */
void pfs_enter(struct pfs *f);
void pfs_leave(struct pfs *f);
void pfs_pool_join(struct pfs *f, struct pfs_pool *shared, size_t cache_bytes);
void pfs_pool_part(struct pfs *f);
/* Whether `bytes` more are within the limit. */
bool pfs_pool_room(const struct pfs *f, size_t bytes);
/* Whether another file gave something for this one. */
bool pfs_pool_steal(struct pfs *f);
void pfs_pool_charge(struct pfs *f, size_t bytes);
void pfs_pool_return(struct pfs *f, size_t bytes);

/* commit.c */

/* Makes the storage hold the file as it is in memory. */
int pfs_commit(struct pfs *f);
/* Writes dirty data nodes until few are left; commits only when there is no other way. */
int pfs_write_back(struct pfs *f);
/* Appends `count` whole nodes at slot `slot` of `h`, from `src` or zeros (NULL), past the cache. */
int pfs_append_direct(struct pfs *f, struct hash_node *h, unsigned slot, size_t count,
                      const uint8_t *src);

/* undo.c */

#define LOG_LIMIT (16u << 20) /* bytes of a log's header */

/* As stored, all little-endian; after it the numbers of `old` nodes, whose content follows the
 * header, node 0 first, ascending; then the numbers of `added` nodes. */
struct log_head {
    uint8_t magic[8];
    uint8_t seq[8];
    uint8_t first[8]; /* where it lies, in nodes */
    uint8_t old[8], added[8];
    uint8_t committed[8];      /* data nodes of the version */
    uint8_t tag[PFS_TAG_SIZE]; /* which version */
    uint8_t mac[CMAC_SIZE];    /* over header and numbers, this field zero */
};

/* Before a commit: logs what it will overwrite, and syncs that unless the file is fresh. */
int pfs_log_begin(struct pfs *f);
/* After its last write. */
void pfs_log_end(struct pfs *f);
/* Before data nodes of `h` are written outside a commit. */
int pfs_before_early(struct pfs *f, const struct hash_node *h);
/* At the end: no more notes and surplus on the storage than crash safety needs. */
int pfs_tidy(struct pfs *f);
/* Shortens the storage to what the file needs; if that fails, it merely stays longer. */
void pfs_trim(struct pfs *f);
/* After a commit for which there was no room: gives back what it got so far. */
void pfs_give_back(struct pfs *f);
/* Syncs; the file is not fresh then. */
int pfs_settle(struct pfs *f);
/* The notes as stored in node 0's padding, and back: false if there are none. */
void pfs_mark_pack(const struct pfs *f, uint8_t pad[PADDING_SIZE]);
bool pfs_mark_unpack(struct pfs *f, const uint8_t pad[PADDING_SIZE], bool *same_boot);
int pfs_mark_write(struct pfs *f);
/* SHA-256 of node 0 without the padding, cut. */
void pfs_mark_sum(struct pfs *f, const uint8_t *raw, uint8_t sum[GCM_TAG_SIZE]);
void pfs_log_mac(struct pfs *f, struct log_head *head, size_t n, uint8_t mac[CMAC_SIZE]);
/* The entry of `node`, or NULL. */
const struct undo_entry *pfs_undo_find(const struct undo *u, uint64_t node);
void pfs_undo_free(struct pfs *f);
/* Sorts by (node, offset). */
void pfs_undo_sort(struct undo_entry *e, size_t n);

/* blank.c */

/* Makes the stored version an empty one, without more room than it has. Only when `emptied`. What
 * is in memory is dirty as before, all of it new. */
int pfs_start_over(struct pfs *f);
/* Opens the file as an empty one if a blank for `path` is noted; -ENOENT if not. */
int pfs_open_blank(struct pfs *f, const char *path);

/* recovery.c */

/* Reads what there is, undoing an interrupted write. */
int pfs_open_existing(struct pfs *f, const struct pfs_open_args *args, int64_t storage);

static inline void leave_at_end(struct pfs **f)
{
    pfs_leave(*f);
}

/* From here to the end of the block. */
#define IN_USE(f) \
    pfs_enter(f); \
    __attribute__((cleanup(leave_at_end), unused)) struct pfs *in_use = f

/* What of a callback's failure may be passed on. */
static inline int clean_error(int64_t rc)
{
    return rc < 0 && rc >= -4095 ? (int)rc : -EIO;
}

static inline void vector_enter(const struct pfs *f)
{
    if (f->env.vector_enter)
        f->env.vector_enter();
}

static inline void vector_leave(const struct pfs *f)
{
    if (f->env.vector_leave)
        f->env.vector_leave();
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static inline void store64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static inline void list_init(struct link *head)
{
    head->prev = head->next = head;
}

static inline bool list_empty(const struct link *head)
{
    return head->next == head;
}

static inline void list_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
}

static inline void list_push(struct link *head, struct link *l)
{
    l->prev = head;
    l->next = head->next;
    l->next->prev = l;
    head->next = l;
}

static inline uint64_t group_start(uint64_t hash_number)
{
    return 1 + GROUP_NODES * hash_number;
}

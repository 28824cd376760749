/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Encrypted files: an authenticated, encrypted, randomly accessible file in an array of 4096-byte
 * nodes. Reads format versions 1 and 2, writes version 2 (a version 1 file becomes version 2 at its
 * first metadata write).
 *
 * Freestanding: the library knows neither the library OS nor the tools. It reaches storage through
 * a struct pfs_backend and memory and randomness through a struct pfs_env; both are copied at open.
 *
 * The storage is untrusted: what comes back is used only after authentication, and odd return
 * values (more bytes than asked for, impossible error numbers) become -EIO.
 *
 * Threads: one struct pfs at a time, by its caller. Different files are independent, also those
 * that share a struct pfs_pool. Two open contexts over one storage object see each other's changes
 * only by accident: share one context.
 *
 * Errors are negative errno values. Those with a meaning of their own:
 *
 *   -EINVAL           no encrypted file: length not a multiple of 4096, or wrong magic; also a bad
 *                     argument
 *   -ENODATA          the creation of the file was interrupted before anything of it was synced (0
 *                     bytes, or pieces after a power loss): nothing is lost by creating it anew
 *   -EPROTONOSUPPORT  magic right, format version neither 1 nor 2
 *   -EKEYREJECTED     node 0 does not authenticate: wrong key, or node 0 altered
 *   -EXDEV            authentic, but stored for another path
 *   -ESTALE           authentic, but not the version that `expected_tag` demands (rolled back)
 *   -EUCLEAN          a write of Gramine's was interrupted: its recovery log is needed (args->log,
 *                     and PFS_REFUSE_PENDING only)
 *   -EOVERFLOW        the stored size does not fit a file offset
 *   -EBADMSG          a node below node 0 is altered, missing or misplaced. Sticky: every later
 *                     operation but pfs_close() fails with it, and nothing more is written
 *   -ENAMETOOLONG     the normalised path is longer than 771 bytes
 *   -EFBIG            write or size change beyond PFS_MAX_SIZE
 *   -EROFS            change of a file opened with PFS_READONLY
 *   -ENOMEM           env.alloc failed
 *
 * Anything else is what the back end or env.random returned (-EIO, -ENOSPC, ...). A failed host
 * write loses nothing that is still in memory: the data stays dirty and the next pfs_flush() or
 * pfs_close() tries again, with fresh keys. A failed sync is sticky for what needs a sync, because
 * no later success would prove that the lost pages arrived.
 *
 * Crashes: whatever write the process or the machine stops at, the next pfs_open() finds a version
 * that was complete, at least as new as the last pfs_flush() with `sync`, and, unless the machine
 * went down, as the last pfs_flush(). undo.c says how.
 *
 * Several processes: one context at a time may write to a storage object, and a pfs_open() without
 * PFS_READONLY may repair it. A process without the right to write opens with PFS_READONLY, and
 * calls pfs_refresh() when it has got it (by whatever lock the caller uses) and when it has lost
 * it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PFS_NODE_SIZE   4096
#define PFS_INLINE_SIZE 3072 /* the start of the file, kept in node 0 */
#define PFS_GROUP_NODES 97   /* a hash node and the 96 data nodes that follow it */
#define PFS_KEY_SIZE    16
#define PFS_PATH_SIZE   772 /* including the terminating NUL */
#define PFS_TAG_SIZE    48  /* nonce (32) and metadata tag (16) */
#define PFS_BOOT_SIZE   16
/* Bytes of node 0 that change whenever the file does: nonce and tag, and the padding at its end,
 * where src/pfs makes notes. */
#define PFS_TAG_AT   10
#define PFS_PAD_SIZE 153

/* The largest plaintext size whose host file still has a signed 64-bit length. */
#define PFS_MAX_SIZE (INT64_C(0x7fffffffffffffff) / 98 * 96)

/*
 * The storage object. Every function returns a negative errno on failure. `ctx` stays the caller's:
 * pfs_close() does not close it. No function of the library may be called from inside.
 */
struct pfs_backend {
    void *ctx;
    /* Reads up to `n` bytes at `off`; returns the count, 0 at the end. May be short. */
    int64_t (*read_at)(void *ctx, void *buf, size_t n, uint64_t off);
    /* Writes `n` bytes at `off`, extending the object; returns the count. May be short, not 0. */
    int64_t (*write_at)(void *ctx, const void *buf, size_t n, uint64_t off);
    int (*truncate)(void *ctx, uint64_t size);
    int64_t (*size)(void *ctx);
    int (*sync)(void *ctx);
    /* NULL, or copies up to `n` bytes from `from` to `to`, which do not overlap, extending the
     * object; returns the count, 0 at the end. Where it fails, they are read and written. */
    int64_t (*copy)(void *ctx, uint64_t from, uint64_t to, size_t n);
};

struct pfs_env {
    void *(*alloc)(size_t size); /* NULL on failure; 16-byte aligned; content undefined */
    void (*free)(void *ptr, size_t size);
    /* Fills `buf` completely with cryptographic randomness and returns 0. Asked for what a write
     * needs and no more (no pool), so a forked copy of a context cannot repeat a key. */
    int (*random)(void *buf, size_t n);
    /* Both may be NULL. Called around each batch of cryptography, which uses vector registers; no
     * other callback runs in between. A caller's `buf` is touched inside such a batch, too. */
    void (*vector_enter)(void);
    void (*vector_leave)(void);
};

enum {
    PFS_CREATE = 1,         /* make a new, empty file; whatever the storage holds is replaced */
    PFS_READONLY = 2,       /* never write to the storage */
    PFS_REFUSE_PENDING = 4, /* with the pending-write flag set the whole file must verify */
    PFS_INSPECT = 8,        /* look at node 0 alone: for pfs_check() and what describes the file;
                               reading and writing fail with -EINVAL */
    PFS_UNTRACKED = 16,     /* no crash safety: a file that is complete or thrown away */
};

/*
 * Memory for the nodes of several files together, which may be used by different threads. Zero but
 * for `limit`; it must outlive the files. Beyond it each file may use up to 1 MiB, for buffers and
 * for a minimum of nodes. When the limit is reached, the nodes of files that nobody uses go first.
 */
#define PFS_POOL_DEFAULT (32u << 20)
struct pfs_pool {
    size_t limit; /* bytes; 0 = PFS_POOL_DEFAULT. May be changed at any time */
    /* Private from here on. */
    size_t used;
    bool lock;      /* guards what follows */
    void *files;    /* a ring, or NULL */
    unsigned count; /* of files */
    uint64_t round; /* times that room was looked for */
};

struct pfs_open_args {
    unsigned flags;
    /* Host path that the file must be stored for (PFS_CREATE: will be stored for); normalised by
     * the library. NULL: not checked. Required with PFS_CREATE. */
    const char *path;
    /* NULL, or the pfs_root_tag() that the file must have. */
    const uint8_t *expected_tag;
    /* Where memory for cached nodes is counted in, with others; NULL: the file has a limit of its
     * own, `cache_bytes` (0 = 2 MiB). Grown into on demand, soft by a few nodes. */
    struct pfs_pool *pool;
    size_t cache_bytes;
    /* Identifies the host's current boot (/proc/sys/kernel/random/boot_id), or NULL: unknown. A
     * hint that spares the verification of files that were never synced; without it such a file is
     * not verified by PFS_READONLY. */
    const uint8_t *boot_id;
    /* NULL, or the log that Gramine left beside the file (PATH.gramine.recovery). Used when the
     * pending-write flag is set; may be removed after pfs_open() succeeded. Without PFS_READONLY
     * needed during pfs_open() only. */
    const struct pfs_backend *log;
};

struct pfs;

/*
 * Opens or creates. Reads node 0 and, above 3072 bytes, node 1. PFS_CREATE writes node 0 at once,
 * so an empty file is one valid node. The wrap key is copied. On success *out must go to
 * pfs_close().
 */
int pfs_open(const struct pfs_env *env, const struct pfs_backend *backend,
             const uint8_t key[PFS_KEY_SIZE], const struct pfs_open_args *args, struct pfs **out);

/*
 * Writes what is dirty (no sync), wipes and frees. The context is gone whatever is returned; an
 * error means that changes since the last successful flush may be lost.
 */
int pfs_close(struct pfs *f);

/* Wipes and frees without writing: what was not flushed is forgotten. */
void pfs_discard(struct pfs *f);

/* Plaintext size in bytes, changes not yet flushed included. */
uint64_t pfs_size(const struct pfs *f);

/* Reads up to `n` bytes at `off` (0 at or past the end). Returns fewer bytes when a later node of
 * the range fails; the failure is then returned by the next call that touches it. */
int64_t pfs_read(struct pfs *f, uint64_t off, void *buf, size_t n);

/* Writes `n` bytes; a gap between the size and `off` becomes zeros. `n` = 0 does nothing. Returns
 * the count, smaller than `n` when an error (e.g. a full disk) hit after some bytes. */
int64_t pfs_write(struct pfs *f, uint64_t off, const void *buf, size_t n);

/* Cuts or zero-extends. Cutting to 0 needs no room on the storage. The storage is shortened when
 * the smaller size is safe there: at once (with a sync) when much is cut off, else at pfs_close().
 * A failed extension leaves the old size. */
int pfs_set_size(struct pfs *f, uint64_t size);

/* Writes everything dirty; with `sync` the storage is then synced, always. */
int pfs_flush(struct pfs *f, bool sync);

/*
 * Stores another path (normalised), flushes and syncs. Afterwards the storage object can be opened
 * under both paths: to be called before the object is renamed; the directories must be synced
 * before the file is changed again. On failure the old path is back in memory.
 */
int pfs_rename(struct pfs *f, const char *path);

/* The path the file is stored for; valid until the next pfs_rename() or pfs_close(). */
const char *pfs_path(const struct pfs *f);

/* Identifies the version of the whole file that is on the storage: the nonce and tag of the last
 * node 0 read or written. Remember it to detect a roll-back at the next open. */
void pfs_root_tag(const struct pfs *f, uint8_t tag[PFS_TAG_SIZE]);

/*
 * Takes note of what other processes have written meanwhile, and makes the context `writable` (its
 * caller has seen to it that no other is) or read-only. -EBUSY when there is something to flush.
 * Other errors are those of pfs_open() and sticky.
 */
int pfs_refresh(struct pfs *f, bool writable);

struct pfs_info {
    uint8_t major, minor; /* as read from the storage */
    bool pending;         /* the pending-write flag was set at open */
    bool recovered;       /* an interrupted write was undone at open */
    bool unsettled; /* read-only, never synced, of an earlier boot: each opening verifies all */
};
void pfs_info(const struct pfs *f, struct pfs_info *info);

/* A node that pfs_check() refused. */
struct pfs_damage {
    uint64_t node;   /* its number on the storage */
    uint64_t offset; /* of the first content byte that is lost with it */
    uint64_t bytes;  /* how many are lost; for a hash node all below it, not in one piece */
    bool is_hash;
    bool missing; /* beyond the end of the storage, rather than altered */
};

/* Whether a log may follow the content, as node 0 on the storage says; nothing is verified. */
bool pfs_may_have_log(const uint8_t node0[PFS_NODE_SIZE]);

/*
 * Verifies every node below node 0 and calls `bad` for each that fails; what hangs below a failed
 * hash node is not looked at. Returns 0 when all could be read, damaged or not; -EBUSY when there
 * are changes not yet flushed. Works in a context opened with PFS_INSPECT and in any other.
 */
int pfs_check(struct pfs *f, void (*bad)(void *ctx, const struct pfs_damage *d), void *ctx);

/*
 * Textual normalisation of a host path: "." and empty components go, "x/.." cancels, ".." at the
 * root goes and leading ".." of a relative path stays. No link is resolved. "" when nothing is left
 * of a relative path. -ENAMETOOLONG, or -EINVAL for an empty string. `out` is zero
 * padded to its end and may not overlap `path`.
 */
int pfs_normalize_path(const char *path, char out[PFS_PATH_SIZE]);

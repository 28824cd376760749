/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Merkle trees over trusted files, and the sidecar file that holds their interiors.
 *
 * A file is cut into data blocks of 16 KiB (the last may be shorter; an empty file has one of
 * length 0). Level 0 is the list of the blocks' SHA-256 digests; it is cut into hash blocks of 4
 * KiB, 128 digests each, the last one filled up with zero bytes. The digests of these hash blocks
 * make level 1, and so on up to the level that is a single hash block, the top. The root is
 *
 *   SHA-256("ADYTREE1" || u32 16384 || u32 4096 || u64 file size || SHA-256(top block))
 *
 * with little-endian integers. So the root binds the length of the file, and a leaf digest and an
 * inner digest cannot be taken for each other, since the shape follows from the size alone.
 *
 * An interior is stored level by level, level 0 first; each level is a whole number of hash blocks.
 * It needs no trust: whoever reads a block checks it against the digest above, up to the root,
 * which comes from the manifest. With a block verified, keep it: it costs one hash of 4 KiB per
 * level otherwise.
 *
 * Freestanding, no allocation, no global state.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_DATA_BLOCK 16384u
#define TREE_HASH_BLOCK 4096u
#define TREE_DIGEST     32u
#define TREE_FANOUT     (TREE_HASH_BLOCK / TREE_DIGEST)
#define TREE_LEVELS     8
/* Files up to this size have no tree: reading them as a whole is as quick. */
#define TREE_MIN_SIZE (64u * 1024)

/* What follows from the size of a file. */
struct tree_shape {
    uint64_t file_size;
    uint64_t data_blocks;
    unsigned levels;               /* at least 1 */
    uint64_t digests[TREE_LEVELS]; /* in each level */
    uint64_t offset[TREE_LEVELS];  /* of each level within the interior, bytes */
    uint64_t size;                 /* of the interior, bytes */
};

/* Fills `s` for a file of `file_size` bytes. Returns 0, or -EFBIG (-27) above 2^62 bytes. */
int tree_shape(struct tree_shape *s, uint64_t file_size);

/* Length of data block `block` (below data_blocks). */
uint32_t tree_block_length(const struct tree_shape *s, uint64_t block);

/*
 * Building. `interior` has s->size bytes, all zero but for the digests of the data blocks, which
 * the caller has put at tree_leaf() (in any order). Fills the upper levels and computes the root.
 */
uint8_t *tree_leaf(const struct tree_shape *s, uint8_t *interior, uint64_t block);
void tree_finish(const struct tree_shape *s, uint8_t *interior, uint8_t root[32]);

/*
 * Reading. Where hash block `index` of `level` stands in the interior, in bytes; the top is block 0
 * of level `levels - 1`. The digest of data block b stands in hash block b / 128 of level 0 at slot
 * b % 128; that of hash block i of level l in hash block i / 128 of level l + 1 at slot i % 128.
 */
uint64_t tree_hash_block(const struct tree_shape *s, unsigned level, uint64_t index);

/* Each returns whether the bytes are the right ones. `above` is a hash block verified before. Copy
 * bytes out of memory that others can write before checking them. */
bool tree_check_top(const struct tree_shape *s, const uint8_t top[TREE_HASH_BLOCK],
                    const uint8_t root[32]);
bool tree_check_hash_block(const uint8_t above[TREE_HASH_BLOCK], unsigned slot,
                           const uint8_t block[TREE_HASH_BLOCK]);
bool tree_check_data(const uint8_t leaf[TREE_HASH_BLOCK], unsigned slot, const void *data,
                     size_t len);

/*
 * The sidecar, NAME.manifest.trees: header, index sorted by root (bytes), then the interiors, each
 * at a multiple of 4096. All of it is untrusted.
 */
#define TREES_MAGIC   "ADYTREES"
#define TREES_VERSION 1u

struct trees_header {
    char magic[8];
    uint32_t version;
    uint32_t count; /* of index entries */
    uint64_t total_size;
    uint8_t reserved[8];
};

struct trees_entry {
    uint8_t root[32];
    uint64_t offset;    /* of the interior from the start of the sidecar */
    uint64_t file_size; /* of the file, from which the shape follows */
};

/*
 * Finds the interior for a root and file size in a sidecar that is mapped (it may change meanwhile:
 * every field is read once). Returns its offset, with offset + s->size within `len`, or -ENOENT, or
 * -EINVAL when this is no sidecar.
 */
int64_t trees_find(const void *sidecar, size_t len, const uint8_t root[32],
                   const struct tree_shape *s);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Hashing many files at once. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* One file to hash, and the result. */
struct hash_job {
    const char *path; /* as this process opens it */
    const char *name; /* for messages */
    uint64_t size_hint;
    /* Results. */
    int error; /* negative errno; 0: the rest is valid */
    uint64_t size;
    uint8_t sha256[32];
    bool has_tree;
    uint8_t root[32];
    uint8_t *interior; /* malloc'ed, of the size that tree_shape() gives; NULL without a tree */
};

/*
 * Hashes all files with a thread for each CPU; with `trees`, those above TREE_MIN_SIZE also get a
 * Merkle tree, from the same single read. `dir` is where relative paths start (AT_FDCWD or a
 * descriptor); with `in_root` the paths are resolved as if `dir` were the root directory. Draws a
 * progress bar on stderr if that is a terminal and the work takes a while.
 */
void hash_files(struct hash_job *jobs, size_t count, int dir, bool in_root, bool trees);

/* Opens for reading under the same rules. Returns a descriptor or a negative errno. */
int hash_open(int dir, bool in_root, const char *path, int flags);

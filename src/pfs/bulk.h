/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Making a whole encrypted file of known size with several threads, for the tools: content is
 * sealed and written group by group, in any order. Errors are those of pfs.h.
 */
#pragma once
#include "pfs/pfs.h"

#define PFS_GROUP_BYTES  ((PFS_GROUP_NODES - 1) * PFS_NODE_SIZE) /* content of one group */
#define PFS_GROUP_BUFFER (PFS_GROUP_NODES * PFS_NODE_SIZE)

/* Hash nodes that may wait in memory, 4 KiB each: files up to 48 GiB or so. */
#define PFS_BULK_INNER_MAX 4096

struct pfs_bulk;

/*
 * For an empty storage object and a size above PFS_INLINE_SIZE (else -EINVAL); -E2BIG when it is
 * too large for this way. The key is copied. *out goes to pfs_bulk_end() or pfs_bulk_abort().
 */
int pfs_bulk_begin(const struct pfs_env *env, const struct pfs_backend *backend,
                   const uint8_t key[PFS_KEY_SIZE], const char *path, uint64_t size,
                   struct pfs_bulk **out);

/* Groups are numbered from 0; group g is the content from PFS_INLINE_SIZE + g * PFS_GROUP_BYTES on.
 */
uint64_t pfs_bulk_groups(const struct pfs_bulk *b);

/*
 * Seals and writes one group, once each. `buf` has PFS_GROUP_BUFFER bytes, 16-byte aligned, the
 * content from its byte 4096 on; it is overwritten with ciphertext. Different groups may be written
 * by different threads at the same time; the back end and the environment are then called by all.
 */
int pfs_bulk_group(struct pfs_bulk *b, uint64_t number, uint8_t *buf);

/* Writes what is left, node 0 last. Frees `b` in any case. */
int pfs_bulk_end(struct pfs_bulk *b, const uint8_t start[PFS_INLINE_SIZE]);
/* Wipes and frees. The storage keeps what was written, which nothing can open. */
void pfs_bulk_abort(struct pfs_bulk *b);

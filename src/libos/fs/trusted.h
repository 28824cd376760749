/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Internal to trusted.c, trusted_own.c and trusted_tree.c: what they share. */
#pragma once
#include "libos/fs/trusted_verify.h"
#include "manifest/compiled.h"

/* Where the interior of the entry's Merkle tree stands in the sidecar, and its shape. An errno:
 * there is none that could be used. */
int64_t trusted_tree(const struct mf_trusted *entry, struct tree_shape *s);

/* Scratch memory: one spare piece is kept. NULL: no memory. */
struct verify_scratch *trusted_scratch_get(void);
void trusted_scratch_put(struct verify_scratch *w);

const char *trusted_path(const struct mf_trusted *entry);
/* -EPERM, after a message that says why, if *warned is not set yet. */
int trusted_refuse(const struct mf_trusted *entry, bool *warned, const char *why);

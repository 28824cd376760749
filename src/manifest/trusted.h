/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* sgx.trusted_files: from what users write to a list of hashed files. */
#pragma once
#include "manifest/diag.h"
#include "manifest/dom.h"

#include <stdbool.h>

struct trusted_options {
    const char *chroot; /* directory that stands for "/", or NULL */
    bool trees;         /* also compute Merkle trees */
};

/*
 * Replaces sgx.trusted_files in the tree (made if missing) by an array of { uri, sha256 } tables,
 * with `size` and `tree` for larger files: directories expanded, duplicates merged, in the order of
 * the list. Files that were given with their hash are taken as they are. With `sidecar`, the file
 * for the interiors of the trees is appended to it (nothing when there are none). False after an
 * error in `d`.
 */
bool trusted_expand(struct arena *a, struct dom *root, const struct trusted_options *options,
                    struct buffer *sidecar, struct diag *d);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What a thread has seen of directories on the host within the last millisecond, so that looking
 * for the next name in the same place costs no more than that (links.h says what it is for).
 *
 * A folder of sgx.allowed_files in which a thread looks often is kept open for that time, and the
 * host is given paths below it. On the way to it the host follows links, which are the manifest
 * author's. When the run moves or removes a directory the folder is looked up anew at once; when
 * somebody outside puts another one in its place, within that millisecond.
 */
#pragma once
#include "libos/fs/links.h"

/* Does u->path, of `len` bytes, lead below a folder that is open? Sets u->root and u->name. */
bool seen_root(struct use *u, size_t len);
/* seen_root() said no, and u->path is allowed: it may say yes soon. */
void seen_no_root(const struct use *u, size_t len);

/*
 * May the host meet a link on the way to the directory of u->path, of `len` bytes? Sets u->guarded:
 * it does not, and u->path is where the program, or an earlier run, can make some. 0, or
 * -ERESTARTNOINTR with use_met_link(), or an errno of the host.
 */
int seen_parent(struct use *u, const struct mount *m, const char *rel, size_t len);

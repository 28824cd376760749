/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Names on encrypted mounts: what is hidden, directories, renaming. */
#pragma once
#include "libos/fs/encrypted_node.h"

/* Ends in ".gramine.recovery": the log of an interrupted write, no file of the application's. */
bool enc_hidden_name(const char *name, size_t len);

/* The host path of what `rel` names; -ENOENT for what is hidden. */
int enc_host_path(const struct mount *m, const char *rel, char host[PATH_LIMIT]);

/* Opens the host directory that `host` is in. */
int enc_open_parent(const char *host, uint32_t flags, uint32_t mode);

/* An open host directory, hidden names left out of its listing. */
int enc_open_dir(const char *host, uint32_t flags, struct file **out);
/* rmdir(2): logs that are left alone in it go first. */
int enc_remove_dir(const char *host);

/* Calls `fn` for each entry but the dots, until it returns an error, which is then the result. */
int enc_list(const char *host, int (*fn)(void *ctx, const char *name, size_t len, uint8_t type),
             void *ctx);

int enc_rename(struct mount *m, const char *from, const char *to, uint32_t flags);
/* Makes the name of a host file outlive a power loss. */
int enc_sync_parent(const char *host);

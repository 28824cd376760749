/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which host files the application may use (sgx.trusted_files, allowed_files, file_check_policy).
 */
#pragma once
#include "libos/fs/vfs.h"
#include "manifest/compiled.h"

enum file_class { CLASS_ALLOWED, CLASS_TRUSTED, CLASS_UNKNOWN_OK, CLASS_DENIED };

/* `host` is a normalised host path. With CLASS_TRUSTED *entry is set. Logs nothing. */
enum file_class policy_classify(const char *host, const struct mf_trusted **entry);
/* Of a file that is neither trusted nor allowed: -EACCES with one log line, or why there is none.
 */
int policy_refuse(const char *host);
/* For writing, creating, removing, changing: 0 or as policy_refuse(). `what` names the operation.
 * Trusted files may be removed but not written (`writes`). */
int policy_check_change(const char *host, bool writes, const char *what);
/* May a link of this text be made at the host path? 0 or -EACCES with one log line. */
int policy_check_link(const char *host, const char *target);
/* May it move? Only where it leads by another directory counts, if it led to nothing refused. */
int policy_check_link_move(const char *from, const char *to, const char *target);
/* May a directory move: has every file in it the same policy before and after? 0 or -EACCES with
 * one log line. `*empty`: provided that there is none. */
int policy_check_move(const char *from, const char *to, bool *empty);
void policy_log_denied(const char *host);
void policy_log_unknown(const char *host);

/*
 * Opens the verified view of a trusted file whose host descriptor is `host_fd` (taken over on
 * success). -EPERM when the content is not what the manifest says.
 */
int trusted_open(int host_fd, const char *host, const struct mf_trusted *entry, uint32_t flags,
                 struct file **out);

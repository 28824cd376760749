/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which host files the application may use (sgx.trusted_files, allowed_files, file_check_policy).
 */
#pragma once
#include "libos/fs/vfs.h"
#include "manifest/compiled.h"

enum file_class { CLASS_ALLOWED, CLASS_TRUSTED, CLASS_UNKNOWN_OK, CLASS_DENIED };

/* `host` is a normalised host path. With CLASS_TRUSTED *entry is set. Logs nothing. */
enum file_class policy_classify(const char *host, const struct mf_trusted **entry);
/* For writing, creating, removing, changing: 0 or -EACCES with one log line. `what` names the
 * operation. Trusted files may be removed but not written (`writes`). */
int policy_check_change(const char *host, bool writes, const char *what);
void policy_log_denied(const char *host);
void policy_log_unknown(const char *host);

/*
 * Opens the verified view of a trusted file whose host descriptor is `host_fd` (taken over on
 * success). -EPERM when the content is not what the manifest says.
 */
int trusted_open(int host_fd, const char *host, const struct mf_trusted *entry, uint32_t flags,
                 struct file **out);

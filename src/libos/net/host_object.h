/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Objects that on a trusted host are the host's own: pipes, sockets, timers, event counters. */
#pragma once
#include "libos/fs/vfs.h"

/*
 * A file for the host descriptor `r`, taken over in any case; or the errno that `r` is. `flags` are
 * the access mode and status flags of the new description. -ENOMEM.
 */
int host_object_file(long r, const struct file_ops *ops, enum file_kind kind, uint32_t flags,
                     struct file **out);
/* The same, installed at the lowest free descriptor. The descriptor, or -EMFILE, -ENOMEM. */
int host_object_install(long r, const struct file_ops *ops, enum file_kind kind, uint32_t flags,
                        bool cloexec);

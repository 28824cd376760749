/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Process descriptors (pidfd_open(2)): the host's, behind a file of ours. */
#pragma once
#include "libos/fs/vfs.h"

/*
 * For CLONE_PIDFD: a descriptor without a process yet, installed for the parent, which gets a host
 * descriptor once the child is there. `*out` is counted for the caller. The number, or an errno.
 */
int pidfd_prepare(struct file **out);
/* The host's descriptor of the process behind `fd`, kept open by the reference on *out. -EBADF. */
int pidfd_host(int fd, struct file **out);

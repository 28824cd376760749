/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Whom descriptors and terminals signal: fcntl(2) and ioctl(2) name processes and groups, and only
 * those of the run may be named (proc/reach.h).
 */
#pragma once
#include "libos/libos.h"
#include <linux/fcntl.h>

/* Before a call with `cmd` on a host object. What names somebody is checked; *arg then points at
 * a copy in `owner` or `number`. 0, or the errno of the call. */
long owner_fcntl(int host_fd, int cmd, unsigned long *arg, struct f_owner_ex *owner);
long owner_ioctl(int host_fd, unsigned cmd, unsigned long *arg, int *number);

/* Before the descriptor begins to signal (O_ASYNC): nobody outside gets what it sends. */
void owner_is_inside(int host_fd);

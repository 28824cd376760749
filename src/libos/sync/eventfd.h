/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/fs/vfs.h"

/* In a forked child, which has no other threads: without sys.insecure__allow_eventfd, counters are
 * their process's own, as where the host is not trusted with them; using the parent's is EIO. */
void eventfd_in_child(struct fdtable *t);

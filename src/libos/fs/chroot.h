/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the parts of the chroot file system share. */
#pragma once
#include "libos/fs/links.h"

int chroot_rename(struct mount *m, const char *from, const char *to, uint32_t flags);
/* May the link that `from` names, if it is one, stand at `to`? 0 or -EACCES. */
int chroot_check_link(const struct mount *m, const struct use *from, const struct use *to);

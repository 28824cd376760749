/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/vfs.h"

static int dev_stat(struct mount *m, const char *rel, bool follow, kstat *st)
{
    (void)m, (void)rel, (void)follow, (void)st;
    return -ENOENT;
}

const struct fs_ops fs_dev = {.name = "dev", .stat = dev_stat};

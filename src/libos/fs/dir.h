/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Directories: listings of host directories with mount points added, and synthetic ones. */
#pragma once
#include "libos/fs/vfs.h"

/* A directory that exists only because something is mounted below it: read-only, 0555. */
int dir_open_synthetic(uint32_t flags, struct file **out);
int dir_stat_synthetic(const char *abs, kstat *st);

/* The end of a readdir: emits the mount points below the open directory `f`. */
int dir_list_mounts(struct file *f, struct dir_sink *sink);

/* Operations of an open host directory (chroot and encrypted mounts). */
extern const struct file_ops host_dir_ops;

/* Inode number for something that only has a path. */
uint64_t path_inode(const char *abs);

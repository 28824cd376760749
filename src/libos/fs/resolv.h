/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The generated /etc/resolv.conf. */
#pragma once
#include "libos/fs/vfs.h"

struct text;

/* One file, made by resolv_setup(). */
extern const struct fs_ops fs_resolv;

/* Checks the host's name and takes over what is harmless of its /etc/resolv.conf. 0, or an errno
 * after one line that says why. */
int resolv_setup(void);
/* Writes the harmless part of `len` bytes of a resolv.conf. -EINVAL (said) for what is no address,
 * -ENOMEM. */
int resolv_sanitise(const char *host, size_t len, struct text *out);

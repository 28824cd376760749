/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/libos.h"
#include "arch.h"

struct file_ops;

/* The operations of a device below /dev whose content is ours; NULL: it is the host's. */
#if PLATFORM_HOST_TRUSTED
static inline const struct file_ops *dev_own(const char *name)
{
    (void)name;
    return NULL;
}
#else
const struct file_ops *dev_own(const char *name);
#endif

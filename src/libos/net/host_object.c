/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/net/host_object.h"
#include "host/host.h"

int host_object_file(long r, const struct file_ops *ops, enum file_kind kind, uint32_t flags,
                     struct file **out)
{
    if (IS_ERR(r))
        return (int)r;
    *out = file_new(ops, kind, (int)r, flags);
    if (*out)
        return 0;
    host_close((int)r);
    return -ENOMEM;
}

int host_object_install(long r, const struct file_ops *ops, enum file_kind kind, uint32_t flags,
                        bool cloexec)
{
    struct file *f;
    int err = host_object_file(r, ops, kind, flags, &f);
    return err ? err : fd_install(f, 0, cloexec);
}

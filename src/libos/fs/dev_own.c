/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Devices whose content is ours where the host is not trusted: the host's are only there to be
 * looked at and waited for. */
#include "libos/fs/dev_own.h"
#include "libos/fs/vfs.h"
#include "platform/platform.h"

#if !PLATFORM_HOST_TRUSTED

static ssize read_nothing(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    (void)f, (void)ubuf, (void)n, (void)pos;
    return 0;
}

static ssize read_zeros(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    static const char zeros[PAGE_SIZE];
    size_t done = 0;
    (void)f, (void)pos;
    while (done < n) { /* up to the end of a page: what follows may be unmapped */
        size_t part = PAGE_SIZE - (((uintptr_t)ubuf + done) & PAGE_MASK);
        part = MIN(part, n - done);
        if (copy_checked((char *)ubuf + done, zeros, part))
            return done ? (ssize)done : -EFAULT;
        done += part;
    }
    return (ssize)done;
}

static ssize read_random(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    (void)f, (void)pos;
    return platform_random_user(ubuf, n, 0);
}

static ssize swallow(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    (void)f, (void)ubuf, (void)pos;
    return (ssize)n;
}

static ssize refuse(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    (void)f, (void)ubuf, (void)pos;
    return n ? -ENOSPC : 0;
}

/* Whoever writes there adds nothing to what we use. */
static ssize take_seed(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    char part[256];
    size_t done = 0;
    (void)f, (void)pos;
    for (; done < n; done += sizeof(part))
        if (copy_checked(part, (const char *)ubuf + done, MIN(n - done, sizeof(part))))
            return done ? (ssize)done : -EFAULT;
    return (ssize)n;
}

#    define DEVICE(r, w)                         \
        {                                        \
            .name = "dev", .read = r, .write = w \
        }

static const struct own_device {
    const char *name;
    struct file_ops ops;
} devices[] = {
    {"null", DEVICE(read_nothing, swallow)},     {"zero", DEVICE(read_zeros, swallow)},
    {"full", DEVICE(read_zeros, refuse)},        {"random", DEVICE(read_random, take_seed)},
    {"urandom", DEVICE(read_random, take_seed)},
};

const struct file_ops *dev_own(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
        if (strcmp(devices[i].name, name) == 0)
            return &devices[i].ops;
    return NULL;
}

#endif

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The shape of the tree, and the form of paths. */
#include "internal.h"

uint64_t pfs_data_nodes(uint64_t size)
{
    return size <= INLINE_SIZE ? 0 : (size - INLINE_SIZE + PFS_NODE_SIZE - 1) / PFS_NODE_SIZE;
}

uint64_t pfs_hash_nodes(uint64_t count)
{
    return (count + DATA_SLOTS - 1) / DATA_SLOTS;
}

uint64_t pfs_extent(uint64_t count)
{
    return 1 + count + pfs_hash_nodes(count);
}

uint64_t pfs_host_size(uint64_t size)
{
    return PFS_NODE_SIZE * pfs_extent(pfs_data_nodes(size));
}

/* Drops the last component of out[start..len); returns the new length, or `len` if there is none
 * that may be dropped. */
static size_t path_parent(const char *out, size_t start, size_t len)
{
    size_t cut = len;
    while (cut > start && out[cut - 1] != '/')
        cut--;
    if (len - cut == 2 && out[cut] == '.' && out[cut + 1] == '.')
        return len;
    return cut > start ? cut - 1 : start;
}

int pfs_normalize_path(const char *path, char out[PFS_PATH_SIZE])
{
    if (!*path)
        return -EINVAL;
    size_t start = *path == '/';
    size_t len = start;
    out[0] = '/';
    while (*path) {
        size_t n = 0;
        while (path[n] && path[n] != '/')
            n++;
        const char *name = path;
        path += n + (path[n] == '/');
        if (n == 0 || (n == 1 && name[0] == '.'))
            continue;
        if (n == 2 && name[0] == '.' && name[1] == '.') {
            size_t up = path_parent(out, start, len);
            if (up != len || start) {
                len = up;
                continue;
            }
        }
        size_t slash = len > start;
        if (n >= PFS_PATH_SIZE - len - slash)
            return -ENAMETOOLONG;
        if (slash)
            out[len++] = '/';
        __builtin_memcpy(out + len, name, n);
        len += n;
    }
    __builtin_memset(out + len, 0, PFS_PATH_SIZE - len);
    return 0;
}

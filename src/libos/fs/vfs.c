/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Opening and looking at things by path, over all mounts. */
#include "libos/fs/vfs.h"
#include "libos/fs/dir.h"
#include "libos/process.h"

#define S_TYPE 0170000
#define S_DIR  0040000

/*
 * An absolute link on the host that leads nowhere there may lead somewhere inside: resolves it in
 * the application's tree. 0 when `to` is to be tried instead.
 */
static int chase_link(const struct path *p, struct path *to)
{
    char target[PATH_LIMIT];
    if (p->mount->ops->own_links || !p->mount->ops->readlink)
        return -ENOENT;
    ssize n = p->mount->ops->readlink(p->mount, p->rel, target, sizeof(target) - 1);
    if (n < 0)
        return -ENOENT;
    target[n] = 0;
    if (target[0] != '/' || strcmp(target, p->abs) == 0)
        return -ENOENT;
    return path_resolve_kernel(AT_FDCWD, target, true, to);
}

static int open_once(const struct path *p, uint32_t flags, uint32_t mode, struct file **out)
{
    if (!p->mount->ops->open)
        return -EACCES;
    if (p->must_be_dir && flags & O_CREAT)
        return -EISDIR;
    if (p->must_be_dir) /* the slash asks for what the link leads to */
        flags = (flags & ~(uint32_t)O_NOFOLLOW) | O_DIRECTORY;
    int err = p->mount->ops->open(p->mount, p->rel, flags, mode, out);
    if (err == -ENOENT && mounts_imply(p->abs))
        err = flags & (O_CREAT | O_WRONLY | O_RDWR) ? -EISDIR : dir_open_synthetic(flags, out);
    if (err)
        return err;
    if (!(*out)->path) {
        (*out)->path = heap_strdup(p->abs);
        if (!(*out)->path) {
            file_put(*out);
            return -ENOMEM;
        }
        (*out)->mount = p->mount;
    }
    return 0;
}

int vfs_open(const struct path *p, uint32_t flags, uint32_t mode, struct file **out)
{
    int err = open_once(p, flags, mode, out);
    if (err != -ENOENT || flags & O_NOFOLLOW)
        return err;
    struct path *to = heap_alloc(sizeof(*to));
    if (!to)
        return -ENOMEM;
    if (chase_link(p, to) == 0)
        err = open_once(to, flags, mode, out);
    heap_free(to);
    return err;
}

int vfs_open_kernel(const char *kpath, uint32_t flags, struct file **out)
{
    struct path *p = heap_alloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    int err = path_resolve_kernel(AT_FDCWD, kpath, true, p);
    if (!err)
        err = vfs_open(p, flags, 0, out);
    heap_free(p);
    return err;
}

static int stat_once(const struct path *p, bool follow, kstat *st)
{
    int err = p->mount->ops->stat(p->mount, p->rel, follow || p->must_be_dir, st);
    if (err == -ENOENT && mounts_imply(p->abs))
        err = dir_stat_synthetic(p->abs, st);
    if (!err && p->must_be_dir && (st->st_mode & S_TYPE) != S_DIR)
        err = -ENOTDIR;
    return err;
}

int vfs_stat(const struct path *p, bool follow, kstat *st)
{
    int err = stat_once(p, follow, st);
    if (err != -ENOENT || !follow)
        return err;
    struct path *to = heap_alloc(sizeof(*to));
    if (!to)
        return -ENOMEM;
    if (chase_link(p, to) == 0)
        err = stat_once(to, true, st);
    heap_free(to);
    return err;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Opening and looking at things by path, over all mounts. */
#include "libos/fs/vfs.h"
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/fs/links.h"
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

static ALWAYS_INLINE int open_once(const struct path *p, uint32_t flags, uint32_t mode,
                                   struct file **out)
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
        err = file_set_path(*out, p->abs);
        if (err) {
            file_put(*out);
            return err;
        }
        (*out)->mount = p->mount;
    }
    return 0;
}

/* The working directory as an object, when `p` names it: it may have lost its name. Counted. */
static struct file *removed_cwd(const struct path *p)
{
    struct fs_state *fs = &current_process()->fs;
    struct file *f = NULL;
    lock(&fs->lock);
    if (fs->cwd_file && fs->cwd_file->host_fd >= 0 && strcmp(fs->cwd, p->abs) == 0) {
        f = fs->cwd_file;
        file_get(f);
    }
    unlock(&fs->lock);
    return f;
}

static int open_removed_cwd(const struct path *p, uint32_t flags, struct file **out)
{
    struct file *cwd = flags & O_CREAT ? NULL : removed_cwd(p);
    char name[40];
    if (!cwd)
        return -ENOENT;
    fmt(name, sizeof(name), "/proc/self/fd/%d", cwd->host_fd);
    int fd = host_open(name, flags & ~(uint32_t)O_NOFOLLOW, 0);
    file_put(cwd);
    if (fd < 0)
        return fd;
    int err = file_from_host(fd, flags, out);
    if (err)
        host_close(fd);
    return err;
}

static NOINLINE int open_missing(const struct path *p, uint32_t flags, uint32_t mode,
                                 struct file **out)
{
    int err = open_removed_cwd(p, flags, out);
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

int vfs_open_unseen(const struct path *p, uint32_t flags, uint32_t mode, struct file **out)
{
    int err = open_once(p, flags, mode, out);
    return unlikely(err == -ENOENT) ? open_missing(p, flags, mode, out) : err;
}

int vfs_open(const struct path *p, uint32_t flags, uint32_t mode, struct file **out)
{
    int err = vfs_open_unseen(p, flags, mode, out);
    if (!err && (*out)->kind == FILE_UNSEEN)
        file_look(*out, NULL);
    return err;
}

int vfs_open_kernel(const char *kpath, uint32_t flags, struct file **out)
{
    struct path *p = heap_alloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    enum walks before = current()->walks;
    int err;
    do {
        err = path_resolve_kernel(AT_FDCWD, kpath, true, p);
        if (!err)
            err = vfs_open(p, flags, 0, out);
    } while (use_restarts(err, before));
    heap_free(p);
    return err;
}

static ALWAYS_INLINE int stat_once(const struct path *p, bool follow, kstat *st)
{
    int err = p->mount->ops->stat(p->mount, p->rel, follow || p->must_be_dir, st);
    if (err == -ENOENT && mounts_imply(p->abs))
        err = dir_stat_synthetic(p->abs, st);
    if (!err && p->must_be_dir && (st->st_mode & S_TYPE) != S_DIR)
        err = -ENOTDIR;
    return err;
}

static NOINLINE int stat_missing(const struct path *p, bool follow, kstat *st)
{
    int err = -ENOENT;
    struct file *cwd = removed_cwd(p);
    if (cwd) {
        err = host_fstat(cwd->host_fd, st);
        file_put(cwd);
    }
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

int vfs_stat(const struct path *p, bool follow, kstat *st)
{
    int err = stat_once(p, follow, st);
    return unlikely(err == -ENOENT) ? stat_missing(p, follow, st) : err;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* stat(2), statx(2), access(2), readlink(2), statfs(2), extended attributes. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/fs/links.h"
#include "libos/process.h"
#include <asm/statfs.h>
#include <asm/unistd.h>

/* Is it "" with AT_EMPTY_PATH: the descriptor itself? */
static bool names_fd(const char *upath, int flags)
{
    char c;
    if (!(flags & AT_EMPTY_PATH))
        return false;
    return !upath || (!get_user(c, upath) && !c);
}

static int stat_fd(int fd, kstat *st)
{
    if (fd == AT_FDCWD) {
        struct path p;
        int err = path_resolve_kernel(AT_FDCWD, ".", true, &p);
        return err ? err : vfs_stat(&p, true, st);
    }
    struct file *f = fd_get_unseen(fd);
    if (!f)
        return -EBADF;
    int err = file_stat(f, st);
    file_put(f);
    return err;
}

static ALWAYS_INLINE int stat_at(int dirfd, const char *upath, int flags, kstat *st)
{
    struct path p;
    if (names_fd(upath, flags))
        return stat_fd(dirfd, st);
    bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
    int err = path_resolve_look(dirfd, upath, follow, &p);
    return err ? err : vfs_stat(&p, follow, st);
}

static long give(int err, kstat *ust, const kstat *st)
{
    return err ? err : copy_to_user(ust, st, sizeof(*st));
}

SYSCALL2(stat, const char *, path, kstat *, ust)
{
    kstat st;
    return give(stat_at(AT_FDCWD, path, 0, &st), ust, &st);
}

SYSCALL2(lstat, const char *, path, kstat *, ust)
{
    kstat st;
    return give(stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st), ust, &st);
}

SYSCALL2(fstat, int, fd, kstat *, ust)
{
    kstat st;
    return fd < 0 ? -EBADF : give(stat_fd(fd, &st), ust, &st);
}

SYSCALL4(newfstatat, int, dirfd, const char *, path, kstat *, ust, int, flags)
{
    kstat st;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT))
        return -EINVAL;
    return give(stat_at(dirfd, path, flags, &st), ust, &st);
}

static void to_statx(const kstat *st, struct statx *x)
{
    memset(x, 0, sizeof(*x));
    x->stx_mask = STATX_BASIC_STATS;
    x->stx_blksize = (uint32_t)st->st_blksize;
    x->stx_nlink = (uint32_t)st->st_nlink;
    x->stx_uid = st->st_uid;
    x->stx_gid = st->st_gid;
    x->stx_mode = (uint16_t)st->st_mode;
    x->stx_ino = st->st_ino;
    x->stx_size = (uint64_t)st->st_size;
    x->stx_blocks = (uint64_t)st->st_blocks;
    x->stx_atime = (struct statx_timestamp){(int64_t)st->st_atime, (uint32_t)st->st_atime_nsec, 0};
    x->stx_mtime = (struct statx_timestamp){(int64_t)st->st_mtime, (uint32_t)st->st_mtime_nsec, 0};
    x->stx_ctime = (struct statx_timestamp){(int64_t)st->st_ctime, (uint32_t)st->st_ctime_nsec, 0};
    x->stx_rdev_major = (uint32_t)(st->st_rdev >> 8 & 0xfff);
    x->stx_rdev_minor = (uint32_t)((st->st_rdev & 0xff) | (st->st_rdev >> 12 & 0xfff00));
    x->stx_dev_major = (uint32_t)(st->st_dev >> 8 & 0xfff);
    x->stx_dev_minor = (uint32_t)((st->st_dev & 0xff) | (st->st_dev >> 12 & 0xfff00));
}

static int statx_host(const struct path *p, int flags, unsigned mask, struct statx *x)
{
    struct use u;
    int err;
    bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
    do {
        err = use_begin_look(&u, p->mount, p->rel, follow ? USE_OBJECT : USE_NAME);
        if (!err && u.guarded)
            flags |= AT_SYMLINK_NOFOLLOW;
        if (!err)
            err = host_statx(u.root, u.name, flags & ~AT_EMPTY_PATH, mask, x);
        use_end(&u);
    } while (use_again(&u));
    return err;
}

#define STATX_FLAGS (AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE)

SYSCALL5(statx, int, dirfd, const char *, upath, int, flags, unsigned, mask, struct statx *, ux)
{
    struct statx x;
    kstat st;
    if (flags & ~STATX_FLAGS || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE ||
        mask & STATX__RESERVED)
        return -EINVAL;
    int err;
    struct path p;
    if (!names_fd(upath, flags)) {
        bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
        err = path_resolve_look(dirfd, upath, follow, &p);
        if (!err)
            err = vfs_stat(&p, follow, &st);
        if (!err && p.mount->ops == &fs_chroot && !statx_host(&p, flags, mask, &x))
            return copy_to_user(ux, &x, sizeof(x));
    } else {
        struct file *f = fd_get(dirfd);
        bool host = f && f->host_fd >= 0 && !f->ops->stat;
        err = host ? host_statx(f->host_fd, "", flags | AT_EMPTY_PATH, mask, &x) : -ENOSYS;
        if (f)
            file_put(f);
        if (!err)
            return copy_to_user(ux, &x, sizeof(x));
        err = stat_fd(dirfd, &st);
    }
    if (err)
        return err;
    to_statx(&st, &x);
    return copy_to_user(ux, &x, sizeof(x));
}

/* By mode bits, as root or not: for file systems without an answer of their own. */
static int access_by_mode(const kstat *st, int mode)
{
    const struct credentials *c = &current_process()->cred;
    uint32_t bits = st->st_mode & 7;
    if (c->fsuid == 0)
        return mode & 1 && (st->st_mode & 0170000) == 0100000 && !(st->st_mode & 0111) ? -EACCES
                                                                                       : 0;
    if (c->fsuid == st->st_uid)
        bits = st->st_mode >> 6 & 7;
    else if (c->fsgid == st->st_gid)
        bits = st->st_mode >> 3 & 7;
    return (uint32_t)mode & ~bits ? -EACCES : 0;
}

static long access_at(int dirfd, const char *upath, int mode, int flags)
{
    struct path p;
    kstat st;
    if (mode & ~7 || flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (names_fd(upath, flags)) {
        int err = stat_fd(dirfd, &st);
        return err ? err : access_by_mode(&st, mode);
    }
    bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
    int err = path_resolve_look(dirfd, upath, follow, &p);
    if (err)
        return err;
    if (p.mount->ops->access && !p.must_be_dir) {
        err = p.mount->ops->access(p.mount, p.rel, mode, flags & ~AT_EMPTY_PATH);
        if (err != -ENOENT)
            return err;
    }
    err = vfs_stat(&p, follow, &st);
    return err ? err : access_by_mode(&st, mode);
}

SYSCALL2(access, const char *, path, int, mode)
{
    return access_at(AT_FDCWD, path, mode, 0);
}
SYSCALL3(faccessat, int, dirfd, const char *, path, int, mode)
{
    return access_at(dirfd, path, mode, 0);
}
SYSCALL4(faccessat2, int, dirfd, const char *, path, int, mode, int, flags)
{
    return access_at(dirfd, path, mode, flags);
}

static int path_of_fd(int fd, struct path *p)
{
    struct file *f = fd_get(fd);
    if (!f)
        return -EBADF;
    int err = f->path ? path_resolve_kernel(AT_FDCWD, f->path, false, p) : -ENOENT;
    file_put(f);
    return err;
}

static long readlink_at(int dirfd, const char *upath, char *ubuf, int size)
{
    struct path p;
    char target[PATH_LIMIT];
    if (size <= 0)
        return -EINVAL;
    int err = path_resolve_look(dirfd, upath, false, &p);
    if (err == -ENOENT && dirfd != AT_FDCWD && names_fd(upath, AT_EMPTY_PATH))
        err = path_of_fd(dirfd, &p); /* a link opened with O_PATH | O_NOFOLLOW */
    if (err)
        return err;
    ssize n = p.mount->ops->readlink
                  ? p.mount->ops->readlink(p.mount, p.rel, target, sizeof(target))
                  : -EINVAL;
    if (n == -EINVAL) {
        kstat st;
        err = vfs_stat(&p, false, &st);
        return err ? err : -EINVAL;
    }
    if (n < 0)
        return n;
    n = MIN(n, (ssize)size);
    return copy_to_user(ubuf, target, (size_t)n) ? -EFAULT : n;
}

SYSCALL3(readlink, const char *, path, char *, buf, int, size)
{
    return readlink_at(AT_FDCWD, path, buf, size);
}
SYSCALL4(readlinkat, int, dirfd, const char *, path, char *, buf, int, size)
{
    return readlink_at(dirfd, path, buf, size);
}

static long give_statfs(int err, void *ubuf, const struct statfs *st)
{
    return err ? err : copy_to_user(ubuf, st, sizeof(*st));
}

static int own_statfs(struct mount *m, struct statfs *st)
{
    memset(st, 0, sizeof(*st));
    if (m->ops->statfs)
        return m->ops->statfs(m, (struct statfs64_k *)st);
    st->f_type = 0x01021994; /* TMPFS_MAGIC */
    st->f_bsize = st->f_frsize = (long)PAGE_SIZE;
    st->f_namelen = NAME_LIMIT;
    return 0;
}

SYSCALL2(statfs, const char *, upath, void *, ubuf)
{
    struct path p;
    kstat st;
    struct statfs s;
    int err = path_resolve(AT_FDCWD, upath, true, &p);
    if (!err)
        err = vfs_stat(&p, true, &st);
    return err ? err : give_statfs(own_statfs(p.mount, &s), ubuf, &s);
}

SYSCALL2(fstatfs, int, fd, void *, ubuf)
{
    struct statfs s;
    struct file *f = fd_get(fd);
    if (!f)
        return -EBADF;
    int err = f->mount          ? own_statfs(f->mount, &s)
              : f->host_fd >= 0 ? host_fstatfs(f->host_fd, &s)
                                : -ENOSYS;
    file_put(f);
    return give_statfs(err, ubuf, &s);
}

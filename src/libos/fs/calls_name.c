/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Names and attributes: mkdir(2), unlink(2), rename(2), link(2), chmod(2), chown(2), utime(2), cwd.
 */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/fs/vfs.h"
#include "libos/proc/members.h"
#include "libos/process.h"
#include <linux/fs.h>
#include <linux/utime.h>
#include <linux/time.h>

/* Resolves a name to be created, removed or replaced: not followed. */
static int resolve_name(int dirfd, const char *upath, struct path *p)
{
    return path_resolve_name(dirfd, upath, p);
}

/* A trailing slash on what is no directory and leads to none. */
static int check_slash(const struct path *p)
{
    kstat st;
    if (!p->must_be_dir)
        return 0;
    struct path *to = heap_alloc(sizeof(*to));
    if (!to)
        return -ENOMEM;
    int err = path_follow(p, to);
    if (!err)
        err = vfs_stat(to, true, &st);
    heap_free(to);
    return err;
}

/* The last component as written: -EINVAL if it is ".", -ENOTEMPTY if it is "..", or another error.
 */
static int last_dots(const char *upath)
{
    char in[PATH_LIMIT];
    ssize n = strncpy_from_user(in, upath, sizeof(in));
    if (n < 0)
        return (int)n;
    while (n > 1 && in[n - 1] == '/')
        in[--n] = 0;
    const char *last = strrchr(in, '/');
    last = last ? last + 1 : in;
    return strcmp(last, ".") == 0 ? -EINVAL : strcmp(last, "..") == 0 ? -ENOTEMPTY : 0;
}

/* What has the name, without following a link, whatever stands behind it. */
static int stat_name(struct path *p, kstat *st)
{
    bool slash = p->must_be_dir;
    p->must_be_dir = false;
    int err = vfs_stat(p, false, st);
    p->must_be_dir = slash;
    return err;
}

/*
 * Of a path that ended in "." or "..": the errors of walking it, which come first, or `dots`. 0 if
 * it did not.
 */
static int check_dots(const struct path *p, int dots, int is)
{
    int err = dots == -EINVAL || dots == -ENOTEMPTY ? check_slash(p) : dots;
    return err ? err : dots ? is : 0;
}

/* May the name be made? Behind one that is no directory's there is no slash, unless it exists. */
static int check_new(const char *upath, struct path *p, bool dir)
{
    kstat st;
    int err = check_dots(p, last_dots(upath), -EEXIST);
    if (err)
        return err;
    if (!*p->rel || mounts_imply(p->abs))
        return -EEXIST;
    if (dir || !p->must_be_dir)
        return 0;
    err = stat_name(p, &st);
    return err ? err : -EEXIST;
}

/* `otherwise`, or why the folder of the name cannot be looked into: Linux finds that first. */
static int folder_or(const struct path *to, int otherwise)
{
    kstat st;
    struct path *p = heap_alloc(2 * sizeof(*p));
    if (!p)
        return -ENOMEM;
    size_t n = (size_t)(strrchr(to->abs, '/') - to->abs);
    memcpy(p[0].abs, to->abs, MAX(n, 1u));
    p[0].abs[MAX(n, 1u)] = 0;
    p[0].must_be_dir = true;
    int err = path_follow(&p[0], &p[1]);
    if (!err)
        err = vfs_stat(&p[1], true, &st);
    heap_free(p);
    return err ? err : otherwise;
}

static long mkdir_at(int dirfd, const char *upath, uint32_t mode)
{
    struct path p;
    int err = resolve_name(dirfd, upath, &p);
    if (!err)
        err = check_new(upath, &p, true);
    if (err)
        return err;
    if (!p.mount->ops->mkdir)
        return -EPERM;
    return p.mount->ops->mkdir(p.mount, p.rel, mode & 01777 & ~current_process()->fs.umask);
}

SYSCALL2(mkdir, const char *, path, uint32_t, mode)
{
    return mkdir_at(AT_FDCWD, path, mode);
}
SYSCALL3(mkdirat, int, dirfd, const char *, path, uint32_t, mode)
{
    return mkdir_at(dirfd, path, mode);
}

static long mknod_at(int dirfd, const char *upath, uint32_t mode, uint64_t dev)
{
    struct path p;
    int err = resolve_name(dirfd, upath, &p);
    if (err)
        return err;
    uint32_t type = mode & 0170000;
    if (type == 0040000)
        return -EPERM;
    err = check_new(upath, &p, false);
    if (err)
        return err;
    if (!p.mount->ops->mknod)
        return -EPERM;
    return p.mount->ops->mknod(p.mount, p.rel, mode & ~current_process()->fs.umask, dev);
}

SYSCALL3(mknod, const char *, path, uint32_t, mode, uint64_t, dev)
{
    return mknod_at(AT_FDCWD, path, mode, dev);
}
SYSCALL4(mknodat, int, dirfd, const char *, path, uint32_t, mode, uint64_t, dev)
{
    return mknod_at(dirfd, path, mode, dev);
}

static long unlink_at(int dirfd, const char *upath, bool dir)
{
    struct path p;
    kstat name;
    int dots = last_dots(upath);
    int err = resolve_name(dirfd, upath, &p);
    if (!err)
        err = check_dots(&p, dots, dir ? dots : -EISDIR);
    if (!err && !dir && p.must_be_dir && *p.rel) {
        err = stat_name(&p, &name);
        if (!err)
            err = (name.st_mode & 0170000) == 0040000 ? -EISDIR : -ENOTDIR;
    }
    if (err)
        return err;
    if (!*p.rel || mounts_imply(p.abs)) {
        kstat st;
        bool is_dir = vfs_stat(&p, false, &st) || (st.st_mode & 0170000) == 0040000;
        return dir || !is_dir ? -EBUSY : -EISDIR;
    }
    if (!p.mount->ops->unlink)
        return -EPERM;
    return p.mount->ops->unlink(p.mount, p.rel, dir);
}

SYSCALL1(unlink, const char *, path)
{
    return unlink_at(AT_FDCWD, path, false);
}
SYSCALL1(rmdir, const char *, path)
{
    return unlink_at(AT_FDCWD, path, true);
}
SYSCALL3(unlinkat, int, dirfd, const char *, path, int, flags)
{
    return flags & ~AT_REMOVEDIR ? -EINVAL : unlink_at(dirfd, path, flags & AT_REMOVEDIR);
}

static int rename_resolved(struct path p[2], int dots, int dots_to, uint32_t flags)
{
    kstat st;
    int err = check_dots(&p[0], dots, 0);
    if (!err)
        err = check_dots(&p[1], dots_to, 0);
    if (!err && (dots || dots_to))
        err = -EBUSY;
    if (!err && (p[0].must_be_dir || p[1].must_be_dir)) {
        err = stat_name(&p[0], &st);
        if (!err && (st.st_mode & 0170000) != 0040000)
            err = -ENOTDIR;
    }
    if (!err && (!*p[0].rel || !*p[1].rel || mounts_imply(p[0].abs) || mounts_imply(p[1].abs)))
        err = -EBUSY;
    if (!err && p[0].mount != p[1].mount)
        err = -EXDEV;
    if (err)
        return err;
    return p[0].mount->ops->rename ? p[0].mount->ops->rename(p[0].mount, p[0].rel, p[1].rel, flags)
                                   : -EPERM;
}

static long rename_at(int from_fd, const char *ufrom, int to_fd, const char *uto, uint32_t flags)
{
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT) ||
        (flags & RENAME_EXCHANGE && flags & ~RENAME_EXCHANGE))
        return -EINVAL;
    struct path *p = heap_alloc(2 * sizeof(*p));
    if (!p)
        return -ENOMEM;
    int err = resolve_name(from_fd, ufrom, &p[0]);
    if (!err)
        err = resolve_name(to_fd, uto, &p[1]);
    if (!err) {
        err = rename_resolved(p, last_dots(ufrom), last_dots(uto), flags);
        if (err)
            err = folder_or(&p[0], folder_or(&p[1], err));
    }
    heap_free(p);
    return err;
}

SYSCALL2(rename, const char *, from, const char *, to)
{
    return rename_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}
SYSCALL4(renameat, int, from_fd, const char *, from, int, to_fd, const char *, to)
{
    return rename_at(from_fd, from, to_fd, to, 0);
}
SYSCALL5(renameat2, int, from_fd, const char *, from, int, to_fd, const char *, to, uint32_t, flags)
{
    return rename_at(from_fd, from, to_fd, to, flags);
}

/* The descriptor that "" with AT_EMPTY_PATH, or "/proc/self/fd/N", stands for; -1: neither. */
static int named_fd(int dirfd, const char *ufrom, int flags)
{
    static const char prefix[] = "/proc/self/fd/";
    char in[32];
    ssize n = strncpy_from_user(in, ufrom, sizeof(in));
    if (n == 0 && flags & AT_EMPTY_PATH)
        return dirfd;
    if (n <= (ssize)sizeof(prefix) - 1 || memcmp(in, prefix, sizeof(prefix) - 1) != 0)
        return -1;
    int fd = 0;
    for (const char *p = in + sizeof(prefix) - 1; *p; p++) {
        if (*p < '0' || *p > '9')
            return -1;
        fd = fd * 10 + (*p - '0');
    }
    return fd;
}

/* Gives a name to a file that has none (open(2), O_TMPFILE). -ENOENT: it is no such file. */
static int link_nameless(struct file *f, int to_fd, const char *uto)
{
    struct path p;
    if (!(f->flags & __O_TMPFILE) || !f->mount || !f->mount->ops->link_file)
        return -ENOENT;
    int err = resolve_name(to_fd, uto, &p);
    if (!err)
        err = check_new(uto, &p, false);
    if (!err && p.mount != f->mount)
        err = -EXDEV;
    return err ? err : p.mount->ops->link_file(p.mount, f, p.rel);
}

static long link_at(int from_fd, const char *ufrom, int to_fd, const char *uto, int flags)
{
    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    int named = named_fd(from_fd, ufrom, flags);
    struct file *f = named >= 0 ? fd_get(named) : NULL;
    if (f) {
        int done = link_nameless(f, to_fd, uto);
        bool nameless = f->flags & __O_TMPFILE;
        file_put(f);
        if (done != -ENOENT || nameless)
            return done;
    }
    struct path *p = heap_alloc(2 * sizeof(*p));
    if (!p)
        return -ENOMEM;
    kstat st;
    int err = path_resolve(from_fd, ufrom, flags & AT_SYMLINK_FOLLOW, &p[0]);
    if (!err && flags & AT_SYMLINK_FOLLOW)
        err = path_physical(&p[0]);
    if (!err)
        err = vfs_stat(&p[0], false, &st);
    if (!err)
        err = resolve_name(to_fd, uto, &p[1]);
    if (!err)
        err = check_new(uto, &p[1], false);
    if (!err && p[0].mount != p[1].mount)
        err = folder_or(&p[1], -EXDEV);
    if (!err && (st.st_mode & 0170000) == 0040000)
        err = stat_name(&p[1], &st) ? folder_or(&p[1], -EPERM) : -EEXIST;
    if (!err)
        err =
            p[0].mount->ops->link ? p[0].mount->ops->link(p[0].mount, p[0].rel, p[1].rel) : -EPERM;
    heap_free(p);
    return err;
}

SYSCALL2(link, const char *, from, const char *, to)
{
    return link_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}
SYSCALL5(linkat, int, from_fd, const char *, from, int, to_fd, const char *, to, int, flags)
{
    return link_at(from_fd, from, to_fd, to, flags);
}

static long symlink_at(const char *utarget, int dirfd, const char *upath)
{
    struct path p;
    char target[PATH_LIMIT];
    ssize n = strncpy_from_user(target, utarget, sizeof(target));
    if (n <= 0)
        return n ? n : -ENOENT;
    int err = resolve_name(dirfd, upath, &p);
    if (!err)
        err = check_new(upath, &p, false);
    if (err)
        return err;
    return p.mount->ops->symlink ? p.mount->ops->symlink(p.mount, target, p.rel) : -EPERM;
}

SYSCALL2(symlink, const char *, target, const char *, path)
{
    return symlink_at(target, AT_FDCWD, path);
}
SYSCALL3(symlinkat, const char *, target, int, dirfd, const char *, path)
{
    return symlink_at(target, dirfd, path);
}

static long chmod_at(int dirfd, const char *upath, uint32_t mode)
{
    struct path p;
    int err = path_resolve(dirfd, upath, true, &p);
    if (err)
        return err;
    return p.mount->ops->chmod ? p.mount->ops->chmod(p.mount, p.rel, mode & 07777) : -EPERM;
}

SYSCALL2(chmod, const char *, path, uint32_t, mode)
{
    return chmod_at(AT_FDCWD, path, mode);
}
SYSCALL3(fchmodat, int, dirfd, const char *, path, uint32_t, mode)
{
    return chmod_at(dirfd, path, mode);
}

SYSCALL2(fchmod, int, fd, uint32_t, mode)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    int r = f->ops->chmod     ? f->ops->chmod(f, mode & 07777)
            : f->host_fd >= 0 ? host_fchmod(f->host_fd, mode & 07777)
                              : -EPERM;
    file_put(f);
    return r;
}

static long chown_at(int dirfd, const char *upath, uint32_t uid, uint32_t gid, int flags)
{
    struct path p;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
    int err = path_resolve(dirfd, upath, follow, &p);
    if (err)
        return err;
    return p.mount->ops->chown ? p.mount->ops->chown(p.mount, p.rel, uid, gid, follow) : -EPERM;
}

SYSCALL3(chown, const char *, path, uint32_t, uid, uint32_t, gid)
{
    return chown_at(AT_FDCWD, path, uid, gid, 0);
}
SYSCALL3(lchown, const char *, path, uint32_t, uid, uint32_t, gid)
{
    return chown_at(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}
SYSCALL3(fchown, int, fd, uint32_t, uid, uint32_t, gid)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    int r = f->ops->chown     ? f->ops->chown(f, uid, gid)
            : f->host_fd >= 0 ? host_fchown(f->host_fd, uid, gid)
                              : -EPERM;
    file_put(f);
    return r;
}
SYSCALL5(fchownat, int, dirfd, const char *, path, uint32_t, uid, uint32_t, gid, int, flags)
{
    char c;
    if (flags & AT_EMPTY_PATH && !get_user(c, path) && !c)
        return do_fchown(dirfd, uid, gid);
    return chown_at(dirfd, path, uid, gid, flags);
}

static int utimens_fd(int fd, const struct __kernel_timespec ts[2])
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    int r = f->ops->utimens   ? f->ops->utimens(f, ts)
            : f->host_fd >= 0 ? host_utimens(f->host_fd, NULL, ts, 0)
                              : -EPERM;
    file_put(f);
    return r;
}

#define UTIME_NOW_K  0x3fffffffL
#define UTIME_OMIT_K 0x3ffffffeL

static bool valid_ns(long long ns)
{
    return (ns >= 0 && ns < 1000000000) || ns == UTIME_NOW_K || ns == UTIME_OMIT_K;
}

static int utimens_at(int dirfd, const char *upath, const struct __kernel_timespec *ts, int flags)
{
    struct path p;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (ts && (!valid_ns(ts[0].tv_nsec) || !valid_ns(ts[1].tv_nsec)))
        return -EINVAL;
    if (!upath)
        return flags ? -EINVAL : utimens_fd(dirfd, ts);
    char c;
    if (flags & AT_EMPTY_PATH && dirfd != AT_FDCWD && !get_user(c, upath) && !c)
        return utimens_fd(dirfd, ts);
    bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
    int err = path_resolve(dirfd, upath, follow, &p);
    if (err)
        return err;
    return p.mount->ops->utimens ? p.mount->ops->utimens(p.mount, p.rel, ts, follow) : -EPERM;
}

SYSCALL4(utimensat, int, dirfd, const char *, path, const struct __kernel_timespec *, uts, int,
         flags)
{
    struct __kernel_timespec ts[2];
    if (uts && copy_from_user(ts, uts, sizeof(ts)))
        return -EFAULT;
    if (uts && ts[0].tv_nsec == UTIME_OMIT_K && ts[1].tv_nsec == UTIME_OMIT_K)
        return 0; /* whatever the rest is */
    return utimens_at(dirfd, path, uts ? ts : NULL, flags);
}

static long utimes_at(int dirfd, const char *path, const struct __kernel_old_timeval *utv)
{
    struct __kernel_old_timeval tv[2];
    struct __kernel_timespec ts[2];
    if (utv) {
        if (copy_from_user(tv, utv, sizeof(tv)))
            return -EFAULT;
        for (int i = 0; i < 2; i++) {
            if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
                return -EINVAL;
            ts[i] = (struct __kernel_timespec){tv[i].tv_sec, tv[i].tv_usec * 1000};
        }
    }
    return utimens_at(dirfd, path, utv ? ts : NULL, 0);
}

SYSCALL2(utimes, const char *, path, const struct __kernel_old_timeval *, tv)
{
    return utimes_at(AT_FDCWD, path, tv);
}
SYSCALL3(futimesat, int, dirfd, const char *, path, const struct __kernel_old_timeval *, tv)
{
    return utimes_at(dirfd, path, tv);
}
SYSCALL2(utime, const char *, path, const struct utimbuf *, ut)
{
    struct utimbuf b;
    if (!ut)
        return utimens_at(AT_FDCWD, path, NULL, 0);
    if (copy_from_user(&b, ut, sizeof(b)))
        return -EFAULT;
    struct __kernel_timespec ts[2] = {{b.actime, 0}, {b.modtime, 0}};
    return utimens_at(AT_FDCWD, path, ts, 0);
}

SYSCALL2(getcwd, char *, ubuf, size_t, size)
{
    struct fs_state *fs = &current_process()->fs;
    char cwd[PATH_LIMIT];
    lock(&fs->lock);
    size_t n = strlen(fs->cwd) + 1;
    memcpy(cwd, fs->cwd, n);
    unlock(&fs->lock);
    struct path p;
    kstat st;
    int err = path_resolve_kernel(AT_FDCWD, cwd, false, &p);
    if (!err)
        err = vfs_stat(&p, false, &st);
    if (err || !st.st_nlink) /* removed meanwhile */
        return err ? err : -ENOENT;
    if (n > size)
        return -ERANGE;
    return copy_to_user(ubuf, cwd, n) ? -EFAULT : (long)n;
}

/* `dir` is the directory as an object, or NULL; its reference is taken over. */
static long set_cwd(const char *abs, struct file *dir)
{
    struct fs_state *fs = &current_process()->fs;
    char *n = heap_strdup(abs);
    if (!n) {
        file_put(dir);
        return -ENOMEM;
    }
    lock(&fs->lock);
    char *old = fs->cwd;
    struct file *old_dir = fs->cwd_file;
    fs->cwd = n;
    fs->cwd_file = dir;
    member_changed_paths();
    unlock(&fs->lock);
    heap_free(old);
    file_put(old_dir);
    return 0;
}

static long set_root(const char *abs)
{
    struct fs_state *fs = &current_process()->fs;
    char *n = heap_strdup(abs);
    if (!n)
        return -ENOMEM;
    lock(&fs->lock);
    char *old = fs->root;
    fs->root = n;
    member_changed_paths();
    __atomic_store_n(&fs->has_root, true, __ATOMIC_RELAXED);
    unlock(&fs->lock);
    heap_free(old);
    return 0;
}

static int resolve_dir(const char *upath, struct path *p)
{
    kstat st;
    int err = path_resolve(AT_FDCWD, upath, true, p);
    if (!err)
        err = vfs_stat(p, true, &st);
    if (!err && (st.st_mode & 0170000) != 0040000)
        err = -ENOTDIR;
    if (err)
        return err;
    err = p->mount->ops->access ? p->mount->ops->access(p->mount, p->rel, 1, 0) : 0;
    if (err && !(err == -ENOENT && mounts_imply(p->abs)))
        return err;
    return path_physical(p);
}

SYSCALL1(chdir, const char *, upath)
{
    struct path p;
    struct file *dir = NULL;
    int err = resolve_dir(upath, &p);
    if (err)
        return err;
    return set_cwd(p.abs, vfs_open(&p, O_PATH | O_DIRECTORY, 0, &dir) ? NULL : dir);
}

SYSCALL1(chroot, const char *, upath)
{
    struct path p;
    if (current_process()->cred.euid)
        return -EPERM;
    int err = resolve_dir(upath, &p);
    return err ? err : set_root(p.abs);
}

SYSCALL1(fchdir, int, fd)
{
    struct file *f = fd_get(fd);
    if (!f)
        return -EBADF;
    if (f->kind == FILE_DIR && f->path)
        return set_cwd(f->path, f);
    file_put(f);
    return -ENOTDIR;
}

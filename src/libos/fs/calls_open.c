/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* open(2), close(2), dup(2), fcntl(2): descriptors. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/fs/owner.h"
#include "libos/fs/vfs.h"
#include "libos/proc/members.h"
#include "libos/process.h"
#include <asm/unistd.h>
#include <linux/close_range.h>
#include <linux/openat2.h>

#define O_TMPFILE_ONLY (O_TMPFILE & ~O_DIRECTORY)
#define O_KNOWN                                                                            \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_DSYNC | \
     FASYNC | O_DIRECT | O_LARGEFILE | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC |  \
     __O_SYNC | O_PATH | __O_TMPFILE)
#define O_WITH_PATH (O_DIRECTORY | O_NOFOLLOW | O_PATH | O_CLOEXEC)

static int check_flags(uint32_t *flags, uint32_t *mode)
{
    *flags &= O_KNOWN;
    if (*flags & O_PATH)
        *flags &= O_WITH_PATH;
    if (*flags & __O_TMPFILE) {
        if ((*flags & O_TMPFILE) != O_TMPFILE || (*flags & O_ACCMODE) == O_RDONLY)
            return -EINVAL;
    } else if (!(*flags & O_CREAT)) {
        *mode = 0;
    } else if (*flags & O_DIRECTORY) {
        return -EINVAL;
    }
    *mode &= 07777 & ~current_process()->fs.umask;
    return 0;
}

static ALWAYS_INLINE long open_at(int dirfd, const char *upath, uint32_t flags, uint32_t mode)
{
    struct file *f;
    struct path p;
    int err = check_flags(&flags, &mode);
    if (err)
        return err;
    bool follow = !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
    err = path_resolve_look(dirfd, upath, follow, &p);
    if (!err)
        err = vfs_open_unseen(&p, flags & ~(uint32_t)O_CLOEXEC, mode, &f);
    return err ? err : fd_install(f, 0, flags & O_CLOEXEC);
}

SYSCALL3(open, const char *, path, uint32_t, flags, uint32_t, mode)
{
    return open_at(AT_FDCWD, path, flags, mode);
}

SYSCALL4(openat, int, dirfd, const char *, path, uint32_t, flags, uint32_t, mode)
{
    return open_at(dirfd, path, flags, mode);
}

SYSCALL2(creat, const char *, path, uint32_t, mode)
{
    return open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

#define RESOLVE_KNOWN                                                                  \
    (RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | \
     RESOLVE_IN_ROOT | RESOLVE_CACHED)

SYSCALL4(openat2, int, dirfd, const char *, path, const struct open_how *, uhow, size_t, size)
{
    struct open_how how = {0};
    if (size < sizeof(how))
        return -EINVAL;
    int err = copy_struct_from_user(&how, sizeof(how), uhow, size);
    if (err)
        return err;
    if (how.flags & ~(uint64_t)O_KNOWN || how.mode & ~07777UL ||
        (how.mode && !(how.flags & (O_CREAT | __O_TMPFILE))) ||
        how.resolve & ~(uint64_t)RESOLVE_KNOWN)
        return -EINVAL;
    if (how.resolve) /* RESOLVE_*: the walk gives no such guarantees */
        return -EOPNOTSUPP;
    return open_at(dirfd, path, (uint32_t)how.flags, (uint32_t)how.mode);
}

SYSCALL1(close, int, fd)
{
    return fd_close(fd);
}

SYSCALL3(close_range, unsigned, first, unsigned, last, unsigned, flags)
{
    struct process *p = current_process();
    if (first > last || flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC))
        return -EINVAL;
    if (flags & CLOSE_RANGE_UNSHARE && p->nthreads > 1)
        return -EINVAL; /* one table for all threads: as Linux before this flag */
    for (uint32_t fd = first; fd <= last && fd < p->fds.size; fd++) {
        if (!(flags & CLOSE_RANGE_CLOEXEC)) {
            fd_close((int)fd);
            continue;
        }
        lock(&p->fds.lock);
        if (fd < p->fds.size && p->fds.fds[fd].file)
            p->fds.fds[fd].cloexec = true;
        unlock(&p->fds.lock);
    }
    return 0;
}

SYSCALL1(dup, int, fd)
{
    struct file *f = fd_get_unseen(fd);
    return f ? fd_install(f, 0, false) : -EBADF;
}

static long dup_to(int from, int to, bool cloexec)
{
    struct file *f = fd_get_unseen(from);
    return f ? fd_replace(to, f, cloexec) : -EBADF;
}

SYSCALL2(dup2, int, from, int, to)
{
    if (from == to) {
        struct file *f = fd_get_unseen(from);
        if (!f)
            return -EBADF;
        file_put(f);
        return to;
    }
    return dup_to(from, to, false);
}

SYSCALL3(dup3, int, from, int, to, int, flags)
{
    if (from == to || flags & ~O_CLOEXEC)
        return -EINVAL;
    return dup_to(from, to, flags & O_CLOEXEC);
}

SYSCALL1(umask, uint32_t, mask)
{
    struct fs_state *fs = &current_process()->fs;
    lock(&fs->lock);
    uint32_t old = fs->umask;
    fs->umask = mask & 0777;
    member_changed();
    unlock(&fs->lock);
    return old;
}

static long dup_from(struct file *f, unsigned long from, bool cloexec)
{
    if (from >= current_process()->limits[RLIMIT_NOFILE].rlim_cur)
        return -EINVAL;
    file_get(f);
    return fd_install(f, (int)from, cloexec);
}

static long fd_flags(int fd, bool set, unsigned long value)
{
    struct fdtable *t = &current_process()->fds;
    long r = -EBADF;
    lock(&t->lock);
    if ((uint32_t)fd < t->size && t->fds[fd].file) {
        r = set ? 0 : t->fds[fd].cloexec;
        if (set)
            t->fds[fd].cloexec = value & FD_CLOEXEC;
    }
    unlock(&t->lock);
    return r;
}

#define SETTABLE (O_APPEND | O_NONBLOCK | O_NOATIME | FASYNC | O_DIRECT)

static long status_flags(struct file *f, bool set, unsigned long value)
{
    bool plain = f->ops->poll && (!set || !(value & (FASYNC | O_DIRECT | O_APPEND)));
    if (f->kind == FILE_UNSEEN && !plain)
        file_look(f, NULL);
    if (!set) {
        if (f->host_fd < 0)
            return (f->flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC)) |
                   (f->path ? O_LARGEFILE : 0); /* open(2) sets it */
        /* O_NOFOLLOW: use_flags() */
        long flags = host_fcntl(f->host_fd, F_GETFL, 0);
        return flags < 0 ? flags : (flags & ~O_NOFOLLOW) | (f->flags & O_NOFOLLOW);
    }
    if (f->host_fd >= 0 && value & FASYNC)
        owner_is_inside(f->host_fd);
    long r = f->host_fd < 0 ? 0 : host_fcntl(f->host_fd, F_SETFL, value);
    if (!r)
        f->flags = (f->flags & ~(uint32_t)SETTABLE) | (value & SETTABLE);
    return r;
}

/* `ours`: what the argument leads to is memory of ours. */
static long fcntl_on_host(int fd, int cmd, unsigned long arg, bool ours)
{
    char buf[64];
    size_t n = ours ? 0 : host_fcntl_bytes(cmd);
    assert(n <= sizeof(buf));
    if (!n)
        return host_fcntl(fd, cmd, arg);
    if (copy_from_user(buf, (void *)arg, n))
        return -EFAULT;
    long r = host_fcntl(fd, cmd, (unsigned long)buf);
    bool writes = cmd == F_GETOWN_EX || cmd == F_GET_RW_HINT || cmd == F_GET_FILE_RW_HINT;
    return r >= 0 && writes && copy_to_user((void *)arg, buf, n) ? -EFAULT : r;
}

static long pass(struct file *f, int cmd, unsigned long arg)
{
    if (f->host_fd < 0)
        return cmd == F_GETPIPE_SZ || cmd == F_SETPIPE_SZ ? -EBADF : -EINVAL;
    if (cmd == F_GETOWN_EX && !user_range_ok((void *)arg, sizeof(struct f_owner_ex)))
        return -EFAULT;
    struct f_owner_ex owner;
    long err = owner_fcntl(f->host_fd, cmd, &arg, &owner);
    if (err)
        return err;
    return fcntl_on_host(f->host_fd, cmd, arg, arg == (unsigned long)&owner);
}

static bool concerns_descriptor(int cmd)
{
    return cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC || cmd == F_GETFD || cmd == F_SETFD;
}

SYSCALL3(fcntl, int, fd, int, cmd, unsigned long, arg)
{
    struct file *f = fd_get_unseen(fd);
    if (!f)
        return -EBADF;
    if (f->kind == FILE_UNSEEN && !concerns_descriptor(cmd) && cmd != F_GETFL && cmd != F_SETFL)
        file_look(f, NULL);
    long r;
    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        r = dup_from(f, arg, cmd == F_DUPFD_CLOEXEC);
        break;
    case F_GETFD:
    case F_SETFD:
        r = fd_flags(fd, cmd == F_SETFD, arg);
        break;
    case F_GETFL:
    case F_SETFL:
        r = status_flags(f, cmd == F_SETFL, arg);
        break;
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        r = f->flags & O_PATH ? -EBADF : file_lock(f, cmd, (void *)arg);
        break;
    default:
        r = f->flags & O_PATH ? -EBADF : pass(f, cmd, arg);
    }
    file_put(f);
    return r;
}

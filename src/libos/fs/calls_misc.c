/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* ioctl(2), memfd_create(2), extended attributes. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/fs/ioctls.h"
#include "libos/fs/links.h"
#include "libos/fs/owner.h"
#include "libos/fs/policy.h"
#include "libos/fs/vfs.h"
#include "libos/process.h"
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/memfd.h>

static long set_cloexec(int fd, bool on)
{
    struct fdtable *t = &current_process()->fds;
    lock(&t->lock);
    bool ok = (uint32_t)fd < t->size && t->fds[fd].file;
    if (ok)
        t->fds[fd].cloexec = on;
    unlock(&t->lock);
    return ok ? 0 : -EBADF;
}

/* The host tells bad pointers; it must only not be pointed at memory of ours. */
static bool argument_ok(unsigned long arg)
{
    return arg < PAGE_SIZE || user_range_ok((void *)arg, PAGE_SIZE) ||
           user_range_ok((void *)arg, 4);
}

/* TIOCGPTPEER makes a descriptor, which must be one of the application's. */
static long open_peer(struct file *f, unsigned long flags)
{
    struct file *peer;
    long fd = host_ioctl(f->host_fd, TIOCGPTPEER, flags | O_CLOEXEC);
    if (fd < 0)
        return fd;
    int err = file_from_host((int)fd, (uint32_t)flags & ~(uint32_t)O_CLOEXEC, &peer);
    if (err) {
        host_close((int)fd);
        return err;
    }
    peer->ops = f->ops;
    return fd_install(peer, 0, flags & O_CLOEXEC);
}

long ioctl_host(struct file *f, bool closed, unsigned cmd, unsigned long arg)
{
    int host_fd = f->host_fd;
    sigmask ttou = SIGBIT(SIGTTOU);
    bool blocked = cmd >> 8 == 'T' && current()->blocked & ttou;
    int number;
    long r = ioctl_admit(host_fd, f->flags, closed, cmd);
    if (!r && cmd == TIOCGPTPEER)
        return open_peer(f, arg);
    if (!r && !argument_ok(arg))
        r = -EFAULT;
    if (!r)
        r = owner_ioctl(host_fd, cmd, &arg, &number);
    if (r)
        return r;
    if (blocked)
        host_pass(__NR_rt_sigprocmask, SIG_BLOCK, (long)&ttou, 0, sizeof(ttou), 0, 0);
    do {
        r = host_pass_blocking(__NR_ioctl, host_fd, cmd, (long)arg, 0, 0, 0);
        if (r == -EINTR && interrupted())
            r = -ERESTARTSYS;
    } while (r == -EINTR);
    if (blocked)
        host_pass(__NR_rt_sigprocmask, SIG_UNBLOCK, (long)&ttou, 0, sizeof(ttou), 0, 0);
    return r;
}

SYSCALL3(ioctl, int, fd, unsigned, cmd, unsigned long, arg)
{
    struct file *f = fd_get_io(fd);
    long r;
    if (!f)
        return -EBADF;
    if (cmd == FIOCLEX || cmd == FIONCLEX)
        r = set_cloexec(fd, cmd == FIOCLEX);
    else if (f->ops->ioctl)
        r = f->ops->ioctl(f, cmd, arg);
    else if (f->host_fd < 0)
        r = -ENOTTY;
    else
        r = ioctl_host(f, false, cmd, arg);
    if (!r && cmd == FIONBIO) {
        int on = 0;
        if (!get_user(on, (int *)arg))
            f->flags = on ? f->flags | O_NONBLOCK : f->flags & ~(uint32_t)O_NONBLOCK;
    }
    file_put(f);
    return r;
}

SYSCALL2(memfd_create, const char *, uname, unsigned, flags)
{
    char name[250];
    ssize n = strncpy_from_user(name, uname, sizeof(name));
    struct file *f;
    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : n;
    long fd = host_pass(__NR_memfd_create, (long)name, flags | MFD_CLOEXEC, 0, 0, 0, 0);
    if (fd < 0)
        return fd;
    int err = file_from_host((int)fd, O_RDWR, &f);
    if (err) {
        host_close((int)fd);
        return err;
    }
    return fd_install(f, 0, flags & MFD_CLOEXEC);
}

/* Extended attributes: those of host files in allowed places; elsewhere there are none. */
static int xattr_path(const char *upath, bool follow, struct path *at)
{
    int err = path_resolve(AT_FDCWD, upath, follow, at);
    kstat st;
    if (!err)
        err = vfs_stat(at, follow, &st);
    if (!err && at->mount->ops != &fs_chroot)
        err = -EOPNOTSUPP;
    if (!err && *at->rel && mounts_imply(at->abs) &&
        fs_chroot.stat(at->mount, at->rel, follow, &st))
        err = -EOPNOTSUPP; /* a directory that is there for a mount point only */
    return err;
}

static bool changes(long nr)
{
    return nr == __NR_setxattr || nr == __NR_lsetxattr || nr == __NR_removexattr ||
           nr == __NR_lremovexattr;
}

static long on_path(long nr, const char *upath, bool follow, long a, long b, long c, long d)
{
    struct path at;
    struct use u;
    long r = xattr_path(upath, follow, &at);
    if (r)
        return r;
    do {
        r = use_begin(&u, at.mount, at.rel, follow ? USE_OBJECT : USE_NAME, changes(nr));
        if (!r && changes(nr))
            r = policy_check_change(u.path, true, "change an attribute of");
        if (!r)
            r = host_pass(nr, (long)u.host, a, b, c, d, 0);
        use_end(&u);
    } while (use_again(&u));
    return r;
}

/* Changing through a descriptor: one opened for reading may belong to a trusted file. */
static long change_on_fd(long nr, int fd, long a, long b, long c, long d)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    long r = f->host_fd < 0                       ? -EOPNOTSUPP
             : (f->flags & O_ACCMODE) == O_RDONLY ? -EACCES
                                                  : host_pass(nr, f->host_fd, a, b, c, d, 0);
    file_put(f);
    return r;
}

static long on_fd(long nr, int fd, long a, long b, long c, long d)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    long r = f->host_fd >= 0 ? host_pass(nr, f->host_fd, a, b, c, d, 0) : -EOPNOTSUPP;
    file_put(f);
    return r;
}

#define USER_OK(p, n) (user_range_ok(p, n))

SYSCALL4(getxattr, const char *, path, const char *, name, void *, value, size_t, size)
{
    if (!USER_OK(name, 256) || !USER_OK(value, size))
        return -EFAULT;
    return on_path(__NR_getxattr, path, true, (long)name, (long)value, (long)size, 0);
}
SYSCALL4(lgetxattr, const char *, path, const char *, name, void *, value, size_t, size)
{
    if (!USER_OK(name, 256) || !USER_OK(value, size))
        return -EFAULT;
    return on_path(__NR_lgetxattr, path, false, (long)name, (long)value, (long)size, 0);
}
SYSCALL4(fgetxattr, int, fd, const char *, name, void *, value, size_t, size)
{
    if (!USER_OK(name, 256) || !USER_OK(value, size))
        return -EFAULT;
    return on_fd(__NR_fgetxattr, fd, (long)name, (long)value, (long)size, 0);
}
SYSCALL3(listxattr, const char *, path, char *, list, size_t, size)
{
    if (!USER_OK(list, size))
        return -EFAULT;
    return on_path(__NR_listxattr, path, true, (long)list, (long)size, 0, 0);
}
SYSCALL3(llistxattr, const char *, path, char *, list, size_t, size)
{
    if (!USER_OK(list, size))
        return -EFAULT;
    return on_path(__NR_llistxattr, path, false, (long)list, (long)size, 0, 0);
}
SYSCALL3(flistxattr, int, fd, char *, list, size_t, size)
{
    if (!USER_OK(list, size))
        return -EFAULT;
    return on_fd(__NR_flistxattr, fd, (long)list, (long)size, 0, 0);
}
SYSCALL5(setxattr, const char *, path, const char *, name, const void *, value, size_t, size, int,
         flags)
{
    if (!USER_OK(name, 256) || !USER_OK(value, size))
        return -EFAULT;
    return on_path(__NR_setxattr, path, true, (long)name, (long)value, (long)size, flags);
}
SYSCALL5(lsetxattr, const char *, path, const char *, name, const void *, value, size_t, size, int,
         flags)
{
    if (!USER_OK(name, 256) || !USER_OK(value, size))
        return -EFAULT;
    return on_path(__NR_lsetxattr, path, false, (long)name, (long)value, (long)size, flags);
}
SYSCALL5(fsetxattr, int, fd, const char *, name, const void *, value, size_t, size, int, flags)
{
    if (!USER_OK(name, 256) || !USER_OK(value, size))
        return -EFAULT;
    return change_on_fd(__NR_fsetxattr, fd, (long)name, (long)value, (long)size, flags);
}
SYSCALL2(removexattr, const char *, path, const char *, name)
{
    return USER_OK(name, 256) ? on_path(__NR_removexattr, path, true, (long)name, 0, 0, 0)
                              : -EFAULT;
}
SYSCALL2(lremovexattr, const char *, path, const char *, name)
{
    return USER_OK(name, 256) ? on_path(__NR_lremovexattr, path, false, (long)name, 0, 0, 0)
                              : -EFAULT;
}
SYSCALL2(fremovexattr, int, fd, const char *, name)
{
    return USER_OK(name, 256) ? change_on_fd(__NR_fremovexattr, fd, (long)name, 0, 0, 0) : -EFAULT;
}

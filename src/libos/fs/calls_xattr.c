/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Extended attributes: those of host files in allowed places; elsewhere there are none. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/fs/links.h"
#include "libos/fs/policy.h"
#include "libos/fs/vfs.h"
#include <asm/unistd.h>
#include <linux/limits.h>

/* One call: by its number, with copies of what the application gave. */
struct call {
    long nr;
    bool named, sets;
    char name[XATTR_NAME_MAX + 1];
    void *value; /* `size` bytes, or NULL */
    size_t size;
    int flags;
};

static int take_name(struct call *c, const char *uname)
{
    ssize n = strncpy_from_user(c->name, uname, sizeof(c->name));
    c->named = true;
    return n == -ENAMETOOLONG || !n ? -ERANGE : n < 0 ? (int)n : 0;
}

/* Room for the value, or a copy of it. */
static int take_value(struct call *c, const void *uvalue, size_t size, bool sets)
{
    if (sets && size > HOST_MOST_XATTR)
        return -E2BIG;
    c->size = MIN(size, (size_t)HOST_MOST_XATTR);
    c->sets = sets;
    c->value = c->size ? heap_alloc(c->size) : NULL;
    if (c->size && !c->value)
        return -ENOMEM;
    return sets && copy_from_user(c->value, uvalue, c->size) ? -EFAULT : 0;
}

/* What the call returns after `r`; its memory is given back. */
static long finish(struct call *c, void *uvalue, long r)
{
    if (r > 0 && c->size && !c->sets && copy_to_user(uvalue, c->value, (size_t)r))
        r = -EFAULT;
    heap_free(c->value);
    return r;
}

static ssize ask(const struct call *c, const char *path, int fd)
{
    return host_xattr(c->nr, path, fd, c->named ? c->name : NULL, c->value, c->size, c->flags);
}

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

static long on_path(const struct call *c, const char *upath, bool follow)
{
    struct path at;
    struct use u;
    long r = xattr_path(upath, follow, &at);
    if (r)
        return r;
    do {
        r = use_begin(&u, at.mount, at.rel, follow ? USE_OBJECT : USE_NAME, changes(c->nr));
        if (!r && changes(c->nr))
            r = policy_check_change(u.path, true, "change an attribute of");
        if (!r)
            r = ask(c, u.host, -1);
        use_end(&u);
    } while (use_again(&u));
    return r;
}

/* Changing through a descriptor: one opened for reading may belong to a trusted file. */
static long change_on_fd(const struct call *c, int fd)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    long r = f->host_fd < 0                       ? -EOPNOTSUPP
             : (f->flags & O_ACCMODE) == O_RDONLY ? -EACCES
                                                  : ask(c, NULL, f->host_fd);
    file_put(f);
    return r;
}

static long on_fd(const struct call *c, int fd)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    long r = f->host_fd >= 0 ? ask(c, NULL, f->host_fd) : -EOPNOTSUPP;
    file_put(f);
    return r;
}

static long get_on_path(long nr, const char *path, bool follow, const char *uname, void *uvalue,
                        size_t size)
{
    struct call c = {.nr = nr};
    long r = take_name(&c, uname);
    if (!r)
        r = take_value(&c, NULL, size, false);
    return finish(&c, uvalue, r ? r : on_path(&c, path, follow));
}

SYSCALL4(getxattr, const char *, path, const char *, name, void *, value, size_t, size)
{
    return get_on_path(__NR_getxattr, path, true, name, value, size);
}

SYSCALL4(lgetxattr, const char *, path, const char *, name, void *, value, size_t, size)
{
    return get_on_path(__NR_lgetxattr, path, false, name, value, size);
}

SYSCALL4(fgetxattr, int, fd, const char *, name, void *, value, size_t, size)
{
    struct call c = {.nr = __NR_fgetxattr};
    long r = take_name(&c, name);
    if (!r)
        r = take_value(&c, NULL, size, false);
    return finish(&c, value, r ? r : on_fd(&c, fd));
}

static long list_on_path(long nr, const char *path, bool follow, char *ulist, size_t size)
{
    struct call c = {.nr = nr};
    long r = take_value(&c, NULL, size, false);
    return finish(&c, ulist, r ? r : on_path(&c, path, follow));
}

SYSCALL3(listxattr, const char *, path, char *, list, size_t, size)
{
    return list_on_path(__NR_listxattr, path, true, list, size);
}

SYSCALL3(llistxattr, const char *, path, char *, list, size_t, size)
{
    return list_on_path(__NR_llistxattr, path, false, list, size);
}

SYSCALL3(flistxattr, int, fd, char *, list, size_t, size)
{
    struct call c = {.nr = __NR_flistxattr};
    long r = take_value(&c, NULL, size, false);
    return finish(&c, list, r ? r : on_fd(&c, fd));
}

static int take_setting(struct call *c, const char *uname, const void *uvalue, size_t size,
                        int flags)
{
    c->flags = flags;
    int err = take_name(c, uname);
    return err ? err : take_value(c, uvalue, size, true);
}

SYSCALL5(setxattr, const char *, path, const char *, name, const void *, value, size_t, size, int,
         flags)
{
    struct call c = {.nr = __NR_setxattr};
    long r = take_setting(&c, name, value, size, flags);
    return finish(&c, NULL, r ? r : on_path(&c, path, true));
}

SYSCALL5(lsetxattr, const char *, path, const char *, name, const void *, value, size_t, size, int,
         flags)
{
    struct call c = {.nr = __NR_lsetxattr};
    long r = take_setting(&c, name, value, size, flags);
    return finish(&c, NULL, r ? r : on_path(&c, path, false));
}

SYSCALL5(fsetxattr, int, fd, const char *, name, const void *, value, size_t, size, int, flags)
{
    struct call c = {.nr = __NR_fsetxattr};
    long r = take_setting(&c, name, value, size, flags);
    return finish(&c, NULL, r ? r : change_on_fd(&c, fd));
}

SYSCALL2(removexattr, const char *, path, const char *, name)
{
    struct call c = {.nr = __NR_removexattr};
    long r = take_name(&c, name);
    return r ? r : on_path(&c, path, true);
}

SYSCALL2(lremovexattr, const char *, path, const char *, name)
{
    struct call c = {.nr = __NR_lremovexattr};
    long r = take_name(&c, name);
    return r ? r : on_path(&c, path, false);
}

SYSCALL2(fremovexattr, int, fd, const char *, name)
{
    struct call c = {.nr = __NR_fremovexattr};
    long r = take_name(&c, name);
    return r ? r : change_on_fd(&c, fd);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * inotify(7): the host watches the host's files. What has no host file (/proc, tmpfs) cannot be
 * watched: ENOSPC, the one refusal for which programs are prepared to look for themselves.
 */
#include "host/host_event.h"
#include "libos/fs/links.h"
#include "libos/entry/syscall.h"
#include "libos/net/host_object.h"

#define IN_CLOEXEC     O_CLOEXEC
#define IN_NONBLOCK    O_NONBLOCK
#define IN_DONT_FOLLOW 0x02000000u

static const struct file_ops inotify_ops = {.name = "anon_inode:inotify"};

static long make_inotify(int flags)
{
    if (flags & ~(IN_CLOEXEC | IN_NONBLOCK))
        return -EINVAL;
    long r = host_inotify(flags);
    return host_object_install(r, &inotify_ops, FILE_STREAM, (uint32_t)(flags & IN_NONBLOCK),
                               flags & IN_CLOEXEC);
}

SYSCALL1(inotify_init1, int, flags)
{
    return make_inotify(flags);
}

SYSCALL0(inotify_init)
{
    return make_inotify(0);
}

static int get_inotify(int fd, struct file **out)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    if (f->host_fd < 0) { /* of others the host says what they are: some came in a message */
        file_put(f);
        return -EINVAL;
    }
    *out = f;
    return 0;
}

static long watch_path(struct file *f, const struct path *p, uint32_t mask)
{
    struct use u;
    kstat st;
    int err = vfs_stat(p, !(mask & IN_DONT_FOLLOW), &st);
    if (err)
        return err;
    if ((p->mount->ops != &fs_chroot && p->mount->ops != &fs_encrypted) || !p->mount->uri)
        return -ENOSPC;
    long r;
    do {
        r = use_begin(&u, p->mount, p->rel, mask & IN_DONT_FOLLOW ? USE_NAME : USE_OBJECT, false);
        if (!r)
            r = host_inotify_add(f->host_fd, u.host, mask);
        use_end(&u);
    } while (use_again(&u));
    return r;
}

SYSCALL3(inotify_add_watch, int, fd, const char *, upath, uint32_t, mask)
{
    struct file *f;
    long r = get_inotify(fd, &f);
    if (r)
        return r;
    struct path *p = heap_alloc(sizeof(*p));
    r = p ? path_resolve(AT_FDCWD, upath, !(mask & IN_DONT_FOLLOW), p) : -ENOMEM;
    if (!r)
        r = watch_path(f, p, mask);
    heap_free(p);
    file_put(f);
    return r;
}

SYSCALL2(inotify_rm_watch, int, fd, int, watch)
{
    struct file *f;
    long r = get_inotify(fd, &f);
    if (r)
        return r;
    r = host_inotify_remove(f->host_fd, watch);
    file_put(f);
    return r;
}

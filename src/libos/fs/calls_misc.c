/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* ioctl(2), memfd_create(2). */
#include "host/host_process.h"
#include "libos/entry/syscall.h"
#include "libos/fs/ioctls.h"
#include "libos/fs/owner.h"
#include "libos/fs/vfs.h"
#include "libos/process.h"
#include <asm/ioctls.h>
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
        host_sigmask(SIG_BLOCK, ttou);
    do {
        r = host_ioctl_user(host_fd, cmd, arg);
        if (r == -EINTR && interrupted())
            r = -ERESTARTSYS;
    } while (r == -EINTR);
    if (blocked)
        host_sigmask(SIG_UNBLOCK, ttou);
    return r;
}

/* Of an own object, without the host. */
static bool answers_itself(const struct file *f, unsigned cmd)
{
    return f->ops->poll && (cmd == FIOCLEX || cmd == FIONCLEX || cmd == FIONBIO ||
                            (cmd == FIONREAD && f->ops->ioctl));
}

SYSCALL3(ioctl, int, fd, unsigned, cmd, unsigned long, arg)
{
    struct file *f = fd_get_transfer(fd);
    long r;
    if (!f)
        return -EBADF;
    if (f->kind == FILE_UNSEEN && !answers_itself(f, cmd))
        file_look(f, NULL);
    if (cmd == FIOCLEX || cmd == FIONCLEX)
        r = set_cloexec(fd, cmd == FIOCLEX);
    else if (cmd == FIONBIO && f->ops->poll)
        r = user_range_ok((void *)arg, sizeof(int)) ? 0 : -EFAULT;
    else if (f->ops->ioctl)
        r = f->ops->ioctl(f, cmd, arg);
    else if (f->host_fd < 0)
        r = -ENOTTY;
    else
        r = ioctl_host(f, false, cmd, arg);
    if (!r && cmd == FIONBIO) {
        int on = 0;
        if (get_user(on, (int *)arg))
            r = -EFAULT;
        else
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
    int fd = host_memfd(name, flags);
    if (fd < 0)
        return fd;
    int err = file_from_host(fd, O_RDWR, &f);
    if (err) {
        host_close(fd);
        return err;
    }
    return fd_install(f, 0, flags & MFD_CLOEXEC);
}

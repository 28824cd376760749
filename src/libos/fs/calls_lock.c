/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * File locks: fcntl(2)'s and flock(2). The host keeps them where it has the file. A file that lives
 * in this process alone (lock_fd NULL, no host_fd) has nobody else to lock out: every valid request
 * succeeds, also between two descriptions of the process.
 */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/fs/vfs.h"
#include "libos/process.h"
#include <linux/fs.h>

/* Waits for the lock, if the command does. */
static long lock_on_host(int fd, int cmd, struct flock *l)
{
    for (;;) {
        long r = host_lock(fd, cmd, l);
        if (r != -EINTR)
            return r;
        if (interrupted())
            return -ERESTARTSYS;
    }
}

static long flock_on_host(int fd, int op)
{
    for (;;) {
        long r = host_flock(fd, op);
        if (r != -EINTR)
            return r;
        if (interrupted())
            return -ERESTARTSYS;
    }
}

static int lock_fd(struct file *f)
{
    return f->host_fd >= 0 ? f->host_fd : f->ops && f->ops->lock_fd ? f->ops->lock_fd(f) : -1;
}

/* The host's description knows neither our offset nor our size: counts from the start instead. */
static int from_start(struct file *f, struct flock *l)
{
    int64_t base = 0;
    if (l->l_whence == SEEK_CUR) {
        lock(&f->pos_lock);
        file_pos_load(f);
        base = f->pos;
        unlock(&f->pos_lock);
    }
    if (l->l_whence == SEEK_END)
        base = f->ops && f->ops->size ? f->ops->size(f) : 0;
    if (l->l_whence != SEEK_SET && l->l_whence != SEEK_CUR && l->l_whence != SEEK_END)
        return -EINVAL;
    if (base < 0)
        return (int)base;
    if (__builtin_add_overflow(l->l_start, base, &l->l_start))
        return -EOVERFLOW;
    l->l_whence = SEEK_SET;
    return l->l_start < 0 || (l->l_len < 0 && l->l_start + l->l_len < 0) ? -EINVAL : 0;
}

/* Ours are behind FILE_LOCK_LIMIT. False: the range lies there as a whole. */
static bool clip(struct flock *l)
{
    if (l->l_len < 0) {
        l->l_start += l->l_len;
        l->l_len = -l->l_len;
    }
    if (l->l_start >= FILE_LOCK_LIMIT)
        return false;
    if (!l->l_len || l->l_len > FILE_LOCK_LIMIT - l->l_start)
        l->l_len = FILE_LOCK_LIMIT - l->l_start;
    return true;
}

static int check_access(struct file *f, int cmd, short type)
{
    uint32_t access = f->flags & O_ACCMODE;
    if (type != F_RDLCK && type != F_WRLCK && type != F_UNLCK)
        return -EINVAL;
    if (cmd == F_GETLK || cmd == F_OFD_GETLK)
        return type == F_UNLCK ? -EINVAL : 0;
    bool denied =
        (type == F_RDLCK && access == O_WRONLY) || (type == F_WRLCK && access == O_RDONLY);
    return denied ? -EBADF : 0;
}

static long lock_by_hand(struct file *f, int cmd, struct flock *ulock)
{
    struct flock l;
    if (copy_from_user(&l, ulock, sizeof(l)))
        return -EFAULT;
    bool query = cmd == F_GETLK || cmd == F_OFD_GETLK;
    bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
    int fd = lock_fd(f);
    long r = ofd && l.l_pid ? -EINVAL : from_start(f, &l);
    if (!r)
        r = check_access(f, cmd, l.l_type);
    bool ours = !r && fd >= 0 && clip(&l);
    if (ours)
        r = lock_on_host(fd, cmd, &l);
    else if (!r && query)
        l.l_type = F_UNLCK;
    if (ours && l.l_start + l.l_len == FILE_LOCK_LIMIT)
        l.l_len = 0;
    return !r && query && copy_to_user(ulock, &l, sizeof(l)) ? -EFAULT : r;
}

long file_lock(struct file *f, int cmd, struct flock *ulock)
{
    struct flock l;
    if (f->host_fd < 0)
        return lock_by_hand(f, cmd, ulock);
    if (copy_from_user(&l, ulock, sizeof(l)))
        return -EFAULT;
    long r = lock_on_host(f->host_fd, cmd, &l);
    bool query = cmd == F_GETLK || cmd == F_OFD_GETLK;
    return !r && query && copy_to_user(ulock, &l, sizeof(l)) ? -EFAULT : r;
}

SYSCALL2(flock, int, fd, int, op)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    int host_fd = lock_fd(f), what = op & ~LOCK_NB;
    long r = 0;
    if (host_fd >= 0)
        r = flock_on_host(host_fd, op);
    else if (what != LOCK_SH && what != LOCK_EX && what != LOCK_UN)
        r = -EINVAL;
    file_put(f);
    return r;
}

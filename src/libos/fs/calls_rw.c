/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* read(2), write(2) and their vectored and positioned forms; lseek; syncing; sizes. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/fs/encrypted.h"
#include "libos/fs/vfs.h"
#include "libos/mm/pages.h"
#include "libos/process.h"
#include <asm/unistd.h>
#include <linux/fs.h>
#include <linux/uio.h>

#define MOST_IOV 1024

SYSCALL3(read, int, fd, void *, buf, size_t, n)
{
    struct file *f = fd_get_transfer(fd);
    if (!f)
        return -EBADF;
    ssize r = file_read(f, buf, n, -1);
    file_put(f);
    return r;
}

SYSCALL3(write, int, fd, const void *, buf, size_t, n)
{
    struct file *f = fd_get_transfer(fd);
    if (!f)
        return -EBADF;
    ssize r = file_write(f, buf, n, -1);
    file_put(f);
    return r;
}

/* A file for a transfer at `off`: the errors of pread(2). */
static struct file *positioned(int fd, int64_t off, long *err)
{
    *err = off < 0 ? -EINVAL : -EBADF;
    if (off < 0)
        return NULL;
    struct file *f = fd_get_transfer(fd);
    if (f && !f->seekable && f->ops->read) {
        *err = -ESPIPE;
        file_put(f);
        return NULL;
    }
    return f;
}

SYSCALL4(pread64, int, fd, void *, buf, size_t, n, int64_t, off)
{
    long r;
    struct file *f = positioned(fd, off, &r);
    if (!f)
        return r;
    r = file_read(f, buf, n, off);
    file_put(f);
    return r;
}

SYSCALL4(pwrite64, int, fd, const void *, buf, size_t, n, int64_t, off)
{
    long r;
    struct file *f = positioned(fd, off, &r);
    if (!f)
        return r;
    r = file_write(f, buf, n, off);
    file_put(f);
    return r;
}

static int take_iov(const struct iovec *uiov, unsigned long count, struct iovec **out)
{
    if (count > MOST_IOV)
        return -EINVAL;
    struct iovec *iov = heap_alloc(MAX(count, 1UL) * sizeof(*iov));
    if (!iov)
        return -ENOMEM;
    int err = copy_from_user(iov, uiov, count * sizeof(*iov));
    size_t total = 0;
    for (unsigned long i = 0; !err && i < count; i++) {
        if ((ssize)iov[i].iov_len < 0 || total + iov[i].iov_len < total)
            err = -EINVAL;
        else if (!user_range_ok(iov[i].iov_base, iov[i].iov_len))
            err = -EFAULT;
        total += iov[i].iov_len;
    }
    if (err) {
        heap_free(iov);
        return err;
    }
    *out = iov;
    return 0;
}

static int verify_vector(struct file *f, const struct iovec *iov, unsigned long count, int64_t pos)
{
    size_t total = 0;
    for (unsigned long i = 0; i < count; i++)
        total += iov[i].iov_len;
    return file_verify(f, MAX(pos, 0L), pos < 0 ? INT64_MAX : (int64_t)total);
}

static ssize vector_on_host(struct file *f, const struct iovec *iov, unsigned long count,
                            int64_t pos, int flags, bool write)
{
    uint32_t access = f->flags & O_ACCMODE;
    if (access == (write ? O_RDONLY : O_WRONLY))
        return -EBADF;
    if (f->host_fd < 0)
        return -EINVAL;
    int err = write ? 0 : verify_vector(f, iov, count, pos);
    if (err)
        return err;
    pages_before_read(f, pos, SIZE_MAX);
    for (;;) {
        ssize r = host_vector(f->host_fd, iov, count, pos, flags, write);
        if (write && r > 0)
            pages_after_write(f, pos, (size_t)r);
        if (r != -EINTR)
            return r;
        if (interrupted())
            return -ERESTARTSYS;
    }
}

static ssize part_write(struct file *f, const struct iovec *part, int64_t at, int flags)
{
    bool append = flags & RWF_APPEND && f->ops->append;
    return append ? file_append(f, part->iov_base, part->iov_len, at)
                  : file_write(f, part->iov_base, part->iov_len, at);
}

static ssize loop_vector(struct file *f, const struct iovec *iov, unsigned long count, int64_t pos,
                         int flags, bool write)
{
    ssize done = 0;
    int err = 0;
    for (unsigned long i = 0; i < count; i++) {
        if (!iov[i].iov_len)
            continue;
        int64_t at = pos >= 0 ? pos + done : -1;
        ssize r = write ? part_write(f, &iov[i], at, flags)
                        : file_read(f, iov[i].iov_base, iov[i].iov_len, at);
        if (r < 0)
            return done ? done : r;
        done += r;
        if ((size_t)r < iov[i].iov_len)
            break;
    }
    if (write && done && flags & (RWF_DSYNC | RWF_SYNC) && f->ops->sync)
        err = f->ops->sync(f, flags & RWF_DSYNC);
    return err ? err : done;
}

static long vector(int fd, const struct iovec *uiov, unsigned long count, int64_t pos, int flags,
                   bool write)
{
    struct iovec *iov;
    struct file *f = fd_get_transfer(fd);
    if (!f)
        return -EBADF;
    bool whole = f->kind == FILE_UNSEEN && f->ops->vector && pos < 0 && !flags;
    if (f->kind == FILE_UNSEEN && !whole)
        file_look(f, NULL);
    long r = take_iov(uiov, count, &iov);
    if (!r && whole) {
        r = f->ops->vector(f, iov, count, write);
        if (r == -ENOTOWN && f->kind == FILE_UNSEEN)
            file_look(f, NULL);
        if (r == -ENOTOWN)
            r = vector_on_host(f, iov, count, pos, flags, write);
        heap_free(iov);
    } else if (!r) {
        bool own = write ? f->ops->write != NULL : f->ops->read != NULL;
        if (own && pos >= 0 && !f->seekable)
            r = -ESPIPE;
        else if (own)
            r = flags & ~RWF_SUPPORTED ? -EOPNOTSUPP
                                       : loop_vector(f, iov, count, pos, flags, write);
        else if (f->kind == FILE_DIR)
            r = write ? -EBADF : -EISDIR;
        else
            r = vector_on_host(f, iov, count, pos, flags, write);
        heap_free(iov);
    }
    file_put(f);
    return r;
}

SYSCALL3(readv, int, fd, const struct iovec *, iov, unsigned long, n)
{
    return vector(fd, iov, n, -1, 0, false);
}
SYSCALL3(writev, int, fd, const struct iovec *, iov, unsigned long, n)
{
    return vector(fd, iov, n, -1, 0, true);
}
SYSCALL4(preadv, int, fd, const struct iovec *, iov, unsigned long, n, int64_t, off)
{
    return off < 0 ? -EINVAL : vector(fd, iov, n, off, 0, false);
}
SYSCALL4(pwritev, int, fd, const struct iovec *, iov, unsigned long, n, int64_t, off)
{
    return off < 0 ? -EINVAL : vector(fd, iov, n, off, 0, true);
}
SYSCALL6(preadv2, int, fd, const struct iovec *, iov, unsigned long, n, int64_t, off, long, high,
         int, flags)
{
    (void)high;
    return off < -1 ? -EINVAL : vector(fd, iov, n, off, flags, false);
}
SYSCALL6(pwritev2, int, fd, const struct iovec *, iov, unsigned long, n, int64_t, off, long, high,
         int, flags)
{
    (void)high;
    return off < -1 ? -EINVAL : vector(fd, iov, n, off, flags, true);
}

/* lseek on a file whose offset is ours. */
static int64_t seek_own(struct file *f, int64_t off, int whence)
{
    if (!f->seekable)
        return -ESPIPE;
    int64_t size = f->ops->size ? f->ops->size(f) : 0;
    int64_t base = 0;
    lock(&f->pos_lock);
    file_pos_load(f);
    switch (whence) {
    case 0:
        break;
    case 1:
        base = f->pos;
        break;
    case 2:
        base = size;
        break;
    case 3: /* SEEK_DATA: everything is data */
    case 4: /* SEEK_HOLE: the end */
        base = off < 0 || off >= size ? -ENXIO : whence == 4 ? size - off : 0;
        break;
    default:
        base = -EINVAL;
    }
    int64_t to = base;
    if (base >= 0) {
        to = __builtin_add_overflow(base, off, &to) || to < 0 ? -EINVAL : to;
        if (to >= 0) {
            f->pos = to;
            file_pos_store(f);
        }
    }
    unlock(&f->pos_lock);
    return to;
}

SYSCALL3(lseek, int, fd, int64_t, off, int, whence)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    int64_t r;
    if (f->kind == FILE_DIR) {
        lock(&f->pos_lock);
        int64_t to = whence == 1 ? f->pos + off : off;
        r = whence > 1 || to < 0 ? -EINVAL : (f->pos = to);
        unlock(&f->pos_lock);
    } else if (f->host_fd < 0 || ((f->ops->read || f->ops->write) && f->kind != FILE_STREAM)) {
        r = seek_own(f, off, whence);
    } else {
        r = host_lseek(f->host_fd, off, whence);
    }
    file_put(f);
    return r;
}

static long sync_file(int fd, bool data_only)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    int r = f->ops->sync      ? f->ops->sync(f, data_only)
            : f->host_fd >= 0 ? host_fsync(f->host_fd, data_only)
                              : -EINVAL;
    file_put(f);
    return r;
}

SYSCALL1(fsync, int, fd)
{
    return sync_file(fd, false);
}
SYSCALL1(fdatasync, int, fd)
{
    return sync_file(fd, true);
}

static int truncate_file(struct file *f, int64_t size)
{
    if ((f->flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    if (f->ops->truncate)
        return f->ops->truncate(f, size);
    return f->host_fd >= 0 ? host_ftruncate(f->host_fd, size) : -EINVAL;
}

static int cut_file(struct file *f, int64_t size)
{
    pages_before_read(f, 0, SIZE_MAX);
    int err = truncate_file(f, size);
    if (!err)
        pages_after_write(f, 0, SIZE_MAX);
    return err;
}

SYSCALL2(ftruncate, int, fd, int64_t, size)
{
    if (size < 0)
        return -EINVAL;
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    int r = cut_file(f, size);
    file_put(f);
    return r;
}

SYSCALL2(truncate, const char *, upath, int64_t, size)
{
    struct path p;
    struct file *f;
    kstat st;
    if (size < 0)
        return -EINVAL;
    int err = path_resolve(AT_FDCWD, upath, true, &p);
    if (!err)
        err = vfs_stat(&p, true, &st);
    if (!err && (st.st_mode & 0170000) != 0100000)
        err = (st.st_mode & 0170000) == 0040000 ? -EISDIR : -EINVAL;
    if (!err)
        err = vfs_open(&p, O_WRONLY, 0, &f);
    if (err)
        return err;
    err = cut_file(f, size);
    int flushed = f->ops->flush ? f->ops->flush(f) : 0;
    file_put(f);
    return err ? err : flushed;
}

SYSCALL4(fallocate, int, fd, int, mode, int64_t, off, int64_t, len)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    int r = -ENODEV;
    if (off < 0 || len <= 0)
        r = -EINVAL;
    else if ((f->flags & O_ACCMODE) == O_RDONLY)
        r = -EBADF;
    else if (f->ops->allocate)
        r = f->ops->allocate(f, mode, off, len);
    else if (f->host_fd >= 0)
        r = host_fallocate(f->host_fd, mode, off, len);
    file_put(f);
    return r;
}

SYSCALL4(fadvise64, int, fd, int64_t, off, int64_t, len, int, advice)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    long r = f->host_fd >= 0            ? host_fadvise(f->host_fd, off, len, advice)
             : advice < 0 || advice > 5 ? -EINVAL
                                        : 0;
    file_put(f);
    return r;
}

SYSCALL3(readahead, int, fd, int64_t, off, size_t, n)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    long r = f->host_fd >= 0 ? host_readahead(f->host_fd, off, n) : 0;
    file_put(f);
    return r;
}

SYSCALL4(cachestat, int, fd, const void *, urange, void *, ucounts, unsigned, flags)
{
    uint64_t range[2];  /* struct cachestat_range: from, length */
    uint64_t counts[5]; /* struct cachestat */
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    long r = f->host_fd < 0 ? -EOPNOTSUPP : copy_from_user(range, urange, sizeof(range));
    if (!r)
        r = host_cachestat(f->host_fd, range, counts, flags);
    if (!r)
        r = copy_to_user(ucounts, counts, sizeof(counts));
    file_put(f);
    return r;
}

SYSCALL4(sync_file_range, int, fd, int64_t, off, int64_t, n, unsigned, flags)
{
    (void)off, (void)n, (void)flags;
    return sync_file(fd, true);
}

SYSCALL0(sync)
{
    encrypted_flush_all(true);
    host_sync();
    return 0;
}

SYSCALL1(syncfs, int, fd)
{
    struct file *f = fd_get_io(fd);
    if (!f)
        return -EBADF;
    int err = f->mount && f->mount->ops == &fs_encrypted ? encrypted_flush_all(true) : 0;
    file_put(f);
    return err ? err : sync_file(fd, false);
}

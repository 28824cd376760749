/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Open file descriptions: life time, transfer at an offset, defaults for host-backed objects. */
#include "host/host.h"
#include "libos/fs/vfs.h"
#include "libos/log.h"
#include "libos/mm/pages.h"
#include "libos/sync/epoll.h"
#include "libos/process.h"

uint32_t files_to_flush;

/*
 * Descriptions are only ever reused as descriptions: fd_get() may look at the count of one that is
 * just being given back. Lock: leaf.
 */
static struct lock pool_lock;
static struct file *pool;  /* linked through `priv` */
static struct file *spare; /* one outside the pool, exchanged atomically */

static struct file *take_from_pool(void)
{
    struct file *one = __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQUIRE);
    if (one)
        return one;
    lock(&pool_lock);
    struct file *f = pool;
    if (f)
        pool = f->priv;
    unlock(&pool_lock);
    return f ? f : heap_zalloc(sizeof(*f));
}

static void give_to_pool(struct file *f)
{
    f = __atomic_exchange_n(&spare, f, __ATOMIC_ACQ_REL);
    if (!f)
        return;
    lock(&pool_lock);
    f->priv = pool;
    pool = f;
    unlock(&pool_lock);
}

struct file *file_new(const struct file_ops *ops, enum file_kind kind, int host_fd, uint32_t flags)
{
    struct file *f = take_from_pool();
    if (!f)
        return NULL;
    memset((char *)f + sizeof(f->refs), 0, offsetof(struct file, short_path) - sizeof(f->refs));
    f->ops = ops;
    f->kind = kind;
    f->host_fd = host_fd;
    f->flags = flags;
    f->pos_fd = -1;
    __atomic_store_n(&f->refs, 1, __ATOMIC_RELEASE);
    return f;
}

int file_set_path(struct file *f, const char *path)
{
    size_t n = strlen(path) + 1;
    char *to = n <= sizeof(f->short_path) ? f->short_path : heap_alloc(n);
    if (!to)
        return -ENOMEM;
    f->path = memcpy(to, path, n);
    return 0;
}

/* True when it was the last one. Without a second thread there is nobody to race with, and a locked
 * instruction is a tenth of a small read(). */
static bool drop_ref(struct file *f)
{
    if (current_process()->nthreads == 1)
        return --f->refs == 0;
    return ref_put(&f->refs);
}

void file_put(struct file *f)
{
    if (!f || !drop_ref(f))
        return;
    if (f->watches)
        epoll_forget_file(f);
    if (f->ops->release)
        f->ops->release(f);
    if (unlikely(f->host_fd == 2))
        log_hold_stderr();
    else if (f->host_fd >= 0)
        host_close(f->host_fd);
    if (f->path != f->short_path)
        heap_free(f->path);
    give_to_pool(f);
}

void file_pos_load(struct file *f)
{
    int64_t at = likely(f->pos_fd < 0) ? -1 : host_lseek(f->pos_fd, 0, 1);
    if (at >= 0)
        f->pos = at;
}

void file_pos_store(struct file *f)
{
    if (unlikely(f->pos_fd >= 0))
        host_lseek(f->pos_fd, f->pos, 0);
}

static bool may_read(const struct file *f)
{
    return (f->flags & O_ACCMODE) != O_WRONLY;
}

static bool may_write(const struct file *f)
{
    return (f->flags & O_ACCMODE) != O_RDONLY;
}

/* A transfer that blocked and was interrupted by nothing for the application starts again. */
static ssize stream_read(struct file *f, void *ubuf, size_t n)
{
    for (;;) {
        ssize r = host_read(f->host_fd, ubuf, n);
        if (r != -EINTR)
            return r;
        if (interrupted())
            return -ERESTARTSYS;
    }
}

static ssize stream_write(struct file *f, const void *ubuf, size_t n)
{
    for (;;) {
        ssize r = host_write(f->host_fd, ubuf, n);
        if (r != -EINTR)
            return r;
        if (interrupted())
            return -ERESTARTSYS;
    }
}

/*
 * A read at the host's offset of a file whose content is verified: what is verified must be what is
 * read. Threads take turns, also those that find the file verified as a whole (they must not read
 * at an offset that another one is about to move).
 */
static NOINLINE ssize read_verified(struct file *f, void *ubuf, size_t n, bool whole)
{
    lock(&f->pos_lock);
    if (whole) {
        ssize r = stream_read(f, ubuf, n);
        unlock(&f->pos_lock);
        return r;
    }
    int64_t at = host_lseek(f->host_fd, 0, 1);
    ssize r = at < 0 ? at : file_verify(f, at, (int64_t)n);
    if (!r)
        r = host_pread(f->host_fd, ubuf, n, at);
    if (r > 0)
        host_lseek(f->host_fd, at + r, 0);
    unlock(&f->pos_lock);
    return r;
}

static ssize read_host(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    if (f->host_fd < 0)
        return -EINVAL;
    if (f->ops->verify) {
        int whole = f->ops->verify(f, MAX(pos, 0L), pos >= 0 ? (int64_t)n : 0);
        if (whole < 0)
            return whole;
        if (pos < 0)
            return read_verified(f, ubuf, n, whole);
    }
    return pos >= 0 ? host_pread(f->host_fd, ubuf, n, pos) : stream_read(f, ubuf, n);
}

static NOINLINE ssize read_at_own_pos(struct file *f, void *ubuf, size_t n)
{
    lock(&f->pos_lock);
    file_pos_load(f);
    ssize r = f->ops->read(f, ubuf, n, f->pos);
    if (r > 0) {
        f->pos += r;
        file_pos_store(f);
    }
    unlock(&f->pos_lock);
    return r;
}

ssize file_read(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    if (!may_read(f))
        return -EBADF;
    if (f->kind == FILE_DIR)
        return -EISDIR;
    if (unlikely(!user_range_ok(ubuf, n)))
        return -EFAULT;
    n = MIN(n, (size_t)0x7ffff000);
    pages_before_read(f, pos, n);
    if (!f->ops->read)
        return read_host(f, ubuf, n, pos);
    if (!f->seekable)
        return f->ops->read(f, ubuf, n, 0);
    return pos >= 0 ? f->ops->read(f, ubuf, n, pos) : read_at_own_pos(f, ubuf, n);
}

static NOINLINE ssize write_at_own_pos(struct file *f, const void *ubuf, size_t n)
{
    lock(&f->pos_lock);
    if (f->ops->write_here) {
        ssize r = f->ops->write_here(f, ubuf, n, false);
        unlock(&f->pos_lock);
        return r;
    }
    if (f->flags & O_APPEND && f->ops->size) {
        int64_t end = f->ops->size(f);
        if (end >= 0)
            f->pos = end;
    }
    ssize r = f->ops->write(f, ubuf, n, f->pos);
    if (r > 0)
        f->pos += r;
    unlock(&f->pos_lock);
    return r;
}

ssize file_append(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    if (!may_write(f))
        return -EBADF;
    if (unlikely(!user_range_ok(ubuf, n)))
        return -EFAULT;
    if (pos >= 0) /* pwrite(2) appends, too, but leaves the offset */
        return f->ops->append(f, ubuf, n);
    lock(&f->pos_lock);
    ssize r = f->ops->write_here(f, ubuf, n, true);
    unlock(&f->pos_lock);
    return r;
}

static ssize write_file(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    if (!f->ops->write) {
        if (f->host_fd < 0)
            return -EINVAL;
        return pos >= 0 ? host_pwrite(f->host_fd, ubuf, n, pos) : stream_write(f, ubuf, n);
    }
    if (!f->seekable)
        return f->ops->write(f, ubuf, n, 0);
    if (f->flags & O_APPEND && f->ops->append)
        return file_append(f, ubuf, n, pos);
    return pos >= 0 ? f->ops->write(f, ubuf, n, pos) : write_at_own_pos(f, ubuf, n);
}

ssize file_write(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    if (!may_write(f))
        return -EBADF;
    if (unlikely(!user_range_ok(ubuf, n)))
        return -EFAULT;
    n = MIN(n, (size_t)0x7ffff000);
    pages_before_read(f, pos, n);
    ssize r = write_file(f, ubuf, n, pos);
    if (r > 0)
        pages_after_write(f, pos, (size_t)r);
    return r;
}

ssize file_read_kernel(struct file *f, void *buf, size_t n, int64_t pos)
{
    size_t done = 0;
    int err = file_verify(f, pos, (int64_t)n);
    if (err)
        return err;
    while (done < n) {
        ssize r = f->ops->read
                      ? f->ops->read(f, (char *)buf + done, n - done, pos + (int64_t)done)
                      : host_pread(f->host_fd, (char *)buf + done, n - done, pos + (int64_t)done);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        done += (size_t)r;
    }
    return (ssize)done;
}

int file_stat(struct file *f, kstat *st)
{
    if (f->kind == FILE_UNSEEN && f->host_fd < 0)
        file_look(f, NULL);
    if (f->ops->stat)
        return f->ops->stat(f, st);
    if (f->host_fd < 0) {
        memset(st, 0, sizeof(*st));
        st->st_mode = 0600;
        st->st_blksize = PAGE_SIZE;
        st->st_nlink = 1;
        return 0;
    }
    int err = host_fstat(f->host_fd, st);
    if (!err && f->kind == FILE_UNSEEN)
        file_look(f, st);
    return err;
}

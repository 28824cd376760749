/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Operations of open encrypted files. */
#include "host/host.h"
#include "libos/fs/encrypted_map.h"
#include "libos/fs/encrypted_share.h"
#include "libos/process.h"
#include <asm/ioctls.h>
#include <asm/statfs.h>
#include <linux/falloc.h>
#include <linux/mman.h>

#define EXTEND_STEP (8L << 20) /* bytes of zeros between looks at whether the thread is to end */

static struct enc_node *node_of(const struct file *f)
{
    return ((struct enc_file *)f->priv)->node;
}

char *enc_bounce(struct enc_node *n, size_t use)
{
    if (!n->bounce)
        n->bounce = heap_alloc(ENC_BOUNCE);
    n->bounce_used = MAX(n->bounce_used, use);
    return n->bounce;
}

/* ---- content, under node.lock ---- */

/* Copies as much as the application's memory, `dst` or `src`, allows: Linux goes page by page. */
static size_t copy_some(void *dst, const void *src, size_t len, bool dst_is_theirs)
{
    if (likely(copy_checked(dst, src, len) == 0))
        return len;
    size_t done = 0;
    while (done < len) {
        uintptr_t at = (dst_is_theirs ? (uintptr_t)dst : (uintptr_t)src) + done;
        size_t part = MIN(len - done, PAGE_SIZE - (at & PAGE_MASK));
        if (copy_checked((char *)dst + done, (const char *)src + done, part))
            break;
        done += part;
    }
    return done;
}

/* Application memory may vanish while it is used, so cryptography never sees it. */
static ssize read_part(struct enc_node *n, char *buf, size_t len, int64_t pos)
{
    int fd;
    len = enc_map_where(n, pos, MIN(len, ENC_BOUNCE), &fd);
    if (fd >= 0)
        return host_pread(fd, buf, len, pos);
    ssize r = enc_io_result(pfs_read(n->pfs, (uint64_t)pos, n->bounce, len));
    if (r <= 0)
        return r;
    size_t copied = copy_some(buf, n->bounce, (size_t)r, true);
    return copied ? (ssize)copied : -EFAULT;
}

static ssize read_at(struct enc_node *n, char *buf, size_t len, int64_t pos)
{
    ssize done = 0, r = enc_bounce(n, MIN(len, ENC_BOUNCE)) ? 0 : -ENOMEM;
    while (r >= 0 && (size_t)done < len) {
        r = read_part(n, buf + done, len - (size_t)done, pos + done);
        if (r == 0)
            break;
        done += MAX(r, 0L);
    }
    return done ? done : r;
}

/* The content is locked and as the last writer left it; 0 or an errno. */
static int begin(struct enc_node *n, bool write)
{
    lock(&n->lock);
    int err = enc_begin(n, write);
    if (err)
        unlock(&n->lock);
    return err;
}

/* The end of what begin() began: `r`, or the error of writing it through. */
static ssize end(struct enc_node *n, bool wrote, ssize r)
{
    int err = enc_end(n, wrote);
    unlock(&n->lock);
    return err ? err : r;
}

static ssize enc_read(struct file *f, void *buf, size_t len, int64_t pos)
{
    struct enc_node *n = node_of(f);
    int err = begin(n, false);
    return err ? err : end(n, false, read_at(n, buf, len, pos));
}

/* Zeros take room like any other content: better refused at once than after minutes of writing. */
static int room_for(struct enc_node *n, int64_t bytes)
{
    struct statfs s;
    if (bytes <= EXTEND_STEP || host_fstatfs(n->host_fd, &s) || !s.f_blocks || s.f_bsize <= 0)
        return 0;
    return (uint64_t)bytes / (uint64_t)s.f_bsize > (uint64_t)s.f_bfree ? -ENOSPC : 0;
}

static int grow(struct enc_node *n, int64_t size)
{
    int64_t old = (int64_t)pfs_size(n->pfs);
    int err = room_for(n, size - old);
    for (int64_t at = old; !err && at < size;) {
        int64_t next = MIN(size, at + EXTEND_STEP);
        err = enc_map_grow(n, at, next);
        if (!err)
            err = (int)enc_io_result(pfs_set_size(n->pfs, (uint64_t)next));
        at = next;
        if (!err && at < size && __atomic_load_n(&current()->work, __ATOMIC_RELAXED) & WORK_KILL)
            err = -EINTR;
    }
    if (err && pfs_size(n->pfs) > (uint64_t)old)
        pfs_set_size(n->pfs, (uint64_t)old);
    if (err)
        enc_map_cut(n, old);
    return err;
}

int enc_set_size(struct enc_node *n, int64_t size)
{
    int64_t old = (int64_t)pfs_size(n->pfs);
    n->touched = true;
    if (size > old)
        return grow(n, size);
    int err = (int)enc_io_result(pfs_set_size(n->pfs, (uint64_t)size));
    if ((int64_t)pfs_size(n->pfs) < old)
        enc_map_cut(n, (int64_t)pfs_size(n->pfs));
    return err;
}

ssize enc_put_bytes(struct enc_node *n, const char *buf, size_t len, int64_t pos)
{
    int64_t old = (int64_t)pfs_size(n->pfs), end = pos + (int64_t)len;
    int err = end > old ? enc_map_grow(n, old, end) : 0;
    if (err)
        return err;
    n->touched = true;
    ssize r = enc_io_result(pfs_write(n->pfs, (uint64_t)pos, buf, len));
    if (n->map) {
        if ((int64_t)pfs_size(n->pfs) < end)
            enc_map_cut(n, (int64_t)pfs_size(n->pfs));
        err = r > 0 ? enc_map_wrote(n, pos, buf, (size_t)r) : 0;
    }
    return err ? err : r;
}

static uint64_t size_limit(void)
{
    return __atomic_load_n(&current_process()->limits[RLIMIT_FSIZE].rlim_cur, __ATOMIC_RELAXED);
}

/* setrlimit(2): who writes behind RLIMIT_FSIZE gets a signal, too. No lock is held. */
static ssize beyond_limit(ssize r)
{
    if (r == -EFBIG && size_limit() != RLIM64_INFINITY) {
        struct thread *t = current();
        siginfo_t info = {.si_signo = SIGXFSZ, .si_code = SI_USER};
        info._sifields._kill._pid = t->process->pid;
        info._sifields._kill._uid = t->process->cred.uid;
        signal_send_thread(t, &info);
    }
    return r;
}

static ssize write_at(struct enc_node *n, const char *buf, size_t len, int64_t pos)
{
    int64_t end;
    ssize done = 0, r = 0;
    if (__builtin_add_overflow(pos, len, &end))
        return -EINVAL;
    uint64_t limit = size_limit();
    if (len && (uint64_t)pos >= limit)
        return -EFBIG;
    len = MIN(len, limit - (uint64_t)pos);
    char *bounce = enc_bounce(n, MIN(len, ENC_BOUNCE));
    if (!bounce)
        return -ENOMEM;
    if (len && (int64_t)pfs_size(n->pfs) < pos)
        r = enc_set_size(n, pos);
    if (r)
        return r;
    while ((size_t)done < len) {
        size_t want = MIN(len - (size_t)done, ENC_BOUNCE);
        size_t have = copy_some(bounce, buf + done, want, false);
        r = have ? enc_put_bytes(n, bounce, have, pos + done) : -EFAULT;
        if (r <= 0)
            break;
        done += r;
        if ((size_t)r < want)
            break;
    }
    return done ? done : r;
}

static ssize after_write(struct file *f, ssize r)
{
    int err = r > 0 && f->flags & O_DSYNC ? enc_node_flush(node_of(f), true) : 0;
    return err ? err : beyond_limit(r);
}

static ssize enc_write(struct file *f, const void *buf, size_t len, int64_t pos)
{
    struct enc_node *n = node_of(f);
    int err = begin(n, true);
    return err ? err : after_write(f, end(n, true, write_at(n, buf, len, pos)));
}

static ssize enc_append(struct file *f, const void *buf, size_t len)
{
    struct enc_node *n = node_of(f);
    int err = begin(n, true);
    if (err)
        return err;
    ssize r = write_at(n, buf, len, (int64_t)pfs_size(n->pfs));
    return after_write(f, end(n, true, r));
}

/* The offset is looked up while the content is locked: it may be shared with another process. */
static ssize enc_write_here(struct file *f, const void *buf, size_t len, bool append)
{
    struct enc_node *n = node_of(f);
    int err = begin(n, true);
    if (err)
        return err;
    file_pos_load(f);
    int64_t pos = append ? (int64_t)pfs_size(n->pfs) : f->pos;
    ssize r = write_at(n, buf, len, pos);
    if (r > 0) {
        f->pos = pos + r;
        file_pos_store(f);
    }
    return after_write(f, end(n, true, r));
}

/* ---- size ---- */

static int64_t enc_size(struct file *f)
{
    struct enc_node *n = node_of(f);
    int err = begin(n, false);
    return err ? err : end(n, false, (int64_t)pfs_size(n->pfs));
}

static int enc_truncate(struct file *f, int64_t size)
{
    struct enc_node *n = node_of(f);
    int err = begin(n, true);
    if (err)
        return err;
    bool grows = (uint64_t)size > pfs_size(n->pfs);
    err = grows && (uint64_t)size > size_limit() ? -EFBIG : enc_set_size(n, size);
    return (int)beyond_limit(end(n, true, err));
}

static int put_zeros(struct enc_node *n, int64_t pos, int64_t end)
{
    size_t use = (size_t)MIN(MAX(end - pos, 0L), (int64_t)ENC_BOUNCE);
    char *bounce = enc_bounce(n, use);
    if (!bounce)
        return -ENOMEM;
    memset(bounce, 0, use);
    while (pos < end) {
        ssize r = enc_put_bytes(n, bounce, (size_t)MIN(end - pos, (int64_t)ENC_BOUNCE), pos);
        if (r <= 0)
            return r ? (int)r : -EIO;
        pos += r;
    }
    return 0;
}

/* The format has no holes: zeros are stored, and room cannot be set aside. */
static int enc_allocate(struct file *f, int mode, int64_t off, int64_t len)
{
    struct enc_node *n = node_of(f);
    bool keep = mode & FALLOC_FL_KEEP_SIZE;
    int what = mode & ~FALLOC_FL_KEEP_SIZE;
    int64_t last;
    if (what && !(what == FALLOC_FL_PUNCH_HOLE && keep) && what != FALLOC_FL_ZERO_RANGE)
        return -EOPNOTSUPP;
    if (__builtin_add_overflow(off, len, &last))
        return -EFBIG;
    int err = begin(n, true);
    if (err)
        return err;
    int64_t size = (int64_t)pfs_size(n->pfs);
    if (!keep && last > size && (uint64_t)last > size_limit())
        err = -EFBIG;
    if (!err && what)
        err = put_zeros(n, off, MIN(last, size));
    if (!err && !keep && last > size)
        err = enc_set_size(n, last);
    return (int)beyond_limit(end(n, true, err));
}

/* ---- attributes ---- */

static bool earlier(uint64_t sec, uint64_t nsec, const struct __kernel_timespec *t)
{
    return sec < (uint64_t)t->tv_sec || (sec == (uint64_t)t->tv_sec && nsec < (uint64_t)t->tv_nsec);
}

/* The host file's times change when something is flushed; ours when it is written. */
void enc_describe(struct enc_node *n, kstat *st)
{
    if (n->touched) {
        n->touched = false;
        n->mtime_shown = host_clock_get(5 /* CLOCK_REALTIME_COARSE */, &n->mtime) == 0;
    }
    if (n->mtime_shown) {
        st->st_mtime = (unsigned long)n->mtime.tv_sec;
        st->st_mtime_nsec = (unsigned long)n->mtime.tv_nsec;
        if (earlier(st->st_ctime, st->st_ctime_nsec, &n->mtime)) {
            st->st_ctime = st->st_mtime;
            st->st_ctime_nsec = st->st_mtime_nsec;
        }
    }
    enc_mode_show(st);
    st->st_size = (long)pfs_size(n->pfs);
    st->st_blocks = (st->st_size + 511) / 512;
    st->st_blksize = PAGE_SIZE;
}

static int enc_fstat(struct file *f, kstat *st)
{
    struct enc_node *n = node_of(f);
    int err = begin(n, false);
    if (err)
        return err;
    err = host_fstat(n->host_fd, st);
    if (!err)
        enc_describe(n, st);
    return (int)end(n, false, err);
}

#define WITH_LOCK(n, call)            \
    ({                                \
        lock(&(n)->lock);             \
        __typeof__(call) r_ = (call); \
        unlock(&(n)->lock);           \
        r_;                           \
    })

static int enc_fchmod(struct file *f, uint32_t mode)
{
    struct enc_node *n = node_of(f);
    return WITH_LOCK(n, host_fchmod(n->host_fd, enc_mode_set(n->dev, n->ino, mode)));
}

static int enc_fchown(struct file *f, uint32_t uid, uint32_t gid)
{
    struct enc_node *n = node_of(f);
    return WITH_LOCK(n, host_fchown(n->host_fd, uid, gid));
}

static int enc_futimens(struct file *f, const struct __kernel_timespec ts[2])
{
    struct enc_node *n = node_of(f);
    int err = enc_node_flush(n, false); /* which would change them again later */
    return err ? err : WITH_LOCK(n, host_utimens(n->host_fd, NULL, ts, 0));
}

static long enc_ioctl(struct file *f, unsigned cmd, unsigned long arg)
{
    if (cmd != FIONREAD)
        return -ENOTTY;
    int64_t size = enc_size(f);
    lock(&f->pos_lock);
    file_pos_load(f);
    int left = (int)(size - f->pos);
    unlock(&f->pos_lock);
    return size < 0 ? size : put_user((int *)arg, left);
}

/* ---- mappings, flushing, locks ---- */

static bool is_mapped(const struct enc_node *n)
{
    for (struct vma *v = vma_first(&current_process()->mm); v; v = vma_next(v)) {
        const struct file *f = v->file;
        if (f && f->ops == &encrypted_ops && node_of(f) == n)
            return true;
    }
    return false;
}

static int enc_map_fd(struct file *f, size_t len, int prot, int flags, int64_t off)
{
    struct enc_node *n = node_of(f);
    bool shared = (flags & MAP_TYPE) != MAP_PRIVATE;
    bool stores = shared && prot & PROT_WRITE;
    if (off < 0)
        return -EOVERFLOW;
    if (stores && (f->flags & O_ACCMODE) != O_RDWR)
        return -EACCES;
    int err = begin(n, stores);
    if (err)
        return err;
    if (n->map && !is_mapped(n) && enc_map_store(n, 0, INT64_MAX) == 0)
        enc_map_drop(n); /* do not keep what is not mapped any more */
    if (stores)
        err = enc_share_stores(n);
    return (int)end(n, stores, err ? err : enc_map_prepare(n, off, len, stores));
}

static int enc_mmap_sync(struct file *f, size_t len, int64_t off)
{
    struct enc_node *n = node_of(f);
    if (!enc_map_has_stores(n)) /* it is set when a mapping is made, under mm.lock, as we are */
        return 0;
    int err = begin(n, true);
    return err ? err : (int)end(n, true, enc_map_store(n, off, (int64_t)len));
}

static int enc_sync(struct file *f, bool data_only)
{
    (void)data_only;
    return enc_node_flush(node_of(f), true);
}

static int enc_flush(struct file *f)
{
    return (f->flags & O_ACCMODE) == O_RDONLY ? 0 : enc_node_flush(node_of(f), false);
}

/* Locks and offsets that processes share belong to a description. */
int enc_file_fd(struct enc_file *ef)
{
    if (ef->fd < 0)
        ef->fd = enc_reopen(ef->node);
    return ef->fd;
}

static int enc_lock_fd(struct file *f)
{
    struct enc_file *ef = f->priv;
    int fd = WITH_LOCK(ef->node, enc_file_fd(ef));
    return fd >= 0 ? fd : ef->node->host_fd;
}

static void enc_release(struct file *f)
{
    struct enc_file *ef = f->priv;
    lock(&ef->node->lock);
    list_del(&ef->link);
    unlock(&ef->node->lock);
    enc_node_put(ef->node);
    if (ef->fd >= 0)
        host_close(ef->fd);
    heap_free(ef);
}

const struct file_ops encrypted_ops = {.name = "encrypted",
                                       .read = enc_read,
                                       .write = enc_write,
                                       .append = enc_append,
                                       .write_here = enc_write_here,
                                       .size = enc_size,
                                       .stat = enc_fstat,
                                       .truncate = enc_truncate,
                                       .allocate = enc_allocate,
                                       .sync = enc_sync,
                                       .flush = enc_flush,
                                       .ioctl = enc_ioctl,
                                       .chmod = enc_fchmod,
                                       .chown = enc_fchown,
                                       .utimens = enc_futimens,
                                       .map_fd = enc_map_fd,
                                       .mmap_sync = enc_mmap_sync,
                                       .lock_fd = enc_lock_fd,
                                       .release = enc_release};

int enc_file_new(struct enc_node *n, uint32_t flags, struct file **out)
{
    struct enc_file *ef = heap_alloc(sizeof(*ef));
    struct file *f = ef ? file_new(&encrypted_ops, FILE_REGULAR, -1, flags) : NULL;
    if (!f) {
        heap_free(ef);
        enc_node_put(n);
        return -ENOMEM;
    }
    *ef = (struct enc_file){.node = n, .file = f, .fd = -1};
    lock(&n->lock);
    list_add_tail(&n->files, &ef->link);
    unlock(&n->lock);
    f->priv = ef;
    f->seekable = true;
    *out = f;
    return 0;
}

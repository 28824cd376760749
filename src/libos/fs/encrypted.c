/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Mounts of type "encrypted": each regular file below is an encrypted file (src/pfs) on the host.
 */
#include "crypto/crypto.h"
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/fs/encrypted_node.h"
#include <linux/mman.h>

#define S_TYPE 0170000
#define S_DIR  0040000
#define S_REG  0100000

/* Under node.lock. Application memory may vanish while it is used, so cryptography never sees it.
 */
static char *bounce_of(struct enc_node *n)
{
    if (!n->bounce)
        n->bounce = heap_alloc(ENC_BOUNCE);
    return n->bounce;
}

static ssize enc_read(struct file *f, void *buf, size_t n, int64_t pos)
{
    struct enc_node *node = f->priv;
    ssize done = 0, r = 0;
    lock(&node->lock);
    char *bounce = bounce_of(node);
    while (bounce && (size_t)done < n) {
        size_t want = MIN(n - (size_t)done, ENC_BOUNCE);
        r = enc_io_result(pfs_read(node->pfs, (uint64_t)(pos + done), bounce, want));
        if (r <= 0)
            break;
        if (copy_checked((char *)buf + done, bounce, (size_t)r)) {
            r = -EFAULT;
            break;
        }
        done += r;
        if ((size_t)r < want)
            break;
    }
    unlock(&node->lock);
    return done ? done : bounce ? r : -ENOMEM;
}

static ssize enc_write(struct file *f, const void *buf, size_t n, int64_t pos)
{
    struct enc_node *node = f->priv;
    ssize done = 0, r = 0;
    lock(&node->lock);
    char *bounce = bounce_of(node);
    while (bounce && (size_t)done < n) {
        size_t want = MIN(n - (size_t)done, ENC_BOUNCE);
        if (copy_checked(bounce, (const char *)buf + done, want)) {
            r = -EFAULT;
            break;
        }
        r = enc_io_result(pfs_write(node->pfs, (uint64_t)(pos + done), bounce, want));
        if (r <= 0)
            break;
        done += r;
        if ((size_t)r < want)
            break;
    }
    unlock(&node->lock);
    return done ? done : bounce ? r : -ENOMEM;
}

static int64_t enc_size(struct file *f)
{
    struct enc_node *n = f->priv;
    lock(&n->lock);
    int64_t size = (int64_t)pfs_size(n->pfs);
    unlock(&n->lock);
    return size;
}

static void show_size(kstat *st, int64_t size)
{
    st->st_size = size;
    st->st_blocks = (size + 511) / 512;
    st->st_blksize = PAGE_SIZE;
}

static int enc_fstat(struct file *f, kstat *st)
{
    struct enc_node *n = f->priv;
    int err = host_fstat(n->host_fd, st);
    if (!err)
        show_size(st, enc_size(f));
    return err;
}

static int enc_truncate(struct file *f, int64_t size)
{
    struct enc_node *n = f->priv;
    lock(&n->lock);
    int err = (int)enc_io_result(pfs_set_size(n->pfs, (uint64_t)size));
    unlock(&n->lock);
    return err;
}

static int enc_allocate(struct file *f, int mode, int64_t off, int64_t len)
{
    int64_t end;
    if (mode)
        return -EOPNOTSUPP;
    if (__builtin_add_overflow(off, len, &end))
        return -EFBIG;
    return end > enc_size(f) ? enc_truncate(f, end) : 0;
}

static int enc_sync(struct file *f, bool data_only)
{
    (void)data_only;
    return enc_node_flush(f->priv, true);
}

static int enc_flush(struct file *f)
{
    return (f->flags & O_ACCMODE) == O_RDONLY ? 0 : enc_node_flush(f->priv, false);
}

static int enc_fchmod(struct file *f, uint32_t mode)
{
    return host_fchmod(((struct enc_node *)f->priv)->host_fd, mode | 0600);
}

static int enc_fchown(struct file *f, uint32_t uid, uint32_t gid)
{
    return host_fchown(((struct enc_node *)f->priv)->host_fd, uid, gid);
}

static int enc_futimens(struct file *f, const struct __kernel_timespec ts[2])
{
    return host_utimens(((struct enc_node *)f->priv)->host_fd, NULL, ts, 0);
}

/* A copy of the content, made now; pages behind the end of the file read as zeros. */
static int enc_mmap(struct file *f, uintptr_t addr, size_t len, int prot, int flags, int64_t off)
{
    struct enc_node *n = f->priv;
    (void)prot, (void)flags;
    int64_t r = 1;
    size_t done = 0;
    lock(&n->lock);
    while (done < len && r > 0) {
        r = pfs_read(n->pfs, (uint64_t)off + done, (char *)addr + done, len - done);
        done += r > 0 ? (size_t)r : 0;
    }
    unlock(&n->lock);
    return r < 0 ? (int)enc_io_result(r) : 0;
}

static int enc_mmap_sync(struct file *f, uintptr_t addr, size_t len, int64_t off)
{
    struct enc_node *n = f->priv;
    lock(&n->lock);
    int64_t size = (int64_t)pfs_size(n->pfs), r = 0;
    size_t keep = off < size ? MIN((size_t)(size - off), len) : 0, done = 0;
    while (done < keep && r >= 0) {
        r = pfs_write(n->pfs, (uint64_t)off + done, (char *)addr + done, keep - done);
        done += r > 0 ? (size_t)r : 0;
    }
    unlock(&n->lock);
    return r < 0 ? (int)enc_io_result(r) : 0;
}

static int enc_lock_fd(struct file *f)
{
    return ((struct enc_node *)f->priv)->host_fd;
}

static void enc_release(struct file *f)
{
    enc_node_put(f->priv);
}

static const struct file_ops encrypted_ops = {.name = "encrypted",
                                              .read = enc_read,
                                              .write = enc_write,
                                              .size = enc_size,
                                              .stat = enc_fstat,
                                              .truncate = enc_truncate,
                                              .allocate = enc_allocate,
                                              .sync = enc_sync,
                                              .flush = enc_flush,
                                              .chmod = enc_fchmod,
                                              .chown = enc_fchown,
                                              .utimens = enc_futimens,
                                              .mmap = enc_mmap,
                                              .mmap_sync = enc_mmap_sync,
                                              .lock_fd = enc_lock_fd,
                                              .release = enc_release};

static int wrap(struct enc_node *n, uint32_t flags, struct file **out)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    int err = writes && n->readonly ? -EACCES : 0;
    if (!err && flags & O_TRUNC && writes) {
        lock(&n->lock);
        err = (int)enc_io_result(pfs_set_size(n->pfs, 0));
        unlock(&n->lock);
    }
    *out = err ? NULL : file_new(&encrypted_ops, FILE_REGULAR, -1, flags);
    if (!*out) {
        enc_node_put(n);
        return err ? err : -ENOMEM;
    }
    (*out)->priv = n;
    (*out)->seekable = true;
    return 0;
}

static int open_dir(const char *host, uint32_t flags, struct file **out)
{
    int fd = host_open(host, flags, 0);
    if (fd < 0)
        return fd;
    int err = file_from_host(fd, flags, out);
    if (err)
        host_close(fd);
    return err;
}

static int enc_open(struct mount *m, const char *rel, uint32_t flags, uint32_t mode,
                    struct file **out)
{
    char host[PATH_LIMIT];
    struct stat st;
    struct enc_node *n;
    int err = mount_host_path(m, rel, host);
    if (err)
        return err;
    err = host_stat(host, !(flags & O_NOFOLLOW), &st);
    if (err == -ENOENT && flags & O_CREAT) {
        err = enc_node_create(m, host, mode, &n);
        if (err != -EEXIST || flags & O_EXCL)
            return err ? err : wrap(n, flags & ~(uint32_t)O_TRUNC, out);
        err = host_stat(host, true, &st); /* somebody else was faster */
    }
    if (err)
        return err;
    if (flags & O_CREAT && flags & O_EXCL)
        return -EEXIST;
    if ((st.st_mode & S_TYPE) == S_DIR || flags & O_PATH)
        return open_dir(host, flags & ~(uint32_t)O_TRUNC, out);
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    err = enc_node_get(m, host, flags & O_CREAT && flags & O_TRUNC, &n);
    return err ? err : wrap(n, flags, out);
}

static int enc_stat(struct mount *m, const char *rel, bool follow, kstat *st)
{
    char host[PATH_LIMIT];
    struct enc_node *n;
    int err = mount_host_path(m, rel, host);
    if (!err)
        err = host_stat(host, follow, st);
    if (err || (st->st_mode & S_TYPE) != S_REG)
        return err;
    err = enc_node_get(m, host, false, &n);
    if (err)
        return err;
    lock(&n->lock);
    show_size(st, (int64_t)pfs_size(n->pfs));
    unlock(&n->lock);
    enc_node_put(n);
    return 0;
}

static int enc_access(struct mount *m, const char *rel, int mode, int flags)
{
    return fs_chroot.access(m, rel, mode, flags);
}

static int enc_unlink(struct mount *m, const char *rel, bool dir)
{
    char host[PATH_LIMIT];
    int err = mount_host_path(m, rel, host);
    return err ? err : host_unlink(host, dir);
}

static int enc_mkdir(struct mount *m, const char *rel, uint32_t mode)
{
    return fs_chroot.mkdir(m, rel, mode);
}

static int set_path(struct enc_node *n, const char *host)
{
    lock(&n->lock);
    int err = (int)enc_io_result(pfs_rename(n->pfs, host));
    unlock(&n->lock);
    return err;
}

static int enc_rename(struct mount *m, const char *from, const char *to, uint32_t flags)
{
    char host_from[PATH_LIMIT], host_to[PATH_LIMIT];
    struct stat st;
    struct enc_node *n;
    int err = mount_host_path(m, from, host_from);
    if (!err)
        err = mount_host_path(m, to, host_to);
    if (!err)
        err = host_stat(host_from, false, &st);
    if (err || strcmp(host_from, host_to) == 0)
        return err;
    if ((st.st_mode & S_TYPE) != S_REG)
        return -EXDEV; /* each file below is bound to its path: callers copy instead */
    if (flags & ~1u)   /* RENAME_NOREPLACE alone */
        return -EINVAL;
    err = enc_node_get(m, host_from, false, &n);
    if (err)
        return err;
    err = set_path(n, host_to);
    if (!err) {
        err = host_rename(host_from, host_to, flags);
        if (err)
            set_path(n, host_from);
    }
    enc_node_put(n);
    return err;
}

static int enc_chmod(struct mount *m, const char *rel, uint32_t mode)
{
    char host[PATH_LIMIT];
    int err = mount_host_path(m, rel, host);
    return err ? err : host_chmod(host, mode | 0600);
}

static int enc_chown(struct mount *m, const char *rel, uint32_t uid, uint32_t gid, bool follow)
{
    char host[PATH_LIMIT];
    int err = mount_host_path(m, rel, host);
    return err ? err : host_chown(host, uid, gid, follow);
}

static int enc_utimens(struct mount *m, const char *rel, const struct __kernel_timespec ts[2],
                       bool follow)
{
    char host[PATH_LIMIT];
    int err = mount_host_path(m, rel, host);
    return err ? err : host_utimens(HOST_AT_FDCWD, host, ts, follow ? 0 : AT_SYMLINK_NOFOLLOW);
}

static int enc_statfs(struct mount *m, struct statfs64_k *st)
{
    return fs_chroot.statfs(m, st);
}

const struct fs_ops fs_encrypted = {.name = "encrypted",
                                    .open = enc_open,
                                    .stat = enc_stat,
                                    .access = enc_access,
                                    .unlink = enc_unlink,
                                    .mkdir = enc_mkdir,
                                    .rename = enc_rename,
                                    .chmod = enc_chmod,
                                    .chown = enc_chown,
                                    .utimens = enc_utimens,
                                    .statfs = enc_statfs};

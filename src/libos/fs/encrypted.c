/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Mounts of type "encrypted": each regular file below is an encrypted file (src/pfs) on the host.
 * All handles of one host file share one context, found by the host's (device, inode).
 */
#include "libos/fs/encrypted.h"
#include "crypto/crypto.h"
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/fs/keys.h"
#include "libos/fs/vfs.h"
#include "libos/lib/list.h"
#include "libos/log.h"
#include "pfs/pfs.h"
#include "platform/platform.h"
#include <linux/mman.h>

#define S_TYPE 0170000
#define S_DIR  0040000
#define S_REG  0100000
#define BOUNCE (128 * 1024UL)

struct node {
    struct list link;  /* in `nodes`, under nodes_lock */
    uint32_t refs;     /* under nodes_lock */
    uint64_t dev, ino; /* of the host file */
    int host_fd;
    bool readonly;    /* the host does not let us write */
    struct lock lock; /* over every use of `pfs`; above heap_lock */
    struct pfs *pfs;
    char *bounce; /* BOUNCE bytes of plain text on their way, or NULL; wiped at the end */
};

/* Lock order: nodes_lock above node.lock. */
static struct lock nodes_lock;
static struct list nodes = {&nodes, &nodes};

static int64_t back_read(void *ctx, void *buf, size_t n, uint64_t off)
{
    return host_pread(((struct node *)ctx)->host_fd, buf, n, (int64_t)off);
}

static int64_t back_write(void *ctx, const void *buf, size_t n, uint64_t off)
{
    return host_pwrite(((struct node *)ctx)->host_fd, buf, n, (int64_t)off);
}

static int back_truncate(void *ctx, uint64_t size)
{
    return host_ftruncate(((struct node *)ctx)->host_fd, (int64_t)size);
}

static int64_t back_size(void *ctx)
{
    struct stat st;
    int err = host_fstat(((struct node *)ctx)->host_fd, &st);
    return err ? err : st.st_size;
}

static int back_sync(void *ctx)
{
    return host_fsync(((struct node *)ctx)->host_fd, false);
}

static void free_sized(void *p, size_t size)
{
    (void)size;
    heap_free(p);
}

static const struct pfs_env env = {.alloc = heap_alloc,
                                   .free = free_sized,
                                   .random = host_random,
                                   .vector_enter = vector_begin,
                                   .vector_leave = vector_end};

/* What the application is told, and what the user is told. */
static int explain(int err, const char *host, const struct mount *m)
{
    const char *why = NULL;
    switch (err) {
    case -EINVAL:
        why = "it is not an encrypted file (plain text is not accepted here: encrypt it with "
              "`adyton encrypt`, or remove it)";
        break;
    case -ENODATA:
        why = "it is empty: its creation was interrupted (remove it)";
        break;
    case -EPROTONOSUPPORT:
        why = "its format version is unknown";
        break;
    case -EKEYREJECTED:
        why = "wrong key, or the file was altered";
        break;
    case -EXDEV:
        why = "it was encrypted for another path (compare the uri of the mount with the output "
              "path given at encryption)";
        break;
    case -EBADMSG:
        why = "its content was altered or is incomplete";
        break;
    default:
        return err;
    }
    log_error("encrypted file '%s' (key '%s') refused: %s", host, m->key_name, why);
    return -EACCES;
}

static int take_key(const struct mount *m, uint8_t key[FS_KEY_SIZE])
{
    struct fs_key *k = key_find(m->key_name);
    int err = k ? key_get(k, key) : -ENOKEY;
    if (!err)
        return 0;
    log_error("the key '%s' of the encrypted mount '%s' is not set: provision it, write 16 bytes "
              "to /dev/attestation/keys/%s, or (insecure) set fs.insecure__keys.%s",
              m->key_name, m->path, m->key_name, m->key_name);
    return -EACCES;
}

static int open_context(struct node *n, const struct mount *m, const char *host, bool create)
{
    uint8_t key[FS_KEY_SIZE];
    struct pfs_backend back = {.ctx = n,
                               .read_at = back_read,
                               .write_at = back_write,
                               .truncate = back_truncate,
                               .size = back_size,
                               .sync = back_sync};
    struct pfs_open_args args = {
        .flags = (create ? PFS_CREATE : 0u) | (n->readonly ? PFS_READONLY : 0u), .path = host};
    int err = take_key(m, key);
    if (!err)
        err = pfs_open(&env, &back, key, &args, &n->pfs);
    crypto_wipe(key, sizeof(key));
    return err;
}

static struct node *find_node(uint64_t dev, uint64_t ino)
{
    list_for_each (it, &nodes) {
        struct node *n = list_entry(it, struct node, link);
        if (n->dev == dev && n->ino == ino)
            return n;
    }
    return NULL;
}

/* Under nodes_lock; `fd` is taken over. */
static int new_node(int fd, bool readonly, const struct stat *st, const struct mount *m,
                    const char *host, bool create, struct node **out)
{
    struct node *n = heap_zalloc(sizeof(*n));
    int err = n ? 0 : -ENOMEM;
    if (!err) {
        *n = (struct node){
            .refs = 1, .dev = st->st_dev, .ino = st->st_ino, .host_fd = fd, .readonly = readonly};
        err = explain(open_context(n, m, host, create), host, m);
    }
    if (err) {
        host_close(fd);
        heap_free(n);
        return err;
    }
    list_add_tail(&nodes, &n->link);
    __atomic_fetch_add(&files_to_flush, 1, __ATOMIC_RELEASE);
    *out = n;
    return 0;
}

/* The context of the host file; `trunc`: an interrupted creation counts as new. */
static int get_node(const struct mount *m, const char *host, bool replace_empty, struct node **out)
{
    struct stat st;
    bool readonly = false;
    int fd = host_open(host, O_RDWR, 0);
    if (fd == -EACCES || fd == -EROFS || fd == -EPERM) {
        readonly = true;
        fd = host_open(host, O_RDONLY, 0);
    }
    if (fd < 0)
        return fd;
    int err = host_fstat(fd, &st);
    if (!err && (st.st_mode & S_TYPE) != S_REG)
        err = -EACCES;
    if (err) {
        host_close(fd);
        return err;
    }
    lock(&nodes_lock);
    struct node *n = find_node(st.st_dev, st.st_ino);
    if (n) {
        n->refs++;
        host_close(fd);
        *out = n;
    } else {
        err = new_node(fd, readonly, &st, m, host, replace_empty && !st.st_size, out);
    }
    unlock(&nodes_lock);
    return err;
}

static int create_node(const struct mount *m, const char *host, uint32_t mode, struct node **out)
{
    uint8_t key[FS_KEY_SIZE];
    struct stat st;
    int err = take_key(m, key); /* before the host sees an empty file that nothing can open */
    crypto_wipe(key, sizeof(key));
    if (err)
        return err;
    int fd = host_open(host, O_RDWR | O_CREAT | O_EXCL, mode | 0600);
    if (fd < 0)
        return fd;
    err = host_fstat(fd, &st);
    if (err) {
        host_close(fd);
    } else {
        lock(&nodes_lock);
        err = new_node(fd, false, &st, m, host, true, out);
        unlock(&nodes_lock);
    }
    if (err)
        host_unlink(host, false);
    return err;
}

static int put_node(struct node *n)
{
    lock(&nodes_lock);
    bool last = --n->refs == 0;
    if (last)
        list_del(&n->link);
    unlock(&nodes_lock);
    if (!last)
        return 0;
    int err = pfs_close(n->pfs);
    if (err)
        log_error("closing an encrypted file failed: error %d; its last changes may be lost", -err);
    host_close(n->host_fd);
    if (n->bounce)
        crypto_wipe(n->bounce, BOUNCE);
    heap_free(n->bounce);
    heap_free(n);
    __atomic_fetch_sub(&files_to_flush, 1, __ATOMIC_RELEASE);
    return err;
}

/* What a read or write of an open file tells the application. */
static ssize io_result(int64_t r)
{
    switch (r) {
    case -EBADMSG:
        log_error("an encrypted file was altered on the host: reading it is refused from here on");
        return -EIO;
    case -EROFS:
        return -EBADF;
    }
    return r;
}

/* Under node.lock. Application memory may vanish while it is used, so cryptography never sees it.
 */
static char *bounce_of(struct node *n)
{
    if (!n->bounce)
        n->bounce = heap_alloc(BOUNCE);
    return n->bounce;
}

static ssize enc_read(struct file *f, void *buf, size_t n, int64_t pos)
{
    struct node *node = f->priv;
    ssize done = 0, r = 0;
    lock(&node->lock);
    char *bounce = bounce_of(node);
    while (bounce && (size_t)done < n) {
        size_t want = MIN(n - (size_t)done, BOUNCE);
        r = io_result(pfs_read(node->pfs, (uint64_t)(pos + done), bounce, want));
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
    struct node *node = f->priv;
    ssize done = 0, r = 0;
    lock(&node->lock);
    char *bounce = bounce_of(node);
    while (bounce && (size_t)done < n) {
        size_t want = MIN(n - (size_t)done, BOUNCE);
        if (copy_checked(bounce, (const char *)buf + done, want)) {
            r = -EFAULT;
            break;
        }
        r = io_result(pfs_write(node->pfs, (uint64_t)(pos + done), bounce, want));
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
    struct node *n = f->priv;
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
    struct node *n = f->priv;
    int err = host_fstat(n->host_fd, st);
    if (!err)
        show_size(st, enc_size(f));
    return err;
}

static int enc_truncate(struct file *f, int64_t size)
{
    struct node *n = f->priv;
    lock(&n->lock);
    int err = (int)io_result(pfs_set_size(n->pfs, (uint64_t)size));
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

static int flush_node(struct node *n, bool sync)
{
    lock(&n->lock);
    int err = (int)io_result(pfs_flush(n->pfs, sync));
    unlock(&n->lock);
    return err;
}

static int enc_sync(struct file *f, bool data_only)
{
    (void)data_only;
    return flush_node(f->priv, true);
}

static int enc_flush(struct file *f)
{
    return (f->flags & O_ACCMODE) == O_RDONLY ? 0 : flush_node(f->priv, false);
}

static int enc_fchmod(struct file *f, uint32_t mode)
{
    return host_fchmod(((struct node *)f->priv)->host_fd, mode | 0600);
}

static int enc_fchown(struct file *f, uint32_t uid, uint32_t gid)
{
    return host_fchown(((struct node *)f->priv)->host_fd, uid, gid);
}

static int enc_futimens(struct file *f, const struct __kernel_timespec ts[2])
{
    return host_utimens(((struct node *)f->priv)->host_fd, NULL, ts, 0);
}

/* A copy of the content, made now; pages behind the end of the file read as zeros. */
static int enc_mmap(struct file *f, uintptr_t addr, size_t len, int prot, int flags, int64_t off)
{
    struct node *n = f->priv;
    (void)prot, (void)flags;
    int64_t r = 1;
    size_t done = 0;
    lock(&n->lock);
    while (done < len && r > 0) {
        r = pfs_read(n->pfs, (uint64_t)off + done, (char *)addr + done, len - done);
        done += r > 0 ? (size_t)r : 0;
    }
    unlock(&n->lock);
    return r < 0 ? (int)io_result(r) : 0;
}

static int enc_mmap_sync(struct file *f, uintptr_t addr, size_t len, int64_t off)
{
    struct node *n = f->priv;
    lock(&n->lock);
    int64_t size = (int64_t)pfs_size(n->pfs), r = 0;
    size_t keep = off < size ? MIN((size_t)(size - off), len) : 0, done = 0;
    while (done < keep && r >= 0) {
        r = pfs_write(n->pfs, (uint64_t)off + done, (char *)addr + done, keep - done);
        done += r > 0 ? (size_t)r : 0;
    }
    unlock(&n->lock);
    return r < 0 ? (int)io_result(r) : 0;
}

static int enc_lock_fd(struct file *f)
{
    return ((struct node *)f->priv)->host_fd;
}

static void enc_release(struct file *f)
{
    put_node(f->priv);
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

static int wrap(struct node *n, uint32_t flags, struct file **out)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    int err = writes && n->readonly ? -EACCES : 0;
    if (!err && flags & O_TRUNC && writes) {
        lock(&n->lock);
        err = (int)io_result(pfs_set_size(n->pfs, 0));
        unlock(&n->lock);
    }
    *out = err ? NULL : file_new(&encrypted_ops, FILE_REGULAR, -1, flags);
    if (!*out) {
        put_node(n);
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
    struct node *n;
    int err = mount_host_path(m, rel, host);
    if (err)
        return err;
    err = host_stat(host, !(flags & O_NOFOLLOW), &st);
    if (err == -ENOENT && flags & O_CREAT) {
        err = create_node(m, host, mode, &n);
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
    err = get_node(m, host, flags & O_CREAT && flags & O_TRUNC, &n);
    return err ? err : wrap(n, flags, out);
}

static int enc_stat(struct mount *m, const char *rel, bool follow, kstat *st)
{
    char host[PATH_LIMIT];
    struct node *n;
    int err = mount_host_path(m, rel, host);
    if (!err)
        err = host_stat(host, follow, st);
    if (err || (st->st_mode & S_TYPE) != S_REG)
        return err;
    err = get_node(m, host, false, &n);
    if (err)
        return err;
    lock(&n->lock);
    show_size(st, (int64_t)pfs_size(n->pfs));
    unlock(&n->lock);
    put_node(n);
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

static int set_path(struct node *n, const char *host)
{
    lock(&n->lock);
    int err = (int)io_result(pfs_rename(n->pfs, host));
    unlock(&n->lock);
    return err;
}

static int enc_rename(struct mount *m, const char *from, const char *to, uint32_t flags)
{
    char host_from[PATH_LIMIT], host_to[PATH_LIMIT];
    struct stat st;
    struct node *n;
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
    err = get_node(m, host_from, false, &n);
    if (err)
        return err;
    err = set_path(n, host_to);
    if (!err) {
        err = host_rename(host_from, host_to, flags);
        if (err)
            set_path(n, host_from);
    }
    put_node(n);
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

void encrypted_before_fork(void)
{
    list_for_each (it, &nodes)
        flush_node(list_entry(it, struct node, link), false);
}

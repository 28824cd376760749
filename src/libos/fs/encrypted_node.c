/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "crypto/crypto.h"
#include "host/host.h"
#include "libos/fs/encrypted.h"
#include "libos/fs/encrypted_map.h"
#include "libos/fs/keys.h"
#include "libos/log.h"
#include "platform/platform.h"

#define S_TYPE 0170000
#define S_REG  0100000

#define UTIME_OMIT_K 0x3ffffffeL

/* Lock order: nodes_lock above node.lock. */
static struct lock nodes_lock;
static struct list nodes = {&nodes, &nodes};

static int64_t back_read(void *ctx, void *buf, size_t n, uint64_t off)
{
    return host_pread(((struct enc_node *)ctx)->host_fd, buf, n, (int64_t)off);
}

static int64_t back_write(void *ctx, const void *buf, size_t n, uint64_t off)
{
    return host_pwrite(((struct enc_node *)ctx)->host_fd, buf, n, (int64_t)off);
}

static int back_truncate(void *ctx, uint64_t size)
{
    return host_ftruncate(((struct enc_node *)ctx)->host_fd, (int64_t)size);
}

static int64_t back_size(void *ctx)
{
    struct stat st;
    int err = host_fstat(((struct enc_node *)ctx)->host_fd, &st);
    return err ? err : st.st_size;
}

static int back_sync(void *ctx)
{
    return host_fsync(((struct enc_node *)ctx)->host_fd, false);
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
        why = "its creation was interrupted before anything was synced (remove it)";
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
    case -EUCLEAN:
        why = "a write was interrupted, and its recovery log is missing or does not fit";
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

static int open_context(struct enc_node *n, const struct mount *m, const char *host, bool replace)
{
    uint8_t key[FS_KEY_SIZE];
    struct pfs_backend back = {.ctx = n,
                               .read_at = back_read,
                               .write_at = back_write,
                               .truncate = back_truncate,
                               .size = back_size,
                               .sync = back_sync};
    struct pfs_open_args args = {.flags =
                                     PFS_REFUSE_PENDING | (n->writable ? PFS_CREATE : PFS_READONLY),
                                 .path = host,
                                 .boot_id = enc_boot_id()};
    struct pfs_info info;
    int err = take_key(m, key);
    if (!err)
        err = pfs_open(&env, &back, key, &args, &n->pfs);
    if (err == -EUCLEAN)
        err = enc_open_with_log(host, &env, &back, key, &args, &n->pfs);
    if (err == -ENODATA && replace && !n->readonly) {
        args.flags = PFS_CREATE;
        err = pfs_open(&env, &back, key, &args, &n->pfs);
        n->writable = !err;
    }
    crypto_wipe(key, sizeof(key));
    if (err)
        return err;
    pfs_info(n->pfs, &info);
    if (info.recovered && !info.pending)
        log_warning("encrypted file '%s': an interrupted write was undone", host);
    if (info.unsettled && !n->readonly) {
        err = pfs_refresh(n->pfs, true);
        n->writable = !err;
        if (err)
            pfs_close(n->pfs);
    }
    return err;
}

static struct enc_node *find_node(uint64_t dev, uint64_t ino)
{
    list_for_each (it, &nodes) {
        struct enc_node *n = list_entry(it, struct enc_node, link);
        if (n->dev == dev && n->ino == ino)
            return n;
    }
    return NULL;
}

/* Under nodes_lock; `fd` is taken over. */
static int new_node(int fd, bool readonly, const struct stat *st, const struct mount *m,
                    const char *host, bool create, bool replace, struct enc_node **out)
{
    struct enc_node *n = heap_zalloc(sizeof(*n));
    int err = n ? 0 : -ENOMEM;
    if (!err) {
        *n = (struct enc_node){.refs = 1,
                               .dev = st->st_dev,
                               .ino = st->st_ino,
                               .key_name = m->key_name,
                               .host_fd = fd,
                               .readonly = readonly,
                               .writable = create};
        err = explain(open_context(n, m, host, replace), host, m);
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

int enc_node_writable(struct enc_node *n)
{
    lock(&n->lock);
    int err = n->readonly   ? -EACCES
              : n->writable ? 0
                            : (int)enc_io_result(pfs_refresh(n->pfs, true));
    n->writable |= !err;
    unlock(&n->lock);
    return err;
}

struct enc_node *enc_node_find(uint64_t dev, uint64_t ino)
{
    lock(&nodes_lock);
    struct enc_node *n = find_node(dev, ino);
    if (n)
        n->refs++;
    unlock(&nodes_lock);
    return n;
}

/* A file that is open already, under a path: is it the one that the path and key stand for? */
static int check_open(struct enc_node *n, const struct mount *m, const char *host)
{
    char path[PFS_PATH_SIZE];
    int err = strcmp(n->key_name, m->key_name) == 0 ? 0 : -EKEYREJECTED;
    lock(&n->lock);
    if (!err && (pfs_normalize_path(host, path) || strcmp(path, pfs_path(n->pfs)) != 0))
        err = -EXDEV;
    unlock(&n->lock);
    return explain(err, host, m);
}

int enc_node_get(const struct mount *m, const char *host, bool replace, struct enc_node **out)
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
    struct enc_node *n = find_node(st.st_dev, st.st_ino);
    if (n) {
        host_close(fd);
        err = check_open(n, m, host);
        n->refs += !err;
        *out = n;
    } else {
        err = new_node(fd, readonly, &st, m, host, false, replace, out);
    }
    unlock(&nodes_lock);
    return err;
}

int enc_node_create(const struct mount *m, const char *host, uint32_t mode, struct enc_node **out)
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
        err = new_node(fd, false, &st, m, host, true, false, out);
        unlock(&nodes_lock);
    }
    if (err)
        host_unlink(host, false);
    return err;
}

/* After a flush, which changed the host file's times: the one that was shown stays. */
static void settle_times(struct enc_node *n)
{
    struct __kernel_timespec ts[2] = {{.tv_nsec = UTIME_OMIT_K}, n->mtime};
    if (n->mtime_shown && !n->touched)
        host_utimens(n->host_fd, NULL, ts, 0);
    n->mtime_shown = n->touched = false;
}

int enc_node_put(struct enc_node *n)
{
    lock(&nodes_lock);
    bool last = --n->refs == 0;
    if (last)
        list_del(&n->link);
    unlock(&nodes_lock);
    if (!last)
        return 0;
    int err = enc_map_store(n, 0, INT64_MAX), closed = pfs_close(n->pfs);
    enc_map_drop(n);
    if (!err)
        err = closed;
    settle_times(n);
    if (err)
        log_error("closing an encrypted file failed: error %d; its last changes may be lost", -err);
    host_close(n->host_fd);
    if (n->bounce)
        crypto_wipe(n->bounce, ENC_BOUNCE);
    heap_free(n->bounce);
    heap_free(n);
    __atomic_fetch_sub(&files_to_flush, 1, __ATOMIC_RELEASE);
    return err;
}

/* What a read or write of an open file tells the application. */
ssize enc_io_result(int64_t r)
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

int enc_node_flush(struct enc_node *n, bool sync)
{
    lock(&n->lock);
    int err = enc_map_store(n, 0, INT64_MAX);
    int flushed = (int)enc_io_result(pfs_flush(n->pfs, sync));
    if (!flushed)
        settle_times(n);
    unlock(&n->lock);
    return err ? err : flushed;
}

void encrypted_before_fork(void)
{
    list_for_each (it, &nodes)
        enc_node_flush(list_entry(it, struct enc_node, link), false);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "crypto/crypto.h"
#include "host/host.h"
#include "libos/fs/encrypted.h"
#include "libos/fs/encrypted_map.h"
#include "libos/fs/encrypted_names.h"
#include "libos/fs/encrypted_share.h"
#include "libos/fs/keys.h"
#include "libos/lib/errors.h"
#include "libos/log.h"
#include "libos/process.h"
#include "platform/platform.h"
#include <asm/statfs.h>
#include <linux/magic.h>

#define UTIME_OMIT_K 0x3ffffffeL

struct lock enc_nodes_lock;
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

/* Others may let the copy share the blocks, which then have to be moved when one is overwritten. */
static bool copies(int fd)
{
    struct statfs s;
    return host_fstatfs(fd, &s) == 0 && (s.f_type == TMPFS_MAGIC || s.f_type == EXT4_SUPER_MAGIC);
}

static int64_t back_copy(void *ctx, uint64_t from, uint64_t to, size_t n)
{
    const struct enc_node *node = ctx;
    return node->copies ? host_copy_range(node->host_fd, (int64_t)from, (int64_t)to, n) : -ENOSYS;
}

static void free_sized(void *p, size_t size)
{
    (void)size;
    heap_free(p);
}

static const struct pfs_env env = {.alloc = heap_alloc,
                                   .free = free_sized,
                                   .random = platform_random,
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
        why = "its format version is unknown (encrypt it anew with `adyton encrypt`)";
        break;
    case -EKEYREJECTED:
        why = "wrong key, or the file was altered (`adyton inspect` with the key's file tells; use "
              "the "
              "key that it was encrypted with, or restore the file)";
        break;
    case -EXDEV:
        why = "it was encrypted for another path (`adyton inspect` shows for which; the uri of the "
              "mount must lead to just that path, or encrypt it anew for this one)";
        break;
    case -EUCLEAN:
        why = "a write was interrupted, and its recovery log is missing or does not fit (restore "
              "both files from a copy)";
        break;
    case -EBADMSG:
        why = "its content was altered or is incomplete (restore it from a copy)";
        break;
    default:
        return err;
    }
    log_error("encrypted file '%s' (key '%s') refused: %s", host ? host : "?", m->key_name, why);
    return -EACCES;
}

static int take_key(const struct mount *m, uint8_t key[FS_KEY_SIZE])
{
    struct fs_key *k = key_find(m->key_name);
    int err = k ? key_get(k, key) : -ENOKEY;
    if (!err)
        return 0;
    if (key_is_sealing(m->key_name)) {
        log_error(
            "the encrypted mount '%s': the key '%s' is a sealing key of an SGX enclave, and this "
            "is a run without one: name another key in key_name",
            m->path, m->key_name);
        return -EACCES;
    }
    log_error("the key '%s' of the encrypted mount '%s' is not set: provision it, write 16 bytes "
              "to /dev/attestation/keys/%s, or (insecure) set fs.insecure__keys.%s",
              m->key_name, m->path, m->key_name, m->key_name);
    return -EACCES;
}

/* What all encrypted files keep in memory; locked by the library. */
static struct pfs_pool pool;

/* Under node.lock; `host` NULL: whatever path the file is stored for. `replace`: an interrupted
 * creation counts as new. */
static int open_context(struct enc_node *n, const char *host, bool create, bool replace)
{
    struct pfs_backend back = {.ctx = n,
                               .read_at = back_read,
                               .write_at = back_write,
                               .truncate = back_truncate,
                               .size = back_size,
                               .sync = back_sync,
                               .copy = back_copy};
    if (!pool.limit)
        pool.limit = MAX(run.manifest.image->encrypted_cache, 1UL);
    struct pfs_open_args args = {.pool = &pool,
                                 .flags = PFS_REFUSE_PENDING | (create        ? PFS_CREATE
                                                                : n->writable ? 0
                                                                              : PFS_READONLY),
                                 .path = host,
                                 .boot_id = enc_boot_id()};
    struct pfs_info info;
    int err = pfs_open(&env, &back, n->key, &args, &n->pfs);
    if (err == -EUCLEAN && host)
        err = enc_open_with_log(host, &env, &back, n->key, &args, &n->pfs);
    if (err == -ENODATA && replace && !n->readonly) {
        args.flags = PFS_CREATE;
        err = pfs_open(&env, &back, n->key, &args, &n->pfs);
        n->writable = !err;
    }
    if (err)
        return err;
    n->writable |= create;
    pfs_info(n->pfs, &info);
    if (info.recovered && !info.pending)
        log_warning("encrypted file '%s': an interrupted write was undone", pfs_path(n->pfs));
    if (info.unsettled && !n->readonly) {
        err = pfs_refresh(n->pfs, true);
        n->writable = !err;
    }
    if (err) {
        pfs_discard(n->pfs);
        n->pfs = NULL;
    }
    return err;
}

int enc_node_reload(struct enc_node *n)
{
    if (n->pfs)
        pfs_discard(n->pfs);
    n->pfs = NULL;
    n->stale = false;
    int err = open_context(n, NULL, false, false);
    if (!err)
        return enc_map_refresh(n);
    log_error("an encrypted file that another process has changed cannot be read: %s",
              ERROR_TEXT(err));
    return -EIO;
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

void enc_nodes_each(void (*fn)(struct enc_node *n))
{
    list_for_each (it, &nodes)
        fn(list_entry(it, struct enc_node, link));
}

/* The context in the list, counted; a new one is locked. NULL: no memory. */
static struct enc_node *enter(uint64_t dev, uint64_t ino, bool *new)
{
    lock(&enc_nodes_lock);
    struct enc_node *n = find_node(dev, ino);
    *new = !n;
    if (n) {
        n->refs++;
    } else if ((n = heap_zalloc(sizeof(*n)))) {
        n->refs = 1;
        n->dev = dev;
        n->ino = ino;
        n->host_fd = -1;
        list_init(&n->files);
        lock(&n->lock);
        enc_share_join(n);
        list_add_tail(&nodes, &n->link);
        __atomic_fetch_add(&files_to_flush, 1, __ATOMIC_RELEASE);
    }
    unlock(&enc_nodes_lock);
    return n;
}

/* A file that is open already: is it the one that the path and key stand for? */
static int check_open(struct enc_node *n, const struct mount *m, const char *path)
{
    char normal[PFS_PATH_SIZE];
    if (n->error)
        return n->error;
    int err = enc_begin(n, false);
    if (err)
        return err;
    if (strcmp(n->key_name, m->key_name) != 0)
        err = -EKEYREJECTED;
    else if (path && (pfs_normalize_path(path, normal) || strcmp(normal, pfs_path(n->pfs)) != 0))
        err = -EXDEV;
    enc_end(n, false);
    return explain(err, path, m);
}

/* A new context, its host file open: reads the file, or makes it. */
static int first_open(struct enc_node *n, const struct mount *m, const char *host, bool create,
                      bool replace)
{
    n->key_name = m->key_name;
    n->copies = !n->readonly && copies(n->host_fd);
    int err = take_key(m, n->key);
    if (!err)
        err = enc_begin_open(n, host ? host : "?");
    if (err)
        return err;
    err = explain(open_context(n, host, create, replace), host, m);
    int ended = enc_end(n, !err);
    return err ? err : ended;
}

static int open_host(struct enc_node *n, const char *host)
{
    struct stat st;
    n->host_fd = host_open(host, O_RDWR | O_NOATIME, 0);
    if (n->host_fd == -EPERM) /* for owners only */
        n->host_fd = host_open(host, O_RDWR, 0);
    if (n->host_fd == -EACCES || n->host_fd == -EROFS || n->host_fd == -EPERM) {
        n->readonly = true;
        n->host_fd = host_open(host, O_RDONLY, 0);
    }
    int err = n->host_fd < 0 ? n->host_fd : host_fstat(n->host_fd, &st);
    if (err)
        return err;
    /* Replaced since it was looked up: say so to the caller, who looks again. */
    return st.st_dev != n->dev || st.st_ino != n->ino ? -ESTALE : 0;
}

static int get_once(const struct mount *m, const char *host, const char *path, const kstat *st,
                    bool replace, struct enc_node **out)
{
    bool new;
    struct enc_node *n = enter(st->st_dev, st->st_ino, &new);
    if (!n)
        return -ENOMEM;
    if (!new)
        lock(&n->lock);
    int err = new ? open_host(n, host) : check_open(n, m, path);
    if (new && !err)
        err = first_open(n, m, path, false, replace);
    if (new)
        n->error = err;
    unlock(&n->lock);
    if (err)
        enc_node_put(n);
    *out = n;
    return err;
}

int enc_node_get(const struct mount *m, const char *host, const char *path, const kstat *st,
                 bool replace, struct enc_node **out)
{
    kstat now = *st;
    for (int tries = 0;; tries++) {
        if ((now.st_mode & S_IFMT) != S_IFREG)
            return -EACCES;
        int err = get_once(m, host, path, &now, replace, out);
        if (err != -ESTALE || tries == 8)
            return err == -ESTALE ? -EAGAIN : err;
        err = host_stat(host, true, &now);
        if (err)
            return err;
    }
}

int enc_node_make(int fd, const struct mount *m, const char *path, uint32_t mode,
                  struct enc_node **out)
{
    struct stat st;
    bool new = false;
    int err = host_fstat(fd, &st);
    struct enc_node *n = err ? NULL : enter(st.st_dev, st.st_ino, &new);
    if (!new) {
        if (n)
            enc_node_put(n);
        host_close(fd);
        return err ? err : n ? -EEXIST : -ENOMEM;
    }
    n->host_fd = fd;
    enc_mode_set(n->dev, n->ino, mode);
    err = n->error = first_open(n, m, path, true, false);
    unlock(&n->lock);
    if (err)
        enc_node_put(n);
    *out = n;
    return err;
}

int enc_reopen(struct enc_node *n)
{
    char name[40];
    fmt(name, sizeof(name), "/proc/self/fd/%d", n->host_fd);
    return host_open(name, n->readonly ? O_RDONLY : O_RDWR, 0);
}

int enc_node_name(struct enc_node *n, const char *host)
{
    char from[40];
    fmt(from, sizeof(from), "/proc/self/fd/%d", n->host_fd);
    int err = host_link(from, host, true);
    n->new_name = !err;
    return err;
}

/* Made without a name, a file that has one is never half made. */
static int create_nameless(const struct mount *m, const char *host, uint32_t mode,
                           struct enc_node **out)
{
    int fd = enc_open_parent(host, O_RDWR | O_TMPFILE, mode | 0600);
    int err = fd < 0 ? fd : enc_node_make(fd, m, host, mode, out);
    if (err)
        return err;
    err = enc_node_name(*out, host);
    if (err)
        enc_node_put(*out);
    return err;
}

static int create_named(const struct mount *m, const char *host, uint32_t mode,
                        struct enc_node **out)
{
    int fd = host_open(host, O_RDWR | O_CREAT | O_EXCL, mode | 0600);
    int err = fd < 0 ? fd : enc_node_make(fd, m, host, mode, out);
    if (err && fd >= 0)
        host_unlink(host, false);
    if (!err)
        (*out)->new_name = true;
    return err;
}

int enc_node_create(const struct mount *m, const char *host, uint32_t mode, struct enc_node **out)
{
    uint8_t key[FS_KEY_SIZE];
    int err = take_key(m, key); /* before the host sees an empty file that nothing can open */
    crypto_wipe(key, sizeof(key));
    if (err)
        return err;
    err = create_nameless(m, host, mode, out);
    switch (err) {
    case -EOPNOTSUPP: /* not every host file system can */
    case -EISDIR:
    case -EACCES: /* nor names it without /proc */
    case -EPERM:
    case -ENOENT:
    case -EXDEV:
        return create_named(m, host, mode, out);
    }
    return err;
}

void enc_settle_times(struct enc_node *n)
{
    struct __kernel_timespec ts[2] = {{.tv_nsec = UTIME_OMIT_K}, n->mtime};
    if (n->mtime_shown && !n->touched)
        host_utimens(n->host_fd, NULL, ts, 0);
    n->mtime_shown = n->touched = false;
}

static void keep_times(struct enc_node *n, const struct stat *st)
{
    struct __kernel_timespec ts[2] = {{.tv_nsec = UTIME_OMIT_K},
                                      {(long)st->st_mtime, (long)st->st_mtime_nsec}};
    host_utimens(n->host_fd, NULL, ts, 0);
}

/* Nobody else knows the context any more. Closing writes: what is dirty, and what is tidied up. */
static int close_context(struct enc_node *n)
{
    int err = n->pfs && n->writable ? enc_begin(n, true) : 0;
    if (n->pfs && (err || n->stale)) {
        pfs_discard(n->pfs);
    } else if (n->pfs && n->writable) {
        struct stat st;
        err = enc_map_store(n, 0, INT64_MAX);
        int flushed = pfs_flush(n->pfs, false);
        if (!flushed)
            enc_settle_times(n);
        bool known = host_fstat(n->host_fd, &st) == 0;
        int closed = 0;
        if (n->keep_log && !flushed)
            pfs_discard(n->pfs);
        else
            closed = pfs_close(n->pfs); /* tidies up */
        if (known)
            keep_times(n, &st);
        err = err ? err : flushed ? flushed : closed;
    } else if (n->pfs) {
        pfs_close(n->pfs);
    }
    n->pfs = NULL;
    if (err)
        log_error("closing an encrypted file failed: %s; its last changes may be lost",
                  ERROR_TEXT(err));
    enc_map_drop(n);
    return err;
}

int enc_node_put(struct enc_node *n)
{
    lock(&enc_nodes_lock);
    bool last = --n->refs == 0;
    if (last)
        list_del(&n->link);
    unlock(&enc_nodes_lock);
    if (!last)
        return 0;
    int err = close_context(n);
    enc_share_leave(n);
    if (n->host_fd >= 0)
        host_close(n->host_fd);
    if (n->bounce)
        crypto_wipe(n->bounce, n->bounce_used);
    heap_free(n->bounce);
    crypto_wipe(n->key, sizeof(n->key));
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

/* Once after its creation a file's name is synced with it. Under node.lock. */
static int sync_name(struct enc_node *n)
{
    int err = n->new_name ? enc_sync_parent(pfs_path(n->pfs)) : 0;
    if (err == -ENOENT || err == -ENOTDIR || err == -EACCES) /* removed, or not ours to see */
        err = 0;
    n->new_name = err;
    return err;
}

int enc_node_flush(struct enc_node *n, bool sync)
{
    lock(&n->lock);
    bool write = n->writable;
    int err = enc_begin(n, write);
    if (!err) {
        err = enc_map_store(n, 0, INT64_MAX);
        int flushed = (int)enc_io_result(pfs_flush(n->pfs, sync));
        if (!flushed && sync)
            flushed = sync_name(n);
        if (!flushed)
            enc_settle_times(n);
        int ended = enc_end(n, write);
        err = err ? err : flushed ? flushed : ended;
    }
    unlock(&n->lock);
    return err;
}

int encrypted_flush_all(bool sync)
{
    lock(&enc_nodes_lock);
    size_t count = 0, i = 0;
    list_for_each (it, &nodes)
        count++;
    struct enc_node **all = heap_alloc((count + 1) * sizeof(struct enc_node *));
    list_for_each (it, &nodes) {
        struct enc_node *n = list_entry(it, struct enc_node, link);
        if (all) {
            n->refs++;
            all[i++] = n;
        }
    }
    unlock(&enc_nodes_lock);
    int err = all ? 0 : -ENOMEM;
    while (i--) {
        int e = all[i]->error ? 0 : enc_node_flush(all[i], sync);
        err = err ? err : e;
        enc_node_put(all[i]);
    }
    heap_free(all);
    return err;
}

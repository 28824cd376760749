/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Mounts of type "encrypted": each regular file below is an encrypted file (src/pfs) on the host.
 */
#include "host/host.h"
#include "libos/fs/encrypted_names.h"
#include "libos/fs/encrypted_share.h"
#include "libos/fs/links.h"
#include "platform/platform.h"

/* Another process that has mapped it may refuse writing: better now than at the first write. */
static int wrap(struct enc_node *n, uint32_t flags, struct file **out)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
    int err = 0;
    if (writes) {
        lock(&n->lock);
        err = n->readonly ? -EACCES : enc_begin(n, true);
        if (!err) {
            bool cut = flags & O_TRUNC && pfs_size(n->pfs);
            err = cut ? enc_set_size(n, 0) : 0;
            int ended = enc_end(n, cut);
            err = err ? err : ended;
        }
        unlock(&n->lock);
    }
    if (err) {
        enc_node_put(n);
        return err;
    }
    return enc_file_new(n, flags, out);
}

/* O_TMPFILE: a file without a name is bound to none that exists until it gets one. */
static int open_tmpfile(struct mount *m, const char *host, uint32_t flags, uint32_t mode,
                        struct file **out)
{
    char name[PATH_LIMIT];
    struct enc_node *n;
    uint64_t random;
    int err = platform_random(&random, sizeof(random));
    int len = fmt(name, sizeof(name), "%s/.gramine.recovery/%lx", host, (unsigned long)random);
    if (err || len >= (int)sizeof(name))
        return err ? err : -ENAMETOOLONG;
    int fd = host_open(host, O_RDWR | O_TMPFILE | (flags & O_EXCL), mode | 0600);
    if (fd < 0)
        return fd;
    err = enc_node_make(fd, m, name, mode, &n);
    return err ? err : enc_file_new(n, flags, out);
}

static int enc_open(struct mount *m, const char *rel, uint32_t flags, uint32_t mode,
                    struct file **out)
{
    char host[PATH_LIMIT];
    struct stat st;
    struct enc_node *n;
    int err = enc_host_path(m, rel, host);
    if (err)
        return err;
    if (flags & __O_TMPFILE)
        return open_tmpfile(m, host, flags, mode, out);
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
    if ((st.st_mode & S_IFMT) == S_IFDIR || (flags & O_PATH && (st.st_mode & S_IFMT) != S_IFREG))
        return enc_open_dir(host, flags & ~(uint32_t)O_TRUNC, out);
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    err = enc_node_get(m, host, host, &st, flags & O_CREAT, &n);
    if (err)
        return err;
    return flags & O_PATH ? enc_file_new(n, flags, out) : wrap(n, flags, out);
}

static int enc_stat(struct mount *m, const char *rel, bool follow, kstat *st)
{
    char host[PATH_LIMIT];
    struct enc_node *n;
    int err = enc_host_path(m, rel, host);
    if (!err)
        err = host_stat(host, follow, st);
    if (err || (st->st_mode & S_IFMT) != S_IFREG)
        return err;
    err = enc_node_get(m, host, host, st, false, &n);
    if (err)
        return err;
    lock(&n->lock);
    err = enc_begin(n, false);
    if (!err)
        err = host_fstat(n->host_fd, st); /* another process may have let go of it just now */
    if (!err) {
        enc_describe(n, st);
        err = enc_end(n, false);
    }
    unlock(&n->lock);
    enc_node_put(n);
    return err;
}

static int enc_access(struct mount *m, const char *rel, int mode, int flags)
{
    char host[PATH_LIMIT];
    int err = enc_host_path(m, rel, host);
    return err ? err : host_access(host, mode, flags);
}

static int enc_unlink(struct mount *m, const char *rel, bool dir)
{
    char host[PATH_LIMIT];
    int err = enc_host_path(m, rel, host);
    if (!err)
        err = dir ? enc_remove_dir(host) : host_unlink(host, false);
    if (!err && dir)
        links_moved();
    return err;
}

static int enc_mkdir(struct mount *m, const char *rel, uint32_t mode)
{
    char host[PATH_LIMIT];
    int err = enc_host_path(m, rel, host);
    return err ? err : host_mkdir(host, mode);
}

/* Regular files only: what goes through other objects would not be encrypted. */
static int enc_mknod(struct mount *m, const char *rel, uint32_t mode, uint64_t dev)
{
    char host[PATH_LIMIT];
    struct enc_node *n;
    (void)dev;
    int err = enc_host_path(m, rel, host);
    if (err || (mode & S_IFMT && (mode & S_IFMT) != S_IFREG))
        return err ? err : -EPERM;
    err = enc_node_create(m, host, mode & 07777, &n);
    return err ? err : enc_node_put(n);
}

static int enc_link_file(struct mount *m, struct file *f, const char *to)
{
    struct enc_node *n = ((struct enc_file *)f->priv)->node;
    char host[PATH_LIMIT];
    int err = enc_host_path(m, to, host);
    if (err)
        return err;
    lock(&n->lock);
    err = enc_begin(n, true);
    if (!err) {
        err = (int)enc_io_result(pfs_rename(n->pfs, host));
        int ended = enc_end(n, true);
        err = err ? err : ended;
    }
    if (!err)
        err = enc_node_name(n, host);
    unlock(&n->lock);
    return err;
}

static int enc_chmod(struct mount *m, const char *rel, uint32_t mode)
{
    char host[PATH_LIMIT];
    struct stat st;
    int err = enc_host_path(m, rel, host);
    if (!err)
        err = host_stat(host, true, &st);
    if (!err && (st.st_mode & S_IFMT) == S_IFREG)
        mode = enc_mode_set(st.st_dev, st.st_ino, mode);
    return err ? err : host_chmod(host, mode);
}

static int enc_chown(struct mount *m, const char *rel, uint32_t uid, uint32_t gid, bool follow)
{
    char host[PATH_LIMIT];
    int err = enc_host_path(m, rel, host);
    return err ? err : host_chown(host, uid, gid, follow);
}

static int enc_utimens(struct mount *m, const char *rel, const struct __kernel_timespec ts[2],
                       bool follow)
{
    char host[PATH_LIMIT];
    int err = enc_host_path(m, rel, host);
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
                                    .mknod = enc_mknod,
                                    .link_file = enc_link_file,
                                    .rename = enc_rename,
                                    .chmod = enc_chmod,
                                    .chown = enc_chown,
                                    .utimens = enc_utimens,
                                    .statfs = enc_statfs};

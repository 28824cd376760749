/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Mounts of type "encrypted": each regular file below is an encrypted file (src/pfs) on the host.
 */
#include "crypto/crypto.h"
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/fs/encrypted_share.h"
#include <linux/mman.h>

#define S_TYPE 0170000
#define S_DIR  0040000
#define S_REG  0100000

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
    err = enc_node_get(m, host, &st, flags & O_CREAT, &n);
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
    err = enc_node_get(m, host, st, false, &n);
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
    int err = enc_begin(n, true);
    if (!err) {
        err = (int)enc_io_result(pfs_rename(n->pfs, host));
        int ended = enc_end(n, true);
        err = err ? err : ended;
    }
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
    err = enc_node_get(m, host_from, &st, false, &n);
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

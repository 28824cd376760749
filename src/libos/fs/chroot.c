/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Mounts of type "chroot": a host directory or file seen through the file policy. */
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/fs/policy.h"
#include "libos/fs/vfs.h"
#include "libos/log.h"
#include "libos/thread.h"
#include <asm/unistd.h>
#include <linux/fs.h>

#define S_TYPE 0170000
#define S_DIR  0040000
#define S_FIFO 0010000
#define S_REG  0100000

static int64_t regular_size(struct file *f)
{
    struct stat st;
    int err = host_fstat(f->host_fd, &st);
    return err ? err : st.st_size;
}

static const struct file_ops regular_ops = {.name = "file", .size = regular_size};
static const struct file_ops stream_ops = {.name = "dev"};

void file_look(struct file *f, const struct stat *known)
{
    struct stat st = {.st_mode = S_REG};
    if (!known)
        host_fstat(f->host_fd, &st);
    uint32_t type = (known ? known : &st)->st_mode & S_TYPE;
    /* Several threads may come here; the kind says that the rest is in place. */
    if (type == S_DIR) {
        f->ops = &host_dir_ops;
        f->host_offset = false;
    } else if (type != S_REG) {
        f->ops = &stream_ops;
    }
    enum file_kind kind = type == S_DIR ? FILE_DIR : type == S_REG ? FILE_REGULAR : FILE_STREAM;
    __atomic_store_n(&f->kind, kind, __ATOMIC_RELEASE);
}

int file_from_host_unseen(int fd, uint32_t flags, struct file **out)
{
    *out = file_new(&regular_ops, FILE_UNSEEN, fd, flags);
    if (!*out)
        return -ENOMEM;
    (*out)->host_offset = true;
    (*out)->seekable = true;
    return 0;
}

int file_from_host(int fd, uint32_t flags, struct file **out)
{
    struct stat st;
    int err = host_fstat(fd, &st);
    if (!err)
        err = file_from_host_unseen(fd, flags, out);
    if (!err)
        file_look(*out, &st);
    return err;
}

/* Opening a FIFO waits and can be interrupted; opening anything else is done in any case. */
static int open_waiting(const char *host, uint32_t flags, uint32_t mode)
{
    struct stat st;
    for (;;) {
        int fd = host_open_blocking(host, flags, mode);
        if (fd != -EINTR)
            return fd;
        if (!interrupted())
            continue;
        bool fifo = host_stat(host, true, &st) == 0 && (st.st_mode & S_TYPE) == S_FIFO;
        return fifo ? -ERESTARTSYS : host_open(host, flags, mode);
    }
}

static int open_host(const char *host, uint32_t flags, uint32_t mode, struct file **out)
{
    int fd = open_waiting(host, flags, mode);
    if (fd < 0)
        return fd;
    int err = file_from_host_unseen(fd, flags, out);
    if (err)
        host_close(fd);
    return err;
}

/* A path that the policy does not know: directories are open to all. */
static int open_denied(const char *host, uint32_t flags, struct file **out)
{
    struct stat st;
    int err = host_stat(host, !(flags & O_NOFOLLOW), &st);
    if (err && !(err == -ENOENT && flags & O_CREAT))
        return err;
    if (!err && flags & O_CREAT && flags & O_EXCL)
        return -EEXIST;
    if (!err && ((st.st_mode & S_TYPE) == S_DIR || flags & O_PATH))
        return open_host(host, flags & ~(uint32_t)(O_CREAT | O_TRUNC), 0, out);
    policy_log_denied(host);
    return -EACCES;
}

static int open_trusted(const char *host, const struct mf_trusted *entry, uint32_t flags,
                        struct file **out)
{
    if (flags & O_PATH)
        return open_host(host, flags, 0, out);
    if (flags & O_CREAT && flags & O_EXCL) {
        struct stat st;
        if (host_stat(host, false, &st) == 0)
            return -EEXIST;
    }
    if ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC)
        return policy_check_change(host, true, "write");
    int fd = host_open(host, flags & ~(uint32_t)(O_CREAT | O_EXCL), 0);
    if (fd < 0)
        return fd;
    int err = trusted_open(fd, host, entry, flags, out);
    if (err)
        host_close(fd);
    return err;
}

static int chroot_open(struct mount *m, const char *rel, uint32_t flags, uint32_t mode,
                       struct file **out)
{
    char host[PATH_LIMIT];
    int err = mount_host_path(m, rel, host);
    if (err)
        return err;
    const struct mf_trusted *entry;
    enum file_class class = m->device ? CLASS_ALLOWED : policy_classify(host, &entry);
    switch (class) {
    case CLASS_ALLOWED:
        break;
    case CLASS_TRUSTED:
        return open_trusted(host, entry, flags, out);
    case CLASS_UNKNOWN_OK:
        err = open_host(host, flags, mode, out);
        if (!err && log_level_now >= LOG_WARNING) {
            file_look(*out, NULL);
            if ((*out)->kind == FILE_REGULAR)
                policy_log_unknown(host);
        }
        return err;
    case CLASS_DENIED:
        return open_denied(host, flags, out);
    }
    return open_host(host, flags, mode, out);
}

static int chroot_stat(struct mount *m, const char *rel, bool follow, kstat *st)
{
    char host[PATH_LIMIT];
    int err = mount_host_path(m, rel, host);
    return err ? err : host_stat(host, follow, st);
}

static int chroot_access(struct mount *m, const char *rel, int mode, int flags)
{
    char host[PATH_LIMIT];
    int err = mount_host_path(m, rel, host);
    return err ? err : host_access(host, mode, flags);
}

static ssize chroot_readlink(struct mount *m, const char *rel, char *buf, size_t size)
{
    char host[PATH_LIMIT];
    int err = mount_host_path(m, rel, host);
    return err ? err : host_readlink(host, buf, size);
}

/* Checks a change of what `rel` names, and gives its host path. */
static int changeable(struct mount *m, const char *rel, bool writes, const char *what,
                      char host[PATH_LIMIT])
{
    int err = mount_host_path(m, rel, host);
    return err || m->device ? err : policy_check_change(host, writes, what);
}

static int chroot_unlink(struct mount *m, const char *rel, bool dir)
{
    char host[PATH_LIMIT];
    struct stat st;
    int err = mount_host_path(m, rel, host);
    if (err)
        return err;
    if (!dir) {
        err = host_stat(host, false, &st);
        if (!err && (st.st_mode & S_TYPE) != S_DIR)
            err = changeable(m, rel, false, "remove", host);
    }
    return err ? err : host_unlink(host, dir);
}

static int chroot_mkdir(struct mount *m, const char *rel, uint32_t mode)
{
    char host[PATH_LIMIT];
    int err = mount_host_path(m, rel, host);
    return err ? err : host_mkdir(host, mode);
}

/* Creating a name: EEXIST comes before the policy, as the caller expects of Linux. */
static int creatable(struct mount *m, const char *rel, const char *what, char host[PATH_LIMIT])
{
    struct stat st;
    int err = mount_host_path(m, rel, host);
    if (err)
        return err;
    return host_stat(host, false, &st) == 0 ? -EEXIST : changeable(m, rel, true, what, host);
}

static int chroot_mknod(struct mount *m, const char *rel, uint32_t mode, uint64_t dev)
{
    char host[PATH_LIMIT];
    int err = creatable(m, rel, "create", host);
    return err ? err : host_mknod(host, mode, dev);
}

/* The host follows links: one must not lead from an allowed place to a file that is not. */
static int check_target(const char *target, const char *host)
{
    char dir[PATH_LIMIT], real[PATH_LIMIT];
    const struct mf_trusted *entry;
    const char *slash = strrchr(host, '/');
    fmt(dir, sizeof(dir), "%.*s", slash ? (int)(slash - host) + 1 : 1, slash ? host : ".");
    int err = target[0] == '/' ? path_normalise(target, real) : path_join(dir, target, real);
    if (err || policy_classify(real, &entry) != CLASS_DENIED)
        return err;
    policy_log_denied(real);
    return -EACCES;
}

static int chroot_symlink(struct mount *m, const char *target, const char *rel)
{
    char host[PATH_LIMIT];
    int err = creatable(m, rel, "create", host);
    if (!err && !m->device)
        err = check_target(target, host);
    return err ? err : host_symlink(target, host);
}

static int chroot_link(struct mount *m, const char *from, const char *to)
{
    char host_from[PATH_LIMIT], host_to[PATH_LIMIT];
    int err = mount_host_path(m, from, host_from);
    if (!err)
        err = creatable(m, to, "create", host_to);
    if (!err) /* a second name for a trusted or unknown file would escape its policy */
        err = changeable(m, from, true, "link", host_from);
    return err ? err : host_link(host_from, host_to, false);
}

static int chroot_link_file(struct mount *m, struct file *f, const char *to)
{
    char host_to[PATH_LIMIT], from[40];
    int err = creatable(m, to, "create", host_to);
    fmt(from, sizeof(from), "/proc/self/fd/%d", f->host_fd);
    return err ? err : host_link(from, host_to, true);
}

static int chroot_rename(struct mount *m, const char *from, const char *to, uint32_t flags)
{
    char host_from[PATH_LIMIT], host_to[PATH_LIMIT];
    struct stat st;
    int err = mount_host_path(m, from, host_from);
    if (!err)
        err = mount_host_path(m, to, host_to);
    if (!err)
        err = host_stat(host_from, false, &st);
    if (err)
        return err;
    if ((st.st_mode & S_TYPE) != S_DIR) {
        err = changeable(m, from, flags & RENAME_EXCHANGE, "rename", host_from);
        if (!err)
            err = changeable(m, to, true, "replace", host_to);
    }
    return err ? err : host_rename(host_from, host_to, flags);
}

/* Attributes of directories are free, those of files follow the policy. */
static int attribute_path(struct mount *m, const char *rel, bool follow, char host[PATH_LIMIT])
{
    struct stat st;
    int err = mount_host_path(m, rel, host);
    if (!err)
        err = host_stat(host, follow, &st);
    if (err || (st.st_mode & S_TYPE) == S_DIR)
        return err;
    return changeable(m, rel, false, "change", host);
}

static int chroot_chmod(struct mount *m, const char *rel, uint32_t mode)
{
    char host[PATH_LIMIT];
    int err = attribute_path(m, rel, true, host);
    return err ? err : host_chmod(host, mode);
}

static int chroot_chown(struct mount *m, const char *rel, uint32_t uid, uint32_t gid, bool follow)
{
    char host[PATH_LIMIT];
    int err = attribute_path(m, rel, follow, host);
    return err ? err : host_chown(host, uid, gid, follow);
}

static int chroot_utimens(struct mount *m, const char *rel, const struct __kernel_timespec ts[2],
                          bool follow)
{
    char host[PATH_LIMIT];
    int err = attribute_path(m, rel, follow, host);
    return err ? err : host_utimens(HOST_AT_FDCWD, host, ts, follow ? 0 : AT_SYMLINK_NOFOLLOW);
}

static int chroot_statfs(struct mount *m, struct statfs64_k *st)
{
    return host_statfs(m->uri, st);
}

const struct fs_ops fs_chroot = {.name = "chroot",
                                 .open = chroot_open,
                                 .stat = chroot_stat,
                                 .access = chroot_access,
                                 .readlink = chroot_readlink,
                                 .unlink = chroot_unlink,
                                 .mkdir = chroot_mkdir,
                                 .mknod = chroot_mknod,
                                 .symlink = chroot_symlink,
                                 .link = chroot_link,
                                 .link_file = chroot_link_file,
                                 .rename = chroot_rename,
                                 .chmod = chroot_chmod,
                                 .chown = chroot_chown,
                                 .utimens = chroot_utimens,
                                 .statfs = chroot_statfs};

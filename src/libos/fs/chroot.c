/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Mounts of type "chroot": a host directory or file seen through the file policy. */
#include "host/host.h"
#include "libos/fs/chroot.h"
#include "libos/fs/dir.h"
#include "libos/fs/policy.h"
#include "libos/fs/seen.h"
#include "libos/fs/vfs.h"
#include "libos/log.h"
#include "libos/thread.h"
#include <asm/unistd.h>
#include <linux/fs.h>

#define S_TYPE 0170000
#define S_DIR  0040000
#define S_FIFO 0010000
#define S_LINK 0120000
#define S_REG  0100000

/* Does open(2) with these flags follow a link that is the last name? */
static bool follows(uint32_t flags)
{
    return !(flags & O_NOFOLLOW) && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
}

/* Opening a FIFO waits and can be interrupted; opening anything else is done in any case. */
static ALWAYS_INLINE int open_waiting(const struct use *u, uint32_t flags, uint32_t mode)
{
    struct stat st;
    bool linkless = u->guarded || u->root >= 0; /* the last name of a walked path is to be none */
    for (;;) {
        int fd = linkless ? host_open_linkless(u->root, u->name, flags, mode, true)
                          : host_open_blocking(u->host, flags, mode);
        if (fd != -EINTR)
            return fd;
        if (!interrupted())
            continue;
        if (host_stat(u->host, true, &st) == 0 && (st.st_mode & S_TYPE) == S_FIFO)
            return -ERESTARTSYS;
        return linkless ? host_open_linkless(u->root, u->name, flags, mode, false)
                        : host_open(u->host, flags, mode);
    }
}

static ALWAYS_INLINE int open_host_here(struct use *u, uint32_t flags, uint32_t mode,
                                        struct file **out)
{
    int fd = open_waiting(u, use_flags(u, flags), mode);
    if (fd < 0)
        return fd == -ELOOP && u->guarded ? use_met_link(u) : fd;
    int err = file_from_host_unseen(fd, flags, out);
    if (err)
        host_close(fd);
    return err;
}

static NOINLINE int open_host(struct use *u, uint32_t flags, uint32_t mode, struct file **out)
{
    return open_host_here(u, flags, mode, out);
}

/* A path that the policy does not know: directories are open to all. */
static int open_denied(struct use *u, uint32_t flags, struct file **out)
{
    struct stat st;
    int err = host_stat(u->host, !(use_flags(u, flags) & O_NOFOLLOW), &st);
    if (err && !(err == -ENOENT && flags & O_CREAT))
        return err;
    if (!err && flags & O_CREAT && flags & O_EXCL)
        return -EEXIST;
    if (!err && ((st.st_mode & S_TYPE) == S_DIR || flags & O_PATH)) {
        flags |= flags & O_PATH ? 0 : O_DIRECTORY; /* it may have been exchanged */
        return open_host(u, flags & ~(uint32_t)(O_CREAT | O_TRUNC), 0, out);
    }
    return policy_refuse(u->path);
}

static int open_trusted(struct use *u, const struct mf_trusted *entry, uint32_t flags,
                        struct file **out)
{
    if (flags & O_PATH)
        return open_host(u, flags, 0, out);
    if (flags & O_CREAT && flags & O_EXCL) {
        struct stat st;
        if (host_stat(u->host, false, &st) == 0)
            return -EEXIST;
    }
    if ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC)
        return policy_check_change(u->path, true, "write");
    int fd = host_open(u->host, use_flags(u, flags & ~(uint32_t)(O_CREAT | O_EXCL)), 0);
    if (fd < 0)
        return fd;
    int err = trusted_open(fd, u->path, entry, flags, out);
    if (err)
        host_close(fd);
    return err;
}

static int open_by_class(const struct mount *m, const char *rel, struct use *u, uint32_t flags,
                         uint32_t mode, struct file **out)
{
    const struct mf_trusted *entry;
    bool may_meet = !u->walked && *rel && !m->source;
    size_t len = may_meet && !m->device ? strlen(u->path) : 0;
    bool root = len && !u->linkless && seen_root(u, len);
    enum file_class class = root || m->device ? CLASS_ALLOWED : policy_classify(u->path, &entry);
    int err = 0;
    if (u->linkless &&
        class != CLASS_ALLOWED) { /* links there are the author's, most of the time */
        err = use_walk(u, rel, follows(flags) ? USE_PLACE : USE_NAME);
        may_meet = false;
    }
    if (err)
        return err;
    switch (class) {
    case CLASS_ALLOWED:
        u->guarded = may_meet && !m->device;
        if (u->guarded && !root && !u->linkless)
            seen_no_root(u, len);
        break;
    case CLASS_TRUSTED:
        return open_trusted(u, entry, flags, out);
    case CLASS_UNKNOWN_OK:
        err = open_host(u, flags, mode, out);
        if (!err && log_level_now >= LOG_WARNING) {
            file_look(*out, NULL);
            if ((*out)->kind == FILE_REGULAR)
                policy_log_unknown(u->path);
        }
        return err;
    case CLASS_DENIED: /* a link of the author's may lead to where the program makes some */
        u->guarded = may_meet;
        return open_denied(u, flags, out);
    }
    return open_host_here(u, flags, mode, out);
}

static int chroot_open(struct mount *m, const char *rel, uint32_t flags, uint32_t mode,
                       struct file **out)
{
    struct use u;
    for (;;) {
        int err = use_tries_linkless(m, rel)
                      ? use_begin_linkless(&u, m, rel)
                      : use_begin_open(&u, m, rel, follows(flags) ? USE_PLACE : USE_NAME,
                                       flags & (O_CREAT | O_TRUNC));
        if (!err)
            err = open_by_class(m, rel, &u, flags, mode, out);
        use_end(&u);
        if (!use_again(&u))
            return err;
        if (!err)
            file_put(*out);
    }
}

/* What `u` names, walked. */
static int stat_walked(const struct use *u, bool follow, kstat *st)
{
    return u->whole && u->fd >= 0 ? host_fstat(u->fd, st)
                                  : host_stat_at(u->root, u->name, follow, st);
}

static NOINLINE int stat_linkless(struct mount *m, const char *rel, bool follow, kstat *st)
{
    struct use u;
    int err = use_begin_linkless(&u, m, rel);
    if (!err)
        err = u.fd = host_open_plain(HOST_AT_FDCWD, u.path, O_PATH | O_NOFOLLOW);
    if (err >= 0)
        err = host_fstat(u.fd, st);
    if (err == -ELOOP || (!err && follow && (st->st_mode & S_TYPE) == S_LINK)) {
        err = use_walk(&u, rel, follow ? USE_OBJECT : USE_NAME);
        if (!err)
            err = stat_walked(&u, follow, st);
    }
    use_end(&u);
    return err;
}

static int chroot_stat(struct mount *m, const char *rel, bool follow, kstat *st)
{
    struct use u;
    int err;
    if (use_tries_linkless(m, rel))
        return stat_linkless(m, rel, follow, st);
    do {
        err = use_begin_look(&u, m, rel, follow ? USE_OBJECT : USE_NAME);
        if (!err)
            err = unlikely(u.walked) ? stat_walked(&u, follow, st)
                                     : host_stat_at(u.root, u.name, follow && !u.guarded, st);
        if (!err && u.guarded && follow && (st->st_mode & S_TYPE) == S_LINK)
            err = use_met_link(&u);
        use_end(&u);
    } while (use_again(&u));
    return err;
}

static int chroot_access(struct mount *m, const char *rel, int mode, int flags)
{
    struct use u;
    kstat st;
    int err;
    bool follow = !(flags & AT_SYMLINK_NOFOLLOW);
    do {
        err = use_begin_look(&u, m, rel, follow ? USE_OBJECT : USE_NAME);
        if (!err && u.guarded && follow)
            err = host_stat(u.host, false, &st);
        if (!err && u.guarded && follow && (st.st_mode & S_TYPE) == S_LINK)
            err = use_met_link(&u);
        if (!err)
            err = host_access(u.host, mode, flags);
        use_end(&u);
    } while (use_again(&u));
    return err;
}

static ssize chroot_readlink(struct mount *m, const char *rel, char *buf, size_t size)
{
    struct use u;
    ssize n;
    do {
        n = use_begin_look(&u, m, rel, USE_NAME);
        if (!n)
            n = host_readlink(u.host, buf, size);
        use_end(&u);
    } while (use_again(&u));
    return n;
}

/* Checks a change of what `u` names. */
static int changeable(const struct mount *m, const struct use *u, bool writes, const char *what)
{
    return m->device ? 0 : policy_check_change(u->path, writes, what);
}

static int chroot_unlink(struct mount *m, const char *rel, bool dir)
{
    struct stat st;
    struct use u;
    int err = use_begin(&u, m, rel, USE_NAME, true);
    if (!err && !dir) {
        err = host_stat(u.host, false, &st);
        if (!err && (st.st_mode & S_TYPE) != S_DIR)
            err = changeable(m, &u, false, "remove");
    }
    if (!err)
        err = host_unlink(u.host, dir);
    if (!err && dir)
        links_moved();
    use_end(&u);
    return err;
}

static int chroot_mkdir(struct mount *m, const char *rel, uint32_t mode)
{
    struct use u;
    int err = use_begin(&u, m, rel, USE_NAME, true);
    if (!err)
        err = host_mkdir(u.host, mode);
    use_end(&u);
    return err;
}

/* Creating a name: EEXIST comes before the policy, as the caller expects of Linux. */
static int creatable(const struct mount *m, const struct use *u, const char *what)
{
    struct stat st;
    return host_stat(u->host, false, &st) == 0 ? -EEXIST : changeable(m, u, true, what);
}

static int chroot_mknod(struct mount *m, const char *rel, uint32_t mode, uint64_t dev)
{
    struct use u;
    int err = use_begin(&u, m, rel, USE_NAME, true);
    if (!err)
        err = creatable(m, &u, "create");
    if (!err)
        err = host_mknod(u.host, mode, dev);
    use_end(&u);
    return err;
}

/*
 * To a later run a link is the manifest author's, and the host follows it: no link is made that
 * leads to a file which the policy refuses.
 */
static int chroot_symlink(struct mount *m, const char *target, const char *rel)
{
    kstat st;
    struct use u;
    if (chroot_stat(m, rel, false, &st) == 0)
        return -EEXIST;
    links_note();
    int err = use_begin(&u, m, rel, USE_NAME, true);
    if (!err)
        err = creatable(m, &u, "create");
    if (!err && !m->device)
        err = policy_check_link(u.path, target);
    if (!err)
        err = links_keep();
    if (!err) {
        err = host_symlink(target, u.host);
        links_let_go();
    }
    if (!err)
        links_noted(u.host);
    use_end(&u);
    return err;
}

int chroot_check_link(const struct mount *m, const struct use *from, const struct use *to)
{
    char target[PATH_LIMIT];
    ssize n = host_readlink(from->host, target, sizeof(target) - 1);
    if (n < 0 || m->device)
        return 0;
    target[n] = 0;
    return policy_check_link_move(from->path, to->path, target);
}

static int link_link(const char *from, const char *to)
{
    int err = links_keep();
    if (!err) {
        err = host_link(from, to, false);
        links_let_go();
    }
    return err;
}

static int chroot_link(struct mount *m, const char *from, const char *to)
{
    struct use a, b;
    kstat st;
    int err = chroot_stat(m, from, false, &st);
    bool link = !err && (st.st_mode & S_TYPE) == S_LINK;
    if (err)
        return err;
    if (link)
        links_note();
    use_none(&b);
    err = use_begin(&a, m, from, USE_NAME, true);
    if (!err)
        err = use_begin(&b, m, to, USE_NAME, true);
    if (!err)
        err = creatable(m, &b, "create");
    if (!err) /* a second name for a trusted or unknown file would escape its policy */
        err = changeable(m, &a, true, "link");
    if (!err && link)
        err = chroot_check_link(m, &a, &b);
    if (!err)
        err = link ? link_link(a.host, b.host) : host_link(a.host, b.host, false);
    if (!err && link)
        links_noted(b.host);
    use_end(&b);
    use_end(&a);
    return err;
}

static int chroot_link_file(struct mount *m, struct file *f, const char *to)
{
    char from[40];
    struct use u;
    int err = use_begin(&u, m, to, USE_NAME, true);
    if (!err)
        err = creatable(m, &u, "create");
    fmt(from, sizeof(from), "/proc/self/fd/%d", f->host_fd);
    if (!err)
        err = host_link(from, u.host, true);
    use_end(&u);
    return err;
}

/* Attributes of directories are free, those of files follow the policy. */
static int attribute_begin(struct use *u, struct mount *m, const char *rel, bool follow)
{
    struct stat st;
    int err = use_begin(u, m, rel, follow ? USE_OBJECT : USE_NAME, true);
    if (!err)
        err = host_stat(u->host, follow, &st);
    if (err || (st.st_mode & S_TYPE) == S_DIR)
        return err;
    return changeable(m, u, false, "change");
}

static int chroot_chmod(struct mount *m, const char *rel, uint32_t mode)
{
    struct use u;
    int err = attribute_begin(&u, m, rel, true);
    if (!err)
        err = host_chmod(u.host, mode);
    use_end(&u);
    return err;
}

static int chroot_chown(struct mount *m, const char *rel, uint32_t uid, uint32_t gid, bool follow)
{
    struct use u;
    int err = attribute_begin(&u, m, rel, follow);
    if (!err)
        err = host_chown(u.host, uid, gid, follow);
    use_end(&u);
    return err;
}

static int chroot_utimens(struct mount *m, const char *rel, const struct __kernel_timespec ts[2],
                          bool follow)
{
    struct use u;
    int err = attribute_begin(&u, m, rel, follow);
    if (!err)
        err = host_utimens(HOST_AT_FDCWD, u.host, ts, follow ? 0 : AT_SYMLINK_NOFOLLOW);
    use_end(&u);
    return err;
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

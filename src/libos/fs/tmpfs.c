/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Calls on a tmpfs and on its open files. */
#include "libos/fs/tmpfs.h"
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/fs/pseudo.h"
#include "libos/process.h"
#include <asm/statfs.h>
#include <asm/unistd.h>
#include <linux/magic.h>

#define UTIME_NOW_K  0x3fffffffL
#define UTIME_OMIT_K 0x3ffffffeL

int tmpfs_setup(struct mount *m)
{
    struct tmpfs *fs = heap_zalloc(sizeof(*fs));
    int err;
    if (!fs)
        return -ENOMEM;
    fs->next_ino = 1;
    fs->next_cookie = 2; /* behind the dots */
    fs->device = mount_device(m);
    fs->root = tmp_new(fs, NULL, S_IFDIR | 01777, &err);
    if (!fs->root)
        return err;
    fs->root->nlink = 2;
    m->priv = fs;
    return 0;
}

/* ---- attributes ---- */

static bool later(const struct __kernel_timespec *a, uint64_t sec, uint64_t nsec)
{
    return (uint64_t)a->tv_sec > sec || ((uint64_t)a->tv_sec == sec && (uint64_t)a->tv_nsec > nsec);
}

/* Under the lock. Size and times of content are the host's. */
static int describe(const struct tmpfs *fs, const struct tmp_inode *i, kstat *st)
{
    struct stat host = {0};
    bool content = S_ISREG(i->mode);
    int err = content ? host_fstat(i->memfd, &host) : 0;
    *st = (kstat){.st_dev = fs->device,
                  .st_ino = i->ino,
                  .st_nlink = i->nlink,
                  .st_mode = i->mode,
                  .st_uid = i->uid,
                  .st_gid = i->gid,
                  .st_blksize = PAGE_SIZE,
                  .st_size = content            ? host.st_size
                             : i->target        ? (long)strlen(i->target)
                             : S_ISDIR(i->mode) ? (long)(i->count + 2) * 20
                                                : 0,
                  .st_blocks = host.st_blocks,
                  .st_atime = (unsigned long)i->atime.tv_sec,
                  .st_atime_nsec = (unsigned long)i->atime.tv_nsec,
                  .st_mtime = (unsigned long)i->mtime.tv_sec,
                  .st_mtime_nsec = (unsigned long)i->mtime.tv_nsec,
                  .st_ctime = (unsigned long)i->ctime.tv_sec,
                  .st_ctime_nsec = (unsigned long)i->ctime.tv_nsec};
    if (!content)
        return err;
    st->st_atime = host.st_atime;
    st->st_atime_nsec = host.st_atime_nsec;
    st->st_mtime = host.st_mtime;
    st->st_mtime_nsec = host.st_mtime_nsec;
    if (!later(&i->ctime, host.st_ctime, host.st_ctime_nsec)) {
        st->st_ctime = host.st_ctime;
        st->st_ctime_nsec = host.st_ctime_nsec;
    }
    return err;
}

static bool owner(const struct tmp_inode *i)
{
    uint32_t uid = current_process()->cred.fsuid;
    return uid == 0 || uid == i->uid;
}

static int change_mode(struct tmp_inode *i, uint32_t mode)
{
    if (!owner(i))
        return -EPERM;
    i->mode = (i->mode & S_IFMT) | (mode & 07777);
    tmp_touch(i, false);
    return 0;
}

static int change_owner(struct tmp_inode *i, uint32_t uid, uint32_t gid)
{
    const struct credentials *c = &current_process()->cred;
    bool keeps_uid = uid == (uint32_t)-1 || uid == i->uid;
    bool own_gid = gid == (uint32_t)-1 || gid == i->gid || gid == c->fsgid;
    if (c->fsuid && !(c->fsuid == i->uid && keeps_uid && own_gid))
        return -EPERM;
    i->uid = uid == (uint32_t)-1 ? i->uid : uid;
    i->gid = gid == (uint32_t)-1 ? i->gid : gid;
    if (!S_ISDIR(i->mode))
        i->mode &= ~(uint32_t)(S_ISUID | (i->mode & S_IXGRP ? S_ISGID : 0));
    tmp_touch(i, false);
    return 0;
}

static void set_time(struct __kernel_timespec *t, const struct __kernel_timespec *to)
{
    if (!to || to->tv_nsec == UTIME_NOW_K)
        host_clock_get(0, t);
    else if (to->tv_nsec != UTIME_OMIT_K)
        *t = *to;
}

static int change_times(struct tmp_inode *i, const struct __kernel_timespec ts[2])
{
    bool now = !ts || (ts[0].tv_nsec == UTIME_NOW_K && ts[1].tv_nsec == UTIME_NOW_K);
    if (!owner(i) && !(now && tmp_may(i, MAY_WRITE) == 0))
        return now ? -EACCES : -EPERM;
    if (S_ISREG(i->mode)) {
        int err = host_utimens(i->memfd, NULL, ts, 0);
        if (err)
            return err;
    }
    set_time(&i->atime, ts ? &ts[0] : NULL);
    set_time(&i->mtime, ts ? &ts[1] : NULL);
    tmp_touch(i, false);
    return 0;
}

/* ---- open files ---- */

static struct tmpfs *fs_of(struct file *f)
{
    return f->mount->priv;
}

#define WITH_LOCK(fs, call)           \
    ({                                \
        lock(&(fs)->lock);            \
        __typeof__(call) r_ = (call); \
        unlock(&(fs)->lock);          \
        r_;                           \
    })

static int open_stat(struct file *f, kstat *st)
{
    return WITH_LOCK(fs_of(f), describe(fs_of(f), f->priv, st));
}
static int open_chmod(struct file *f, uint32_t mode)
{
    return WITH_LOCK(fs_of(f), change_mode(f->priv, mode));
}
static int open_chown(struct file *f, uint32_t uid, uint32_t gid)
{
    return WITH_LOCK(fs_of(f), change_owner(f->priv, uid, gid));
}
static int open_utimens(struct file *f, const struct __kernel_timespec ts[2])
{
    return WITH_LOCK(fs_of(f), change_times(f->priv, ts));
}
static void open_release(struct file *f)
{
    lock(&fs_of(f)->lock);
    tmp_put(f->priv);
    unlock(&fs_of(f)->lock);
}

static const struct file_ops file_ops = {.name = "tmpfs",
                                         .stat = open_stat,
                                         .chmod = open_chmod,
                                         .chown = open_chown,
                                         .utimens = open_utimens,
                                         .release = open_release};

/* Entries stay in the order of their cookies, so removing some moves no others. */
static bool list_entries(const struct tmp_inode *dir, struct dir_sink *sink)
{
    if (sink->cookie < 1 && !sink->emit(sink, ".", 1, dir->ino, 4, 1))
        return false;
    if (sink->cookie < 2 &&
        !sink->emit(sink, "..", 2, dir->parent ? dir->parent->ino : dir->ino, 4, 2))
        return false;
    list_for_each (it, &dir->entries) {
        struct tmp_entry *e = list_entry(it, struct tmp_entry, link);
        if (e->cookie >= sink->cookie &&
            !sink->emit(sink, e->name, strlen(e->name), e->inode->ino,
                        (uint8_t)(e->inode->mode >> 12), e->cookie + 1))
            return false;
    }
    return true;
}

static int open_readdir(struct file *f, struct dir_sink *sink)
{
    lock(&fs_of(f)->lock);
    bool all = list_entries(f->priv, sink);
    unlock(&fs_of(f)->lock);
    return all ? dir_list_mounts(f, sink) : 0;
}

static const struct file_ops dir_ops = {.name = "tmpfs",
                                        .readdir = open_readdir,
                                        .stat = open_stat,
                                        .chmod = open_chmod,
                                        .chown = open_chown,
                                        .utimens = open_utimens,
                                        .release = open_release};

static int check_open(const struct tmp_inode *i, uint32_t flags)
{
    static const uint32_t wants[] = {MAY_READ, MAY_WRITE, MAY_READ | MAY_WRITE, 0};
    bool dir = S_ISDIR(i->mode);
    if (flags & O_DIRECTORY && !dir)
        return -ENOTDIR;
    if (flags & O_PATH)
        return 0;
    if (S_ISLNK(i->mode))
        return -ELOOP;
    if (dir && ((flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT))
        return -EISDIR;
    return tmp_may(i, wants[flags & O_ACCMODE] | (flags & O_TRUNC ? MAY_WRITE : 0));
}

/* A description of its own on the host, so that offset and flags are shared over fork. */
static int reopen(const struct tmp_inode *i, uint32_t flags)
{
    char path[32];
    fmt(path, sizeof(path), "/proc/self/fd/%d", i->memfd);
    flags &= ~(uint32_t)(O_CREAT | O_EXCL | O_NOFOLLOW | O_TMPFILE);
    if (!S_ISFIFO(i->mode)) /* under the lock: not to be stopped in between */
        return host_open(path, flags, 0);
    for (;;) { /* one end of a FIFO waits for the other */
        int fd = host_open_blocking(path, flags, 0);
        if (fd != -EINTR)
            return fd;
        if (interrupted())
            return -ERESTARTSYS;
    }
}

/* Takes the caller's reference on `i`, also on failure. Not under the lock for a FIFO. */
static int open_inode(struct mount *m, struct tmp_inode *i, uint32_t flags, struct file **out)
{
    bool dir = S_ISDIR(i->mode);
    bool host = i->memfd >= 0 && !(flags & O_PATH);
    int fd = host ? reopen(i, flags) : -1;
    int err = host && fd < 0 ? fd : -ENOMEM;
    *out = host && fd < 0 ? NULL
                          : file_new(dir ? &dir_ops : &file_ops,
                                     dir                 ? FILE_DIR
                                     : S_ISREG(i->mode)  ? FILE_REGULAR
                                     : S_ISFIFO(i->mode) ? FILE_STREAM
                                                         : FILE_OTHER,
                                     fd, flags);
    if (!*out) {
        if (fd >= 0)
            host_close(fd);
        tmp_put(i);
        return err;
    }
    (*out)->host_offset = !dir;
    (*out)->seekable = !S_ISFIFO(i->mode);
    (*out)->priv = i;
    (*out)->mount = m;
    return 0;
}

static int open_unnamed(struct mount *m, struct tmp_inode *dir, uint32_t flags, uint32_t mode,
                        struct file **out)
{
    struct tmpfs *fs = m->priv;
    int err = S_ISDIR(dir->mode) ? tmp_may(dir, MAY_WRITE | MAY_EXEC) : -ENOTDIR;
    struct tmp_inode *i = err ? NULL : tmp_new(fs, dir, S_IFREG | mode, &err);
    if (err)
        return err;
    char path[PATH_LIMIT];
    fmt(path, sizeof(path), "%s/#%lu", m->path, i->ino);
    err = open_inode(m, i, flags, out);
    if (!err && file_set_path(*out, path)) { /* without, it would be called by its directory's */
        file_put(*out);
        err = -ENOMEM;
    }
    return err;
}

/* Under the lock. A FIFO is handed back with a reference, to be opened without it. */
static int do_open(struct mount *m, const char *rel, uint32_t flags, uint32_t mode,
                   struct file **out, struct tmp_inode **fifo)
{
    struct tmpfs *fs = m->priv;
    struct tmp_place p;
    int err = tmp_find(fs, rel, &p);
    if (err)
        return err;
    struct tmp_inode *i = !p.dir ? fs->root : p.entry ? p.entry->inode : NULL;
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return i ? open_unnamed(m, i, flags, mode, out) : -ENOENT;
    if (i) {
        if (flags & O_CREAT && flags & O_EXCL)
            return -EEXIST;
        err = check_open(i, flags);
        if (err)
            return err;
        ref_get(&i->refs);
        if (S_ISFIFO(i->mode)) {
            *fifo = i;
            return 0;
        }
        return open_inode(m, i, flags, out);
    }
    if (!(flags & O_CREAT))
        return -ENOENT;
    err = tmp_may(p.dir, MAY_WRITE | MAY_EXEC);
    if (!err && !p.dir->nlink)
        err = -ENOENT;
    i = err ? NULL : tmp_new(fs, p.dir, S_IFREG | mode, &err);
    if (err)
        return err;
    err = tmp_enter(fs, p.dir, p.name, i);
    if (err) {
        tmp_put(i);
        return err;
    }
    err = open_inode(m, i, flags, out);
    if (err) {
        p.entry = list_entry(p.dir->entries.prev, struct tmp_entry, link);
        tmp_remove(p.dir, p.entry);
    }
    return err;
}

static int tmpfs_open(struct mount *m, const char *rel, uint32_t flags, uint32_t mode,
                      struct file **out)
{
    struct tmp_inode *fifo = NULL;
    int err = WITH_LOCK((struct tmpfs *)m->priv, do_open(m, rel, flags, mode, out, &fifo));
    return fifo ? open_inode(m, fifo, flags, out) : err;
}

/* ---- by name; the do_ functions run under the lock ---- */

static int do_stat(struct tmpfs *fs, const char *rel, kstat *st)
{
    struct tmp_inode *i;
    int err = tmp_lookup(fs, rel, &i);
    return err ? err : describe(fs, i, st);
}

static int tmpfs_stat(struct mount *m, const char *rel, bool follow, kstat *st)
{
    (void)follow; /* fs/path.c did */
    return WITH_LOCK((struct tmpfs *)m->priv, do_stat(m->priv, rel, st));
}

static int do_access(struct tmpfs *fs, const char *rel, int mode)
{
    struct tmp_inode *i;
    int err = tmp_lookup(fs, rel, &i);
    if (err)
        return err;
    if (mode & 1 && S_ISREG(i->mode) && !(i->mode & 0111))
        return -EACCES;
    return tmp_may(i, (uint32_t)mode);
}

static int tmpfs_access(struct mount *m, const char *rel, int mode, int flags)
{
    (void)flags;
    return WITH_LOCK((struct tmpfs *)m->priv, do_access(m->priv, rel, mode));
}

static ssize do_readlink(struct tmpfs *fs, const char *rel, char *buf, size_t size)
{
    struct tmp_inode *i;
    int err = tmp_lookup(fs, rel, &i);
    return err ? err : i->target ? link_text(buf, size, i->target) : -EINVAL;
}

static ssize tmpfs_readlink(struct mount *m, const char *rel, char *buf, size_t size)
{
    return WITH_LOCK((struct tmpfs *)m->priv, do_readlink(m->priv, rel, buf, size));
}

static int do_unlink(struct tmpfs *fs, const char *rel, bool dir)
{
    struct tmp_place p;
    int err = tmp_find(fs, rel, &p);
    if (err)
        return err;
    if (!p.entry)
        return p.dir ? -ENOENT : -EBUSY;
    err = tmp_may_remove(&p);
    if (err)
        return err;
    bool is_dir = S_ISDIR(p.entry->inode->mode);
    if (dir != is_dir)
        return dir ? -ENOTDIR : -EISDIR;
    if (dir && p.entry->inode->count)
        return -ENOTEMPTY;
    tmp_remove(p.dir, p.entry);
    return 0;
}

static int tmpfs_unlink(struct mount *m, const char *rel, bool dir)
{
    return WITH_LOCK((struct tmpfs *)m->priv, do_unlink(m->priv, rel, dir));
}

static int do_create(struct tmpfs *fs, const char *rel, uint32_t mode, const char *target)
{
    struct tmp_place p;
    int err = tmp_find(fs, rel, &p);
    if (err)
        return err;
    if (!p.dir || p.entry)
        return -EEXIST;
    err = p.dir->nlink ? tmp_may(p.dir, MAY_WRITE | MAY_EXEC) : -ENOENT;
    struct tmp_inode *i = err ? NULL : tmp_new(fs, p.dir, mode, &err);
    if (err)
        return err;
    if (target && !(i->target = heap_strdup(target)))
        err = -ENOMEM;
    if (!err)
        err = tmp_enter(fs, p.dir, p.name, i);
    tmp_put(i);
    return err;
}

static int tmpfs_mkdir(struct mount *m, const char *rel, uint32_t mode)
{
    return WITH_LOCK((struct tmpfs *)m->priv,
                     do_create(m->priv, rel, S_IFDIR | (mode & 07777), NULL));
}

/* Devices need privilege that we do not have; sockets are made by bind(2). */
static int tmpfs_mknod(struct mount *m, const char *rel, uint32_t mode, uint64_t dev)
{
    (void)dev;
    uint32_t type = mode & S_IFMT ? mode & S_IFMT : S_IFREG;
    if (type != S_IFREG && type != S_IFIFO)
        return -EPERM;
    return WITH_LOCK((struct tmpfs *)m->priv, do_create(m->priv, rel, type | (mode & 07777), NULL));
}

static int tmpfs_symlink(struct mount *m, const char *target, const char *rel)
{
    return WITH_LOCK((struct tmpfs *)m->priv, do_create(m->priv, rel, S_IFLNK | 0777, target));
}

static int do_link(struct tmpfs *fs, const char *from, const char *to)
{
    struct tmp_inode *i;
    struct tmp_place p;
    int err = tmp_lookup(fs, from, &i);
    if (!err)
        err = tmp_find(fs, to, &p);
    if (err)
        return err;
    if (!p.dir || p.entry)
        return -EEXIST;
    if (S_ISDIR(i->mode))
        return -EPERM;
    err = tmp_may(p.dir, MAY_WRITE | MAY_EXEC);
    return err ? err : tmp_enter(fs, p.dir, p.name, i);
}

static int tmpfs_link(struct mount *m, const char *from, const char *to)
{
    return WITH_LOCK((struct tmpfs *)m->priv, do_link(m->priv, from, to));
}

static int do_rename(struct tmpfs *fs, const char *from, const char *to, uint32_t flags)
{
    struct tmp_place a, b;
    int err = tmp_find(fs, from, &a);
    if (!err && a.dir && !a.entry)
        err = -ENOENT;
    if (!err)
        err = tmp_find(fs, to, &b);
    if (!err && (!a.dir || !b.dir))
        err = -EBUSY;
    if (!err && !b.dir->nlink)
        err = -ENOENT;
    return err ? err : tmp_rename(fs, &a, &b, flags);
}

static int tmpfs_rename(struct mount *m, const char *from, const char *to, uint32_t flags)
{
    return WITH_LOCK((struct tmpfs *)m->priv, do_rename(m->priv, from, to, flags));
}

static int do_chmod(struct tmpfs *fs, const char *rel, uint32_t mode)
{
    struct tmp_inode *i;
    int err = tmp_lookup(fs, rel, &i);
    return err ? err : change_mode(i, mode);
}

static int tmpfs_chmod(struct mount *m, const char *rel, uint32_t mode)
{
    return WITH_LOCK((struct tmpfs *)m->priv, do_chmod(m->priv, rel, mode));
}

static int do_chown(struct tmpfs *fs, const char *rel, uint32_t uid, uint32_t gid)
{
    struct tmp_inode *i;
    int err = tmp_lookup(fs, rel, &i);
    return err ? err : change_owner(i, uid, gid);
}

static int tmpfs_chown(struct mount *m, const char *rel, uint32_t uid, uint32_t gid, bool follow)
{
    (void)follow;
    return WITH_LOCK((struct tmpfs *)m->priv, do_chown(m->priv, rel, uid, gid));
}

static int do_utimens(struct tmpfs *fs, const char *rel, const struct __kernel_timespec ts[2])
{
    struct tmp_inode *i;
    int err = tmp_lookup(fs, rel, &i);
    return err ? err : change_times(i, ts);
}

static int tmpfs_utimens(struct mount *m, const char *rel, const struct __kernel_timespec ts[2],
                         bool follow)
{
    (void)follow;
    return WITH_LOCK((struct tmpfs *)m->priv, do_utimens(m->priv, rel, ts));
}

/* Room is what the host's memory file system has. */
static int tmpfs_statfs(struct mount *m, struct statfs64_k *out)
{
    struct statfs *st = (struct statfs *)out;
    (void)m;
    if (host_statfs("/dev/shm", st))
        memset(st, 0, sizeof(*st));
    st->f_type = TMPFS_MAGIC;
    st->f_bsize = st->f_frsize = (long)PAGE_SIZE;
    st->f_namelen = NAME_LIMIT;
    return 0;
}

const struct fs_ops fs_tmpfs = {.name = "tmpfs",
                                .own_links = true,
                                .open = tmpfs_open,
                                .stat = tmpfs_stat,
                                .access = tmpfs_access,
                                .readlink = tmpfs_readlink,
                                .unlink = tmpfs_unlink,
                                .mkdir = tmpfs_mkdir,
                                .mknod = tmpfs_mknod,
                                .symlink = tmpfs_symlink,
                                .link = tmpfs_link,
                                .rename = tmpfs_rename,
                                .chmod = tmpfs_chmod,
                                .chown = tmpfs_chown,
                                .utimens = tmpfs_utimens,
                                .statfs = tmpfs_statfs};

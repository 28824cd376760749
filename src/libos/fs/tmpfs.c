/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is done to a tree, by the process that has it, under tmpfs.lock. */
#include "libos/fs/tmpfs.h"
#include "host/host.h"
#include "libos/fs/pseudo.h"
#include "libos/process.h"

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

/* Size and times of content are the host's. */
static int describe(const struct tmpfs *fs, const struct tmp_inode *i, int content_fd, kstat *st)
{
    struct stat host = {0};
    bool content = S_ISREG(i->mode) && content_fd >= 0;
    int err = content ? host_fstat(content_fd, &host) : 0;
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

static int change_times(struct tmp_inode *i, int content_fd, const struct __kernel_timespec ts[2])
{
    bool now = !ts || (ts[0].tv_nsec == UTIME_NOW_K && ts[1].tv_nsec == UTIME_NOW_K);
    if (!owner(i) && !(now && tmp_may(i, MAY_WRITE) == 0))
        return now ? -EACCES : -EPERM;
    if (S_ISREG(i->mode) && content_fd >= 0) {
        int err = host_utimens(content_fd, NULL, ts, 0);
        if (err)
            return err;
    }
    set_time(&i->atime, ts ? &ts[0] : NULL);
    set_time(&i->mtime, ts ? &ts[1] : NULL);
    tmp_touch(i, false);
    return 0;
}

/* ---- open ---- */

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
    int err = tmp_may(i, wants[flags & O_ACCMODE] | (flags & O_TRUNC ? MAY_WRITE : 0));
    return !err && S_ISSOCK(i->mode) ? -ENXIO : err;
}

int tmp_reopen(int content_fd, uint32_t flags, bool wait)
{
    char path[32];
    fmt(path, sizeof(path), "/proc/self/fd/%d", content_fd);
    flags &= ~(uint32_t)(O_CREAT | O_EXCL | O_NOFOLLOW | O_TMPFILE);
    return wait ? host_open_blocking(path, flags, 0) : host_open(path, flags, 0);
}

static int create(struct tmpfs *fs, struct tmp_place *p, uint32_t mode, struct tmp_inode **out)
{
    int err = p->dir->nlink ? tmp_may(p->dir, MAY_WRITE | MAY_EXEC) : -ENOENT;
    struct tmp_inode *i = err ? NULL : tmp_new(fs, p->dir, mode, &err);
    if (err)
        return err;
    err = tmp_enter(fs, p->dir, p->name, i);
    if (err) {
        tmp_put(i);
        return err;
    }
    p->entry = list_entry(p->dir->entries.prev, struct tmp_entry, link);
    *out = i;
    return 0;
}

/* The inode to open, counted; `created`: where it has just got its name. */
static int locate(struct tmpfs *fs, const struct tmp_call *c, struct tmp_inode **out,
                  struct tmp_place *created)
{
    struct tmp_place p;
    int err = tmp_find(fs, c->path, &p);
    if (err)
        return err;
    struct tmp_inode *i = !p.dir ? fs->root : p.entry ? p.entry->inode : NULL;
    if ((c->flags & O_TMPFILE) == O_TMPFILE) {
        err = !i ? -ENOENT : S_ISDIR(i->mode) ? tmp_may(i, MAY_WRITE | MAY_EXEC) : -ENOTDIR;
        *out = err ? NULL : tmp_new(fs, i, S_IFREG | c->mode, &err);
        return err;
    }
    if (i) {
        err = c->flags & O_CREAT && c->flags & O_EXCL ? -EEXIST : check_open(i, c->flags);
        if (!err)
            ref_get(&i->refs);
        *out = i;
        return err;
    }
    if (!(c->flags & O_CREAT))
        return -ENOENT;
    err = create(fs, &p, S_IFREG | c->mode, out);
    if (!err)
        *created = p;
    return err;
}

/* A description of its own on the host, so that offset and flags are shared over fork. Opening a
 * FIFO may wait: that is left to whoever wants it. */
static int do_open(struct tmpfs *fs, const struct tmp_call *c, struct tmp_answer *a)
{
    struct tmp_place created = {0};
    struct tmp_inode *i;
    int err = locate(fs, c, &i, &created);
    if (err)
        return err;
    if (i->memfd >= 0 && !(c->flags & O_PATH)) {
        a->fd =
            S_ISFIFO(i->mode) ? host_dup(i->memfd, true) : tmp_reopen(i->memfd, c->flags, false);
        err = MIN(a->fd, 0);
    }
    if (!err)
        err = describe(fs, i, i->memfd, &a->st);
    a->inode = i;
    if (!err)
        return 0;
    if (a->fd >= 0)
        host_close(a->fd);
    if (created.dir)
        tmp_remove(created.dir, created.entry);
    tmp_put(i);
    return err;
}

/* ---- names ---- */

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

static ssize do_readlink(struct tmpfs *fs, const char *rel, char *buf, size_t size)
{
    struct tmp_inode *i;
    int err = tmp_lookup(fs, rel, &i);
    return err ? err : i->target ? link_text(buf, size, i->target) : -EINVAL;
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

static int do_create(struct tmpfs *fs, const char *rel, uint32_t mode, const char *target)
{
    struct tmp_place p;
    int err = tmp_find(fs, rel, &p);
    if (err)
        return err;
    if (!p.dir || p.entry)
        return -EEXIST;
    char *copy = target ? heap_strdup(target) : NULL;
    struct tmp_inode *i;
    err = target && !copy ? -ENOMEM : create(fs, &p, mode, &i);
    if (err) {
        heap_free(copy);
        return err;
    }
    i->target = copy;
    tmp_put(i);
    return 0;
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

/* ---- listings ---- */

struct packing {
    struct dir_sink sink;
    char *to;
    size_t left;
};

static bool pack(struct dir_sink *sink, const char *name, size_t len, uint64_t ino, uint8_t type,
                 int64_t next)
{
    struct packing *p = container_of(sink, struct packing, sink);
    struct tmp_listed e = {ino, next, type, (uint8_t)len};
    if (p->left < sizeof(e) + len)
        return false;
    memcpy(p->to, &e, sizeof(e));
    memcpy(p->to + sizeof(e), name, len);
    p->to += sizeof(e) + len;
    p->left -= sizeof(e) + len;
    return true;
}

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

static ssize do_list(const struct tmp_inode *dir, int64_t cookie, char *text, size_t size)
{
    struct packing p = {.sink = {.emit = pack, .cookie = cookie}, .to = text, .left = size};
    list_entries(dir, &p.sink);
    return (ssize)(size - p.left);
}

/* ---- all of it ---- */

static int target_of(struct tmpfs *fs, const struct tmp_call *c, struct tmp_inode **out)
{
    if (c->inode)
        *out = c->inode;
    else if (c->ino)
        *out = tmp_by_ino(fs, c->ino);
    else
        return tmp_lookup(fs, c->path, out);
    return *out ? 0 : -ESTALE;
}

static ssize on_inode(struct tmpfs *fs, const struct tmp_call *c, struct tmp_answer *a)
{
    const struct __kernel_timespec *times = c->times_given ? c->times : NULL;
    struct tmp_inode *i;
    int err = target_of(fs, c, &i);
    if (err)
        return err;
    int content = i->memfd >= 0 ? i->memfd : c->content_fd;
    switch (c->op) {
    case TMP_STAT:
        return describe(fs, i, content, &a->st);
    case TMP_CHMOD:
        return change_mode(i, c->mode);
    case TMP_CHOWN:
        return change_owner(i, c->uid, c->gid);
    case TMP_UTIMENS:
        return change_times(i, content, times);
    case TMP_LIST:
        return S_ISDIR(i->mode) ? do_list(i, c->cookie, a->text, a->room) : -ENOTDIR;
    default:
        return -EINVAL;
    }
}

ssize tmp_perform(struct tmpfs *fs, const struct tmp_call *c, struct tmp_answer *a)
{
    a->fd = -1;
    switch (c->op) {
    case TMP_OPEN:
        return do_open(fs, c, a);
    case TMP_ACCESS:
        return do_access(fs, c->path, (int)c->mode);
    case TMP_READLINK:
        return do_readlink(fs, c->path, a->text, a->room);
    case TMP_UNLINK:
        return do_unlink(fs, c->path, c->flags);
    case TMP_CREATE:
        return do_create(fs, c->path, c->mode, c->other);
    case TMP_LINK:
        return do_link(fs, c->path, c->other);
    case TMP_RENAME:
        return do_rename(fs, c->path, c->other, c->flags);
    default:
        return on_inode(fs, c, a);
    }
}

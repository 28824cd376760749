/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A tmpfs as the rest of the library OS calls it: everything about names and attributes becomes a
 * struct tmp_call, done here or by the home of the trees. */
#include "libos/fs/tmpfs.h"
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/process.h"
#include <asm/statfs.h>
#include <linux/magic.h>

#define LIST_BYTES 8192

/* ---- open files ---- */

static void put_inode(struct mount *m, struct tmp_inode *i)
{
    struct tmpfs *fs = m->priv;
    lock(&fs->lock);
    tmp_put(i);
    unlock(&fs->lock);
}

static ssize on_file(struct file *f, struct tmp_call *c, struct tmp_answer *a)
{
    struct tmp_inode *i = f->priv;
    c->inode = i;
    c->ino = i->ino;
    c->content_fd = f->host_fd;
    return tmp_call(f->mount, c, a);
}

static int open_stat(struct file *f, kstat *st)
{
    struct tmp_call c = {.op = TMP_STAT};
    struct tmp_answer a = {0};
    int err = (int)on_file(f, &c, &a);
    *st = a.st;
    return err;
}

static int open_chmod(struct file *f, uint32_t mode)
{
    struct tmp_call c = {.op = TMP_CHMOD, .mode = mode};
    struct tmp_answer a = {0};
    return (int)on_file(f, &c, &a);
}

static int open_chown(struct file *f, uint32_t uid, uint32_t gid)
{
    struct tmp_call c = {.op = TMP_CHOWN, .uid = uid, .gid = gid};
    struct tmp_answer a = {0};
    return (int)on_file(f, &c, &a);
}

static void give_times(struct tmp_call *c, const struct __kernel_timespec ts[2])
{
    c->times_given = ts;
    if (ts)
        memcpy(c->times, ts, sizeof(c->times));
}

static int open_utimens(struct file *f, const struct __kernel_timespec ts[2])
{
    struct tmp_call c = {.op = TMP_UTIMENS};
    struct tmp_answer a = {0};
    give_times(&c, ts);
    return (int)on_file(f, &c, &a);
}

static void open_release(struct file *f)
{
    put_inode(f->mount, f->priv);
}

static const struct file_ops file_ops = {.name = "tmpfs",
                                         .stat = open_stat,
                                         .chmod = open_chmod,
                                         .chown = open_chown,
                                         .utimens = open_utimens,
                                         .release = open_release};

/* Hands a batch on; false: the reader has enough. */
static bool unpack(const char *text, ssize len, struct dir_sink *sink, int64_t *cookie)
{
    struct tmp_listed e;
    for (ssize at = 0; at < len; at += (ssize)sizeof(e) + e.len) {
        memcpy(&e, text + at, sizeof(e));
        if (!sink->emit(sink, text + at + sizeof(e), e.len, e.ino, e.type, e.next))
            return false;
        *cookie = e.next;
    }
    return true;
}

static int open_readdir(struct file *f, struct dir_sink *sink)
{
    char *text = heap_alloc(LIST_BYTES);
    int64_t cookie = sink->cookie;
    ssize n = -ENOMEM;
    bool more = text;
    while (more) {
        struct tmp_call c = {.op = TMP_LIST, .cookie = cookie};
        struct tmp_answer a = {.text = text, .room = LIST_BYTES};
        n = on_file(f, &c, &a);
        more = n > 0 && unpack(text, n, sink, &cookie);
    }
    heap_free(text);
    return n < 0 ? (int)n : n ? 0 : dir_list_mounts(f, sink);
}

static const struct file_ops dir_ops = {.name = "tmpfs",
                                        .readdir = open_readdir,
                                        .stat = open_stat,
                                        .chmod = open_chmod,
                                        .chown = open_chown,
                                        .utimens = open_utimens,
                                        .release = open_release};

/* One end of a FIFO waits for the other. Takes `path_fd` over. */
static int open_fifo(int path_fd, uint32_t flags)
{
    int fd;
    do {
        fd = tmp_reopen(path_fd, flags, true);
        if (fd == -EINTR && interrupted())
            fd = -ERESTARTSYS;
    } while (fd == -EINTR);
    host_close(path_fd);
    return fd;
}

/* The file of what was found; takes `a` over. */
static int make_file(struct mount *m, struct tmp_answer *a, uint32_t flags, struct file **out)
{
    struct tmp_inode *i = a->inode;
    bool dir = S_ISDIR(i->mode), fifo = S_ISFIFO(i->mode);
    bool wait = fifo && a->fd >= 0;
    int fd = wait ? open_fifo(a->fd, flags) : a->fd;
    int err = wait ? MIN(fd, 0) : 0;
    enum file_kind kind = dir                ? FILE_DIR
                          : S_ISREG(i->mode) ? FILE_REGULAR
                          : fifo             ? FILE_STREAM
                                             : FILE_OTHER;
    *out = err ? NULL : file_new(dir ? &dir_ops : &file_ops, kind, fd, flags);
    if (!*out) {
        if (fd >= 0)
            host_close(fd);
        put_inode(m, i);
        return err ? err : -ENOMEM;
    }
    (*out)->host_offset = !dir;
    (*out)->seekable = !fifo;
    (*out)->priv = i;
    (*out)->mount = m;
    return 0;
}

static int tmpfs_open(struct mount *m, const char *rel, uint32_t flags, uint32_t mode,
                      struct file **out)
{
    struct tmp_call c = {.op = TMP_OPEN, .path = rel, .flags = flags, .mode = mode};
    struct tmp_answer a = {0};
    int err = (int)tmp_call(m, &c, &a);
    if (!err)
        err = make_file(m, &a, flags, out);
    if (!err && (flags & O_TMPFILE) == O_TMPFILE) {
        char path[PATH_LIMIT];
        fmt(path, sizeof(path), "%s/#%lu", m->path, a.st.st_ino);
        if (file_set_path(*out, path)) { /* without, it would be called by its directory's */
            file_put(*out);
            err = -ENOMEM;
        }
    }
    return err;
}

/* ---- by name ---- */

static int tmpfs_stat(struct mount *m, const char *rel, bool follow, kstat *st)
{
    struct tmp_call c = {.op = TMP_STAT, .path = rel};
    struct tmp_answer a = {0};
    (void)follow; /* fs/path.c did */
    int err = (int)tmp_call(m, &c, &a);
    *st = a.st;
    return err;
}

static ssize tmpfs_readlink(struct mount *m, const char *rel, char *buf, size_t size)
{
    struct tmp_call c = {.op = TMP_READLINK, .path = rel};
    struct tmp_answer a = {.text = buf, .room = size};
    return tmp_call(m, &c, &a);
}

static int simple(struct mount *m, struct tmp_call c)
{
    struct tmp_answer a = {0};
    return (int)tmp_call(m, &c, &a);
}

static int tmpfs_access(struct mount *m, const char *rel, int mode, int flags)
{
    (void)flags;
    return simple(m, (struct tmp_call){.op = TMP_ACCESS, .path = rel, .mode = (uint32_t)mode});
}

static int tmpfs_unlink(struct mount *m, const char *rel, bool dir)
{
    return simple(m, (struct tmp_call){.op = TMP_UNLINK, .path = rel, .flags = dir});
}

static int tmpfs_mkdir(struct mount *m, const char *rel, uint32_t mode)
{
    return simple(
        m, (struct tmp_call){.op = TMP_CREATE, .path = rel, .mode = S_IFDIR | (mode & 07777)});
}

/* Devices need privilege that we do not have. */
static int tmpfs_mknod(struct mount *m, const char *rel, uint32_t mode, uint64_t dev)
{
    (void)dev;
    uint32_t type = mode & S_IFMT ? mode & S_IFMT : S_IFREG;
    if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
        return -EPERM;
    return simple(m,
                  (struct tmp_call){.op = TMP_CREATE, .path = rel, .mode = type | (mode & 07777)});
}

static int tmpfs_symlink(struct mount *m, const char *target, const char *rel)
{
    return simple(m, (struct tmp_call){
                         .op = TMP_CREATE, .path = rel, .mode = S_IFLNK | 0777, .other = target});
}

static int tmpfs_link(struct mount *m, const char *from, const char *to)
{
    return simple(m, (struct tmp_call){.op = TMP_LINK, .path = from, .other = to});
}

static int tmpfs_rename(struct mount *m, const char *from, const char *to, uint32_t flags)
{
    return simple(m,
                  (struct tmp_call){.op = TMP_RENAME, .path = from, .other = to, .flags = flags});
}

static int tmpfs_chmod(struct mount *m, const char *rel, uint32_t mode)
{
    return simple(m, (struct tmp_call){.op = TMP_CHMOD, .path = rel, .mode = mode});
}

static int tmpfs_chown(struct mount *m, const char *rel, uint32_t uid, uint32_t gid, bool follow)
{
    (void)follow;
    return simple(m, (struct tmp_call){.op = TMP_CHOWN, .path = rel, .uid = uid, .gid = gid});
}

static int tmpfs_utimens(struct mount *m, const char *rel, const struct __kernel_timespec ts[2],
                         bool follow)
{
    struct tmp_call c = {.op = TMP_UTIMENS, .path = rel};
    (void)follow;
    give_times(&c, ts);
    return simple(m, c);
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

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/dir.h"
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/process.h"

struct dirent64_k { /* struct linux_dirent64 */
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

#define DT_DIR_K 4
/* Cookies of mount points that the host does not list follow all cookies of the host; ext4 marks
 * its end with 2^63-1 and uses no other hash with these upper bits. */
#define MOUNT_COOKIE 0x7fffffff00000000L

uint64_t path_inode(const char *abs)
{
    uint64_t h = 0xcbf29ce484222325; /* FNV-1a */
    for (; *abs; abs++)
        h = (h ^ (uint8_t)*abs) * 0x100000001b3;
    return h ? h : 1;
}

int dir_stat_synthetic(const char *abs, kstat *st)
{
    memset(st, 0, sizeof(*st));
    st->st_mode = 0040555;
    st->st_nlink = 2;
    st->st_ino = path_inode(abs);
    st->st_blksize = PAGE_SIZE;
    return 0;
}

struct mount_names {
    struct dir_sink *sink;
    struct file *dir;
    int64_t index;
    bool full;
};

static bool seen_before(const struct file *dir, const char *name, size_t len, int64_t index);

static bool emit_mount(void *ctx, const char *name, size_t len)
{
    struct mount_names *n = ctx;
    int64_t cookie = MOUNT_COOKIE + n->index++;
    if (cookie < n->sink->cookie || seen_before(n->dir, name, len, n->index - 1))
        return true;
    char child[PATH_LIMIT];
    if (n->dir->host_fd >= 0) { /* the host lists it already? */
        struct stat st;
        char host[NAME_LIMIT + 1];
        memcpy(host, name, len);
        host[len] = 0;
        struct statx stx;
        (void)st;
        if (host_statx(n->dir->host_fd, host, 0x100, 1, &stx) == 0)
            return true;
    }
    fmt(child, sizeof(child), "%s/%.*s", n->dir->path ? n->dir->path : "", (int)len, name);
    n->full = !n->sink->emit(n->sink, name, len, path_inode(child), DT_DIR_K, cookie + 1);
    return !n->full;
}

struct earlier {
    const char *name;
    size_t len;
    int64_t left;
    bool found;
};

static bool compare_earlier(void *ctx, const char *name, size_t len)
{
    struct earlier *e = ctx;
    if (e->left-- <= 0)
        return false;
    e->found |= len == e->len && memcmp(name, e->name, len) == 0;
    return !e->found;
}

/* Several mounts below one name: list it once. */
static bool seen_before(const struct file *dir, const char *name, size_t len, int64_t index)
{
    struct earlier e = {name, len, index, false};
    mounts_below(dir->path, compare_earlier, &e);
    return e.found;
}

int dir_list_mounts(struct file *f, struct dir_sink *sink)
{
    struct mount_names n = {sink, f, 0, false};
    if (f->path)
        mounts_below(f->path, emit_mount, &n);
    return 0;
}

static int host_readdir(struct file *f, struct dir_sink *sink)
{
    char buf[8192];
    if (sink->cookie >= MOUNT_COOKIE)
        return dir_list_mounts(f, sink);
    if (host_lseek(f->host_fd, sink->cookie, 0) < 0)
        return -EIO;
    for (;;) {
        ssize n = host_getdents(f->host_fd, buf, sizeof(buf));
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        for (ssize at = 0; at < n;) {
            struct dirent64_k *d = (struct dirent64_k *)(buf + at);
            if (d->reclen < 24 || d->reclen > n - at)
                return -EIO;
            size_t len = strnlen(d->name, d->reclen - offsetof(struct dirent64_k, name));
            if (!sink->emit(sink, d->name, len, d->ino, d->type, MIN(d->off, MOUNT_COOKIE)))
                return 0;
            at += d->reclen;
        }
    }
    sink->cookie = MAX(sink->cookie, MOUNT_COOKIE);
    return dir_list_mounts(f, sink);
}

const struct file_ops host_dir_ops = {.name = "dir", .readdir = host_readdir};

static int synthetic_readdir(struct file *f, struct dir_sink *sink)
{
    static const char dots[2][3] = {".", ".."};
    for (int64_t i = sink->cookie; i < 2; i++)
        if (!sink->emit(sink, dots[i], (size_t)i + 1, path_inode(f->path), DT_DIR_K, i + 1))
            return 0;
    sink->cookie = MAX(sink->cookie, MOUNT_COOKIE);
    return dir_list_mounts(f, sink);
}

static int synthetic_stat(struct file *f, kstat *st)
{
    return dir_stat_synthetic(f->path, st);
}

static const struct file_ops synthetic_ops = {
    .name = "dir", .readdir = synthetic_readdir, .stat = synthetic_stat};

int dir_open_synthetic(uint32_t flags, struct file **out)
{
    *out = file_new(&synthetic_ops, FILE_DIR, -1, flags);
    return *out ? 0 : -ENOMEM;
}

/* ---- getdents ---- */

struct user_sink {
    struct dir_sink sink;
    char *ubuf;
    size_t size, used;
    bool old_layout; /* getdents(2): type behind the name */
    int error;
};

static bool emit_user(struct dir_sink *s, const char *name, size_t len, uint64_t ino, uint8_t type,
                      int64_t next)
{
    struct user_sink *u = container_of(s, struct user_sink, sink);
    char rec[24 + NAME_LIMIT + 8];
    struct dirent64_k *d = (struct dirent64_k *)rec;
    size_t head = u->old_layout ? 18 : offsetof(struct dirent64_k, name);
    size_t reclen = ALIGN_UP(head + len + 1 + (u->old_layout ? 1 : 0), 8UL);
    if (len > NAME_LIMIT)
        return true;
    if (u->used + reclen > u->size) {
        if (!u->used)
            u->error = -EINVAL;
        return false;
    }
    memset(rec, 0, reclen);
    d->ino = ino;
    d->off = next;
    d->reclen = (uint16_t)reclen;
    if (u->old_layout)
        rec[reclen - 1] = (char)type;
    else
        d->type = type;
    memcpy(rec + head, name, len);
    if (copy_to_user(u->ubuf + u->used, rec, reclen)) {
        u->error = -EFAULT;
        return false;
    }
    u->used += reclen;
    s->cookie = next;
    return true;
}

static long getdents(unsigned fd, void *ubuf, unsigned size, bool old_layout)
{
    struct file *f = fd_get_io((int)fd);
    if (!f)
        return -EBADF;
    long r = -ENOTDIR;
    if (f->kind == FILE_DIR && f->ops->readdir) {
        lock(&f->pos_lock);
        struct user_sink u = {
            .sink = {emit_user, f->pos}, .ubuf = ubuf, .size = size, .old_layout = old_layout};
        int err = f->ops->readdir(f, &u.sink);
        f->pos = u.sink.cookie;
        unlock(&f->pos_lock);
        r = u.used ? (long)u.used : err ? err : u.error;
    }
    file_put(f);
    return r;
}

SYSCALL3(getdents64, unsigned, fd, void *, ubuf, unsigned, size)
{
    return getdents(fd, ubuf, size, false);
}

SYSCALL3(getdents, unsigned, fd, void *, ubuf, unsigned, size)
{
    return getdents(fd, ubuf, size, true);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Locks: reading a directory holds its pos_lock and may then take process.lock or the lock of the
 * descriptor table; nobody who holds one of those takes a pos_lock.
 */
#include "libos/fs/pseudo.h"
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/process.h"
#include <asm/statfs.h>

#define HOST_TEXT_MOST (8UL << 20)

/* ---- texts ---- */

static bool reserve(struct text *t, size_t more)
{
    if (t->failed || t->len + more <= t->capacity)
        return !t->failed;
    size_t capacity = MAX(t->capacity * 2, MAX(t->len + more, (size_t)1024));
    char *data = heap_realloc(t->data, capacity);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->capacity = capacity;
    return true;
}

void text_add_bytes(struct text *t, const void *bytes, size_t n)
{
    if (!reserve(t, n))
        return;
    memcpy(t->data + t->len, bytes, n);
    t->len += n;
}

void text_add(struct text *t, const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = fmt_v(NULL, 0, format, ap);
    if (reserve(t, (size_t)n + 1)) {
        fmt_v(t->data + t->len, (size_t)n + 1, format, again);
        t->len += (size_t)n;
    }
    va_end(again);
    va_end(ap);
}

void text_free(struct text *t)
{
    heap_free(t->data);
    *t = (struct text){0};
}

int text_add_host(struct text *t, const char *host)
{
    int fd = host_open(host, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    ssize n = 0;
    size_t start = t->len;
    while (reserve(t, PAGE_SIZE) && t->len - start < HOST_TEXT_MOST) {
        n = host_pread(fd, t->data + t->len, t->capacity - t->len, (int64_t)(t->len - start));
        if (n <= 0)
            break;
        t->len += (size_t)n;
    }
    host_close(fd);
    return n < 0 ? (int)n : t->failed ? -ENOMEM : 0;
}

ssize link_text(char *buf, size_t size, const char *text)
{
    size_t n = MIN(strlen(text), size);
    memcpy(buf, text, n);
    return (ssize)n;
}

/* ---- finding nodes ---- */

/* The number that `name` continues with behind `prefix`; -1: none. */
static long number_after(const char *name, size_t len, const char *prefix, size_t prefix_len)
{
    long n = 0;
    if (len <= prefix_len || len - prefix_len > 9 || memcmp(name, prefix, prefix_len) != 0 ||
        (name[prefix_len] == '0' && len - prefix_len > 1))
        return -1;
    for (size_t i = prefix_len; i < len; i++) {
        if (name[i] < '0' || name[i] > '9')
            return -1;
        n = n * 10 + (name[i] - '0');
    }
    return n;
}

static bool matches(const struct pseudo_node *c, const char *name, size_t len,
                    struct pseudo_ref *dir)
{
    size_t n = strlen(c->name);
    if (c->name_at) {
        for (long i = 0; c->name_at(i); i++)
            if (strlen(c->name_at(i)) == len && memcmp(c->name_at(i), name, len) == 0) {
                dir->num[dir->depth++] = i;
                return true;
            }
        return false;
    }
    if (!c->next)
        return n == len && memcmp(c->name, name, len) == 0;
    long number = number_after(name, len, c->name, n - 1);
    if (number < 0 || c->next(dir, number) != number)
        return false;
    dir->num[dir->depth++] = number;
    return true;
}

static int find(const struct pseudo_node *root, struct mount *m, const char *rel,
                struct pseudo_ref *r)
{
    *r = (struct pseudo_ref){.node = root, .mount = m, .rel = rel};
    for (const char *at = rel; *at;) {
        const char *end = strchr(at, '/');
        size_t len = end ? (size_t)(end - at) : strlen(at);
        if (!r->node->children)
            return -ENOTDIR;
        int err = r->node->check ? r->node->check(r) : 0;
        if (err)
            return err;
        const struct pseudo_node *c = r->node->children;
        r->rel_len = at > rel ? (size_t)(at - rel) - 1 : 0;
        while (c->name && !matches(c, at, len, r))
            c++;
        if (!c->name)
            return -ENOENT;
        r->node = c;
        at += end ? len + 1 : len;
    }
    r->rel_len = strlen(rel);
    return r->node->exists && !r->node->exists(r) ? -ENOENT : 0;
}

static void host_path(const struct pseudo_ref *r, char path[PATH_LIMIT])
{
    fmt(path, PATH_LIMIT, "/%s/%s", r->mount->ops->name, r->rel);
}

int pseudo_host_fill(const struct pseudo_ref *r, struct text *t)
{
    char path[PATH_LIMIT];
    host_path(r, path);
    return text_add_host(t, path);
}

bool pseudo_host_exists(const struct pseudo_ref *r)
{
    char path[PATH_LIMIT];
    struct stat st;
    host_path(r, path);
    return host_stat(path, true, &st) == 0;
}

/* ---- looking ---- */

uint64_t mount_device(const struct mount *m)
{
    uint64_t minor = 0xf000;
    for (uint32_t i = 0; i < mount_count && mounts[i] != m; i++)
        minor++;
    return (minor & 0xff) | (minor & ~0xffUL) << 12;
}

static void describe(const struct pseudo_ref *r, kstat *st)
{
    uint32_t owner[2] = {0, 0};
    char abs[PATH_LIMIT];
    struct __kernel_timespec now = {0};
    memset(st, 0, sizeof(*st));
    fmt(abs, sizeof(abs), "%s%s%s", r->mount->path, *r->rel ? "/" : "", r->rel);
    host_clock_get(0, &now);
    if (r->node->owner)
        r->node->owner(r, owner);
    st->st_dev = mount_device(r->mount);
    st->st_ino = path_inode(abs);
    st->st_mode = r->node->mode;
    st->st_nlink = r->node->children ? 2 : 1;
    st->st_uid = owner[0];
    st->st_gid = owner[1];
    st->st_blksize = 1024;
    st->st_atime = st->st_mtime = st->st_ctime = (unsigned long)now.tv_sec;
    st->st_atime_nsec = st->st_mtime_nsec = st->st_ctime_nsec = (unsigned long)now.tv_nsec;
}

int pseudo_stat(const struct pseudo_node *root, struct mount *m, const char *rel, bool follow,
                kstat *st)
{
    struct pseudo_ref r;
    int err = find(root, m, rel, &r);
    if (err)
        return err;
    if (r.node->stat && (follow || !r.node->link))
        return r.node->stat(&r, st);
    describe(&r, st);
    return 0;
}

ssize pseudo_readlink(const struct pseudo_node *root, struct mount *m, const char *rel, char *buf,
                      size_t size)
{
    struct pseudo_ref r;
    int err = find(root, m, rel, &r);
    return err ? err : r.node->link ? r.node->link(&r, buf, size) : -EINVAL;
}

bool pseudo_magic(const struct pseudo_node *root, struct mount *m, const char *rel)
{
    struct pseudo_ref r;
    return find(root, m, rel, &r) == 0 && r.node->magic && r.node->magic(&r);
}

int pseudo_statfs(uint32_t type, struct statfs64_k *out)
{
    struct statfs *st = (struct statfs *)out;
    memset(st, 0, sizeof(*st));
    st->f_type = type;
    st->f_bsize = st->f_frsize = (long)PAGE_SIZE;
    st->f_namelen = NAME_LIMIT;
    return 0;
}

/* ---- open files ---- */

struct pseudo_file {
    struct text text;
    struct pseudo_ref ref;
    kstat st;
};

static ssize text_read(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    struct pseudo_file *p = f->priv;
    if (pos < 0 || (size_t)pos >= p->text.len)
        return 0;
    n = MIN(n, p->text.len - (size_t)pos);
    if (!user_range_ok(ubuf, n)) { /* file_read_kernel */
        memcpy(ubuf, p->text.data + pos, n);
        return (ssize)n;
    }
    return copy_to_user(ubuf, p->text.data + pos, n) ? -EFAULT : (ssize)n;
}

static ssize text_write(struct file *f, const void *ubuf, size_t n, int64_t pos)
{
    struct pseudo_file *p = f->priv;
    (void)pos;
    if (!p->ref.node->write)
        return -EINVAL;
    char *buf = heap_alloc(PAGE_SIZE);
    if (!buf)
        return -ENOMEM;
    n = MIN(n, PAGE_SIZE);
    ssize r = copy_from_user(buf, ubuf, n) ? -EFAULT : p->ref.node->write(&p->ref, buf, n);
    memset(buf, 0, n); /* it may have been a key */
    __asm__ volatile("" ::"r"(buf) : "memory");
    heap_free(buf);
    return r;
}

static int64_t text_size(struct file *f)
{
    return (int64_t)((struct pseudo_file *)f->priv)->text.len;
}

static int file_stat_kept(struct file *f, kstat *st)
{
    *st = ((struct pseudo_file *)f->priv)->st;
    return 0;
}

/* ftruncate(2) of such a file changes nothing: what is written replaces the value. */
static int text_truncate(struct file *f, int64_t size)
{
    (void)size;
    return ((struct pseudo_file *)f->priv)->ref.node->write ? 0 : -EPERM;
}

static void file_release(struct file *f)
{
    struct pseudo_file *p = f->priv;
    if (p->text.data) {
        memset(p->text.data, 0, p->text.len);
        __asm__ volatile("" ::"r"(p->text.data) : "memory");
    }
    text_free(&p->text);
    heap_free(p);
}

static const struct file_ops text_ops = {.name = "pseudo",
                                         .read = text_read,
                                         .write = text_write,
                                         .size = text_size,
                                         .stat = file_stat_kept,
                                         .truncate = text_truncate,
                                         .release = file_release};

static bool emit_child(struct file *f, struct dir_sink *sink, const struct pseudo_node *c,
                       const char *name, int64_t next)
{
    char abs[PATH_LIMIT];
    fmt(abs, sizeof(abs), "%s/%s", f->path, name);
    return sink->emit(sink, name, strlen(name), path_inode(abs), (uint8_t)(c->mode >> 12), next);
}

/* Cookies: 0 and 1 are the dots, child k (from 1) and its number n are k << 32 | n. */
static bool list_child(struct file *f, struct dir_sink *sink, const struct pseudo_node *c,
                       int64_t k)
{
    struct pseudo_file *p = f->priv;
    int64_t done = (k + 1) << 32;
    if (!c->next && !c->name_at) {
        struct pseudo_ref child = p->ref;
        char rel[PATH_LIMIT];
        fmt(rel, sizeof(rel), "%s%s%s", p->ref.rel, *p->ref.rel ? "/" : "", c->name);
        child.rel = rel;
        child.node = c;
        return (c->exists && !c->exists(&child)) || emit_child(f, sink, c, c->name, done);
    }
    long from = sink->cookie > k << 32 ? (long)(sink->cookie & 0xffffffff) : 0;
    for (;;) {
        char name[NAME_LIMIT + 1];
        if (c->next) {
            from = c->next(&p->ref, from);
            if (from < 0)
                return true;
            fmt(name, sizeof(name), "%.*s%ld", (int)strlen(c->name) - 1, c->name, from);
        } else if (c->name_at(from)) {
            fmt(name, sizeof(name), "%s", c->name_at(from));
        } else {
            return true;
        }
        if (!emit_child(f, sink, c, name, (k << 32) + ++from))
            return false;
    }
}

static int dir_readdir(struct file *f, struct dir_sink *sink)
{
    static const char dots[2][3] = {".", ".."};
    struct pseudo_file *p = f->priv;
    for (int64_t i = sink->cookie; i < 2; i++)
        if (!sink->emit(sink, dots[i], (size_t)i + 1, p->st.st_ino, 4, i + 1))
            return 0;
    int64_t k = 1;
    for (const struct pseudo_node *c = p->ref.node->children; c->name; c++, k++)
        if (sink->cookie < (k + 1) << 32 && !list_child(f, sink, c, k))
            return 0;
    return dir_list_mounts(f, sink);
}

static const struct file_ops pseudo_dir_ops = {
    .name = "pseudo", .readdir = dir_readdir, .stat = file_stat_kept, .release = file_release};

static int check_open(const struct pseudo_node *n, uint32_t flags)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (flags & O_CREAT && flags & O_EXCL)
        return -EEXIST;
    if (n->children)
        return writes || flags & O_CREAT ? -EISDIR : 0;
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    if (n->link && flags & O_NOFOLLOW && !(flags & O_PATH))
        return -ELOOP;
    return writes && !n->write && !n->open ? -EACCES : 0;
}

static int open_text(const struct pseudo_ref *r, uint32_t flags, struct file **out)
{
    bool dir = r->node->children;
    struct pseudo_file *p = heap_zalloc(sizeof(*p) + strlen(r->rel) + 1);
    if (!p)
        return -ENOMEM;
    p->ref = *r;
    p->ref.rel = memcpy(p + 1, r->rel, strlen(r->rel) + 1);
    describe(&p->ref, &p->st);
    int err = 0;
    if (r->node->fill && !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY)
        err = r->node->fill(&p->ref, &p->text);
    if (!err && p->text.failed)
        err = -ENOMEM;
    *out =
        err ? NULL
            : file_new(dir ? &pseudo_dir_ops : &text_ops, dir ? FILE_DIR : FILE_REGULAR, -1, flags);
    if (!*out) {
        text_free(&p->text);
        heap_free(p);
        return err ? err : -ENOMEM;
    }
    (*out)->seekable = true;
    (*out)->priv = p;
    return 0;
}

int pseudo_open(const struct pseudo_node *root, struct mount *m, const char *rel, uint32_t flags,
                struct file **out)
{
    struct pseudo_ref r;
    int err = find(root, m, rel, &r);
    if (err)
        return err;
    err = check_open(r.node, flags);
    if (!err && r.node->check)
        err = r.node->check(&r);
    if (err)
        return err;
    if (r.node->open && !(r.node->link && flags & O_NOFOLLOW))
        return r.node->open(&r, flags, out);
    return open_text(&r, flags, out);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The tree of a tmpfs: inodes, names, links, permissions. */
#include "host/host.h"
#include "libos/fs/tmpfs.h"
#include "libos/process.h"
#include "platform/platform.h"
#include <linux/fs.h>

#define CLOCK_REALTIME_K 0

static bool is_dir(const struct tmp_inode *i)
{
    return S_ISDIR(i->mode);
}

void tmp_touch(struct tmp_inode *i, bool content)
{
    host_clock_get(CLOCK_REALTIME_K, &i->ctime);
    if (content)
        i->mtime = i->ctime;
}

int tmp_may(const struct tmp_inode *i, uint32_t want)
{
    const struct credentials *c = &current_process()->cred;
    if (c->fsuid == 0)
        return 0;
    uint32_t bits = i->mode;
    bool member = c->fsgid == i->gid;
    for (uint32_t g = 0; g < c->ngroups; g++)
        member |= c->groups[g] == i->gid;
    if (c->fsuid == i->uid)
        bits >>= 6;
    else if (member)
        bits >>= 3;
    return want & ~bits & 7 ? -EACCES : 0;
}

int tmp_may_remove(const struct tmp_place *p)
{
    const struct credentials *c = &current_process()->cred;
    int err = tmp_may(p->dir, MAY_WRITE | MAY_EXEC);
    if (!err && p->dir->mode & S_ISVTX && c->fsuid && c->fsuid != p->dir->uid &&
        c->fsuid != p->entry->inode->uid)
        err = -EPERM;
    return err;
}

static uint32_t hash_of(const char *name, size_t len)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 16777619u;
    return h;
}

static struct tmp_entry *entry_of(const struct tmp_inode *dir, const char *name, size_t len)
{
    uint32_t hash = hash_of(name, len);
    list_for_each (it, &dir->entries) {
        struct tmp_entry *e = list_entry(it, struct tmp_entry, link);
        if (e->hash == hash && strncmp(e->name, name, len) == 0 && !e->name[len])
            return e;
    }
    return NULL;
}

int tmp_find(struct tmpfs *fs, const char *rel, struct tmp_place *out)
{
    *out = (struct tmp_place){.name = rel};
    struct tmp_inode *at = fs->root;
    while (*rel) {
        const char *end = strchr(rel, '/');
        size_t len = end ? (size_t)(end - rel) : strlen(rel);
        if (!is_dir(at))
            return -ENOTDIR;
        int err = tmp_may(at, MAY_EXEC);
        if (err)
            return err;
        *out = (struct tmp_place){at, rel, entry_of(at, rel, len)};
        if (!end)
            return 0;
        if (!out->entry)
            return -ENOENT;
        at = out->entry->inode;
        rel += len + 1;
    }
    return 0;
}

int tmp_lookup(struct tmpfs *fs, const char *rel, struct tmp_inode **out)
{
    struct tmp_place p;
    int err = tmp_find(fs, rel, &p);
    if (err)
        return err;
    if (p.dir && !p.entry)
        return -ENOENT;
    *out = p.dir ? p.entry->inode : fs->root;
    return 0;
}

/* A FIFO of the host that has lost its name: /proc/self/fd opens it. */
static int make_fifo(void)
{
    static const char *const dirs[] = {"/dev/shm", "/tmp"};
    char path[64];
    uint64_t id;
    int err = platform_random(&id, sizeof(id));
    for (size_t i = 0; !err && i < ARRAY_SIZE(dirs); i++) {
        fmt(path, sizeof(path), "%s/.adyton-fifo-%016lx", dirs[i], id);
        err = host_mknod(path, S_IFIFO | 0600, 0);
        if (err) {
            err = i + 1 < ARRAY_SIZE(dirs) ? 0 : err;
            continue;
        }
        int fd = host_open(path, O_PATH | O_NOFOLLOW, 0);
        host_unlink(path, false);
        return fd;
    }
    return err;
}

static struct tmp_inode **slot_of(struct tmpfs *fs, uint64_t ino)
{
    return &fs->by_ino[ino % TMP_HASH];
}

struct tmp_inode *tmp_new(struct tmpfs *fs, const struct tmp_inode *dir, uint32_t mode, int *err)
{
    const struct credentials *c = &current_process()->cred;
    struct tmp_inode *i = heap_zalloc(sizeof(*i));
    *err = -ENOMEM;
    if (!i)
        return NULL;
    bool host = S_ISREG(mode) || S_ISFIFO(mode);
    i->memfd = S_ISREG(mode) ? host_memfd("tmpfs", 0) : host ? make_fifo() : -1;
    if (host && i->memfd < 0) {
        *err = i->memfd;
        heap_free(i);
        return NULL;
    }
    *err = 0;
    i->refs = 1;
    i->ino = fs->next_ino++;
    i->fs = fs;
    i->same_hash = *slot_of(fs, i->ino);
    *slot_of(fs, i->ino) = i;
    i->mode = mode;
    i->uid = c->fsuid;
    i->gid = c->fsgid;
    if (dir && dir->mode & S_ISGID) {
        i->gid = dir->gid;
        i->mode |= is_dir(i) ? S_ISGID : 0;
    }
    i->nlink = is_dir(i) ? 1 : 0; /* its own "." */
    list_init(&i->entries);
    tmp_touch(i, true);
    i->atime = i->mtime;
    return i;
}

struct tmp_inode *tmp_by_ino(struct tmpfs *fs, uint64_t ino)
{
    struct tmp_inode *i = *slot_of(fs, ino);
    while (i && i->ino != ino)
        i = i->same_hash;
    return i;
}

void tmp_forget(struct tmpfs *fs)
{
    for (size_t h = 0; h < TMP_HASH; h++)
        for (struct tmp_inode *i = fs->by_ino[h]; i; i = i->same_hash)
            if (i->memfd >= 0) {
                host_close(i->memfd);
                i->memfd = -1;
            }
}

void tmp_put(struct tmp_inode *i)
{
    if (!ref_put(&i->refs))
        return;
    if (i->fs) {
        struct tmp_inode **at = slot_of(i->fs, i->ino);
        while (*at != i)
            at = &(*at)->same_hash;
        *at = i->same_hash;
    }
    if (i->memfd >= 0)
        host_close(i->memfd);
    heap_free(i->target);
    heap_free(i);
}

int tmp_enter(struct tmpfs *fs, struct tmp_inode *dir, const char *name, struct tmp_inode *i)
{
    size_t len = strlen(name);
    struct tmp_entry *e = heap_alloc(sizeof(*e) + len + 1);
    if (!e)
        return -ENOMEM;
    ref_get(&i->refs);
    i->nlink++;
    e->inode = i;
    e->hash = hash_of(name, len);
    e->cookie = fs->next_cookie++;
    memcpy(e->name, name, len + 1);
    list_add_tail(&dir->entries, &e->link);
    dir->count++;
    if (is_dir(i)) {
        i->parent = dir;
        dir->nlink++;
    }
    tmp_touch(dir, true);
    tmp_touch(i, false);
    return 0;
}

/* `i` loses its name in `dir`. */
static void lose_name(struct tmp_inode *dir, struct tmp_inode *i)
{
    i->nlink--;
    if (is_dir(i)) {
        i->nlink = 0; /* "." goes too: only empty directories lose their only name */
        i->parent = NULL;
        dir->nlink--;
    }
    tmp_touch(i, false);
    tmp_put(i);
}

void tmp_remove(struct tmp_inode *dir, struct tmp_entry *e)
{
    list_del(&e->link);
    dir->count--;
    tmp_touch(dir, true);
    lose_name(dir, e->inode);
    heap_free(e);
}

/* Is `above` the directory `i` or one that holds it? */
static bool holds(const struct tmp_inode *above, const struct tmp_inode *i)
{
    for (; i; i = i->parent)
        if (i == above)
            return true;
    return false;
}

static int check_rename(const struct tmp_place *from, const struct tmp_place *to, uint32_t flags)
{
    struct tmp_inode *a = from->entry->inode, *b = to->entry ? to->entry->inode : NULL;
    int err = tmp_may_remove(from);
    if (!err)
        err = b ? tmp_may_remove(to) : tmp_may(to->dir, MAY_WRITE | MAY_EXEC);
    if (err)
        return err;
    if (flags & RENAME_NOREPLACE && b)
        return -EEXIST;
    if (flags & RENAME_EXCHANGE && !b)
        return -ENOENT;
    if (is_dir(a) && holds(a, to->dir))
        return -EINVAL;
    if (b && is_dir(b) && holds(b, from->dir))
        return flags & RENAME_EXCHANGE ? -EINVAL : -ENOTEMPTY;
    if (!b || flags & RENAME_EXCHANGE)
        return 0;
    if (is_dir(a) != is_dir(b))
        return is_dir(a) ? -ENOTDIR : -EISDIR;
    return is_dir(b) && b->count ? -ENOTEMPTY : 0;
}

/* A directory moves below another one. */
static void adopt(struct tmp_inode *i, struct tmp_inode *from, struct tmp_inode *to)
{
    if (!is_dir(i))
        return;
    from->nlink--;
    to->nlink++;
    i->parent = to;
}

int tmp_rename(struct tmpfs *fs, struct tmp_place *from, struct tmp_place *to, uint32_t flags)
{
    int err = check_rename(from, to, flags);
    if (err)
        return err;
    struct tmp_inode *a = from->entry->inode, *b = to->entry ? to->entry->inode : NULL;
    if (a == b)
        return 0;
    if (!b) { /* a name of its own first: what follows cannot fail */
        err = tmp_enter(fs, to->dir, to->name, a);
        if (err)
            return err;
        struct tmp_inode *parent = a->parent;
        uint32_t nlink = a->nlink - 1;
        tmp_remove(from->dir, from->entry);
        a->nlink = nlink;
        a->parent = parent;
        return 0;
    }
    to->entry->inode = a;
    adopt(a, from->dir, to->dir);
    if (flags & RENAME_EXCHANGE) {
        from->entry->inode = b;
        adopt(b, to->dir, from->dir);
    } else {
        list_del(&from->entry->link);
        from->dir->count--;
        heap_free(from->entry);
        lose_name(to->dir, b);
    }
    tmp_touch(a, false);
    tmp_touch(from->dir, true);
    tmp_touch(to->dir, true);
    return 0;
}

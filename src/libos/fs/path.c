/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * From the application's path to (mount, path below it). Links of the host's file systems are left
 * to the host, which follows them where they stand; links of our own file systems, links that the
 * program has or may have made on the host, and links that stand before a "..", are followed here.
 */
#include "libos/fs/links.h"
#include "libos/fs/vfs.h"
#include "libos/process.h"

struct mount **mounts; /* read-only after mounts_setup */
uint32_t mount_count;

#define MOST_LINKS  40
#define MOST_NESTED 3 /* links whose text has a ".." behind a link of that kind */
#define S_TYPE      0170000
#define S_DIR       0040000
#define S_LINK      0120000

int path_normalise(const char *in, char *out)
{
    long n = mf_path_normalise(in, strlen(in), out, PATH_LIMIT);
    return n < 0 ? (int)n : 0;
}

int path_join(const char *dir, const char *rest, char out[PATH_LIMIT])
{
    size_t d = strlen(dir), r = strlen(rest);
    if (d + r + 2 > PATH_LIMIT)
        return -ENAMETOOLONG;
    memmove(out, dir, d);
    out[d] = '/';
    memcpy(out + d + 1, rest, r + 1);
    return path_normalise(out, out);
}

int mount_host_path(const struct mount *m, const char *rel, char out[PATH_LIMIT])
{
    size_t u = strlen(m->uri), r = strlen(rel);
    if (u + r + 2 > PATH_LIMIT)
        return -ENAMETOOLONG;
    if (!r) {
        memcpy(out, m->uri, u + 1);
    } else if (strcmp(m->uri, ".") == 0) {
        memcpy(out, rel, r + 1);
    } else {
        memcpy(out, m->uri, u);
        if (m->uri[u - 1] != '/')
            out[u++] = '/';
        memcpy(out + u, rel, r + 1);
    }
    return 0;
}

static bool below(const char *path, const char *dir, size_t len)
{
    return len == 1 ||
           (path[1] == dir[1] && memcmp(path, dir, len) == 0 && (path[len] == '/' || !path[len]));
}

static void find_mount(struct path *p)
{
    for (uint32_t i = mount_count; i-- > 0;) {
        struct mount *m = mounts[i];
        if (!below(p->abs, m->path, m->path_len))
            continue;
        p->mount = m;
        p->rel = p->abs + (m->path_len == 1 ? 1 : m->path_len);
        if (*p->rel == '/')
            p->rel++;
        return;
    }
    panic("no root mount");
}

bool mounts_imply(const char *abs)
{
    size_t len = strlen(abs);
    for (uint32_t i = 0; i < mount_count; i++)
        if (mounts[i]->path_len > len && below(mounts[i]->path, abs, len))
            return true;
    return false;
}

void mounts_below(const char *dir, bool (*emit)(void *ctx, const char *name, size_t len), void *ctx)
{
    size_t len = strlen(dir);
    for (uint32_t i = 0; i < mount_count; i++) {
        const struct mount *m = mounts[i];
        if (m->path_len <= len || m->path_len == 1 || !below(m->path, dir, len))
            continue;
        const char *name = m->path + (len == 1 ? 1 : len + 1);
        const char *end = strchr(name, '/');
        if (!emit(ctx, name, end ? (size_t)(end - name) : strlen(name)))
            return;
    }
}

static bool on_host(const struct mount *m)
{
    return (m->ops == &fs_chroot || m->ops == &fs_encrypted) && m->uri;
}

/* Replaces the link at abs[0..link_end) by its target; what follows it stays. */
static int substitute(char *abs, size_t link_end, const char *target)
{
    char rest[PATH_LIMIT], dir[PATH_LIMIT];
    memcpy(rest, abs + link_end, strlen(abs + link_end) + 1);
    size_t d = link_end;
    while (d > 1 && abs[d - 1] != '/')
        d--;
    memcpy(dir, abs, d);
    dir[d] = 0;
    int err = path_join(target[0] == '/' ? "/" : dir, target, abs);
    return err ? err : path_join(abs, rest, abs);
}

/* The first link along p->rel that is to be followed here: 1, and its end and text. */
static __attribute__((noinline)) int find_own_link(const struct path *p, bool follow_last,
                                                   size_t *at, char *target)
{
    char prefix[PATH_LIMIT];
    size_t n = strlen(p->rel), end = 0;
    while (end < n) {
        do
            end++;
        while (end < n && p->rel[end] != '/');
        if (end == n && !follow_last)
            return 0;
        memcpy(prefix, p->rel, end);
        prefix[end] = 0;
        if (end == n && p->mount->ops->magic_link && p->mount->ops->magic_link(p->mount, prefix))
            return 0;
        ssize len = p->mount->ops->readlink(p->mount, prefix, target, PATH_LIMIT - 1);
        if (len >= 0) {
            target[len] = 0;
            *at = end;
            return 1;
        }
    }
    return 0;
}

/* Has the link's text a ".." behind a name, so that what the name is counts? */
static bool climbs_late(const char *target)
{
    bool name = false;
    for (const char *end; *target; target = *end ? end + 1 : end) {
        for (end = target; *end && *end != '/';)
            end++;
        bool up = end - target == 2 && target[0] == '.' && target[1] == '.';
        if (up && name)
            return true;
        name |= !up && end != target && !(end - target == 1 && target[0] == '.');
    }
    return false;
}

static int walk(struct path *p, const char *in);

/* substitute() for such a text. */
static int substitute_walked(struct path *p, size_t link_end, const char *target)
{
    char *rest = heap_strdup(p->abs + link_end);
    bool must_be_dir = p->must_be_dir;
    if (!rest)
        return -ENOMEM;
    size_t d = target[0] == '/' ? 1 : link_end;
    while (d > 1 && p->abs[d - 1] != '/')
        d--;
    p->abs[d > 1 ? d - 1 : 1] = 0;
    int err = p->depth < MOST_NESTED ? 0 : -ELOOP;
    p->depth++;
    if (!err)
        err = walk(p, target);
    p->depth--;
    p->must_be_dir = must_be_dir;
    if (!err)
        err = path_join(p->abs, rest, p->abs);
    heap_free(rest);
    return err;
}

static bool follows_here(const struct mount *m)
{
    return m->ops->own_links ? m->ops->readlink != NULL : unlikely(links_walked()) && on_host(m);
}

/* How many links of chroot mounts are followed before the call itself is left to meet one. */
static int links_ahead(bool lazy)
{
    struct thread *t = current();
    if (!lazy && t->walks == WALK_ONE)
        t->walks = WALK_ALL; /* it would not meet the next one */
    return !lazy || t->walks == WALK_ALL ? INT32_MAX : t->walks == WALK_ONE;
}

static int follow_here(struct path *p, bool follow_last, bool lazy)
{
    char *target = heap_alloc(PATH_LIMIT);
    int err = target ? 0 : -ENOMEM, ahead = links_ahead(lazy);
    while (!err && follows_here(p->mount)) {
        size_t end;
        if (p->mount->ops == &fs_chroot && !ahead--)
            break;
        int found = 0;
        if (!p->mount->ops->own_links)
            found = links_find(p->mount, p->rel, follow_last, &end, target);
        else if (*p->rel)
            found = find_own_link(p, follow_last, &end, target);
        err = found > 0 && p->links++ >= MOST_LINKS ? -ELOOP : MIN(found, 0);
        if (err || !found)
            break;
        size_t link_end = (size_t)(p->rel - p->abs) + end;
        err = climbs_late(target) ? substitute_walked(p, link_end, target)
                                  : substitute(p->abs, link_end, target);
        if (!err)
            find_mount(p);
    }
    heap_free(target);
    return err;
}

/* Follows links of our own file systems, and the run's, along the path. */
static int follow_own_links(struct path *p, bool follow_last)
{
    find_mount(p);
    return follows_here(p->mount) ? follow_here(p, follow_last, false) : 0;
}

int path_real(char abs[PATH_LIMIT])
{
    struct path *p = heap_alloc(sizeof(*p));
    int err = p ? 0 : -ENOMEM, links = 0;
    for (size_t end = 0; !err && abs[end];) {
        char target[PATH_LIMIT];
        do
            end++;
        while (abs[end] && abs[end] != '/');
        memcpy(p->abs, abs, end);
        p->abs[end] = 0;
        find_mount(p);
        ssize n = *p->rel && p->mount->ops->readlink
                      ? p->mount->ops->readlink(p->mount, p->rel, target, sizeof(target) - 1)
                      : -EINVAL;
        if (n < 0)
            continue;
        target[n] = 0;
        err = ++links > MOST_LINKS ? -ELOOP : substitute(abs, end, target);
        end = 0;
    }
    heap_free(p);
    return err;
}

/*
 * The directory before a "..": it must exist and be one; when it is a link the ".." belongs to its
 * target. `abs` is the path so far.
 */
static int check_parent(char *abs, struct path *of)
{
    struct path *p = heap_zalloc(sizeof(*p));
    char *target = heap_alloc(PATH_LIMIT);
    if (!p || !target) {
        heap_free(p);
        heap_free(target);
        return -ENOMEM;
    }
    p->depth = of->depth;
    p->links = of->links;
    kstat st;
    int err = 0;
    p->must_be_dir = false;
    for (;;) {
        memcpy(p->abs, abs, strlen(abs) + 1);
        err = follow_own_links(p, true);
        if (!err) {
            memcpy(abs, p->abs, strlen(p->abs) + 1);
            err = vfs_stat(p, false, &st);
        }
        if (err || (st.st_mode & S_TYPE) != S_LINK)
            break;
        ssize len = p->mount->ops->readlink
                        ? p->mount->ops->readlink(p->mount, p->rel, target, PATH_LIMIT - 1)
                        : -EINVAL;
        if (len < 0 || p->links++ >= MOST_LINKS) {
            err = len < 0 ? (int)len : -ELOOP;
            break;
        }
        target[len] = 0;
        err = substitute(abs, strlen(abs), target);
        if (err)
            break;
    }
    if (!err && (st.st_mode & S_TYPE) != S_DIR)
        err = -ENOTDIR;
    of->links = p->links;
    heap_free(target);
    heap_free(p);
    return err;
}

/* Of the bytes of a word those that are `c` have their highest bit set. */
static inline uint64_t bytes_equal(uint64_t w, uint8_t c)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7fUL;
    uint64_t x = w ^ c * 0x0101010101010101UL;
    return ~(((x & low) + low) | x | low);
}

/*
 * Is the absolute path of n bytes normal as it stands, as most are: no ".", "..", "//" or "/" at
 * the end, nor a hidden name, which is not told from those? Whole words are read, up to 7 bytes
 * behind the NUL.
 */
static bool is_normal(const char *in, size_t n)
{
    uint64_t before = 0;
    if (n > NAME_LIMIT || in[0] != '/')
        return false;
    for (size_t i = 0; i <= n; i += 8) {
        uint64_t w;
        __builtin_memcpy(&w, in + i, 8);
        uint64_t slash = bytes_equal(w, '/'), nul = bytes_equal(w, 0);
        uint64_t bad = (slash | nul | bytes_equal(w, '.')) & (slash << 8 | before);
        before = slash >> 56;
        if (nul)
            return !(bad & (nul ^ (nul - 1)));
        if (bad)
            return false;
    }
    return false;
}

/* Appends the components of `in` to p->abs. */
static int walk(struct path *p, const char *in)
{
    size_t len = strlen(p->abs);
    bool own = false; /* does abs end in a component of `in`? */
    while (*in) {
        const char *end = in;
        while (*end && *end != '/')
            end++;
        size_t n = (size_t)(end - in);
        p->must_be_dir = *end == '/' || (n == 1 && in[0] == '.');
        if (n == 2 && in[0] == '.' && in[1] == '.') {
            int err = own ? check_parent(p->abs, p) : 0;
            if (err)
                return err;
            len = strlen(p->abs);
            while (len > 1 && p->abs[len - 1] != '/')
                len--;
            len = len > 1 ? len - 1 : 1;
            p->abs[len] = 0;
            p->must_be_dir = true;
        } else if (n && !(n == 1 && in[0] == '.')) {
            if (n > NAME_LIMIT || len + n + 2 > PATH_LIMIT)
                return -ENAMETOOLONG;
            if (len > 1)
                p->abs[len++] = '/';
            memcpy(p->abs + len, in, n);
            len += n;
            p->abs[len] = 0;
            own = true;
        }
        in = *end ? end + 1 : end;
    }
    return 0;
}

static int start_at(int dirfd, const char *in, struct path *p)
{
    struct fs_state *fs = &current_process()->fs;
    int err = 0;
    if (in[0] == '/' && !__atomic_load_n(&fs->has_root, __ATOMIC_RELAXED)) {
        memcpy(p->abs, "/", 2);
        return 0;
    }
    if (in[0] == '/' || dirfd == AT_FDCWD) {
        lock(&fs->lock);
        const char *base = in[0] == '/' ? fs->root : fs->cwd;
        memcpy(p->abs, base, strlen(base) + 1);
        unlock(&fs->lock);
        return 0;
    }
    struct file *f = fd_get(dirfd);
    if (!f)
        return -EBADF;
    if (f->kind != FILE_DIR || !f->path)
        err = -ENOTDIR;
    else
        memcpy(p->abs, f->path, strlen(f->path) + 1);
    file_put(f);
    return err;
}

/*
 * The link at the end of `prefix`, of which `end` bytes of p->abs are meant: 0 when p->abs was
 * rewritten, -EINVAL when it is no link, -ENOENT when it leads nowhere inside.
 */
static int follow_one(struct path *p, size_t end)
{
    struct path *q = heap_zalloc(sizeof(*q));
    char target[PATH_LIMIT];
    kstat st;
    if (!q)
        return -ENOMEM;
    memcpy(q->abs, p->abs, end);
    find_mount(q);
    ssize n = *q->rel && q->mount->ops->readlink
                  ? q->mount->ops->readlink(q->mount, q->rel, target, sizeof(target) - 1)
                  : -EINVAL;
    int err = n < 0 ? -EINVAL : 0;
    if (!err) {
        target[n] = 0;
        memcpy(q->abs, p->abs, strlen(p->abs) + 1);
        err = substitute(q->abs, end, target);
    }
    if (!err) {
        find_mount(q);
        err = vfs_stat(q, false, &st);
    }
    if (!err)
        memcpy(p->abs, q->abs, strlen(q->abs) + 1);
    heap_free(q);
    return err;
}

int path_physical(struct path *p)
{
    for (int links = 0; links <= MOST_LINKS;) {
        size_t end = 1;
        int err = -EINVAL;
        while (p->abs[end] && err) {
            while (p->abs[end] && p->abs[end] != '/')
                end++;
            err = follow_one(p, end);
            if (err == -ENOMEM)
                return err;
            end += p->abs[end] == '/';
        }
        if (err) {
            find_mount(p);
            return 0;
        }
        links++;
    }
    return -ELOOP;
}

static int resolve(int dirfd, const char *kpath, struct path *out)
{
    if (!*kpath)
        return -ENOENT;
    int err = start_at(dirfd, kpath, out);
    out->must_be_dir = false;
    out->depth = out->links = 0;
    return err ? err : walk(out, kpath);
}

static int resolve_user(int dirfd, const char *upath, struct path *out)
{
    char in[PATH_LIMIT + 8]; /* is_normal() */
    ssize n = strncpy_from_user(in, upath, PATH_LIMIT);
    if (n < 0)
        return (int)n;
    if (!is_normal(in, (size_t)n) ||
        unlikely(__atomic_load_n(&current_process()->fs.has_root, __ATOMIC_RELAXED)))
        return resolve(dirfd, in, out);
    memcpy(out->abs, in, (size_t)n + 1);
    out->must_be_dir = false;
    out->depth = out->links = 0;
    return 0;
}

int path_resolve_kernel(int dirfd, const char *kpath, bool follow, struct path *out)
{
    int err = resolve(dirfd, kpath, out);
    return err ? err : follow_own_links(out, follow || out->must_be_dir);
}

int path_resolve(int dirfd, const char *upath, bool follow, struct path *out)
{
    int err = resolve_user(dirfd, upath, out);
    return err ? err : follow_own_links(out, follow || out->must_be_dir);
}

int path_resolve_look(int dirfd, const char *upath, bool follow, struct path *out)
{
    int err = resolve_user(dirfd, upath, out);
    if (err)
        return err;
    find_mount(out);
    bool here =
        out->mount->ops == &fs_chroot ? unlikely(current()->walks) : follows_here(out->mount);
    return here ? follow_here(out, follow || out->must_be_dir, true) : 0;
}

int path_resolve_name(int dirfd, const char *upath, struct path *out)
{
    int err = resolve_user(dirfd, upath, out);
    return err ? err : follow_own_links(out, false);
}

int path_follow(const struct path *p, struct path *to)
{
    memcpy(to->abs, p->abs, strlen(p->abs) + 1);
    to->must_be_dir = p->must_be_dir;
    to->depth = to->links = 0;
    return follow_own_links(to, true);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/seen.h"
#include "host/host.h"
#include "libos/process.h"

#define SEEN_TICKS 3000000 /* of the time-stamp counter, about 1 ms */
#define OFTEN      8       /* looks within that time, from which on keeping a folder open pays */
#define ONE_IN     16      /* paths by which another folder comes into question */

/* ---- folders that are open ---- */

static void drop(struct seen_root *r)
{
    if (r->fd > 0)
        host_close(r->fd);
    r->fd = 0;
}

/* The folder is not open, or has been for too long: opens it if that pays. */
static NOINLINE bool look_again(struct seen_root *r, uint64_t now)
{
    bool often = r->uses >= OFTEN;
    drop(r);
    if (often || now - r->at >= SEEN_TICKS) {
        r->at = now;
        r->uses = 0;
    }
    r->uses++;
    if (!often)
        return false;
    r->moved = __atomic_load_n(&links_shared->moved, __ATOMIC_SEQ_CST);
    r->fd = host_open(r->path, O_PATH | O_DIRECTORY, 0);
    if (!r->fd) /* the number is no descriptor here */
        host_close(0);
    return r->fd > 0;
}

bool seen_root(struct use *u, size_t len)
{
    struct seen_dirs *s = &current()->seen;
    for (uint32_t i = 0; i < ARRAY_SIZE(s->root); i++) {
        struct seen_root *r = &s->root[i];
        if (!r->len || r->len >= len || u->path[r->len] != '/' || memcmp(r->path, u->path, r->len))
            continue;
        uint64_t now = __builtin_ia32_rdtsc();
        s->last_root = i;
        if (unlikely(r->fd <= 0 || now - r->at >= SEEN_TICKS ||
                     r->moved != __atomic_load_n(&links_shared->moved, __ATOMIC_SEQ_CST)) &&
            !look_again(r, now))
            return false;
        r->uses++;
        u->root = r->fd;
        u->name = u->path + r->len + 1;
        return true;
    }
    return false;
}

void seen_no_root(const struct use *u, size_t len)
{
    struct seen_dirs *s = &current()->seen;
    if (s->without++ % ONE_IN)
        return;
    struct seen_root *r = &s->root[!s->last_root];
    size_t n = mf_allowed_folder(&run.manifest, u->path, len);
    if (!n || n >= sizeof(r->path))
        return;
    for (uint32_t i = 0; i < ARRAY_SIZE(s->root); i++)
        if (s->root[i].len == n && !memcmp(s->root[i].path, u->path, n))
            return;
    drop(r);
    memcpy(r->path, u->path, n);
    r->path[n] = 0;
    r->len = (uint32_t)n;
    r->uses = 0;
    r->at = __builtin_ia32_rdtsc();
}

/* ---- directories without a link on the way ---- */

/* What the thread knows about the directory. */
static enum seen_place before(struct seen_dirs *s, const char *dir, size_t len)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(s->dir); i++) {
        struct seen_dir *d = &s->dir[i];
        if (d->len != len || memcmp(d->path, dir, len) || !d->place)
            continue;
        return d->place == SEEN_OTHER || __builtin_ia32_rdtsc() - d->at < SEEN_TICKS ? d->place
                                                                                     : SEEN_NEVER;
    }
    return SEEN_NEVER;
}

static void remember(struct seen_dirs *s, const char *dir, size_t len, enum seen_place place)
{
    struct seen_dir *d = NULL;
    for (uint32_t i = 0; !d && i < ARRAY_SIZE(s->dir); i++)
        if (s->dir[i].len == len && !memcmp(s->dir[i].path, dir, len))
            d = &s->dir[i];
    if (len > sizeof(d->path))
        return;
    if (!d)
        d = &s->dir[s->next++ % ARRAY_SIZE(s->dir)];
    memcpy(d->path, dir, len);
    d->len = (uint32_t)len;
    d->place = place;
    d->at = __builtin_ia32_rdtsc();
}

/* Of a place that the program cannot write to, as nothing in it: that stays so. */
static void remember_other(struct seen_dirs *s, const char *path, size_t len)
{
    const struct mf *mf = &run.manifest;
    if (len && !mf_allowed_below(mf, path, len))
        remember(s, path, len, SEEN_OTHER);
}

/* Opens the directory, the first `dir` bytes of u->path, without meeting a link. */
static NOINLINE int look(struct use *u, size_t dir)
{
    char path[PATH_LIMIT];
    size_t skip = u->root > 0 ? (size_t)(u->name - u->path) : 0;
    bool slash = u->path[dir] == '/';
    fmt(path, sizeof(path), "%.*s", slash ? (int)MAX(dir - skip, 1u) : 1,
        slash ? u->path + skip : ".");
    int fd = host_open_plain(u->root > 0 ? u->root : HOST_AT_FDCWD, path, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return fd == -ELOOP ? use_met_link(u) : fd;
    host_close(fd);
    return 0;
}

int seen_parent(struct use *u, const struct mount *m, const char *rel, size_t len)
{
    struct seen_dirs *s = &current()->seen;
    size_t dir = len;
    while (dir && u->path[dir] != '/')
        dir--;
    if (u->root > 0 && u->name == u->path + dir + 1) {
        u->guarded = true;
        return 0;
    }
    enum seen_place place = before(s, u->path, dir);
    u->guarded = place == SEEN_PLAIN;
    if (place)
        return 0;
    if (!use_is_guarded(m, rel, u->path)) {
        remember_other(s, u->path, dir);
        return 0;
    }
    int err = look(u, dir);
    if (err)
        return err;
    u->guarded = true;
    /* Only a directory all of whose names are the program's: of others some may be followed. */
    if (dir && mf_allowed(&run.manifest, u->path, dir))
        remember(s, u->path, dir, SEEN_PLAIN);
    return 0;
}

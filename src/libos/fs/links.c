/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/links.h"
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/fs/encrypted_names.h"
#include "platform/platform.h"
#include <asm/unistd.h>
#include <linux/time.h>

#define MOST_LINKS 40
#define S_TYPE     0170000
#define S_DIR      0040000
#define S_LINK     0120000
#define OMIT       0x3ffffffeL /* UTIME_OMIT */
#define WAIT_TRIES 100
#define WAIT_NS    1000000
#define MOST_DEPTH 200

struct links_shared *links_shared;

int links_setup(void)
{
    links_shared = platform_shared_pages(PAGE_SIZE);
    if (!links_shared)
        return -ENOMEM;
    /* The clock of the time stamps, which moves with the kernel's tick. */
    links_shared->since = host_clock_ns(CLOCK_REALTIME_COARSE);
    return 0;
}

/* The first time, calls that let the host resolve their paths are waited for. */
void links_note(void)
{
    const struct __kernel_timespec wait = {0, WAIT_NS};
    if (__atomic_exchange_n(&links_shared->made, 1, __ATOMIC_SEQ_CST))
        return;
    for (int i = 0; i < WAIT_TRIES; i++) {
        if (!__atomic_load_n(&links_shared->changing, __ATOMIC_SEQ_CST))
            return;
        host_pass(__NR_nanosleep, (long)&wait, 0, 0, 0, 0, 0);
    }
}

static void doubt(void)
{
    __atomic_store_n(&links_shared->doubt, 1, __ATOMIC_SEQ_CST);
}

static bool is_ours(const struct stat *st)
{
    return __atomic_load_n(&links_shared->doubt, __ATOMIC_SEQ_CST) ||
           (uint64_t)st->st_ctime * 1000000000 + st->st_ctime_nsec >= links_shared->since;
}

void links_noted(const char *host)
{
    struct stat st;
    if (!host_stat(host, false, &st) && !is_ours(&st))
        doubt();
}

/* ---- directories that move ---- */

struct tree {
    int (*check)(void *ctx, const char *rel, const char *target);
    void *ctx;
    int depth;
    char dir[40];         /* "/proc/self/fd/N" of the one that is being listed */
    char rel[PATH_LIMIT]; /* of the entry at hand */
    char path[NAME_LIMIT + 42];
    char target[PATH_LIMIT];
};

static int note_entry(void *ctx, const char *name, size_t len, uint8_t type);

static int note_dir(struct tree *t, const char *path)
{
    char outer[sizeof(t->dir)];
    if (t->depth >= MOST_DEPTH)
        return -ENAMETOOLONG;
    int fd = host_open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd == -ENOENT ? 0 : fd;
    t->depth++;
    memcpy(outer, t->dir, sizeof(outer));
    fmt(t->dir, sizeof(t->dir), "/proc/self/fd/%d", fd);
    int err = enc_list(t->dir, note_entry, t);
    memcpy(t->dir, outer, sizeof(outer));
    t->depth--;
    host_close(fd);
    return err;
}

/* A link gets a new time of change. */
static void touch(const char *path)
{
    struct stat st;
    links_note();
    if (host_stat(path, false, &st) || is_ours(&st))
        return;
    struct __kernel_timespec ts[2] = {{st.st_atime, (long)st.st_atime_nsec}, {0, OMIT}};
    host_utimens(HOST_AT_FDCWD, path, ts, AT_SYMLINK_NOFOLLOW);
    links_noted(path);
}

static int note_entry(void *ctx, const char *name, size_t len, uint8_t type)
{
    struct tree *t = ctx;
    struct stat st;
    uint32_t mode = (uint32_t)type << 12; /* DT_* are the bits of S_IFMT */
    size_t n = strlen(t->rel);
    if (n + len + 2 > PATH_LIMIT || len > NAME_LIMIT)
        return -ENAMETOOLONG;
    fmt(t->rel + n, PATH_LIMIT - n, "%s%.*s", n ? "/" : "", (int)len, name);
    fmt(t->path, sizeof(t->path), "%s/%.*s", t->dir, (int)len, name);
    if (!mode && !host_stat(t->path, false, &st))
        mode = st.st_mode & S_TYPE;
    int err = 0;
    if (mode == S_DIR) {
        err = note_dir(t, t->path);
    } else {
        ssize m = mode == S_LINK ? host_readlink(t->path, t->target, PATH_LIMIT - 1) : -EINVAL;
        t->target[m < 0 ? 0 : m] = 0;
        if (t->check)
            err = t->check(t->ctx, t->rel, m < 0 ? NULL : t->target);
        if (!err && mode == S_LINK)
            touch(t->path);
    }
    t->rel[n] = 0;
    return err;
}

int links_note_tree(const char *dir, int (*check)(void *ctx, const char *rel, const char *target),
                    void *ctx)
{
    struct tree *t = heap_zalloc(sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->check = check;
    t->ctx = ctx;
    int err = note_dir(t, dir);
    heap_free(t);
    return err;
}

/* ---- the walk ---- */

struct walk {
    char done[PATH_LIMIT]; /* on the host, without a link */
    char rest[PATH_LIMIT]; /* still to go */
    char link[PATH_LIMIT]; /* text of the last link that stood in the path as written */
    size_t written;        /* of the path as written, bytes in `rest` */
    size_t at;             /* of the path as written, bytes up to the end of that link */
    int links;
};

static int go_up(struct walk *w)
{
    char *slash = strrchr(w->done, '/'), *last = slash ? slash + 1 : w->done;
    if (!*w->done || strcmp(last, "..") == 0) {
        size_t n = strlen(w->done);
        if (n + 4 > PATH_LIMIT)
            return -ENAMETOOLONG;
        memcpy(w->done + n, n ? "/.." : "..", n ? 4 : 3);
    } else if (slash) {
        slash[slash == w->done] = 0;
    } else {
        *w->done = 0;
    }
    return 0;
}

static int go_down(struct walk *w, const char *name, size_t len)
{
    size_t n = strlen(w->done);
    bool slash = n && w->done[n - 1] != '/';
    if (n + len + 2 > PATH_LIMIT)
        return -ENAMETOOLONG;
    if (slash)
        w->done[n++] = '/';
    memcpy(w->done + n, name, len);
    w->done[n + len] = 0;
    return 0;
}

/* The link that is the last name of w->done takes that name's place in what is to go. */
static int go_through(struct walk *w, const char *target, size_t n)
{
    size_t rest = strlen(w->rest);
    char *slash = strrchr(w->done, '/');
    if (n + rest + 2 > PATH_LIMIT)
        return -ENAMETOOLONG;
    if (++w->links > MOST_LINKS)
        return -ELOOP;
    memmove(w->rest + n + 1, w->rest, rest + 1);
    memcpy(w->rest, target, n);
    w->rest[n] = '/';
    if (target[0] == '/')
        memcpy(w->done, "/", 2);
    else if (slash)
        slash[slash == w->done] = 0;
    else
        *w->done = 0;
    return 0;
}

/* One name. 1: a link of the run stands in the way. */
static int step(struct walk *w, size_t total, bool follow)
{
    char target[PATH_LIMIT];
    struct stat st;
    size_t left = strlen(w->rest), len = 0, skip;
    bool written = left <= w->written;
    while (w->rest[len] && w->rest[len] != '/')
        len++;
    for (skip = len; w->rest[skip] == '/';)
        skip++;
    bool dot = len == 0 || (len == 1 && w->rest[0] == '.');
    bool up = len == 2 && w->rest[0] == '.' && w->rest[1] == '.';
    int err = dot ? 0 : up ? go_up(w) : go_down(w, w->rest, len);
    memmove(w->rest, w->rest + skip, left - skip + 1);
    if (written)
        w->written = left - skip;
    if (err || dot || up)
        return err;
    err = host_stat(w->done, false, &st);
    if (err == -ENOENT && !*w->rest)
        return 0;
    if (err || (st.st_mode & S_TYPE) != S_LINK || (written && !*w->rest && !follow))
        return err;
    ssize n = host_readlink(w->done, target, sizeof(target) - 1);
    if (n <= 0)
        return n ? (int)n : -ENOENT;
    target[n] = 0;
    if (written) {
        memcpy(w->link, target, (size_t)n + 1);
        w->at = total - left + len;
    }
    return is_ours(&st) ? 1 : go_through(w, target, (size_t)n);
}

/* Walks along the host path `path`. 0: w->done is what it leads to. 1: see links_find(). */
static int walk(struct walk *w, const char *path, bool follow)
{
    size_t total = strlen(path);
    bool absolute = path[0] == '/';
    memcpy(w->done, absolute ? "/" : "", absolute ? 2 : 1);
    memcpy(w->rest, path + absolute, total - absolute + 1);
    w->written = total - absolute;
    w->links = 0;
    w->at = 0;
    int err = 0;
    while (!err && *w->rest)
        err = step(w, total, follow);
    if (!err && !*w->done)
        memcpy(w->done, ".", 2);
    return err;
}

/* Nothing on the way is a link? Then most of the time no walk is needed. */
static bool is_plain(const char *path, bool follow)
{
    struct stat st;
    int fd = host_open_plain(path, O_PATH | O_NOFOLLOW);
    bool plain = fd == -ENOENT || fd >= 0;
    if (fd >= 0 && follow)
        plain = !host_fstat(fd, &st) && (st.st_mode & S_TYPE) != S_LINK;
    if (fd >= 0)
        host_close(fd);
    return plain;
}

int links_find(const struct mount *m, const char *rel, bool follow, size_t *end,
               char target[PATH_LIMIT])
{
    struct walk *w = heap_alloc(sizeof(*w));
    char path[PATH_LIMIT];
    int err = w ? mount_host_path(m, rel, path) : -ENOMEM;
    int found = 0;
    if (!err && !is_plain(path, follow) && walk(w, path, follow) == 1) {
        size_t before = strlen(path) - strlen(rel);
        found = w->at > before ? 1 : -EACCES;
        *end = w->at - before;
        memcpy(target, w->link, strlen(w->link) + 1);
    }
    heap_free(w);
    return err ? err : found;
}

/* ---- use ---- */

/* Opens, without meeting a link, what `done` names or the directory that it is in. */
static int anchor(struct use *u, char *done, enum use_kind kind)
{
    char name[NAME_LIMIT + 1];
    char *slash = strrchr(done, '/'), *last = slash ? slash + 1 : done;
    size_t n = strlen(last);
    if (n > NAME_LIMIT)
        return -ENAMETOOLONG;
    memcpy(name, last, n + 1);
    u->whole = kind == USE_OBJECT || !n || strcmp(last, "..") == 0 || strcmp(last, ".") == 0;
    if (!u->whole && slash)
        slash[slash == done] = 0;
    u->fd = host_open_plain(u->whole || slash ? done : ".",
                            O_PATH | (u->whole ? O_NOFOLLOW : O_DIRECTORY));
    if (u->fd < 0)
        return u->fd;
    fmt(u->below, sizeof(u->below), u->whole ? "/proc/self/fd/%d" : "/proc/self/fd/%d/%s", u->fd,
        name);
    u->host = u->below;
    return 0;
}

static int begin_walked(struct use *u, enum use_kind kind)
{
    struct walk *w = heap_alloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    int err = walk(w, u->path, kind != USE_NAME);
    if (!err)
        err = anchor(u, w->done, kind);
    heap_free(w);
    return err == 1 ? -ELOOP : err; /* exchanged since path_resolve() */
}

int use_begin(struct use *u, const struct mount *m, const char *rel, enum use_kind kind,
              bool changes)
{
    u->fd = -1;
    u->counted = u->whole = false;
    u->host = u->path;
    int err = mount_host_path(m, rel, u->path);
    u->walked = links_made();
    if (changes && !err && !u->walked) {
        __atomic_fetch_add(&links_shared->changing, 1, __ATOMIC_SEQ_CST);
        u->counted = true;
        u->walked = links_made();
    }
    return err || likely(!u->walked) ? err : begin_walked(u, kind);
}

void use_end(struct use *u)
{
    if (u->counted)
        __atomic_fetch_sub(&links_shared->changing, 1, __ATOMIC_SEQ_CST);
    if (u->fd >= 0)
        host_close(u->fd);
}

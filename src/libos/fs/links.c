/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/links.h"
#include "host/host.h"
#include "libos/fs/dir.h"
#include "libos/fs/encrypted_names.h"
#include "libos/fs/seen.h"
#include "libos/proc/members.h"
#include "libos/process.h"
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
#define KEEP_TRIES 2000 /* about 1 s */
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

static void wait_ns(long ns)
{
    host_nap((uint32_t)ns);
}

/* ---- keeping links as they are ---- */

static bool change_keeper(uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&links_shared->keeper, &from, to, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

/* They are kept for the time of a few host calls. */
int links_keep(void)
{
    uint32_t us = (uint32_t)current()->host_tid;
    for (int i = 0; links_made() && !change_keeper(0, us); i++) {
        uint32_t keeper = __atomic_load_n(&links_shared->keeper, __ATOMIC_SEQ_CST);
        bool ended = i % 64 == 63 && keeper && member_thread_ended((int)keeper);
        if (ended && change_keeper(keeper, us))
            break;
        if (i == KEEP_TRIES)
            return -EBUSY;
        wait_ns(i < KEEP_TRIES / 2 ? 1 : WAIT_NS);
    }
    return 0;
}

void links_let_go(void)
{
    change_keeper((uint32_t)current()->host_tid, 0);
}

/* The first time, calls that let the host resolve their paths are waited for. */
void links_note(void)
{
    if (__atomic_exchange_n(&links_shared->made, 1, __ATOMIC_SEQ_CST))
        return;
    for (int i = 0; i < WAIT_TRIES; i++) {
        if (!__atomic_load_n(&links_shared->changing, __ATOMIC_SEQ_CST))
            return;
        wait_ns(WAIT_NS);
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

void links_moved(void)
{
    __atomic_fetch_add(&links_shared->moved, 1, __ATOMIC_SEQ_CST);
}

void links_noted(const char *host)
{
    struct stat st;
    if (!host_stat(host, false, &st) && !is_ours(&st))
        doubt();
}

/* ---- directories that move ---- */

struct moved_tree {
    int (*check)(void *ctx, const char *rel, const char *target);
    void *ctx;
    int depth;
    char dir[40];         /* "/proc/self/fd/N" of the one that is being listed */
    char rel[PATH_LIMIT]; /* of the entry at hand */
    char path[NAME_LIMIT + 42];
    char target[PATH_LIMIT];
};

static int note_entry(void *ctx, const char *name, size_t len, uint8_t type);

static int note_dir(struct moved_tree *t, const char *path)
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
    struct moved_tree *t = ctx;
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
    struct moved_tree *t = heap_zalloc(sizeof(*t));
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
    const char *path;      /* as written */
    size_t before;         /* its part that is the mount's */
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

/* May the program make links there? At a path that the manifest names it may not (policy.c). */
static bool is_its_place(const char *path, size_t len)
{
    return mf_allowed(&run.manifest, path, len) && !mf_allowed_named(&run.manifest, path, len);
}

/* Is it so of the link at w->done, `end` of the path as written? */
static bool in_its_place(const struct walk *w, bool written, size_t end)
{
    return end > w->before &&
           ((written && is_its_place(w->path, end)) || is_its_place(w->done, strlen(w->done)));
}

/* One name. 1: a link of the program stands in the way. */
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
    return is_ours(&st) || in_its_place(w, written, w->at) ? 1 : go_through(w, target, (size_t)n);
}

/* Walks along the host path `path`. 0: w->done is what it leads to. 1: see links_find(). */
static int walk(struct walk *w, const char *path, size_t before, bool follow)
{
    size_t total = strlen(path);
    bool absolute = path[0] == '/';
    memcpy(w->done, absolute ? "/" : "", absolute ? 2 : 1);
    memcpy(w->rest, path + absolute, total - absolute + 1);
    w->written = total - absolute;
    w->links = 0;
    w->at = 0;
    w->path = path;
    w->before = before;
    int err = 0;
    while (!err && *w->rest)
        err = step(w, total, follow);
    if (!err && !*w->done)
        memcpy(w->done, ".", 2);
    return err;
}

/*
 * What most paths are needs no walk. 0: nothing on the way is a link. 1: nothing but the last name,
 * whose text is w->link, and which is the run's. -ELOOP: to be walked.
 */
static int find_last(struct walk *w, const char *path, size_t before, bool follow)
{
    struct stat st;
    int fd = host_open_plain(HOST_AT_FDCWD, path, O_PATH | O_NOFOLLOW);
    if (fd < 0)
        return fd == -ENOENT ? 0 : -ELOOP;
    int found = follow && host_fstat(fd, &st) ? -ELOOP : 0;
    if (!found && follow && (st.st_mode & S_TYPE) == S_LINK) {
        ssize n = host_readlink_fd(fd, w->link, PATH_LIMIT - 1);
        w->at = strlen(path);
        w->link[MAX(n, 0L)] = 0;
        found = n > 0 && w->at > before && (is_ours(&st) || is_its_place(path, w->at)) ? 1 : -ELOOP;
    }
    host_close(fd);
    return found;
}

/* 1: the first link of the run on the way along `path` is w->link, up to w->at of it. */
static int find(struct walk *w, const char *path, size_t before, bool follow)
{
    int found = find_last(w, path, before, follow);
    return found == -ELOOP ? walk(w, path, before, follow) : found;
}

int links_find(const struct mount *m, const char *rel, bool follow, size_t *end,
               char target[PATH_LIMIT])
{
    struct walk *w = heap_alloc(sizeof(*w));
    char path[PATH_LIMIT];
    int err = w ? mount_host_path(m, rel, path) : -ENOMEM;
    int found = 0;
    size_t before = err ? 0 : strlen(path) - strlen(rel);
    if (!err && find(w, path, before, follow) == 1) {
        found = w->at > before ? 1 : -EACCES;
        *end = w->at - before;
        memcpy(target, w->link, strlen(w->link) + 1);
    }
    heap_free(w);
    return err ? err : found;
}

bool links_redirect(const char *uri)
{
    struct walk *w = heap_alloc(sizeof(*w));
    bool redirected = !w || find(w, uri, 0, true) == 1;
    heap_free(w);
    return redirected;
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
    bool dir = !n || strcmp(last, "..") == 0 || strcmp(last, ".") == 0;
    u->whole = kind == USE_OBJECT || dir;
    if (!u->whole && slash)
        slash[slash == done] = 0;
    u->fd = host_open_plain(HOST_AT_FDCWD, u->whole || slash ? done : ".",
                            O_PATH | (u->whole ? O_NOFOLLOW : O_DIRECTORY));
    if (u->fd < 0)
        return u->fd;
    /* The descriptor's own name is a link, which calls of USE_NAME would look at. */
    fmt(u->below, sizeof(u->below), "/proc/self/fd/%d%s%s", u->fd, kind == USE_OBJECT ? "" : "/",
        kind == USE_OBJECT ? ""
        : dir              ? "."
                           : name);
    u->host = u->name = u->below;
    if (!u->whole) {
        u->root = u->fd;
        u->name = strrchr(u->below, '/') + 1;
    }
    return 0;
}

/* The same of a path that leads through no link at all, as most do. -ELOOP: it does. */
static int anchor_plain(struct use *u, char *path, enum use_kind kind)
{
    struct stat st = {0};
    int err = anchor(u, path, kind);
    if (!err && u->whole)
        err = host_fstat(u->fd, &st);
    else if (!err && kind == USE_PLACE && host_stat(u->host, false, &st))
        st.st_mode = 0; /* nothing there yet */
    if (!err && kind != USE_NAME && (st.st_mode & S_TYPE) == S_LINK)
        err = -ELOOP;
    if (err && u->fd >= 0) {
        host_close(u->fd);
        u->fd = -1;
    }
    return err;
}

static int begin_walked(struct use *u, size_t before, enum use_kind kind)
{
    struct walk *w = heap_alloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    memcpy(w->done, u->path, strlen(u->path) + 1);
    int err = anchor_plain(u, w->done, kind);
    if (err == -ELOOP) {
        err = walk(w, u->path, before, kind != USE_NAME);
        if (!err)
            err = anchor(u, w->done, kind);
    }
    heap_free(w);
    return err == 1 ? use_met_link(u) : err;
}

static void uncount(struct use *u)
{
    if (u->counted)
        links_release();
    u->counted = false;
}

bool links_hold(void)
{
    __atomic_fetch_add(&links_shared->changing, 1, __ATOMIC_SEQ_CST);
    return !links_made();
}

void links_release(void)
{
    __atomic_fetch_sub(&links_shared->changing, 1, __ATOMIC_SEQ_CST);
}

int use_met_link(struct use *u)
{
    uncount(u);
    u->walked = true; /* not again: what was resolved is to be so anew */
    if (current()->walks == WALK_ALL)
        return -ELOOP; /* exchanged since it was resolved */
    current()->met_link = true;
    return -ERESTARTNOINTR;
}

bool use_is_guarded(const struct mount *m, const char *rel, const char *host)
{
    return *rel && !m->device && !m->source && mf_allowed(&run.manifest, host, strlen(host));
}

/* As if it had been walked, provided that there is no link. */
static int begin_guarded(struct use *u, enum use_kind kind)
{
    char path[PATH_LIMIT];
    memcpy(path, u->path, strlen(u->path) + 1);
    int err = anchor_plain(u, path, kind);
    return err == -ELOOP ? use_met_link(u) : err;
}

/* Sets everything but `walked`. */
static int begin(struct use *u, const struct mount *m, const char *rel)
{
    u->fd = -1;
    u->counted = u->whole = u->guarded = u->linkless = false;
    u->host = u->name = u->path;
    u->root = HOST_AT_FDCWD;
    return mount_host_path(m, rel, u->path);
}

int use_walk(struct use *u, const char *rel, enum use_kind kind)
{
    if (u->fd >= 0)
        host_close(u->fd);
    u->fd = -1;
    u->whole = u->guarded = u->linkless = false;
    u->walked = true;
    if (current()->walks == WALK_NOT && mf_allowed(&run.manifest, u->path, strlen(u->path)))
        return use_met_link(u); /* most likely the run's: what it is is found out then */
    return begin_walked(u, strlen(u->path) - strlen(rel), kind);
}

int use_begin_linkless(struct use *u, const struct mount *m, const char *rel)
{
    int err = begin(u, m, rel);
    u->walked = false;
    u->linkless = true;
    return err;
}

int use_begin_open(struct use *u, const struct mount *m, const char *rel, enum use_kind kind,
                   bool changes)
{
    int err = begin(u, m, rel);
    u->walked = links_made() || current()->walks == WALK_ALL;
    if (changes && !err && !u->walked) {
        u->counted = true;
        u->walked = !links_hold();
    }
    return err || likely(!u->walked) ? err : begin_walked(u, strlen(u->path) - strlen(rel), kind);
}

int use_begin_look(struct use *u, const struct mount *m, const char *rel, enum use_kind kind)
{
    int err = use_begin_open(u, m, rel, kind, false);
    if (err || unlikely(u->walked) || !*rel || m->device || m->source)
        return err;
    size_t len = strlen(u->path);
    bool root = seen_root(u, len);
    err = seen_parent(u, m, rel, len);
    if (!root && u->guarded)
        seen_no_root(u, len);
    return err;
}

int use_begin(struct use *u, const struct mount *m, const char *rel, enum use_kind kind,
              bool changes)
{
    int err = use_begin_open(u, m, rel, kind, changes);
    if (err || unlikely(u->walked))
        return err;
    if (kind == USE_NAME)
        return !*rel || m->device || m->source ? 0 : seen_parent(u, m, rel, strlen(u->path));
    u->guarded = use_is_guarded(m, rel, u->path);
    return u->guarded ? begin_guarded(u, kind) : 0;
}

void use_end(struct use *u)
{
    uncount(u);
    if (u->fd >= 0)
        host_close(u->fd);
}

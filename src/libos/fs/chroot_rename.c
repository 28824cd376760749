/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * rename(2) in chroot mounts. A file has its policy by its path, so moving must not change it: both
 * ends are to be changeable, and a directory moves only if that holds for every file in it.
 */
#include "host/host.h"
#include "libos/fs/chroot.h"
#include "libos/fs/links.h"
#include "libos/fs/policy.h"
#include <linux/fs.h>

#define S_TYPE 0170000
#define S_DIR  0040000
#define S_LINK 0120000

struct move {
    const struct mount *mount;
    const char *from, *to; /* host paths as written */
    bool empty;            /* no file may be in it */
    char path[PATH_LIMIT], new_path[PATH_LIMIT];
};

static int check_moved(void *ctx, const char *rel, const char *target)
{
    struct move *mv = ctx;
    if (mv->mount->device)
        return 0;
    if ((size_t)fmt(mv->path, PATH_LIMIT, "%s/%s", mv->from, rel) >= PATH_LIMIT ||
        (size_t)fmt(mv->new_path, PATH_LIMIT, "%s/%s", mv->to, rel) >= PATH_LIMIT)
        return -ENAMETOOLONG;
    if (mv->empty) {
        policy_log_denied(mv->path);
        return -EACCES;
    }
    return target ? policy_check_link_move(mv->path, mv->new_path, target) : 0;
}

static int check_dir(struct mount *m, const char *rel, const char *rel_to)
{
    struct move *mv = heap_alloc(sizeof(*mv));
    struct use *u = heap_alloc(sizeof(*u));
    char to[PATH_LIMIT];
    int err = mv && u ? mount_host_path(m, rel_to, to) : -ENOMEM;
    if (!err) {
        err = use_begin(u, m, rel, USE_NAME, false);
        mv->mount = m;
        mv->from = u->path;
        mv->to = to;
        mv->empty = false;
        if (!err && !m->device)
            err = policy_check_move(u->path, to, &mv->empty);
        if (!err)
            err = links_note_tree(u->host, check_moved, mv);
        use_end(u);
    }
    heap_free(mv);
    heap_free(u);
    return err;
}

/* What is to be done before `rel` moves to `rel_to`. */
static int prepare(struct mount *m, const char *rel, const char *rel_to, const kstat *st)
{
    if ((st->st_mode & S_TYPE) == S_DIR)
        return check_dir(m, rel, rel_to);
    if ((st->st_mode & S_TYPE) == S_LINK)
        links_note();
    return 0;
}

static int check_file(const struct mount *m, const struct use *from, const struct use *to,
                      const kstat *st)
{
    if ((st->st_mode & S_TYPE) == S_DIR || m->device)
        return 0;
    int err = policy_check_change(to->path, true, "replace");
    if (!err)
        err = policy_check_change(from->path, true, "rename");
    if (!err && (st->st_mode & S_TYPE) == S_LINK)
        err = chroot_check_link(m, from, to);
    return err;
}

static int move(struct mount *m, const struct use *a, const struct use *b, const kstat *st,
                const kstat *st_to, uint32_t flags)
{
    int err = check_file(m, a, b, st);
    if (!err && flags & RENAME_EXCHANGE)
        err = check_file(m, b, a, st_to);
    if (!err)
        err = links_keep();
    if (!err) {
        err = host_rename(a->host, b->host, flags);
        links_let_go();
    }
    if (!err && ((st->st_mode & S_TYPE) == S_DIR || (st_to->st_mode & S_TYPE) == S_DIR))
        links_moved();
    if (!err && (st->st_mode & S_TYPE) == S_LINK)
        links_noted(b->host);
    if (!err && flags & RENAME_EXCHANGE && (st_to->st_mode & S_TYPE) == S_LINK)
        links_noted(a->host);
    return err;
}

int chroot_rename(struct mount *m, const char *from, const char *to, uint32_t flags)
{
    kstat st, st_to = {0};
    struct use a, b;
    int err = fs_chroot.stat(m, from, false, &st);
    if (!err && flags & RENAME_EXCHANGE)
        err = fs_chroot.stat(m, to, false, &st_to);
    if (!err)
        err = prepare(m, from, to, &st);
    if (!err && flags & RENAME_EXCHANGE)
        err = prepare(m, to, from, &st_to);
    if (err)
        return err;
    use_none(&b);
    err = use_begin(&a, m, from, USE_NAME, true);
    if (!err)
        err = use_begin(&b, m, to, USE_NAME, true);
    if (!err)
        err = move(m, &a, &b, &st, &st_to, flags);
    use_end(&b);
    use_end(&a);
    return err;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Trusted files where the host is trusted to return the same bytes for a file that says it did not
 * change: what was verified is remembered, per manifest entry, together with the identity of the
 * host file that it was read from, and then read and mapped from the host directly. That is the
 * `verify` operation of a file. Elsewhere: trusted_own.c.
 */
#include "host/host.h"
#include "libos/fs/policy.h"
#include "libos/fs/trusted.h"
#include "libos/log.h"
#include "libos/proc/vdso.h"
#include "libos/process.h"
#include "platform/platform.h"
#include <linux/time.h>

#if PLATFORM_HOST_TRUSTED

/* A file changed this short ago can change again without a change of its time stamps, which move
 * with the kernel's tick: the next open verifies it again. */
#    define YOUNG_NS 50000000
/* Files up to this size are verified as a whole when they are first read. */
#    define SMALL_FILE (1u << 20)

#    define WHOLE INT64_MAX

/* Two equal ones of one file: it did not change in between. */
struct identity {
    uint64_t dev, ino, size;
    uint64_t mtime, mtime_ns, ctime, ctime_ns;
};

/* What is known of the content of one trusted file. Made at its first open, kept for ever. */
struct content {
    struct lock lock; /* an object lock: below mm.lock and file.pos_lock, above heap_lock */
    const struct mf_trusted *entry;
    struct identity id;  /* of the host file that all below is about */
    uint32_t generation; /* counts the changes of `id`; 0: none yet. Written under lock */
    bool all;            /* everything is verified */
    bool bad;            /* the SHA-256 is another one */
    bool young;          /* see YOUNG_NS */
    bool warned;
    bool tree;       /* the tree is usable */
    uint64_t at;     /* its interior in the sidecar */
    uint64_t left;   /* data blocks not yet verified */
    uint64_t *done;  /* a bit for each verified data block; NULL without a tree */
    uint64_t blocks; /* bits in `done` */
};

/* One open file. */
struct trusted_file {
    struct content *content;
    /* Of the last comparison of the identity, which is believed until the kernel's next tick: a
     * change of an open file is noticed soon, and reads do not pay for an fstat each. Racing
     * threads at worst compare once more. */
    uint32_t generation;
    uint64_t checked; /* vdso_clock_ns(CLOCK_MONOTONIC_COARSE) */
};

/* ---- contents, by index of their manifest entry ---- */

static struct lock contents_lock; /* above heap_lock; guards what follows */
static struct content **contents;
/* Under contents_lock. */
static struct content *content_make(const struct mf_trusted *entry)
{
    struct tree_shape s;
    struct content *c = heap_zalloc(sizeof(*c));
    if (!c)
        return NULL;
    c->entry = entry;
    int64_t at = trusted_tree(entry, &s);
    if (at < 0)
        return c;
    c->done = heap_zalloc((s.data_blocks + 63) / 64 * 8);
    if (!c->done) {
        heap_free(c);
        return NULL;
    }
    c->tree = true;
    c->at = (uint64_t)at;
    c->blocks = s.data_blocks;
    return c;
}

static struct content *content_of(const struct mf_trusted *entry)
{
    size_t bytes = run.manifest.image->trusted.count * sizeof(*contents);
    struct content *c = NULL;
    lock(&contents_lock);
    if (!contents)
        contents = heap_zalloc(bytes);
    if (contents) {
        struct content **slot = &contents[entry - mf_trusted_files(&run.manifest)];
        if (!*slot)
            *slot = content_make(entry);
        c = *slot;
    }
    unlock(&contents_lock);
    return c;
}

/* ---- verification, under content.lock ---- */

struct source {
    int fd;
    const struct content *content;
};

static int64_t source_file(void *ctx, void *buf, size_t n, uint64_t off)
{
    const struct source *s = ctx;
    return host_pread(s->fd, buf, n, (int64_t)off);
}

static int64_t source_interior(void *ctx, void *buf, size_t n, uint64_t off)
{
    const struct source *s = ctx;
    return host_pread(run.trees_fd, buf, n, (int64_t)(s->content->at + off));
}

static bool is_done(const struct content *c, uint64_t block)
{
    return __atomic_load_n(&c->done[block / 64], __ATOMIC_ACQUIRE) >> block % 64 & 1;
}

static void set_done(struct content *c, uint64_t first, unsigned count)
{
    for (uint64_t b = first; b < first + count; b++)
        __atomic_fetch_or(&c->done[b / 64], 1UL << b % 64, __ATOMIC_RELEASE);
    c->left -= count;
    if (!c->left)
        __atomic_store_n(&c->all, true, __ATOMIC_RELEASE);
}

/* The data blocks that hold [off, off + n), n > 0, of the file; false: none. */
static bool block_range(const struct content *c, int64_t off, int64_t n, uint64_t *first,
                        uint64_t *last)
{
    uint64_t size = c->entry->size, from = (uint64_t)off;
    if (from >= size || n <= 0)
        return false;
    uint64_t end = (uint64_t)n > size - from ? size : from + (uint64_t)n;
    *first = from / TREE_DATA_BLOCK;
    *last = (end - 1) / TREE_DATA_BLOCK;
    return true;
}

static bool range_done(const struct content *c, int64_t off, int64_t n)
{
    uint64_t b, last;
    if (!c->done)
        return false;
    if (!block_range(c, off, n, &b, &last))
        return true;
    for (; b <= last; b++)
        if (!is_done(c, b))
            return false;
    return true;
}

/* Blocks from `b` to `last` that can be verified together. */
static unsigned run_length(const struct content *c, uint64_t b, uint64_t last)
{
    unsigned n = 1;
    while (n < VERIFY_LANES && b + n <= last && (b + n) % TREE_FANOUT && !is_done(c, b + n))
        n++;
    return n;
}

/* 0, -EPERM, -EBADMSG when the interior is damaged, or the host's error. */
static int verify_by_tree(struct content *c, int fd, int64_t off, int64_t n,
                          struct verify_scratch *w)
{
    struct source ctx = {fd, c};
    struct verify_source src = {source_file, source_interior, &ctx};
    struct tree_shape s;
    uint64_t b, last, leaf = UINT64_MAX;
    if (!block_range(c, off, n, &b, &last))
        return 0;
    tree_shape(&s, c->entry->size);
    if (s.file_size <= SMALL_FILE) {
        b = 0;
        last = s.data_blocks - 1;
    } else if (!b || is_done(c, b - 1)) { /* reads go on: so do we */
        last = MIN(MAX(last, b + VERIFY_LANES - 1), s.data_blocks - 1);
    }
    int err = 0;
    while (!err && b <= last) {
        unsigned count = 1;
        if (!is_done(c, b)) {
            count = run_length(c, b, last);
            if (leaf != b / TREE_FANOUT)
                err = verify_leaf(&src, &s, c->entry->tree, b / TREE_FANOUT, w);
            leaf = b / TREE_FANOUT;
            err = err ? err : verify_blocks(&src, &s, b, count, w);
            if (!err)
                set_done(c, b, count);
        }
        b += count;
    }
    return err == -EPERM
               ? trusted_refuse(c->entry, &c->warned, "a block of its Merkle tree differs")
               : err;
}

static int verify_as_whole(struct content *c, int fd, struct verify_scratch *w)
{
    struct source ctx = {fd, c};
    struct verify_source src = {source_file, source_interior, &ctx};
    int err = c->bad ? -EPERM : verify_whole(&src, c->id.size, c->entry->sha256, w);
    if (err == -EPERM) {
        c->bad = true;
        return trusted_refuse(c->entry, &c->warned, "SHA-256 differs");
    }
    if (!err)
        __atomic_store_n(&c->all, true, __ATOMIC_RELEASE);
    return err;
}

static struct identity identity_of(const struct stat *st)
{
    return (struct identity){st->st_dev,        st->st_ino,   (uint64_t)st->st_size, st->st_mtime,
                             st->st_mtime_nsec, st->st_ctime, st->st_ctime_nsec};
}

static int identify(int fd, struct identity *id)
{
    struct stat st;
    int err = host_fstat(fd, &st);
    if (!err)
        *id = identity_of(&st);
    return err;
}

static bool is_young(const struct identity *id)
{
    uint64_t changed = id->ctime * 1000000000 + id->ctime_ns;
    return changed + YOUNG_NS > host_clock_ns(CLOCK_REALTIME);
}

/* Makes what is known be about the file behind `fd`. `st`: what fstat says of it at its opening,
 * else NULL. */
static int settle(struct content *c, int fd, const struct stat *st)
{
    struct identity id;
    int err = 0;
    if (st)
        id = identity_of(st);
    else
        err = identify(fd, &id);
    if (err)
        return err;
    if (c->generation && !(st && c->young) && memcmp(&id, &c->id, sizeof(id)) == 0)
        return 0;
    __atomic_store_n(&c->all, false, __ATOMIC_RELEASE);
    __atomic_store_n(&c->generation, c->generation + 1, __ATOMIC_RELEASE);
    c->warned &= memcmp(&id, &c->id, sizeof(id)) == 0;
    c->bad = false;
    c->id = id;
    c->young = is_young(&id);
    c->left = c->blocks;
    for (uint64_t i = 0; i < (c->blocks + 63) / 64; i++)
        __atomic_store_n(&c->done[i], 0, __ATOMIC_RELEASE);
    return 0;
}

static int verify_missing(struct content *c, int fd, int64_t off, int64_t n)
{
    struct identity after;
    struct verify_scratch *w = trusted_scratch_get();
    if (!w)
        return -ENOMEM;
    int err = -EBADMSG;
    vector_begin();
    if (c->tree)
        err = verify_by_tree(c, fd, off, n, w);
    if (err == -EBADMSG) {
        if (c->tree)
            log_warning("the Merkle tree of trusted file '%s' is damaged: the file is hashed as a "
                        "whole instead; run gramine-manifest again",
                        trusted_path(c->entry));
        c->tree = false;
        err = verify_as_whole(c, fd, w);
    }
    vector_end();
    trusted_scratch_put(w);
    if (!err)
        err = identify(fd, &after);
    if (!err && memcmp(&after, &c->id, sizeof(after)) != 0)
        err = trusted_refuse(c->entry, &c->warned, "it changes while it is read");
    return err;
}

static int verify_locked(struct file *f, struct trusted_file *t, int64_t off, int64_t n,
                         const struct stat *st)
{
    struct content *c = t->content;
    int err = settle(c, f->host_fd, st);
    if (err)
        return err;
    t->generation = c->generation;
    t->checked = vdso_clock_ns(CLOCK_MONOTONIC_COARSE);
    if (c->all)
        return 1;
    if (c->entry->size != MF_UNSET && c->entry->size != c->id.size)
        return trusted_refuse(c->entry, &c->warned, "its size differs");
    if (c->tree && range_done(c, off, n))
        return 0;
    err = verify_missing(c, f->host_fd, off, n);
    return err ? err : c->all;
}

static int verify_now(struct file *f, int64_t off, int64_t n, const struct stat *st)
{
    struct trusted_file *t = f->priv;
    lock(&t->content->lock);
    int r = verify_locked(f, t, off, n, st);
    unlock(&t->content->lock);
    return r;
}

/* ---- the file ---- */

static int trusted_verify(struct file *f, int64_t off, int64_t n)
{
    struct trusted_file *t = f->priv;
    struct content *c = t->content;
    if (likely(t->generation == __atomic_load_n(&c->generation, __ATOMIC_ACQUIRE) &&
               vdso_clock_ns(CLOCK_MONOTONIC_COARSE) == t->checked)) {
        if (likely(__atomic_load_n(&c->all, __ATOMIC_ACQUIRE)))
            return 1;
        if (n <= 0 || range_done(c, off, n))
            return 0;
    }
    return verify_now(f, off, n, NULL);
}

static int64_t trusted_size(struct file *f)
{
    struct stat st;
    int err = host_fstat(f->host_fd, &st);
    return err ? err : st.st_size;
}

static void trusted_release(struct file *f)
{
    heap_free(f->priv);
}

static const struct file_ops trusted_ops = {
    .name = "file", .verify = trusted_verify, .size = trusted_size, .release = trusted_release};

static int trusted_attach(struct file *f, const char *host, const struct mf_trusted *entry,
                          const struct stat *st)
{
    if (f->kind == FILE_DIR)
        return 0;
    if (f->kind != FILE_REGULAR) {
        log_error("trusted file '%s' is no regular file any more", host);
        return -EPERM;
    }
    struct trusted_file *t = heap_zalloc(sizeof(*t));
    struct content *c = content_of(entry);
    if (!t || !c) {
        heap_free(t);
        return -ENOMEM;
    }
    t->content = c;
    f->priv = t;
    f->ops = &trusted_ops;
    /* With a tree, what is read is verified when it is read. */
    int r = verify_now(f, 0, c->tree ? 0 : WHOLE, st);
    return MIN(r, 0);
}

int trusted_open(int host_fd, const char *host, const struct mf_trusted *entry, uint32_t flags,
                 struct file **out)
{
    struct stat st;
    int err = host_fstat(host_fd, &st);
    if (!err)
        err = file_from_host_unseen(host_fd, flags, out);
    if (err)
        return err;
    file_look(*out, &st);
    err = trusted_attach(*out, host, entry, &st);
    if (err) {
        (*out)->host_fd = -1;
        file_put(*out);
    }
    return err;
}

#endif

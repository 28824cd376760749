/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Trusted files where the host is not trusted: the bytes that were verified are the bytes that are
 * used. Content is read in blocks of TREE_DATA_BLOCK bytes into memory of ours, compared with a
 * digest there, and copied out of there. The digests are the leaves of the file's Merkle tree, or,
 * for a file without one, made when the file is verified as a whole, at its first opening. Blocks
 * read singly are kept for a while, in a cache that all files share.
 */
#include "crypto/crypto.h"
#include "host/host.h"
#include "libos/fs/policy.h"
#include "libos/fs/trusted.h"
#include "libos/log.h"
#include "libos/process.h"
#include "platform/platform.h"

#if !PLATFORM_HOST_TRUSTED

#    define BLOCK ((uint64_t)TREE_DATA_BLOCK)
/* A longer read does not push everything else out of the cache. */
#    define LONG_READ (16 * BLOCK)

/* What is known of one manifest entry. Made at the first opening, kept for ever. */
struct content {
    struct lock lock; /* an object lock; below mm.lock, above cache_lock */
    const struct mf_trusted *entry;
    bool warned;
    bool known; /* there are digests, and `size` is the file's */
    bool tree;
    uint64_t at; /* of the tree's interior in the sidecar */
    struct tree_shape shape;
    uint64_t size;
    uint8_t (*digests)[SHA256_SIZE]; /* without a tree: of each block, filled up with zeros */
};

/* ---- contents, by index of their manifest entry ---- */

static struct lock contents_lock; /* above sidecar_lock and heap_lock; guards what follows */
static struct content **contents;

static struct content *content_make(const struct mf_trusted *entry)
{
    struct content *c = heap_zalloc(sizeof(*c));
    if (!c)
        return NULL;
    c->entry = entry;
    int64_t at = trusted_tree(entry, &c->shape);
    c->tree = c->known = at >= 0;
    c->at = (uint64_t)at;
    c->size = c->tree ? entry->size : 0;
    return c;
}

static struct content *content_of(const struct mf_trusted *entry)
{
    struct content *c = NULL;
    lock(&contents_lock);
    if (!contents)
        contents = heap_zalloc(run.manifest.image->trusted.count * sizeof(*contents));
    if (contents) {
        struct content **slot = &contents[entry - mf_trusted_files(&run.manifest)];
        if (!*slot)
            *slot = content_make(entry);
        c = *slot;
    }
    unlock(&contents_lock);
    return c;
}

/* ---- the cache of verified blocks: 16 MiB ---- */

#    define SETS 256u
#    define WAYS 4u

static struct lock cache_lock; /* above heap_lock; over the copy of a block */
static uint64_t cache_clock;
static struct cached {
    const struct content *content; /* NULL: nothing */
    uint64_t block, used;
    uint8_t *data;
} cache[SETS][WAYS];

static struct cached *set_of(const struct content *c, uint64_t block)
{
    uint64_t mixed = ((uintptr_t)c / 64 + block) * 0x9e3779b97f4a7c15UL;
    return cache[(mixed >> 32) % SETS];
}

/* Copies `n` bytes from `skip` on of the block to `to`, if it is there: 1, 0, or -EFAULT. */
static int cache_copy(const struct content *c, uint64_t block, size_t skip, void *to, size_t n)
{
    int r = 0;
    lock(&cache_lock);
    struct cached *set = set_of(c, block);
    for (unsigned i = 0; i < WAYS && !r; i++)
        if (set[i].content == c && set[i].block == block) {
            set[i].used = ++cache_clock;
            r = copy_checked(to, set[i].data + skip, n) ? -EFAULT : 1;
        }
    unlock(&cache_lock);
    return r;
}

static void cache_add(const struct content *c, uint64_t block, const uint8_t *data)
{
    lock(&cache_lock);
    struct cached *set = set_of(c, block), *oldest = set;
    bool there = false;
    for (unsigned i = 0; i < WAYS; i++) {
        there |= set[i].content == c && set[i].block == block;
        oldest = set[i].used < oldest->used ? &set[i] : oldest;
    }
    if (!there && !oldest->data)
        oldest->data = heap_alloc(BLOCK);
    if (!there && oldest->data) {
        memcpy(oldest->data, data, BLOCK);
        oldest->content = c;
        oldest->block = block;
        oldest->used = ++cache_clock;
    }
    unlock(&cache_lock);
}

/* ---- verification, under content.lock, between vector_begin() and vector_end() ---- */

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

/* Reads blocks [first, first + count) of the file, the last one filled up with zeros. */
static int read_blocks(const struct content *c, int fd, uint64_t first, unsigned count,
                       struct verify_scratch *w)
{
    uint64_t at = first * BLOCK;
    size_t n = MIN(count * BLOCK, c->size - at), done = 0;
    while (done < n) {
        ssize r = host_pread(fd, w->data + done, n - done, (int64_t)(at + done));
        if (r <= 0)
            return r < 0 ? (int)r : -EPERM; /* it has become shorter */
        done += (size_t)r;
    }
    memset(w->data + n, 0, count * BLOCK - n);
    return 0;
}

static void digest_blocks(const struct verify_scratch *w, unsigned count,
                          uint8_t (*out)[SHA256_SIZE])
{
    const void *data[VERIFY_LANES];
    for (unsigned i = 0; i < count; i++)
        data[i] = w->data + i * BLOCK;
    sha256_many(data, BLOCK, count, out);
}

static uint64_t block_count(const struct content *c)
{
    return (c->size + BLOCK - 1) / BLOCK;
}

/* The whole file against its SHA-256; its blocks' digests are noted on the way. */
static int verify_as_whole(struct content *c, int fd, struct verify_scratch *w)
{
    struct sha256 ctx;
    uint8_t got[SHA256_SIZE];
    uint64_t blocks = block_count(c);
    c->digests = heap_alloc(MAX(blocks, 1UL) * SHA256_SIZE);
    int err = c->digests ? 0 : -ENOMEM;
    sha256_init(&ctx);
    for (uint64_t b = 0; !err && b < blocks; b += VERIFY_LANES) {
        unsigned count = (unsigned)MIN(blocks - b, (uint64_t)VERIFY_LANES);
        err = read_blocks(c, fd, b, count, w);
        if (err)
            break;
        sha256_update(&ctx, w->data, MIN(count * BLOCK, c->size - b * BLOCK));
        digest_blocks(w, count, c->digests + b);
    }
    sha256_final(&ctx, got);
    if (!err && crypto_differs(got, c->entry->sha256, sizeof(got)))
        err = -EPERM;
    if (!err && blocks && blocks <= VERIFY_LANES) /* a small file: it is going to be read */
        for (uint64_t b = 0; b < blocks; b++)
            cache_add(c, b, w->data + b * BLOCK);
    c->known = !err;
    if (err) {
        heap_free(c->digests);
        c->digests = NULL;
    }
    return err == -EPERM ? trusted_refuse(c->entry, &c->warned, "SHA-256 differs") : err;
}

static int size_now(struct content *c, int fd, uint64_t *size)
{
    struct stat st;
    int err = host_fstat(fd, &st);
    if (err)
        return err;
    *size = (uint64_t)st.st_size;
    bool differs = c->entry->size != MF_UNSET && c->entry->size != *size;
    return differs ? trusted_refuse(c->entry, &c->warned, "its size differs") : 0;
}

static int settle_as_whole(struct content *c, int fd)
{
    int err = size_now(c, fd, &c->size);
    struct verify_scratch *w = err ? NULL : trusted_scratch_get();
    if (!err)
        err = w ? verify_as_whole(c, fd, w) : -ENOMEM;
    if (w)
        trusted_scratch_put(w);
    return err;
}

static int blocks_by_tree(const struct content *c, int fd, uint64_t first, unsigned count,
                          struct verify_scratch *w)
{
    struct source ctx = {fd, c};
    struct verify_source src = {source_file, source_interior, &ctx};
    int err = verify_leaf(&src, &c->shape, c->entry->tree, first / TREE_FANOUT, w);
    return err ? err : verify_blocks(&src, &c->shape, first, count, w);
}

static int blocks_by_digests(const struct content *c, int fd, uint64_t first, unsigned count,
                             struct verify_scratch *w)
{
    uint8_t got[VERIFY_LANES][SHA256_SIZE];
    int err = read_blocks(c, fd, first, count, w);
    if (err)
        return err;
    digest_blocks(w, count, got);
    return crypto_differs(got, c->digests + first, count * SHA256_SIZE) ? -EPERM : 0;
}

/* Verified blocks from `first` on, at most up to `last`, into w->data: how many, or an errno. */
static int get_blocks(struct content *c, int fd, uint64_t first, uint64_t last,
                      struct verify_scratch *w)
{
    unsigned count = (unsigned)MIN(last - first + 1, (uint64_t)VERIFY_LANES);
    count = (unsigned)MIN((uint64_t)count, TREE_FANOUT - first % TREE_FANOUT);
    int err = c->tree ? blocks_by_tree(c, fd, first, count, w)
                      : blocks_by_digests(c, fd, first, count, w);
    if (err == -EBADMSG && c->tree) {
        log_warning("the Merkle tree of trusted file '%s' is damaged: the file is hashed as a "
                    "whole instead; run gramine-manifest again",
                    trusted_path(c->entry));
        c->tree = c->known = false;
        err = settle_as_whole(c, fd);
        return err ? err : get_blocks(c, fd, first, last, w);
    }
    if (err == -EPERM)
        err = trusted_refuse(c->entry, &c->warned, "a block of it differs");
    return err ? err : (int)count;
}

/* ---- the file ---- */

/* [pos, pos + n), which lies within the file. How much could be copied, or an errno. */
static ssize read_range(struct content *c, int fd, char *to, size_t n, uint64_t pos)
{
    struct verify_scratch *w = NULL;
    size_t done = 0;
    int err = 0;
    while (!err && done < n) {
        uint64_t at = pos + done, block = at / BLOCK, last = (pos + n - 1) / BLOCK;
        size_t skip = at % BLOCK, part = MIN(n - done, BLOCK - skip);
        int r = cache_copy(c, block, skip, to + done, part);
        if (!r && !w && !(w = trusted_scratch_get()))
            r = -ENOMEM;
        if (!r && (r = get_blocks(c, fd, block, last, w)) > 0) {
            part = MIN(n - done, (size_t)r * BLOCK - skip);
            for (int i = 0; i < r && n < LONG_READ; i++)
                cache_add(c, block + (unsigned)i, w->data + (size_t)i * BLOCK);
            r = copy_checked(to + done, w->data + skip, part);
        }
        err = MIN(r, 0);
        done += err ? 0 : part;
    }
    if (w)
        trusted_scratch_put(w);
    return done ? (ssize)done : err;
}

static ssize trusted_read(struct file *f, void *ubuf, size_t n, int64_t pos)
{
    struct content *c = f->priv;
    lock(&c->lock);
    uint64_t at = (uint64_t)pos;
    n = at >= c->size ? 0 : MIN(n, c->size - at);
    vector_begin();
    ssize r = n ? read_range(c, f->host_fd, ubuf, n, at) : 0;
    vector_end();
    unlock(&c->lock);
    return r;
}

static int64_t trusted_size(struct file *f)
{
    const struct content *c = f->priv;
    return (int64_t)c->size;
}

static int trusted_stat(struct file *f, kstat *st)
{
    int err = host_fstat(f->host_fd, st);
    if (!err)
        st->st_size = (long)trusted_size(f);
    return err;
}

static const struct file_ops trusted_ops = {
    .name = "file", .read = trusted_read, .size = trusted_size, .stat = trusted_stat};

static int trusted_attach(struct file *f, const char *host, const struct mf_trusted *entry)
{
    if (f->kind == FILE_DIR)
        return 0;
    if (f->kind != FILE_REGULAR) {
        log_error("trusted file '%s' is no regular file any more", host);
        return -EPERM;
    }
    struct content *c = content_of(entry);
    if (!c)
        return -ENOMEM;
    f->priv = c;
    f->ops = &trusted_ops;
    f->seekable = true;
    f->host_offset = false;
    f->pos_fd = f->host_fd; /* which a fork shares */
    uint64_t size;
    lock(&c->lock);
    vector_begin();
    int err = c->known ? size_now(c, f->host_fd, &size) : settle_as_whole(c, f->host_fd);
    vector_end();
    unlock(&c->lock);
    return err;
}

int trusted_open(int host_fd, const char *host, const struct mf_trusted *entry, uint32_t flags,
                 struct file **out)
{
    int err = file_from_host_unseen(host_fd, flags, out);
    if (err)
        return err;
    file_look(*out, NULL);
    err = trusted_attach(*out, host, entry);
    if (err) {
        (*out)->host_fd = -1;
        file_put(*out);
    }
    return err;
}

#endif

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/trusted.h"
#include "host/host.h"
#include "libos/lib/lock.h"
#include "libos/log.h"
#include "libos/process.h"

static struct lock sidecar_lock; /* above heap_lock; guards what follows */
static bool sidecar_tried;
static void *sidecar_index; /* a copy of the sidecar's header and index; NULL: no sidecar */
static uint64_t sidecar_size;

/* Under sidecar_lock. */
static void load_sidecar(void)
{
    struct trees_header h;
    struct stat st;
    sidecar_tried = true;
    if (run.trees_fd < 0)
        return;
    int err = host_fstat(run.trees_fd, &st);
    if (!err && host_pread(run.trees_fd, &h, sizeof(h), 0) != sizeof(h))
        err = -EBADMSG;
    /* The tools write one tree for each trusted file at most. */
    if (!err &&
        (memcmp(h.magic, TREES_MAGIC, sizeof(h.magic)) != 0 || h.version != TREES_VERSION ||
         h.total_size != (uint64_t)st.st_size || h.count > run.manifest.image->trusted.count))
        err = -EBADMSG;
    size_t len = sizeof(h) + (err ? 0 : h.count) * sizeof(struct trees_entry);
    void *index = err ? NULL : heap_alloc(len);
    if (index && host_pread(run.trees_fd, index, len, 0) == (ssize)len &&
        memcmp(index, &h, sizeof(h)) == 0) {
        sidecar_index = index;
        sidecar_size = (uint64_t)st.st_size;
        return;
    }
    heap_free(index);
    log_warning("the Merkle trees beside the manifest ('%s.manifest.trees') are damaged: trusted "
                "files are hashed as a whole instead; run gramine-manifest again",
                run.name);
}

int64_t trusted_tree(const struct mf_trusted *entry, struct tree_shape *s)
{
    if (!(entry->flags & MF_TRUSTED_TREE) || tree_shape(s, entry->size))
        return -ENOENT;
    lock(&sidecar_lock);
    if (!sidecar_tried)
        load_sidecar();
    int64_t at = sidecar_index ? trees_find(sidecar_index, sidecar_size, entry->tree, s) : -ENOENT;
    unlock(&sidecar_lock);
    return at;
}

const char *trusted_path(const struct mf_trusted *entry)
{
    return mf_string(&run.manifest, entry->path);
}

int trusted_refuse(const struct mf_trusted *entry, bool *warned, const char *why)
{
    if (!*warned)
        log_error("trusted file '%s' is not what the manifest says (%s): restore it, or run "
                  "gramine-manifest again",
                  trusted_path(entry), why);
    *warned = true;
    return -EPERM;
}

/* ---- scratch memory: one spare piece is kept ---- */

static struct verify_scratch *spare; /* exchanged atomically */

struct verify_scratch *trusted_scratch_get(void)
{
    struct verify_scratch *w = __atomic_exchange_n(&spare, NULL, __ATOMIC_ACQUIRE);
    return w ? w : heap_alloc(sizeof(*w));
}

void trusted_scratch_put(struct verify_scratch *w)
{
    struct verify_scratch *none = NULL;
    if (!__atomic_compare_exchange_n(&spare, &none, w, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        heap_free(w);
}

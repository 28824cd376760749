/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Permissions of encrypted files. The host's file stays readable and writable for its owner,
 * because even reading it under another name means writing it; what was asked for is shown as long
 * as the process lives.
 */
#include "host/host.h"
#include "libos/fs/encrypted_node.h"

#define NEEDED 0600u

struct note {
    struct note *next;
    uint64_t dev, ino;
    uint32_t mode;
};

/* A leaf. */
static struct lock notes_lock;
static struct note *notes;

static struct note **find(uint64_t dev, uint64_t ino)
{
    struct note **n = &notes;
    while (*n && ((*n)->dev != dev || (*n)->ino != ino))
        n = &(*n)->next;
    return n;
}

uint32_t enc_mode_set(uint64_t dev, uint64_t ino, uint32_t mode)
{
    bool exact = (mode & NEEDED) == NEEDED;
    if (exact && !__atomic_load_n(&notes, __ATOMIC_RELAXED))
        return mode;
    lock(&notes_lock);
    struct note **at = find(dev, ino), *n = *at;
    if (exact && n) {
        *at = n->next;
        heap_free(n);
    } else if (!exact && (n || (n = heap_zalloc(sizeof(*n))))) {
        n->dev = dev; /* without memory for it the host's mode is shown */
        n->ino = ino;
        n->mode = mode;
        *at = n;
    }
    unlock(&notes_lock);
    return mode | NEEDED;
}

void enc_mode_show(kstat *st)
{
    if (likely(!__atomic_load_n(&notes, __ATOMIC_RELAXED)))
        return;
    lock(&notes_lock);
    const struct note *n = *find(st->st_dev, st->st_ino);
    if (n)
        st->st_mode = (st->st_mode & ~NEEDED) | (n->mode & NEEDED);
    unlock(&notes_lock);
}

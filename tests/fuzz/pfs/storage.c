/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "storage.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NODE PFS_NODE_SIZE

/* Of one storage at a time; a second one (a recovery log) is only read, and small. */
static uint8_t copies[STORAGE_NODES][NODE];

void storage_begin(struct storage *s, const uint8_t *base, size_t size)
{
    memset(s, 0, sizeof *s);
    s->base = base;
    s->base_size = s->size = size < sizeof copies ? size : sizeof copies;
}

static const uint8_t *node_at(const struct storage *s, size_t node, uint8_t *room)
{
    size_t at = node * NODE;
    if (s->copied[node])
        return copies[node];
    if (at + NODE <= s->base_size)
        return s->base + at;
    memset(room, 0, NODE);
    if (at < s->base_size)
        memcpy(room, s->base + at, s->base_size - at);
    return room;
}

static uint8_t *own(struct storage *s, size_t node)
{
    if (!s->copied[node]) {
        const uint8_t *from = node_at(s, node, copies[node]);
        if (from != copies[node])
            memcpy(copies[node], from, NODE);
        s->copied[node] = true;
    }
    return copies[node];
}

uint8_t *storage_node(struct storage *s, size_t node)
{
    return node * NODE < s->size ? own(s, node) : NULL;
}

static int64_t read_at(void *ctx, void *buf, size_t n, uint64_t off)
{
    struct storage *s = ctx;
    uint8_t room[NODE];
    if (off >= s->size)
        return 0;
    if (n > s->size - off)
        n = s->size - off;
    for (size_t done = 0, part; done < n; done += part) {
        size_t at = (off + done) % NODE;
        part = n - done < NODE - at ? n - done : NODE - at;
        memcpy((uint8_t *)buf + done, node_at(s, (off + done) / NODE, room) + at, part);
    }
    return (int64_t)n;
}

static int64_t write_at(void *ctx, const void *buf, size_t n, uint64_t off)
{
    struct storage *s = ctx;
    if (s->before_write)
        s->before_write(s);
    if (off > sizeof copies || n > sizeof copies - off)
        return -ENOSPC;
    for (size_t done = 0, part; done < n; done += part) {
        size_t at = (off + done) % NODE;
        part = n - done < NODE - at ? n - done : NODE - at;
        memcpy(own(s, (off + done) / NODE) + at, (const uint8_t *)buf + done, part);
    }
    if (off + n > s->size)
        s->size = off + n;
    return (int64_t)n;
}

static int cut(void *ctx, uint64_t size)
{
    struct storage *s = ctx;
    if (size > sizeof copies)
        return -ENOSPC;
    for (size_t node = size / NODE; node * NODE < s->size; node++) {
        size_t keep = node * NODE < size ? size - node * NODE : 0;
        memset(own(s, node) + keep, 0, NODE - keep);
    }
    s->size = size;
    return 0;
}

static int64_t size_of(void *ctx)
{
    return (int64_t)((struct storage *)ctx)->size;
}

static int sync_it(void *ctx)
{
    return 0;
}

struct pfs_backend storage_backend(struct storage *s)
{
    return (struct pfs_backend){s, read_at, write_at, cut, size_of, sync_it};
}

uint8_t *storage_copy(const struct storage *s)
{
    uint8_t *copy = malloc(s->size + 1), room[NODE];
    for (size_t at = 0; copy && at < s->size; at += NODE) {
        size_t n = s->size - at < NODE ? s->size - at : NODE;
        memcpy(copy + at, node_at(s, at / NODE, room), n);
    }
    return copy;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "disk.h"
#include "mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512

static void image_resize(struct image *i, size_t size)
{
    if (size > i->capacity) {
        i->capacity = size + size / 2;
        i->bytes = realloc(i->bytes, i->capacity);
    }
    if (size > i->size)
        memset(i->bytes + i->size, 0, size - i->size);
    i->size = size;
}

static void image_write(struct image *i, uint64_t off, const uint8_t *data, size_t len)
{
    if (off + len > i->size)
        image_resize(i, off + len);
    memcpy(i->bytes + off, data, len);
}

void image_copy(struct image *to, const struct image *from)
{
    image_resize(to, from->size);
    if (from->size)
        memcpy(to->bytes, from->bytes, from->size);
}

void image_free(struct image *i)
{
    free(i->bytes);
    *i = (struct image){0};
}

void record_add(struct record *r, struct event e)
{
    if (!r)
        return;
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? 2 * r->capacity : 64;
        r->event = realloc(r->event, r->capacity * sizeof *r->event);
    }
    r->event[r->count++] = e;
}

void record_clear(struct record *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->event[i].data);
    free(r->event);
    *r = (struct record){0};
}

static bool fails(struct object *o)
{
    o->calls++;
    return o->fail_at && (o->fail_onwards ? o->calls >= o->fail_at : o->calls == o->fail_at);
}

static int64_t object_read(void *ctx, void *buf, size_t n, uint64_t off)
{
    struct object *o = ctx;
    if (fails(o))
        return o->error;
    if (off >= o->image.size)
        return 0;
    n = n < o->image.size - off ? n : o->image.size - off;
    memcpy(buf, o->image.bytes + off, n);
    return (int64_t)n;
}

void object_fill_disk(struct object *o, size_t room)
{
    o->full = true;
    o->room = room;
    for (size_t i = 0; i < DISK_NODES; i++)
        o->there[i] = i * PFS_NODE_SIZE < o->image.size;
}

/* How much of a write finds room, which it takes. */
static size_t has_room(struct object *o, size_t n, uint64_t off)
{
    for (uint64_t i = off / PFS_NODE_SIZE; o->full && i * PFS_NODE_SIZE < off + n; i++) {
        if (o->there[i])
            continue;
        if (!o->room)
            return i * PFS_NODE_SIZE > off ? i * PFS_NODE_SIZE - off : 0;
        o->there[i] = true;
        o->room--;
    }
    return n;
}

static int64_t object_write(void *ctx, const void *buf, size_t n, uint64_t off)
{
    struct object *o = ctx;
    bool failed = fails(o);
    if (failed && !o->short_writes)
        return o->error;
    if (failed && n > 1)
        n = n / 2;
    n = has_room(o, n, off);
    if (!n)
        return -ENOSPC;
    uint8_t *data = malloc(n);
    memcpy(data, buf, n);
    record_add(o->record, (struct event){EV_WRITE, o->inode, .off = off, .len = n, .data = data});
    if (!o->record)
        free(data);
    image_write(&o->image, off, buf, n);
    return (int64_t)n;
}

static int object_truncate(void *ctx, uint64_t size)
{
    struct object *o = ctx;
    if (fails(o))
        return o->error;
    for (size_t i = (size + PFS_NODE_SIZE - 1) / PFS_NODE_SIZE; o->full && i < DISK_NODES; i++) {
        o->room += o->there[i];
        o->there[i] = false;
    }
    record_add(o->record, (struct event){EV_TRUNCATE, o->inode, .off = size});
    image_resize(&o->image, size);
    return 0;
}

static int64_t object_size(void *ctx)
{
    struct object *o = ctx;
    return fails(o) ? o->error : (int64_t)o->image.size;
}

static int object_sync(void *ctx)
{
    struct object *o = ctx;
    if (fails(o))
        return o->error;
    record_add(o->record, (struct event){EV_SYNC, o->inode});
    return 0;
}

static int64_t object_copy(void *ctx, uint64_t from, uint64_t to, size_t n)
{
    struct object *o = ctx;
    if (!o->copies)
        return -ENOSYS;
    if (from >= o->image.size)
        return 0;
    n = n < o->image.size - from ? n : o->image.size - from;
    uint8_t *bytes = malloc(n);
    memcpy(bytes, o->image.bytes + from, n);
    int64_t rc = object_write(ctx, bytes, n, to);
    free(bytes);
    return rc;
}

struct pfs_backend object_backend(struct object *o)
{
    return (struct pfs_backend){o,           object_read, object_write, object_truncate,
                                object_size, object_sync, object_copy};
}

static void apply(struct image *i, const struct event *e)
{
    if (e->kind == EV_WRITE)
        image_write(i, e->off, e->data, e->len);
    else if (e->kind == EV_TRUNCATE)
        image_resize(i, e->off);
}

static void apply_name(int names[DISK_NAMES], const struct event *e)
{
    if (e->kind == EV_LINK)
        names[e->inode] = e->to;
    else if (e->kind == EV_UNLINK)
        names[e->inode] = -1;
    else if (e->kind == EV_RENAME) {
        names[e->to] = names[e->inode];
        names[e->inode] = -1;
    }
}

static bool changes_names(const struct event *e)
{
    return e->kind == EV_LINK || e->kind == EV_UNLINK || e->kind == EV_RENAME;
}

void replay_step(struct replay *p, const struct record *r)
{
    const struct event *e = &r->event[p->at++];
    switch (e->kind) {
    case EV_WRITE:
    case EV_TRUNCATE:
        apply(&p->cached[e->inode], e);
        break;
    case EV_SYNC:
        image_copy(&p->durable[e->inode], &p->cached[e->inode]);
        p->pending[e->inode] = p->at;
        break;
    case EV_DIRSYNC:
        memcpy(p->names, p->cached_names, sizeof p->names);
        p->pending_names = p->at;
        break;
    case EV_NOTE:
        p->began[e->inode] = e->began;
        p->flushed[e->inode] = e->flushed;
        p->synced[e->inode] = e->synced;
        break;
    default:
        apply_name(p->cached_names, e);
    }
}

void replay_free(struct replay *p)
{
    for (int i = 0; i < DISK_INODES; i++) {
        image_free(&p->durable[i]);
        image_free(&p->cached[i]);
    }
}

/* Parts of a write: what lies in different nodes. */
static size_t parts(const struct event *e)
{
    return e->kind == EV_TRUNCATE
               ? 1
               : (e->off + e->len - 1) / PFS_NODE_SIZE - e->off / PFS_NODE_SIZE + 1;
}

static bool loses(const struct event *e, int inode)
{
    return (e->kind == EV_WRITE || e->kind == EV_TRUNCATE) && e->inode == inode;
}

size_t replay_units(const struct replay *p, const struct record *r, int inode)
{
    size_t n = 0;
    for (size_t i = p->pending[inode]; i < p->at; i++)
        n += loses(&r->event[i], inode) ? parts(&r->event[i]) : 0;
    return n;
}

/* Bits of the sectors of one part that arrive. */
static unsigned arrives(enum loss loss, size_t unit, size_t which, uint64_t *rng)
{
    switch (loss) {
    case LOSS_ALL:
        return 0;
    case LOSS_ONE:
        return unit == which ? 0 : 0xff;
    case LOSS_BUT_ONE:
        return unit == which ? 0xff : 0;
    case LOSS_AFTER:
        return unit < which ? 0xff : unit == which ? test_random(rng) & 0xff : 0;
    case LOSS_NODES:
        return test_random(rng) % 2 ? 0xff : 0;
    case LOSS_SECTORS:
        return test_random(rng) >> 8 & 0xff;
    default:
        return 0xff;
    }
}

void replay_power_loss(const struct replay *p, const struct record *r, int inode, enum loss loss,
                       size_t which, uint64_t *rng, struct image *out)
{
    size_t unit = 0;
    image_copy(out, &p->durable[inode]);
    for (size_t i = p->pending[inode]; i < p->at; i++) {
        const struct event *e = &r->event[i];
        if (!loses(e, inode))
            continue;
        unsigned sectors = arrives(loss, unit, which, rng);
        if (e->kind == EV_TRUNCATE) {
            unit++;
            if (sectors & 1)
                apply(out, e);
            continue;
        }
        for (uint64_t at = e->off, end = e->off + e->len; at < end;) {
            uint64_t next = at / SECTOR * SECTOR + SECTOR;
            next = next < end ? next : end;
            uint64_t node_end = (at / PFS_NODE_SIZE + 1) * PFS_NODE_SIZE;
            if (sectors && out->size < (node_end < end ? node_end : end))
                image_resize(out, node_end < end ? node_end : end);
            if (sectors >> at / SECTOR % 8 & 1)
                image_write(out, at, e->data + (at - e->off), next - at);
            at = next;
            if (at % PFS_NODE_SIZE == 0 || at == end)
                sectors = arrives(loss, ++unit, which, rng);
        }
    }
}

size_t replay_names(const struct replay *p, const struct record *r, size_t keep,
                    int names[DISK_NAMES])
{
    size_t n = 0;
    memcpy(names, p->names, sizeof p->names);
    for (size_t i = p->pending_names; i < p->at; i++) {
        if (changes_names(&r->event[i]) && n++ < keep)
            apply_name(names, &r->event[i]);
    }
    return n;
}

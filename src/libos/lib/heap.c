/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The heap: power-of-two-ish size classes carved out of 256 KiB chunks; anything above 64 KiB gets
 * pages of its own. Each block has a 16-byte header that names its class.
 */
#include "libos/lib/lock.h"
#include "libos/lib/region.h"
#include "libos/libos.h"

#define CHUNK       (256 * 1024UL)
#define LARGEST     (64 * 1024UL)
#define LARGE_CLASS 0xffffffffu
#define LIVE_MAGIC  0x6c697665u

struct header {
    uint32_t class_index;
    uint32_t magic;
    uint64_t size; /* what was asked for */
};
_Static_assert(sizeof(struct header) == 16, "blocks are 16-byte aligned");

struct free_block {
    struct header header;
    struct free_block *next;
};

/* Block sizes, header included: four steps per doubling. */
static const uint32_t class_size[] = {32,   48,   64,   80,    96,    112,   128,   160,   192,
                                      224,  256,  320,  384,   448,   512,   640,   768,   896,
                                      1024, 1280, 1536, 1792,  2048,  2560,  3072,  3584,  4096,
                                      5120, 6144, 8192, 12288, 16384, 24576, 32768, 49152, 65536};
#define CLASSES ARRAY_SIZE(class_size)

/* Lock order: above region_lock only. */
static struct lock heap_lock;
static struct free_block *free_lists[CLASSES];
static char *chunk_next, *chunk_end;
static size_t in_use;

static uint32_t class_of(size_t total)
{
    uint32_t lo = 0, hi = CLASSES - 1;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (class_size[mid] < total)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct header *alloc_small(uint32_t class_index)
{
    struct free_block *b = free_lists[class_index];
    if (b) {
        free_lists[class_index] = b->next;
        return &b->header;
    }
    uint32_t size = class_size[class_index];
    if ((size_t)(chunk_end - chunk_next) < size) {
        char *c = region_alloc(CHUNK); /* the rest of the old chunk is given up: < 64 KiB */
        if (!c)
            return NULL;
        chunk_next = c;
        chunk_end = c + CHUNK;
    }
    struct header *h = (struct header *)chunk_next;
    chunk_next += size;
    return h;
}

static struct header *alloc_large(size_t total)
{
    struct header *h = region_alloc(PAGE_UP(total));
    return h;
}

void *heap_alloc(size_t size)
{
    if (size > (1UL << 40))
        return NULL;
    size_t total = size + sizeof(struct header);
    if (total < sizeof(struct free_block))
        total = sizeof(struct free_block);
    bool large = total > LARGEST;
    uint32_t class_index = large ? LARGE_CLASS : class_of(total);
    struct header *h;
    lock(&heap_lock);
    h = large ? alloc_large(total) : alloc_small(class_index);
    if (h)
        in_use += size;
    unlock(&heap_lock);
    if (!h)
        return NULL;
    *h = (struct header){class_index, LIVE_MAGIC, size};
    return h + 1;
}

void *heap_zalloc(size_t size)
{
    void *p = heap_alloc(size);
    if (p)
        memset(p, 0, size);
    return p;
}

void heap_free(void *p)
{
    if (!p)
        return;
    struct header *h = (struct header *)p - 1;
    assert(h->magic == LIVE_MAGIC);
    h->magic = 0;
    lock(&heap_lock);
    in_use -= h->size;
    if (h->class_index == LARGE_CLASS) {
        region_free(h, PAGE_UP(h->size + sizeof(*h)));
    } else {
        struct free_block *b = (struct free_block *)h;
        b->next = free_lists[h->class_index];
        free_lists[h->class_index] = b;
    }
    unlock(&heap_lock);
}

void *heap_realloc(void *p, size_t size)
{
    if (!p)
        return heap_alloc(size);
    size_t old = ((struct header *)p - 1)->size;
    void *q = heap_alloc(size);
    if (!q)
        return NULL;
    memcpy(q, p, MIN(old, size));
    heap_free(p);
    return q;
}

char *heap_strndup(const char *s, size_t n)
{
    char *p = heap_alloc(n + 1);
    if (!p)
        return NULL;
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

char *heap_strdup(const char *s)
{
    return heap_strndup(s, strlen(s));
}

size_t heap_in_use(void)
{
    return in_use;
}

void heap_hold(void)
{
    lock(&heap_lock);
    region_hold();
}

void heap_release(void)
{
    region_release();
    unlock(&heap_lock);
}

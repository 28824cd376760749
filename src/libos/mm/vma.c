/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The set of mappings: a sorted array, split and merged as Linux splits and merges. */
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"
#include <linux/mman.h>

int mm_init(struct mm *mm)
{
    memset(mm, 0, sizeof(*mm));
    mm->capacity = 256;
    mm->vmas = heap_alloc(mm->capacity * sizeof(struct vma));
    return mm->vmas ? 0 : -ENOMEM;
}

/* Index of the first mapping that ends above `addr`. */
static size_t index_of(const struct mm *mm, uintptr_t addr)
{
    size_t lo = 0, hi = mm->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (mm->vmas[mid].end <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct vma *vma_find(struct mm *mm, uintptr_t addr)
{
    size_t i = index_of(mm, addr);
    return i < mm->count ? &mm->vmas[i] : NULL;
}

/* Room for `extra` more entries, so that what follows cannot fail. */
static int reserve(struct mm *mm, size_t extra)
{
    if (mm->count + extra <= mm->capacity)
        return 0;
    size_t capacity = mm->capacity * 2;
    struct vma *v = heap_realloc(mm->vmas, capacity * sizeof(*v));
    if (!v)
        return -ENOMEM;
    mm->vmas = v;
    mm->capacity = capacity;
    return 0;
}

static void insert_at(struct mm *mm, size_t i, const struct vma *v)
{
    memmove(&mm->vmas[i + 1], &mm->vmas[i], (mm->count - i) * sizeof(*v));
    mm->vmas[i] = *v;
    mm->count++;
}

static void delete_range(struct mm *mm, size_t i, size_t n)
{
    memmove(&mm->vmas[i], &mm->vmas[i + n], (mm->count - i - n) * sizeof(mm->vmas[0]));
    mm->count -= n;
}

/* Makes `addr` a border between mappings; room for one entry is reserved. */
static void split(struct mm *mm, uintptr_t addr)
{
    size_t i = index_of(mm, addr);
    if (i == mm->count || mm->vmas[i].start >= addr)
        return;
    struct vma right = mm->vmas[i];
    if (right.file) {
        file_get(right.file);
        right.offset += (int64_t)(addr - right.start);
    }
    right.start = addr;
    mm->vmas[i].end = addr;
    insert_at(mm, i + 1, &right);
}

static bool mergeable(const struct vma *a, const struct vma *b)
{
    return a->end == b->start && a->prot == b->prot && a->flags == b->flags && a->file == b->file &&
           a->name == b->name &&
           (!a->file || a->offset + (int64_t)(a->end - a->start) == b->offset);
}

/* Merges neighbours around [start, end]. */
static void merge(struct mm *mm, uintptr_t start, uintptr_t end)
{
    size_t i = index_of(mm, start ? start - 1 : 0);
    while (i + 1 < mm->count && mm->vmas[i].start <= end) {
        struct vma *a = &mm->vmas[i], *b = a + 1;
        if (!mergeable(a, b)) {
            i++;
            continue;
        }
        a->end = b->end;
        if (b->file)
            file_put(b->file);
        delete_range(mm, i + 1, 1);
    }
}

int vma_remove(struct mm *mm, uintptr_t start, uintptr_t end)
{
    int err = reserve(mm, 2);
    if (err)
        return err;
    split(mm, start);
    split(mm, end);
    size_t first = index_of(mm, start), n = 0;
    while (first + n < mm->count && mm->vmas[first + n].start < end) {
        struct vma *v = &mm->vmas[first + n];
        mm->total -= v->end - v->start;
        if (v->file)
            file_put(v->file);
        n++;
    }
    delete_range(mm, first, n);
    return 0;
}

/* The usual cases, a growing heap and anonymous mappings laid downwards: free space directly beside
 * a mapping of the same kind. */
static bool extend(struct mm *mm, const struct vma *v)
{
    size_t i = index_of(mm, v->start ? v->start - 1 : 0);
    struct vma *left = i < mm->count && mm->vmas[i].end == v->start ? &mm->vmas[i] : NULL;
    struct vma *right = left ? left + 1 : &mm->vmas[i];
    if (right >= mm->vmas + mm->count)
        right = NULL;
    bool joins_left = left && mergeable(left, v);
    bool joins_right = right && mergeable(v, right);
    if ((right && right->start < v->end) || joins_left == joins_right)
        return false; /* overlaps, stands alone, or closes a gap */
    if (joins_left) {
        left->end = v->end;
    } else {
        right->start = v->start;
        right->offset = v->offset;
    }
    mm->total += v->end - v->start;
    return true;
}

int vma_insert(struct mm *mm, const struct vma *v)
{
    if (extend(mm, v))
        return 0;
    int err = reserve(mm, 3);
    if (!err)
        err = vma_remove(mm, v->start, v->end);
    if (err)
        return err;
    if (v->file)
        file_get(v->file);
    insert_at(mm, index_of(mm, v->start), v);
    mm->total += v->end - v->start;
    merge(mm, v->start, v->end);
    return 0;
}

int vma_set_prot(struct mm *mm, uintptr_t start, uintptr_t end, int prot)
{
    int err = reserve(mm, 2);
    if (err)
        return err;
    split(mm, start);
    split(mm, end);
    for (size_t i = index_of(mm, start); i < mm->count && mm->vmas[i].start < end; i++)
        mm->vmas[i].prot = prot;
    merge(mm, start, end);
    return 0;
}

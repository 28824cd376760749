/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The set of mappings: a tree by address, split and merged as Linux splits and merges. */
#include "libos/fs/vfs.h"
#include "libos/mm/mm.h"
#include "libos/proc/members.h"
#include <linux/mman.h>

static struct vma *vma_of(struct tree_node *n)
{
    return n ? container_of(n, struct vma, node) : NULL;
}

struct vma *vma_find(struct mm *mm, uintptr_t addr)
{
    struct vma *found = NULL;
    for (struct tree_node *at = mm->vmas.root; at;) {
        struct vma *v = vma_of(at);
        bool above = v->end > addr;
        if (above)
            found = v;
        at = at->child[!above];
    }
    return found;
}

struct vma *vma_first(struct mm *mm)
{
    return vma_of(tree_end(&mm->vmas, 0));
}

struct vma *vma_last(struct mm *mm)
{
    return vma_of(tree_end(&mm->vmas, 1));
}

struct vma *vma_next(const struct vma *v)
{
    return vma_of(tree_neighbour(&v->node, 1));
}

struct vma *vma_prev(const struct vma *v)
{
    return vma_of(tree_neighbour(&v->node, 0));
}

/* The most entries that moving one mapping over others takes: two removals, each of which splits at
 * both ends, and an insertion. */
#define RESERVED  6
#define MOST_FREE 16

int vma_reserve(struct mm *mm)
{
    while (mm->free_count < RESERVED) {
        struct vma *v = heap_alloc(sizeof(*v));
        if (!v)
            return -ENOMEM;
        v->node.parent = mm->free;
        mm->free = &v->node;
        mm->free_count++;
    }
    return 0;
}

void vma_unreserve(struct mm *mm)
{
    while (mm->free) {
        struct tree_node *n = mm->free;
        mm->free = n->parent;
        heap_free(vma_of(n));
    }
    mm->free_count = 0;
}

static struct vma *take_entry(struct mm *mm)
{
    struct tree_node *n = mm->free;
    assert(n);
    mm->free = n->parent;
    mm->free_count--;
    return vma_of(n);
}

/* Takes `v` out and drops its file. */
static void discard(struct mm *mm, struct vma *v)
{
    tree_remove(&mm->vmas, &v->node);
    mm->count--;
    if (v->file)
        file_put(v->file);
    if (mm->free_count == MOST_FREE) {
        heap_free(v);
        return;
    }
    v->node.parent = mm->free;
    mm->free = &v->node;
    mm->free_count++;
}

/* A new entry with the content of `v`, its file counted. Nothing overlaps it. */
static struct vma *add(struct mm *mm, const struct vma *v)
{
    struct vma *n = take_entry(mm);
    *n = *v;
    if (n->file)
        file_get(n->file);
    struct tree_node *parent = NULL, *at = mm->vmas.root;
    int side = 0;
    while (at) {
        parent = at;
        side = vma_of(at)->start < n->start;
        at = at->child[side];
    }
    tree_insert(&mm->vmas, parent, side, &n->node);
    mm->count++;
    return n;
}

/* Makes `addr` a border between mappings. */
static void split(struct mm *mm, uintptr_t addr)
{
    struct vma *v = vma_find(mm, addr);
    if (!v || v->start >= addr)
        return;
    struct vma right = *v;
    if (right.file)
        right.offset += (int64_t)(addr - right.start);
    right.start = addr;
    v->end = addr;
    add(mm, &right);
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
    struct vma *a = vma_find(mm, start ? start - 1 : 0), *b;
    while (a && a->start <= end && (b = vma_next(a))) {
        if (!mergeable(a, b)) {
            a = b;
            continue;
        }
        a->end = b->end;
        discard(mm, b);
    }
}

void vma_remove(struct mm *mm, uintptr_t start, uintptr_t end)
{
    split(mm, start);
    split(mm, end);
    for (struct vma *v = vma_find(mm, start), *next; v && v->start < end; v = next) {
        next = vma_next(v);
        mm->total -= v->end - v->start;
        member_set_size(mm->total);
        discard(mm, v);
    }
}

/* The usual cases, a growing heap and anonymous mappings laid downwards: free space directly beside
 * a mapping of the same kind. */
static bool extend(struct mm *mm, const struct vma *v)
{
    struct vma *at = vma_find(mm, v->start ? v->start - 1 : 0);
    struct vma *left = at && at->end == v->start ? at : NULL;
    struct vma *right = left ? vma_next(left) : at;
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
    member_set_size(mm->total);
    return true;
}

void vma_insert(struct mm *mm, const struct vma *v)
{
    if (extend(mm, v))
        return;
    vma_remove(mm, v->start, v->end);
    add(mm, v);
    mm->total += v->end - v->start;
    member_set_size(mm->total);
    merge(mm, v->start, v->end);
}

void vma_set_prot(struct mm *mm, uintptr_t start, uintptr_t end, int prot)
{
    split(mm, start);
    split(mm, end);
    for (struct vma *v = vma_find(mm, start); v && v->start < end; v = vma_next(v))
        v->prot = prot;
    merge(mm, start, end);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The application's address space: what is mapped where (mm/vma.c), and the calls that change it.
 */
#pragma once
#include "libos/lib/lock.h"
#include "libos/lib/tree.h"
#include "libos/libos.h"

struct file;
struct process;

/* One mapping. Neighbours that agree in everything (and continue in the file) are merged. */
struct vma {
    struct tree_node node; /* of vma.c */
    uintptr_t start, end;  /* page multiples */
    int prot;              /* PROT_* */
    int flags;             /* MAP_SHARED or MAP_PRIVATE, MAP_ANONYMOUS, MAP_GROWSDOWN, VMA_* */
    struct file *file;     /* counted, or NULL */
    int64_t offset;        /* of `start` in the file */
    const char *name;      /* static "[heap]", "[stack]", "[vdso]" or NULL */
};

#define VMA_INTERNAL                                                            \
    0x40000000 /* stubs of the system-call patcher: the application's, but ours \
                */

struct mm {
    struct lock lock; /* held over each change, host call included */
    struct tree vmas; /* by address, disjoint */
    size_t count;
    struct tree_node *free; /* entries in reserve, linked through `parent` */
    unsigned free_count;
    uintptr_t brk_start, brk, brk_limit;
    uint64_t total; /* bytes mapped */
    /* Where addresses are chosen here (pages_own.c): the upper end of mappings, 0: not chosen yet;
     * above the second no gap is as long as the third, if that is not 0. */
    uintptr_t top, no_gap_above;
    size_t no_gap_of;
    bool maps_files; /* atomic: some are mapped shared, as copies (pages_shared.c) */
};

/* Forgets everything and unmaps it (execve). */
void mm_clear(struct mm *mm);

/* As mmap(2) but for the file's reference (kept) and `name`. Returns the address or an errno. */
long mm_map(struct mm *mm, uintptr_t addr, size_t len, int prot, int flags, struct file *f,
            int64_t off, const char *name);
int mm_unmap(struct mm *mm, uintptr_t addr, size_t len);
int mm_protect(struct mm *mm, uintptr_t addr, size_t len, int prot);

/* Under mm->lock: the mapping that holds `addr`, or the first one above it, or NULL. */
struct vma *vma_find(struct mm *mm, uintptr_t addr);

/* The mapping with the lowest address, and those beside one; NULL: none. */
struct vma *vma_first(struct mm *mm);
struct vma *vma_last(struct mm *mm);
struct vma *vma_next(const struct vma *v);
struct vma *vma_prev(const struct vma *v);

/*
 * mm/vma.c: the set itself, no host calls. Under mm->lock. The changes cannot fail: memory for them
 * is reserved before the host is asked for what they record. One reservation is enough for
 * vma_insert() or vma_set_prot(), for any number of vma_remove() of the ends or whole of mappings,
 * and for one vma_remove() and one vma_insert() together.
 */
int vma_reserve(struct mm *mm); /* 0 or -ENOMEM */
/* Gives the reserve back. */
void vma_unreserve(struct mm *mm);
void vma_insert(struct mm *mm, const struct vma *v); /* replaces what it overlaps; `node` unused */
void vma_remove(struct mm *mm, uintptr_t start, uintptr_t end);
void vma_set_prot(struct mm *mm, uintptr_t start, uintptr_t end, int prot);

/* A free range of `len` bytes within +-2 GiB of `near`, mapped PROT_READ|WRITE|EXEC for the
 * patcher's stubs. Address or errno. */
long mm_map_near(struct mm *mm, uintptr_t near, size_t len);

/* Under mm->lock: what was stored through shared mappings goes to their files, where it does not by
 * itself; with `disk` on to the disk. */
int mm_sync_range(struct mm *mm, uintptr_t start, uintptr_t end, bool disk);

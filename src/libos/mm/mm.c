/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Changes of the address space: the memory first (pages.h), then our record of it. */
#include "libos/mm/pages.h"
#include "libos/entry/patch.h"
#include "libos/fs/vfs.h"
#include "libos/process.h"
#include <linux/mman.h>

long mm_map(struct mm *mm, uintptr_t addr, size_t len, int prot, int flags, struct file *f,
            int64_t off, const char *name)
{
    len = PAGE_UP(len);
    if (flags & MAP_FIXED_NOREPLACE)
        flags |= MAP_FIXED;
    bool fixed = flags & MAP_FIXED;
    if (fixed && !user_range_ok((void *)addr, len))
        return flags & MAP_FIXED_NOREPLACE ? -EEXIST : -ENOMEM;
    lock(&mm->lock);
    long p = vma_reserve(mm);
    if (!p && fixed && !(flags & MAP_FIXED_NOREPLACE))
        mm_sync_range(mm, addr, addr + len, false);
    if (!p)
        p = pages_map(mm, addr, len, prot, flags & MAP_FIXED_NOREPLACE ? flags & ~MAP_FIXED : flags,
                      f, off);
    if (!IS_ERR(p)) {
        struct vma v = {.start = (uintptr_t)p,
                        .end = (uintptr_t)p + len,
                        .prot = prot,
                        .flags = flags & (MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN |
                                          VMA_INTERNAL),
                        .file = f,
                        .offset = f ? off : 0,
                        .name = name};
        vma_insert(mm, &v);
    }
    unlock(&mm->lock);
    return p;
}

int mm_sync_range(struct mm *mm, uintptr_t start, uintptr_t end, bool disk)
{
    int err = 0;
    for (struct vma *v = vma_find(mm, start); v && v->start < end; v = vma_next(v)) {
        int e = pages_sync(v, MAX(v->start, start), MIN(v->end, end), disk);
        err = err ? err : e;
    }
    return err;
}

int mm_unmap(struct mm *mm, uintptr_t addr, size_t len)
{
    len = PAGE_UP(len);
    if (addr & PAGE_MASK || !len)
        return -EINVAL;
    if (!user_range_ok((void *)addr, len))
        return -EINVAL;
    lock(&mm->lock);
    int err = vma_reserve(mm);
    if (!err && !PLATFORM_HOST_TRUSTED) /* what is unmapped is gone */
        mm_sync_range(mm, addr, addr + len, false);
    if (!err)
        err = pages_unmap(addr, len);
    if (!err) {
        if (PLATFORM_HOST_TRUSTED) /* nobody stores any more */
            mm_sync_range(mm, addr, addr + len, false);
        vma_remove(mm, addr, addr + len);
    }
    unlock(&mm->lock);
    return err;
}

int mm_protect(struct mm *mm, uintptr_t addr, size_t len, int prot)
{
    lock(&mm->lock);
    int err = vma_reserve(mm);
    if (!err)
        err = pages_protect(mm, addr, len, prot);
    if (!err)
        vma_set_prot(mm, addr, addr + len, prot & ~(PROT_GROWSDOWN | PROT_GROWSUP));
    unlock(&mm->lock);
    return err;
}

void mm_clear(struct mm *mm)
{
    lock(&mm->lock);
    mm_sync_range(mm, 0, UINTPTR_MAX, false);
    for (struct vma *v; (v = vma_first(mm));) {
        pages_unmap(v->start, v->end - v->start);
        vma_remove(mm, v->start, v->end);
    }
    vma_unreserve(mm);
    if (mm->brk_limit > mm->brk_start)
        pages_unmap(mm->brk_start, mm->brk_limit - mm->brk_start);
    mm->brk_start = mm->brk = mm->brk_limit = 0;
    mm->top = 0;
    mm->maps_files = false;
    unlock(&mm->lock);
    patch_forget();
}

#define NEAR_REACH (0x7ff00000UL) /* rel32 from anywhere in the range, with a margin */

/* The gaps between mappings that begin at `near` or above, upwards. */
static long map_above(struct mm *mm, uintptr_t near, uintptr_t high, size_t len)
{
    long p = -ENOMEM;
    uintptr_t at = PAGE_UP(near);
    struct vma *v = vma_find(mm, near);
    while (IS_ERR(p) && at <= high) {
        if (!v || v->start >= at + len)
            p = pages_map_stubs(mm, at, len);
        if (!v)
            break;
        at = v->end;
        v = vma_next(v);
    }
    return p;
}

/* The gaps below the mapping around `near`, downwards. */
static long map_below(struct mm *mm, uintptr_t near, uintptr_t low, size_t len)
{
    long p = -ENOMEM;
    for (struct vma *v = vma_find(mm, near), *prev; IS_ERR(p) && v && v->start >= low + len;
         v = prev) {
        prev = vma_prev(v);
        uintptr_t below = prev ? prev->end : low;
        if (v->start - MAX(below, low) >= len && v->start <= near + PAGE_SIZE)
            p = pages_map_stubs(mm, v->start - len, len);
    }
    return p;
}

long mm_map_near(struct mm *mm, uintptr_t near, size_t len)
{
    uintptr_t low = near > NEAR_REACH + 0x10000 ? near - NEAR_REACH : 0x10000;
    lock(&mm->lock);
    long p = vma_reserve(mm);
    if (!p)
        p = map_above(mm, near, near + NEAR_REACH - len, len);
    if (IS_ERR(p))
        p = map_below(mm, near, low, len);
    if (!IS_ERR(p)) {
        struct vma v = {.start = (uintptr_t)p,
                        .end = (uintptr_t)p + len,
                        .prot = PROT_READ | PROT_WRITE | PROT_EXEC,
                        .flags = MAP_PRIVATE | MAP_ANONYMOUS | VMA_INTERNAL};
        vma_insert(mm, &v);
    }
    unlock(&mm->lock);
    return p;
}

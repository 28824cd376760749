/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Changes of the address space: the host's mapping first, then our record of it. */
#include "libos/mm/mm.h"
#include "host/host.h"
#include "libos/entry/patch.h"
#include "libos/fs/vfs.h"
#include "libos/process.h"
#include "platform/platform.h"
#include <linux/mman.h>

#define MAP_PLACEMENT (MAP_FIXED | MAP_FIXED_NOREPLACE)

static long map_anonymous(uintptr_t addr, size_t len, int prot, int flags)
{
    return host_mmap(addr, len, prot, flags | MAP_ANONYMOUS, -1, 0);
}

static long map_host(uintptr_t addr, size_t len, int prot, int flags, struct file *f, int64_t off)
{
    if (!f)
        return map_anonymous(addr, len, prot, flags);
    if (f->ops->map_fd) {
        int fd = f->ops->map_fd(f, len, prot, flags, off);
        return fd < 0 ? fd : host_mmap(addr, len, prot, flags, fd, off);
    }
    if (f->host_fd < 0)
        return -ENODEV;
    int err = file_verify(f, off, (int64_t)len);
    return err ? err : host_mmap(addr, len, prot, flags, f->host_fd, off);
}

long mm_map(struct mm *mm, uintptr_t addr, size_t len, int prot, int flags, struct file *f,
            int64_t off, const char *name)
{
    len = PAGE_UP(len);
    if (flags & MAP_FIXED_NOREPLACE)
        flags |= MAP_FIXED;
    bool fixed = flags & MAP_FIXED;
    if (fixed && !user_range_ok((void *)addr, len))
        return flags & MAP_FIXED_NOREPLACE ? -EEXIST : -ENOMEM;
    int err = 0;
    lock(&mm->lock);
    if (fixed && !(flags & MAP_FIXED_NOREPLACE))
        mm_sync_range(mm, addr, addr + len);
    long p =
        map_host(addr, len, prot, flags & MAP_FIXED_NOREPLACE ? flags & ~MAP_FIXED : flags, f, off);
    if (!IS_ERR(p)) {
        struct vma v = {.start = (uintptr_t)p,
                        .end = (uintptr_t)p + len,
                        .prot = prot,
                        .flags = flags & (MAP_SHARED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN |
                                          VMA_INTERNAL),
                        .file = f,
                        .offset = f ? off : 0,
                        .name = name};
        err = vma_insert(mm, &v);
        if (err)
            host_munmap((uintptr_t)p, len);
    }
    unlock(&mm->lock);
    return err ? err : p;
}

int mm_sync_range(struct mm *mm, uintptr_t start, uintptr_t end)
{
    int err = 0;
    for (struct vma *v = vma_find(mm, start); v && v < mm->vmas + mm->count && v->start < end;
         v++) {
        if (!v->file || !v->file->ops->mmap_sync || !(v->flags & MAP_SHARED))
            continue;
        uintptr_t from = MAX(v->start, start), to = MIN(v->end, end);
        int e = v->file->ops->mmap_sync(v->file, to - from, v->offset + (int64_t)(from - v->start));
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
    int err = host_munmap(addr, len);
    if (!err) {
        mm_sync_range(mm, addr, addr + len); /* nobody stores any more */
        err = vma_remove(mm, addr, addr + len);
    }
    unlock(&mm->lock);
    return err;
}

/* Shared mappings of files that are told when they become writable. */
static int announce_stores(struct mm *mm, uintptr_t start, uintptr_t end, int prot)
{
    int err = 0;
    for (struct vma *v = vma_find(mm, start);
         v && !err && v < mm->vmas + mm->count && v->start < end; v++) {
        if (!v->file || !v->file->ops->map_fd || !(v->flags & MAP_SHARED))
            continue;
        int r = v->file->ops->map_fd(v->file, v->end - v->start, prot, v->flags, v->offset);
        err = r < 0 ? r : 0;
    }
    return err;
}

int mm_protect(struct mm *mm, uintptr_t addr, size_t len, int prot)
{
    lock(&mm->lock);
    int err = prot & PROT_WRITE ? announce_stores(mm, addr, addr + len, prot) : 0;
    if (!err)
        err = host_mprotect(addr, len, prot);
    if (!err)
        err = vma_set_prot(mm, addr, addr + len, prot & ~(PROT_GROWSDOWN | PROT_GROWSUP));
    unlock(&mm->lock);
    return err;
}

void mm_clear(struct mm *mm)
{
    lock(&mm->lock);
    mm_sync_range(mm, 0, UINTPTR_MAX);
    while (mm->count) {
        struct vma v = mm->vmas[mm->count - 1];
        host_munmap(v.start, v.end - v.start);
        if (vma_remove(mm, v.start, v.end))
            break;
    }
    if (mm->brk_limit > mm->brk_start)
        host_munmap(mm->brk_start, mm->brk_limit - mm->brk_start);
    mm->brk_start = mm->brk = mm->brk_limit = 0;
    unlock(&mm->lock);
    patch_forget();
}

#define NEAR_REACH (0x7ff00000UL) /* rel32 from anywhere in the range, with a margin */

long mm_map_near(struct mm *mm, uintptr_t near, size_t len)
{
    uintptr_t low = near > NEAR_REACH + 0x10000 ? near - NEAR_REACH : 0x10000;
    uintptr_t high = near + NEAR_REACH - len;
    /* Walk the gaps upwards from `near`, then downwards. */
    lock(&mm->lock);
    long p = -ENOMEM;
    uintptr_t at = PAGE_UP(near);
    for (struct vma *v = vma_find(mm, near); at <= high; at = v->end, v++) {
        if (v >= mm->vmas + mm->count)
            v = NULL;
        if (!v || v->start >= at + len) {
            p = host_mmap(at, len, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
            if (!IS_ERR(p) || !v)
                break;
        }
    }
    if (IS_ERR(p)) {
        for (struct vma *v = vma_find(mm, near); v && v >= mm->vmas; v--) {
            uintptr_t below = v > mm->vmas ? v[-1].end : low;
            if (v >= mm->vmas + mm->count || v->start < low + len)
                break;
            if (v->start - MAX(below, low) < len || v->start > near + PAGE_SIZE)
                continue;
            p = host_mmap(v->start - len, len, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
            if (!IS_ERR(p))
                break;
        }
    }
    if (!IS_ERR(p)) {
        struct vma v = {.start = (uintptr_t)p,
                        .end = (uintptr_t)p + len,
                        .prot = PROT_READ | PROT_WRITE | PROT_EXEC,
                        .flags = MAP_PRIVATE | MAP_ANONYMOUS | VMA_INTERNAL};
        if (vma_insert(mm, &v)) {
            host_munmap((uintptr_t)p, len);
            p = -ENOMEM;
        }
    }
    unlock(&mm->lock);
    return p;
}

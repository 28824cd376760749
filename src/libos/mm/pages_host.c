/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* pages.h where the host is trusted: its mappings are ours. */
#include "host/host.h"
#include "libos/fs/vfs.h"
#include "libos/mm/pages.h"
#include <asm/unistd.h>
#include <linux/mman.h>

#if PLATFORM_HOST_TRUSTED

#    define RESERVED (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

long pages_map(struct mm *mm, uintptr_t addr, size_t len, int prot, int flags, struct file *f,
               int64_t off)
{
    if (!f)
        return host_mmap(addr, len, prot, flags | MAP_ANONYMOUS, -1, 0);
    if (f->ops->map_fd) {
        int fd = f->ops->map_fd(f, len, prot, flags, off);
        return fd < 0 ? fd : host_mmap(addr, len, prot, flags, fd, off);
    }
    if (f->host_fd < 0)
        return -ENODEV;
    int err = file_verify(f, off, (int64_t)len);
    return err ? err : host_mmap(addr, len, prot, flags, f->host_fd, off);
}

int pages_unmap(uintptr_t addr, size_t len)
{
    return host_munmap(addr, len);
}

/* Shared mappings of files that are told when they become writable. */
static int announce_stores(struct mm *mm, uintptr_t start, uintptr_t end, int prot)
{
    int err = 0;
    for (struct vma *v = vma_find(mm, start); v && !err && v->start < end; v = vma_next(v)) {
        if (!v->file || !v->file->ops->map_fd || !(v->flags & MAP_SHARED))
            continue;
        int r = v->file->ops->map_fd(v->file, v->end - v->start, prot, v->flags, v->offset);
        err = r < 0 ? r : 0;
    }
    return err;
}

int pages_open(uintptr_t addr, size_t len, int prot)
{
    return host_mprotect(addr, len, prot);
}

int pages_protect(struct mm *mm, uintptr_t addr, size_t len, int prot)
{
    int err = prot & PROT_WRITE ? announce_stores(mm, addr, addr + len, prot) : 0;
    return err ? err : host_mprotect(addr, len, prot);
}

long pages_move(struct mm *mm, const struct vma *v, uintptr_t old, size_t old_len, size_t new_len,
                int flags, uintptr_t to)
{
    if (v->file && new_len > old_len) {
        int64_t off = v->offset + (int64_t)(old - v->start);
        int err = v->file->ops->map_fd
                      ? v->file->ops->map_fd(v->file, new_len, v->prot, v->flags, off)
                      : file_verify(v->file, off, (int64_t)new_len);
        if (err < 0)
            return err;
    }
    return host_mremap(old, old_len, new_len, flags, to);
}

int pages_advise(struct mm *mm, uintptr_t addr, size_t len, int advice)
{
    return host_madvise(addr, len, advice);
}

long pages_map_stubs(struct mm *mm, uintptr_t addr, size_t len)
{
    return host_mmap(addr, len, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

long pages_reserve(struct mm *mm, uintptr_t addr, size_t len)
{
    long at = -ENOMEM;
    if (addr)
        at = host_mmap(addr, len, PROT_NONE, RESERVED | MAP_FIXED_NOREPLACE, -1, 0);
    return IS_ERR(at) ? host_mmap(0, len, PROT_NONE, RESERVED, -1, 0) : at;
}

void pages_keep(uintptr_t addr, size_t len)
{
    host_mmap(addr, len, PROT_NONE, RESERVED | MAP_FIXED, -1, 0);
}

int pages_sync(const struct vma *v, uintptr_t start, uintptr_t end, bool disk)
{
    if (!v->file || !(v->flags & MAP_SHARED))
        return 0;
    int err = 0;
    if (v->file->ops->mmap_sync)
        err =
            v->file->ops->mmap_sync(v->file, end - start, v->offset + (int64_t)(start - v->start));
    if (!err && disk && v->file->ops->map_fd)
        err = v->file->ops->sync(v->file, true);
    return err;
}

int pages_resident(struct mm *mm, uintptr_t addr, size_t len, unsigned char *uvec)
{
    return host_mincore(addr, len, uvec);
}

long pages_lock(struct mm *mm, long nr, uintptr_t addr, size_t len, unsigned long arg)
{
    return host_lock_memory(nr, addr, len, arg);
}

#endif

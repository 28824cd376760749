/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* mmap(2) and its family. */
#include "host/host.h"
#include "libos/entry/syscall.h"
#include "libos/fs/vfs.h"
#include "libos/mm/pages.h"
#include "libos/process.h"
#include <asm/unistd.h>
#include <linux/mman.h>

/* May this descriptor be mapped so? mmap(2), EACCES. */
static int check_mapping(struct file *f, int prot, int flags)
{
    uint32_t access = f->flags & O_ACCMODE;
    if (f->kind == FILE_DIR)
        return -ENODEV;
    if (access == O_WRONLY)
        return -EACCES;
    if ((flags & MAP_TYPE) != MAP_PRIVATE && (prot & PROT_WRITE) && access != O_RDWR)
        return -EACCES;
    return 0;
}

/* Would `more` bytes exceed RLIMIT_AS? What replaces a mapping is not counted twice: not at all. */
static bool above_limit(struct mm *mm, size_t more)
{
    uint64_t most = current_process()->limits[RLIMIT_AS].rlim_cur;
    return most != RLIM64_INFINITY && __atomic_load_n(&mm->total, __ATOMIC_RELAXED) + more > most;
}

SYSCALL6(mmap, unsigned long, addr, unsigned long, len, int, prot, int, flags, int, fd,
         unsigned long, off)
{
    if (off & PAGE_MASK || !len)
        return -EINVAL;
    if (len > USER_TOP || PAGE_UP(len) < len)
        return -ENOMEM;
    int type = flags & MAP_TYPE;
    if (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (flags & MAP_FIXED && addr & PAGE_MASK)
        return -EINVAL;
    if (!(flags & MAP_FIXED) && above_limit(&current_process()->mm, PAGE_UP(len)))
        return -ENOMEM;
    struct file *f = NULL;
    if (!(flags & MAP_ANONYMOUS)) {
        f = fd_get_io(fd);
        if (!f)
            return -EBADF;
        int err = check_mapping(f, prot, flags);
        if (err) {
            file_put(f);
            return err;
        }
    }
    long p = mm_map(&current_process()->mm, addr, len, prot, flags, f, f ? (int64_t)off : 0, NULL);
    if (f)
        file_put(f);
    return p;
}

SYSCALL2(munmap, unsigned long, addr, unsigned long, len)
{
    return mm_unmap(&current_process()->mm, addr, len);
}

SYSCALL3(mprotect, unsigned long, addr, unsigned long, len, int, prot)
{
    if (addr & PAGE_MASK)
        return -EINVAL;
    if (!len)
        return 0;
    if (PAGE_UP(len) < len || addr + PAGE_UP(len) < addr || !user_range_ok((void *)addr, len))
        return -ENOMEM;
    return mm_protect(&current_process()->mm, addr, PAGE_UP(len), prot);
}

SYSCALL4(pkey_mprotect, unsigned long, addr, unsigned long, len, int, prot, int, pkey)
{
    return pkey == -1 ? do_mprotect(addr, len, prot) : -EINVAL;
}

/* Under mm->lock. Moves our record of [from, from+old_len) to [to, to+new_len). */
static void move_record(struct mm *mm, uintptr_t from, size_t old_len, uintptr_t to, size_t new_len,
                        bool keep_old)
{
    struct vma v = *vma_find(mm, from);
    struct file *f = v.file;
    if (f)
        file_get(f);
    v.offset += f ? (int64_t)(from - v.start) : 0;
    if (!keep_old)
        vma_remove(mm, from, from + old_len);
    v.start = to;
    v.end = to + new_len;
    vma_insert(mm, &v);
    if (f)
        file_put(f);
}

static long remap(struct mm *mm, uintptr_t old, size_t old_len, size_t new_len, int flags,
                  uintptr_t to)
{
    struct vma *v = vma_find(mm, old);
    if (!v || v->start > old)
        return -EFAULT;
    if (flags & MREMAP_FIXED && !user_range_ok((void *)to, new_len))
        return -EINVAL;
    long p = vma_reserve(mm);
    if (!p)
        p = pages_move(mm, v, old, old_len, new_len, flags, to);
    if (IS_ERR(p))
        return p;
    bool keep = !old_len || flags & MREMAP_DONTUNMAP;
    if ((uintptr_t)p == old && new_len < old_len)
        vma_remove(mm, old + new_len, old + old_len);
    else if ((uintptr_t)p != old || new_len != old_len)
        move_record(mm, old, old_len, (uintptr_t)p, new_len, keep);
    return p;
}

SYSCALL5(mremap, unsigned long, old, unsigned long, old_len, unsigned long, new_len, int, flags,
         unsigned long, to)
{
    if (old & PAGE_MASK || !PAGE_UP(new_len) || PAGE_UP(new_len) < new_len ||
        PAGE_UP(old_len) < old_len)
        return -EINVAL;
    if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP))
        return -EINVAL;
    if (!user_range_ok((void *)old, old_len))
        return -EFAULT;
    struct mm *mm = &current_process()->mm;
    size_t more = PAGE_UP(new_len) - MIN(PAGE_UP(new_len), PAGE_UP(old_len));
    if (more && above_limit(mm, more))
        return -ENOMEM;
    lock(&mm->lock);
    long p = remap(mm, old, PAGE_UP(old_len), PAGE_UP(new_len), flags, to);
    unlock(&mm->lock);
    return p;
}

SYSCALL1(brk, unsigned long, want)
{
    struct mm *mm = &current_process()->mm;
    lock(&mm->lock);
    long now = (long)mm->brk;
    bool fits = want >= mm->brk_start && want <= mm->brk_limit;
    unlock(&mm->lock);
    if (!fits)
        return now;
    uintptr_t from = PAGE_UP((uintptr_t)now), to = PAGE_UP(want);
    if (to > from) {
        lock(&mm->lock);
        struct vma *next = vma_find(mm, from);
        bool taken = next && next->start < to;
        unlock(&mm->lock);
        bool refused = above_limit(mm, to - from) ||
                       want - mm->brk_start > current_process()->limits[RLIMIT_DATA].rlim_cur;
        if (taken || refused)
            return now;
        long p = mm_map(mm, from, to - from, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, NULL, 0, "[heap]");
        if (IS_ERR(p))
            return now;
    } else if (to < from) {
        if (mm_unmap(mm, to, from - to))
            return now;
        pages_keep(to, from - to);
    }
    mm->brk = want;
    return (long)want;
}

/* Is every page of the range mapped? */
static bool all_mapped(struct mm *mm, uintptr_t start, uintptr_t end)
{
    for (struct vma *v = vma_find(mm, start); start < end; v = vma_next(v)) {
        if (!v || v->start > start)
            return false;
        start = v->end;
    }
    return true;
}

SYSCALL3(msync, unsigned long, addr, unsigned long, len, int, flags)
{
    if (addr & PAGE_MASK || flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) ||
        (flags & MS_ASYNC && flags & MS_SYNC))
        return -EINVAL;
    uintptr_t end = addr + PAGE_UP(len);
    if (end < addr || !user_range_ok((void *)addr, end - addr))
        return -ENOMEM;
    struct mm *mm = &current_process()->mm;
    lock(&mm->lock);
    int err = mm_sync_range(mm, addr, end, flags & MS_SYNC);
    if (!err && !all_mapped(mm, addr, end))
        err = -ENOMEM;
    unlock(&mm->lock);
    int r = PLATFORM_HOST_TRUSTED ? host_msync(addr, len, flags) : 0;
    return err ? err : r;
}

SYSCALL3(madvise, unsigned long, addr, unsigned long, len, int, advice)
{
    if (addr & PAGE_MASK || PAGE_UP(len) < len || addr + PAGE_UP(len) < addr)
        return -EINVAL;
    if (!user_range_ok((void *)addr, len))
        return -ENOMEM;
    return pages_advise(&current_process()->mm, addr, len, advice);
}

#define LOCKING(name)                                                           \
    SYSCALL3(name, unsigned long, addr, unsigned long, len, unsigned long, arg) \
    {                                                                           \
        if (!user_range_ok((void *)addr, len))                                  \
            return -ENOMEM;                                                     \
        return pages_lock(&current_process()->mm, __NR_##name, addr, len, arg); \
    }
LOCKING(mlock)
LOCKING(mlock2)
LOCKING(munlock)
SYSCALL1(mlockall, int, flags)
{
    return pages_lock(&current_process()->mm, __NR_mlockall, (uintptr_t)flags, 0, 0);
}
SYSCALL0(munlockall)
{
    return pages_lock(&current_process()->mm, __NR_munlockall, 0, 0, 0);
}

SYSCALL3(mincore, unsigned long, addr, unsigned long, len, unsigned char *, vec)
{
    if (addr & PAGE_MASK)
        return -EINVAL;
    if (!user_range_ok((void *)addr, len))
        return -ENOMEM;
    if (!len)
        return 0;
    if (!user_range_ok(vec, PAGE_UP(len) / PAGE_SIZE))
        return -EFAULT;
    return pages_resident(&current_process()->mm, addr, len, vec);
}

/* One node, default policy: what a machine without NUMA says. */
SYSCALL5(get_mempolicy, int *, mode, unsigned long *, mask, unsigned long, max, unsigned long, addr,
         unsigned long, flags)
{
    int zero = 0;
    if (mode && put_user(mode, zero))
        return -EFAULT;
    if (mask && max && clear_user(mask, ALIGN_UP(max, 64UL) / 8))
        return -EFAULT;
    (void)addr, (void)flags;
    return 0;
}

SYSCALL3(set_mempolicy, int, mode, const unsigned long *, mask, unsigned long, max)
{
    (void)mode, (void)mask, (void)max;
    return 0;
}

SYSCALL6(mbind, unsigned long, addr, unsigned long, len, int, mode, const unsigned long *, mask,
         unsigned long, max, unsigned, flags)
{
    (void)addr, (void)len, (void)mode, (void)mask, (void)max, (void)flags;
    return 0;
}

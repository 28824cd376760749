/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * pages.h where the host is not trusted: addresses are chosen here, content is a copy. A mapped
 * file is read in when it is mapped, verified as its reads are. What was stored through a shared
 * mapping goes back to the file by comparison, at msync, munmap and the end. Pages behind the end
 * of the file are inaccessible (what is recorded says otherwise: pages_fault()). Memory that
 * several processes share does not exist: see pages_refuse_fork().
 */
#include "host/host.h"
#include "libos/fs/vfs.h"
#include "libos/log.h"
#include "libos/mm/pages.h"
#include "libos/proc/members.h"
#include "libos/process.h"
#include "platform/memory.h"
#include "platform/platform.h"
#include <asm/unistd.h>
#include <linux/mman.h>

#if !PLATFORM_HOST_TRUSTED

#    define RW         (PROT_READ | PROT_WRITE)
#    define PROT_KNOWN (PROT_READ | PROT_WRITE | PROT_EXEC)
#    define MAP_FLAGS_KNOWN                                                                      \
        (MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_32BIT | MAP_GROWSDOWN | MAP_DENYWRITE |      \
         MAP_EXECUTABLE | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | \
         MAP_HUGETLB | MAP_FIXED_NOREPLACE)
#    define LOW_TOP       (2UL << 30)  /* of MAP_32BIT */
#    define LOWEST_PLACED (16UL << 20) /* programs at fixed addresses are below */

/* ---- places ---- */

/* Is [addr, addr + len) free for a mapping? */
static bool is_free(struct mm *mm, uintptr_t addr, size_t len)
{
    const struct vma *v = vma_find(mm, addr);
    bool in_brk = addr < mm->brk_limit && addr + len > mm->brk_start;
    return addr >= mem_ranges.app_start && addr <= mem_ranges.app_end &&
           len <= mem_ranges.app_end - addr && !(v && v->start < addr + len) &&
           !(in_brk && mm->brk_limit > mm->brk_start);
}

/* Where the highest mapping of a program begins to be looked for. */
static uintptr_t top_of(struct mm *mm)
{
    uint64_t random;
    if (!mm->top) {
        size_t room = (mem_ranges.app_end - mem_ranges.app_start) / 4;
        mm->top = mem_ranges.app_end;
        if (!platform_random(&random, sizeof(random)))
            mm->top -= PAGE_DOWN(random % room);
        mm->no_gap_above = mm->top;
    }
    return mm->top;
}

/* The highest gap of `len` bytes below `top`. */
static uintptr_t gap_below(struct mm *mm, uintptr_t top, size_t len, size_t *largest)
{
    const struct vma *v = vma_find(mm, top);
    uintptr_t end = v && v->start < top ? v->start : top;
    v = v ? vma_prev(v) : vma_last(mm);
    for (;;) {
        uintptr_t start = MAX(v ? v->end : 0, LOWEST_PLACED);
        if (mm->brk_limit > mm->brk_start && mm->brk_start < end && mm->brk_limit > start) {
            uintptr_t above = MAX(start, mm->brk_limit);
            if (above < end && end - above >= len)
                return end - len;
            end = MIN(end, mm->brk_start); /* and what is below it */
        }
        if (start < end && end - start >= len)
            return end - len;
        *largest = MAX(*largest, start < end ? end - start : 0);
        if (!v)
            return 0;
        end = v->start;
        v = vma_prev(v);
    }
}

/*
 * Top down, the first that fits, as Linux does. That nothing of some size is free above an address
 * is remembered until something is unmapped there.
 */
static uintptr_t place(struct mm *mm, size_t len, int flags)
{
    uintptr_t top = top_of(mm);
    size_t largest = 0;
    if (flags & MAP_32BIT)
        return gap_below(mm, LOW_TOP, len, &largest);
    if (len >= mm->no_gap_of && mm->no_gap_of)
        top = mm->no_gap_above;
    else
        mm->no_gap_of = 0;
    uintptr_t at = gap_below(mm, top, len, &largest);
    if (!at && top != mm->top)
        at = gap_below(mm, mm->top, len, &largest);
    if (at) {
        mm->no_gap_above = at;
        mm->no_gap_of = mm->no_gap_of ? MIN(mm->no_gap_of, len) : len;
    }
    return at;
}

static void freed(struct mm *mm, uintptr_t end)
{
    if (end > mm->no_gap_above)
        mm->no_gap_of = 0;
}

/* ---- content ---- */

/* May something be stored in its file through the mapping? */
static bool takes_stores(const struct vma *v)
{
    return v->flags & MAP_SHARED && v->file && (v->file->flags & O_ACCMODE) == O_RDWR;
}

/* Is it a file whose content may be copied in? */
static bool has_content(struct file *f)
{
    if (f->kind == FILE_UNSEEN)
        file_look(f, NULL);
    return f->kind == FILE_REGULAR && (f->host_fd >= 0 || f->ops->read);
}

/* /dev/zero, which mapped is anonymous memory. */
static bool is_zero_device(struct file *f)
{
    kstat st;
    return f->kind == FILE_STREAM && !file_stat(f, &st) && (st.st_mode & 0170000) == 0020000 &&
           st.st_rdev == 0x105;
}

static bool may_change(const struct file *f, int flags)
{
    return f && flags & MAP_SHARED && (f->ops->write || !f->ops->read);
}

bool pages_may_change(const struct vma *v)
{
    return may_change(v->file, v->flags);
}

/* Reads [off, off + len) of the file to pages that are there and writable, and makes them what
 * `prot` says, up to the end of the file. */
static int fill(uintptr_t addr, size_t len, int prot, struct file *f, int64_t off)
{
    ssize n = file_read_kernel(f, (void *)addr, len, off);
    if (n < 0)
        return (int)n;
    size_t there = PAGE_UP((size_t)n);
    int err = prot == RW || !there ? 0 : mem_protect(addr, there, prot);
    if (!err && there < len)
        err = mem_protect(addr + there, len - there, PROT_NONE);
    return err;
}

static const char *name_of(const struct file *f)
{
    return f->path ? f->path : f->ops->name;
}

/* Is the same part of the file mapped already, so that stores would have to be seen there or here?
 */
static bool has_twin(struct mm *mm, struct file *f, size_t len, int64_t off)
{
    kstat st, other;
    bool stores = (f->flags & O_ACCMODE) == O_RDWR;
    if (!mm->maps_files || file_stat(f, &st))
        return false;
    for (struct vma *v = vma_first(mm); v; v = vma_next(v)) {
        int64_t there = (int64_t)(v->end - v->start);
        if (pages_may_change(v) && (stores || takes_stores(v)) && v->offset < off + (int64_t)len &&
            off < v->offset + there && !file_stat(v->file, &other) && other.st_dev == st.st_dev &&
            other.st_ino == st.st_ino)
            return true;
    }
    return false;
}

/* Stores would have to be seen elsewhere: there is no memory for that. */
static int check_shared(struct mm *mm, struct file *f, size_t len, int64_t off)
{
    bool twin = has_twin(mm, f, len, off);
    if (!twin && ((f->flags & O_ACCMODE) != O_RDWR || member_next(0) < 0))
        return 0;
    log_error("'%s' cannot be mapped shared and writable %s: this platform has no memory that is "
              "in two places",
              name_of(f),
              twin ? "where it is mapped already" : "while the run has several processes");
    return -EOPNOTSUPP;
}

static int put(uintptr_t at, size_t len, int prot, int flags, struct file *f, int64_t off)
{
    prot &= PROT_KNOWN;
    if (!f)
        return mem_map(at, len, prot);
    int err = mem_map(at, len, RW);
    if (!err)
        err = fill(at, len, prot, f, off);
    if (err)
        mem_unmap(at, len);
    return err;
}

long pages_map(struct mm *mm, uintptr_t addr, size_t len, int prot, int flags, struct file *f,
               int64_t off)
{
    uintptr_t at = PAGE_DOWN(addr);
    if (f && (off < 0 || off + (int64_t)len < 0))
        return -EOVERFLOW;
    if (f && (flags & MAP_TYPE) == MAP_SHARED_VALIDATE && flags & ~MAP_FLAGS_KNOWN)
        return -EOPNOTSUPP;
    if (f && is_zero_device(f))
        f = NULL;
    if (f && !has_content(f))
        return -ENODEV;
    if (flags & MAP_HUGETLB)
        return -ENOMEM; /* none are set aside */
    if (flags & MAP_FIXED_NOREPLACE && !is_free(mm, addr, len))
        return -EEXIST;
    if (flags & MAP_FIXED && addr < mem_ranges.app_start)
        return -EPERM;
    if (!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && !(at && is_free(mm, at, len)))
        at = place(mm, len, flags);
    if (!at)
        return -ENOMEM;
    int err = may_change(f, flags) ? check_shared(mm, f, len, off) : 0;
    if (!err)
        err = put(at, len, prot, flags, f, off);
    if (!err && may_change(f, flags))
        __atomic_store_n(&mm->maps_files, true, __ATOMIC_RELAXED);
    return err ? err : (long)at;
}

int pages_unmap(uintptr_t addr, size_t len)
{
    freed(&current_process()->mm, addr + len);
    return mem_unmap(addr, len);
}

int pages_open(uintptr_t addr, size_t len, int prot)
{
    return mem_protect(addr, len, prot);
}

/* Up to the first hole, as Linux does; -ENOMEM says that there is one. */
static uintptr_t mapped_until(struct mm *mm, uintptr_t addr, uintptr_t end)
{
    for (struct vma *v = vma_find(mm, addr); v && v->start <= addr && addr < end; v = vma_next(v))
        addr = v->end;
    return MIN(addr, end);
}

static bool stores_refused(struct mm *mm, uintptr_t addr, uintptr_t end)
{
    for (struct vma *v = vma_find(mm, addr); v && v->start < end; v = vma_next(v))
        if (v->flags & MAP_SHARED && v->file && !takes_stores(v))
            return true;
    return false;
}

static bool grows(struct mm *mm, uintptr_t addr)
{
    const struct vma *v = vma_find(mm, addr);
    return v && v->start <= addr && v->flags & MAP_GROWSDOWN;
}

int pages_protect(struct mm *mm, uintptr_t addr, size_t len, int prot)
{
    const int known = PROT_KNOWN | PROT_SEM | PROT_GROWSDOWN | PROT_GROWSUP;
    uintptr_t end = mapped_until(mm, addr, addr + len);
    if (prot & ~known || prot & PROT_GROWSUP || (prot & PROT_GROWSDOWN && !grows(mm, addr)))
        return -EINVAL;
    if (prot & PROT_WRITE && stores_refused(mm, addr, end))
        return -EACCES;
    int err = end > addr ? mem_protect(addr, end - addr, prot & PROT_KNOWN) : 0;
    if (!err && end > addr && end < addr + len)
        vma_set_prot(mm, addr, end, prot & PROT_KNOWN);
    return err ? err : end < addr + len ? -ENOMEM : 0;
}

/* ---- mremap(2) ---- */

/* A copy of what may be read there. */
static int copy_pages(uintptr_t to, uintptr_t from, size_t len, int prot)
{
    int err = prot & PROT_READ ? 0 : mem_protect(from, len, PROT_READ);
    for (size_t at = 0; !err && at < len; at += PAGE_SIZE) /* some may be behind a file's end */
        if (copy_checked((void *)(to + at), (void *)(from + at), PAGE_SIZE))
            err = mem_protect(to + at, PAGE_SIZE, PROT_NONE);
    return err;
}

static long move_to(uintptr_t to, const struct vma *v, uintptr_t old, size_t old_len,
                    size_t new_len, int flags)
{
    size_t same = MIN(old_len, new_len);
    int64_t off = v->offset + (int64_t)(old - v->start);
    int err = mem_map(to, new_len, RW);
    if (!err)
        err = copy_pages(to, old, same, v->prot);
    if (!err && v->prot != RW)
        err = mem_protect(to, new_len, v->prot & PROT_KNOWN);
    if (!err && v->file && new_len > same)
        err = put(to + same, new_len - same, v->prot, v->flags, v->file, off + (int64_t)same);
    if (err) {
        mem_unmap(to, new_len);
        return err;
    }
    if (flags & MREMAP_DONTUNMAP)
        mem_zero(old, old_len);
    else
        mem_unmap(old, old_len);
    return (long)to;
}

static bool flags_ok(const struct vma *v, uintptr_t old, size_t old_len, size_t new_len, int flags,
                     uintptr_t to)
{
    bool overlaps = to < old + old_len && old < to + new_len;
    if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(flags & MREMAP_MAYMOVE))
        return false;
    if (flags & MREMAP_FIXED && (to & PAGE_MASK || overlaps))
        return false;
    if (flags & MREMAP_DONTUNMAP && (old_len != new_len || v->file || v->flags & MAP_SHARED))
        return false;
    return old_len != 0; /* a second view of the same pages does not exist */
}

long pages_move(struct mm *mm, const struct vma *v, uintptr_t old, size_t old_len, size_t new_len,
                int flags, uintptr_t to)
{
    if (!flags_ok(v, old, old_len, new_len, flags, to))
        return -EINVAL;
    if (v->end - old < old_len)
        return -EFAULT;
    if (flags & MREMAP_FIXED)
        return to < mem_ranges.app_start ? -EPERM : move_to(to, v, old, old_len, new_len, flags);
    if (flags & MREMAP_DONTUNMAP) {
        to = place(mm, new_len, 0);
        return to ? move_to(to, v, old, old_len, new_len, flags) : -ENOMEM;
    }
    if (new_len <= old_len) {
        int err = new_len < old_len ? pages_unmap(old + new_len, old_len - new_len) : 0;
        return err ? err : (long)old;
    }
    uintptr_t end = old + old_len;
    size_t more = new_len - old_len;
    if (v->end == end && is_free(mm, end, more)) {
        int err = put(end, more, v->prot, v->flags, v->file, v->offset + (int64_t)(end - v->start));
        return err ? err : (long)old;
    }
    to = flags & MREMAP_MAYMOVE ? place(mm, new_len, 0) : 0;
    return to ? move_to(to, v, old, old_len, new_len, flags) : -ENOMEM;
}

/* ---- madvise(2) and its like ---- */

/* Private pages are what they were when they were mapped; shared ones are the file's, or stay. */
static int drop_content(const struct vma *v, uintptr_t start, uintptr_t end)
{
    if (v->flags & MAP_SHARED)
        return 0;
    if (!v->file)
        return mem_zero(start, end - start);
    return put(start, end - start, v->prot, v->flags, v->file,
               v->offset + (int64_t)(start - v->start));
}

static int advise_one(const struct vma *v, uintptr_t start, uintptr_t end, int advice)
{
    switch (advice) {
    case MADV_DONTNEED:
#    ifdef MADV_DONTNEED_LOCKED
    case MADV_DONTNEED_LOCKED:
#    endif
        return drop_content(v, start, end);
    case MADV_FREE:
        return v->file || v->flags & MAP_SHARED ? -EINVAL : 0;
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_COLD:
    case MADV_PAGEOUT:
        return 0;
    case MADV_POPULATE_READ:
        return v->prot & PROT_READ ? 0 : -EINVAL;
    case MADV_POPULATE_WRITE:
        return v->prot & PROT_WRITE ? 0 : -EINVAL;
    }
    return -EINVAL;
}

static bool advice_known(int advice)
{
    static const struct vma any = {.prot = PROT_READ | PROT_WRITE, .flags = MAP_SHARED};
    return advice == MADV_FREE || !advise_one(&any, 0, 0, advice);
}

/* Calls `each` for what is mapped of the range. -ENOMEM behind that: there are gaps. */
static int each_mapped(struct mm *mm, uintptr_t addr, size_t len, int arg,
                       int (*each)(const struct vma *v, uintptr_t start, uintptr_t end, int arg))
{
    uintptr_t at = addr, end = addr + PAGE_UP(len);
    int err = 0;
    bool gap = false;
    lock(&mm->lock);
    struct vma *v = vma_find(mm, addr);
    for (; !err && v && v->start < end && at < end; v = vma_next(v)) {
        gap |= v->start > at;
        if (each)
            err = each(v, MAX(v->start, at), MIN(v->end, end), arg);
        at = v->end;
    }
    unlock(&mm->lock);
    return err ? err : gap || at < end ? -ENOMEM : 0;
}

int pages_advise(struct mm *mm, uintptr_t addr, size_t len, int advice)
{
    return advice_known(advice) ? each_mapped(mm, addr, len, advice, advise_one) : -EINVAL;
}

int pages_resident(struct mm *mm, uintptr_t addr, size_t len, unsigned char *uvec)
{
    static const unsigned char ones[64] = {[0 ... 63] = 1};
    int err = each_mapped(mm, addr, len, 0, NULL);
    size_t pages = PAGE_UP(len) / PAGE_SIZE;
    for (size_t at = 0; !err && at < pages; at += sizeof(ones))
        err = copy_to_user(uvec + at, ones, MIN(sizeof(ones), pages - at));
    return err;
}

/* Nothing is ever paged out by us: what remains are the errors. */
long pages_lock(struct mm *mm, long nr, uintptr_t addr, size_t len, unsigned long arg)
{
    const unsigned long all = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
    uintptr_t from = PAGE_DOWN(addr);
    switch (nr) {
    case __NR_mlockall:
        return !addr || addr & ~all || addr == MCL_ONFAULT ? -EINVAL : 0;
    case __NR_munlockall:
        return 0;
    case __NR_mlock2:
        if (arg & ~(unsigned long)MLOCK_ONFAULT)
            return -EINVAL;
    }
    return each_mapped(mm, from, addr + len - from, 0, NULL);
}

long pages_map_stubs(struct mm *mm, uintptr_t addr, size_t len)
{
    if (!is_free(mm, addr, len))
        return -EEXIST;
    int err = mem_map(addr, len, RW | PROT_EXEC);
    return err ? err : (long)addr;
}

long pages_reserve(struct mm *mm, uintptr_t addr, size_t len)
{
    uintptr_t at = addr && is_free(mm, addr, len) ? addr : place(mm, len, 0);
    return at ? (long)at : -ENOMEM;
}

void pages_keep(uintptr_t addr, size_t len)
{
    mem_unmap(addr, len);
}

/* ---- what was stored goes to the file ---- */

#    define COMPARED (64UL << 10)

struct compared {
    char file[COMPARED];
    char page[PAGE_SIZE];
};

/* One piece: what differs from the file is written, page by page. */
static int sync_piece(struct file *f, uintptr_t at, size_t n, int64_t off, struct compared *c)
{
    ssize had = file_read_kernel(f, c->file, n, off);
    int err = had < 0 ? (int)had : 0;
    for (size_t i = 0; !err && (ssize)i < had; i += PAGE_SIZE) {
        size_t part = MIN(PAGE_SIZE, (size_t)had - i);
        int64_t to = off + (int64_t)i;
        if (copy_checked(c->page, (const void *)(at + i), part) || /* behind the end, as it was */
            memcmp(c->page, c->file + i, part) == 0)
            continue;
        ssize w = f->ops->write ? f->ops->write(f, c->page, part, to)
                                : host_pwrite(f->host_fd, c->page, part, to);
        err = w == (ssize)part ? 0 : w < 0 ? (int)w : -EIO;
    }
    return err;
}

static int sync_pieces(const struct vma *v, uintptr_t start, uintptr_t end)
{
    struct compared *c = heap_alloc(sizeof(*c));
    int err = c ? 0 : -ENOMEM;
    for (uintptr_t at = start; !err && at < end; at += COMPARED)
        err = sync_piece(v->file, at, MIN(COMPARED, end - at), v->offset + (int64_t)(at - v->start),
                         c);
    heap_free(c);
    return err;
}

int pages_sync(const struct vma *v, uintptr_t start, uintptr_t end, bool disk)
{
    if (!takes_stores(v))
        return 0;
    bool hidden = !(v->prot & PROT_READ);
    if (hidden)
        mem_protect(start, end - start, v->prot | PROT_READ);
    int err = sync_pieces(v, start, end);
    if (hidden)
        mem_protect(start, end - start, v->prot & PROT_KNOWN);
    if (!err && disk)
        err = v->file->ops->sync ? v->file->ops->sync(v->file, true)
                                 : host_fsync(v->file->host_fd, true);
    return err;
}

/* ---- other processes ---- */

/* A child of vfork that execs keeps nothing of the memory. */
int pages_before_fork(void)
{
    struct mm *mm = &current_process()->mm;
    if (current()->vfork)
        return 0;
    int err = 0;
    lock(&mm->lock);
    for (struct vma *v = vma_first(mm); v && !err; v = vma_next(v))
        if (v->flags & MAP_SHARED && (!v->file || takes_stores(v)))
            err = -EOPNOTSUPP;
    unlock(&mm->lock);
    if (err)
        log_error("fork: the program has memory that it wants to share with its child "
                  "(mmap with MAP_SHARED): this platform has none that processes share");
    return err;
}

#    define FAULT_WRITE 2u
#    define FAULT_FETCH 16u

void pages_fault(struct fault_info *f)
{
    struct mm *mm = &current_process()->mm;
    uintptr_t addr = f->address;
    int need = f->error_code & FAULT_WRITE   ? PROT_WRITE
               : f->error_code & FAULT_FETCH ? PROT_EXEC
                                             : PROT_READ;
    if (f->info.si_signo != SIGSEGV || f->info.si_code != SEGV_ACCERR)
        return;
    lock(&mm->lock);
    const struct vma *v = vma_find(mm, addr);
    if (v && v->start <= addr && v->file && v->prot & need) {
        f->info.si_signo = SIGBUS; /* accessible, by our record: it is behind the end of the file */
        f->info.si_code = BUS_ADRERR;
    }
    unlock(&mm->lock);
}

#endif

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Shared mappings of files where they are copies (pages_own.c), and the calls that read and write
 * the same files: before a read, what was stored through a mapping goes to the file; after a write
 * or a cut, the mappings take over what is there now.
 */
#include "host/host.h"
#include "libos/fs/vfs.h"
#include "libos/mm/pages.h"
#include "libos/process.h"
#include "platform/memory.h"
#include <linux/mman.h>

#if !PLATFORM_HOST_TRUSTED

struct range {
    uint64_t dev, ino;
    int64_t from, to; /* of the file */
    bool is_file;     /* else nothing of this can be mapped */
};

/* The place of a transfer of `n` bytes; `pos` -1: at the file's own offset, which is behind it when
 * `done`. */
static struct range range_of(struct file *f, int64_t pos, size_t n, bool done)
{
    kstat st;
    struct range r = {.is_file = false};
    if (f->kind == FILE_UNSEEN)
        file_look(f, NULL);
    if (f->kind != FILE_REGULAR || file_stat(f, &st))
        return r;
    if (pos < 0) {
        bool own = f->ops->read || f->ops->write;
        pos = own || f->host_fd < 0 ? f->pos : host_lseek(f->host_fd, 0, 1);
        pos -= done ? (int64_t)n : 0;
    }
    pos = MAX(pos, 0L);
    int64_t end = n > (uint64_t)(INT64_MAX - pos) ? INT64_MAX : pos + (int64_t)n;
    return (struct range){st.st_dev, st.st_ino, PAGE_DOWN(pos), end, true};
}

/* What of the range the mapping shows: addresses, or none (false). */
static bool shows(const struct vma *v, const struct range *r, uintptr_t *start, uintptr_t *end)
{
    kstat st;
    int64_t len = (int64_t)(v->end - v->start);
    if (!pages_may_change(v) || v->offset >= r->to || v->offset + len <= r->from ||
        file_stat(v->file, &st) || st.st_dev != r->dev || st.st_ino != r->ino)
        return false;
    *start = v->start + (uintptr_t)MAX(r->from - v->offset, 0L);
    *end = PAGE_UP(v->start + (uintptr_t)MIN(r->to - v->offset, len));
    return true;
}

void pages_before_read(struct file *f, int64_t pos, size_t n)
{
    struct mm *mm = &current_process()->mm;
    uintptr_t start, end;
    if (likely(!__atomic_load_n(&mm->maps_files, __ATOMIC_RELAXED)))
        return;
    struct range r = range_of(f, pos, n, false);
    lock(&mm->lock);
    for (struct vma *v = vma_first(mm); r.is_file && v; v = vma_next(v))
        if (shows(v, &r, &start, &end))
            pages_sync(v, start, end, false);
    unlock(&mm->lock);
}

/* The pages of a mapping anew. */
static void reload(const struct vma *v, uintptr_t start, uintptr_t end)
{
    const int rw = PROT_READ | PROT_WRITE, known = rw | PROT_EXEC;
    size_t len = end - start;
    if (mem_protect(start, len, rw))
        return;
    ssize n =
        file_read_kernel(v->file, (void *)start, len, v->offset + (int64_t)(start - v->start));
    size_t there = n < 0 ? 0 : (size_t)n;
    if (there < PAGE_UP(there))
        memset((char *)start + there, 0, PAGE_UP(there) - there);
    if (there)
        mem_protect(start, PAGE_UP(there), v->prot & known);
    if (PAGE_UP(there) < len)
        mem_protect(start + PAGE_UP(there), len - PAGE_UP(there), PROT_NONE);
}

void pages_after_write(struct file *f, int64_t pos, size_t n)
{
    struct mm *mm = &current_process()->mm;
    uintptr_t start, end;
    if (likely(!__atomic_load_n(&mm->maps_files, __ATOMIC_RELAXED)))
        return;
    struct range r = range_of(f, pos, n, true);
    lock(&mm->lock);
    for (struct vma *v = vma_first(mm); r.is_file && v; v = vma_next(v))
        if (shows(v, &r, &start, &end))
            reload(v, start, end);
    unlock(&mm->lock);
}

#endif

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* /proc/PID/maps and smaps, from the library OS's record of the address space. */
#include "host/host.h"
#include "libos/fs/proc.h"
#include <linux/mman.h>

#define NAME_COLUMN  73
#define PAGEMAP_RUN  4096         /* entries read at once */
#define PRESENT      (1UL << 63)  /* Documentation/admin-guide/mm/pagemap.rst */
#define MOST_COUNTED (64UL << 30) /* bytes; of larger mappings nothing is counted */

static void add_header(struct text *t, const struct vma *v)
{
    kstat st = {0};
    if (v->file && file_stat(v->file, &st))
        memset(&st, 0, sizeof(st));
    size_t line = t->len;
    text_add(t, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", v->start, v->end,
             v->prot & PROT_READ ? 'r' : '-', v->prot & PROT_WRITE ? 'w' : '-',
             v->prot & PROT_EXEC ? 'x' : '-', v->flags & MAP_SHARED ? 's' : 'p',
             v->file ? (unsigned long)v->offset : 0, (unsigned)(st.st_dev >> 8 & 0xfff),
             (unsigned)((st.st_dev & 0xff) | (st.st_dev >> 12 & 0xfff00)), st.st_ino);
    char real[PATH_LIMIT];
    const char *name = v->name;
    if (v->file && v->file->path) {
        proc_real_path(v->file->path, real);
        name = real;
    }
    if (name && t->len - line < NAME_COLUMN)
        text_add(t, "%*s", (int)(NAME_COLUMN - (t->len - line)), "");
    text_add(t, "%s\n", name ? name : "");
}

int proc_fill_maps(const struct pseudo_ref *r, struct text *t)
{
    struct mm *mm = &current_process()->mm;
    if (proc_is_other(r))
        return -EACCES;
    lock(&mm->lock);
    for (struct vma *v = vma_first(mm); v; v = vma_next(v))
        if (!(v->flags & VMA_INTERNAL))
            add_header(t, v);
    unlock(&mm->lock);
    return 0;
}

/* Bytes of [start, end) that are in memory. */
static size_t resident(int pagemap, uint64_t *run, const struct vma *v)
{
    size_t pages = 0;
    if (v->prot == PROT_NONE || v->end - v->start > MOST_COUNTED)
        return 0;
    for (uintptr_t at = v->start; at < v->end; at += PAGEMAP_RUN * PAGE_SIZE) {
        size_t n = MIN((v->end - at) / PAGE_SIZE, (size_t)PAGEMAP_RUN);
        ssize got = host_pread(pagemap, run, n * 8, (int64_t)(at / PAGE_SIZE * 8));
        for (ssize i = 0; i < got / 8; i++)
            pages += (run[i] & PRESENT) != 0;
    }
    return pages * PAGE_SIZE;
}

struct sizes {
    size_t size, rss, shared_clean, private_clean, private_dirty, anonymous;
};

/* Who else uses a page only the host knows: what can be written privately counts as ours. */
static struct sizes measure(int pagemap, uint64_t *run, const struct vma *v)
{
    struct sizes s = {.size = v->end - v->start, .rss = resident(pagemap, run, v)};
    bool dirty = v->prot & PROT_WRITE && v->flags & MAP_PRIVATE;
    if (!v->file)
        s.anonymous = s.rss;
    if (dirty || !v->file)
        s.private_dirty = s.rss;
    else if (v->flags & MAP_SHARED)
        s.shared_clean = s.rss;
    else
        s.private_clean = s.rss;
    return s;
}

static void add_sizes(struct text *t, const struct sizes *s, bool rollup)
{
    if (!rollup)
        text_add(t, "Size:           %8lu kB\nKernelPageSize: %8u kB\nMMUPageSize:    %8u kB\n",
                 s->size >> 10, 4u, 4u);
    const struct {
        const char *name;
        size_t bytes;
    } lines[] = {{"Rss:", s->rss},
                 {"Pss:", s->rss},
                 {"Shared_Clean:", s->shared_clean},
                 {"Shared_Dirty:", 0},
                 {"Private_Clean:", s->private_clean},
                 {"Private_Dirty:", s->private_dirty},
                 {"Referenced:", s->rss},
                 {"Anonymous:", s->anonymous},
                 {"LazyFree:", 0},
                 {"AnonHugePages:", 0},
                 {"ShmemPmdMapped:", 0},
                 {"FilePmdMapped:", 0},
                 {"Shared_Hugetlb:", 0},
                 {"Private_Hugetlb:", 0},
                 {"Swap:", 0},
                 {"SwapPss:", 0},
                 {"Locked:", 0}};
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        text_add(t, "%-16s%8lu kB\n", lines[i].name, lines[i].bytes >> 10);
}

static void add_flags(struct text *t, const struct vma *v)
{
    text_add(t, "THPeligible:           0\nVmFlags:%s%s%s%s mr mw me \n",
             v->prot & PROT_READ ? " rd" : "", v->prot & PROT_WRITE ? " wr" : "",
             v->prot & PROT_EXEC ? " ex" : "", v->flags & MAP_SHARED ? " sh" : "");
}

static int fill_sizes(struct text *t, bool rollup)
{
    struct mm *mm = &current_process()->mm;
    struct sizes all = {0};
    uintptr_t first = 0, last = 0;
    uint64_t *run = heap_alloc(PAGEMAP_RUN * 8);
    int pagemap = run ? host_open("/proc/self/pagemap", O_RDONLY, 0) : -ENOMEM;
    if (pagemap < 0) {
        heap_free(run);
        return pagemap;
    }
    lock(&mm->lock);
    for (const struct vma *v = vma_first(mm); v; v = vma_next(v)) {
        if (v->flags & VMA_INTERNAL)
            continue;
        struct sizes s = measure(pagemap, run, v);
        if (!rollup) {
            add_header(t, v);
            add_sizes(t, &s, false);
            add_flags(t, v);
        }
        first = last ? first : v->start;
        last = v->end;
        all.rss += s.rss;
        all.shared_clean += s.shared_clean;
        all.private_clean += s.private_clean;
        all.private_dirty += s.private_dirty;
        all.anonymous += s.anonymous;
    }
    unlock(&mm->lock);
    host_close(pagemap);
    heap_free(run);
    if (rollup) {
        text_add(t, "%08lx-%08lx ---p 00000000 00:00 0 %*s[rollup]\n", first, last, 24, "");
        add_sizes(t, &all, true);
    }
    return 0;
}

int proc_fill_smaps(const struct pseudo_ref *r, struct text *t)
{
    return proc_is_other(r) ? -EACCES : fill_sizes(t, false);
}

int proc_fill_smaps_rollup(const struct pseudo_ref *r, struct text *t)
{
    return proc_is_other(r) ? -EACCES : fill_sizes(t, true);
}

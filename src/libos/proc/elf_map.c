/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/vfs.h"
#include "libos/process.h"
#include "libos/proc/elf.h"
#include <linux/mman.h>

/* Zeros from the end of the file's bytes to the end of their page, then whole pages. */
static int map_bss(struct mm *mm, const struct elf_segment *s, uintptr_t bias)
{
    uintptr_t file_end = bias + s->vaddr + s->filesz;
    uintptr_t end = PAGE_UP(bias + s->vaddr + s->memsz);
    uintptr_t page_end = s->filesz ? PAGE_UP(file_end) : PAGE_DOWN(file_end);
    if (s->prot & PROT_WRITE && s->filesz && page_end > file_end &&
        clear_user((void *)file_end, page_end - file_end))
        return -ENOEXEC; /* the file is shorter than its headers say */
    if (end <= page_end)
        return 0;
    long p = mm_map(mm, page_end, end - page_end, s->prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                    NULL, 0, NULL);
    return IS_ERR(p) ? (int)p : 0;
}

static int map_segment(struct mm *mm, const struct elf_segment *s, uintptr_t bias, struct file *f)
{
    if (s->filesz) {
        uintptr_t start = PAGE_DOWN(bias + s->vaddr);
        size_t head = s->vaddr & PAGE_MASK;
        long p = mm_map(mm, start, head + s->filesz, s->prot, MAP_PRIVATE | MAP_FIXED, f,
                        s->offset - (int64_t)head, NULL);
        if (IS_ERR(p))
            return (int)p;
    }
    return s->memsz > s->filesz ? map_bss(mm, s, bias) : 0;
}

/* Reserves the whole span, so that the pieces cannot meet something else. */
static long reserve(struct mm *mm, const struct elf_image *im)
{
    size_t span = im->high - im->low;
    if (im->fixed)
        return mm_map(mm, im->low, span, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, NULL, 0,
                      NULL);
    if (span > (1UL << 46))
        return -ENOMEM;
    size_t extra = im->align > PAGE_SIZE ? im->align : 0;
    long p = mm_map(mm, 0, span + extra, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    NULL, 0, NULL);
    if (IS_ERR(p) || !extra)
        return p;
    uintptr_t at = ALIGN_UP((uintptr_t)p, im->align);
    if (at > (uintptr_t)p)
        mm_unmap(mm, (uintptr_t)p, at - (uintptr_t)p);
    uintptr_t end = (uintptr_t)p + span + extra;
    if (end > at + span)
        mm_unmap(mm, at + span, end - (at + span));
    return (long)at;
}

int elf_map(struct mm *mm, const struct elf_image *im, struct file *f, struct elf_loaded *out)
{
    long base = reserve(mm, im);
    if (IS_ERR(base))
        return (int)base;
    uintptr_t bias = (uintptr_t)base - im->low;
    int err = 0;
    uintptr_t done = (uintptr_t)base;
    for (uint32_t i = 0; !err && i < im->count; i++) {
        const struct elf_segment *s = &im->segment[i];
        err = map_segment(mm, s, bias, f);
        uintptr_t start = PAGE_DOWN(bias + s->vaddr);
        if (!err && start > done) /* gaps between segments are not the program's */
            mm_unmap(mm, done, start - done);
        done = MAX(done, PAGE_UP(bias + s->vaddr + s->memsz));
    }
    if (err) {
        mm_unmap(mm, (uintptr_t)base, im->high - im->low);
        return err;
    }
    *out = (struct elf_loaded){.bias = bias,
                               .entry = bias + im->entry,
                               .phdr = im->phdr_vaddr ? bias + im->phdr_vaddr : 0,
                               .end = bias + im->high,
                               .phnum = im->phnum,
                               .phentsize = im->phentsize};
    return 0;
}

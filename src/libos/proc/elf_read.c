/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Decodes and checks ELF headers; touches nothing but its arguments, so that it can be fuzzed. */
#include "libos/proc/elf.h"
#include <linux/mman.h>
#include <linux/elf.h>

#define AT_ONCE 16u /* program headers */

typedef ssize (*read_fn)(void *ctx, void *buf, size_t n, int64_t off);

static int read_exact(read_fn read, void *ctx, void *buf, size_t n, uint64_t off)
{
    if (off > INT64_MAX - n)
        return -ENOEXEC;
    ssize r = read(ctx, buf, n, (int64_t)off);
    return r < 0 ? (int)r : (size_t)r == n ? 0 : -ENOEXEC;
}

static int check_header(const Elf64_Ehdr *h)
{
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_ident[EI_CLASS] != ELFCLASS64 ||
        h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != EM_X86_64)
        return -ENOEXEC;
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        return -ENOEXEC;
    if (h->e_phentsize != sizeof(Elf64_Phdr) || !h->e_phnum || h->e_phnum > 512)
        return -ENOEXEC;
    return 0;
}

static int add_segment(struct elf_image *im, const Elf64_Phdr *p)
{
    if (!p->p_memsz)
        return 0;
    if (p->p_filesz > p->p_memsz || p->p_memsz > USER_TOP || p->p_vaddr > USER_TOP ||
        p->p_vaddr + p->p_memsz > USER_TOP || p->p_offset > INT64_MAX - p->p_filesz)
        return -ENOEXEC;
    if ((p->p_vaddr - p->p_offset) & PAGE_MASK)
        return -ENOEXEC;
    if (im->count == ELF_MAX_SEGMENTS)
        return -ENOEXEC;
    if (im->count) {
        const struct elf_segment *last = &im->segment[im->count - 1];
        if (p->p_vaddr < last->vaddr + last->memsz) /* ascending and disjoint (gABI) */
            return -ENOEXEC;
    }
    im->segment[im->count++] = (struct elf_segment){.vaddr = p->p_vaddr,
                                                    .memsz = p->p_memsz,
                                                    .filesz = p->p_filesz,
                                                    .offset = (int64_t)p->p_offset,
                                                    .prot = (p->p_flags & PF_R ? PROT_READ : 0) |
                                                            (p->p_flags & PF_W ? PROT_WRITE : 0) |
                                                            (p->p_flags & PF_X ? PROT_EXEC : 0)};
    if (p->p_align > im->align && p->p_align <= (1UL << 30) && !(p->p_align & (p->p_align - 1)))
        im->align = p->p_align;
    return 0;
}

static int read_interp(struct elf_image *im, const Elf64_Phdr *p, read_fn read, void *ctx)
{
    if (im->interp[0] || p->p_filesz < 2 || p->p_filesz >= sizeof(im->interp))
        return -ENOEXEC;
    int err = read_exact(read, ctx, im->interp, p->p_filesz, p->p_offset);
    if (!err && (im->interp[p->p_filesz - 1] != 0 || !im->interp[0]))
        err = -ENOEXEC;
    return err;
}

/* Where the loaded program finds its own program headers. */
static void find_phdrs(struct elf_image *im, const Elf64_Ehdr *h)
{
    size_t size = (size_t)h->e_phnum * sizeof(Elf64_Phdr);
    for (uint32_t i = 0; i < im->count && !im->phdr_vaddr; i++) {
        const struct elf_segment *s = &im->segment[i];
        if (h->e_phoff >= (uint64_t)s->offset &&
            h->e_phoff + size <= (uint64_t)s->offset + s->filesz)
            im->phdr_vaddr = s->vaddr + (h->e_phoff - (uint64_t)s->offset);
    }
}

static int decode(struct elf_image *im, const Elf64_Phdr *p, read_fn read, void *ctx)
{
    switch (p->p_type) {
    case PT_LOAD:
        return add_segment(im, p);
    case PT_INTERP:
        return read_interp(im, p, read, ctx);
    case PT_GNU_STACK:
        im->stack_exec = p->p_flags & PF_X;
        return 0;
    }
    return 0;
}

int elf_read(struct elf_image *im, read_fn read, void *ctx)
{
    Elf64_Ehdr h;
    Elf64_Phdr p[AT_ONCE];
    memset(im, 0, sizeof(*im));
    im->align = PAGE_SIZE;
    int err = read_exact(read, ctx, &h, sizeof(h), 0);
    if (!err)
        err = check_header(&h);
    for (uint32_t i = 0; !err && i < h.e_phnum; i++) {
        size_t n = MIN(h.e_phnum - i, AT_ONCE);
        if (i % AT_ONCE == 0)
            err = h.e_phoff > INT64_MAX / 2
                      ? -ENOEXEC
                      : read_exact(read, ctx, p, n * sizeof(*p), h.e_phoff + i * sizeof(*p));
        if (!err)
            err = decode(im, &p[i % AT_ONCE], read, ctx);
    }
    if (err)
        return err;
    if (!im->count)
        return -ENOEXEC;
    im->fixed = h.e_type == ET_EXEC;
    im->entry = h.e_entry;
    im->low = PAGE_DOWN(im->segment[0].vaddr);
    im->high = PAGE_UP(im->segment[im->count - 1].vaddr + im->segment[im->count - 1].memsz);
    im->phnum = h.e_phnum;
    im->phentsize = h.e_phentsize;
    if (im->entry > USER_TOP || (im->fixed && im->low < 0x10000))
        return -ENOEXEC;
    find_phdrs(im, &h);
    return 0;
}

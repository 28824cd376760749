/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Maps the program and its interpreter as the kernel would (fs/binfmt_elf.c's visible behaviour).
 */
#include "sgxemu/emu.h"
#include <linux/mman.h>
#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/fcntl.h>

#define MAX_PHDRS    64
#define PIE_BASE     0x555555554000ULL
#define PAGE_DOWN(x) ((x) & ~0xfffULL)
#define PAGE_UP(x)   (((x) + 0xfff) & ~0xfffULL)

struct image {
    uint64_t bias, entry, phdr, phnum;
    char interp[4096];
};

static void bad(const char *path, const char *why)
{
    die("cannot execute ", path, ": ", why, NULL);
}

static int to_prot(uint32_t flags)
{
    return (flags & PF_R ? PROT_READ : 0) | (flags & 2 /* PF_W */ ? PROT_WRITE : 0) |
           (flags & PF_X ? PROT_EXEC : 0);
}

static void map_segment(const char *path, long fd, const Elf64_Phdr *p, uint64_t bias)
{
    uint64_t start = PAGE_DOWN(bias + p->p_vaddr), skew = p->p_vaddr & 0xfff;
    uint64_t file_end = bias + p->p_vaddr + p->p_filesz, end = bias + p->p_vaddr + p->p_memsz;
    int prot = to_prot(p->p_flags);
    if (p->p_filesz && sys_failed(sys(__NR_mmap, start, PAGE_UP(p->p_filesz + skew), prot,
                                      MAP_PRIVATE | MAP_FIXED, fd, p->p_offset - skew)))
        bad(path, "cannot map a segment");
    uint64_t zero = p->p_filesz ? PAGE_UP(file_end) : start;
    if (PAGE_UP(end) > zero && sys_failed(sys(__NR_mmap, zero, PAGE_UP(end) - zero, prot,
                                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)))
        bad(path, "cannot map the bss");
    if (p->p_memsz > p->p_filesz && p->p_filesz && prot & PROT_WRITE && zero > file_end)
        memset((void *)file_end, 0, (size_t)(zero - file_end));
}

static void read_header(const char *path, long fd, Elf64_Ehdr *eh, Elf64_Phdr *ph)
{
    if (sys(__NR_pread64, fd, eh, sizeof(*eh), 0) != sizeof(*eh) ||
        memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_ident[EI_CLASS] != ELFCLASS64 ||
        eh->e_machine != EM_X86_64 || (eh->e_type != ET_EXEC && eh->e_type != ET_DYN))
        bad(path, "not a 64-bit x86 program");
    if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 || eh->e_phnum > MAX_PHDRS ||
        sys(__NR_pread64, fd, ph, eh->e_phnum * sizeof(*ph), eh->e_phoff) !=
            (long)(eh->e_phnum * sizeof(*ph)))
        bad(path, "unreadable program headers");
}

/* The span of all PT_LOADs; refuses what would overflow or cover the device. */
static void span(const char *path, const Elf64_Ehdr *eh, const Elf64_Phdr *ph, uint64_t *low,
                 uint64_t *high, uint64_t *align)
{
    *low = UINT64_MAX, *high = 0, *align = 4096;
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type != PT_LOAD)
            continue;
        uint64_t end = ph[i].p_vaddr + ph[i].p_memsz;
        if (end < ph[i].p_vaddr || end > 1ULL << 46 || ph[i].p_filesz > ph[i].p_memsz ||
            (ph[i].p_vaddr ^ ph[i].p_offset) & 0xfff)
            bad(path, "a segment has absurd addresses");
        if (ph[i].p_vaddr < *low)
            *low = PAGE_DOWN(ph[i].p_vaddr);
        if (end > *high)
            *high = PAGE_UP(end);
        if (ph[i].p_align > *align && !(ph[i].p_align & (ph[i].p_align - 1)) &&
            ph[i].p_align <= 1 << 30)
            *align = ph[i].p_align;
    }
    if (*high <= *low)
        bad(path, "no loadable segment");
}

static uint64_t reserve(const char *path, const Elf64_Ehdr *eh, uint64_t low, uint64_t high,
                        uint64_t align, bool is_interp)
{
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint64_t size = high - low;
    long at;
    if (eh->e_type == ET_EXEC) {
        at = sys(__NR_mmap, low, size, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0);
        if (sys_failed(at))
            bad(path, "its addresses are taken");
        return 0;
    }
    at = is_interp ? -1
                   : sys(__NR_mmap, (PIE_BASE + align - 1) & ~(align - 1), size, PROT_NONE,
                         flags | MAP_FIXED_NOREPLACE, -1, 0);
    if (sys_failed(at)) {
        at = sys(__NR_mmap, 0, size + align, PROT_NONE, flags, -1, 0);
        if (sys_failed(at))
            bad(path, "no address space");
        uint64_t start = ((uint64_t)at + align - 1) & ~(align - 1);
        if (start > (uint64_t)at)
            sys(__NR_munmap, at, start - (uint64_t)at);
        if (start - (uint64_t)at < align)
            sys(__NR_munmap, start + size, align - (start - (uint64_t)at));
        at = (long)start;
    }
    return (uint64_t)at - low;
}

static void load(const char *path, struct image *image, bool is_interp)
{
    Elf64_Ehdr eh;
    Elf64_Phdr ph[MAX_PHDRS];
    uint64_t low, high, align;
    long fd = sys(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (sys_failed(fd))
        bad(path, "cannot open it");
    read_header(path, fd, &eh, ph);
    span(path, &eh, ph, &low, &high, &align);
    image->bias = reserve(path, &eh, low, high, align, is_interp);
    image->entry = image->bias + eh.e_entry;
    image->phnum = eh.e_phnum;
    image->interp[0] = '\0';
    for (unsigned i = 0; i < eh.e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD) {
            map_segment(path, fd, &ph[i], image->bias);
            if (eh.e_phoff >= ph[i].p_offset && eh.e_phoff - ph[i].p_offset < ph[i].p_filesz)
                image->phdr = image->bias + ph[i].p_vaddr + (eh.e_phoff - ph[i].p_offset);
        } else if (ph[i].p_type == PT_INTERP) {
            if (ph[i].p_filesz == 0 || ph[i].p_filesz >= sizeof(image->interp) ||
                sys(__NR_pread64, fd, image->interp, ph[i].p_filesz, ph[i].p_offset) !=
                    (long)ph[i].p_filesz)
                bad(path, "unreadable interpreter name");
            image->interp[ph[i].p_filesz] = '\0';
        }
    }
    sys(__NR_close, fd);
}

uint64_t process_load(const char *path, uint64_t *auxv)
{
    static struct image program, interp;
    load(path, &program, false);
    if (program.interp[0])
        load(program.interp, &interp, true);
    for (; auxv[0] != AT_NULL; auxv += 2) {
        switch (auxv[0]) {
        case AT_PHDR:
            auxv[1] = program.phdr;
            break;
        case AT_PHNUM:
            auxv[1] = program.phnum;
            break;
        case AT_ENTRY:
            auxv[1] = program.entry;
            break;
        case AT_BASE:
            auxv[1] = program.interp[0] ? interp.bias : 0;
            break;
        }
    }
    return program.interp[0] ? interp.entry : program.entry;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Loading of ELF programs (System V gABI, x86-64 psABI; Linux's binfmt_elf for the details). */
#pragma once
#include "libos/mm/mm.h"

struct file;

/* What a program header table asks for, decoded and checked; see elf_read. */
#define ELF_MAX_SEGMENTS 64
struct elf_segment {
    uintptr_t vaddr;
    size_t memsz, filesz;
    int64_t offset;
    int prot;
};
struct elf_image {
    bool fixed;           /* ET_EXEC: addresses are absolute */
    uintptr_t entry;      /* before the load bias is added */
    uintptr_t low, high;  /* page-aligned span of all segments */
    uintptr_t phdr_vaddr; /* where the program headers are seen in memory, or 0 */
    uint16_t phnum, phentsize;
    size_t align;
    uint32_t count;
    struct elf_segment segment[ELF_MAX_SEGMENTS];
    bool stack_exec;
    char interp[4096]; /* "" when there is none */
};

/*
 * Reads and checks the headers: 0, -ENOEXEC for what is no x86-64 ELF program or contradicts
 * itself, or the error of reading. `read` fills `n` bytes from `off`, returning how many there
 * were.
 */
int elf_read(struct elf_image *im, ssize (*read)(void *ctx, void *buf, size_t n, int64_t off),
             void *ctx);

struct elf_loaded {
    uintptr_t bias, entry, phdr, end;
    uint16_t phnum, phentsize;
};
/* Maps the segments of `f`. -ENOMEM, -ENOEXEC … */
int elf_map(struct mm *mm, const struct elf_image *im, struct file *f, struct elf_loaded *out);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* By what a program sees that it runs inside: a note in the vDSO. Used by our own programs only, to
 * say so instead of failing on the way. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#if __STDC_HOSTED__
#    include <elf.h>
#else
#    include <linux/elf.h>
#endif

#define VDSO_NOTE_NAME "Adyton" /* 7 bytes with its NUL */

static inline bool vdso_notes_name_us(const char *at, size_t size)
{
    while (size >= sizeof(Elf64_Nhdr)) {
        const Elf64_Nhdr *n = (const Elf64_Nhdr *)(const void *)at;
        size_t name = ((size_t)n->n_namesz + 3) & ~(size_t)3,
               desc = ((size_t)n->n_descsz + 3) & ~(size_t)3;
        size_t all = sizeof(*n) + name + desc;
        if (all > size)
            return false;
        if (n->n_namesz == sizeof(VDSO_NOTE_NAME) &&
            !__builtin_memcmp(at + sizeof(*n), VDSO_NOTE_NAME, sizeof(VDSO_NOTE_NAME)))
            return true;
        at += all;
        size -= all;
    }
    return false;
}

/* `vdso` is AT_SYSINFO_EHDR, or NULL. */
static inline bool vdso_is_ours(const Elf64_Ehdr *vdso)
{
    const char *base = (const char *)vdso;
    for (unsigned i = 0; vdso && i < vdso->e_phnum; i++) {
        const Elf64_Phdr *p =
            (const Elf64_Phdr *)(const void *)(base + vdso->e_phoff + i * sizeof(*p));
        if (p->p_type == PT_NOTE && vdso_notes_name_us(base + p->p_offset, p->p_filesz))
            return true;
    }
    return false;
}

#define INSIDE_ALREADY                                                                         \
    "already inside Adyton: a program that runs inside cannot start another run; start it on " \
    "the host, or put both programs into one manifest"

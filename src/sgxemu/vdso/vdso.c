/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Maps the device's vDSO and connects it with the kernel's. */
#include "sgxemu/emu.h"
#include <linux/mman.h>
#include <linux/elf.h>

extern const char vdso_image[], vdso_image_end[];

/* Address of a symbol in a mapped vDSO; 0 when it is not there. */
static uint64_t symbol(uint64_t base, const char *name)
{
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)base;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(base + eh->e_phoff);
    const Elf64_Dyn *dyn = NULL;
    uint64_t bias = base, strtab = 0, symtab = 0, hash = 0;
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type == PT_DYNAMIC)
            dyn = (const Elf64_Dyn *)(base + ph[i].p_offset);
        else if (ph[i].p_type == PT_LOAD)
            bias = base + ph[i].p_offset - ph[i].p_vaddr;
    }
    for (; dyn && dyn->d_tag != DT_NULL; dyn++) {
        if (dyn->d_tag == DT_STRTAB)
            strtab = bias + dyn->d_un.d_ptr;
        else if (dyn->d_tag == DT_SYMTAB)
            symtab = bias + dyn->d_un.d_ptr;
        else if (dyn->d_tag == DT_HASH)
            hash = bias + dyn->d_un.d_ptr;
    }
    if (!strtab || !symtab || !hash)
        return 0;
    const Elf64_Sym *sym = (const Elf64_Sym *)symtab;
    for (uint32_t i = 0; i < ((const uint32_t *)hash)[1]; i++) {
        if (strcmp((const char *)strtab + sym[i].st_name, name) == 0 && sym[i].st_value)
            return bias + sym[i].st_value;
    }
    return 0;
}

uint64_t vdso_map(uint64_t kernels)
{
    static const char *const forwarded[] = {"__vdso_clock_gettime", "__vdso_gettimeofday",
                                            "__vdso_time", "__vdso_getcpu", "__vdso_clock_getres"};
    const uint64_t size = (uint64_t)(vdso_image_end - vdso_image);
    long at = sys(__NR_mmap, 0, (size + 0xfff) & ~0xfffULL, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (sys_failed(at))
        die("out of memory", NULL);
    const uint64_t base = (uint64_t)at;
    memcpy((void *)base, vdso_image, size);
    uint64_t *table = (uint64_t *)symbol(base, "adyton_vdso_table");
    for (unsigned i = 0; table && kernels && i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
        table[i] = symbol(kernels, forwarded[i]);
    settings.vdso_enclu = symbol(base, "adyton_vdso_enclu");
    settings.vdso_handler = symbol(base, "adyton_vdso_fault");
    if (!table || !settings.vdso_enclu || !settings.vdso_handler)
        die("the vDSO image is damaged", NULL);
    sys(__NR_mprotect, base, (size + 0xfff) & ~0xfffULL, PROT_READ | PROT_EXEC);
    return base;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/proc/vdso.h"
#include "host/host.h"
#include "libos/process.h"
#include "libos/vdso/data.h"
#include <asm/unistd.h>
#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/mman.h>

extern const char vdso_image[], vdso_image_end[];

/* Changed by execve only, when one thread is left; `fast` also by vdso_is_slow (atomic). */
static uintptr_t base; /* of the text; the data page is before it */
static struct vdso_data data;

/* The host's vDSO, as far as it concerns finding its functions. */
struct host_vdso {
    uintptr_t start, end, bias;
    const Elf64_Sym *symbols;
    const char *strings;
    uint32_t count;
};
static struct host_vdso host;

/* Number of symbols by the GNU hash table: one more than the highest in any chain. */
static uint32_t count_by_gnu_hash(const uint32_t *h)
{
    uint32_t buckets = h[0], first = h[1], bloom = h[2], most = 0;
    const uint32_t *bucket = h + 4 + bloom * 2, *chain = bucket + buckets;
    for (uint32_t i = 0; i < buckets; i++)
        most = MAX(most, bucket[i]);
    if (most < first)
        return first;
    while (!(chain[most - first] & 1))
        most++;
    return most + 1;
}

static bool find_host(void)
{
    const uint64_t *a = run.host_auxv;
    while (a[0] != AT_NULL && a[0] != AT_SYSINFO_EHDR)
        a += 2;
    const Elf64_Ehdr *eh = a[0] == AT_NULL ? NULL : (const Elf64_Ehdr *)a[1];
    if (!eh)
        return false;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)((const char *)eh + eh->e_phoff);
    const Elf64_Dyn *dyn = NULL;
    for (int i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD) {
            host.start = (uintptr_t)eh;
            host.end = PAGE_UP(host.start + ph[i].p_memsz);
            host.bias = host.start - ph[i].p_vaddr + ph[i].p_offset;
        } else if (ph[i].p_type == PT_DYNAMIC) {
            dyn = (const Elf64_Dyn *)((const char *)eh + ph[i].p_offset);
        }
    }
    for (; dyn && dyn->d_tag != DT_NULL; dyn++) {
        uintptr_t at = host.bias + dyn->d_un.d_ptr;
        if (dyn->d_tag == DT_SYMTAB)
            host.symbols = (const Elf64_Sym *)at;
        else if (dyn->d_tag == DT_STRTAB)
            host.strings = (const char *)at;
        else if (dyn->d_tag == DT_HASH)
            host.count = ((const uint32_t *)at)[1];
        else if (dyn->d_tag == 0x6ffffef5 /* DT_GNU_HASH */ && !host.count)
            host.count = count_by_gnu_hash((const uint32_t *)at);
    }
    return host.symbols && host.strings && host.count;
}

static void *host_function(const char *name)
{
    for (uint32_t i = 0; i < host.count; i++) {
        const Elf64_Sym *s = &host.symbols[i];
        if (s->st_shndx && strcmp(host.strings + s->st_name, name) == 0)
            return (void *)(host.bias + s->st_value);
    }
    return NULL;
}

static void fill_data(void)
{
    if (!PLATFORM_HOST_TRUSTED || host.start || !find_host())
        return; /* its code is none of ours */
    data.clock_gettime = host_function("__vdso_clock_gettime");
    data.clock_getres = host_function("__vdso_clock_getres");
    data.gettimeofday = host_function("__vdso_gettimeofday");
    data.time = host_function("__vdso_time");
    data.getcpu = host_function("__vdso_getcpu");
    data.fast = (data.clock_gettime ? VDSO_FAST_CLOCKS : 0) |
                (data.gettimeofday ? VDSO_FAST_GETTIMEOFDAY : 0) |
                (data.time ? VDSO_FAST_TIME : 0) | (data.getcpu ? VDSO_FAST_GETCPU : 0);
}

int vdso_map(struct mm *mm)
{
    size_t size = (size_t)(vdso_image_end - vdso_image), text_size = PAGE_UP(size);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
    fill_data();
    base = 0;
    long at = mm_map(mm, 0, PAGE_SIZE + text_size, rw, flags, NULL, 0, "[vvar]");
    if (IS_ERR(at))
        return (int)at;
    uintptr_t text = (uintptr_t)at + PAGE_SIZE;
    long err = mm_map(mm, text, text_size, rw, flags | MAP_FIXED, NULL, 0, "[vdso]");
    if (IS_ERR(err))
        return (int)err;
    if (copy_to_user((void *)at, &data, sizeof(data)) ||
        copy_to_user((void *)text, vdso_image, size))
        return -EFAULT;
    int r = mm_protect(mm, (uintptr_t)at, PAGE_SIZE, PROT_READ);
    if (!r)
        r = mm_protect(mm, text, text_size, PROT_READ | PROT_EXEC);
    if (!r)
        base = text;
    return r;
}

uintptr_t vdso_base(void)
{
    return base;
}

bool vdso_is_host(uintptr_t ip)
{
    return ip >= host.start && ip < host.end;
}

uint64_t vdso_clock_ns(int clock)
{
    struct timespec_k now;
    if (!(__atomic_load_n(&data.fast, __ATOMIC_RELAXED) & 1u << clock) ||
        data.clock_gettime(clock, &now))
        return host_clock_ns(clock);
    return (uint64_t)now.sec * 1000000000 + (uint64_t)now.nsec;
}

void vdso_is_slow(uintptr_t ip, uint32_t bits)
{
    if (!vdso_is_host(ip) || !base)
        return;
    uint32_t fast = __atomic_and_fetch(&data.fast, ~bits, __ATOMIC_SEQ_CST);
    uint32_t *word = (uint32_t *)(base - PAGE_SIZE + offsetof(struct vdso_data, fast));
    if (host_mprotect(base - PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE))
        return;
    put_user(word, fast);
    host_mprotect(base - PAGE_SIZE, PAGE_SIZE, PROT_READ);
}

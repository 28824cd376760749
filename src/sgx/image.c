/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgx/image.h"
#include "sgx/enclave.h"
#include "sgx/sigstruct.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_FILE    (64u << 20)
#define MOST_SPAN    (256u << 20)
#define MOST_SIZE    (1ULL << 46)
#define DEFAULT_SIZE (256ULL << 20)
#define EDMM_SIZE    (1ULL << 40)
#define LEAST_MEMORY (8ULL << 20) /* below that the library OS cannot start a program */

#define DEFAULT_XFRM_MASK 0xfffffffffff9ff1bULL

/* The ELF file, and what is made of it. */
struct image {
    uint8_t *file;
    size_t file_size;
    uint8_t *flat; /* every segment at its address, zeros between */
    uint64_t span; /* pages of it, in bytes */
    uint64_t entry;
    uint64_t base; /* in the enclave */
};

struct maker {
    const char *path;
    const struct mf_image *manifest;
    struct image image;
    struct sgx_layout *layout;
    char *err;
    size_t err_len;
};

__attribute__((format(printf, 3, 4))) static int fail(struct maker *k, int error, const char *text,
                                                      ...)
{
    va_list ap;
    va_start(ap, text);
    vsnprintf(k->err, k->err_len, text, ap);
    va_end(ap);
    return error;
}

static int damaged(struct maker *k)
{
    return fail(k, -ENOEXEC,
                "'%s' is not the library OS for enclaves, or damaged; is the installation "
                "complete?",
                k->path);
}

static int read_file(struct maker *k)
{
    struct stat st;
    int fd = open(k->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st)) {
        int error = -errno;
        if (fd >= 0)
            close(fd);
        return fail(k, error, "cannot open the library OS '%s': %s; is the installation complete?",
                    k->path, strerror(-error));
    }
    bool ok = S_ISREG(st.st_mode) && st.st_size > 0 && st.st_size <= MOST_FILE;
    k->image.file_size = ok ? (size_t)st.st_size : 0;
    k->image.file = ok ? malloc(k->image.file_size) : NULL;
    for (size_t have = 0; ok && have < k->image.file_size;) {
        ssize_t n = k->image.file ? read(fd, k->image.file + have, k->image.file_size - have) : -1;
        ok = n > 0;
        have += ok ? (size_t)n : 0;
    }
    close(fd);
    return ok ? 0 : damaged(k);
}

static uint64_t page_up(uint64_t n)
{
    return (n + SGX_PAGE_SIZE - 1) & ~(SGX_PAGE_SIZE - 1);
}

static const Elf64_Ehdr *elf_header(const struct image *m)
{
    const Elf64_Ehdr *h = (const void *)m->file;
    bool ok = m->file_size >= sizeof(*h) && !memcmp(h->e_ident, ELFMAG, SELFMAG) &&
              h->e_ident[EI_CLASS] == ELFCLASS64 && h->e_machine == EM_X86_64 &&
              h->e_type == ET_DYN && h->e_phentsize == sizeof(Elf64_Phdr) && h->e_phnum <= 64 &&
              h->e_phoff % 8 == 0 && h->e_phoff <= m->file_size &&
              h->e_phnum * sizeof(Elf64_Phdr) <= m->file_size - h->e_phoff;
    return ok ? h : NULL;
}

static bool segment_ok(const struct image *m, const Elf64_Phdr *p)
{
    return p->p_offset <= m->file_size && p->p_filesz <= m->file_size - p->p_offset &&
           p->p_filesz <= p->p_memsz && p->p_memsz <= MOST_SPAN && p->p_vaddr <= MOST_SPAN;
}

/* Puts the segments at their places. */
static int flatten(struct maker *k)
{
    struct image *m = &k->image;
    const Elf64_Ehdr *h = elf_header(m);
    if (!h)
        return damaged(k);
    const Elf64_Phdr *p = (const void *)(m->file + h->e_phoff);
    for (unsigned i = 0; i < h->e_phnum; i++) {
        if (p[i].p_type != PT_LOAD)
            continue;
        if (!segment_ok(m, &p[i]))
            return damaged(k);
        uint64_t end = page_up(p[i].p_vaddr + p[i].p_memsz);
        m->span = end > m->span ? end : m->span;
    }
    m->entry = h->e_entry;
    m->flat = m->span ? calloc(1, m->span) : NULL;
    if (!m->flat || m->entry >= m->span)
        return damaged(k);
    for (unsigned i = 0; i < h->e_phnum; i++)
        if (p[i].p_type == PT_LOAD)
            memcpy(m->flat + p[i].p_vaddr, m->file + p[i].p_offset, p[i].p_filesz);
    return 0;
}

/* Applies the relocations for `base`: only relative ones, of words inside the image. */
static int relocate(struct maker *k, const Elf64_Phdr *dynamic)
{
    struct image *m = &k->image;
    uint64_t table = 0, size = 0;
    if (!segment_ok(m, dynamic))
        return damaged(k);
    const Elf64_Dyn *d = (const void *)(m->file + dynamic->p_offset);
    for (size_t i = 0; i < dynamic->p_filesz / sizeof(*d) && d[i].d_tag != DT_NULL; i++) {
        if (d[i].d_tag == DT_RELA)
            table = d[i].d_un.d_ptr;
        else if (d[i].d_tag == DT_RELASZ)
            size = d[i].d_un.d_val;
    }
    if (table > m->span || size > m->span - table || table % 8)
        return damaged(k);
    const Elf64_Rela *r = (const void *)(m->flat + table);
    for (size_t i = 0; i < size / sizeof(*r); i++) {
        if (ELF64_R_TYPE(r[i].r_info) != R_X86_64_RELATIVE || r[i].r_offset > m->span - 8)
            return damaged(k);
        uint64_t value = m->base + (uint64_t)r[i].r_addend;
        memcpy(m->flat + r[i].r_offset, &value, sizeof(value));
    }
    return 0;
}

/* Adds pages with `len` bytes of content from `data`, which is copied; the rest is zero. */
static int add(struct maker *k, uint64_t offset, uint64_t pages, uint64_t flags, bool measured,
               const void *data, size_t len)
{
    struct sgx_layout_area area = {
        .offset = offset, .pages = pages, .flags = flags, .measured = measured};
    if (len) {
        area.data = malloc(len);
        area.data_len = len;
        if (!area.data)
            return fail(k, -ENOMEM, "out of memory");
        memcpy(area.data, data, len);
    }
    if (!pages)
        return 0;
    return sgx_layout_add(k->layout, &area) ? fail(k, -ENOMEM, "out of memory") : 0;
}

#define REG(perm) (SGX_SECINFO_PT(SGX_PT_REG) | (perm))

/* The pages from `start` to `end` of the flat image. */
static int add_image_pages(struct maker *k, uint64_t start, uint64_t end, uint64_t perm)
{
    const struct image *m = &k->image;
    return add(k, m->base + start, (end - start) / SGX_PAGE_SIZE, REG(perm), true, m->flat + start,
               end - start);
}

static uint64_t permissions(uint32_t flags)
{
    return (flags & PF_R ? SGX_SECINFO_R : 0) | (flags & PF_W ? SGX_SECINFO_W : 0) |
           (flags & PF_X ? SGX_SECINFO_X : 0);
}

/* A segment's pages; what is only written by relocation is read-only here. */
static int add_segment(struct maker *k, const Elf64_Phdr *p, uint64_t done, const Elf64_Phdr *relro)
{
    uint64_t start = p->p_vaddr & ~(SGX_PAGE_SIZE - 1), end = page_up(p->p_vaddr + p->p_memsz);
    uint64_t split = start;
    if (start < done)
        return damaged(k);
    if (relro && relro->p_vaddr >= start && relro->p_vaddr + relro->p_memsz <= end)
        split = (relro->p_vaddr + relro->p_memsz) & ~(SGX_PAGE_SIZE - 1);
    int err = split > start ? add_image_pages(k, start, split, SGX_SECINFO_R) : 0;
    return err || split == end ? err : add_image_pages(k, split, end, permissions(p->p_flags));
}

static int add_image(struct maker *k)
{
    const Elf64_Ehdr *h = elf_header(&k->image);
    const Elf64_Phdr *p = (const void *)(k->image.file + h->e_phoff), *relro = NULL;
    uint64_t done = 0;
    int err = 0;
    for (unsigned i = 0; !err && i < h->e_phnum; i++) {
        if (p[i].p_type == PT_DYNAMIC)
            err = relocate(k, &p[i]);
        else if (p[i].p_type == PT_GNU_RELRO && p[i].p_vaddr <= MOST_SPAN)
            relro = &p[i];
    }
    for (unsigned i = 0; !err && i < h->e_phnum; i++) {
        if (p[i].p_type != PT_LOAD)
            continue;
        err = add_segment(k, &p[i], done, relro);
        done = page_up(p[i].p_vaddr + p[i].p_memsz);
    }
    return err;
}

static int add_info(struct maker *k, const struct mf *m, size_t manifest_size)
{
    struct sgx_layout *l = k->layout;
    struct enclave_info info = {.magic = ENCLAVE_MAGIC,
                                .flags = k->manifest->sgx_edmm ? ENCLAVE_EDMM : 0,
                                .size = l->size,
                                .image = k->image.base,
                                .image_end = k->image.base + k->image.span,
                                .threads = k->manifest->sgx_max_threads,
                                .memory = ENCLAVE_LOW,
                                .memory_end = k->image.base - SGX_PAGE_SIZE,
                                .manifest_size = manifest_size};
    struct sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, m->base, manifest_size);
    sha256_final(&hash, info.manifest_sha256);
    return add(k, info.memory_end, 1, REG(SGX_SECINFO_R), true, &info, sizeof(info));
}

static int add_thread(struct maker *k, uint64_t index)
{
    uint64_t block = enclave_thread_block(k->layout->size, index);
    struct sgx_tcs tcs = {.ossa = block + ENCLAVE_SSA_PAGE * SGX_PAGE_SIZE,
                          .nssa = ENCLAVE_NSSA,
                          .oentry = k->image.base + k->image.entry,
                          .ogsbase = block + ENCLAVE_BOX_PAGE * SGX_PAGE_SIZE,
                          .fslimit = 0xfff,
                          .gslimit = 0xfff};
    uint64_t rw = REG(SGX_SECINFO_R | SGX_SECINFO_W);
    int err = add(k, block, 1, SGX_SECINFO_PT(SGX_PT_TCS), true, &tcs, sizeof(tcs));
    if (!err)
        err = add(k, tcs.ossa, ENCLAVE_HOLE_PAGE - ENCLAVE_SSA_PAGE, rw, false, NULL, 0);
    if (!err)
        err = add(k, block + ENCLAVE_STACK_PAGE * SGX_PAGE_SIZE, ENCLAVE_STACK_PAGES, rw, false,
                  NULL, 0);
    return err ? err : add(k, tcs.ogsbase, ENCLAVE_BOX_PAGES, rw, true, NULL, 0);
}

static int decide_sizes(struct maker *k)
{
    const struct mf_image *i = k->manifest;
    uint64_t size = i->sgx_enclave_size;
    if (i->sgx_edmm)
        return fail(k, -ENOSYS,
                    "sgx.edmm_enable = true: enclaves cannot grow yet; leave it out, and give "
                    "sgx.enclave_size what the program needs");
    if (size == MF_UNSET)
        size = i->sgx_edmm ? EDMM_SIZE : DEFAULT_SIZE;
    if (!size || size & (size - 1))
        return fail(k, -EINVAL,
                    "sgx.enclave_size is 0x%llx, not a power of two (an SGX-imposed requirement): "
                    "write for example \"256M\" or \"4G\"",
                    (unsigned long long)size);
    uint64_t threads = i->sgx_max_threads * ENCLAVE_THREAD_SIZE;
    uint64_t fixed = threads + k->image.span + SGX_PAGE_SIZE + ENCLAVE_LOW;
    if (size < fixed + LEAST_MEMORY)
        return fail(k, -ENOSPC,
                    "sgx.enclave_size is %lluK: the library OS and %llu threads (sgx.max_threads) "
                    "need %lluK and a program %lluK more; raise the size, or lower the number of "
                    "threads",
                    (unsigned long long)size >> 10, (unsigned long long)i->sgx_max_threads,
                    (unsigned long long)fixed >> 10, (unsigned long long)LEAST_MEMORY >> 10);
    if (size > MOST_SIZE)
        return fail(k, -EINVAL, "sgx.enclave_size is larger than any processor allows (64 TiB)");
    k->layout->size = size;
    k->image.base = size - threads - k->image.span;
    return 0;
}

static int add_all(struct maker *k, const struct mf *m, size_t manifest_size)
{
    struct sgx_layout *l = k->layout;
    int err = add_info(k, m, manifest_size);
    if (!err)
        err = add_image(k);
    for (uint64_t i = 0; !err && i < k->manifest->sgx_max_threads; i++)
        err = add_thread(k, i);
    if (!err && !k->manifest->sgx_edmm)
        err = add(k, ENCLAVE_LOW, (k->image.base - SGX_PAGE_SIZE - ENCLAVE_LOW) / SGX_PAGE_SIZE,
                  REG(SGX_SECINFO_RWX), false, NULL, 0);
    l->ssa_frame_size = ENCLAVE_SSA_FRAME_PAGES;
    return err;
}

int enclave_image(const char *path, const struct mf *m, size_t size, struct sgx_layout *layout,
                  char *err, size_t err_len)
{
    struct maker k = {
        .path = path, .manifest = m->image, .layout = layout, .err = err, .err_len = err_len};
    *layout = (struct sgx_layout){0};
    crypto_init(0);
    int rc = read_file(&k);
    if (!rc)
        rc = flatten(&k);
    if (!rc)
        rc = decide_sizes(&k);
    if (!rc)
        rc = add_all(&k, m, size);
    free(k.image.file);
    free(k.image.flat);
    if (rc)
        sgx_layout_free(layout);
    return rc;
}

/* A feature's bits in value and mask of XFRM; what is unspecified the loader may enable. */
static void choose(struct sgx_sigstruct *sig, uint64_t feature, uint64_t bits)
{
    if (feature == MF_FEATURE_UNSPECIFIED)
        return;
    sig->attribute_mask.xfrm |= bits;
    if (feature == MF_FEATURE_REQUIRED)
        sig->attributes.xfrm |= bits;
    else
        sig->attributes.xfrm &= ~bits;
}

void enclave_sigstruct(const struct mf *m, const struct sgx_layout *layout,
                       struct sgx_sigstruct *sig)
{
    const struct mf_image *i = m->image;
    sgx_sigstruct_init(sig);
    sig->miscselect = i->sgx_use_exinfo ? SGX_MISC_EXINFO : 0;
    sig->miscmask = UINT32_MAX;
    sig->attributes.flags = SGX_FLAG_MODE64BIT | (i->sgx_debug ? SGX_FLAG_DEBUG : 0);
    sig->attributes.xfrm = SGX_XFRM_LEGACY;
    sig->attribute_mask = (struct sgx_attributes){UINT64_MAX, DEFAULT_XFRM_MASK};
    choose(sig, i->sgx_pkru, SGX_XFRM_PKRU);
    choose(sig, i->sgx_mpx, SGX_XFRM_MPX);
    choose(sig, i->sgx_amx, SGX_XFRM_AMX);
    choose(sig, i->sgx_avx512, SGX_XFRM_AVX512 | SGX_XFRM_AVX);
    choose(sig, i->sgx_avx, SGX_XFRM_AVX);
    sig->isv_prod_id = (uint16_t)i->sgx_isv_prod_id;
    sig->isv_svn = (uint16_t)i->sgx_isv_svn;
    sgx_layout_measure(layout, sig->enclave_hash);
}

const char *enclave_area_name(const struct sgx_layout *layout, size_t index)
{
    const struct sgx_layout_area *a = &layout->areas[index];
    if (index == 0)
        return "info";
    if (SGX_SECINFO_TYPE(a->flags) == SGX_PT_TCS)
        return "tcs";
    if (a->offset == ENCLAVE_LOW)
        return "free";
    uint64_t up = layout->size - a->offset;
    uint64_t page = ENCLAVE_THREAD_PAGES - up / SGX_PAGE_SIZE % ENCLAVE_THREAD_PAGES;
    if (a->data_len)
        return "image";
    return page == ENCLAVE_SSA_PAGE ? "ssa" : page == ENCLAVE_STACK_PAGE ? "stack" : "thread";
}

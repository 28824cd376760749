/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "host.h"
#include <asm/sgx.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "sgx/layout.h"

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

/* Enclaves are aligned to their size. */
static uint64_t reserve(uint64_t size)
{
    void *p = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        fail("reserving address space");
    return ((uint64_t)p + size - 1) & ~(size - 1);
}

static void create(struct loaded *e, const struct sgx_layout *l)
{
    static struct sgx_secs secs __attribute__((aligned(4096)));
    secs = (struct sgx_secs){.size = e->size,
                             .base = e->base,
                             .ssa_frame_size = l->ssa_frame_size,
                             .miscselect = l->miscselect,
                             .attributes = l->attributes};
    struct sgx_enclave_create q = {.src = (uint64_t)&secs};
    if (ioctl(e->fd, SGX_IOC_ENCLAVE_CREATE, &q))
        fail("SGX_IOC_ENCLAVE_CREATE");
}

/* The source of an area's pages; what is beyond its data stays untouched, and so zero. */
static uint8_t *content(const struct sgx_layout_area *area)
{
    uint8_t *pages = mmap(NULL, area->pages * 4096, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED)
        fail("memory for the enclave's pages");
    for (uint64_t i = 0; i < area->pages && 4096 * i < area->data_len; i++)
        sgx_layout_page(area, i, pages + 4096 * i);
    return pages;
}

static void add(struct loaded *e, const struct sgx_layout_area *area, const uint8_t *pages)
{
    struct sgx_secinfo secinfo = {.flags = area->flags};
    struct sgx_enclave_add_pages q = {.src = (uint64_t)pages,
                                      .offset = area->offset,
                                      .length = area->pages * 4096,
                                      .secinfo = (uint64_t)&secinfo,
                                      .flags = area->measured ? SGX_PAGE_MEASURE : 0};
    while (q.length) { /* a signal may end it early */
        if (ioctl(e->fd, SGX_IOC_ENCLAVE_ADD_PAGES, &q) && errno != EINTR)
            fail("SGX_IOC_ENCLAVE_ADD_PAGES");
        q.src += q.count, q.offset += q.count, q.length -= q.count;
        q.count = 0;
    }
}

static double milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void initialize(struct loaded *e, const struct sgx_sigstruct *sig)
{
    struct sgx_enclave_init q = {.sigstruct = (uint64_t)sig};
    if (ioctl(e->fd, SGX_IOC_ENCLAVE_INIT, &q))
        fail("SGX_IOC_ENCLAVE_INIT");
}

static void map(struct loaded *e, uint64_t offset, uint64_t length, int prot)
{
    if (mmap((void *)(e->base + offset), length, prot, MAP_SHARED | MAP_FIXED, e->fd, 0) ==
        MAP_FAILED)
        fail("mapping the enclave");
}

static int to_prot(uint64_t flags)
{
    if (SGX_SECINFO_TYPE(flags) == SGX_PT_TCS)
        return PROT_READ | PROT_WRITE;
    return (flags & SGX_SECINFO_R ? PROT_READ : 0) | (flags & SGX_SECINFO_W ? PROT_WRITE : 0) |
           (flags & SGX_SECINFO_X ? PROT_EXEC : 0);
}

void build_enclave(struct loaded *e, const struct sgx_layout *l, const struct sgx_sigstruct *sig)
{
    e->fd = open("/dev/sgx_enclave", O_RDWR | O_CLOEXEC);
    if (e->fd < 0)
        fail("/dev/sgx_enclave");
    e->size = l->size;
    if (!e->base)
        e->base = reserve(l->size);
    uint8_t **pages = calloc(l->count, sizeof(*pages));
    if (!pages)
        fail("memory");
    for (size_t i = 0; i < l->count; i++)
        pages[i] = content(&l->areas[i]);
    const double start = milliseconds();
    create(e, l);
    for (size_t i = 0; i < l->count; i++)
        add(e, &l->areas[i], pages[i]);
    initialize(e, sig);
    e->build_ms = milliseconds() - start;
    for (size_t i = 0; i < l->count; i++)
        munmap(pages[i], l->areas[i].pages * 4096);
    free(pages);
    for (size_t i = 0; i < l->count; i++)
        map(e, l->areas[i].offset, l->areas[i].pages * 4096, to_prot(l->areas[i].flags));
}

void load_enclave(struct loaded *e, const char *layout, const char *sigfile)
{
    static struct sgx_sigstruct sig __attribute__((aligned(4096)));
    static struct sgx_layout l;
    char err[512];
    if (sgx_layout_read(layout, &l, err, sizeof(err))) {
        fprintf(stderr, "%s\n", err);
        exit(1);
    }
    int fd = open(sigfile, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, &sig, sizeof(sig)) != sizeof(sig))
        fail(sigfile);
    close(fd);
    build_enclave(e, &l, &sig);
    map(e, HEAP, HEAP_END - HEAP, PROT_READ | PROT_WRITE);
    sgx_layout_free(&l);
}

void unload_enclave(struct loaded *e)
{
    munmap((void *)e->base, e->size);
    close(e->fd);
}

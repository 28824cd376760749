/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Building the enclave by Linux's driver (arch/x86/include/uapi/asm/sgx.h of the kernel). */
#include "sgx/image.h"
#include "sgx/runtime/runtime.h"
#include "sgx/sigstruct.h"

#include <asm/sgx.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVICE "/dev/sgx_enclave"
#define BATCH  (16u << 20) /* bytes of pages in one call */

struct loader {
    const struct sgx_layout *layout;
    const struct sgx_sigstruct *sig;
    const char *sig_path;
    uint64_t xfrm;
    int fd;
    uint8_t *buffer; /* BATCH bytes that may be source of pages */
};

__attribute__((format(printf, 2, 3))) static int fail(int error, const char *text, ...)
{
    va_list ap;
    fputs("error: ", stderr);
    va_start(ap, text);
    vfprintf(stderr, text, ap);
    va_end(ap);
    fputc('\n', stderr);
    return error;
}

static uint64_t host_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static int open_device(struct loader *l)
{
    l->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
    if (l->fd >= 0)
        return 0;
    int error = -errno;
    if (error == -ENOENT || error == -ENODEV || error == -ENXIO)
        return fail(error,
                    "this machine has no SGX that may be used (" DEVICE ": %s): run with "
                    "ADYTON_SGX=emulate, on the software device, which protects nothing; `adyton "
                    "doctor` tells what is missing",
                    strerror(-error));
    if (error == -EACCES || error == -EPERM)
        return fail(error,
                    "no permission to use " DEVICE ": add the user to the group that owns it "
                    "(usermod -aG sgx USER) and log in again");
    return fail(error, "cannot open " DEVICE ": %s", strerror(-error));
}

/* The whole range must be ours, from 64 KiB up to the size: the enclave's base is 0. */
static int reserve(const struct loader *l)
{
    uint64_t low = 0x10000, size = l->layout->size - low;
    void *p = mmap((void *)low, size, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == (void *)low)
        return 0;
    int error = p == MAP_FAILED ? -errno : -EEXIST;
    return fail(error,
                "the addresses from 64 KiB to 0x%llx are not free (%s): is vm.mmap_min_addr above "
                "65536, or the limit of the address space (ulimit -v) too low?",
                (unsigned long long)l->layout->size, strerror(-error));
}

static int create(const struct loader *l)
{
    static struct sgx_secs secs __attribute__((aligned(4096)));
    secs = (struct sgx_secs){.size = l->layout->size,
                             .ssa_frame_size = l->layout->ssa_frame_size,
                             .miscselect = l->sig->miscselect,
                             .attributes = {l->sig->attributes.flags, l->xfrm}};
    struct sgx_enclave_create q = {.src = (uint64_t)&secs};
    if (!ioctl(l->fd, SGX_IOC_ENCLAVE_CREATE, &q))
        return 0;
    int error = -errno;
    if (error == -EIO)
        return fail(error,
                    "the processor refuses an enclave of %lluM with these attributes: lower "
                    "sgx.enclave_size, and see whether sgx.cpu_features requires what it does not "
                    "have",
                    (unsigned long long)l->layout->size >> 20);
    return fail(error, "cannot create the enclave: %s%s", strerror(-error),
                error == -ENOMEM ? "; the enclave page cache is full" : "");
}

static int add_pages(const struct loader *l, const void *from, uint64_t offset, uint64_t length,
                     uint64_t flags, bool measured)
{
    struct sgx_secinfo secinfo = {.flags = flags};
    for (uint64_t done = 0; done < length;) {
        struct sgx_enclave_add_pages q = {.src = (uint64_t)from + done,
                                          .offset = offset + done,
                                          .length = length - done,
                                          .secinfo = (uint64_t)&secinfo,
                                          .flags = measured ? SGX_PAGE_MEASURE : 0};
        int error = ioctl(l->fd, SGX_IOC_ENCLAVE_ADD_PAGES, &q) ? -errno : 0;
        done += q.count;
        if (error == -EINTR || error == -EAGAIN || (!error && q.count))
            continue;
        if (error == -ENOMEM)
            return fail(
                error, "the enclave page cache is full: lower sgx.enclave_size or sgx.max_threads, "
                       "or set sgx.edmm_enable = true where the machine has SGX2");
        return fail(error ? error : -EIO, "cannot add pages at 0x%llx to the enclave: %s",
                    (unsigned long long)offset + done, strerror(error ? -error : EIO));
    }
    return 0;
}

/* One area, through a buffer: the driver reads its pages from ordinary memory. */
static int add_area(const struct loader *l, const struct sgx_layout_area *a)
{
    uint64_t length = a->pages * SGX_PAGE_SIZE, part;
    int err = 0;
    for (uint64_t done = 0; !err && done < length; done += part) {
        part = length - done < BATCH ? length - done : BATCH;
        uint64_t have = done < a->data_len ? a->data_len - done : 0;
        have = have < part ? have : part;
        if (have)
            memcpy(l->buffer, a->data + done, have);
        err = add_pages(l, l->buffer, a->offset + done, part, a->flags, a->measured);
        memset(l->buffer, 0, have);
    }
    return err;
}

/* Which of EINIT's checks it was: the driver tells only that one failed. */
static int refused(const struct loader *l, int error)
{
    uint8_t mrenclave[32];
    enum sgx_error check = sgx_sigstruct_check(l->sig);
    if (error == -EACCES)
        return fail(error, "the signature '%s' asks for attributes that need /dev/sgx_provision",
                    l->sig_path);
    if (check == SGX_INVALID_SIG_STRUCT)
        return fail(error,
                    "'%s' is not a signature of an enclave (SGX_INVALID_SIG_STRUCT); sign "
                    "again with gramine-sgx-sign",
                    l->sig_path);
    if (check == SGX_INVALID_SIGNATURE)
        return fail(error,
                    "the signature in '%s' is wrong (SGX_INVALID_SIGNATURE): the file was "
                    "changed; sign again with gramine-sgx-sign",
                    l->sig_path);
    sgx_layout_measure(l->layout, mrenclave);
    if (memcmp(mrenclave, l->sig->enclave_hash, 32))
        return fail(error,
                    "the enclave is not the one that '%s' signs (SGX_INVALID_MEASUREMENT): the "
                    "manifest, its compiled form in ~/.cache/adyton, or the library OS was changed "
                    "since; sign again with gramine-sgx-sign, or remove the cache",
                    l->sig_path);
    return fail(error,
                "the processor refuses the enclave (%s): its attributes are not those that "
                "'%s' signs, or this machine launches no enclaves of this signer",
                strerror(-error), l->sig_path);
}

static int initialise(const struct loader *l)
{
    static struct sgx_sigstruct sig __attribute__((aligned(4096)));
    sig = *l->sig;
    struct sgx_enclave_init q = {.sigstruct = (uint64_t)&sig};
    int error;
    do
        error = ioctl(l->fd, SGX_IOC_ENCLAVE_INIT, &q) ? -errno : 0;
    while (error == -EINTR || error == -EAGAIN);
    return error ? refused(l, error) : 0;
}

static int map(const struct loader *l, uint64_t offset, uint64_t length, int prot)
{
    void *p = mmap((void *)offset, length, prot, MAP_SHARED | MAP_FIXED, l->fd, 0);
    return p == MAP_FAILED ? fail(-errno, "cannot map the enclave at 0x%llx: %s",
                                  (unsigned long long)offset, strerror(errno))
                           : 0;
}

static int map_area(const struct loader *l, const struct sgx_layout_area *a)
{
    bool tcs = SGX_SECINFO_TYPE(a->flags) == SGX_PT_TCS;
    int prot = tcs ? PROT_READ | PROT_WRITE
                   : (a->flags & SGX_SECINFO_R ? PROT_READ : 0) |
                         (a->flags & SGX_SECINFO_W ? PROT_WRITE : 0) |
                         (a->flags & SGX_SECINFO_X ? PROT_EXEC : 0);
    return map(l, a->offset, a->pages * SGX_PAGE_SIZE, prot);
}

static int build(struct loader *l)
{
    const struct sgx_layout *y = l->layout;
    int err = reserve(l);
    if (!err)
        err = create(l);
    for (size_t i = 0; !err && i < y->count; i++)
        err = add_area(l, &y->areas[i]);
    if (!err)
        err = initialise(l);
    for (size_t i = 0; !err && i < y->count; i++)
        err = map_area(l, &y->areas[i]);
    return err;
}

long runtime_protect(const int64_t arg[6])
{
    return mprotect((void *)arg[0], (size_t)arg[1], (int)arg[2]) ? -errno : 0;
}

int enclave_load(const struct sgx_layout *layout, const struct sgx_sigstruct *sig,
                 const char *sig_path)
{
    struct loader l = {.layout = layout, .sig = sig, .sig_path = sig_path};
    const uint64_t usable = SGX_XFRM_LEGACY | SGX_XFRM_AVX | SGX_XFRM_AVX512;
    l.xfrm = sig->attributes.xfrm | (host_xcr0() & usable & ~sig->attribute_mask.xfrm);
    l.buffer = mmap(NULL, BATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (l.buffer == MAP_FAILED)
        return fail(-errno, "out of memory");
    int err = open_device(&l);
    if (!err) {
        err = build(&l);
        close(l.fd); /* the mappings hold the enclave */
    }
    munmap(l.buffer, BATCH);
    return err;
}

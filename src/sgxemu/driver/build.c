/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The ioctls that build an enclave: CREATE, ADD_PAGES, INIT. */
#include "sgxemu/driver/driver.h"
#include "sgx/sigstruct.h"
#include "crypto/crypto.h"
#include <asm/sgx.h>
#include <linux/mman.h>

#define PAGE 4096ULL

#define STAGE_PAGES 8ULL
#define POPULATE    (2ULL << 20)

/* Linux's error for a leaf that faulted or returned an error code. */
static long to_errno(struct sgx_fault fault, const struct sgx_regs *regs)
{
    if (fault.vector)
        return -EIO;
    return regs->rax ? -EPERM : 0;
}

static long create(struct enclave *e, uint64_t arg)
{
    struct sgx_enclave_create q;
    static const struct sgx_secinfo secinfo; /* type SECS is 0 */
    struct sgx_secs secs __attribute__((aligned(4096)));
    if (e->header->created)
        return -EINVAL;
    if (!user_read(&q, arg, sizeof(q)) || !user_read(&secs, q.src, sizeof(secs)))
        return -EFAULT;
    if (secs.size == 0 || secs.size & (secs.size - 1))
        return -EINVAL;
    struct sgx_pageinfo info = {.srcpge = (uint64_t)&secs, .secinfo = (uint64_t)&secinfo};
    struct sgx_regs regs = {.rax = SGX_ECREATE, .rbx = (uint64_t)&info, .rcx = KERNEL_SECS};
    if (driver_encls(e, &regs).vector)
        return -EIO;
    e->header->base = secs.base;
    e->header->size = secs.size;
    e->header->created = 1;
    if (!enclave_alias(e)) {
        e->header->created = 0;
        e->header->secs_epcm.valid = 0;
        return -ENOMEM;
    }
    return 0;
}

static bool secinfo_valid(const struct sgx_secinfo *s)
{
    const uint64_t perm = s->flags & SGX_SECINFO_RWX, type = SGX_SECINFO_TYPE(s->flags);
    if (type != SGX_PT_REG && type != SGX_PT_TCS)
        return false;
    if ((perm & SGX_SECINFO_W && !(perm & SGX_SECINFO_R)) || (type == SGX_PT_TCS && perm))
        return false;
    if (s->flags & ~(SGX_SECINFO_RWX | SGX_SECINFO_PT_MASK))
        return false;
    for (size_t i = 0; i < sizeof(s->reserved); i++) {
        if (s->reserved[i])
            return false;
    }
    return true;
}

/* EADD, and EEXTEND of the whole page. */
static long add_page(struct enclave *e, uint64_t src, uint64_t la,
                     const struct sgx_secinfo *secinfo, bool measure)
{
    struct epcm *entry = epcm_of(e, la);
    if (entry->valid)
        return -EBUSY;
    struct sgx_pageinfo info = {
        .linaddr = la, .srcpge = src, .secinfo = (uint64_t)secinfo, .secs = KERNEL_SECS};
    struct sgx_regs regs = {.rax = SGX_EADD, .rbx = (uint64_t)&info, .rcx = KERNEL_ALIAS + la};
    struct sgx_fault fault = driver_encls(e, &regs);
    if (fault.vector == SGX_PF && fault.address - src < PAGE)
        return -EFAULT; /* the kernel would not have found the source page */
    if (fault.vector)
        return -EIO;
    MAX_PROT(entry) = SGX_SECINFO_TYPE(secinfo->flags) == SGX_PT_TCS
                          ? ACCESS_R | ACCESS_W
                          : (uint32_t)(secinfo->flags & SGX_SECINFO_RWX);
    ++*chunk_of(e, la);
    if (measure) {
        struct sgx_cpu cpu = {.mem = &e->mem, .platform = platform(), .xcr0 = settings.xcr0};
        regs = (struct sgx_regs){.rbx = KERNEL_SECS, .rcx = KERNEL_ALIAS + la};
        if (sgx_eextend_page(&cpu, &regs).vector)
            return -EIO;
    }
    return 0;
}

static bool is_zero(const uint8_t *page)
{
    const uint64_t *p = (const uint64_t *)page;
    uint64_t any = 0;
    for (unsigned i = 0; i < PAGE / 8 && !any; i += 8)
        any = p[i] | p[i + 1] | p[i + 2] | p[i + 3] | p[i + 4] | p[i + 5] | p[i + 6] | p[i + 7];
    return !any;
}

/* Writes staged pages to the file, where zero pages are holes. */
static bool flush(struct enclave *e, uint64_t pages)
{
    for (uint64_t i = 0; i < pages;) {
        uint64_t end = i;
        while (end < pages && !is_zero(e->stage + end * PAGE))
            end++;
        const uint64_t length = (end - i) * PAGE;
        if (length && sys(__NR_pwrite64, e->fd_dup, e->stage + i * PAGE, length,
                          FILE_PAGES + e->stage_start + i * PAGE) != (long)length)
            return false;
        i = end + 1;
    }
    return true;
}

/* Up to STAGE_PAGES pages. They are put together in memory of the device's own, which the core
 * takes for the EPC meanwhile, and written at once: a page fault for each would cost more than its
 * hash. */
static long add_batch(struct enclave *e, const struct sgx_enclave_add_pages *q, uint64_t *done,
                      const struct sgx_secinfo *secinfo)
{
    uint8_t stage[STAGE_PAGES * PAGE] __attribute__((aligned(4096)));
    uint64_t pages = (q->length - *done) / PAGE, n = 0;
    long r = 0;
    if (pages > STAGE_PAGES)
        pages = STAGE_PAGES;
    e->stage_start = e->header->base + q->offset + *done;
    e->stage_end = e->stage_start + pages * PAGE;
    e->stage = stage;
    for (; n < pages && r == 0; n += r == 0)
        r = add_page(e, q->src + *done + n * PAGE, e->stage_start + n * PAGE, secinfo,
                     q->flags & SGX_PAGE_MEASURE);
    if (!flush(e, n))
        r = -ENOMEM;
    e->stage_start = e->stage_end = 0;
    *done += n * PAGE;
    return r;
}

static long add_pages(struct thread *t, struct enclave *e, uint64_t arg)
{
    struct sgx_enclave_add_pages q;
    struct sgx_secinfo secinfo __attribute__((aligned(64)));
    if (!e->header->created || e->header->initialized)
        return -EINVAL;
    if (!user_read(&q, arg, sizeof(q)))
        return -EFAULT;
    if (!driver_in_range(e, q.offset, q.length) || q.src & (PAGE - 1))
        return -EINVAL;
    if (!user_read(&secinfo, q.secinfo, sizeof(secinfo)))
        return -EFAULT;
    if (!secinfo_valid(&secinfo))
        return -EINVAL;
    long r = 0;
    uint64_t done = 0;
    while (done < q.length && r == 0) {
        if (done % POPULATE ==
            0) { /* the kernel pins the source; many faults at once are cheaper */
            uint64_t length = q.length - done < POPULATE ? q.length - done : POPULATE;
            sys(__NR_madvise, q.src + done, length, MADV_POPULATE_READ);
            if (done && signal_waiting(t))
                break;
        }
        r = add_batch(e, &q, &done, &secinfo);
    }
    sync_range(e, e->header->base + q.offset, e->header->base + q.offset + done);
    q.count = done;
    if (!user_write(arg, &q, sizeof(q)))
        return -EFAULT;
    return r;
}

static long init(struct enclave *e, uint64_t arg)
{
    struct sgx_enclave_init q;
    struct sgx_sigstruct sig __attribute__((aligned(4096)));
    static const struct sgx_einittoken token __attribute__((aligned(512)));
    if (!e->header->created || e->header->initialized)
        return -EINVAL;
    if (!user_read(&q, arg, sizeof(q)) || !user_read(&sig, q.sigstruct, sizeof(sig)))
        return -EFAULT;
    if (sig.vendor != 0 && sig.vendor != 0x8086)
        return -EINVAL;
    const struct sgx_secs *secs = (const struct sgx_secs *)(e->meta + FILE_SECS);
    uint64_t allowed = SGX_FLAG_DEBUG | SGX_FLAG_MODE64BIT | SGX_FLAG_KSS | SGX_FLAG_AEXNOTIFY |
                       e->header->provision_allowed;
    if (secs->attributes.flags & ~allowed)
        return -EACCES;
    if (sig.attributes.flags & sig.attribute_mask.flags & ~platform()->flags ||
        sig.attributes.xfrm & sig.attribute_mask.xfrm & ~platform()->xfrm ||
        sig.miscselect & sig.miscmask & ~platform()->miscselect)
        return -EINVAL;
    /* The driver sets the launch-key MSRs to the signer's hash: everybody may sign. */
    struct sgx_platform launch = *platform();
    sgx_sigstruct_mrsigner(&sig, launch.launch_key_hash);
    struct sgx_cpu cpu = {.mem = &e->mem, .platform = &launch, .xcr0 = settings.xcr0};
    struct sgx_regs regs = {
        .rax = SGX_EINIT, .rbx = (uint64_t)&sig, .rcx = KERNEL_SECS, .rdx = (uint64_t)&token};
    struct sgx_fault fault = sgx_encls(&cpu, &regs);
    crypto_wipe(&launch, sizeof(launch));
    long r = to_errno(fault, &regs);
    if (r == 0)
        e->header->initialized = 1;
    return r;
}

long driver_build(struct thread *t, struct enclave *e, unsigned cmd, uint64_t arg)
{
    switch (cmd) {
    case SGX_IOC_ENCLAVE_CREATE:
        return create(e, arg);
    case SGX_IOC_ENCLAVE_ADD_PAGES:
        return add_pages(t, e, arg);
    default:
        return init(e, arg);
    }
}

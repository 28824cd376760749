/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* open and the ioctls of /dev/sgx_enclave and /dev/sgx_provision (Linux's uapi, asm/sgx.h). */
#include "sgxemu/driver/driver.h"
#include "sgx/sigstruct.h"
#include "crypto/crypto.h"
#include <asm/sgx.h>
#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/stat.h>

#define ENCLAVE_PATH   "/dev/sgx_enclave"
#define PROVISION_PATH "/dev/sgx_provision"
#define PAGE           4096ULL

struct sgx_ioctl_request {
    struct enclave *e;
    uint64_t arg;
};

bool driver_is_path(const char *path)
{
    return strcmp(path, ENCLAVE_PATH) == 0 || strcmp(path, PROVISION_PATH) == 0;
}

/* The answers of stat: a character device, world read-write. */
long driver_stat(const char *path, uint64_t buf, bool extended)
{
    const uint32_t minor = strcmp(path, PROVISION_PATH) == 0 ? 124 : 125, major = 10;
    if (extended) {
        struct statx sx = {.stx_mask = STATX_BASIC_STATS,
                           .stx_blksize = 4096,
                           .stx_nlink = 1,
                           .stx_mode = S_IFCHR | 0666,
                           .stx_rdev_major = major,
                           .stx_rdev_minor = minor};
        return user_write(buf, &sx, sizeof(sx)) ? 0 : -EFAULT;
    }
    struct {
        uint64_t dev, ino, nlink;
        uint32_t mode, uid, gid, pad;
        uint64_t rdev, size, blksize, rest[10];
    } st = {.nlink = 1, .mode = S_IFCHR | 0666, .rdev = major << 8 | minor, .blksize = 4096};
    _Static_assert(sizeof(st) == 144, "struct stat");
    return user_write(buf, &st, sizeof(st)) ? 0 : -EFAULT;
}

long driver_open(const char *path, int flags, bool *ours)
{
    *ours = driver_is_path(path);
    if (!*ours)
        return 0;
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    bool provision = strcmp(path, PROVISION_PATH) == 0;
    platform();
    long fd = sys(__NR_memfd_create, provision ? "sgx_provision" : "sgx_enclave",
                  flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
    if (sys_failed(fd))
        return fd;
    uint64_t magic = provision ? PROVISION_MAGIC : ENCLAVE_MAGIC;
    if ((!provision && sys(__NR_ftruncate, fd, FILE_SIZE)) ||
        sys(__NR_pwrite64, fd, &magic, 8, 0) != 8) {
        sys(__NR_close, fd);
        return -ENOMEM;
    }
    return fd;
}

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

static bool in_range(const struct enclave *e, uint64_t offset, uint64_t length)
{
    return length && !(offset & (PAGE - 1)) && !(length & (PAGE - 1)) &&
           offset + length - 1 >= offset && offset + length <= e->header->size;
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
    for (uint64_t at = 0; measure && at < PAGE; at += 256) {
        regs = (struct sgx_regs){
            .rax = SGX_EEXTEND, .rbx = KERNEL_SECS, .rcx = KERNEL_ALIAS + la + at};
        if (driver_encls(e, &regs).vector)
            return -EIO;
    }
    return 0;
}

static long add_pages(struct enclave *e, uint64_t arg)
{
    struct sgx_enclave_add_pages q;
    struct sgx_secinfo secinfo __attribute__((aligned(64)));
    if (!e->header->created || e->header->initialized)
        return -EINVAL;
    if (!user_read(&q, arg, sizeof(q)))
        return -EFAULT;
    if (!in_range(e, q.offset, q.length) || q.src & (PAGE - 1))
        return -EINVAL;
    if (!user_read(&secinfo, q.secinfo, sizeof(secinfo)))
        return -EFAULT;
    if (!secinfo_valid(&secinfo))
        return -EINVAL;
    long r = 0;
    uint64_t done = 0;
    for (; done < q.length && r == 0; done += r == 0 ? PAGE : 0)
        r = add_page(e, q.src + done, e->header->base + q.offset + done, &secinfo,
                     q.flags & SGX_PAGE_MEASURE);
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

static long provision(struct enclave *e, uint64_t arg)
{
    struct sgx_enclave_provision q;
    if (!user_read(&q, arg, sizeof(q)))
        return -EFAULT;
    if (!is_provision((int)q.fd))
        return -EINVAL;
    e->header->provision_allowed = SGX_FLAG_PROVISIONKEY;
    return 0;
}

static long modify_leaf(struct enclave *e, uint32_t leaf, uint64_t la, uint64_t flags,
                        uint64_t *result)
{
    struct sgx_secinfo secinfo __attribute__((aligned(64))) = {.flags = flags};
    struct sgx_regs regs = {.rax = leaf, .rbx = (uint64_t)&secinfo, .rcx = KERNEL_ALIAS + la};
    struct sgx_fault fault = driver_encls(e, &regs);
    e->header->generation++;
    if (fault.vector || regs.rax) {
        *result = fault.vector ? 0x40000000 | fault.vector : regs.rax;
        return -EFAULT;
    }
    return 0;
}

static long restrict_page(struct enclave *e, uint64_t la, uint64_t permissions, uint64_t *result)
{
    struct epcm *entry = epcm_of(e, la);
    if (!entry->valid)
        return -EFAULT;
    if (entry->type != SGX_PT_REG)
        return -EINVAL;
    long r = modify_leaf(e, SGX_EMODPR, la, SGX_SECINFO_PT(SGX_PT_REG) | permissions, result);
    driver_sync_page(e, la);
    if (r == 0)
        track(e);
    return r;
}

static long restrict_permissions(struct enclave *e, uint64_t arg)
{
    struct sgx_enclave_restrict_permissions q;
    if (!e->header->initialized)
        return -EINVAL;
    if (!user_read(&q, arg, sizeof(q)))
        return -EFAULT;
    if (!in_range(e, q.offset, q.length) || q.permissions & ~SGX_SECINFO_RWX ||
        (q.permissions & SGX_SECINFO_W && !(q.permissions & SGX_SECINFO_R)) || q.result || q.count)
        return -EINVAL;
    long r = 0;
    for (; q.count < q.length && r == 0; q.count += r == 0 ? PAGE : 0)
        r = restrict_page(e, e->header->base + q.offset + q.count, q.permissions,
                          (uint64_t *)&q.result);
    return user_write(arg, &q, sizeof(q)) ? r : -EFAULT;
}

static long retype_page(struct enclave *e, uint64_t la, uint64_t type, uint64_t *result)
{
    struct epcm *entry = epcm_of(e, la);
    if (!entry->valid)
        return -EFAULT;
    if (entry->type != SGX_PT_REG && !(entry->type == SGX_PT_TCS && type == SGX_PT_TRIM))
        return -EINVAL;
    const uint32_t rw = ACCESS_R | ACCESS_W;
    if (type == SGX_PT_TCS && (MAX_PROT(entry) & rw) != rw)
        return -EPERM;
    if (type == SGX_PT_TCS)
        MAX_PROT(entry) = rw;
    long r = modify_leaf(e, SGX_EMODT, la, SGX_SECINFO_PT(type), result);
    driver_sync_page(e, la);
    if (r == 0)
        track(e);
    return r;
}

static long modify_types(struct enclave *e, uint64_t arg)
{
    struct sgx_enclave_modify_types q;
    if (!e->header->initialized)
        return -EINVAL;
    if (!user_read(&q, arg, sizeof(q)))
        return -EFAULT;
    if (!in_range(e, q.offset, q.length) ||
        (q.page_type != SGX_PT_TCS && q.page_type != SGX_PT_TRIM) || q.result || q.count)
        return -EINVAL;
    long r = 0;
    for (; q.count < q.length && r == 0; q.count += r == 0 ? PAGE : 0)
        r = retype_page(e, e->header->base + q.offset + q.count, q.page_type,
                        (uint64_t *)&q.result);
    return user_write(arg, &q, sizeof(q)) ? r : -EFAULT;
}

/* An accepted TRIM page is recognised by what a trial EMODPR does: it faults. */
static long remove_page(struct enclave *e, uint64_t la)
{
    struct epcm *entry = epcm_of(e, la);
    uint64_t ignored;
    if (!entry->valid)
        return -EFAULT;
    if (entry->type != SGX_PT_TRIM)
        return -EPERM;
    if (modify_leaf(e, SGX_EMODPR, la, SGX_SECINFO_R | SGX_SECINFO_PT(SGX_PT_REG), &ignored) == 0 ||
        !(ignored & 0x40000000))
        return -EPERM;
    struct sgx_regs regs = {.rax = SGX_EREMOVE, .rcx = KERNEL_ALIAS + la};
    if (driver_encls(e, &regs).vector || regs.rax)
        return -EBUSY;
    --*chunk_of(e, la);
    sys(__NR_fallocate, e->fd_dup, 3 /* PUNCH_HOLE | KEEP_SIZE */, FILE_PAGES + la, PAGE);
    driver_sync_page(e, la);
    return 0;
}

static long remove_pages(struct enclave *e, uint64_t arg)
{
    struct sgx_enclave_remove_pages q;
    if (!e->header->initialized)
        return -EINVAL;
    if (!user_read(&q, arg, sizeof(q)))
        return -EFAULT;
    if (!in_range(e, q.offset, q.length) || q.count)
        return -EINVAL;
    long r = 0;
    for (; q.count < q.length && r == 0; q.count += r == 0 ? PAGE : 0)
        r = remove_page(e, e->header->base + q.offset + q.count);
    return user_write(arg, &q, sizeof(q)) ? r : -EFAULT;
}

static long run(struct enclave *e, unsigned cmd, uint64_t arg)
{
    e->header->generation++;
    switch (cmd) {
    case SGX_IOC_ENCLAVE_CREATE:
        return create(e, arg);
    case SGX_IOC_ENCLAVE_ADD_PAGES:
        return add_pages(e, arg);
    case SGX_IOC_ENCLAVE_INIT:
        return init(e, arg);
    case SGX_IOC_ENCLAVE_PROVISION:
        return provision(e, arg);
    case SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS:
        return restrict_permissions(e, arg);
    case SGX_IOC_ENCLAVE_MODIFY_TYPES:
        return modify_types(e, arg);
    case SGX_IOC_ENCLAVE_REMOVE_PAGES:
        return remove_pages(e, arg);
    default:
        return -ENOTTY;
    }
}

/* The lock word names its holder, so that a dead one does not keep the file busy for ever. */
static bool begin(struct header *h)
{
    uint32_t me = (uint32_t)sys(__NR_gettid);
    uint32_t owner = __sync_val_compare_and_swap(&h->ioctl, 0, me);
    if (owner && sys(__NR_tkill, owner, 0) == -ESRCH)
        owner = __sync_bool_compare_and_swap(&h->ioctl, owner, me) ? 0 : owner;
    return owner == 0;
}

long driver_ioctl(int fd, unsigned cmd, uint64_t arg)
{
    struct enclave *e = enclave_of(fd);
    if (!e)
        return -ENOTTY; /* not ours: the caller passes the call on */
    if (!begin(e->header))
        return -EBUSY;
    driver_lock(e);
    long r = run(e, cmd, arg);
    driver_unlock(e);
    e->header->ioctl = 0;
    return r;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* open and the ioctls of /dev/sgx_enclave and /dev/sgx_provision (Linux's uapi, asm/sgx.h). */
#include "sgxemu/driver/driver.h"
#include <asm/sgx.h>
#include <linux/fcntl.h>
#include <linux/memfd.h>
#include <linux/stat.h>
#include <linux/resource.h>

#define ENCLAVE_PATH   "/dev/sgx_enclave"
#define PROVISION_PATH "/dev/sgx_provision"
#ifndef MFD_NOEXEC_SEAL
#    define MFD_NOEXEC_SEAL 0x0008U
#endif
#define PAGE 4096ULL

static volatile uint32_t driver_used; /* by this process, in some way */

/* From now on descriptors may be the device's, so fstat must be looked at. */
void driver_use(void)
{
    if (!__sync_lock_test_and_set(&driver_used, 1))
        trap_install_fstat_filter();
}

bool driver_is_path(const char *path)
{
    return strcmp(path, ENCLAVE_PATH) == 0 || strcmp(path, PROVISION_PATH) == 0;
}

static bool joined(char to[4096], const char *path, size_t *n)
{
    const size_t length = strlen(path);
    if (*n + length + 2 > 4096)
        return false;
    to[(*n)++] = '/';
    memcpy(to + *n, path, length + 1);
    *n += length;
    return true;
}

/* "//", "/./" and "/../" of an absolute path, by its text. */
static void simplify(char *path)
{
    char *to = path;
    const char *from = path;
    while (*from) {
        size_t n = 1;
        while (from[n] && from[n] != '/')
            n++;
        if (n == 3 && from[1] == '.' && from[2] == '.') {
            while (to > path && *--to != '/')
                ;
        } else if (n > 2 || (n == 2 && from[1] != '.')) {
            memmove(to, from, n);
            to += n;
        }
        from += n;
    }
    *to = '\0';
}

void driver_resolve(int directory, char path[4096])
{
    char full[4096], link[40] = "/proc/self/fd/", digits[24];
    const char *name = path;
    size_t n = 0;
    for (const char *p = path; *p; p++)
        name = *p == '/' ? p + 1 : name;
    if (strcmp(name, "sgx_enclave") != 0 && strcmp(name, "sgx_provision") != 0)
        return;
    if (path[0] != '/') {
        const char *d = format_dec(digits, (uint32_t)directory);
        memcpy(link + 14, d, strlen(d) + 1);
        long r =
            sys(__NR_readlink, directory == AT_FDCWD ? "/proc/self/cwd" : link, full, sizeof(full));
        if (r <= 0 || r == sizeof(full))
            return;
        n = (size_t)r;
    }
    if (!joined(full, path, &n))
        return;
    simplify(full);
    if (driver_is_path(full))
        memcpy(path, full, strlen(full) + 1);
}

/* The answers of stat: a character device, world read-write. */
static long answer_stat(bool provision, uint64_t buf, bool extended)
{
    const uint32_t minor = provision ? 124 : 125, major = 10;
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

long driver_stat(const char *path, uint64_t buf, bool extended)
{
    return answer_stat(strcmp(path, PROVISION_PATH) == 0, buf, extended);
}

bool driver_fstat(int fd, uint64_t buf, bool extended, long *result)
{
    bool ours = false;
    if (!driver_used)
        return false;
    enclave_of(fd, &ours);
    const bool provision = !ours && is_provision(fd);
    if (!ours && !provision)
        return false;
    *result = answer_stat(provision, buf, extended);
    return true;
}

long driver_memfd(const char *name, unsigned flags)
{
    long fd = sys(__NR_memfd_create, name, flags | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd == -EINVAL) /* before Linux 6.3 */
        fd = sys(__NR_memfd_create, name, flags | MFD_ALLOW_SEALING);
    return fd;
}

struct file_limit {
    uint64_t soft, hard;
};

/* RLIMIT_FSIZE is for the program's files, not for the device's; false: it cannot be raised. */
static bool lift_file_limit(struct file_limit *was)
{
    const uint64_t none = UINT64_MAX;
    const struct file_limit unlimited = {none, none};
    if (sys(__NR_prlimit64, 0, RLIMIT_FSIZE, 0, was) || was->soft >= FILE_SIZE)
        return true;
    return sys(__NR_prlimit64, 0, RLIMIT_FSIZE, &unlimited, 0) == 0;
}

static void restore_file_limit(const struct file_limit *was)
{
    if (was->soft < FILE_SIZE)
        sys(__NR_prlimit64, 0, RLIMIT_FSIZE, was, 0);
}

/* A file that nobody can make longer or shorter: the device's mappings of it may not end. */
static long sealed_file(bool provision, int flags)
{
    const unsigned cloexec = flags & O_CLOEXEC ? MFD_CLOEXEC : 0;
    const char *name = provision ? "sgx_provision" : "sgx_enclave";
    const uint64_t magic = provision ? PROVISION_MAGIC : ENCLAVE_MAGIC;
    unsigned seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | (provision ? F_SEAL_WRITE : 0);
    long fd = driver_memfd(name, cloexec);
    if (sys_failed(fd))
        return fd;
    if ((!provision && sys(__NR_ftruncate, fd, FILE_SIZE)) ||
        sys(__NR_pwrite64, fd, &magic, 8, 0) != 8 || sys(__NR_fcntl, fd, F_ADD_SEALS, seals)) {
        sys(__NR_close, fd);
        return -ENOMEM;
    }
    return fd;
}

long driver_open(const char *path, int flags, bool *ours)
{
    *ours = driver_is_path(path);
    if (!*ours)
        return 0;
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    platform();
    driver_use();
    struct file_limit was = {UINT64_MAX, UINT64_MAX};
    if (!lift_file_limit(&was))
        return -EFBIG;
    long fd = sealed_file(strcmp(path, PROVISION_PATH) == 0, flags);
    restore_file_limit(&was);
    return fd;
}

bool driver_in_range(const struct enclave *e, uint64_t offset, uint64_t length)
{
    return length && !(offset & (PAGE - 1)) && !(length & (PAGE - 1)) &&
           offset + length - 1 >= offset && offset + length <= e->header->size;
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
    if (!driver_in_range(e, q.offset, q.length) || q.permissions & ~SGX_SECINFO_RWX ||
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
    if (!driver_in_range(e, q.offset, q.length) ||
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
    if (!driver_in_range(e, q.offset, q.length) || q.count)
        return -EINVAL;
    long r = 0;
    for (; q.count < q.length && r == 0; q.count += r == 0 ? PAGE : 0)
        r = remove_page(e, e->header->base + q.offset + q.count);
    return user_write(arg, &q, sizeof(q)) ? r : -EFAULT;
}

static long run(struct thread *t, struct enclave *e, unsigned cmd, uint64_t arg)
{
    e->header->generation++;
    switch (cmd) {
    case SGX_IOC_ENCLAVE_CREATE:
    case SGX_IOC_ENCLAVE_ADD_PAGES:
    case SGX_IOC_ENCLAVE_INIT:
        return driver_build(t, e, cmd, arg);
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

long driver_ioctl(struct thread *t, int fd, unsigned cmd, uint64_t arg)
{
    bool ours;
    struct enclave *e = enclave_of(fd, &ours);
    if (ours)
        driver_use();
    if (!e)
        return ours ? -ENOMEM : -ENOTTY; /* not ours: the caller passes the call on */
    if (!begin(e->header))
        return -EBUSY;
    struct file_limit was = {UINT64_MAX, UINT64_MAX};
    const bool writes = cmd == SGX_IOC_ENCLAVE_ADD_PAGES; /* by pwrite() */
    driver_lock(e);
    long r = writes && !lift_file_limit(&was) ? -ENOMEM : run(t, e, cmd, arg);
    if (writes)
        restore_file_limit(&was);
    driver_unlock(e);
    e->header->ioctl = 0;
    return r;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The emulated platform: fuses from a file, version numbers, what CPUID shows. */
#include "sgxemu/emu.h"
#include "sgxemu/core/fuses.h"
#include "crypto/crypto.h"
#include <asm/prctl.h>
#include <linux/fcntl.h>

#define EPC_BASE      0x100000000ULL
#define EPC_SIZE      0x400000000ULL /* what the machine claims to have: 16 GiB */
#define MAX_SIZE_LOG2 40

static struct sgx_platform the_platform;
static volatile uint32_t ready;
static emu_lock ready_lock;

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "0"(leaf), "2"(sub));
}

/* With faulting on, the device itself must switch it off around CPUID. */
static void real_cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    if (settings.cpuid_faults)
        sys(__NR_arch_prctl, ARCH_SET_CPUID, 1);
    cpuid(leaf, sub, r);
    if (settings.cpuid_faults)
        sys(__NR_arch_prctl, ARCH_SET_CPUID, 0);
}

static void read_xsave_layout(struct sgx_xsave_layout *x)
{
    uint32_t r[4];
    x->xcr0 = settings.xcr0;
    for (uint32_t i = 2; i < 63; i++) {
        if (!(x->xcr0 >> i & 1))
            continue;
        real_cpuid(0xd, i, r);
        x->size[i] = r[0];
        x->offset[i] = r[1];
    }
}

/* Fuses: 64 bytes; the launcher has created the file. */
static void read_fuses(struct sgx_platform *p)
{
    uint8_t fuses[SGX_FUSES_SIZE], boot[64];
    long fd = sys(__NR_openat, AT_FDCWD, settings.fuses, O_RDONLY | O_CLOEXEC, 0);
    long n = sys_failed(fd) ? fd : sys(__NR_read, fd, fuses, sizeof(fuses));
    if (n != sizeof(fuses))
        die("cannot read the fuse file ", settings.fuses,
            sys_failed(n) ? ": it is gone, or not this user's" : ": it does not have 64 bytes",
            "; remove it to get a new platform (sealed data of the old one is then lost), or start "
            "with another --fuses FILE",
            NULL);
    sys(__NR_close, fd);
    /* Fresh per boot of the machine, the same for all processes. */
    fd = sys(__NR_openat, AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC, 0);
    n = sys_failed(fd) ? 0 : sys(__NR_read, fd, boot, sizeof(boot));
    sys(__NR_close, fd);
    sgx_platform_from_fuses(p, fuses, boot, n > 0 ? (size_t)n : 0);
    crypto_wipe(fuses, sizeof(fuses));
}

static void start(struct sgx_platform *p)
{
    read_fuses(p);
    p->flags = SGX_FLAG_DEBUG | SGX_FLAG_MODE64BIT | SGX_FLAG_PROVISIONKEY |
               SGX_FLAG_EINITTOKEN_KEY | SGX_FLAG_KSS | SGX_FLAG_AEXNOTIFY;
    p->xfrm = settings.xcr0;
    p->miscselect = SGX_MISC_EXINFO;
    p->max_size_log2 = MAX_SIZE_LOG2;
    read_xsave_layout(&p->xsave);
}

const struct sgx_platform *platform(void)
{
    if (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE)) {
        lock(&ready_lock);
        if (!ready)
            start(&the_platform);
        __atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
        unlock(&ready_lock);
    }
    return &the_platform;
}

void platform_start(void)
{
    settings.cpuid_faults = sys(__NR_arch_prctl, ARCH_SET_CPUID, 0) == 0;
}

static void sgx_leaf(uint32_t sub, uint32_t r[4])
{
    const struct sgx_platform *p = platform();
    memset(r, 0, 16);
    switch (sub) {
    case 0: /* SGX1, SGX2, EDECCSSA */
        r[0] = 1 << 0 | 1 << 1 | 1 << 11;
        r[1] = p->miscselect;
        r[3] = 31 | MAX_SIZE_LOG2 << 8;
        break;
    case 1:
        r[0] = (uint32_t)p->flags;
        r[1] = (uint32_t)(p->flags >> 32);
        r[2] = (uint32_t)p->xfrm;
        r[3] = (uint32_t)(p->xfrm >> 32);
        break;
    case 2:
        r[0] = (uint32_t)(EPC_BASE & 0xfffff000) | 1;
        r[1] = (uint32_t)(EPC_BASE >> 32);
        r[2] = (uint32_t)(EPC_SIZE & 0xfffff000) | 1;
        r[3] = (uint32_t)(EPC_SIZE >> 32);
        break;
    default:
        break;
    }
}

void platform_cpuid(struct ucontext *uc)
{
    struct sigcontext *m = &uc->uc_mcontext;
    uint32_t leaf = (uint32_t)m->rax, sub = (uint32_t)m->rcx, r[4];
    if (leaf == 0x12) {
        sgx_leaf(sub, r);
    } else {
        real_cpuid(leaf, sub, r);
        if (leaf == 0 && r[0] < 0x12)
            r[0] = 0x12;
        if (leaf == 7 && sub == 0) {
            r[1] |= 1U << 2;
            r[2] |= 1U << 30;
        }
    }
    m->rax = r[0], m->rbx = r[1], m->rcx = r[2], m->rdx = r[3];
    m->rip += 2;
}

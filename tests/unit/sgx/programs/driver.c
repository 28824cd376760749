/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The driver's rules, one check a line: ioctls and their errors, mappings, faults, signals, as
 * Linux's SGX documentation and uapi describe them. Also usable on real hardware.
 */
#define _GNU_SOURCE
#include "host.h"
#include <asm/sgx.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static unsigned passed, failed;
static uint8_t page[4096 * 4] __attribute__((aligned(4096)));
static struct sgx_secs secs __attribute__((aligned(4096)));
static struct sgx_sigstruct sig __attribute__((aligned(4096)));
static uint64_t base;

static void check(const char *what, long got, long want)
{
    if (got == want) {
        passed++;
        return;
    }
    failed++;
    printf("FAIL %s: got %ld, expected %ld\n", what, got, want);
}

static long err(int r)
{
    return r < 0 ? -errno : r;
}

static int fresh(void)
{
    return open("/dev/sgx_enclave", O_RDWR | O_CLOEXEC);
}

static long create(int fd)
{
    struct sgx_enclave_create q = {(uint64_t)&secs};
    return err(ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &q));
}

static void default_secs(void)
{
    secs = (struct sgx_secs){
        .size = 0x10000, .base = base, .ssa_frame_size = 1, .attributes = {SGX_FLAG_MODE64BIT, 3}};
}

static int created(void)
{
    int fd = fresh();
    default_secs();
    check("CREATE", create(fd), 0);
    return fd;
}

static uint64_t last_count;

static long add(int fd, uint64_t src, uint64_t offset, uint64_t length, uint64_t secinfo_flags,
                uint64_t flags)
{
    struct sgx_secinfo s = {.flags = secinfo_flags};
    struct sgx_enclave_add_pages q = {src, offset, length, (uint64_t)&s, flags, 0};
    long r = err(ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &q));
    last_count = q.count;
    return r;
}

static long init(int fd, const void *sigstruct)
{
    struct sgx_enclave_init q = {(uint64_t)sigstruct};
    return err(ioctl(fd, SGX_IOC_ENCLAVE_INIT, &q));
}

static void creation(void)
{
    int fd = fresh();
    default_secs();
    check("ADD_PAGES before CREATE", add(fd, (uint64_t)page, 0, 4096, 0x203, 1), -EINVAL);
    check("INIT before CREATE", init(fd, &sig), -EINVAL);
    check("unknown command", err(ioctl(fd, _IO(0xa4, 0x3f))), -ENOTTY);
    check("VEPC command on an enclave", err(ioctl(fd, SGX_IOC_VEPC_REMOVE_ALL)), -ENOTTY);
    check("CREATE with a wild pointer", err(ioctl(fd, SGX_IOC_ENCLAVE_CREATE, 8)), -EFAULT);
    struct sgx_enclave_create wild = {8};
    check("CREATE with a wild source", err(ioctl(fd, SGX_IOC_ENCLAVE_CREATE, &wild)), -EFAULT);
    secs.size = 0x18000;
    check("CREATE with a size that is no power of two", create(fd), -EINVAL);
    default_secs();
    secs.base += 4096;
    check("CREATE with a misaligned base", create(fd), -EIO);
    default_secs();
    secs.attributes.xfrm = 1;
    check("CREATE with an illegal XFRM", create(fd), -EIO);
    default_secs();
    secs.attributes.flags |= 8;
    check("CREATE with a reserved attribute", create(fd), -EIO);
    default_secs();
    secs.reserved4[100] = 1;
    check("CREATE with reserved bytes", create(fd), -EIO);
    default_secs();
    check("CREATE", create(fd), 0);
    check("CREATE twice", create(fd), -EINVAL);
    close(fd);
}

static void adding(void)
{
    int fd = created();
    uint64_t src = (uint64_t)page;
    check("unaligned source", add(fd, src + 8, 0, 4096, 0x203, 1), -EINVAL);
    check("unaligned offset", add(fd, src, 8, 4096, 0x203, 1), -EINVAL);
    check("unaligned length", add(fd, src, 0, 100, 0x203, 1), -EINVAL);
    check("no length", add(fd, src, 0, 0, 0x203, 1), -EINVAL);
    check("beyond the end", add(fd, src, 0xf000, 0x2000, 0x203, 1), -EINVAL);
    check("offset overflow", add(fd, src, UINT64_MAX - 4095, 0x2000, 0x203, 1), -EINVAL);
    check("type SECS", add(fd, src, 0, 4096, 0x003, 1), -EINVAL);
    check("type VA", add(fd, src, 0, 4096, 0x303, 1), -EINVAL);
    check("W without R", add(fd, src, 0, 4096, 0x202, 1), -EINVAL);
    check("TCS with permissions", add(fd, src, 0, 4096, 0x103, 1), -EINVAL);
    check("SECINFO reserved flag", add(fd, src, 0, 4096, 0x203 | 1 << 20, 1), -EINVAL);
    check("SECINFO.PENDING", add(fd, src, 0, 4096, 0x20b, 1), -EINVAL);
    struct sgx_secinfo s = {.flags = 0x203, .reserved = {1}};
    struct sgx_enclave_add_pages q = {src, 0, 4096, (uint64_t)&s, 1, 0};
    check("SECINFO reserved byte", err(ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &q)), -EINVAL);
    q.secinfo = 8;
    check("SECINFO wild", err(ioctl(fd, SGX_IOC_ENCLAVE_ADD_PAGES, &q)), -EFAULT);
    check("source not mapped", add(fd, 4096, 0, 4096, 0x203, 1), -EFAULT);
    check("one page", add(fd, src, 0, 4096, 0x203, 1), 0);
    check("count", (long)last_count, 4096);
    check("the same page again", add(fd, src, 0, 4096, 0x203, 1), -EBUSY);
    check("partial progress", add(fd, src, 0xf000 - 0x1000, 0x2000, 0x203, 0), 0);
    check("runs into a present page", add(fd, src, 0xd000, 0x2000, 0x203, 0), -EBUSY);
    check("count of the partial run", (long)last_count, 4096);
    memset(page, 0xff, 4096);
    check("TCS with reserved bytes", add(fd, src, 0x4000, 4096, 0x100, 1), -EIO);
    memset(page, 0, 4096);
    struct sgx_enclave_remove_pages d = {0, 4096, 0};
    check("REMOVE before INIT", err(ioctl(fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, &d)), -EINVAL);
    check("INIT with a wild pointer", init(fd, (void *)8), -EFAULT);
    struct sgx_sigstruct other = sig;
    memcpy(page, &other, sizeof(other));
    ((struct sgx_sigstruct *)page)->vendor = 5;
    check("INIT with a foreign vendor", init(fd, page), -EINVAL);
    check("INIT with another enclave's signature", init(fd, &sig), -EPERM);
    memset(page, 0, sizeof(page));
    close(fd);
    default_secs();
    secs.attributes.flags |= SGX_FLAG_PROVISIONKEY;
    fd = fresh();
    check("CREATE with PROVISIONKEY", create(fd), 0);
    check("INIT without the right", init(fd, &sig), -EACCES);
    struct sgx_enclave_provision p = {(uint64_t)fd};
    check("PROVISION with an enclave's descriptor", err(ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, &p)),
          -EINVAL);
    p.fd = 0;
    check("PROVISION with standard input", err(ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, &p)), -EINVAL);
    p.fd = (uint64_t)open("/dev/sgx_provision", O_RDONLY);
    check("PROVISION", err(ioctl(fd, SGX_IOC_ENCLAVE_PROVISION, &p)), 0);
    check("INIT with the right, wrong signature", init(fd, &sig), -EPERM);
    close((int)p.fd);
    close(fd);
}

static long try_map(int fd, uint64_t at, uint64_t len, int prot, int flags)
{
    void *p = mmap((void *)at, len, prot, flags, fd, 0);
    return p == MAP_FAILED ? -errno : 0;
}

static __thread sigjmp_buf env;
static volatile int seen_signal, seen_code;
static volatile uint64_t seen_address, seen_rip;

static void on_signal(int s, siginfo_t *info, void *context)
{
    seen_signal = s;
    seen_code = info->si_code;
    seen_address = (uint64_t)info->si_addr;
    seen_rip = (uint64_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    siglongjmp(env, 1);
}

static void touch(const char *what, uint64_t at, int want_signal, int want_code)
{
    seen_signal = seen_code = 0;
    if (!sigsetjmp(env, 1))
        (void)*(volatile uint8_t *)at;
    check(what, seen_signal, want_signal);
    if (want_signal) {
        check(what, seen_code, want_code);
        check(what, (long)(seen_address & ~4095ULL), (long)(at & ~4095ULL));
    }
}

static void mapping(struct loaded *e)
{
    const int fixed = MAP_SHARED | MAP_FIXED;
    int fd = created();
    check("add R page", add(fd, (uint64_t)page, 0, 4096, 0x201, 0), 0);
    check("add RX page", add(fd, (uint64_t)page, 0x1000, 4096, 0x205, 0), 0);
    check("add TCS", add(fd, (uint64_t)page, 0x2000, 4096, 0x100, 0), 0);
    check("MAP_PRIVATE", try_map(fd, base, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED), -EINVAL);
    check("map R", try_map(fd, base, 4096, PROT_READ, fixed), 0);
    check("map W over R", try_map(fd, base, 4096, PROT_READ | PROT_WRITE, fixed), -EACCES);
    check("map X over RX", try_map(fd, base + 0x1000, 4096, PROT_READ | PROT_EXEC, fixed), 0);
    check("mprotect to W", err(mprotect((void *)(base + 0x1000), 4096, PROT_READ | PROT_WRITE)),
          -EACCES);
    check("mprotect to R", err(mprotect((void *)(base + 0x1000), 4096, PROT_READ)), 0);
    check("TCS as RW", try_map(fd, base + 0x2000, 4096, PROT_READ | PROT_WRITE, fixed), 0);
    check("TCS as X", try_map(fd, base + 0x2000, 4096, PROT_EXEC, fixed), -EACCES);
    check("a range over all three as R", try_map(fd, base, 0x3000, PROT_READ, fixed), 0);
    check("absent pages as RWX", try_map(fd, base + 0x4000, 4096, 7, fixed), 0);
    touch("absent page before INIT", base + 0x4000, SIGBUS, BUS_ADRERR);
    check("mremap cannot grow it", (long)mremap((void *)base, 4096, 8192, MREMAP_MAYMOVE), -1);
    check("munmap", err(munmap((void *)base, 0x10000)), 0);
    touch("after munmap", base, SIGSEGV, SEGV_MAPERR);
    close(fd);
    check("outside an initialised enclave", try_map(e->fd, 0, 4096, PROT_READ, MAP_SHARED),
          -EACCES);
    check("heap as RWX", try_map(e->fd, e->base + 0xf0000, 0x1000, 7, fixed), 0);
    touch("absent page after INIT: added, PENDING", e->base + 0xf0000, SIGSEGV, SEGV_ACCERR);
    check("munmap heap page", err(munmap((void *)(e->base + 0xf0000), 4096)), 0);
}

static void edmm(struct loaded *e)
{
    struct sgx_enclave_restrict_permissions r = {0x10000, 4096, 1, 0, 0};
    struct sgx_enclave_modify_types m = {0x10000, 4096, SGX_PT_TRIM, 0, 0};
    struct sgx_enclave_remove_pages d = {0x10000, 4096, 0};
#define RESTRICT(...)                                            \
    (r = (struct sgx_enclave_restrict_permissions){__VA_ARGS__}, \
     err(ioctl(e->fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &r)))
#define MODIFY(...)                                      \
    (m = (struct sgx_enclave_modify_types){__VA_ARGS__}, \
     err(ioctl(e->fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, &m)))
#define REMOVE(...)                                      \
    (d = (struct sgx_enclave_remove_pages){__VA_ARGS__}, \
     err(ioctl(e->fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, &d)))
    check("ADD_PAGES after INIT", add(e->fd, (uint64_t)page, 0x40000, 4096, 0x203, 0), -EINVAL);
    check("INIT twice", init(e->fd, &sig), -EINVAL);
    check("CREATE after INIT", create(e->fd), -EINVAL);
    check("RESTRICT: no length", RESTRICT(0x10000, 0, 1, 0, 0), -EINVAL);
    check("RESTRICT: unaligned", RESTRICT(0x10008, 4096, 1, 0, 0), -EINVAL);
    check("RESTRICT: outside", RESTRICT(0x100000, 4096, 1, 0, 0), -EINVAL);
    check("RESTRICT: W without R", RESTRICT(0x10000, 4096, 2, 0, 0), -EINVAL);
    check("RESTRICT: other bits", RESTRICT(0x10000, 4096, 9, 0, 0), -EINVAL);
    check("RESTRICT: result not zero", RESTRICT(0x10000, 4096, 1, 1, 0), -EINVAL);
    check("RESTRICT: count not zero", RESTRICT(0x10000, 4096, 1, 0, 1), -EINVAL);
    check("RESTRICT: absent page", RESTRICT(0x50000, 4096, 1, 0, 0), -EFAULT);
    check("RESTRICT: TCS page", RESTRICT(THREAD0_TCS, 4096, 1, 0, 0), -EINVAL);
    check("MODIFY: to REG", MODIFY(0x10000, 4096, SGX_PT_REG, 0, 0), -EINVAL);
    check("MODIFY: absent page", MODIFY(0x50000, 4096, SGX_PT_TRIM, 0, 0), -EFAULT);
    check("MODIFY: TCS to TCS", MODIFY(THREAD1_TCS, 4096, SGX_PT_TCS, 0, 0), -EINVAL);
    check("MODIFY: code page to TCS", MODIFY(0x0, 4096, SGX_PT_TCS, 0, 0), -EPERM);
    check("MODIFY: result not zero", MODIFY(0x10000, 4096, SGX_PT_TRIM, 1, 0), -EINVAL);
    check("REMOVE: a REG page", REMOVE(0x10000, 4096, 0), -EPERM);
    check("REMOVE: absent page", REMOVE(0x50000, 4096, 0), -EFAULT);
    check("REMOVE: no length", REMOVE(0x10000, 0, 0), -EINVAL);
    check("REMOVE: count not zero", REMOVE(0x10000, 4096, 1), -EINVAL);
    check("RESTRICT: TRIM page",
          (MODIFY(0x17000, 4096, SGX_PT_TRIM, 0, 0), RESTRICT(0x17000, 4096, 1, 0, 0)), -EINVAL);
    check("MODIFY again: not accepted yet", MODIFY(0x17000, 4096, SGX_PT_TRIM, 0, 0), -EINVAL);
    check("REMOVE: TRIM, not accepted", REMOVE(0x17000, 4096, 0), -EPERM);
}

static void enter_raw(const char *what, uint64_t leaf, uint64_t rbx, uint64_t rcx, int want_signal,
                      int want_code)
{
    uint64_t a = leaf, b = rbx, c = rcx;
    seen_signal = seen_code = 0;
    if (!sigsetjmp(env, 1)) {
        __asm__ volatile(".globl raw_enclu\nraw_enclu: .byte 0x0f, 0x01, 0xd7"
                         : "+a"(a), "+b"(b), "+c"(c)
                         :
                         : "memory", "cc", "rdx", "rsi", "rdi");
    }
    check(what, seen_signal, want_signal);
    check(what, seen_code, want_code);
}

static void entering(struct loaded *e)
{
    uint64_t tcs = e->base + THREAD0_TCS, aep = (uint64_t)host_aep;
    enter_raw("leaf out of range", 77, 0, 0, SIGSEGV, SI_KERNEL);
    enter_raw("EEXIT outside", SGX_EEXIT, 0, 0, SIGSEGV, SI_KERNEL);
    enter_raw("EREPORT outside", SGX_EREPORT, 0, 0, SIGSEGV, SI_KERNEL);
    enter_raw("EENTER: unaligned TCS", SGX_EENTER, tcs + 8, aep, SIGSEGV, SI_KERNEL);
    enter_raw("EENTER: TCS not canonical", SGX_EENTER, 1ULL << 60, aep, SIGSEGV, SI_KERNEL);
    enter_raw("EENTER: AEP not canonical", SGX_EENTER, tcs, 1ULL << 60, SIGSEGV, SI_KERNEL);
    enter_raw("EENTER: a REG page", SGX_EENTER, e->base + 0x10000, aep, SIGSEGV, SEGV_ACCERR);
    enter_raw("EENTER: nothing there", SGX_EENTER, e->base + HOLE, aep, SIGSEGV, SEGV_ACCERR);
    enter_raw("ERESUME: no frame", SGX_ERESUME, tcs, aep, SIGSEGV, SI_KERNEL);
    check("the enclave still works", (long)enter(tcs, CMD_NOTHING, NULL), 0);
}

static volatile int handled_code;
static volatile uint64_t handled_address;
static volatile uint64_t handled_regs[4];

static void in_enclave_fault(int s, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    seen_signal = s;
    handled_code = info->si_code;
    handled_address = (uint64_t)info->si_addr;
    handled_regs[0] = (uint64_t)g[REG_RIP];
    handled_regs[1] = (uint64_t)g[REG_RAX];
    handled_regs[2] = (uint64_t)g[REG_RCX];
    handled_regs[3] = (uint64_t)(g[REG_RDX] | g[REG_RSI] | g[REG_RDI] | g[REG_R8] | g[REG_R15]);
    enter((uint64_t)g[REG_RBX], 0, NULL);
}

static void handle_with(void (*f)(int, siginfo_t *, void *))
{
    static const int caught[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++) {
        struct sigaction sa = {.sa_sigaction = f, .sa_flags = SA_SIGINFO};
        sigaction(caught[i], &sa, NULL);
    }
}

static void probe_inside(struct loaded *e, const char *what, uint64_t address, int want_signal,
                         int want_code)
{
    handle_with(in_enclave_fault);
    uint64_t a = address;
    seen_signal = 0;
    long r = (long)enter(e->base + THREAD0_TCS, CMD_PROBE, &a);
    check(what, seen_signal, want_signal);
    check(what, handled_code, want_code);
    check(what, (long)handled_address, (long)(address & ~4095ULL));
    check(what, (long)handled_regs[0], (long)host_aep);
    check(what, (long)handled_regs[1], SGX_ERESUME);
    check(what, (long)handled_regs[2], (long)host_aep);
    check(what, (long)handled_regs[3], 0);
    check(what, r, -1);
    handle_with(on_signal);
}

static void faults_inside(struct loaded *e)
{
    probe_inside(e, "inside: hole in the enclave", e->base + HOLE + 5, SIGSEGV, SEGV_ACCERR);
    probe_inside(e, "inside: outside memory not mapped", 0x1234, SIGSEGV, SEGV_MAPERR);
    probe_inside(e, "inside: a TCS page", e->base + THREAD1_TCS, SIGSEGV, SEGV_ACCERR);
    probe_inside(e, "inside: a page not accepted", e->base + HEAP + 0x20000, SIGSEGV, SEGV_ACCERR);
    handle_with(in_enclave_fault);
    seen_signal = 0;
    enter(e->base + THREAD0_TCS, CMD_SYSCALL, NULL);
    check("inside: syscall", seen_signal, SIGILL);
    check("inside: syscall", handled_code, ILL_ILLOPN);
    check("inside: syscall", (long)handled_address, (long)host_aep);
    handle_with(on_signal);
}

/* A leaf that faults outside names another enclave than the one that is entered again and again. */
static void two_enclaves(struct loaded *e)
{
    static struct loaded other;
    load_enclave(&other, "hello.layout", "hello.sig");
    for (int i = 0; i < 4; i++)
        check("two enclaves", (long)enter(e->base + THREAD0_TCS, CMD_NOTHING, NULL), 0);
    enter_raw("EEXIT outside, at an enclave", SGX_EEXIT, other.base, 0, SIGSEGV, SI_KERNEL);
    probe_inside(e, "AEX after it", 0x1234, SIGSEGV, SEGV_MAPERR);
    enter_raw("EREPORT outside, at an enclave", SGX_EREPORT, other.base, 0, SIGSEGV, SI_KERNEL);
    unload_enclave(&other);
    probe_inside(e, "AEX after that one has gone", 0x1234, SIGSEGV, SEGV_MAPERR);
}

static volatile uint32_t stop_spinning;

static void on_interrupt(int s)
{
    (void)s;
}

static void *spin(void *tcs)
{
    if (!sigsetjmp(env, 1)) {
        for (int i = 0; i < 3; i++) /* so that the one that matters is fast */
            enter((uint64_t)tcs, CMD_NOTHING, NULL);
        enter((uint64_t)tcs, CMD_SPIN, (void *)&stop_spinning);
    }
    return NULL;
}

/* The frame of a thread inside goes away: its AEX must not mind, only the ERESUME after it. */
static void frame_vanishes(const char *what, void (*vanish)(const struct loaded *, uint64_t))
{
    struct loaded e = {0};
    struct sigaction sa = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    pthread_t t;
    sigaction(SIGUSR1, &sa, NULL);
    load_enclave(&e, "hello.layout", "hello.sig");
    seen_signal = 0;
    pthread_create(&t, NULL, spin, (void *)(e.base + THREAD0_TCS));
    usleep(30000); /* a thread that is not inside by then meets the fault when it enters */
    vanish(&e, THREAD0_TCS + 0x1000);
    pthread_kill(t, SIGUSR1);
    pthread_join(t, NULL);
    check(what, seen_signal, SIGSEGV);
    unload_enclave(&e);
}

static void unmap_frame(const struct loaded *e, uint64_t offset)
{
    check("munmap", err(munmap((void *)(e->base + offset), 4096)), 0);
}

static void protect_frame(const struct loaded *e, uint64_t offset)
{
    check("mprotect", err(mprotect((void *)(e->base + offset), 4096, PROT_NONE)), 0);
}

static void replace_frame(const struct loaded *e, uint64_t offset)
{
    void *at = (void *)(e->base + offset);
    check("mmap over it", mmap(at, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at,
          1);
}

static void trim_frame(const struct loaded *e, uint64_t offset)
{
    struct sgx_enclave_modify_types m = {offset, 4096, SGX_PT_TRIM, 0, 0};
    check("MODIFY", err(ioctl(e->fd, SGX_IOC_ENCLAVE_MODIFY_TYPES, &m)), 0);
}

static void restrict_frame(const struct loaded *e, uint64_t offset)
{
    struct sgx_enclave_restrict_permissions r = {offset, 4096, SGX_SECINFO_R, 0, 0};
    check("RESTRICT", err(ioctl(e->fd, SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, &r)), 0);
}

static void vanishing_frames(void)
{
    frame_vanishes("a frame unmapped", unmap_frame);
    frame_vanishes("a frame without access", protect_frame);
    frame_vanishes("a frame replaced", replace_frame);
    frame_vanishes("a frame trimmed", trim_frame);
    frame_vanishes("a frame made read-only", restrict_frame);
}

static void device_nodes(void)
{
    struct stat st;
    int mine = fresh(), right = open("/dev/sgx_provision", O_RDWR);
    check("fstat", err(fstat(mine, &st)), 0);
    check("a character device behind the descriptor", S_ISCHR(st.st_mode), 1);
    check("fstat of the other", err(fstat(right, &st)), 0);
    check("a character device, too", S_ISCHR(st.st_mode), 1);
    check("fstatat of the descriptor", err(fstatat(mine, "", &st, AT_EMPTY_PATH)), 0);
    check("a character device again", S_ISCHR(st.st_mode), 1);
    struct statx sx;
    check("statx", err(statx(mine, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx)), 0);
    check("a character device for statx", S_ISCHR(sx.stx_mode), 1);
    check("fstat of another file", err(fstat(0, &st)), 0);
    check("ftruncate", ftruncate(mine, 0) < 0, 1);
    check("ftruncate to more", ftruncate(mine, 1LL << 50) < 0, 1);
    check("writing the right to provision", write(right, "x", 1) < 0, 1);
    close(mine);
    close(right);
    check("stat", err(stat("/dev/sgx_enclave", &st)), 0);
    check("character device", S_ISCHR(st.st_mode), 1);
    check("access", err(access("/dev/sgx_enclave", R_OK | W_OK)), 0);
    check("provision node", err(stat("/dev/sgx_provision", &st)), 0);
    int fd = fresh();
    struct sgx_enclave_remove_pages d = {0, 0, 0};
    check("probe for SGX2 calls", err(ioctl(fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, &d)), -EINVAL);
    close(fd);
    check("ioctl on a closed descriptor", err(ioctl(fd, SGX_IOC_ENCLAVE_REMOVE_PAGES, &d)), -EBADF);
    check("ioctl on another file", err(ioctl(0, SGX_IOC_ENCLAVE_REMOVE_PAGES, &d)), -ENOTTY);
}

/* Programs close what they did not open, and use its number again. */
static void closed_descriptors(void)
{
    struct stat st;
    int fd = created(), mine = memfd_create("mine", MFD_CLOEXEC);
    close_range(200, ~0U, 0);
    for (int i = 200; i < 400; i++)
        dup2(mine, i);
    page[0] = 1;
    check("ADD_PAGES", add(fd, (uint64_t)page, 0, 4096, 0x203, 1), 0);
    check("a mapping", mmap((void *)base, 4096, 3, MAP_SHARED | MAP_FIXED, fd, 0) == (void *)base,
          1);
    check("what is there", *(volatile uint8_t *)base, 1);
    check("another file", err(fstat(mine, &st)), 0);
    check("stays as it is", st.st_size, 0);
    munmap((void *)base, 4096);
    close_range(200, ~0U, 0);
    close(mine);
    close(fd);
}

int main(void)
{
    static struct loaded e;
    int fd = open("hello.sig", O_RDONLY);
    if (fd < 0 || read(fd, &sig, sizeof(sig)) != sizeof(sig))
        return 2;
    close(fd);
    load_enclave(&e, "hello.layout", "hello.sig");
    uint64_t p = (uint64_t)mmap(NULL, 0x20000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    base = (p + 0xffff) & ~0xffffULL;
    handle_with(on_signal);
    device_nodes();
    creation();
    adding();
    mapping(&e);
    entering(&e);
    faults_inside(&e);
    two_enclaves(&e);
    vanishing_frames();
    edmm(&e);
    closed_descriptors();
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}

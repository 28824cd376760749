/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A host program as a stranger would write it: no C library, its own loader, threads that it makes
 * and ends by hand. One line for each thing that it tries; `foreign-host BASE BULK`.
 */
#include "foreign.h"
#include <linux/mman.h>
#include <asm/sgx.h>
#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/ucontext.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/sched.h>
#include <linux/futex.h>

uint64_t way_mov32(uint64_t tcs, uint64_t command, uint64_t argument);
typedef uint64_t way(uint64_t, uint64_t, uint64_t);
extern way *const ways[], *const ways_end[];
extern char aep_plain[], aep_end[], ocall_target[], restorer[];
extern uint64_t saved_tcs;
extern uint32_t gone_well;
int thread(uint64_t flags, uint64_t stack, void (*f)(uint64_t), uint64_t argument, uint32_t *ctid);
typedef void leaver(uint64_t stack, uint64_t size);
_Noreturn leaver unmap_self, protect_self, remap_self, cover_self, unmap_self_wild;

static long sys(long nr, long a, long b, long c, long d, long e, long f)
{
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}
#define S1(n, a)             sys(n, (long)(a), 0, 0, 0, 0, 0)
#define S2(n, a, b)          sys(n, (long)(a), (long)(b), 0, 0, 0, 0)
#define S3(n, a, b, c)       sys(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define S4(n, a, b, c, d)    sys(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define MAP(a, l, p, fl, fd) sys(__NR_mmap, (long)(a), (long)(l), p, fl, fd, 0)
#define ANON                 (MAP_PRIVATE | MAP_ANONYMOUS)

void *memset(void *p, int c, size_t n)
{
    void *d = p;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return p;
}
void *memcpy(void *to, const void *from, size_t n)
{
    void *d = to;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
    return to;
}

static void print(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    S3(__NR_write, 1, s, n);
}

static void number(uint64_t v)
{
    char buf[24], *p = buf + 23;
    *p = 0;
    do
        *--p = (char)('0' + v % 10);
    while (v /= 10);
    print(p);
}

static uint64_t failures;
static void report(const char *what, uint64_t got, uint64_t want)
{
    print(what);
    if (got == want) {
        print(": fine\n");
        return;
    }
    failures++;
    print(": ");
    number(got);
    print(", not ");
    number(want);
    print("\n");
}

static _Noreturn void fail(const char *what, long r)
{
    print(what);
    print(" failed: ");
    number((uint64_t)-r);
    print("\n");
    for (;;)
        S1(__NR_exit_group, 1);
}

/* ------------------------------------------------------------ the loader */

static uint64_t base;
static int enclave;

static void add(uint64_t offset, const void *from, uint64_t pages, uint64_t flags, bool bulk)
{
    struct sgx_enclave_add_pages q = {0};
    struct {
        uint64_t flags, reserved[7];
    } secinfo __attribute__((aligned(64))) = {.flags = flags};
    for (uint64_t done = 0; done < pages * 4096; done += q.count) {
        q = (struct sgx_enclave_add_pages){.src = (uint64_t)from + done,
                                           .offset = offset + done,
                                           .length = bulk ? pages * 4096 - done : 4096,
                                           .secinfo = (uint64_t)&secinfo,
                                           .flags = SGX_PAGE_MEASURE};
        long r = S3(__NR_ioctl, enclave, SGX_IOC_ENCLAVE_ADD_PAGES, &q);
        if (r && r != -4)
            fail("ADD_PAGES", r);
    }
}

static uint8_t page[4096 * 16] __attribute__((aligned(4096)));
static uint8_t code[CODE_PAGES * 4096] __attribute__((aligned(4096)));
static uint8_t sigstruct[4096] __attribute__((aligned(4096)));

static void read_file(const char *name, void *to, size_t n)
{
    long fd = S3(__NR_openat, AT_FDCWD, name, O_RDONLY);
    long r = fd < 0 ? fd : S3(__NR_read, fd, to, n);
    if (r != (long)n)
        fail(name, r < 0 ? r : -5);
    S1(__NR_close, fd);
}

static void add_thread(uint64_t tcs, bool bulk)
{
    memset(page, 0, sizeof(page));
    *(uint64_t *)(page + 16) = tcs + 0x1000;
    *(uint32_t *)(page + 28) = FRAMES;
    *(uint64_t *)(page + 56) = tcs + 0x5000;
    *(uint32_t *)(page + 64) = *(uint32_t *)(page + 68) = 0xfff;
    add(tcs, page, 1, 0x100, bulk);
    add(tcs + 0x1000, page + 4096, 15, 0x203, bulk);
}

static void map(uint64_t offset, uint64_t pages, int prot)
{
    long r = MAP(base + offset, pages * 4096, prot, MAP_SHARED | MAP_FIXED, enclave);
    if (r != (long)(base + offset))
        fail("mmap of the enclave", r);
}

static void load(bool bulk)
{
    read_file("foreign.bin", code, sizeof(code));
    read_file("foreign.sig", sigstruct, 1808);
    enclave = (int)S3(__NR_openat, AT_FDCWD, "/dev/sgx_enclave", O_RDWR);
    if (enclave < 0)
        fail("open", enclave);
    if (!base) {
        long at = MAP(0, 2 * ENCLAVE_SIZE, PROT_NONE, ANON, -1);
        base = ((uint64_t)at + ENCLAVE_SIZE - 1) & ~(ENCLAVE_SIZE - 1);
    }
    if (!bulk) /* mapped before there is an enclave */
        map(0, ENCLAVE_SIZE >> 12, PROT_NONE);
    memset(page, 0, 4096);
    *(uint64_t *)page = ENCLAVE_SIZE;
    *(uint64_t *)(page + 8) = base;
    *(uint32_t *)(page + 16) = 1;
    *(uint32_t *)(page + 20) = 1;
    *(uint64_t *)(page + 48) = 4;
    *(uint64_t *)(page + 56) = 3;
    struct sgx_enclave_create c = {.src = (uint64_t)page};
    long r = S3(__NR_ioctl, enclave, SGX_IOC_ENCLAVE_CREATE, &c);
    if (r)
        fail("CREATE", r);
    add(0, code, CODE_PAGES, 0x205, bulk);
    memset(page, 0, sizeof(page));
    add(DATA, page, DATA_PAGES, 0x203, bulk);
    for (int i = 0; i < THREADS; i++)
        add_thread(TCS(i), bulk);
    struct sgx_enclave_init q = {.sigstruct = (uint64_t)sigstruct};
    r = S3(__NR_ioctl, enclave, SGX_IOC_ENCLAVE_INIT, &q);
    if (r)
        fail("INIT", r);
    if (bulk) {
        map(0, CODE_PAGES, PROT_READ | PROT_EXEC);
        map(DATA, DATA_PAGES, PROT_READ | PROT_WRITE);
        for (int i = 0; i < THREADS; i++)
            map(TCS(i), 16, PROT_READ | PROT_WRITE);
        map(HEAP, HEAP_SIZE >> 12, PROT_READ | PROT_WRITE | PROT_EXEC);
    } else {
        S3(__NR_mprotect, base, CODE_PAGES * 4096, PROT_READ | PROT_EXEC);
        for (uint64_t at = DATA; at < TCS(THREADS); at += 4096)
            S3(__NR_mprotect, base + at, 4096, PROT_READ | PROT_WRITE);
        map(HEAP, HEAP_SIZE >> 12, PROT_READ | PROT_WRITE);
    }
}

/* ------------------------------------------------------------ signals */

struct action {
    void (*handler)(int, siginfo_t *, void *);
    uint64_t flags;
    void *restorer;
    uint64_t mask;
};

static volatile uint32_t inside, outside, last_signal;

/* As a library operating system's: an event inside goes to the enclave's next frame. */
static void on_signal(int sig, siginfo_t *info, void *context)
{
    struct ucontext *uc = context;
    const uint64_t rip = uc->uc_mcontext.rip;
    last_signal = (uint32_t)sig;
    if (uc->uc_mcontext.rax == 3 && uc->uc_mcontext.rbx - base < ENCLAVE_SIZE && rip) {
        __sync_fetch_and_add(&inside, 1);
        way_mov32(uc->uc_mcontext.rbx, 1000, 0);
    } else {
        __sync_fetch_and_add(&outside, 1);
    }
}

static void handle(int sig, uint64_t more)
{
    struct action a = {on_signal, SA_SIGINFO | SA_ONSTACK | SA_RESTORER | more, restorer, 0};
    long r = S4(__NR_rt_sigaction, sig, &a, 0, 8);
    if (r)
        fail("rt_sigaction", r);
}

static void alternate_stack(void)
{
    stack_t s = {.ss_sp = (void *)MAP(0, 65536, PROT_READ | PROT_WRITE, ANON, -1),
                 .ss_size = 65536};
    S2(__NR_sigaltstack, &s, 0);
}

/* ------------------------------------------------------------ threads */

#define STACK 65536
#define FLAGS                                                                           \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | \
     CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID)

struct job {
    uint64_t stack, tcs, command, argument, result;
    leaver *leave;
    uint32_t tid;
};

static void worker(uint64_t argument)
{
    struct job *j = (struct job *)argument;
    const uint64_t stack = j->stack;
    leaver *leave = j->leave;
    alternate_stack();
    j->result = way_mov32(base + j->tcs, j->command, j->argument);
    leave(stack, STACK);
}

static void start(struct job *j)
{
    j->stack = (uint64_t)MAP(0, STACK, PROT_READ | PROT_WRITE, ANON, -1);
    j->tid = 1;
    int r = thread(FLAGS, j->stack + STACK, worker, (uint64_t)j, &j->tid);
    if (r < 0)
        fail("clone", r);
}

static void join(struct job *j)
{
    uint32_t tid;
    while ((tid = __atomic_load_n(&j->tid, __ATOMIC_SEQ_CST)))
        S4(__NR_futex, &j->tid, FUTEX_WAIT, tid, 0);
}

static void hand_made_exits(void)
{
    leaver *const all[] = {unmap_self, protect_self, remap_self, cover_self, unmap_self_wild};
    uint64_t counted = 0;
    for (int round = 0; round < 50; round++) {
        struct job j[4] = {0};
        for (int i = 0; i < 4; i++) {
            j[i] = (struct job){
                .tcs = TCS(i), .command = COUNT, .argument = 1, .leave = all[(round + i) % 5]};
            start(&j[i]);
        }
        for (int i = 0; i < 4; i++) {
            join(&j[i]);
            counted += j[i].result > 0;
        }
    }
    report("threads that end on no stack", counted, 200);
    report("their last calls", gone_well, 160);
}

static void storm(void)
{
    struct job j[4] = {0};
    volatile uint32_t flag = 0;
    const long pid = S1(__NR_getpid, 0);
    for (int i = 1; i < 4; i++) {
        j[i] = (struct job){
            .tcs = TCS(i), .command = SPIN, .argument = (uint64_t)&flag, .leave = unmap_self};
        start(&j[i]);
    }
    const uint32_t before = inside;
    for (uint32_t i = 0; inside < before + 300 && i < 100000; i++) {
        S3(__NR_tgkill, pid, j[1 + i % 3].tid, i & 1 ? SIGUSR2 : SIGCONT);
        S1(__NR_sched_yield, 0);
        if (i % 16 == 0)
            sys(__NR_nanosleep, (long)(uint64_t[2]){0, 100000}, 0, 0, 0, 0, 0);
    }
    flag = 1;
    for (int i = 1; i < 4; i++)
        join(&j[i]);
    report("events in threads inside", inside >= before + 300, 1);
}

static void dynamic_thread(void)
{
    struct sgx_enclave_modify_types q = {.offset = DYNAMIC_TCS, .length = 4096, .page_type = 1};
    map(DYNAMIC_TCS, 16, PROT_READ | PROT_WRITE);
    report("a page becomes a TCS: content", way_mov32(base + TCS(0), MAKE_TCS, 0), 0);
    report("type", (uint64_t)S3(__NR_ioctl, enclave, SGX_IOC_ENCLAVE_MODIFY_TYPES, &q), 0);
    report("accepted", way_mov32(base + TCS(0), ACCEPT_TCS, 0), 0);
    report("entered", way_mov32(base + DYNAMIC_TCS, SYSTEM_CALLS, 100), 0);
}

static void other_processes(void)
{
    const uint64_t count = way_mov32(base + TCS(0), COUNT, 0);
    long pid = sys(__NR_clone, SIGCHLD, 0, 0, 0, 0, 0);
    if (pid == 0) {
        uint64_t r = way_mov32(base + TCS(1), COUNT, 1) != count + 1;
        r += way_mov32(base + TCS(1), SYSTEM_CALLS, 20);
        S1(__NR_exit_group, r);
    }
    int status = -1;
    S4(__NR_wait4, pid, &status, 0, 0);
    report("a forked child enters", (uint64_t)status, 0);
    report("and counted", way_mov32(base + TCS(0), COUNT, 0), count + 1);
}

static void sharer(uint64_t argument)
{
    uint64_t r = way_mov32(base + TCS(2), SYSTEM_CALLS, 20);
    r += way_mov32(base + TCS(2), LAZY_HEAP, 1) > 1000000;
    S1(__NR_exit, r);
}

static void process_with_our_memory(void)
{
    uint64_t stack = (uint64_t)MAP(0, STACK, PROT_READ | PROT_WRITE, ANON, -1);
    int status = -1, pid = thread(CLONE_VM | SIGCHLD, stack + STACK, sharer, 0, 0);
    S4(__NR_wait4, pid, &status, 0, 0);
    report("a process with our memory enters", (uint64_t)status, 0);
}

static void ways_in(void)
{
    for (way *const *w = ways; w < ways_end; w++) {
        uint64_t wrong = 0;
        uint64_t count = way_mov32(base + TCS(0), COUNT, 0);
        for (int i = 0; i < 2000; i++)
            wrong += (*w)(base + TCS(0), COUNT, 1) != ++count;
        wrong += (*w)(base + TCS(0), SYSTEM_CALLS, 30);
        wrong += (*w)(base + TCS(0), COUNT, 0) != count;
        print("way ");
        number((uint64_t)(w - ways));
        report("", wrong, 0);
    }
}

static uint64_t parse(const char *s)
{
    uint64_t v = 0;
    for (; *s; s++)
        v = v << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
    return v;
}

void begin(uint64_t *sp)
{
    char **argv = (char **)(sp + 1);
    base = sp[0] > 1 ? parse(argv[1]) : 0;
    load(sp[0] > 2 && argv[2][0] == 'b');
    alternate_stack();
    handle(SIGILL, SA_NODEFER), handle(SIGSEGV, SA_NODEFER);
    handle(SIGFPE, SA_NODEFER), handle(SIGBUS, SA_NODEFER);
    handle(SIGUSR2, SA_RESTART), handle(SIGCONT, SA_RESTART), handle(SIGTERM, SA_RESTART);
    report("count", way_mov32(base + TCS(0), COUNT, 5), 5);
    report("system calls inside", way_mov32(base + TCS(0), SYSTEM_CALLS, 3000), 0);
    report("on another stack", way_mov32(base + TCS(0), OTHER_STACK, 9), EMULATED(7, 9));
    report("division", way_mov32(base + TCS(0), DIVIDE, 0), 77);
    report("signal of it", last_signal, SIGFPE);
    report("nested exceptions", way_mov32(base + TCS(0), NESTED, 0), FRAMES - 1);
    report("heap by need", way_mov32(base + TCS(0), LAZY_HEAP, 200), 199 * 200 / 2);
    report("and again", way_mov32(base + TCS(0), LAZY_HEAP, 200), 199 * 200);
    saved_tcs = base + TCS(0);
    report("ocall", way_mov32(base + TCS(0), OCALL, (uint64_t)ocall_target), 42);
    dynamic_thread();
    ways_in();
    storm();
    hand_made_exits();
    other_processes();
    process_with_our_memory();
    S1(__NR_exit_group, failures != 0);
    for (;;)
        ;
}

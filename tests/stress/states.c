/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Registers, flags, stacks, handlers and masks as no compiler makes them, at calls, faults and
 * signals: states FIRST COUNT [-v] makes the states of these numbers, each from its number alone,
 * and prints a hash of what came of each hundred; with -v, what came of each. Natively and inside
 * the two must be equal (tests/e2e/test_states.py). Linked without ASLR's help, with its memory at
 * fixed addresses, so that every register can be compared.
 *
 * A child makes one state after the other and goes back to its loop from handlers; when a state
 * kills it, that is the outcome, and the next child goes on.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "states_actions.h"

/* ---- memory at fixed addresses ---- */

#define BASE        0x210000000000UL
#define STACK       (BASE + 0x100000) /* nothing around it */
#define STACK_SIZE  0x10000UL
#define SMALL       (BASE + 0x200000)
#define SMALL_SIZE  0x1000UL
#define READ_ONLY   (BASE + 0x300000)
#define ALTERNATE   (BASE + 0x400000) /* alternate stacks */
#define TRAPPING    (BASE + 0x500000) /* code that is no file's */
#define PROGRESS    (BASE + 0x600000)
#define NON_CANON   0x8000000000001000UL
#define KERNEL      0xffff888000001000UL
#define HANDLER_MAX 40 /* signals to one state */

#define BLOCK 100

/* Shared by the children and their parent. */
struct progress {
    uint64_t index;
    uint64_t hash; /* of the block */
    size_t used;
    char text[65536]; /* of the state */
};
static struct progress *now;
static pid_t self;
static bool verbose;

__attribute__((format(printf, 1, 2))) static void tell(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(now->text + now->used, sizeof(now->text) - now->used, fmt, ap);
    va_end(ap);
    now->used += (size_t)n < sizeof(now->text) - now->used ? (size_t)n : 0;
}

static void finish_state(void)
{
    char line[64];
    int n = verbose ? snprintf(line, sizeof(line), "%lu: ", now->index) : 0;
    for (size_t i = 0; i < now->used; i++)
        now->hash = (now->hash ^ (unsigned char)now->text[i]) * 0x100000001b3UL;
    if (n &&
        (write(1, line, (size_t)n) != n || write(1, now->text, now->used) != (ssize_t)now->used))
        _exit(3);
    now->used = 0;
    if (++now->index % BLOCK == 0) {
        n = snprintf(line, sizeof(line), "%lu %016lx\n", now->index - BLOCK, now->hash);
        if (!verbose && write(1, line, (size_t)n) != n)
            _exit(3);
        now->hash = 0;
    }
}

/* ---- choices, from the number of the state alone ---- */

static uint64_t random_state;

static uint64_t draw(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15UL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9UL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebUL;
    return z ^ z >> 31;
}

static uint64_t below(uint64_t n)
{
    return draw() % n;
}

static bool one_in(uint64_t n)
{
    return below(n) == 0;
}

static uint64_t any_address(void)
{
    switch (below(9)) {
    case 0:
        return 0;
    case 1:
        return NON_CANON;
    case 2:
        return KERNEL + below(64);
    case 3:
        return below(4096);
    case 4:
        return 0x800000000000UL - below(3) * 8;
    case 5:
        return READ_ONLY + below(4096);
    case 6:
        return BASE - 0x10000 + below(16);
    case 7:
        return SMALL + below(4096);
    default:
        return STACK + below(STACK_SIZE);
    }
}

static uint64_t any_value(void)
{
    switch (below(5)) {
    case 0:
        return any_address();
    case 1:
        return below(512);
    case 2:
        return (uint64_t)0 - below(512);
    case 3:
        return 1UL << below(64);
    default:
        return draw();
    }
}

static uint64_t any_stack(void)
{
    switch (below(18)) {
    case 0:
        return any_address();
    case 1:
        return SMALL + 4096 - below(64) * 8;
    case 2:
        return STACK + below(0x2000); /* little room, or none */
    case 3:
        return STACK + STACK_SIZE - below(3) * 8;
    case 4:
        return ALTERNATE + below(0x10000);
    case 5:
        return STACK + 0x8000 + below(0x4000);
    default:
        return STACK + 0x8000 + below(0x400) * 8;
    }
}

static uint64_t any_flags(void)
{
    uint64_t flags = 0x202 | (draw() & 0x8d5);
    if (one_in(8))
        flags |= 0x40000; /* AC */
    if (one_in(6))
        flags |= 0x100; /* TF */
    if (one_in(4))
        flags |= 0x400; /* DF */
    if (one_in(6))
        flags |= 0x4000; /* NT */
    if (one_in(6))
        flags |= 0x200000; /* ID */
    return flags;
}

/* ---- what handlers do ---- */

enum { GO_BACK, RETURN, SKIP, SPOIL };
static int manner, signals_seen;
static bool raising;

struct action { /* of rt_sigaction */
    uint64_t handler, flags, restorer, mask;
};

/* Only `raise` holds process ids, in %rsi and %rdi, and no random values beside. */
static uint64_t normal(uint64_t v, bool may_be_pid)
{
    return raising && may_be_pid && v == (uint64_t)self ? 0xdddd : v;
}

static void tell_context(const ucontext_t *uc, const siginfo_t *info)
{
    const greg_t *g = uc->uc_mcontext.gregs;
    for (int i = 0; i < REG_CR2 + 1; i++)
        tell("%lx ", normal((uint64_t)g[i], i == REG_RDI || i == REG_RSI));
    tell("flags %lx stack %p %x %zx mask %lx fp %lx", uc->uc_flags, uc->uc_stack.ss_sp,
         (unsigned)uc->uc_stack.ss_flags, uc->uc_stack.ss_size, *(const uint64_t *)&uc->uc_sigmask,
         (uint64_t)uc->uc_mcontext.fpregs);
    const uint32_t *fp = (const uint32_t *)uc->uc_mcontext.fpregs;
    tell(" mxcsr %x cw %x sw %x %x %x %x", fp[6], fp[0], fp[116], fp[117], fp[118], fp[120]);
    tell(" magic2 %x", *(const uint32_t *)((const char *)fp + fp[120]));
    if (info->si_code > 0)
        tell(" addr %lx", (uint64_t)info->si_addr);
    tell("\n");
}

/* 32-bit code would come to 32-bit calls, which the library OS refuses. */
static uint16_t not_32bit(uint64_t cs)
{
    return (uint16_t)((cs & 0xfff8) == 0x20 ? cs ^ 8 : cs);
}

static void spoil(ucontext_t *uc)
{
    greg_t *g = uc->uc_mcontext.gregs;
    char *fp = (char *)uc->uc_mcontext.fpregs;
    uint64_t *header = (uint64_t *)(fp + 512);
    g[REG_RIP] = (greg_t)(uintptr_t)landing;
    switch (below(19)) {
    case 0:
        g[REG_RIP] = (greg_t)any_address();
        break;
    case 1:
        g[REG_RSP] = (greg_t)any_stack();
        break;
    case 2:
        g[REG_EFL] = (greg_t)draw();
        break;
    case 3:
        ((uint16_t *)&g[REG_CSGSFS])[0] = not_32bit(one_in(2) ? draw() : below(64));
        break;
    case 4:
        ((uint16_t *)&g[REG_CSGSFS])[3] = (uint16_t)(one_in(2) ? draw() : below(64));
        break;
    case 5:
        uc->uc_flags = below(8);
        ((uint16_t *)&g[REG_CSGSFS])[3] = (uint16_t)below(64);
        break;
    case 6:
        uc->uc_mcontext.fpregs = (void *)any_address();
        break;
    case 7:
        uc->uc_mcontext.fpregs = (void *)(fp + below(65));
        break;
    case 8:
        ((uint32_t *)fp)[6] = (uint32_t)(one_in(2) ? draw() : 1UL << below(32));
        break;
    case 9:
        header[0] = one_in(2) ? draw() : 1UL << below(64);
        break;
    case 10:
        header[1 + below(2)] = one_in(2) ? draw() : 1UL << below(64);
        break;
    case 11:
        ((uint32_t *)fp)[116 + below(5)] ^= 1U << below(32);
        break;
    case 12:
        ((uint32_t *)fp)[116 + below(5)] = (uint32_t)below(4096);
        break;
    case 13:
        *(uint32_t *)(fp + ((uint32_t *)fp)[120]) ^= 1;
        break;
    case 14:
        uc->uc_stack.ss_sp = (void *)any_address();
        uc->uc_stack.ss_flags = (int)below(4);
        break;
    case 15:
        uc->uc_stack.ss_size = below(8192);
        break;
    case 16:
        *(uint64_t *)&uc->uc_sigmask = draw();
        break;
    case 17:
        g[REG_RIP] = (greg_t)(uintptr_t)actions[below(4)];
        g[REG_RAX] = 24;
        break;
    default:
        for (int i = 0; i <= REG_RCX; i++)
            if (i != REG_RSP && !(raising && (i == REG_RDI || i == REG_RSI)))
                g[i] = (greg_t)any_value();
        g[REG_EFL] = (greg_t)any_flags();
        break;
    }
}

/* Called by on_signal, on a stack of its own. 0: back to the loop; 1: return from the handler. */
__attribute__((used)) static int seen(int sig, siginfo_t *info, ucontext_t *uc) __asm__("seen");
static int seen(int sig, siginfo_t *info, ucontext_t *uc)
{
    tell("  signal %d code %d at %lx rax %lx flags %lx ", sig, info->si_code, entered.rsp,
         entered.rax, entered.flags);
    tell("rsi %lx rdx %lx rbx %lx r11 %lx: ", entered.rsi - entered.rsp, entered.rdx - entered.rsp,
         entered.rbx, entered.r11);
    tell_context(uc, info);
    if (manner == GO_BACK || ++signals_seen > HANDLER_MAX)
        return 0;
    if (sig == SIGTRAP && info->si_code == TRAP_TRACE && manner != SPOIL)
        return 1;
    if (manner == SKIP)
        uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)landing;
    if (manner == SPOIL)
        spoil(uc);
    if (manner == RETURN && info->si_code > 0) { /* else it faults again for ever */
        uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)landing;
        uc->uc_mcontext.gregs[REG_RSP] = (greg_t)any_stack();
    }
    return 1;
}

/* ---- a state ---- */

static long call(long nr, long a, long b, long c, long d)
{
    long r = syscall(nr, a, b, c, d);
    return r == -1 ? -errno : r;
}

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGUSR1, SIGUSR2};
#define SIGNALS (sizeof(signals) / sizeof(*signals))

static void choose_handlers(void)
{
    for (size_t i = 0; i < SIGNALS; i++) {
        struct action a = {(uint64_t)on_signal, SA_SIGINFO | 0x04000000, (uint64_t)restorer, 0};
        if (one_in(24))
            a.handler = below(2);
        bool bad = one_in(60);
        if (bad)
            a.handler = any_address();
        if (one_in(60))
            a.restorer = any_address();
        if (one_in(80))
            a.flags &= ~0x04000000UL;
        if (one_in(2))
            a.flags |= SA_ONSTACK;
        if (one_in(6) && !bad) /* which could go round on the alternate stack for ever */
            a.flags |= SA_NODEFER;
        if (one_in(16))
            a.flags |= (uint64_t)SA_RESETHAND;
        if (one_in(8))
            a.mask = draw();
        call(SYS_rt_sigaction, signals[i], (long)&a, 0, 8);
    }
}

static void choose_altstack(void)
{
    stack_t off = {.ss_flags = SS_DISABLE};
    stack_t ss = {.ss_sp = (void *)(ALTERNATE + below(0x400)), .ss_size = 0xf000};
    call(SYS_sigaltstack, (long)&off, 0, 0, 0);
    if (one_in(3))
        return;
    switch (below(8)) {
    case 0:
        ss.ss_size = below(8192);
        break;
    case 1:
        ss.ss_size = 3000 + below(1500);
        break;
    case 2:
        ss.ss_sp = (void *)any_address();
        break;
    case 3:
        ss.ss_flags = SS_ONSTACK;
        break;
    case 4:
        ss.ss_flags = (int)(1U << 31);
        break;
    case 5:
        ss.ss_flags = (int)draw();
        break;
    }
    tell("sigaltstack %ld; ", call(SYS_sigaltstack, (long)&ss, 0, 0, 0));
}

/* The action's own needs. Returns whether the child must not go on. */
static bool prepare(size_t action)
{
    const char *name = names[action];
    raising = strcmp(name, "raise") == 0;
    if (raising) {
        in.rdi = in.rsi = (uint64_t)self;
        in.rdx = (uint64_t)signals[below(SIGNALS)];
    } else if (strncmp(name, "bare", 4) == 0 || strcmp(name, "pushed") == 0) {
        static const uint64_t numbers[] = {24, 9999, (uint64_t)-1, 1UL << 32 | 24, 0x40000027, 15};
        in.rax = numbers[below(6)];
        if (one_in(3))
            in_action = TRAPPING;
    } else if (strcmp(name, "vsyscall") == 0) {
        in.rdi = in.rsi = 0;
    } else if (strcmp(name, "selgs") == 0 || strcmp(name, "ds") == 0) {
        in.rdx = one_in(2) ? 0x2b : 0;
    } else if (strcmp(name, "far") == 0) {
        far_pointer[0] = (uint64_t)landing | (uint64_t)not_32bit(one_in(2) ? 0x33 : draw() & 0xfff8)
                                                 << 32;
    }
    return strstr(name, "gs") && strcmp(name, "swapgs") != 0;
}

static void make_state(uint64_t index)
{
    uint64_t *r = (uint64_t *)&in;
    random_state = index * 0x2545f4914f6cdd1dUL;
    for (size_t i = 0; i < sizeof(in) / 8; i++)
        r[i] = any_value();
    in.rsp = any_stack();
    in.flags = any_flags();
    size_t action = one_in(3) ? below(10) : below(ACTION_COUNT);
    in_action = (uint64_t)actions[action];
    if (one_in(2))
        in.rsi = STACK + 0x100 + below(16);
    bool last = prepare(action);
    manner = (int)below(4);
    signals_seen = 0;
    memset((void *)STACK, 0, STACK_SIZE);
    memset((void *)SMALL, 0, SMALL_SIZE);
    memset((void *)ALTERNATE, 0, STACK_SIZE);
    tell("%s manner %d rsp %lx flags %lx; ", names[action], manner, in.rsp, in.flags);
    choose_handlers();
    choose_altstack();
    uint64_t mask = one_in(6) ? draw() & draw() : 0, pending;
    call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, 8);
    long landed = run_state();
    __asm__ volatile("fninit; ldmxcsr %0" : : "m"(*(const uint32_t[]){0x1f80}));
    uint64_t none = 0, all = ~0UL;
    stack_t now_set;
    call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&mask, 8);
    call(SYS_sigaltstack, 0, (long)&now_set, 0, 0);
    tell("  end %ld mask %lx stack %p %x %zx", landed, mask, now_set.ss_sp,
         (unsigned)now_set.ss_flags, now_set.ss_size);
    call(SYS_rt_sigpending, (long)&pending, 8, 0, 0);
    for (size_t i = 0; i < SIGNALS; i++) { /* what is pending goes with its handler */
        struct action ignore = {.handler = 1};
        call(SYS_rt_sigaction, signals[i], (long)&ignore, 0, 8);
    }
    call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8);
    tell(" pending %lx", pending);
    for (size_t i = 0; landed && i < sizeof(out) / 8; i++)
        tell(" %lx", normal(((uint64_t *)&out)[i], i == 4 || i == 5));
    tell("\n");
    finish_state();
    if (last)
        _exit(0);
}

static void map_memory(void)
{
    static const struct {
        uint64_t at, size;
        int prot;
    } maps[] = {{STACK, STACK_SIZE, PROT_READ | PROT_WRITE},
                {SMALL, SMALL_SIZE, PROT_READ | PROT_WRITE},
                {READ_ONLY, 4096, PROT_READ},
                {ALTERNATE, STACK_SIZE, PROT_READ | PROT_WRITE},
                {TRAPPING, 4096, PROT_READ | PROT_WRITE | PROT_EXEC}};
    for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++)
        if (mmap((void *)maps[i].at, maps[i].size, maps[i].prot,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != (void *)maps[i].at) {
            perror("states: mmap");
            exit(2);
        }
    static const unsigned char code[] = {0x0f, 0x05, 0xff, 0x25, 0, 0, 0, 0}; /* jmp *0(%rip) */
    uint64_t back = (uint64_t)landing;
    memcpy((void *)TRAPPING, code, sizeof(code));
    memcpy((void *)(TRAPPING + sizeof(code)), &back, sizeof(back));
    now = mmap((void *)PROGRESS, sizeof(*now), PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/* Calls from the sites of the actions, so that the children find them rewritten. */
static void warm_up(void)
{
    for (int round = 0; round < 4; round++)
        for (size_t i = 0; i < ACTION_COUNT; i++) {
            bool call_site = i < 4 || strncmp(names[i], "bare", 4) == 0;
            if (!call_site)
                continue;
            memset(&in, 0, sizeof(in));
            in.rax = 24;
            in.rsp = STACK + 0x8000;
            in.flags = 0x202;
            in_action = (uint64_t)actions[i];
            run_state();
        }
}

static pid_t child;

static void too_long(int sig)
{
    (void)sig;
    kill(child, SIGKILL);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: states FIRST COUNT [-v]\n");
        return 2;
    }
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    verbose = argc > 3;
    map_memory();
    warm_up();
    now->index = strtoull(argv[1], NULL, 10);
    uint64_t end = now->index + strtoull(argv[2], NULL, 10);
    signal(SIGALRM, too_long);
    while (now->index < end) {
        int status;
        child = fork();
        if (child == 0) {
            self = getpid();
            while (now->index < end)
                make_state(now->index);
            _exit(0);
        }
        alarm(60);
        while (child < 0 || waitpid(child, &status, 0) != child)
            if (errno != EINTR)
                return 3;
        alarm(0);
        if (now->used || status) {
            tell(" ended by %#x\n", status);
            finish_state();
        }
    }
    return 0;
}

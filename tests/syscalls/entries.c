/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Odd registers, one kind after the other: handlers and restorers that are none, flags at calls,
 * single-stepping over calls, alternate stacks that are too small, GS bases, instructions that
 * enter a kernel in other ways. tests/stress/states.c tries them all at once.
 */
#include "check.h"
#include <asm/prctl.h>
#include <setjmp.h>
#include <ucontext.h>

struct kernel_action {
    uintptr_t handler;
    unsigned long flags;
    uintptr_t restorer;
    unsigned long mask;
};

#define WITH_RESTORER 0x04000000ul
#define RESTORER      ((uintptr_t)back_to_kernel)

__asm__(".text\n"
        "back_to_kernel: mov $15, %eax; syscall\n"
        "step_calls: pushfq; orq $0x100, (%rsp); popfq\n"
        "mov $39, %eax; syscall; mov $110, %eax; syscall; xor %eax, %eax\n"
        "step_bare: syscall\n"
        "pushfq; andq $~0x100, (%rsp); popfq\n"
        "ret; nop; nop; nop; nop; nop; nop; nop; nop\n"
        "call_gate: .long 0; .word 0x70\n");
extern char back_to_kernel[], step_calls[];

static void in_child(const char *name, void (*fn)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        fn();
        _exit(0);
    }
    NEED(waitpid(pid, &status, 0) == pid);
    show_status(name, status);
}

static void install(int sig, uintptr_t handler, unsigned long flags, uintptr_t restorer)
{
    struct kernel_action a = {handler, flags, restorer, 0};
    NEED(syscall(SYS_rt_sigaction, sig, &a, NULL, 8) == 0);
}

static void note(int sig, siginfo_t *info, void *context)
{
    (void)context;
    say("handled", "signal %d code %d", sig, info->si_code);
    _exit(7);
}

static void handler_nowhere(void)
{
    install(SIGUSR1, (uintptr_t)BAD_NONCANON, WITH_RESTORER, RESTORER);
    raise(SIGUSR1);
}

static void handler_nowhere_caught(void)
{
    install(SIGSEGV, (uintptr_t)note, SA_SIGINFO | WITH_RESTORER, RESTORER);
    handler_nowhere();
}

static void no_restorer(void)
{
    install(SIGUSR1, (uintptr_t)note, SA_SIGINFO, 0);
    raise(SIGUSR1);
}

static void do_nothing(int sig)
{
    (void)sig;
}

static void restorer_nowhere(void)
{
    install(SIGUSR1, (uintptr_t)do_nothing, WITH_RESTORER, (uintptr_t)BAD_NONCANON);
    raise(SIGUSR1);
}

/* The alternate stack lies at the end of accessible memory before it. */
static char *small_stack(size_t size, int flags)
{
    char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t ss = {.ss_sp = p + 32768, .ss_size = size, .ss_flags = flags};
    NEED(p != MAP_FAILED);
    NEED(sigaltstack(&ss, NULL) == 0);
    return p;
}

static void small_altstack(void)
{
    small_stack(2048, 0);
    install(SIGUSR1, (uintptr_t)note, SA_SIGINFO | SA_ONSTACK | WITH_RESTORER, RESTORER);
    raise(SIGUSR1);
}

static void small_altstack_caught(void)
{
    install(SIGSEGV, (uintptr_t)note, SA_SIGINFO | WITH_RESTORER, RESTORER);
    small_altstack();
}

static void altstack_rules(int sig, siginfo_t *info, void *context)
{
    stack_t now, off = {.ss_flags = SS_DISABLE};
    const stack_t *seen = &((ucontext_t *)context)->uc_stack;
    (void)sig, (void)info;
    TRY("alternate stack in a handler", sigaltstack(NULL, &now));
    say("alternate stack in a handler", "%x size %zu, in the frame %x size %zu",
        (unsigned)now.ss_flags, now.ss_size, (unsigned)seen->ss_flags, seen->ss_size);
    TRY("changed in a handler", sigaltstack(&off, NULL));
}

static void rules(void)
{
    stack_t small = {.ss_sp = &small, .ss_size = 2047}, odd = {.ss_flags = 8, .ss_size = 65536};
    stack_t now;
    TRY("too small", sigaltstack(&small, NULL));
    TRY("flags that are none", sigaltstack(&odd, NULL));
    handle_info(SIGUSR1, altstack_rules, SA_ONSTACK);
    for (int i = 0; i < 3; i++) {
        small_stack(32768, (int[]){0, SS_ONSTACK, (int)(1u << 31)}[i]);
        raise(SIGUSR1);
        TRY("after the handler", sigaltstack(NULL, &now));
        say("after the handler", "%x size %zu", (unsigned)now.ss_flags, now.ss_size);
    }
}

static volatile sig_atomic_t steps;
static volatile unsigned long path;

static void step(int sig, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)sig, (void)info;
    steps++;
    path = path * 31 + ((unsigned long)g[REG_RIP] - (uintptr_t)step_calls);
}

/* Each round the sites are nearer to being rewritten. */
static void stepping(void)
{
    handle_info(SIGTRAP, step, 0);
    for (int i = 0; i < 6; i++) {
        long r = 0;
        steps = 0, path = 0;
        __asm__ volatile("sub $128, %%rsp; call step_calls; add $128, %%rsp"
                         : "=a"(r)
                         : "D"(-1L), "S"(0L), "d"(0L)
                         : "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
        say("single steps", "%d, path %lx, result %ld", (int)steps, path, r);
    }
}

static void flags_at_calls(void)
{
    static const unsigned long flags[] = {0x40000, 0x400, 0x4000, 0x200000, 0x44c00, 0};
    for (int round = 0; round < 4; round++)
        for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
            unsigned long after, r11, rcx, here;
            struct timespec t = {0, 1000};
            long r = SYS_nanosleep;
            __asm__ volatile("sub $128, %%rsp; pushfq; orq %[add], (%%rsp); popfq\n"
                             "syscall\n"
                             "1: pushfq; pop %[after]; pushq $0x202; popfq\n"
                             "lea 1b(%%rip), %[here]; mov %%r11, %[r11]; add $128, %%rsp"
                             : "+a"(r), [after] "=&r"(after), [r11] "=&r"(r11), [here] "=&r"(here),
                               "=c"(rcx)
                             : "D"(&t), "S"(0L), [add] "r"(flags[i])
                             : "r11", "memory", "cc");
            say("flags at a call", "%lx: %ld, after it %lx, r11 %lx, rcx %d", flags[i], r,
                after & 0x244c00, r11 & 0x244c00, rcx == here);
        }
}

static void gs(void)
{
    static unsigned long word[8] = {0x1234, 5, 6, 7, 8, 9, 10, 11}, other = 0x4321;
    unsigned long base = 1, value = 0;
    TRY("ARCH_SET_GS", syscall(SYS_arch_prctl, ARCH_SET_GS, word));
    for (int i = 0; i < 4; i++) {
        getppid();
        __asm__ volatile("mov %%gs:0, %0" : "=r"(value));
        say("by %gs", "%lx", value);
    }
    TRY("ARCH_GET_GS", syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
    CHECK("the same base", base == (uintptr_t)word);
    pid_t pid = fork();
    if (pid == 0) {
        __asm__ volatile("mov %%gs:8, %0" : "=r"(value));
        say("by %gs in a child", "%lx", value);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    SYS("a base of the kernel's", SYS_arch_prctl, ARCH_SET_GS, BAD_KERNEL);
    __asm__ volatile("mov %0, %%gs" : : "r"(0)); /* the base is 0 then, or stays */
    TRY("ARCH_SET_GS again", syscall(SYS_arch_prctl, ARCH_SET_GS, &other));
    __asm__ volatile("mov %%gs:0, %0" : "=r"(value));
    say("by %gs", "%lx", value);
    for (int i = 1; i < 8; i++)
        if (word[i] != (unsigned long)i + 4)
            say("a word changed", "%d", i);
}

static sigjmp_buf out;

static void tell(int sig, siginfo_t *info, void *context)
{
    const greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    say("refused", "signal %d code %d trap %lld error %llx", sig, info->si_code,
        (long long)g[REG_TRAPNO], (long long)g[REG_ERR]);
    siglongjmp(out, 1);
}

#define REFUSED(name, code)                                             \
    do {                                                                \
        say("instruction", name);                                       \
        if (sigsetjmp(out, 1) == 0)                                     \
            __asm__ volatile(code : : : "memory", "rax", "rcx", "rdx"); \
    } while (0)

static void ways_in(void)
{
    for (int sig = 1; sig < 32; sig++)
        if (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGTRAP || sig == SIGFPE)
            handle_info(sig, tell, 0);
    for (int i = 0; i < 2; i++) {
        REFUSED("int3", "int3");
        REFUSED("int $3", ".byte 0xcd, 3");
        REFUSED("icebp", ".byte 0xf1");
        REFUSED("int $0x81", "int $0x81");
        REFUSED("into", ".byte 0xce");
        REFUSED("hlt", "hlt");
        REFUSED("cli", "cli");
        REFUSED("in", "in $0x70, %%al");
        REFUSED("out", "out %%al, $0x70");
        REFUSED("sysret", "sysretq");
        REFUSED("swapgs", "swapgs");
        REFUSED("call gate", "lcall *call_gate(%%rip)");
    }
    for (volatile int i = 0; i < 4; i++) {
        SYS("x32 number", 0x40000000 | SYS_getpid);
        long (*get_cpu)(void *, void *, void *) = opaque(0xffffffffff600800);
        if (sigsetjmp(out, 1) == 0)
            VALUE("vsyscall", get_cpu(NULL, NULL, NULL));
    }
}

/* Served natively, refused inside: only asked for by a second argument. */
static void call_32bit(void)
{
    handle_info(SIGSEGV, tell, 0);
    for (int i = 0; i < 3; i++) {
        long r = 20; /* getpid there, writev here */
        if (sigsetjmp(out, 1) == 0)
            __asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
        say("int $0x80", "%ld", r);
    }
}

int main(int argc, char **argv)
{
    start(argc, argv);
    if (argc > 2) {
        call_32bit();
        return 0;
    }
    in_child("handler at no address", handler_nowhere);
    in_child("handler at no address, SIGSEGV caught", handler_nowhere_caught);
    in_child("no restorer", no_restorer);
    in_child("restorer at no address", restorer_nowhere);
    in_child("alternate stack too small for the frame", small_altstack);
    in_child("the same, SIGSEGV caught", small_altstack_caught);
    rules();
    stepping();
    flags_at_calls();
    gs();
    ways_in();
    return 0;
}

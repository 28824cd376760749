/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Synchronous signals: which, with what si_code and address, and death by them. */
#include "check.h"
#include <setjmp.h>
#include <ucontext.h>

static sigjmp_buf out;
static siginfo_t seen;
static unsigned long trap, cr2;
static unsigned long error; /* bit 0, whether the page was there, is nobody's business */

static void on_fault(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    seen = *info;
    trap = (unsigned long)u->uc_mcontext.gregs[REG_TRAPNO];
    error = (unsigned long)u->uc_mcontext.gregs[REG_ERR];
    cr2 = (unsigned long)u->uc_mcontext.gregs[REG_CR2];
    siglongjmp(out, sig);
}

/* Runs the statement, prints what it raised; the address is printed as an offset from base. */
#define FAULT(name, base, statement)                                                           \
    do {                                                                                       \
        int sig_ = sigsetjmp(out, 1);                                                          \
        if (sig_ == 0) {                                                                       \
            statement;                                                                         \
            say(name, "no fault");                                                             \
        } else {                                                                               \
            say(name, "SIG%s code %d address +%ld trap %lu", sigabbrev_np(sig_), seen.si_code, \
                (long)((uintptr_t)seen.si_addr - (uintptr_t)(base)), trap);                    \
        }                                                                                      \
    } while (0)

#define READ(p)  ((void)*(volatile char *)(p))
#define WRITE(p) (*(volatile char *)(p) = 1)

__asm__(".text\n"
        "f_ud: ud2\n ret\n"
        "f_int3: int3\n ret\n"
        "f_div: xor %edx, %edx; mov $1, %eax; xor %ecx, %ecx\n"
        "f_div_at: div %ecx\n ret\n"
        "f_hlt: hlt\n ret\n"
        "f_in: in $0x80, %al\n ret\n"
        "f_int1: .byte 0xf1\n ret\n"
        "f_step: pushfq; orq $0x100, (%rsp); popfq\n"
        "nop\n"
        "f_step_at: nop\n ret\n");
extern char f_ud[], f_int3[], f_div[], f_div_at[], f_hlt[], f_in[], f_int1[], f_step[], f_step_at[];

static void call(void *p)
{
    ((void (*)(void))(uintptr_t)p)();
}

static void memory(void)
{
    char *volatile p =
        mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(p != MAP_FAILED && mprotect(p + PAGE, PAGE, PROT_READ) == 0);
    NEED(mprotect(p + 2 * PAGE, PAGE, PROT_NONE) == 0 && munmap(p + 3 * PAGE, PAGE) == 0);
    FAULT("NULL read", 0, READ(BAD_NULL));
    say("its error code", "%#lx", error & ~1ul);
    FAULT("low write", 0, WRITE(opaque(0x123)));
    say("its error code", "%#lx", error & ~1ul);
    FAULT("unmapped", p, READ(p + 3 * PAGE + 5));
    CHECK("cr2 is the address", cr2 == (uintptr_t)p + 3 * PAGE + 5);
    FAULT("read-only", p, WRITE(p + PAGE + 7));
    say("its error code", "%#lx", error & ~1ul);
    FAULT("no access", p, READ(p + 2 * PAGE));
    say("its error code", "%#lx", error & ~1ul);
    FAULT("non-canonical", 0, READ(BAD_NONCANON));
    FAULT("kernel", 0xffffffff80000000, READ(BAD_KERNEL));
    FAULT("jump into data", p, call(p + 64));
    say("its error code", "%#lx", error & ~1ul);
    FAULT("jump to NULL", 0, call(BAD_NULL));
    FAULT("jump to unmapped", p, call(p + 3 * PAGE));
    FAULT("word over two pages", p, *(volatile long *)opaque((uintptr_t)p + 2 * PAGE - 4));
    FAULT("write code", f_ud, WRITE(f_ud));
    char *volatile m =
        mmap(NULL, PAGE, PROT_READ, MAP_SHARED, open("f", O_RDWR | O_CREAT, 0600), 0);
    FAULT("beyond the file", m, READ(m + 9));
    FAULT("all is well", 0, READ(p));
}

static void instructions(void)
{
    FAULT("ud2", f_ud, call(f_ud));
    FAULT("int3", 0, call(f_int3));
    FAULT("divide", f_div_at, call(f_div));
    FAULT("privileged", 0, call(f_hlt));
    FAULT("port", 0, call(f_in));
    FAULT("single step", f_step_at, call(f_step));
    __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
    volatile double zero = 0;
    unsigned mxcsr = 0x1f80 & ~0x200u, usual = 0x1f80; /* division by zero unmasked */
    int sig = sigsetjmp(out, 1);
    if (sig == 0) {
        __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
        volatile double r = 1.0 / zero;
        (void)r;
        say("floating division", "no fault");
    } else {
        say("floating division", "SIG%s code %d trap %lu", sigabbrev_np(sig), seen.si_code, trap);
    }
    __asm__ volatile("ldmxcsr %0" : : "m"(usual));
}

static void die(const char *name, void (*what)(void), int setup)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        sigset_t s;
        signal(SIGSEGV, setup == 1 ? SIG_IGN : SIG_DFL);
        signal(SIGILL, SIG_DFL);
        signal(SIGFPE, SIG_DFL);
        signal(SIGTRAP, SIG_DFL);
        sigfillset(&s);
        if (setup == 2)
            sigprocmask(SIG_SETMASK, &s, NULL);
        what();
        _exit(0);
    }
    waitpid(child, &status, 0);
    show_status(name, status);
}

static void do_null(void)
{
    WRITE(BAD_NULL);
}

static void do_ud(void)
{
    call(f_ud);
}

static void do_divide(void)
{
    call(f_div);
}

static void do_int3(void)
{
    call(f_int3);
}

static void do_abort(void)
{
    abort();
}

static void deaths(void)
{
    die("SIGSEGV by default", do_null, 0);
    die("SIGSEGV ignored", do_null, 1);
    die("SIGSEGV blocked", do_null, 2);
    die("SIGILL by default", do_ud, 0);
    die("SIGFPE by default", do_divide, 0);
    die("SIGTRAP by default", do_int3, 0);
    die("SIGILL blocked", do_ud, 2);
    die("abort", do_abort, 0);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    const int sigs[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
        handle_info(sigs[i], on_fault, 0);
    memory();
    instructions();
    deaths();
    return 0;
}

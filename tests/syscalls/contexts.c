/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signal contexts: reading and changing them, floating-point and vector state, long jumps. */
#include "check.h"
#include <fenv.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile sig_atomic_t count;
static volatile unsigned long seen_rip, seen_r12;

__asm__(".text\n"
        "c_ud: mov $7, %eax; mov $0x1234, %r12d; ud2\n"
        "c_after: ret\n");
extern char c_after[];
/* Returns %rax; %r12 is free to change. */
static long run_ud(void)
{
    long r;
    __asm__ volatile("sub $128, %%rsp; call c_ud; add $128, %%rsp"
                     : "=a"(r)
                     :
                     : "r12", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    return r;
}

static void skip(int sig, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    (void)sig, (void)info;
    seen_rip = (unsigned long)g[REG_RIP];
    seen_r12 = (unsigned long)g[REG_R12];
    g[REG_RIP] += 2;
    g[REG_RAX] = 99;
}

static void block_more(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info;
    sigaddset(&((ucontext_t *)context)->uc_sigmask, SIGUSR2);
}

static void changing(void)
{
    sigset_t now, none;
    handle_info(SIGILL, skip, 0);
    VALUE("changed result", run_ud());
    CHECK("address in the context", seen_rip == (uintptr_t)c_after - 2);
    VALUE("register in the context", seen_r12);
    handle_info(SIGUSR1, block_more, 0);
    raise(SIGUSR1);
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK("mask from the context", sigismember(&now, SIGUSR2) == 1);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static volatile double waste;

static void spoil(int sig)
{
    (void)sig;
    count++;
    double x = 1.5;
    for (int i = 0; i < 50; i++)
        x = x * 1.01 + i;
    waste = x;
    unsigned mxcsr = 0x7f80;
    unsigned short control = 0x0c7f;
    __asm__ volatile("ldmxcsr %0; fldcw %1\n"
                     "pxor %%xmm0, %%xmm0; pxor %%xmm1, %%xmm1; pxor %%xmm7, %%xmm7\n"
                     "pxor %%xmm8, %%xmm8; pxor %%xmm15, %%xmm15; fldpi; fldpi"
                     :
                     : "m"(mxcsr), "m"(control)
                     : "xmm0", "xmm1", "xmm7", "xmm8", "xmm15");
}

static void floating(void)
{
    struct itimerval tick = {{0, 500}, {0, 500}}, off = {0};
    handle(SIGALRM, spoil, SA_RESTART);
    setitimer(ITIMER_REAL, &tick, NULL);
    double sum = 0;
    long double tail = 0;
    long long begin = now_ms();
    unsigned long bad = 0, rounds = 0;
    while (count < 20 && now_ms() - begin < 20000) {
        unsigned char in[64], out[64];
        for (int i = 0; i < 64; i++)
            in[i] = (unsigned char)(rounds + (unsigned long)i);
        __asm__ volatile("movups (%0), %%xmm0; movups 16(%0), %%xmm7\n"
                         "movups 32(%0), %%xmm8; movups 48(%0), %%xmm15\n"
                         "mov $20000, %%ecx\n"
                         "1: dec %%ecx; jnz 1b\n"
                         "movups %%xmm0, (%1); movups %%xmm7, 16(%1)\n"
                         "movups %%xmm8, 32(%1); movups %%xmm15, 48(%1)"
                         :
                         : "r"(in), "r"(out)
                         : "rcx", "memory", "xmm0", "xmm7", "xmm8", "xmm15");
        bad += memcmp(in, out, 64) != 0;
        sum += 0.5;
        tail += 0.25L;
        rounds++;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    CHECK("many signals came", count >= 20);
    VALUE("vector registers lost", bad);
    CHECK("sums are right", sum == 0.5 * (double)rounds && tail == 0.25L * (long double)rounds);
    VALUE("rounding is as before", fegetround() == FE_TONEAREST);
}

static void to_clean_state(int sig)
{
    unsigned mxcsr;
    unsigned short control;
    (void)sig;
    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(control));
    say("state in a handler", "mxcsr %#x control %#x", mxcsr & ~0x3fu, control);
}

static void handler_state(void)
{
    handle(SIGUSR1, to_clean_state, 0);
    fesetround(FE_UPWARD);
    raise(SIGUSR1);
    VALUE("rounding survives", fegetround() == FE_UPWARD);
    fesetround(FE_TONEAREST);
}

static sigjmp_buf out;

static void leave(int sig)
{
    siglongjmp(out, sig);
}

static void jumping(void)
{
    volatile int times = 0;
    handle(SIGUSR1, leave, 0);
    sigset_t now;
    for (volatile int i = 0; i < 50; i++) {
        if (sigsetjmp(out, 1) == 0)
            raise(SIGUSR1);
        else
            times++;
    }
    VALUE("long jumps", times);
    sigprocmask(SIG_SETMASK, NULL, &now);
    VALUE("mask restored", sigismember(&now, SIGUSR1));
    if (sigsetjmp(out, 0) == 0)
        raise(SIGUSR1);
    sigprocmask(SIG_SETMASK, NULL, &now);
    VALUE("mask not saved: still blocked", sigismember(&now, SIGUSR1));
    sigemptyset(&now);
    sigprocmask(SIG_SETMASK, &now, NULL);
}

static ucontext_t main_context, other_context;
static char other_stack[65536];

static void other(void)
{
    say("other context", "running");
    swapcontext(&other_context, &main_context);
    say("other context", "again");
}

static void switching(void)
{
    getcontext(&other_context);
    other_context.uc_stack.ss_sp = other_stack;
    other_context.uc_stack.ss_size = sizeof(other_stack);
    other_context.uc_link = &main_context;
    makecontext(&other_context, other, 0);
    TRY("swapcontext", swapcontext(&main_context, &other_context));
    TRY("swapcontext again", swapcontext(&main_context, &other_context));
}

static volatile int stop;
static volatile long in_calls;

static void *calling(void *arg)
{
    int p[2];
    char c;
    NEED(pipe(p) == 0);
    while (!stop) {
        if (write(p[1], "x", 1) != 1 || read(p[0], &c, 1) != 1 || c != 'x')
            *(long *)arg += 1;
        in_calls++;
    }
    return NULL;
}

static void bump(int sig)
{
    (void)sig;
    __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    getppid();
}

static void into_calls(void)
{
    pthread_t t;
    long bad = 0;
    handle(SIGUSR1, bump, SA_RESTART);
    count = 0;
    NEED(pthread_create(&t, NULL, calling, &bad) == 0);
    long sent = 0;
    while (in_calls < 10)
        sleep_ms(1);
    for (int i = 0; i < 2000; i++)
        sent += pthread_kill(t, SIGUSR1) == 0;
    stop = 1;
    pthread_join(t, NULL);
    VALUE("signals sent into calls", sent);
    CHECK("they arrived", count > 0);
    VALUE("calls disturbed", bad);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    changing();
    floating();
    handler_state();
    jumping();
    switching();
    into_calls();
    return 0;
}

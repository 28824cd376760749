/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a `syscall` instruction leaves alone: registers, flags, red zone, vector state. */
#include "check.h"
#include <immintrin.h>
#include <poll.h>

/* Register values to load, and what was found afterwards; the order is that of the code below. */
struct registers {
    unsigned long rax, rbx, rdx, rsi, rdi, rbp, r8, r9, r10, r12, r13, r14, r15, flags;
};

static struct registers regs_in __asm__("regs_in") __attribute__((used));
static struct registers regs_out __asm__("regs_out") __attribute__((used));
static unsigned long red_zone[16] __asm__("red_zone") __attribute__((used));
static unsigned long saved_sp __asm__("saved_sp") __attribute__((used));
static unsigned long stack_moved __asm__("stack_moved") __attribute__((used));

/* Loads everything, fills the red zone, calls, and stores everything with moves only. */
__asm__(".text\n"
        "call_with_registers:\n"
        "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "mov %rsp, saved_sp(%rip)\n"
        "mov regs_in(%rip), %rax\n"
        "mov regs_in+8(%rip), %rbx\n"
        "mov regs_in+16(%rip), %rdx\n"
        "mov regs_in+24(%rip), %rsi\n"
        "mov regs_in+32(%rip), %rdi\n"
        "mov regs_in+40(%rip), %rbp\n"
        "mov regs_in+48(%rip), %r8\n"
        "mov regs_in+56(%rip), %r9\n"
        "mov regs_in+64(%rip), %r10\n"
        "mov regs_in+72(%rip), %r12\n"
        "mov regs_in+80(%rip), %r13\n"
        "mov regs_in+88(%rip), %r14\n"
        "mov regs_in+96(%rip), %r15\n"
        "push regs_in+104(%rip)\n"
        "popfq\n"
        ".set i, 1\n"
        ".rept 16\n"
        "movq $0x5a5a0000 + i, -8 * i(%rsp)\n"
        ".set i, i + 1\n"
        ".endr\n"
        "syscall\n"
        "mov %rax, regs_out(%rip)\n"
        "mov %rbx, regs_out+8(%rip)\n"
        "mov %rdx, regs_out+16(%rip)\n"
        "mov %rsi, regs_out+24(%rip)\n"
        "mov %rdi, regs_out+32(%rip)\n"
        "mov %rbp, regs_out+40(%rip)\n"
        "mov %r8, regs_out+48(%rip)\n"
        "mov %r9, regs_out+56(%rip)\n"
        "mov %r10, regs_out+64(%rip)\n"
        "mov %r12, regs_out+72(%rip)\n"
        "mov %r13, regs_out+80(%rip)\n"
        "mov %r14, regs_out+88(%rip)\n"
        "mov %r15, regs_out+96(%rip)\n"
        ".set i, 1\n"
        ".rept 16\n"
        "mov -8 * i(%rsp), %rax\n"
        "mov %rax, red_zone + 8 * (i - 1)(%rip)\n"
        ".set i, i + 1\n"
        ".endr\n"
        "mov %rsp, %rax\n"
        "mov saved_sp(%rip), %rsp\n"
        "pushfq\n"
        "popq regs_out+104(%rip)\n"
        "cld\n"
        "sub %rsp, %rax\n"
        "mov %rax, stack_moved(%rip)\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n");
extern void call_with_registers(void);

#define FLAGS (0x1ul | 0x4 | 0x10 | 0x40 | 0x80 | 0x400 | 0x800) /* CF PF AF ZF SF DF OF */

static void around(const char *name, long nr, unsigned long a, unsigned long b, unsigned long c)
{
    char line[64];
    unsigned long patterns[] = {FLAGS, 0, FLAGS & ~0x400ul};
    bool kept = true, flags = true, red = true, stack = true;
    for (int round = 0; round < 6; round++) {
        regs_in = (struct registers){
            .rax = (unsigned long)nr,
            .rbx = 0xb0b0b0b0b0b0b0b0,
            .rdx = c,
            .rsi = b,
            .rdi = a,
            .rbp = 0xbebebebebebebebe,
            .r8 = 0x0808080808080808,
            .r9 = 0x0909090909090909,
            .r10 = 0,
            .r12 = 0x1212121212121212,
            .r13 = 0x1313131313131313,
            .r14 = 0x1414141414141414,
            .r15 = 0x1515151515151515,
            .flags = 0x202 | patterns[round % 3],
        };
        call_with_registers();
        kept &= memcmp(&regs_in.rbx, &regs_out.rbx, 12 * 8) == 0;
        flags &= (regs_out.flags & FLAGS) == patterns[round % 3];
        stack &= stack_moved == 0;
        for (unsigned long i = 0; i < 16; i++)
            red &= red_zone[i] == 0x5a5a0001 + i;
    }
    snprintf(line, sizeof(line), "%s: registers", name);
    CHECK(line, kept);
    snprintf(line, sizeof(line), "%s: flags", name);
    CHECK(line, flags);
    snprintf(line, sizeof(line), "%s: red zone and stack", name);
    CHECK(line, red && stack);
}

static void general(void)
{
    int p[2];
    char buf[4];
    struct timespec t = {0, 2000000}, now;
    NEED(pipe(p) == 0 && write(p[1], "123456789", 9) == 9);
    around("getppid", SYS_getppid, 1, 2, 3);
    CHECK("getppid: result", regs_out.rax == (unsigned long)getppid());
    around("no such call", 9999, 1, 2, 3);
    CHECK("no such call: result", (long)regs_out.rax == -ENOSYS);
    around("number -1", -1, 1, 2, 3);
    CHECK("number -1: result", (long)regs_out.rax == -ENOSYS);
    around("read", SYS_read, (unsigned long)p[0], (unsigned long)buf, 1);
    VALUE("read: result", regs_out.rax);
    around("bad descriptor", SYS_read, 999, (unsigned long)buf, 1);
    VALUE("bad descriptor: result", regs_out.rax);
    around("nanosleep", SYS_nanosleep, (unsigned long)&t, 0, 0);
    around("sched_yield", SYS_sched_yield, 7, 8, 9);
    around("clock_gettime", SYS_clock_gettime, CLOCK_MONOTONIC, (unsigned long)&now, 0);
    around("write nowhere", SYS_write, (unsigned long)p[1], 0x1000, 5);
    around("mmap that fails", SYS_mmap, 1, 0, 0);
    close(p[0]), close(p[1]);
}

static void vectors(const char *name, long nr, long a, long b)
{
    unsigned char in[256], out[256];
    unsigned mxcsr = 0x7f80, after = 0, old; /* flush to zero off, rounding towards zero */
    unsigned short control = 0x0c7f, control_after = 0, control_old;
    long ret = nr;
    for (int i = 0; i < 256; i++)
        in[i] = (unsigned char)(i * 37 + 11);
    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(old), "=m"(control_old));
    __asm__ volatile(
        "ldmxcsr %[mxcsr]; fldcw %[control]\n"
        "movups (%[in]), %%xmm0; movups 16(%[in]), %%xmm1\n"
        "movups 32(%[in]), %%xmm2; movups 48(%[in]), %%xmm3\n"
        "movups 64(%[in]), %%xmm4; movups 80(%[in]), %%xmm5\n"
        "movups 96(%[in]), %%xmm6; movups 112(%[in]), %%xmm7\n"
        "movups 128(%[in]), %%xmm8; movups 144(%[in]), %%xmm9\n"
        "movups 160(%[in]), %%xmm10; movups 176(%[in]), %%xmm11\n"
        "movups 192(%[in]), %%xmm12; movups 208(%[in]), %%xmm13\n"
        "movups 224(%[in]), %%xmm14; movups 240(%[in]), %%xmm15\n"
        "syscall\n"
        "movups %%xmm0, (%[out]); movups %%xmm1, 16(%[out])\n"
        "movups %%xmm2, 32(%[out]); movups %%xmm3, 48(%[out])\n"
        "movups %%xmm4, 64(%[out]); movups %%xmm5, 80(%[out])\n"
        "movups %%xmm6, 96(%[out]); movups %%xmm7, 112(%[out])\n"
        "movups %%xmm8, 128(%[out]); movups %%xmm9, 144(%[out])\n"
        "movups %%xmm10, 160(%[out]); movups %%xmm11, 176(%[out])\n"
        "movups %%xmm12, 192(%[out]); movups %%xmm13, 208(%[out])\n"
        "movups %%xmm14, 224(%[out]); movups %%xmm15, 240(%[out])\n"
        "stmxcsr %[after]; fnstcw %[control_after]\n"
        : "+a"(ret), [after] "=m"(after), [control_after] "=m"(control_after)
        : [in] "r"(in), [out] "r"(out), "D"(a), "S"(b), [mxcsr] "m"(mxcsr), [control] "m"(control)
        : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
          "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    __asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(old), "m"(control_old));
    say(name, "xmm %d mxcsr %#x control %#x", memcmp(in, out, 256) == 0, after, control_after);
}

__attribute__((target("avx"))) static void wide(const char *name, long nr, long a, long b)
{
    __m256i in = _mm256_set1_epi64x(0x1122334455667788), out;
    long ret = nr;
    __asm__ volatile("vmovdqu %[in], %%ymm9; vmovdqu %[in], %%ymm0\n"
                     "syscall\n"
                     "vxorps %%ymm0, %%ymm9, %%ymm0\n"
                     "vmovdqu %%ymm0, %[out]; vzeroupper"
                     : "+a"(ret), [out] "=m"(out)
                     : [in] "m"(in), "D"(a), "S"(b)
                     : "rcx", "r11", "memory", "xmm0", "xmm9");
    long words[4];
    memcpy(words, &out, 32);
    CHECK(name, (words[0] | words[1] | words[2] | words[3]) == 0);
}

int main(int argc, char **argv)
{
    struct timespec t = {0, 3000000};
    start(argc, argv);
    general();
    for (int i = 0; i < 3; i++) {
        vectors("vectors around getppid", SYS_getppid, 0, 0);
        vectors("vectors around nanosleep", SYS_nanosleep, (long)&t, 0);
        vectors("vectors around open", SYS_open, (long)"/etc/passwd", 0);
    }
    if (__builtin_cpu_supports("avx")) {
        wide("wide around getppid", SYS_getppid, 0, 0);
        wide("wide around nanosleep", SYS_nanosleep, (long)&t, 0);
        wide("wide around open", SYS_open, (long)"/etc/passwd", 0);
    }
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What states.c does in one state: the instructions, how they are entered, and where they end. */
#pragma once
#include <stdint.h>

struct registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rsp, flags;
};

#define SHARED(name) __asm__(#name) __attribute__((used))
static struct registers in SHARED(state_in);           /* what the state begins with */
static struct registers out SHARED(state_out);         /* what its end found */
static struct registers entered SHARED(state_entered); /* what a handler began with */
static uint64_t in_action SHARED(in_action);
static uint64_t main_sp SHARED(main_sp);
static uint64_t spare_stack[4096] SHARED(spare_stack);
static uint64_t handler_stack[8192] SHARED(handler_stack);
static uint64_t far_pointer[2] SHARED(far_pointer);

/* clang-format off */
#define STORE(to) \
    "mov %rax, " to "(%rip); mov %rbx, " to "+8(%rip); mov %rcx, " to "+16(%rip)\n" \
    "mov %rdx, " to "+24(%rip); mov %rsi, " to "+32(%rip); mov %rdi, " to "+40(%rip)\n" \
    "mov %rbp, " to "+48(%rip); mov %r8, " to "+56(%rip); mov %r9, " to "+64(%rip)\n" \
    "mov %r10, " to "+72(%rip); mov %r11, " to "+80(%rip); mov %r12, " to "+88(%rip)\n" \
    "mov %r13, " to "+96(%rip); mov %r14, " to "+104(%rip); mov %r15, " to "+112(%rip)\n" \
    "mov %rsp, " to "+120(%rip)\n"
#define CLEAN_FLAGS(to) "pushfq; popq " to "+128(%rip); pushq $2; popfq\n"
#define ACTION(name, code) ".p2align 4\na_" #name ": " code "; jmp landing; nop; nop; nop; nop; nop; nop\n"

/* name, code. Those that name an address take it from a register that the state chose. */
#define ACTIONS(X) \
    X(yield, "mov $24, %eax; syscall") \
    X(none, "mov $9999, %eax; syscall") \
    X(x32, "mov $0x40000018, %eax; syscall") \
    X(altstack, "mov $131, %eax; syscall") \
    X(sigreturn, "mov $15, %eax; syscall") \
    X(restart, "mov $219, %eax; syscall") \
    X(raise, "mov $234, %eax; syscall") \
    X(bare, "syscall") \
    X(bare2, "nop; syscall") \
    X(pushed, "push %rax; syscall; pop %rax") \
    X(ud2, "ud2") X(int3, "int3") X(int_3, ".byte 0xcd, 3") X(icebp, ".byte 0xf1") \
    X(into, ".byte 0xce") X(int4, "int $4") X(int81, "int $0x81") X(hlt, "hlt") X(cli, "cli") \
    X(sti, "sti") X(in, "in %dx, %al") X(out, "out %al, %dx") X(clts, "clts") X(sysret, "sysretq") \
    X(swapgs, "swapgs") X(cr0, "mov %cr0, %rax") X(dr7, "mov %rax, %dr7") X(wrmsr, "wrmsr") \
    X(lidt, "lidt (%rsp)") X(rdpmc, "rdpmc") X(iret, "iretq") X(lret, "lretq") \
    X(far, "ljmp *far_pointer(%rip)") X(ds, "mov %r8d, %ds; mov %edx, %ds") \
    X(es, "mov %r9d, %es") X(div, "xor %ecx, %ecx; div %ecx") X(load, "mov (%rbx), %rax") \
    X(store, "mov %rax, (%rbx)") X(odd, "mov 1(%rsi), %rax") X(stack, "mov 8(%rsp), %rax") \
    X(push, "push %rax") X(pop, "pop %rax") X(aps, "movaps 4(%rsi), %xmm0") X(jump, "jmp *%rbx") \
    X(call, "call *%rbx") X(ret, "ret") X(strings, "mov $3, %ecx; rep movsb") \
    X(popf, "popfq") X(pushf, "pushfq; pop %rax") X(cpuid, "xor %eax, %eax; cpuid; mov %eax, %ebx; mov %eax, %ecx; mov %eax, %edx") \
    X(vsyscall, "mov $0xffffffffff600800, %rax; lea landing(%rip), %rbx; call *%rax; xor %eax, %eax") \
    X(lock, ".byte 0xf0, 0x90") X(long, ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90") \
    X(fpu, "fninit; fldcw zero_word(%rip); fldz; fldz; fdivrp; fwait") \
    X(simd, "ldmxcsr zero_word(%rip); xorps %xmm0, %xmm0; divss %xmm0, %xmm0; pxor %xmm0, %xmm0") \
    X(fxrstor, "fxrstor64 (%rsi)") X(mxcsr, "ldmxcsr (%rsi)") X(wrgs, "wrgsbase %r8; mov $24, %eax; syscall; rdgsbase %rax") \
    X(selgs, "mov %edx, %gs; mov $24, %eax; syscall; mov %gs, %eax") \
    X(loadgs, "wrgsbase %rsi; mov %gs:0, %rax; ud2")

__asm__(".text\n"
        ".globl run_state\n"
        "run_state: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "mov %rsp, main_sp(%rip)\n"
        "mov state_in(%rip), %rax; mov state_in+8(%rip), %rbx; mov state_in+16(%rip), %rcx; mov state_in+24(%rip), %rdx\n"
        "mov state_in+32(%rip), %rsi; mov state_in+40(%rip), %rdi; mov state_in+48(%rip), %rbp; mov state_in+56(%rip), %r8\n"
        "mov state_in+64(%rip), %r9; mov state_in+72(%rip), %r10; mov state_in+80(%rip), %r11; mov state_in+88(%rip), %r12\n"
        "mov state_in+96(%rip), %r13; mov state_in+104(%rip), %r14; mov state_in+112(%rip), %r15\n"
        "pushq state_in+128(%rip); popfq\n"
        "mov state_in+120(%rip), %rsp\n"
        "jmp *in_action(%rip)\n"
        "landing:\n" STORE("state_out")
        "lea spare_stack+32768(%rip), %rsp\n" CLEAN_FLAGS("state_out")
        "mov $1, %eax\n"
        "back: mov main_sp(%rip), %rsp; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "ret\n"
        ".globl on_signal, restorer, landing\n"
        "on_signal:\n" STORE("state_entered")
        "lea handler_stack+65536(%rip), %rsp\n" CLEAN_FLAGS("state_entered")
        "call seen\n"
        "test %eax, %eax; jz back\n"
        "mov state_entered+120(%rip), %rsp; ret\n"
        "restorer: mov $15, %eax; syscall; ud2\n"
        "zero_word: .long 0\n"
        ACTIONS(ACTION));
/* clang-format on */
extern long run_state(void);
extern char on_signal[], restorer[], landing[];

#define DECLARE(name, code) extern char a_##name[];
ACTIONS(DECLARE)
#define ADDRESS(name, code) a_##name,
static char *const actions[] = {ACTIONS(ADDRESS)};
#define NAME(name, code) #name,
static const char *const names[] = {ACTIONS(NAME)};
#define ACTION_COUNT (sizeof(actions) / sizeof(*actions))

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Entry and exit of the enclave. Each thread owns eight pages: TCS, two SSA frames, a GS page, and
 * four pages of stack, so everything is found from the TCS address in RBX.
 */
#define EEXIT       4
#define SSA0_END    0x2000
#define STACK_TOP   0x8000
#define GPR_RIP     (SSA0_END - 184 + 136)
#define GPR_RDI     (SSA0_END - 184 + 56)
#define GS_RSP      0
#define GS_RBP      8
#define GS_RETURN   16

    .section .text.entry, "ax"
    .globl  enclave_entry
enclave_entry:
    cld
    testl   %eax, %eax
    jnz     on_exception
    movq    %rsp, %gs:GS_RSP
    movq    %rbp, %gs:GS_RBP
    movq    %rcx, %gs:GS_RETURN
    leaq    STACK_TOP(%rbx), %rsp
    xorl    %ebp, %ebp
    fninit
    ldmxcsr clean_mxcsr(%rip)
    call    enclave_main            /* (RDI command, RSI argument) -> RAX */
    movq    %rax, %rsi
    movq    %gs:GS_RSP, %rsp
    movq    %gs:GS_RBP, %rbp
    movq    %gs:GS_RETURN, %rbx
    jmp     leave

/* Entered with one frame in use: the interrupted code goes on at probe_failed. */
on_exception:
    leaq    probe_failed(%rip), %rax
    movq    %rax, GPR_RIP(%rbx)
    movq    %rcx, %rbx
    xorl    %esi, %esi

/* Nothing but the result in RSI leaves the enclave. */
leave:
    xorl    %edx, %edx
    xorl    %edi, %edi
    xorl    %r8d, %r8d
    xorl    %r9d, %r9d
    xorl    %r10d, %r10d
    xorl    %r11d, %r11d
    xorl    %r12d, %r12d
    xorl    %r13d, %r13d
    xorl    %r14d, %r14d
    xorl    %r15d, %r15d
    movl    $EEXIT, %eax
    .byte   0x0f, 0x01, 0xd7
    ud2

/* uint64_t probe(address): the byte there, or ~0 after a fault that the host let us handle. */
    .globl  probe
probe:
    movzbl  (%rdi), %eax
    ret
probe_failed:
    movq    $-1, %rax
    ret

/* uint64_t enclu(leaf, rbx, rcx, rdx) -> RAX */
    .globl  enclu
enclu:
    pushq   %rbx
    movl    %edi, %eax
    movq    %rsi, %rbx
    xchgq   %rdx, %rcx              /* third argument to RCX, fourth to RDX */
    .byte   0x0f, 0x01, 0xd7
    popq    %rbx
    ret

/* uint64_t raw_syscall(void): must not reach the kernel from inside. */
    .globl  illegal
illegal:
    movl    $39, %eax
    syscall
    ret

    .balign 4
clean_mxcsr:
    .long   0x1f80

    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Entry, exits and exception entry of a foreign enclave: it rewrites nothing of what it runs, so a
 * `syscall` inside is an #UD that its handler on the next SSA frame emulates. Each TCS is followed by
 * four SSA frames, a GS page, and stacks up to TCS + 0x10000; a frame's handler has 0x1000 of it.
 */
#define EEXIT 4

    .section .text.entry, "ax"
    .globl  enclave_entry
enclave_entry:
    cld
    testl   %eax, %eax
    jnz     1f
    movq    %rsp, %gs:0
    movq    %rbp, %gs:8
    movq    %rcx, %gs:16
    testq   %rdi, %rdi
    jz      ocall_back              /* what the OCALL left on the stack is still there */
    leaq    0x10000(%rbx), %rsp
    call    enclave_main            /* (command, argument, TCS) */
    movq    %rax, %rsi
    movq    %gs:0, %rsp
    movq    %gs:8, %rbp
    movq    %gs:16, %rbx
    pushq   $EEXIT                  /* on the host's stack: below it nothing is promised */
    popq    %rax
    .byte   0x0f, 0x01, 0xd7
    ud2
1:  /* RAX: frames in use. */
    leaq    (%rax, %rax, 2), %rdx
    movq    %rsp, %gs:(, %rdx, 8)
    movq    %rbp, %gs:8(, %rdx, 8)
    movq    %rcx, %gs:16(, %rdx, 8)
    movq    %rax, %rdi
    shlq    $12, %rax
    leaq    0x10000(%rbx), %rsp
    subq    %rax, %rsp
    pushq   %rdi
    pushq   %rdi
    movq    %rbx, %rsi
    call    enclave_exception       /* (frames in use, TCS) */
    popq    %rdx
    leaq    (%rdx, %rdx, 2), %rdx
    movq    %gs:(, %rdx, 8), %rsp
    movq    %gs:8(, %rdx, 8), %rbp
    movq    %gs:16(, %rdx, 8), %rbx
    xorl    %eax, %eax
    movb    $EEXIT, %al
    .byte   0x0f, 0x01, 0xd7
    ret

/* uint64_t enclu(leaf, rbx, rcx, rdx) */
    .globl  enclu
enclu:
    pushq   %rbx
    movl    %edi, %eax
    movq    %rsi, %rbx
    xchgq   %rdx, %rcx
    .byte   0x0f, 0x01, 0xd7
    popq    %rbx
    ret

/* uint64_t ocall(target): leaves for a place of the host's choice, on the host's stack, and comes
 * back when the enclave is entered with command 0. */
    .globl  ocall
ocall:
    pushq   %rbx
    pushq   %rbp
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    movq    %rsp, %gs:128
    movq    %gs:0, %rsp
    movq    %gs:8, %rbp
    movq    %rdi, %rbx
    movq    $EEXIT, %rax
    .byte   0x0f, 0x01, 0xd7
    ud2
ocall_back:
    movq    %rsi, %rax
    movq    %gs:128, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbp
    popq    %rbx
    ret

/* uint64_t raw(nr, a): a system call as a C library makes it. */
    .globl  raw, on_stack
raw:
    movl    %edi, %eax
    movq    %rsi, %rdi
    syscall
    ret

/* uint64_t on_stack(sp, nr, a): the same from another stack. */
on_stack:
    pushq   %rbp
    movq    %rsp, %rbp
    movq    %rdi, %rsp
    movq    %rsi, %rdi
    movq    %rdx, %rsi
    call    raw
    movq    %rbp, %rsp
    popq    %rbp
    ret

    .section .note.GNU-stack, "", @progbits

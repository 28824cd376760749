/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The outsider's entry function and its enclave, which is position-independent and uses the stack that
 * it finds. */
    .text
    .globl  enter, enter_enclu, enter_after, outsider_aep
enter:
    pushq   %rbx
    pushq   %rbp
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    pushq   %rdi
    movq    0(%rdi), %rbx
    leaq    outsider_aep(%rip), %rcx
    movq    24(%rdi), %rsi
    movq    32(%rdi), %rdx
    movq    40(%rdi), %r8
    movq    48(%rdi), %r9
    movq    56(%rdi), %r10
    movq    64(%rdi), %r11
    movq    72(%rdi), %r12
    movq    80(%rdi), %r13
    movq    88(%rdi), %rax
    movq    16(%rdi), %rdi
enter_enclu:
    .byte   0x0f, 0x01, 0xd7
enter_after:
    pushq   %rdi
    pushq   %rax
    movq    16(%rsp), %rax
    pushfq
    popq    96(%rax)
    popq    88(%rax)
    popq    16(%rax)
    movq    %rbx, 0(%rax)
    movq    %rcx, 8(%rax)
    movq    %rsi, 24(%rax)
    movq    %rdx, 32(%rax)
    movq    %r8, 40(%rax)
    movq    %r9, 48(%rax)
    movq    %r10, 56(%rax)
    movq    %r11, 64(%rax)
    movq    %r12, 72(%rax)
    movq    %r13, 80(%rax)
    popq    %rdi
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbp
    popq    %rbx
    ret
outsider_aep:
    .byte   0x0f, 0x01, 0xd7
    ud2

/* A signal handler in C must not run with the enclave's AC. */
    .globl  without_ac
without_ac:
    pushfq
    andl    $~0x40000, (%rsp)
    popfq
    jmp     *outsider_handler(%rip)

    .section .rodata
    .macro  part name
    .globl  \name
    .balign 16
\name:
    .endm
    .macro  leave_enclave
    movq    %r15, %rbx
    movl    $4, %eax
    .byte   0x0f, 0x01, 0xd7
    .endm

    .balign 4096
part enclave_begin
    movq    %rcx, %r15
    leaq    enclave_begin(%rip), %r14
    leaq    (%r14, %rdi), %rbp
    jmp     *%rbp

part do_add
    leaq    (%rsi, %rdx), %rdi
    leave_enclave

part do_spin
1:  pause
    cmpl    $0, (%rsi)
    je      1b
    leave_enclave

part do_load
    leaq    0x44000(%r14), %rdi
    movq    %rdx, %rcx
    rep movsb
    movb    $0xe9, %al
    stosb
    leaq    run_end(%rip), %rax
    subq    %rdi, %rax
    subq    $4, %rax
    stosl
    leave_enclave

part do_run
    leaq    0x44000(%r14), %rbp
    movq    %rsi, %rax
    movq    %rsi, %rcx
    jmp     *%rbp
run_end:
    movq    %rax, %rdi
    leave_enclave

/* The vDSO function wants RBP as it was. */
part do_push
    movq    %r12, %rbp
    subq    $64, %rsp
    leave_enclave

part do_look
    addq    %r14, %rsi
    movq    136(%rsi), %rdi
    addq    %r12, 136(%rsi)
    subq    %r14, %rdi
    movl    160(%rsi), %edx
    movq    -16(%rsi), %r8
    movl    -8(%rsi), %r9d
    movq    0(%rsi), %r10
    leave_enclave

    .balign 4096
part enclave_end

    .section .note.GNU-stack, "", @progbits

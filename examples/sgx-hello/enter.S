/* SPDX-License-Identifier: LGPL-3.0-or-later */
    .text
/* uint64_t enter(tcs, command, argument) */
    .globl  enter, host_aep, host_enclu
enter:
    pushq   %rbx
    pushq   %rbp
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    movq    %rdi, %rbx
    movq    %rsi, %rdi
    movq    %rdx, %rsi
    leaq    host_aep(%rip), %rcx
    movl    $2, %eax                /* EENTER */
host_enclu:
    .byte   0x0f, 0x01, 0xd7
    movq    %rsi, %rax
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbp
    popq    %rbx
    ret
host_aep:
    .byte   0x0f, 0x01, 0xd7        /* RAX is 3, RBX the TCS: ERESUME */
    ud2

/* int enter_vdso(rdi, rsi, rdx, function, r8, r9, run, vdso): calls the vDSO's function, which does
 * not keep R12 to R15 when the enclave clears them. */
    .globl  enter_vdso
enter_vdso:
    movq    8(%rsp), %rax           /* run */
    movq    16(%rsp), %r10          /* the function */
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    pushq   %rax
    call    *%r10
    popq    %r15
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    ret

    .section .note.GNU-stack, "", @progbits

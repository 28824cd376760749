/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgxemu/transition/fast.h"
    .text

/* From a stub: RAX is the record, RCX already saved, everything else the program's. */
    .globl  fast_trampoline, fast_final, fast_deferred, fast_end
fast_trampoline:
    movb    $1, FAST_BUSY(%rax)
    movq    %rbx, FAST_RBX(%rax)
    movq    %rdx, FAST_RDX(%rax)
    movq    %rsi, FAST_RSI(%rax)
    movq    %rdi, FAST_RDI(%rax)
    movq    %rbp, FAST_RBP(%rax)
    movq    %rsp, FAST_RSP(%rax)
    movq    %r8, FAST_R8(%rax)
    movq    %r9, FAST_R8 + 8(%rax)
    movq    %r10, FAST_R8 + 16(%rax)
    movq    %r11, FAST_R8 + 24(%rax)
    movq    %r12, FAST_R8 + 32(%rax)
    movq    %r13, FAST_R8 + 40(%rax)
    movq    %r14, FAST_R8 + 48(%rax)
    movq    %r15, FAST_R8 + 56(%rax)
    leaq    FAST_STACK(%rax), %rsp
    pushfq
    popq    FAST_RFLAGS(%rax)
    cld
    movq    %rax, %rbx
    movq    %rax, %rdi
    call    fast_transition
    movq    %rbx, %rax
    movl    FAST_HOW(%rax), %edx
    movq    FAST_RBX(%rax), %rbx
    movq    FAST_RCX(%rax), %rcx
    movq    FAST_RSI(%rax), %rsi
    movq    FAST_RDI(%rax), %rdi
    movq    FAST_RBP(%rax), %rbp
    movq    FAST_R8(%rax), %r8
    movq    FAST_R8 + 8(%rax), %r9
    movq    FAST_R8 + 16(%rax), %r10
    movq    FAST_R8 + 24(%rax), %r11
    movq    FAST_R8 + 32(%rax), %r12
    movq    FAST_R8 + 40(%rax), %r13
    movq    FAST_R8 + 48(%rax), %r14
    movq    FAST_R8 + 56(%rax), %r15
fast_final:
    cmpb    $0, FAST_DEFERRED(%rax)
    jne     9f
    movb    $0, FAST_BUSY(%rax)
    cmpl    $FAST_EENTER, %edx
    je      1f
    cmpl    $FAST_EEXIT, %edx
    jne     2f
    /* EEXIT: RBX is the target, RAX the leaf. */
    movq    FAST_RDX(%rax), %rdx
    movq    FAST_RSP(%rax), %rsp
    movl    $4, %eax
    jmp     *%rbx
    /* EENTER: the landing clears RAX and jumps to the entry point. */
1:  movq    FAST_RDX(%rax), %rdx
    movq    FAST_RSP(%rax), %rsp
    movq    FAST_LANDING(%rax), %rax
    jmp     *%rax
    /* Declined: on to the ENCLU, slowly. */
2:  movq    FAST_RDX(%rax), %rdx
    leaq    FAST_IRET(%rax), %rsp
    movq    FAST_RAX(%rax), %rax
    iretq
9:  int3
fast_deferred:
    nop
fast_end:

    .section .note.GNU-stack, "", @progbits

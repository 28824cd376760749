/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The vDSO that the program sees: the kernel's time functions through a table, and
 * __vdso_sgx_enter_enclave as Linux documents it (asm/sgx.h). Linked as a shared object.
 */
    .text

    .globl  adyton_vdso_table
    .type   adyton_vdso_table, @object
    .balign 8
adyton_vdso_table:
.Ltable:
    .zero   8 * 6
    .size   adyton_vdso_table, 8 * 6

/* Without a kernel function behind it, the system call. */
.macro forward name, slot, nr
    .globl  \name
    .type   \name, @function
    .balign 16
\name:
    movq    .Ltable + 8 * \slot(%rip), %rax
    testq   %rax, %rax
    jz      1f
    jmp     *%rax
1:  movl    $\nr, %eax
    syscall
    ret
    .size   \name, . - \name
.endm
    forward __vdso_clock_gettime, 0, 228
    forward __vdso_gettimeofday, 1, 96
    forward __vdso_time, 2, 201
    forward __vdso_getcpu, 3, 309
    forward __vdso_clock_getres, 4, 229

#define RUN_TCS       0
#define RUN_FUNCTION  8
#define RUN_VECTOR    12
#define RUN_ERROR     14
#define RUN_ADDRESS   16
#define RUN_HANDLER   24
#define RUN_RESERVED  40
#define RUN_SIZE      256
#define EEXIT         4

/* int (rdi, rsi, rdx, function, r8, r9, run): run lies above the return address. */
    .globl  __vdso_sgx_enter_enclave
    .type   __vdso_sgx_enter_enclave, @function
    .balign 16
__vdso_sgx_enter_enclave:
    pushq   %rbp
    movq    %rsp, %rbp
    pushq   %rbx
    movl    %ecx, %eax
.Lenter:
    leal    -2(%rax), %ecx
    cmpl    $1, %ecx
    ja      .Linvalid
    movq    16(%rbp), %rbx
    movl    $RUN_RESERVED, %ecx
1:  cmpq    $0, (%rbx, %rcx)
    jne     .Linvalid
    addl    $8, %ecx
    cmpl    $RUN_SIZE, %ecx
    jb      1b
    movq    RUN_TCS(%rbx), %rbx
    leaq    .Lenclu(%rip), %rcx
    cmpl    $3, %eax
    je      .Lenclu
    movl    $2, %eax /* the device may put a jump here */
    .globl  adyton_vdso_enclu
adyton_vdso_enclu:
.Lenclu:
    .byte   0x0f, 0x01, 0xd7 /* ENCLU; also the asynchronous exit pointer */
    movq    16(%rbp), %rbx
    movl    $EEXIT, RUN_FUNCTION(%rbx)
.Lout:
    cmpq    $0, RUN_HANDLER(%rbx)
    jne     .Lhandler
    xorl    %eax, %eax
.Lreturn:
    movq    -8(%rbp), %rbx
    leave
    ret
.Linvalid:
    movl    $-22, %eax
    jmp     .Lreturn

/* An exception: EAX the leaf, RDI vector, RSI error code, RDX address. */
    .globl  adyton_vdso_fault
adyton_vdso_fault:
    movq    16(%rbp), %rbx
    movl    %eax, RUN_FUNCTION(%rbx)
    movw    %di, RUN_VECTOR(%rbx)
    movw    %si, RUN_ERROR(%rbx)
    movq    %rdx, RUN_ADDRESS(%rbx)
    jmp     .Lout

/* handler(rdi, rsi, rdx, rsp, r8, r9, run) on an aligned stack; > 0 enters again, with the stack
 * pointer that the enclave left. */
.Lhandler:
    movq    %rsp, %rcx
    movq    %rbx, %rax
    movq    %rsp, %rbx
    andl    $15, %ebx
    andq    $-16, %rsp
    pushq   %rax
    pushq   %rax
    cld
    call    *RUN_HANDLER(%rax)
    leaq    16(%rsp, %rbx), %rsp
    testl   %eax, %eax
    jg      .Lenter
    jmp     .Lreturn
    .size   __vdso_sgx_enter_enclave, . - __vdso_sgx_enter_enclave

    .section .note.GNU-stack, "", @progbits

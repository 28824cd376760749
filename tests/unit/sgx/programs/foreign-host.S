/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The host side of a foreign runtime, without a C library. */
    .text
    .globl  _start
_start:
    xorl    %ebp, %ebp
    movq    %rsp, %rdi
    andq    $-16, %rsp
    call    begin
    hlt

    .globl  restorer
restorer:
    movl    $15, %eax
    syscall

/* enter(tcs, command, argument, way): each way loads the leaf number differently. R12 to R15 and RBX
 * come back from the stack. The result is in RSI. */
    .macro  entry_begin name
    .globl  \name
\name:
    pushq   %rbx
    pushq   %rbp
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    movq    %rdi, %rbx
    movq    %rsi, %rdi
    movq    %rdx, %rsi
    .endm
    .macro  entry_end
    movq    %rsi, %rax
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbp
    popq    %rbx
    ret
    .endm
    .macro  enclu
    .byte   0x0f, 0x01, 0xd7
    .endm

    entry_begin way_mov32
    leaq    aep_plain(%rip), %rcx
    movl    $2, %eax
    enclu
    entry_end

    entry_begin way_mov64_imm32             /* the seven-byte form */
    leaq    aep_plain(%rip), %rcx
    .byte   0x48, 0xc7, 0xc0, 2, 0, 0, 0
    enclu
    entry_end

    entry_begin way_mov64_imm64
    leaq    aep_plain(%rip), %rcx
    .byte   0x48, 0xb8, 2, 0, 0, 0, 0, 0, 0, 0
    enclu
    entry_end

    entry_begin way_c7_imm32
    leaq    aep_plain(%rip), %rcx
    .byte   0xc7, 0xc0, 2, 0, 0, 0
    enclu
    entry_end

    entry_begin way_xor_al
    leaq    aep_plain(%rip), %rcx
    xorl    %eax, %eax
    movb    $2, %al
    enclu
    entry_end

    entry_begin way_push_pop
    leaq    aep_plain(%rip), %rcx
    pushq   $2
    popq    %rax
    enclu
    entry_end

    entry_begin way_lea
    xorl    %ecx, %ecx
    leal    2(%rcx), %eax
    leaq    aep_plain(%rip), %rcx
    enclu
    entry_end

    entry_begin way_register
    movl    $2, %r11d
    leaq    aep_plain(%rip), %rcx
    movq    %r11, %rax
    enclu
    entry_end

    entry_begin way_stack
    pushq   $2
    leaq    aep_plain(%rip), %rcx
    movq    (%rsp), %rax
    addq    $8, %rsp
    enclu
    entry_end

    entry_begin way_memory
    leaq    aep_plain(%rip), %rcx
    movl    leaf_two(%rip), %eax
    enclu
    entry_end

    entry_begin way_between
    movl    $2, %eax
    leaq    aep_plain(%rip), %rcx
    nop
    enclu
    entry_end

    entry_begin way_inc
    leaq    aep_plain(%rip), %rcx
    movl    $1, %eax
    incl    %eax
    enclu
    entry_end

    /* What follows the ENCLU is awkward, too. */
    entry_begin way_then_jump
    leaq    aep_plain(%rip), %rcx
    orl     $-1, %eax
    andl    $2, %eax
    enclu
    jmp     1f
    ud2
1:  entry_end

    entry_begin way_then_branch
    leaq    aep_plain(%rip), %rcx
    movq    $2, %rax
    orq     %rax, %rax
    enclu
    jnz     1f
    nop
1:  entry_end

    entry_begin way_then_store
    leaq    aep_plain(%rip), %rcx
    movl    leaf_two(%rip), %eax
    enclu
    movq    %rsi, stored(%rip)
    movq    stored(%rip), %rsi
    entry_end

    entry_begin way_then_call
    leaq    aep_plain(%rip), %rcx
    movl    leaf_two(%rip), %eax
    enclu
    call    nothing
    entry_end

    entry_begin way_then_ret
    leaq    aep_plain(%rip), %rcx
    call    1f
    entry_end
    .balign 16
1:  movl    leaf_two(%rip), %eax
    enclu
    ret
    .balign 16

    /* The ENCLU is its own AEP, as in the kernel's vDSO. */
    entry_begin way_own_aep
    leaq    1f(%rip), %rcx
    movl    leaf_two(%rip), %eax
1:  enclu
    entry_end

    /* The enclave leaves for a place of its own choice: the loop's head is behind the ENCLU. */
    entry_begin way_loop
    leaq    aep_plain(%rip), %rcx
    movl    $2, %edx
    movl    %edx, %eax
    enclu
    cmpq    $-2, %rsi
    entry_end

nothing:
    ret

    .globl  aep_plain, aep_end
aep_plain:
    enclu
    ud2
aep_end:

    .globl  ways, ways_end
    .section .rodata
    .balign 8
leaf_two:
    .long   2, 0
ways:
    .quad   way_mov32, way_mov64_imm32, way_mov64_imm64, way_c7_imm32, way_xor_al, way_push_pop
    .quad   way_lea, way_register, way_stack, way_memory, way_between, way_inc, way_then_jump
    .quad   way_then_branch, way_then_store, way_then_call, way_then_ret, way_own_aep, way_loop
ways_end:
    .data
stored:
    .quad   0

    .text
/* OCALLs leave for here: on to the enclave again, with its answer (R12: TCS). */
    .globl  ocall_target
ocall_target:
    leaq    aep_plain(%rip), %rcx
    movl    $41, %esi
    xorl    %edi, %edi
    movq    saved_tcs(%rip), %rbx
    movl    $2, %eax
    enclu
    movq    %rsi, %rax              /* the OCALL command's own exit comes back here */
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbp
    popq    %rbx
    ret
    .globl  saved_tcs
    .comm   saved_tcs, 8

/* int thread(flags, stack, function, argument, ctid): the child calls function(argument) on its
 * stack. */
    .globl  thread
thread:
    subq    $16, %rsi
    movq    %rdx, (%rsi)
    movq    %rcx, 8(%rsi)
    movq    %r8, %r10
    movl    $56, %eax
    xorl    %edx, %edx
    xorl    %r8d, %r8d
    syscall
    testl   %eax, %eax
    jz      1f
    ret
1:  xorl    %ebp, %ebp
    popq    %rax
    popq    %rdi
    call    *%rax
    hlt

/* Everything in registers from here on: the stack goes away, then the thread, without any. */
    .globl  unmap_self, protect_self, remap_self, cover_self, unmap_self_wild
unmap_self:                         /* (stack, size) */
    movl    $11, %eax
    syscall
    movl    $60, %eax
    xorl    %edi, %edi
    syscall
    hlt
protect_self:
    xorl    %edx, %edx
    movl    $10, %eax
    syscall
    jmp     1f
remap_self:                         /* moves the stack elsewhere */
    movq    %rsi, %rdx
    movl    $1, %r10d
    movl    $25, %eax
    syscall
    jmp     1f
cover_self:                         /* MAP_FIXED over it, PROT_NONE */
    xorl    %edx, %edx
    movl    $0x32, %r10d
    movq    $-1, %r8
    xorl    %r9d, %r9d
    movl    $9, %eax
    syscall
    jmp     1f
unmap_self_wild:                    /* with a stack pointer that is none, too */
    movq    %rdi, %r12
    movq    %rsi, %r13
    movabsq $0x8000000000001234, %rsp
    movl    $11, %eax
    syscall
1:  movl    $-9, %edi               /* calls that trap, and one that fails */
    movl    $257, %eax
    leaq    nowhere(%rip), %rsi
    xorl    %edx, %edx
    syscall
    cmpl    $-9, %eax
    jne     2f
    movl    $257, %eax
    movl    $-100, %edi
    leaq    nowhere(%rip), %rsi
    xorl    %esp, %esp
    syscall
    cmpl    $-2, %eax
    jne     2f
    leaq    gone_well(%rip), %rdi
    lock incl (%rdi)
2:  movl    $60, %eax
    xorl    %edi, %edi
    syscall
    hlt
    .globl  gone_well
    .comm   gone_well, 4
    .section .rodata
nowhere:
    .asciz  "nowhere/at/all"

    .section .note.GNU-stack, "", @progbits

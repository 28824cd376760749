/* SPDX-License-Identifier: LGPL-3.0-or-later */
    .text

/* Process entry: the kernel's stack goes to C; never returns. */
    .globl  _start
_start:
    xorl    %ebp, %ebp
    movq    %rsp, %rdi
    andq    $-16, %rsp
    call    emu_start
    hlt

/* emu_jump(sp, entry): starts the program on the kernel's stack. */
    .globl  emu_jump
emu_jump:
    movq    %rdi, %rsp
    movq    %rsi, %rcx
    xorl    %eax, %eax
    xorl    %ebx, %ebx
    xorl    %edx, %edx
    xorl    %esi, %esi
    xorl    %edi, %edi
    xorl    %ebp, %ebp
    xorl    %r8d, %r8d
    xorl    %r9d, %r9d
    xorl    %r10d, %r10d
    xorl    %r11d, %r11d
    jmp     *%rcx

/* size_t usercopy(to, from, n); a fault between the labels continues at usercopy_fault. */
    .globl  usercopy, usercopy_begin, usercopy_end, usercopy_fault
usercopy:
    movq    %rdx, %rcx
usercopy_begin:
    rep movsb
usercopy_end:
usercopy_fault:
    movq    %rcx, %rax
    ret

/* The device's only signal handler. The kernel leaves the program's AC flag set, with which C code
 * would fault. */
    .globl  signal_handler
signal_handler:
    pushfq
    andl    $~0x40000, (%rsp)
    popfq
    jmp     signal_arrived

    .globl  emu_restorer
emu_restorer:
    movl    $15, %eax           /* rt_sigreturn */
    syscall

/* emu_resume(uc): continues the context of a signal frame whose ucontext is at uc. */
    .globl  emu_resume
emu_resume:
    movq    %rdi, %rsp
    movl    $15, %eax
    syscall

/* A system call of the program, made for it from the device's own (exempt) text. The program's stack
 * may be anywhere or gone, so RSP is at the thread's struct passed meanwhile; RCX ends as SYSCALL
 * leaves it. A signal in here finds the program's own state there (trap/handler.c). */
    .globl  emu_pass, emu_pass_end
emu_pass:
    syscall
    popq    %rcx
    popq    %rsp
    jmp     *%rcx
emu_pass_end:

/* long emu_clone(nr, a, b, c, d, e, child): clone or clone3 whose child has a stack of its own, on
 * which it calls child's function. The new stack's top holds: function, argument. */
    .globl  emu_clone
emu_clone:
    movq    %rdi, %rax
    movq    %rsi, %rdi
    movq    %rdx, %rsi
    movq    %rcx, %rdx
    movq    %r8, %r10
    movq    %r9, %r8
    syscall
    testq   %rax, %rax
    jz      1f
    ret
1:  xorl    %ebp, %ebp
    popq    %rax
    popq    %rdi
    call    *%rax
    hlt

    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Instructions with their lengths, as the assembler sees them: a table for test_sgx_decode.c.
 * insn MOVABLE, LAST, instruction */
    .section .rodata
    .globl  insns, insns_end
    .section .rodata.insns, "a"
insns:
    .text
.macro insn movable, last, text:vararg
1:  \text
2:  .section .rodata.insns, "a"
    .quad   1b
    .byte   2b - 1b, \movable, \last, 0, 0, 0, 0, 0
    .text
.endm
    insn 1, 0, pop %rbx
    insn 1, 0, pop %r12
    insn 1, 0, push %rax
    insn 1, 1, ret
    insn 1, 1, ud2
    insn 1, 0, leave
    insn 1, 0, nop
    insn 1, 0, endbr64
    insn 1, 0, nopw 0x10(%rax,%rax)
    insn 1, 0, cld
    insn 1, 0, cltq
    insn 1, 0, mov %rax, %rsi
    insn 1, 0, mov %gs:16, %rbx
    insn 1, 0, mov 8(%rsp), %r10
    insn 1, 0, mov %eax, 0x12345(%rsp)
    insn 1, 0, mov %al, (%rdi)
    insn 1, 0, mov (,%rax,8), %rax
    insn 1, 0, mov 0x100(%r12), %rax
    insn 1, 0, mov (%r13), %rax
    insn 1, 0, mov $1, %al
    insn 1, 0, mov $1, %eax
    insn 1, 0, mov $1, %ax
    insn 1, 0, movabs $0x123456789abcdef0, %rax
    insn 1, 0, movl $7, 4(%rsp)
    insn 1, 0, movw $7, 4(%rsp)
    insn 1, 0, movb $7, 4(%rsp)
    insn 1, 0, movq $7, (%rsp)
    insn 1, 0, lea 64(%rsp), %rsp
    insn 1, 0, xor %edx, %edx
    insn 1, 0, xor %r8d, %r8d
    insn 1, 0, add $64, %rsp
    insn 1, 0, sub $0x400, %rsp
    insn 1, 0, sub $0x400, %eax
    insn 1, 0, cmp $3, %al
    insn 1, 0, cmpw $0x300, 2(%rax)
    insn 1, 0, and $-16, %rsp
    insn 1, 0, .byte 0x66, 0x48, 0x81, 0xc0, 1, 0, 0, 0
    insn 1, 0, .byte 0x66, 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8
    insn 1, 0, test %eax, %eax
    insn 1, 0, test $1, %al
    insn 1, 0, test $0x12345678, %eax
    insn 1, 0, testl $1, 8(%rsp)
    insn 1, 0, testb $1, 8(%rsp)
    insn 1, 0, neg %eax
    insn 1, 0, not %r9
    insn 1, 0, imul $100, %rax, %rcx
    insn 1, 0, imul $1000, %rax, %rcx
    insn 1, 0, imul %rcx, %rax
    insn 1, 0, shl $3, %rax
    insn 1, 0, shl %rax
    insn 1, 0, inc %eax
    insn 1, 0, sete %al
    insn 1, 0, cmovne %rbx, %rax
    insn 1, 0, movzbl %al, %eax
    insn 1, 0, movslq %eax, %rbx
    insn 1, 0, bswap %rax
    insn 1, 0, xchg %rdx, %rcx
    insn 1, 0, xchg %rdx, %rax
    insn 1, 0, lfence
    insn 1, 0, ldmxcsr 4(%rsp)
    insn 1, 0, movaps %xmm0, 16(%rsp)
    insn 1, 0, movdqu (%rsi), %xmm3
    insn 1, 0, movq %rax, %xmm0
    insn 1, 0, push $3
    insn 1, 0, push $0x12345
    insn 0, 0, jmp .
    insn 0, 0, je .
    insn 0, 0, .byte 0x0f, 0x84, 0, 0, 0, 0
    insn 0, 0, call .
    insn 0, 0, call *%rax
    insn 0, 0, jmp *%rax
    insn 0, 0, lea 0(%rip), %rax
    insn 0, 0, mov 0(%rip), %rax
    insn 0, 0, cmpl $1, 0(%rip)
    insn 0, 0, loop .
    insn 0, 0, xbegin .
    insn 0, 0, xabort $1
    insn 0, 0, .byte 0x0f, 0x01, 0xd7
    insn 0, 0, syscall
    insn 0, 0, vzeroall
    insn 0, 0, .byte 0x06
    .skip 32, 0x90
    .section .rodata.insns, "a"
insns_end:
    .section .note.GNU-stack, "", @progbits

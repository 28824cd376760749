/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The ENCLUs of the runtime, and the one system call that a signal may prevent. */
	.text

/* uint64_t runtime_enter(tcs, entry, value, uint64_t *code) */
	.globl runtime_enter, runtime_eenter, runtime_aep
	.type runtime_enter, @function
	.p2align 4
runtime_enter:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rcx
	subq $16, %rsp
	stmxcsr (%rsp)
	fnstcw 8(%rsp)
	movq %rdi, %rbx
	movq %rsi, %rdi
	movq %rdx, %rsi
	leaq runtime_aep(%rip), %rcx
	movl $2, %eax
runtime_eenter:
	enclu
	/* EEXIT comes here: the address after the EENTER was in RCX at the entry. */
	cld
	ldmxcsr (%rsp)
	fldcw 8(%rsp)
	addq $16, %rsp
	popq %rcx
	movq %rdi, (%rcx)
	movq %rsi, %rax
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret
runtime_aep:                         /* RAX = 3 ERESUME, RBX = TCS, RCX = this address: from the AEX */
	enclu
	ud2

/* long runtime_call_blocking(const int64_t arg[6], long nr, volatile uint32_t *signalled) */
	.globl runtime_call_blocking, runtime_call_check, runtime_call_insn, runtime_call_eintr
	.type runtime_call_blocking, @function
runtime_call_blocking:
	movq %rsi, %rax
	movq %rdx, %rcx
	movq %rdi, %r11
	movq 8(%r11), %rsi
	movq 16(%r11), %rdx
	movq 24(%r11), %r10
	movq 32(%r11), %r8
	movq 40(%r11), %r9
	movq (%r11), %rdi
runtime_call_check:
	cmpl $0, (%rcx)
	jne runtime_call_eintr
runtime_call_insn:
	syscall
	ret
runtime_call_eintr:
	movq $-4, %rax
	ret

	.section .note.GNU-stack, "", @progbits

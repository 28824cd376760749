/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Where the host enters: program start, signals, threads; and the one blocking host call. */
#include "platform/common/entry.h"

	.text

/* Kernel entry point of the program: hand the initial stack to C. */
	.globl _start
	.type _start, @function
_start:
	xorl %ebp, %ebp
	movq %rsp, %rdi
	leaq _DYNAMIC(%rip), %rsi
	leaq __ehdr_start(%rip), %rdx
	andq $-16, %rsp
	call direct_start
	ud2

/* Every host signal comes here, with the application's AC, NT and ID. */
	.globl host_signal_entry
host_signal_entry:
	pushq $FLAGS_CLEAN
	popfq
	jmp host_signal

/* long direct_syscall_blocking(nr, a, b, c, d, e, f) */
	.globl direct_syscall_blocking, host_blocking_check, host_blocking_insn, host_blocking_eintr
direct_syscall_blocking:
	movq %rdi, %rax
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %r10
	movq %r9, %r8
	movq 8(%rsp), %r9
host_blocking_check:
	cmpl $0, %gs:T_WORK
	jne host_blocking_eintr
host_blocking_insn:
	syscall
	ret
host_blocking_eintr:
	movq $-4, %rax
	ret

	.globl host_sigreturn
host_sigreturn:
	movl $15, %eax
	syscall
	ud2

/* long host_clone_thread(flags, child_stack, parent_tid, child_tid, thread):
 * the child continues in direct_thread_start(thread) on its library-OS stack. */
	.globl host_clone_thread
host_clone_thread:
	movq %rcx, %r10              /* child_tid */
	movq %r8, %r9                /* thread */
	xorl %r8d, %r8d              /* no TLS */
	movl $56, %eax
	syscall
	testq %rax, %rax
	jz 1f
	ret
1:	xorl %ebp, %ebp
	movq %r9, %rdi
	call direct_thread_start
	ud2

/* Switches to the stack of the first thread and calls libos_start. */
	.globl direct_enter
direct_enter:
	movq %gs:T_FRAME, %rsp
	andq $-16, %rsp
	xorl %ebp, %ebp
	call libos_start
	ud2

	.section .note.GNU-stack, "", @progbits

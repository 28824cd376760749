/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Ways into the enclave and out of it. What the host may have put into a register at an entry: all
 * but RAX (CSSA), RBX (the TCS), RCX (where an exit goes), FS and GS; so also MXCSR, the x87 control
 * word, vector registers, and in RFLAGS AC, DF, NT, ID and the arithmetic flags. What may be seen of
 * us after an exit: RDI, RSI, RBX, RCX, RSP and RBP as they were at the entry, everything else zero
 * or initial. States of a thread: offsets.h.
 */
#include "platform/common/entry.h"
#include "platform/sgx/offsets.h"

#define EEXIT 4
#define ENTER_START 1
#define ENTER_THREAD 2
#define ENTER_RETURN 3
#define EXIT_RESUME 2
#define EXIT_END 3
#define EXIT_REFUSED 4

/* Registers that are not part of an exit's message. RDI, RSI, RSP, RBP, RBX are set. */
.macro SCRUB
	xorl %ecx, %ecx
	xorl %edx, %edx
	xorl %r8d, %r8d
	xorl %r9d, %r9d
	xorl %r10d, %r10d
	xorl %r11d, %r11d
	xorl %r12d, %r12d
	xorl %r13d, %r13d
	xorl %r14d, %r14d
	xorl %r15d, %r15d
	movl $EEXIT, %eax
.endm

	.text
	.globl _start
	.type _start, @function
	.p2align 6
_start:
	cld
	testq %rax, %rax
	jnz event
	movl $STATE_INSIDE, %eax
	xchgq %rax, %gs:S_STATE
	lfence
	cmpl $STATE_OUTSIDE, %eax
	je 1f
	cmpl $STATE_BORN, %eax
	je 2f
	cmpl $STATE_FREE, %eax
	je 3f
refuse:                              /* RAX: the state, as it was */
	movq %rax, %gs:S_STATE
	movq %rcx, %rbx
	movl $EXIT_REFUSED, %edi
	xorl %esi, %esi
	SCRUB
	enclu
	ud2

1:	cmpq $ENTER_RETURN, %rdi
	jne refuse
	movq %rsp, %gs:S_URSP
	movq %rbp, %gs:S_URBP
	movq %rcx, %gs:S_EXIT
	movq %gs:S_RSP, %rsp
	pushq $FLAGS_CLEAN
	popfq
	jmp come_back

2:	cmpq $ENTER_THREAD, %rdi
	jne refuse
	movq %rsp, %gs:S_URSP
	movq %rbp, %gs:S_URBP
	movq %rcx, %gs:S_EXIT
	movq %gs:T_FRAME, %rsp
	andq $-16, %rsp
	pushq $FLAGS_CLEAN
	popfq
	call reset_vectors
	xorl %ebp, %ebp
	movq %rsi, %rdi
	call sgx_thread_born
	ud2

3:	cmpq $ENTER_START, %rdi
	jne refuse
	movl $1, %eax
	xchgl %eax, started(%rip)
	testl %eax, %eax
	movl $STATE_FREE, %eax
	jnz refuse
	movq %rsp, %gs:S_URSP
	movq %rbp, %gs:S_URBP
	movq %rcx, %gs:S_EXIT
	rdgsbase %rax
	movq %rax, %rsp              /* the stack lies below the box */
	pushq $FLAGS_CLEAN
	popfq
	fninit
	ldmxcsr initial_mxcsr(%rip)
	xorl %ebp, %ebp
	movq %rsi, %rdi
	call sgx_start
	ud2

/* What was interrupted is in the SSA, its vector state too; nothing of it is touched here. */
event:
	rdgsbase %rax
	movq %rsp, S_EVENT_URSP(%rax)
	movq %rbp, S_EVENT_URBP(%rax)
	movq %rcx, S_EVENT_EXIT(%rax)
	leaq BOX_HANDLER(%rax), %rsp
	pushq $FLAGS_CLEAN
	popfq
	lfence
	xorl %ebp, %ebp
	movq %rsi, %rdi
	call sgx_event
	movl $EXIT_RESUME, %edi
	xorl %esi, %esi
	movq %gs:S_EVENT_EXIT, %rbx
	movq %gs:S_EVENT_URBP, %rbp
	movq %gs:S_EVENT_URSP, %rsp
	SCRUB
	enclu
	ud2

/* The initial state of everything that XFRM names. Keeps RSI. */
reset_vectors:
	movl sgx_xfrm(%rip), %eax
	movl 4+sgx_xfrm(%rip), %edx
	xrstor64 initial_vectors(%rip)
	ret

/* void sgx_leave(code, value): RDI and RSI go as they are. */
	.globl sgx_leave
	.type sgx_leave, @function
sgx_leave:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	call hide
	movq $STATE_OUTSIDE, %gs:S_STATE
	movq %gs:S_EXIT, %rbx
	movq %gs:S_URBP, %rbp
	movq %gs:S_URSP, %rsp
	SCRUB
	enclu
	ud2

/* bool sgx_leave_blocking(code, value) */
	.globl sgx_leave_blocking, host_blocking_check, host_blocking_insn, host_blocking_eintr
	.type sgx_leave_blocking, @function
sgx_leave_blocking:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	call hide
	movq $STATE_OUTSIDE, %gs:S_STATE
	movq %gs:S_EXIT, %rbx
	movq %gs:S_URBP, %rbp
	movq %gs:S_URSP, %rsp
	SCRUB
host_blocking_check:                 /* to the ENCLU: an event in here goes on at eintr */
	cmpl $0, %gs:T_WORK
	jne host_blocking_eintr
	xorl %edx, %edx              /* the flags, too */
host_blocking_insn:
	enclu
	ud2
host_blocking_eintr:
	movq $STATE_INSIDE, %gs:S_STATE
	movq %gs:S_RSP, %rsp
	call show
	xorl %eax, %eax
	jmp 1f

/* From the host call: %rsp is that of `hide`. */
come_back:
	call show
	movl $1, %eax
1:	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

/* Puts the application's FS base and vector state away. Called with %rsp = S_RSP - 8. Keeps RDI and
 * RSI. */
hide:
	leaq 8(%rsp), %rax
	movq %rax, %gs:S_RSP
	rdfsbase %rax
	movq %rax, %gs:S_FS
	rdgsbase %rcx
	movl sgx_xfrm(%rip), %eax
	movl 4+sgx_xfrm(%rip), %edx
	xsave64 BOX_VECTORS(%rcx)
	xrstor64 initial_vectors(%rip)
	ret

show:
	movq %gs:S_FS, %rax
	wrfsbase %rax
	rdgsbase %rcx
	movl sgx_xfrm(%rip), %eax
	movl 4+sgx_xfrm(%rip), %edx
	xrstor64 BOX_VECTORS(%rcx)
	ret

/* sgx_end(value): for good. From the store on the block may be another thread's; nothing of it is used. */
	.globl sgx_end
sgx_end:
	movq %rdi, %rsi
	movl $EXIT_END, %edi
	movl sgx_xfrm(%rip), %eax
	movl 4+sgx_xfrm(%rip), %edx
	xrstor64 initial_vectors(%rip)
	movq %gs:S_EXIT, %rbx
	movq %gs:S_URBP, %rbp
	movq %gs:S_URSP, %rsp
	movq $STATE_FREE, %gs:S_STATE
	SCRUB
	enclu
	ud2

	.globl sgx_rdtsc, sgx_rdtsc_insn
sgx_rdtsc:
	xorl %eax, %eax
	xorl %edx, %edx
	lfence
sgx_rdtsc_insn:
	rdtsc
	shlq $32, %rdx
	orq %rdx, %rax
	ret

	.globl sgx_go
sgx_go:
	movq %gs:T_FRAME, %rsp
	andq $-16, %rsp
	xorl %ebp, %ebp
	call libos_start
	ud2

/* bool sgx_mark(struct sgx_mark *mark) */
	.globl sgx_mark
	.type sgx_mark, @function
sgx_mark:
	movq %rbx, (%rdi)
	movq %rbp, 8(%rdi)
	movq %r12, 16(%rdi)
	movq %r13, 24(%rdi)
	movq %r14, 32(%rdi)
	movq %r15, 40(%rdi)
	leaq 8(%rsp), %rax
	movq %rax, 48(%rdi)
	movq (%rsp), %rax
	movq %rax, 56(%rdi)
	xorl %eax, %eax
	ret

/* void sgx_take_place(pieces, count, mark): whatever stack this runs on is overwritten. */
	.globl sgx_take_place
	.type sgx_take_place, @function
sgx_take_place:
	movq %rdi, %r8
	movq %rsi, %r9
1:	testq %r9, %r9
	jz 2f
	movq (%r8), %rdi
	movq 8(%r8), %rsi
	movq 16(%r8), %rcx
	rep movsb
	addq $24, %r8
	decq %r9
	jmp 1b
2:	movq (%rdx), %rbx
	movq 8(%rdx), %rbp
	movq 16(%rdx), %r12
	movq 24(%rdx), %r13
	movq 32(%rdx), %r14
	movq 40(%rdx), %r15
	movq 48(%rdx), %rsp
	movl $1, %eax
	jmpq *56(%rdx)

	.section .rodata
	.p2align 6
initial_vectors:                     /* XSTATE_BV 0: all initial; MXCSR is taken from here */
	.word 0x37f
	.zero 22
	.long 0x1f80
	.zero 484
	.zero 64
initial_mxcsr:
	.long 0x1f80

	.bss
	.p2align 3
started:
	.long 0
	.long 0
	.globl sgx_xfrm
sgx_xfrm:
	.quad 0

	.section .note.GNU-stack, "", @progbits

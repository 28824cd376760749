/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The ways between the application and the library OS, on every platform that runs programs.
 * Offsets into struct thread (%gs) and struct regs: libos/thread.h, libos/entry/regs.h.
 * General registers only: the application's vector state stays live throughout.
 */
#include "platform/common/entry.h"

	.text

/*
 * A system call of the application, from a rewritten site. In: %rcx = address after the `syscall`
 * instruction, all other registers as the application had them. %rcx and %r11 are the call's to
 * clobber; %r11 becomes the flags, as `syscall` makes it.
 *
 * %gs may be the application's, if it loaded it since its last call: then either one of the first
 * instructions faults, or the stack is not where it must be. Both go to the trap handler, which
 * knows the thread by itself (trap.c).
 */
	.globl libos_syscall_entry, libos_entry_rsp, libos_entry_pushed, libos_entry_checked
	.globl libos_foreign_gs, libos_slow_entry
	.p2align 6
libos_syscall_entry:
	movq %rsp, %r11
	movq %gs:T_KSTACK_TOP, %rsp
libos_entry_rsp:                     /* the application's %rsp is in %r11 */
	pushq %r11
	pushfq
libos_entry_pushed:                  /* and flags and %rsp are on the stack, as in a frame */
	movq (%rsp), %r11
	cmpq %gs:T_ENTRY_RSP, %rsp
libos_entry_checked:
	jne libos_foreign_gs
	pushq %rcx
	testl $FLAGS_ODD, %r11d
	jnz 2f
1:	pushq %rax
	pushq %rdi
	pushq %rsi
	pushq %rdx
	pushq %rcx
	pushq %rax
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, %rdi
	xorl %ebp, %ebp
	call syscall_dispatch

/*
 * The quick way back. C has kept the callee-saved registers but %rbp, %rcx and %r11 are the call's,
 * so eight registers, the flags and the stack pointer are all there is to restore. What changes
 * other registers of the frame (signals) sets a work bit, or leaves by platform_resume (execve).
 * The same rule as for libos_exit below: a host signal in here sends us to libos_exit.
 */
	.globl libos_quick_exit, libos_quick_exit_end
libos_quick_exit:
	cmpl $0, %gs:T_WORK
	jne libos_exit
	movq R_RFLAGS(%rsp), %r11
	testl $FLAGS_ODD, %r11d
	jnz libos_exit
	movl %r11d, %eax
	shrl $11, %eax
	andl $1, %eax
	movl %r11d, %ecx
	movb %cl, %ah
	addb $127, %al               /* OF */
	sahf                         /* SF ZF AF PF CF */
	movq R_RAX(%rsp), %rax
	movq R_RDI(%rsp), %rdi
	movq R_RSI(%rsp), %rsi
	movq R_RDX(%rsp), %rdx
	movq R_RBP(%rsp), %rbp       /* cleared on the way in: end of the backtrace */
	movq R_R10(%rsp), %r10
	movq R_R8(%rsp), %r8
	movq R_R9(%rsp), %r9
	movq R_RIP(%rsp), %rcx
	movq R_RSP(%rsp), %rsp
	jmp *%rcx
libos_quick_exit_end:

2:	pushq $FLAGS_CLEAN
	popfq
	jmp 1b
libos_foreign_gs:                    /* as from libos_entry_pushed on */
	ud2
/* Where the sites of a process lead that is known to load %gs. Nothing is touched. */
libos_slow_entry:
	ud2

/*
 * Back to the application with the registers at %rsp. Until the last jump nothing of the frame is
 * changed, so that a host signal in here can send us back to libos_exit, and a fault at the jump
 * (no such address, no such segment) is the application's with the registers of the frame (trap.c).
 */
	.globl libos_exit, libos_exit_end
	.p2align 4
libos_exit:
	cmpl $0, %gs:T_WORK
	jne 1f
#if !PLATFORM_ENCLAVE /* where IRETQ is not allowed, TF has no effect, and %gs and segments stay ours */
	testl $FLAGS_ODD, R_RFLAGS(%rsp)
	jnz exit_odd
	cmpl $0, %gs:T_ODD
	jne exit_odd
#endif
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rax
	popq %rcx
	popq %rdx
	popq %rsi
	popq %rdi
	leaq 8(%rsp), %rsp           /* orig_rax */
	popq %gs:T_USER_RIP
	popfq
	popq %rsp
	jmp *%gs:T_USER_RIP

#if !PLATFORM_ENCLAVE
/*
 * Flags that are not to be seen by any instruction of ours, segments, a %gs of the application: all
 * at once by iretq, from the image in struct thread. As the kernel's iretq would, it traps after the
 * next instruction of the application when TF is set.
 */
exit_odd:
	movq R_RAX(%rsp), %rax
	movq R_RIP(%rsp), %rcx
	movq R_RFLAGS(%rsp), %rdx
	movq R_RSP(%rsp), %rsi
	movq %rax, %gs:T_IRET_RAX
	movq %rcx, %gs:T_IRET_RIP
	movq %rdx, %gs:T_IRET_RFLAGS
	movq %rsi, %gs:T_IRET_RSP
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rax
	popq %rcx
	popq %rdx
	popq %rsi
	popq %rdi
	movq %gs:0, %rax
	leaq T_IRET_RAX(%rax), %rsp
	testl $ODD_GS, T_ODD(%rax)
	jz 3f
	movq T_USER_GS(%rax), %rax
	wrgsbase %rax
3:	popq %rax
	iretq
#endif
libos_exit_end:
1:	movq %rsp, %rdi
	call exit_work
	jmp libos_exit

/* A call that trapped: the host's signal handler stored the registers in the frame already. */
	.globl libos_trap_entry
libos_trap_entry:
	movq %gs:T_FRAME, %rsp
	movq %rsp, %rdi
	xorl %ebp, %ebp
	call syscall_trap_dispatch
	jmp libos_exit

/* The same for a fault or a signal. */
	.globl libos_async_entry
libos_async_entry:
	movq %gs:T_FRAME, %rsp
	xorl %ebp, %ebp
	jmp libos_exit

/* platform_resume(regs): a new thread, or a new program. */
	.globl platform_resume
platform_resume:
	movq %rdi, %rsi
	movq %gs:T_FRAME, %rdi
	movq %rdi, %rsp
	cmpq %rsi, %rdi
	je libos_exit
	movl $19, %ecx
	cld
	rep movsq
	jmp libos_exit

/*
 * Application memory access: 0, or -EFAULT through the fixup when the host reports a fault at one
 * of the instructions between uaccess_begin and uaccess_end.
 */
	.globl uaccess_begin, uaccess_end, uaccess_fixup
	.globl uaccess_copy, uaccess_load32, uaccess_cmpxchg32, uaccess_fill
uaccess_begin:
uaccess_copy:                        /* (dst, src, n): up to 256 bytes as words, as memcpy() */
	leaq -8(%rdx), %rax
	cmpq $248, %rax
	ja 2f
	addq %rdi, %rax              /* the last word of dst */
	leaq -8(%rsi,%rdx), %rdx     /* and of src */
	cmpq %rax, %rdi
	jae 3f
1:	movq (%rsi), %rcx
	movq %rcx, (%rdi)
	addq $8, %rsi
	addq $8, %rdi
	cmpq %rax, %rdi
	jb 1b
3:	movq (%rdx), %rcx
	movq %rcx, (%rax)
	xorl %eax, %eax
	ret
2:	movq %rdx, %rcx
	rep movsb
	xorl %eax, %eax
	ret
uaccess_fill:                        /* (dst, n): zeros */
	movq %rsi, %rcx
	xorl %eax, %eax
	rep stosb
	ret
uaccess_load32:                      /* (dst, usrc) */
	movl (%rsi), %eax
	movl %eax, (%rdi)
	xorl %eax, %eax
	ret
uaccess_cmpxchg32:                   /* (uaddr, expected*, desired) */
	movl (%rsi), %eax
	lock cmpxchgl %edx, (%rdi)
	movl %eax, (%rsi)
	movl $0, %eax
	ret
uaccess_end:
uaccess_fixup:
	movq $-14, %rax
	ret

	.section .note.GNU-stack, "", @progbits

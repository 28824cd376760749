/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Application memory access: the handler in mock.c continues faults in here at the fixup. */
	.text
	.globl mock_uaccess_begin, mock_uaccess_end, mock_uaccess_fixup
	.globl mock_uaccess_copy, mock_uaccess_fill, mock_uaccess_load32, mock_uaccess_cmpxchg32
mock_uaccess_begin:
mock_uaccess_copy:
	movq %rdx, %rcx
	rep movsb
	xorl %eax, %eax
	ret
mock_uaccess_fill:
	movq %rsi, %rcx
	xorl %eax, %eax
	rep stosb
	ret
mock_uaccess_load32:
	movl (%rsi), %eax
	movl %eax, (%rdi)
	xorl %eax, %eax
	ret
mock_uaccess_cmpxchg32:
	movl (%rsi), %eax
	lock cmpxchgl %edx, (%rdi)
	movl %eax, (%rsi)
	movl $0, %eax
	ret
mock_uaccess_end:
mock_uaccess_fixup:
	movq $-14, %rax
	ret
	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The vDSO as bytes (IMAGE is the path of the linked object). */
	.section .rodata.vdso_image, "a", @progbits
	.globl vdso_image, vdso_image_end
	.p2align 4
vdso_image:
	.incbin IMAGE
vdso_image_end:
	.section .note.GNU-stack, "", @progbits

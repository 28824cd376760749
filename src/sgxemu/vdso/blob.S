/* SPDX-License-Identifier: LGPL-3.0-or-later */
    .section .rodata
    .globl  vdso_image, vdso_image_end
    .balign 4096
vdso_image:
    .incbin VDSO_IMAGE
vdso_image_end:
    .section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Registers out of a signal frame of the kernel's layout. */
#pragma once
#include "libos/entry/regs.h"
#include <asm/sigcontext.h>

/* All general registers, outside a system call; the flags as they are. */
static inline struct regs regs_of_sigcontext(const struct sigcontext *c)
{
    return (struct regs){.r15 = c->r15,
                         .r14 = c->r14,
                         .r13 = c->r13,
                         .r12 = c->r12,
                         .rbp = c->rbp,
                         .rbx = c->rbx,
                         .r11 = c->r11,
                         .r10 = c->r10,
                         .r9 = c->r9,
                         .r8 = c->r8,
                         .rax = c->rax,
                         .rcx = c->rcx,
                         .rdx = c->rdx,
                         .rsi = c->rsi,
                         .rdi = c->rdi,
                         .orig_rax = (uint64_t)-1,
                         .rip = c->rip,
                         .rflags = c->eflags,
                         .rsp = c->rsp};
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The application's general registers, as entry.S lays them on the library OS's stack. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t orig_rax; /* system-call number, or -1 outside a system call */
    uint64_t rip, rflags, rsp;
};
_Static_assert(sizeof(struct regs) == 152, "entry.S");
_Static_assert(offsetof(struct regs, rbp) == 32, "entry.S");
_Static_assert(offsetof(struct regs, r10) == 56, "entry.S");
_Static_assert(offsetof(struct regs, r9) == 64, "entry.S");
_Static_assert(offsetof(struct regs, r8) == 72, "entry.S");
_Static_assert(offsetof(struct regs, rax) == 80, "entry.S");
_Static_assert(offsetof(struct regs, rdx) == 96, "entry.S");
_Static_assert(offsetof(struct regs, rsi) == 104, "entry.S");
_Static_assert(offsetof(struct regs, rdi) == 112, "entry.S");
_Static_assert(offsetof(struct regs, rip) == 128, "entry.S");
_Static_assert(offsetof(struct regs, rflags) == 136, "entry.S");
_Static_assert(offsetof(struct regs, rsp) == 144, "entry.S");

#define REGS_SIZE 152

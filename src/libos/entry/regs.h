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

#define REGS_SIZE 152

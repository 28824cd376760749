/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Fast transitions. `mov $leaf,%eax; enclu` with leaf EENTER or EEXIT becomes `jmp stub`; the ENCLU
 * stays and traps as ever. A stub finds the thread's record without memory or segment bases (LSL of
 * a per-thread descriptor gives its number) and jumps to the trampoline, which saves all registers
 * in the record, does the transition in C, and leaves through IRETQ.
 *
 * A signal that arrives meanwhile is decided by where it hit:
 *   stub              nothing has happened: back to the site
 *   trampoline and C  (record.busy) kept until the transition is complete
 *   final part        the record says all: completed at once
 */
#pragma once

#define FAST_EENTER 1
#define FAST_EEXIT  2

/* Offsets in struct fast_record, the first member of struct thread. */
#define FAST_RAX      0
#define FAST_RBX      8
#define FAST_RCX      16
#define FAST_RDX      24
#define FAST_RSI      32
#define FAST_RDI      40
#define FAST_RBP      48
#define FAST_RSP      56
#define FAST_R8       64
#define FAST_IRET     128
#define FAST_RFLAGS   144
#define FAST_SITE     168
#define FAST_BUSY     176
#define FAST_DEFERRED 177
#define FAST_LEAF     180
#define FAST_HOW      184
#define FAST_LANDING  192
#define FAST_STACK    4352 /* its top */
#define FAST_SHIFT    18   /* a record lies at EMU_HEAP + number * 2^18 */

#ifndef __ASSEMBLER__
#    include "sgxemu/rt/rt.h"

struct fast_record {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, cs, rflags, iret_rsp, ss; /* as IRETQ wants them */
    uint64_t site;
    volatile uint8_t busy;
    volatile uint8_t deferred;
    uint8_t pad[2];
    uint32_t leaf;
    uint32_t how; /* FAST_EENTER, FAST_EEXIT, or 0: declined */
    uint32_t pad2;
    uint64_t landing;
    uint64_t unused[7];
    uint8_t stack[4096];
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct fast_record, r8) == FAST_R8, "fast record");
_Static_assert(offsetof(struct fast_record, rip) == FAST_IRET, "fast record");
_Static_assert(offsetof(struct fast_record, rflags) == FAST_RFLAGS, "fast record");
_Static_assert(offsetof(struct fast_record, site) == FAST_SITE, "fast record");
_Static_assert(offsetof(struct fast_record, busy) == FAST_BUSY, "fast record");
_Static_assert(offsetof(struct fast_record, deferred) == FAST_DEFERRED, "fast record");
_Static_assert(offsetof(struct fast_record, leaf) == FAST_LEAF, "fast record");
_Static_assert(offsetof(struct fast_record, how) == FAST_HOW, "fast record");
_Static_assert(offsetof(struct fast_record, landing) == FAST_LANDING, "fast record");
_Static_assert(offsetof(struct fast_record, stack) + 4096 == FAST_STACK, "fast record");
#endif

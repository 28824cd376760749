/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Fast leaves: an ENCLU that has once trapped is rewritten into a jump to a stub. Two forms:
 *
 *   SITE_MOV   an immediate move of the leaf to RAX, of any encoding, right before the ENCLU: the
 *              mov becomes the jump, the ENCLU stays and traps as ever.
 *   SITE_TAIL  an ENCLU whose leaf comes from elsewhere: the jump covers the ENCLU and what follows
 *              it, which the stub executes in its place. Every instruction boundary under the jump
 *              is a byte that traps (the displacement is chosen so), and whoever comes there is
 * sent on to the copy. EEXIT goes to the copy at once.
 *
 * A stub finds the thread's record without memory or segment bases (ES holds a selector of the
 * thread's own, whose number says it all) and jumps to the trampoline, which saves all registers in
 * the record, runs the leaf in C, and leaves by a jump or through IRETQ.
 *
 * A signal that arrives meanwhile is decided by where it hit:
 *   stub              nothing has happened: back to the ENCLU
 *   trampoline and C  (record.busy) kept until the leaf is complete
 *   final part        the record says all: completed at once
 *
 * fast.c has the leaves and the signals, sites.c the table of sites and their rewriting, stub.c the
 * code of stubs, decode.c the lengths of instructions.
 */
#pragma once

/* Code of the trampoline: vector registers are the program's there. */
#define GENERAL_REGS __attribute__((target("general-regs-only")))

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
#define FAST_ENCLU    168
#define FAST_BUSY     176
#define FAST_DEFERRED 177
#define FAST_LEAF     180
#define FAST_HOW      184
#define FAST_LANDING  192
#define FAST_STACK    (256 + FAST_STACK_SIZE) /* its top */
#define FAST_SHIFT    18                      /* a record lies at EMU_HEAP + number * 2^18 */

#define FAST_STACK_SIZE   16384
#define FAST_VECTORS_SIZE 2816 /* XSAVE area of x87, SSE, AVX and AVX-512, either format */

#ifndef __ASSEMBLER__
#    include "sgxemu/rt/rt.h"

struct fast_record {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, cs, rflags, iret_rsp, ss; /* as IRETQ wants them */
    uint64_t enclu;                         /* the instruction that this stands for */
    volatile uint8_t busy;
    volatile uint8_t deferred;
    uint8_t pad[2];
    uint32_t leaf;
    uint32_t how; /* FAST_EENTER, FAST_EEXIT, or 0: everything is in the record */
    uint32_t pad2;
    uint64_t landing;
    uint64_t unused[7];
    uint8_t stack[FAST_STACK_SIZE];
    uint8_t vectors[FAST_VECTORS_SIZE];
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct fast_record, r8) == FAST_R8, "fast record");
_Static_assert(offsetof(struct fast_record, rip) == FAST_IRET, "fast record");
_Static_assert(offsetof(struct fast_record, rflags) == FAST_RFLAGS, "fast record");
_Static_assert(offsetof(struct fast_record, enclu) == FAST_ENCLU, "fast record");
_Static_assert(offsetof(struct fast_record, busy) == FAST_BUSY, "fast record");
_Static_assert(offsetof(struct fast_record, deferred) == FAST_DEFERRED, "fast record");
_Static_assert(offsetof(struct fast_record, leaf) == FAST_LEAF, "fast record");
_Static_assert(offsetof(struct fast_record, how) == FAST_HOW, "fast record");
_Static_assert(offsetof(struct fast_record, landing) == FAST_LANDING, "fast record");
_Static_assert(offsetof(struct fast_record, stack) + FAST_STACK_SIZE == FAST_STACK, "fast record");
_Static_assert(offsetof(struct fast_record, vectors) % 64 == 0, "XSAVE wants 64");

#    define SITE_JUMP 5  /* bytes of a jump */
#    define TAIL_MAX  16 /* a one-byte instruction and the longest one */

enum site_form { SITE_MOV, SITE_TAIL };

/* A rewritten ENCLU. The same in every process, so that enclaves can carry it in their file. */
struct site {
    uint64_t address; /* of the first replaced byte */
    uint64_t stub;
    uint32_t leaf; /* SITE_MOV */
    uint8_t form;
    uint8_t mov_len;  /* SITE_MOV: from the address to the ENCLU */
    uint8_t tail_len; /* SITE_TAIL: whole instructions after the ENCLU that the jump touches */
    uint8_t fixed;    /* of these, bytes copied as they are; a relative branch is the rest */
    uint8_t original[SITE_JUMP];
    uint8_t tail[TAIL_MAX];
};

/* Length of the instruction at `code` when a copy elsewhere does the same; else 0. `last`: control
 * never goes on behind it. At least 16 bytes must be readable. */
unsigned decode_movable(const uint8_t *code, bool *last);
/* A relative jump, conditional jump or call; 0 when it is another instruction. */
enum branch { BRANCH_NONE, BRANCH_JUMP, BRANCH_CALL, BRANCH_IF };
struct branch_insn {
    enum branch kind;
    uint8_t condition; /* BRANCH_IF: as in the opcode */
    int32_t displacement;
    unsigned length;
};
bool decode_branch(const uint8_t *code, struct branch_insn *out);

/* stub.c */
#    define STUB_SLOT       128 /* a SITE_MOV stub fits one; SITE_TAIL stubs take STUB_TAIL_SLOTS */
#    define STUB_TAIL_SLOTS 5
unsigned stub_slots(const struct site *s);
void stub_build(const struct site *s); /* at s->stub */
uint64_t stub_enclu(const struct site *s);
/* A signal hit the stub at `rip`: the state becomes that before (or, in the copied tail, stays). */
struct fast_where {
    uint64_t rip;
    bool rax_is_leaf, rcx_in_record;
    uint32_t leaf;
};
struct fast_where stub_unwind(const struct site *s, uint64_t rip);
/* The address in the original code that `rip`, in the stub, stands for; and back. */
uint64_t stub_original(const struct site *s, uint64_t rip);
uint64_t stub_copy(const struct site *s, uint64_t rip); /* 0: not a moved instruction */

/* sites.c */
const struct site *site_at(uint64_t address);
const struct site *site_of_stub(uint64_t rip);
const struct site *site_before(uint64_t enclu); /* the SITE_MOV that ends at this ENCLU */
bool is_patched(const struct site *s);          /* is the jump still there? */
uint64_t fast_exit_target(uint64_t target);
extern volatile bool sites_in_program; /* SITE_TAIL ones */
#endif

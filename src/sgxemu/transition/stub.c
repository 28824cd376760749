/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The code of stubs. They are the same in every process: the device lies at a fixed address, and a
 * thread is told by ES alone, so a process that meets a jump of another one can build the stub for
 * itself.
 *
 *   SITE_MOV    body; constants
 *   SITE_TAIL   compare and branch for each leaf; ENCLU; the moved tail, a relative branch at its
 * end made absolute; jump back; a body for each leaf; constants
 */
#include "sgxemu/emu.h"

/* A body: RAX becomes the thread's record. */
#define BODY_SIZE     67
#define BODY_RCX_GONE 34 /* from here RCX is in the record */
#define BODY_SLOW     57 /* a thread without a number: RAX is the leaf again, on to the ENCLU */

#define COMPARE   10 /* cmp $leaf,%rax; je body */
#define LEAVES    7
#define SLOW      (LEAVES * COMPARE)     /* the ENCLU of a SITE_TAIL stub */
#define TAIL      (SLOW + ENCL_INSN_LEN) /* the moved instructions */
#define BODIES    (TAIL + TAIL_MAX + 6)  /* behind the jump back */
#define CONSTANTS (BODIES + LEAVES * BODY_SIZE)
_Static_assert(CONSTANTS + 32 <= STUB_TAIL_SLOTS * STUB_SLOT, "a SITE_TAIL stub");
_Static_assert(BODY_SIZE + 16 <= STUB_SLOT, "a SITE_MOV stub");

static const uint8_t leaves[LEAVES] = {SGX_EEXIT,  SGX_EREPORT,     SGX_EGETKEY, SGX_EACCEPT,
                                       SGX_EMODPE, SGX_EACCEPTCOPY, SGX_EENTER};

extern char fast_trampoline[];

/* A displacement at `p` to `target`, counted from the end of its four bytes. */
static void put_rel(uint8_t *p, const uint8_t *target)
{
    int32_t rel = (int32_t)(target - (p + 4));
    memcpy(p, &rel, 4);
}

/* `constants`: the heap's base and the trampoline's address. */
static void build_body(uint8_t *s, uint64_t enclu, uint32_t leaf, const uint8_t *constants)
{
    /* clang-format off */
    static const uint8_t code[BODY_SIZE] = {
        0x8c, 0xc0,                                      /*  0 mov %es,%eax */
        0x83, 0xe8, 0x07,                                /*  2 sub $7,%eax */
        0xa8, 0x07,                                      /*  5 test $7,%al */
        0x75, BODY_SLOW - 9,                             /*  7 jnz slow */
        0x48, 0xc1, 0xe0, FAST_SHIFT - 3,                /*  9 shl $15,%rax */
        0x48, 0x03, 0x05, 0, 0, 0, 0,                    /* 13 add heap(%rip),%rax */
        0x48, 0x89, 0x48, FAST_RCX,                      /* 20 mov %rcx,FAST_RCX(%rax) */
        0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0,              /* 24 movabs $enclu,%rcx */
        0x48, 0x89, 0x88, FAST_ENCLU, 0, 0, 0,           /* 34 mov %rcx,FAST_ENCLU(%rax) */
        0xc7, 0x80, FAST_LEAF, 0, 0, 0, 0, 0, 0, 0,      /* 41 movl $leaf,FAST_LEAF(%rax) */
        0xff, 0x25, 0, 0, 0, 0,                          /* 51 jmp *trampoline(%rip) */
        0xb8, 0, 0, 0, 0,                                /* 57 mov $leaf,%eax */
        0xe9, 0, 0, 0, 0,                                /* 62 jmp enclu */
    };
    /* clang-format on */
    memcpy(s, code, sizeof(code));
    memcpy(s + 26, &enclu, 8);
    memcpy(s + 47, &leaf, 4);
    memcpy(s + 58, &leaf, 4);
    put_rel(s + 16, constants);
    put_rel(s + 53, constants + 8);
    put_rel(s + 63, (const uint8_t *)enclu);
}

GENERAL_REGS unsigned stub_slots(const struct site *s)
{
    return s->form == SITE_MOV ? 1 : STUB_TAIL_SLOTS;
}

uint64_t stub_enclu(const struct site *s)
{
    return s->form == SITE_MOV ? s->address + s->mov_len : s->stub + SLOW;
}

/* `op` with an operand at `constant`; returns what is behind it. */
static uint8_t *put_indirect(uint8_t *p, uint8_t op, const uint8_t *constant)
{
    p[0] = 0xff;
    p[1] = op;
    put_rel(p + 2, constant);
    return p + 6;
}

/* The moved tail and the jump back. Constants: [2] is the address behind the tail, [3] a branch's
 * target. */
static void build_tail(const struct site *s, uint8_t *p, uint8_t *constants)
{
    const uint64_t back = s->address + ENCL_INSN_LEN + s->tail_len;
    struct branch_insn b = {.kind = BRANCH_NONE};
    memcpy(p, s->tail, s->fixed);
    p += s->fixed;
    if (s->fixed < s->tail_len && decode_branch(s->tail + s->fixed, &b)) {
        const uint64_t target = back + (uint64_t)(int64_t)b.displacement;
        memcpy(constants + 24, &target, 8);
        if (b.kind == BRANCH_CALL)
            p = put_indirect(p, 0x35, constants + 16); /* push */
        if (b.kind == BRANCH_IF) {                     /* around the jump */
            *p++ = 0x70 | (b.condition ^ 1);
            *p++ = 6;
        }
        p = put_indirect(p, 0x25, constants + 24);
    }
    memcpy(constants + 16, &back, 8);
    put_indirect(p, 0x25, constants + 16);
}

void stub_build(const struct site *s)
{
    const uint64_t heap = EMU_HEAP, trampoline = (uint64_t)fast_trampoline;
    uint8_t *p = (uint8_t *)s->stub;
    uint8_t *constants = p + (s->form == SITE_MOV ? BODY_SIZE : CONSTANTS);
    memcpy(constants, &heap, 8);
    memcpy(constants + 8, &trampoline, 8);
    if (s->form == SITE_MOV) {
        build_body(p, stub_enclu(s), s->leaf, constants);
        return;
    }
    for (unsigned i = 0; i < LEAVES; i++) {
        uint8_t *at = p + i * COMPARE;
        const uint8_t compare[6] = {0x48, 0x83, 0xf8, leaves[i], 0x0f, 0x84};
        memcpy(at, compare, sizeof(compare));
        put_rel(at + 6, p + BODIES + i * BODY_SIZE);
        build_body(p + BODIES + i * BODY_SIZE, stub_enclu(s), leaves[i], constants);
    }
    memcpy(p + SLOW, "\x0f\x01\xd7", ENCL_INSN_LEN);
    build_tail(s, p + TAIL, constants);
}

/* A body's registers at offset `at` in it. */
static struct fast_where unwind_body(const struct site *s, uint64_t at, uint32_t leaf)
{
    return (struct fast_where){.rip = stub_enclu(s),
                               .rax_is_leaf = true,
                               .rcx_in_record = at >= BODY_RCX_GONE && at < BODY_SLOW,
                               .leaf = leaf};
}

struct fast_where stub_unwind(const struct site *s, uint64_t rip)
{
    const uint64_t at = rip - s->stub;
    if (s->form == SITE_MOV) {
        struct fast_where w = unwind_body(s, at, s->leaf);
        w.rip = s->address; /* the mov, which is the jump now, sets RAX again */
        return w;
    }
    if (at < BODIES)
        return (struct fast_where){.rip = stub_original(s, rip)};
    struct fast_where w =
        unwind_body(s, (at - BODIES) % BODY_SIZE, leaves[(at - BODIES) / BODY_SIZE % LEAVES]);
    w.rip = s->address;
    return w;
}

GENERAL_REGS uint64_t stub_original(const struct site *s, uint64_t rip)
{
    const uint64_t at = rip - s->stub, moved = at - TAIL;
    if (s->form != SITE_TAIL || at < TAIL || at >= BODIES)
        return s->address;
    if (moved <= s->fixed)
        return s->address + ENCL_INSN_LEN + moved;
    /* The indirect jump of a conditional one or of a call, after which nothing is to be done. */
    const uint64_t back = s->address + ENCL_INSN_LEN + s->tail_len;
    struct branch_insn b = {.kind = BRANCH_NONE};
    decode_branch(s->tail + s->fixed, &b);
    if ((b.kind == BRANCH_IF && moved == s->fixed + 2U) ||
        (b.kind == BRANCH_CALL && moved == s->fixed + 6U))
        return back + (uint64_t)(int64_t)b.displacement;
    return back;
}

GENERAL_REGS uint64_t stub_copy(const struct site *s, uint64_t rip)
{
    const uint64_t at = rip - s->address;
    if (s->form != SITE_TAIL || at < ENCL_INSN_LEN || at >= SITE_JUMP)
        return 0;
    return s->stub + TAIL + (at - ENCL_INSN_LEN);
}

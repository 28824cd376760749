/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The code of stubs. They are the same in every process: the device lies at a fixed address, and a
 * thread is told by ES alone, so a process that meets a jump of another one can build the stub for
 * itself.
 *
 *   SITE_MOV    body; constants
 *   SITE_TAIL   compare and branch for each leaf; ENCLU; the moved tail; jump back; a body for each
 *               leaf; constants
 */
#include "sgxemu/emu.h"

/* A body: RAX becomes the thread's record. */
#define BODY_SIZE     67
#define BODY_RCX_GONE 34 /* from here RCX is in the record */
#define BODY_SLOW     57 /* a thread without a number: RAX is the leaf again, on to the ENCLU */

#define COMPARE   10 /* cmp $leaf,%rax; je body */
#define LEAVES    6
#define SLOW      (LEAVES * COMPARE)     /* the ENCLU of a SITE_TAIL stub */
#define TAIL      (SLOW + ENCL_INSN_LEN) /* the moved instructions */
#define BODIES    (TAIL + TAIL_MAX + 6)  /* behind the jump back */
#define CONSTANTS (BODIES + LEAVES * BODY_SIZE)
_Static_assert(CONSTANTS + 24 <= STUB_TAIL_SLOTS * STUB_SLOT, "a SITE_TAIL stub");
_Static_assert(BODY_SIZE + 16 <= STUB_SLOT, "a SITE_MOV stub");

static const uint8_t leaves[LEAVES] = {SGX_EEXIT,   SGX_EREPORT, SGX_EGETKEY,
                                       SGX_EACCEPT, SGX_EMODPE,  SGX_EACCEPTCOPY};

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

unsigned stub_slots(const struct site *s)
{
    return s->form == SITE_MOV ? 1 : STUB_TAIL_SLOTS;
}

uint64_t stub_enclu(const struct site *s)
{
    return s->form == SITE_MOV ? s->address + SITE_JUMP : s->stub + SLOW;
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
    const uint64_t back = s->address + ENCL_INSN_LEN + s->tail_len;
    memcpy(p + SLOW, "\x0f\x01\xd7", ENCL_INSN_LEN);
    memcpy(p + TAIL, s->tail, s->tail_len);
    memcpy(p + TAIL + s->tail_len, "\xff\x25", 2);
    put_rel(p + TAIL + s->tail_len + 2, constants + 16);
    memcpy(constants + 16, &back, 8);
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
    if (at < SLOW)
        return (struct fast_where){.rip = s->address};
    if (at < BODIES)
        return (struct fast_where){.rip = rip};
    return unwind_body(s, (at - BODIES) % BODY_SIZE, leaves[(at - BODIES) / BODY_SIZE % LEAVES]);
}

uint64_t stub_original(const struct site *s, uint64_t rip)
{
    const uint64_t at = rip - s->stub;
    if (s->form == SITE_TAIL && at >= TAIL && at <= (uint64_t)TAIL + s->tail_len)
        return s->address + ENCL_INSN_LEN + (at - TAIL);
    return s->address;
}

uint64_t stub_copy(const struct site *s, uint64_t rip)
{
    const uint64_t at = rip - s->address;
    if (s->form != SITE_TAIL || at < ENCL_INSN_LEN || at >= SITE_JUMP)
        return 0;
    return s->stub + TAIL + (at - ENCL_INSN_LEN);
}

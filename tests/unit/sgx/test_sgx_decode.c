/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The lengths of instructions that a rewritten site moves, against the assembler's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "sgxemu/transition/fast.h"

extern const struct insn {
    const uint8_t *code;
    uint8_t length, movable, last, pad[5];
} insns[], insns_end[];

static void lengths(void **state)
{
    for (const struct insn *i = insns; i < insns_end; i++) {
        bool last = true;
        unsigned got = decode_movable(i->code, &last);
        if (got != (i->movable ? i->length : 0) || (got && last != i->last))
            fail_msg("instruction %td (%02x %02x %02x): %u bytes, not %u", i - insns, i->code[0],
                     i->code[1], i->code[2], got, i->length);
    }
    assert_true(insns_end - insns > 70);
}

static void branches(void **state)
{
    static const struct {
        uint8_t code[6];
        struct branch_insn want;
    } cases[] = {
        {{0xeb, 0xfe}, {BRANCH_JUMP, 11, -2, 2}},
        {{0x74, 0x7f}, {BRANCH_IF, 4, 127, 2}},
        {{0xe9, 1, 2, 3, 0x80}, {BRANCH_JUMP, 9, -0x7ffcfdff, 5}},
        {{0xe8, 0xff, 0xff, 0xff, 0xff}, {BRANCH_CALL, 8, -1, 5}},
        {{0x0f, 0x8d, 0, 1, 0, 0}, {BRANCH_IF, 13, 256, 6}},
        {{0xff, 0xe0}, {BRANCH_NONE, 0, 0, 0}},
        {{0x0f, 0x1f, 0x00}, {BRANCH_NONE, 0, 0, 0}},
        {{0xe3, 0x00}, {BRANCH_NONE, 0, 0, 0}}, /* JRCXZ */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct branch_insn got;
        assert_int_equal(decode_branch(cases[i].code, &got), cases[i].want.kind != BRANCH_NONE);
        assert_int_equal(got.kind, cases[i].want.kind);
        assert_int_equal(got.length, cases[i].want.length);
        assert_int_equal(got.displacement, cases[i].want.displacement);
        if (got.kind == BRANCH_IF)
            assert_int_equal(got.condition, cases[i].want.condition);
    }
}

/* Whatever the bytes are, nothing beyond them is read and no length is absurd. */
static void noise(void **state)
{
    uint8_t *code = malloc(16);
    uint32_t x = 12345;
    for (int round = 0; round < 1000000; round++) {
        for (int i = 0; i < 16; i++)
            code[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
        bool last;
        assert_true(decode_movable(code, &last) <= 15);
    }
    free(code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lengths), cmocka_unit_test(branches),
                                       cmocka_unit_test(noise)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The lengths of instructions that a rewritten site moves, against the assembler's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

unsigned decode_movable(const uint8_t *code, bool *last);

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(lengths), cmocka_unit_test(noise)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

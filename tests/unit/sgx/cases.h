/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * CASE(leaf, condition, outcome) { set up; run the leaf last } checks the outcome of one condition
 * of the manual. Every case starts from a fresh machine.
 */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "machine.h"

struct outcome {
    uint32_t vector;  /* SGX_NO_FAULT: completes */
    uint64_t rax;     /* error code; ~0: not looked at */
    uint64_t address; /* of #PF; 0: not looked at */
    const char *name;
};

#define COMPLETES       ((struct outcome){SGX_NO_FAULT, ~0ULL, 0, "completes"})
#define SUCCESS         ((struct outcome){SGX_NO_FAULT, 0, 0, "success"})
#define RETURNS(code)   ((struct outcome){SGX_NO_FAULT, code, 0, #code})
#define FAULT_GP        ((struct outcome){SGX_GP, ~0ULL, 0, "#GP(0)"})
#define FAULT_PF(where) ((struct outcome){SGX_PF, ~0ULL, where, "#PF"})

bool case_begin(const char *leaf, const char *condition);
bool case_end(struct outcome outcome);

#define CASE(leaf, condition, outcome) \
    for (bool once = case_begin(leaf, condition); once; once = case_end(outcome))

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Just enough of the x86-64 instruction format to walk over code (Intel SDM vol. 2, chapter 2). */
#pragma once
#include "libos/libos.h"

/* Length of the instruction at `p`, of which `avail` bytes may be read; 0 when unknown. */
size_t insn_length(const uint8_t *p, size_t avail);

/*
 * Length of the instruction at `p` if a copy of it elsewhere does the same: it computes with
 * registers, at most reads the stack by %rsp alone, and goes on behind itself; else 0. *disp: where
 * in it a displacement relative to the instruction's end stands, 4 bytes, which a copy has to
 * correct; 0: nowhere.
 */
size_t insn_movable(const uint8_t *p, size_t avail, size_t *disp);

/*
 * Does an instruction begin at `at`, given that one begins at `end` (at most 15 bytes behind it)?
 * Decodes from many starting points further up, at least 16 bytes before `end`: streams of x86 code
 * fall into step with the true one within a few instructions, so the true boundaries are those
 * that nearly all of them meet. Reads [start, end). Returns how many of them do, in percent; 0 when
 * there is too little code to tell.
 */
unsigned insn_begins(uintptr_t start, uintptr_t at, uintptr_t end);

/*
 * Decodes from `from` (an instruction boundary) on and returns the address of `need` bytes of
 * padding (nop, int3) that directly follow a return or an unconditional jump; 0 when there are none
 * before `end`.
 */
uintptr_t insn_find_hole(uintptr_t from, uintptr_t end, size_t need);

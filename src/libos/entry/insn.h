/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Just enough of the x86-64 instruction format to walk over code (Intel SDM vol. 2, chapter 2). */
#pragma once
#include "libos/libos.h"

/* Length of the instruction at `p`, of which `avail` bytes may be read; 0 when unknown. */
size_t insn_length(const uint8_t *p, size_t avail);

/*
 * Decodes from `from` (an instruction boundary) on and returns the address of `need` bytes of
 * padding (nop, int3) that directly follow a return or an unconditional jump; 0 when there are none
 * before `end`.
 */
uintptr_t insn_find_hole(uintptr_t from, uintptr_t end, size_t need);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The shared object that the library OS maps into each program for fast clocks (vdso(7)). */
#pragma once
#include "libos/mm/mm.h"

/* Maps it. 0 or errno. */
int vdso_map(struct mm *mm);
/* Its address in the running program, 0 before vdso_map. */
uintptr_t vdso_base(void);

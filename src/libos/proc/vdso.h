/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The shared object that the library OS maps into each program for fast clocks (vdso(7)). */
#pragma once
#include "libos/mm/mm.h"

/* Maps it. 0 or errno. */
int vdso_map(struct mm *mm);
/* Its address in the running program, 0 before vdso_map. */
uintptr_t vdso_base(void);
/* Of one of VDSO_FAST_CLOCKS, in nanoseconds; by the host's vDSO where it can. The coarse ones show
 * the kernel's last tick: a few loads, cheaper than reading the processor's counter. */
uint64_t vdso_clock_ns(int clock);
/* Is it code of the host's vDSO? vdso_clock_ns() runs it on the library OS's stack. */
bool vdso_is_host(uintptr_t ip);
/*
 * A system call arrived from `ip`. When that is the host's vDSO, it does not serve `bits`
 * (VDSO_FAST_* of vdso/data.h) by itself, as with an unsuitable clock source: stop asking it.
 */
void vdso_is_slow(uintptr_t ip, uint32_t bits);

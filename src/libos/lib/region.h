/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/libos.h"

/* Reserves the library OS's region of the address space; once, before any allocation. */
void region_init(void);
/* Where it is. */
void region_bounds(uintptr_t *start, uintptr_t *end);
/* Addresses at its upper end, for good, away from what region_alloc() hands out: a mapping of
 * another kind among that would cost every fork a further page of page table. NULL: none are left.
 */
void *region_reserve_top(size_t size);
/* For heap_hold() and heap_release(). */
void region_hold(void);
void region_release(void);

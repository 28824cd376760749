/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/libos.h"

/* Reserves the library OS's region of the address space; once, before any allocation. */
void region_init(void);
/* Where it is. */
void region_bounds(uintptr_t *start, uintptr_t *end);
/* For heap_hold() and heap_release(). */
void region_hold(void);
void region_release(void);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Memory, on a platform whose host is not trusted with it (PLATFORM_HOST_TRUSTED 0): one range of
 * addresses for application and library OS, all use of which is decided here; anonymous pages at
 * given places is all that is asked for. `addr` and `len` are page multiples within the range.
 */
#pragma once
#include "libos/libos.h"

struct mem_ranges {
    uintptr_t app_start, app_end;       /* the application's */
    uintptr_t region_start, region_end; /* the library OS's, above it */
};
/* Takes the range; once, before anything else of this. 0 or an errno. */
int mem_take(void);
extern struct mem_ranges mem_ranges; /* since then */

/* Zeroed pages there, whatever was there before. 0 or an errno. */
int mem_map(uintptr_t addr, size_t len, int prot);
/* Nothing there, the addresses stay ours. */
int mem_unmap(uintptr_t addr, size_t len);
int mem_protect(uintptr_t addr, size_t len, int prot);
/* Zeros in pages that are there, their protection unchanged. */
int mem_zero(uintptr_t addr, size_t len);

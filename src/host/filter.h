/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The closed list of host calls, and what each one's arguments are; only where PLATFORM_ARENA. */
#pragma once
#include "libos/libos.h"

/* What is wrong with a host call of src/host: NULL, or "argument N ...", "not in the list". */
const char *filter_fault(long nr, const long a[6]);
/* The name of a call in the list; NULL: none. */
const char *filter_name(long nr);

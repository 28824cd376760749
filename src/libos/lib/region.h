/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/libos.h"

/* Reserves the library OS's region of the address space; once, before any allocation. */
void region_init(void);

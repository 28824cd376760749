/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Capabilities (capabilities(7)): user 0 has all that it did not give away, others have none. */
#pragma once
#include "libos/process.h"

#define CAP_COUNT 41 /* CAP_LAST_CAP + 1 of Linux 5.9 and later */
#define CAP_ALL   ((1UL << CAP_COUNT) - 1)

uint64_t caps_permitted(const struct credentials *c);
uint64_t caps_effective(const struct credentials *c);

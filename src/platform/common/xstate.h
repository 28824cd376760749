/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Vector and floating-point state: what platform.h says of it, for all that execute XSAVE. */
#pragma once
#include "libos/libos.h"

/* Once, at start: the components that XSAVE keeps for the application, and the size of its area in
 * the standard format. */
void xstate_setup(uint64_t mask, size_t size);

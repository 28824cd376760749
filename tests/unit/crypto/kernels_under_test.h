/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Runs a test once per set of kernels that this CPU has. */
#pragma once
#include "crypto/crypto.h"

#define KERNEL_SETS 4

/* Selects set `i`: portable, AES-NI, VAES on 256 bits, VAES on 512 bits. Returns 0, or -1 when this
 * CPU lacks it. */
int use_kernels(int i);

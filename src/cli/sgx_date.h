/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The date in a signature, as the commands that sign take it. */
#pragma once
#include "sgx/arch.h"

#include <stdbool.h>

/* Sets DATE: YYYY-MM-DD exactly, `today`, or 0000-00-00. False when the text is none of these. */
bool sgx_sign_date(struct sgx_sigstruct *sig, const char *text);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What there is one of in a run: see process.h. */
#include "libos/process.h"

struct run run;
struct process *first_process;

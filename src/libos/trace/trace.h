/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The lines of loader.log_level = "trace", one for each system call:
 *
 *   ---- name(arguments) = result              what is done at once
 *   ---- name(arguments) ...                   what may wait, or does not return
 *   ---- return from name(...) = result {...}  and what it stored, when it is over
 *
 * Results are hexadecimal, errors decimal with their name. Arguments look as strace prints them,
 * except that the content of what is read and written is never shown: it may be secret.
 */
#pragma once
#include "libos/trace/text.h"

struct trace_call {
    unsigned long nr;
    const char *name;
    long arg[ARGUMENTS_MOST];
    bool waits;
    int shown; /* arguments in the text so far */
    struct trace_text text;
};

/* Before the call: nr, name and arg are set. Application memory is read as it is now. */
void trace_before(struct trace_call *c);
void trace_after(struct trace_call *c, long ret);

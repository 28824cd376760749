/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Building a trace line: text of a limited length, application memory shown as strace shows it. */
#pragma once
#include "libos/libos.h"
#include "libos/trace/names.h"

struct trace_text {
    size_t len;
    bool full; /* what came later is missing */
    char text[2000];
};

void trace_put(struct trace_text *t, const char *text);
__attribute__((format(printf, 2, 3))) void trace_fmt(struct trace_text *t, const char *format, ...);
/* The names of a set of flags, joined by '|', what has none as a number. */
void trace_flags(struct trace_text *t, const struct trace_name *names, uint64_t value);
/* One name, or the number in hexadecimal. */
void trace_one(struct trace_text *t, const struct trace_name *names, uint64_t value);
void trace_address(struct trace_text *t, uint64_t address); /* or NULL */
void trace_signal_name(struct trace_text *t, uint64_t number);
void trace_open_flags(struct trace_text *t, uint64_t flags);
void trace_clone_flags(struct trace_text *t, uint64_t flags, uint64_t exit_signal);
/* The bytes in quotes, escaped as in C. */
void trace_quoted(struct trace_text *t, const char *bytes, size_t n);
/* The NUL-terminated string at an application address, cut after `most` bytes; one of `n` bytes. */
void trace_user_string(struct trace_text *t, uint64_t address, size_t most);
void trace_user_bytes(struct trace_text *t, uint64_t address, size_t n, size_t most);

/* What argument `i` of a call points to; false: nothing that can be shown. `after`: the call is
 * over and returned `ret`. */
bool trace_memory(struct trace_text *t, enum argument_kind kind, const long arg[ARGUMENTS_MOST],
                  int i, bool after, long ret);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The names of constants in system calls, for the lines of loader.log_level = "trace". */
#pragma once
#include "libos/trace/arguments.h"
#include <stdint.h>

/* The texts lie in the entries, so that the tables need no relocation at start. */
struct trace_name {
    uint64_t value;
    char text[24]; /* "" behind the last */
};

/* The names of a kind; NULL: it has none. `flags`: the value is a set of them. */
const struct trace_name *trace_names(enum argument_kind kind, int *flags);
/* Options of a socket at a level, NULL: unknown level. */
const struct trace_name *trace_option_names(long level);
const struct trace_name *trace_futex_flags(void);
const struct trace_name *trace_type_flags(void); /* of socket(2) */
const struct trace_name *trace_poll_events(void);
const struct trace_name *trace_epoll_events(void);
const struct trace_name *trace_action_flags(void); /* SA_* */
const struct trace_name *trace_lock_types(void);   /* F_RDLCK … */

/* The text of `value`, or NULL. */
const char *trace_name_of(const struct trace_name *names, uint64_t value);
/* "ENOENT" for 2, or NULL; also those by which a call is restarted. */
const char *trace_errno(unsigned number);
/* "SIGTERM" for 15, or NULL. */
const char *trace_signal(unsigned number);

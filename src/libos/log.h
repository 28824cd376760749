/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Log lines: "[(file:line:function) ][[Pn:Tm:prog] ]level: message" (loader.log_level). */
#pragma once
#include "libos/libos.h"

enum log_level { LOG_NONE, LOG_ERROR, LOG_WARNING, LOG_DEBUG, LOG_TRACE, LOG_ALL };

extern enum log_level log_level_now; /* set once at start */

/* Lines go to `host_fd` (stderr until called). */
void log_init(enum log_level level, int host_fd);
/* Closes the host's stderr but keeps its number, so that no file of the program's gets it and then
 * the messages. */
void log_hold_stderr(void);
/* `always`: regardless of the level. */
__attribute__((format(printf, 5, 6))) void
log_line(enum log_level level, const char *file, int line, const char *func, const char *fmt, ...);

#define log_at(level, ...)                                              \
    do {                                                                \
        if (unlikely(log_level_now >= (level)))                         \
            log_line(level, __FILE__, __LINE__, __func__, __VA_ARGS__); \
    } while (0)
#define log_error(...)   log_at(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_debug(...)   log_at(LOG_DEBUG, __VA_ARGS__)
#define log_trace(...)   log_at(LOG_TRACE, __VA_ARGS__)

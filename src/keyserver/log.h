/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One JSON object a line, on stderr or at the end of a file. Never a secret. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

/* `path` NULL: stderr. False with errno. May be called again (after the file was moved away). */
bool ks_log_open(const char *path, const char *instance);

/*
 * Writes time, level, event and the members of `more` (taken over, may be NULL), in this order.
 * Levels: "error", "warning", "info". From any thread.
 */
void ks_log(const char *level, const char *event, json_t *more);
/* The same with one member "message". */
__attribute__((format(printf, 3, 4))) void ks_log_text(const char *level, const char *event,
                                                       const char *fmt, ...);

/* Whether one more line may be written about peers that anybody can be: so many in a second. What
 * is left out is counted, and told afterwards. */
bool ks_log_may(void);

/* Text as a JSON string; what is not UTF-8 becomes '?'. Never NULL but without memory. */
json_t *ks_json_text(const char *text);
/* Bytes as hex; JSON null for NULL. */
json_t *ks_json_hex(const void *data, size_t size);
/* "2026-12-01T03:04:05.678Z", now. */
void ks_time_text(char text[32]);

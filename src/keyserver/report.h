/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A page that shows audit logs to people: who asked, with what, what was decided, and why. */
#pragma once
#include <stdio.h>

#include "keyserver/audit.h"

struct ks_report_log {
    const char *path;
    const char *head;      /* file, or NULL */
    struct ks_chain chain; /* filled, as the rest: how far it holds */
    struct ks_head signed_head;
    struct ks_audit_error broken; /* text "" when intact */
};

struct ks_report;

/* Keeps the last `rows` decisions of all logs together. NULL without memory. */
struct ks_report *ks_report_new(size_t rows);
void ks_report_free(struct ks_report *report);
/* Follows a log; what stands behind its first broken record is left out. False: it cannot be read,
 * `log->broken` says why. */
bool ks_report_read(struct ks_report *report, struct ks_report_log *log);
/* One self-contained HTML page: no scripts, nothing is loaded; all that comes from logs is escaped.
 */
void ks_report_write(struct ks_report *report, const struct ks_report_log *logs, size_t count,
                     FILE *out);

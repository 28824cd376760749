/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Counters for Prometheus. From any thread. */
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct ks_metrics {
    atomic_ulong connections, refused_connections, displaced_connections;
    atomic_ulong handshakes, failed_handshakes, timeouts, bad_requests;
    atomic_ulong verifications, verification_us, fetches, source_errors, audit_errors, reloads,
        failed_reloads;
    atomic_long open;
    int64_t started;
};

struct ks_decisions; /* decisions by secret and code */
struct ks_decisions *ks_decisions_new(void);
void ks_decisions_free(struct ks_decisions *d);
void ks_decisions_count(struct ks_decisions *d, const char *secret, const char *code);

/* The whole text, malloc()ed; NULL without memory. */
char *ks_metrics_text(const struct ks_metrics *m, struct ks_decisions *d, size_t *size);

/* GET /metrics, /healthz over HTTP/1.1 until `stop` is readable; `listener` is closed then. */
struct ks_scraped {
    const struct ks_metrics *metrics;
    struct ks_decisions *decisions;
    int listener, stop;
};
void ks_metrics_serve(const struct ks_scraped *what);

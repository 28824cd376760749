/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The key server. Threads: loops, each with an epoll and its own connections; two pools for what
 * may take long (collateral, sources); the audit log's; one for metrics; the first one for signals.
 */
#pragma once
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>

#include "keyserver/audit.h"
#include "keyserver/judge.h"
#include "keyserver/metrics.h"
#include "keyserver/policy.h"
#include "keyserver/pool.h"
#include "keyserver/source.h"
#include "keyserver/verifier.h"

#define KS_LOOPS_MAX 64

/* What a reload replaces, as a whole. */
struct ks_config {
    atomic_uint references;
    struct ks_policy *policy;
    struct ks_verifier *verifier;
    SSL_CTX *tls;
};

/* ---- config.c ---- */
/* NULL: errors are in `d`. */
struct ks_config *ks_config_load(const char *path, struct diag *d);
struct ks_config *ks_config_hold(struct ks_config *config);
void ks_config_release(struct ks_config *config);

#define KS_ADDRESS_BUCKETS 65536

struct ks_server {
    const char *path;     /* of the policy */
    pthread_mutex_t lock; /* guards `config` */
    struct ks_config *config;
    int listener;
    unsigned loop_count;
    struct ks_loop *loops[KS_LOOPS_MAX];
    struct ks_pool *verifying;                 /* collateral that has to be fetched */
    struct ks_pool *fetching[KS_SOURCE_KINDS]; /* so that one that is slow keeps up no other */
    struct ks_audit *audit;                    /* NULL: none */
    struct ks_rates *rates;
    struct ks_sources *sources;
    struct ks_metrics metrics;
    struct ks_decisions *decisions;
    uint64_t ids; /* random; made different by each connection's number */
    atomic_ulong numbers;
    long max_connections;
    unsigned max_per_address;
    atomic_ushort per_address[KS_ADDRESS_BUCKETS];
    unsigned seed;
};

/* The configuration of this moment (held). */
struct ks_config *ks_server_config(struct ks_server *server);

/* ---- loop.c ---- */
struct ks_loop;
/* Starts a thread that accepts and serves; NULL when that fails. */
struct ks_loop *ks_loop_start(struct ks_server *server);
/* Accepts nobody any more; ends when its connections have, at the latest after so many seconds. */
void ks_loop_stop(struct ks_loop *loop, int64_t seconds);
/* Waits for its end. */
void ks_loop_join(struct ks_loop *loop);
/* After what hands connections back to it (pools, audit log) has ended, too. */
void ks_loop_free(struct ks_loop *loop);

/* ---- server.c ---- */
/* Serves until SIGTERM or SIGINT; the exit status. `name` begins lines about what keeps it from
 * starting. */
int ks_serve(const char *name, const char *policy_path);

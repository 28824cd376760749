/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Threads for what may take long (servers of collateral and secrets), so that no loop waits. */
#pragma once
#include <stdbool.h>

struct ks_job {
    struct ks_job *next;
    void (*run)(struct ks_job *job);  /* in a thread of the pool */
    void (*done)(struct ks_job *job); /* afterwards, in the same thread: hands the job back */
};

struct ks_pool;

/* NULL without memory or threads. */
struct ks_pool *ks_pool_new(unsigned threads);
/* The job stays the caller's, and must live until it is done. */
void ks_pool_add(struct ks_pool *pool, struct ks_job *job);
/* Waits for the jobs that were added. */
void ks_pool_free(struct ks_pool *pool);

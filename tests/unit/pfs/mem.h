/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A storage object in memory whose calls can be made to fail, and an environment to match. One
 * counter runs over all calls (storage, allocation, randomness): the `fail_at`th fails.
 */
#pragma once
#include "pfs/pfs.h"

struct mem {
    uint8_t *data;
    size_t size, capacity;
    size_t max_io;  /* transfers are cut to this size; 0 = no limit */
    uint64_t limit; /* -ENOSPC beyond; 0 = no limit */
    unsigned reads, writes, syncs;
    bool sync_failed;
    bool *written; /* NULL, or one flag per node: set by write_at */
    size_t written_nodes;
};

extern unsigned long mem_calls;   /* calls so far */
extern unsigned long mem_fail_at; /* 0 = never */
extern bool mem_fail_after;       /* all calls from fail_at on fail */
extern size_t mem_allocated;      /* bytes not yet freed */

struct pfs_env mem_env(void);
struct pfs_backend mem_backend(struct mem *m);
void mem_reset(struct mem *m);
void mem_copy(struct mem *to, const struct mem *from);

/* Small deterministic generator for test decisions. */
uint32_t test_random(uint64_t *state);

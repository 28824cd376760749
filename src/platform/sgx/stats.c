/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* sgx.enable_stats: how often the enclave was left and entered, and for which host calls. */
#include "host/filter.h"
#include "libos/log.h"
#include "platform/platform.h"
#include "platform/sgx/sgx.h"

#define MOST_CALLS 512 /* numbers of system calls */
#define SPECIALS   8   /* enum sgx_special */

bool sgx_stats;                                        /* set once at start */
static uint64_t calls[MOST_CALLS], specials[SPECIALS]; /* atomic */
static uint64_t exceptions, interrupts;

static void one_more(uint64_t *count)
{
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

void sgx_stats_count_call(long nr)
{
    if (nr >= SGX_CALL_THREAD && nr < SGX_CALL_THREAD + SPECIALS)
        one_more(&specials[nr - SGX_CALL_THREAD]);
    else if (nr >= 0 && nr < MOST_CALLS)
        one_more(&calls[nr]);
}

void sgx_stats_count_event(bool exception)
{
    one_more(exception ? &exceptions : &interrupts);
}

static uint64_t sum(const uint64_t *list, size_t n)
{
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++)
        all += list[i];
    return all;
}

/* The one with the highest count below `below`, at equal counts the first behind `after`; n: none.
 */
static size_t next(const uint64_t *list, size_t n, uint64_t below, size_t after)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        bool later = list[i] < below || (list[i] == below && i > after);
        if (list[i] && later && (best == n || list[i] > list[best]))
            best = i;
    }
    return best;
}

void sgx_stats_print(void)
{
    static const char *const names[SPECIALS] = {
        "new thread", "quoting target", "quote",         "page protection",
        "fork",       "end of a fork",  "ended process", "death by signal"};
    uint64_t counts[MOST_CALLS + SPECIALS];
    const size_t n = ARRAY_SIZE(counts);
    memcpy(counts, calls, sizeof(calls));
    memcpy(counts + MOST_CALLS, specials, sizeof(specials));
    log_line(LOG_DEBUG, NULL, 0, NULL, "SGX statistics of process %d:", current_process()->pid);
    log_line(LOG_DEBUG, NULL, 0, NULL, "  host calls (EEXIT, EENTER): %lu",
             (unsigned long)sum(counts, n));
    log_line(LOG_DEBUG, NULL, 0, NULL, "  AEX: %lu for exceptions, %lu for signals",
             (unsigned long)exceptions, (unsigned long)interrupts);
    for (size_t i = next(counts, n, UINT64_MAX, 0); i < n; i = next(counts, n, counts[i], i))
        log_line(LOG_DEBUG, NULL, 0, NULL, "  %8lu %s", (unsigned long)counts[i],
                 i < MOST_CALLS ? filter_name((long)i) : names[i - MOST_CALLS]);
}

void sgx_stats_in_child(void)
{
    memset(calls, 0, sizeof(calls));
    memset(specials, 0, sizeof(specials));
    exceptions = interrupts = 0;
}

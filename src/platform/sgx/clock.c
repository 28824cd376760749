/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Clocks by the processor's counter, so that reading one leaves the enclave once a second at most.
 * An *anchor* is a moment of which counter and the host's clocks are known. What a tick is follows
 * from two anchors: the longer ago the first, the longer a later one is good for. Time is the
 * host's word; it never runs backwards here. On processors that forbid RDTSC in an enclave (SGX1)
 * each reading is a host call.
 */
#include "host/host.h"
#include "platform/platform.h"
#include "platform/sgx/sgx.h"
#include <linux/time.h>

#define SECOND_NS  1000000000UL
#define FIRST_NS   1000000UL        /* between the first anchor and the first use of a tick */
#define LONGEST_NS (16 * SECOND_NS) /* an older first anchor makes way: ticks vary a little */
#define COARSE_NS  4000000UL        /* what the host's coarse clocks lag behind at the most */
#define STEP_NS    200000UL         /* a smaller change of REALTIME is one of the measuring */
#define TICK_LEAST (1UL << 28)      /* ns, 32.32: a counter of 16 GHz */
#define TICK_MOST  (1UL << 37)      /* of 31 MHz */

struct anchor {
    uint64_t tsc, mono, real; /* real: what REALTIME is ahead of MONOTONIC, modulo 2^64 */
    uint64_t tick;            /* ns, 32.32; 0: not known yet */
    uint64_t good_for;        /* ticks */
};

/* Written by who has `busy`; read between two equal, even values of `sequence`. */
static struct anchor now_anchor;
static uint32_t sequence, busy;
static uint64_t first_tsc, first_mono; /* under `busy` */
static uint64_t last;                  /* MONOTONIC that was told, atomic */
static bool no_counter;                /* set once, or again */

static struct anchor read_anchor(void)
{
    struct anchor a;
    uint32_t before, after;
    do {
        before = __atomic_load_n(&sequence, __ATOMIC_ACQUIRE);
        a = *(volatile struct anchor *)&now_anchor;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        after = __atomic_load_n(&sequence, __ATOMIC_RELAXED);
    } while (before & 1 || before != after);
    return a;
}

static void write_anchor(const struct anchor *a)
{
    __atomic_store_n(&sequence, sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    now_anchor = *a;
    __atomic_store_n(&sequence, sequence + 1, __ATOMIC_RELEASE);
}

static uint64_t at_tsc(const struct anchor *a, uint64_t tsc)
{
    uint64_t gone = tsc > a->tsc ? tsc - a->tsc : 0;
    return a->mono + (uint64_t)((unsigned __int128)gone * a->tick >> 32);
}

static uint64_t forward(uint64_t ns)
{
    uint64_t seen = __atomic_load_n(&last, __ATOMIC_RELAXED);
    while (seen < ns &&
           !__atomic_compare_exchange_n(&last, &seen, ns, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return MAX(seen, ns);
}

/* The host's clock and the counter in the middle of asking; the quickest of a few answers. */
static uint64_t ask(int clock, uint64_t *tsc)
{
    uint64_t best = UINT64_MAX, ns = 0;
    for (int i = 0; i < 3; i++) {
        uint64_t before = sgx_rdtsc(), answer = host_clock_ask(clock), took = sgx_rdtsc() - before;
        if (took >= best)
            continue;
        bool same = best != UINT64_MAX && best - took < took;
        best = took;
        ns = answer;
        *tsc = before + took / 2;
        if (same)
            break;
    }
    return ns;
}

static void set_tick(struct anchor *a, const struct anchor *old)
{
    uint64_t ns = a->mono - first_mono, ticks = a->tsc - first_tsc;
    a->tick = a->good_for = 0;
    if (ns < FIRST_NS || a->tsc <= first_tsc)
        return;
    for (; ns >> 32; ns >>= 1)
        ticks >>= 1;
    a->tick = ticks ? (ns << 32) / ticks : 0;
    no_counter = a->tick < TICK_LEAST || a->tick > TICK_MOST;
    a->good_for = no_counter ? 0 : MIN(a->tsc - first_tsc, (SECOND_NS << 32) / a->tick);
    if (a->mono - first_mono > LONGEST_NS && old->tick) {
        first_tsc = old->tsc;
        first_mono = old->mono;
    }
}

/* Asks the host; by the thread that has `busy`. */
static void renew(void)
{
    struct anchor old = now_anchor, a = old;
    uint64_t real_tsc;
    a.mono = MAX(ask(CLOCK_MONOTONIC, &a.tsc), old.mono);
    if (!first_tsc) {
        first_tsc = a.tsc;
        first_mono = a.mono;
    }
    set_tick(&a, &old);
    uint64_t real = ask(CLOCK_REALTIME, &real_tsc) - (a.tick ? at_tsc(&a, real_tsc) : a.mono);
    uint64_t change = real > old.real ? real - old.real : old.real - real;
    if (!old.tick || change > STEP_NS)
        a.real = real;
    write_anchor(&a);
}

/* MONOTONIC, and what is to be added for REALTIME. false: ask the host. */
static bool now(uint64_t *mono, uint64_t *real)
{
    uint64_t tsc = no_counter ? 0 : sgx_rdtsc();
    if (!tsc) {
        no_counter = true;
        return false;
    }
    struct anchor a = read_anchor();
    if (tsc > a.tsc && tsc - a.tsc >= a.good_for &&
        !__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE)) {
        renew();
        a = now_anchor;
        tsc = sgx_rdtsc();
        __atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
    }
    if (!a.tick)
        return false;
    *mono = forward(at_tsc(&a, tsc));
    *real = a.real;
    return true;
}

bool platform_clock(int clock, uint64_t *ns)
{
    bool coarse = clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_REALTIME_COARSE;
    bool real = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
    uint64_t mono, ahead;
    if ((!coarse && !real && clock != CLOCK_MONOTONIC) || !now(&mono, &ahead))
        return false;
    *ns = mono + (real ? ahead : 0) - (coarse ? COARSE_NS : 0);
    return true;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/time/deadline.h"
#include "host/host.h"
#include "libos/thread.h"
#include <linux/time.h>

#define NEVER UINT64_MAX

struct lock timers_lock;

/* Under timers_lock. */
static const int own_clocks[] = {CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME, CLOCK_TAI};
static struct tree trees[ARRAY_SIZE(own_clocks)];
static struct list of_cpu = {&of_cpu, &of_cpu};
static int alarm_clock = -1;       /* -1: not made yet */
static uint64_t alarm_set = NEVER; /* CLOCK_MONOTONIC, ns */

static struct tree *tree_of(int clock)
{
    for (size_t i = 0; i < ARRAY_SIZE(own_clocks); i++)
        if (own_clocks[i] == clock)
            return &trees[i];
    return NULL;
}

/* ---- the deadlines of own clocks ---- */

static void insert(struct tree *tree, struct deadline *d)
{
    struct tree_node *parent = NULL, *n = tree->root;
    int side = 0;
    while (n) {
        parent = n;
        side = container_of(n, struct deadline, node)->at <= d->at;
        n = n->child[side];
    }
    tree_insert(tree, parent, side, &d->node);
}

static struct deadline *first_of(const struct tree *tree)
{
    struct tree_node *n = tree_end(tree, 0);
    return n ? container_of(n, struct deadline, node) : NULL;
}

static int set_alarm(uint64_t at)
{
    if (at >= alarm_set)
        return 0;
    if (alarm_clock < 0)
        alarm_clock = host_timer_make(CLOCK_MONOTONIC, NOTICE_SIGNAL, DEADLINE_MARK);
    if (alarm_clock < 0 || host_timer_set(alarm_clock, at))
        return -EAGAIN;
    alarm_set = at;
    return 0;
}

static uint64_t look_for(const struct deadline *d)
{
    uint64_t at = clock_look_at(d->clock, d->at);
    return at ? at : NEVER;
}

/* ---- those of CPU clocks ---- */

static int set_cpu(struct deadline *d)
{
    if (d->host < 0)
        d->host = host_timer_make(d->clock, NOTICE_SIGNAL, DEADLINE_MARK);
    return d->host < 0 || host_timer_set(d->host, MAX(d->at, 1UL)) ? -EAGAIN : 0;
}

/* ---- both ---- */

void deadline_init(struct deadline *d, void (*expire)(struct deadline *d))
{
    *d = (struct deadline){.host = -1, .expire = expire};
    list_init(&d->of_cpu);
}

void deadline_clear(struct deadline *d)
{
    if (!d->set)
        return;
    struct tree *tree = tree_of(d->clock);
    if (tree)
        tree_remove(tree, &d->node);
    list_del(&d->of_cpu);
    d->set = false;
}

void deadline_drop(struct deadline *d)
{
    deadline_clear(d);
    if (d->host >= 0)
        host_timer_drop(d->host);
    d->host = -1;
}

int deadline_set(struct deadline *d, int clock, uint64_t at)
{
    struct tree *tree = tree_of(clock);
    deadline_clear(d);
    d->clock = clock;
    d->at = at;
    if (at <= clock_now(clock)) {
        d->expire(d);
        return 0;
    }
    d->set = true;
    if (tree)
        insert(tree, d);
    else
        list_add_tail(&of_cpu, &d->of_cpu);
    int err = tree ? set_alarm(look_for(d)) : set_cpu(d);
    if (err)
        deadline_clear(d);
    return err;
}

static void look_at_tree(struct tree *tree, int clock)
{
    struct deadline *d = first_of(tree);
    uint64_t now = d ? clock_now(clock) : 0;
    while (d && d->at <= now) {
        deadline_clear(d);
        d->expire(d);
        d = first_of(tree);
    }
    if (d)
        set_alarm(look_for(d));
}

static void look_at_cpu(void)
{
    struct list todo;
    list_init(&todo);
    while (!list_empty(&of_cpu)) {
        struct list *it = of_cpu.next;
        list_del(it);
        list_add_tail(&todo, it);
    }
    while (!list_empty(&todo)) {
        struct deadline *d = list_entry(todo.next, struct deadline, of_cpu);
        deadline_clear(d);
        if (d->at <= host_clock_ns(d->clock)) {
            d->expire(d);
        } else {
            d->set = true;
            list_add_tail(&of_cpu, &d->of_cpu);
            set_cpu(d);
        }
    }
}

void deadlines_look(void)
{
    lock(&timers_lock);
    alarm_set = NEVER;
    for (size_t i = 0; i < ARRAY_SIZE(own_clocks); i++)
        look_at_tree(&trees[i], own_clocks[i]);
    if (!list_empty(&of_cpu))
        look_at_cpu();
    unlock(&timers_lock);
}

void deadlines_in_child(void)
{
    memset(trees, 0, sizeof(trees));
    list_init(&of_cpu);
    alarm_clock = -1;
    alarm_set = NEVER;
}

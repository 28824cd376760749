/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/proc/lifecycle.h"
#include "libos/fs/encrypted.h"
#include "libos/fs/tmpfs.h"
#include "libos/mm/pages.h"
#include "libos/proc/exec.h"
#include "libos/proc/members.h"
#include "libos/process.h"
#include "libos/sync/eventfd.h"
#include "libos/sync/futex.h"
#include "libos/sync/own.h"
#include "libos/sync/queue.h"
#include "libos/sync/signalfd.h"
#include "libos/time/timer.h"

/* A row's functions; NULL: nothing to do. They run in the order of the table, after_fork backwards.
 */
struct room {
    const char *name;
    bool ended;               /* takes part for a child that has ended already */
    int (*before_fork)(void); /* 0, or the errno with which the fork fails */
    /* If before_fork succeeded: the child's pid in the parent, 0 in the child, or an errno. */
    void (*after_fork)(long pid);
    void (*in_child)(void);
    void (*at_exec)(void);
    void (*at_exit)(void);
};

static void memory_clear(void)
{
    mm_clear(&current_process()->mm);
}

static void descriptors_at_exec(void)
{
    fd_close_on_exec(current_process());
}

static void descriptors_at_exit(void)
{
    fd_close_all(current_process());
}

static void eventfds_in_child(void)
{
    eventfd_in_child(&current_process()->fds);
}

static void exec_in_child(void)
{
    exec_forget(current_process());
}

static void flush_encrypted(void)
{
    encrypted_flush_all(false); /* whose handle an ended thread had in use */
}

static const struct room rooms[] = {
    {.name = "own objects", .before_fork = own_hand_over_all},
    {.name = "threads", .in_child = threads_in_child},
    {.name = "futexes", .in_child = futex_forget_all},
    {.name = "queues of waiters", .in_child = queue_forget_all},
    {.name = "execve of another thread", .in_child = exec_in_child},
    {.name = "descriptors", .at_exec = descriptors_at_exec},
    {.name = "timers", .in_child = timers_in_child, .at_exec = timers_exec},
    {.name = "memory",
#if !PLATFORM_HOST_TRUSTED
     .before_fork = pages_before_fork,
#endif
     .at_exec = memory_clear,
     .at_exit = memory_clear},
    {.name = "descriptors", .at_exit = descriptors_at_exit},
    {.name = "signals", .in_child = signals_in_child, .at_exec = signals_exec},
    {.name = "signalfds", .before_fork = signalfds_before_fork, .in_child = signalfd_in_child},
    {.name = "event counters", .in_child = eventfds_in_child},
    {.name = "encrypted files",
     .before_fork = encrypted_before_fork,
     .after_fork = encrypted_after_fork,
     .at_exit = flush_encrypted},
    {.name = "tmpfs", .before_fork = tmp_before_fork},
    {.name = "members of the run",
     .ended = true,
     .before_fork = member_before_fork,
     .after_fork = member_after_fork},
};

static bool takes_part(const struct room *r, bool ended)
{
    return r->ended || !ended;
}

long life_fork(bool ended, life_make *make, void *arg)
{
    long r = 0;
    size_t ready = 0;
    for (; ready < ARRAY_SIZE(rooms); ready++) {
        const struct room *room = &rooms[ready];
        if (takes_part(room, ended) && room->before_fork && (r = room->before_fork()))
            break;
    }
    if (!r)
        r = make(arg);
    while (ready--)
        if (takes_part(&rooms[ready], ended) && rooms[ready].after_fork)
            rooms[ready].after_fork(r);
    return r;
}

void life_in_child(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(rooms); i++)
        if (rooms[i].in_child)
            rooms[i].in_child();
}

void life_exec(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(rooms); i++)
        if (rooms[i].at_exec)
            rooms[i].at_exec();
}

void life_exit(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(rooms); i++)
        if (rooms[i].at_exit)
            rooms[i].at_exit();
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Timers that send signals: timer_create(2), setitimer(2), alarm(2). */
#pragma once
#include "libos/libos.h"
#include <asm/siginfo.h>

/* The alarm clock rang: what is due expires. Takes timers_lock. */
void timers_look(void);
/*
 * A signal of a timer leaves the queue. False: it is of a time before timer_settime(2) or
 * timer_delete(2), and nobody gets it. Else si_overrun is filled, and a timer with an interval goes
 * on. `mark` is what signal_send_timer() was given.
 */
bool timer_delivered(uint64_t mark, siginfo_t *info);
/* A SIGALRM to the process leaves the queue: the interval timer goes on. */
void timers_alarm_delivered(void);
/* The action of `sig` has changed: timers whose signal was ignored, and waits, send it again. */
void timers_send_again(int sig);
/* execve: deletes all timers of timer_create; alarm and setitimer stay. */
void timers_exec(void);
/* A child of fork has no timers. */
void timers_in_child(void);

/* What the interval timers do then: itimer.c. */
void itimer_alarm_delivered(void);
void itimers_in_child(void);

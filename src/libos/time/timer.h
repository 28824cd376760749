/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/libos.h"

/* Does the timer signal one thread (SIGEV_THREAD_ID), not the process? */
bool timer_is_for_thread(int id);
/* The signal of an expiry is handed to the application (timer_getoverrun(2)). */
void timer_delivered(int id, int overrun);
/* execve: deletes all timers of timer_create; alarm and setitimer stay. */
void timers_exec(void);
/* A child of fork has no timers. */
void timers_in_child(void);

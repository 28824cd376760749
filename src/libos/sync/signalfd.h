/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include "libos/libos.h"

/* A signal was queued: wakes those who wait for it on a descriptor. Under process.sig_lock. */
void signalfd_notify(int sig);
/* A signal was taken from the queues and `pending` ones are left: descriptors that want none of
 * those are no longer readable. Under process.sig_lock. */
void signalfd_taken(sigmask pending);

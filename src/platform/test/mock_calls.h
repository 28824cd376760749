/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Between the parts of the mock host. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

extern bool mock_lied;          /* a false result was given: later misuse is no violation */
extern uintptr_t mock_map_next; /* where the next mapping goes */

/* Performs a call that no fault befalls. */
long mock_perform(long nr, const long a[6], bool blocking);
/* Takes note of a new descriptor, or passes an errno on: -EMFILE when there are too many. */
long mock_give_fd(long r);
/* mock_sockets.c */
bool mock_is_socket_call(long nr);
long mock_socket_call(long nr, const long a[6]);
/* A call that the mock host does not know: checks the pointers among its arguments. -ENOSYS. */
long mock_unknown(long nr, const long a[6]);

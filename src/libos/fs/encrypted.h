/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Encrypted mounts: what the rest of the library OS must tell them. */
#pragma once
#include "libos/libos.h"

/* Is there an encrypted mount? */
bool encrypted_mounted(void);

/* Writes everything that open encrypted files hold in memory, so that a forked copy starts from
 * what is on the host, and lets the files go. The world is stopped. 0. */
int encrypted_before_fork(void);
/* In both processes: 0 in the child, its pid or an errno in the parent. */
void encrypted_after_fork(long pid);

/* Gives files that other processes ask for to them. No lock is held but, perhaps, one node.lock. */
void encrypted_let_go(void);

/* Writes all that is dirty; with `sync` to the host's disk (sync(2)). */
int encrypted_flush_all(bool sync);

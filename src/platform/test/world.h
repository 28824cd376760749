/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A running library OS for tests: started as a platform starts it, with a program that is never
 * entered. */
#pragma once
#include "platform/test/mock.h"

/* mock_init(), then the library OS with mounts "/" (the scratch directory), "/enc" (encrypted) and
 * "/tmp" (tmpfs). Once per process. */
void world_start(void);
void world_finish(void);
/* One system call of the application, with what follows it on the way back. Does not return to the
 * caller when the call ends the process (see mock_enter). */
long world_call(long nr, long a, long b, long c, long d, long e, long f);
/* Closes all descriptors and unmaps all memory of the application; for the next round. */
void world_reset(void);
/* Application memory of `size` bytes, writable; from mmap. */
char *world_memory(size_t size);

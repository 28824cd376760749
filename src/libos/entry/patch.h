/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Rewrites system-call sites of the application after their first trap, so that the next pass is a
 * jump into the library OS (docs/architecture.md, "From trap to jump").
 */
#pragma once
#include "libos/entry/regs.h"
#include "libos/libos.h"

/* The instruction before `r->rip` is a `syscall` that just trapped: rewrite it when that is safe.
 */
void patch_site(const struct regs *r);

/* For the trap handler, lock-free: is `ip` the first byte of a site that is being rewritten, or was
 * since the int3 there was met? */
bool patch_in_progress_at(uintptr_t ip);
/* Is `ip` inside a stub? */
bool patch_is_stub(uintptr_t ip);
/*
 * For the trap handler: a thread inside a stub, or at a jump that rewriting added, stands where in
 * the application's own code? *ip is changed to that. False: between two of its instructions, or
 * `stepped` to the beginning of one at which it was already.
 */
bool patch_original(uint64_t *ip, bool stepped);
/* The application loads %gs: all sites take the way in that does not rely on it, until
 * patch_forget(). */
void patch_gs_is_used(void);

/* The address space was cleared (execve): all stubs are gone. */
void patch_forget(void);

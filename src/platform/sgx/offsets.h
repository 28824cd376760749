/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* For enter.S and sgx.h: where things are in a thread's box, to which GS leads. */
#pragma once

#define BOX_OWN 20480 /* struct sgx_thread, a page */
#define BOX_VECTORS \
    24576 /* the application's vector state while the thread is outside: three pages */
#define BOX_HANDLER 45056 /* top of the stack of the event handler, two pages */

#define S_STATE      (BOX_OWN + 0)
#define S_URSP       (BOX_OWN + 8)
#define S_URBP       (BOX_OWN + 16)
#define S_EXIT       (BOX_OWN + 24)
#define S_RSP        (BOX_OWN + 32)
#define S_FS         (BOX_OWN + 40)
#define S_EVENT_URSP (BOX_OWN + 48)
#define S_EVENT_URBP (BOX_OWN + 56)
#define S_EVENT_EXIT (BOX_OWN + 64)

/*
 * The state of a thread block, from which follows what an entry at CSSA 0 may be:
 *
 *   state    meaning                                   entry that fits       then
 *   FREE     nobody's; measured so                     START, once           INSIDE
 *   CLAIMED  a struct thread is being made in it       none
 *   BORN     a host thread was asked for               THREAD                INSIDE
 *   OUTSIDE  the thread is in a host call              RETURN                INSIDE
 *   INSIDE   the thread runs in the enclave            none
 *
 * At CSSA 1 whatever the thread was doing was interrupted; the one entry is EVENT, in every state.
 */
#define STATE_FREE    0
#define STATE_CLAIMED 1
#define STATE_BORN    2
#define STATE_OUTSIDE 3
#define STATE_INSIDE  4

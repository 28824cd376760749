/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Encrypted files that several processes have open.
 *
 * Each process keeps its own context, and no two use one file's content at a time: a record lock on
 * the host file, far behind any offset an application can lock, says whose turn it is. A process
 * that has the file to itself keeps that lock (`owned`), writes lazily and pays nothing. Others say
 * that they are there by counting themselves into a slot of a small table shared by all processes
 * of the run, and call the owner (NOTICE_SIGNAL), who writes what is dirty and lets go, if need be
 * out of the middle of application code. While several have a file, each operation takes the lock,
 * looks whether the file has another root tag than the one it knows, and writes through. The table
 * holds hints only: content is never trusted to it.
 *
 * All under node.lock but where it is said.
 */
#pragma once
#include "libos/fs/encrypted_node.h"

struct share_slot;

/* At the start, if there is an encrypted mount. */
int enc_share_setup(void);

/* Counts this process in, for a new context, and out. */
void enc_share_join(struct enc_node *n);
void enc_share_leave(struct enc_node *n);

/*
 * Before and after each use of node.pfs. -EBUSY when another process does not give the file up,
 * -EINTR when the thread is to end. After enc_begin() failed there is no enc_end(). enc_end()
 * returns the error of writing through, if `wrote`; what was written is then undone.
 */
int enc_begin(struct enc_node *n, bool write);
int enc_end(struct enc_node *n, bool wrote);
/* The first enc_begin(): node.pfs is not there yet. `name` is for messages. */
int enc_begin_open(struct enc_node *n, const char *name);

/* A mapping through which this process and its children may store: nobody else may write or map so.
 * -EBUSY: somebody has the file open. */
int enc_share_stores(struct enc_node *n);

/* Opens the context again from what is on the host. fs/encrypted_node.c */
int enc_node_reload(struct enc_node *n);

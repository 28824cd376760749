/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Starting an application: `adyton run NAME [ARGS...]`, also known as gramine-direct.
 *
 * The launcher reads NAME.manifest, finds or makes its compiled form (manifest/compiled.h), and
 * executes lib/adyton/adyton-direct. What that program is given:
 *
 *   argv[0]   "adyton-direct"
 *   argv[1]   "run"
 *   argv[2]   descriptor of the compiled manifest, decimal: a regular file or sealed memfd, open
 * for reading, to be mapped from offset 0; its size is the size of the block. mf_open() has
 *             accepted it, but it may be a file: map it privately and open it again.
 *   argv[3]   descriptor of the sidecar with the Merkle trees (manifest/tree.h), open for reading,
 *             or "-1". Its content is not checked.
 *   argv[4]   NAME as the user wrote it
 *   argv[5..] the user's arguments; none when the manifest does not use them
 *
 * In an enclave (--sgx, gramine-sgx) it is NAME.manifest.sgx, and lib/adyton/adyton-sgx, which
 * takes the same arguments; with --emulate the software device runs that.
 *
 * Both descriptors survive the exec; all others are as the launcher inherited them. Environment,
 * working directory, signal dispositions and limits are those of the user's shell: what the
 * application sees of them is the library OS's decision.
 */
#pragma once
#include <stdbool.h>

/* argv[0] is the name to show in messages; `sgx`: in an enclave, whatever the options say. Returns
 * an exit status; on success it does not return. */
int launch(int argc, char **argv, bool sgx);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * /dev/attestation: who the enclave is, told to programs as files. Contents are made at open().
 * What was written to user_report_data and target_info holds for the process, until it is written
 * again. Outside an enclave there is only keys/.
 */
#pragma once
#include "libos/fs/pseudo.h"

extern const struct pseudo_node attestation_nodes[]; /* a NULL name ends them */

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a platform derives from its fuse file; the same in the device and in its quoting service. */
#pragma once
#include "sgxemu/core/core.h"

#define SGX_FUSES_SIZE 64

/* Secrets, version and per-boot values. `boot` tells boots of the machine apart; what it gives is
 * needed by EREPORT and paging only. */
void sgx_platform_from_fuses(struct sgx_platform *p, const uint8_t fuses[SGX_FUSES_SIZE],
                             const void *boot, size_t boot_size);

/* The REPORT key of the enclave that `target` describes, under this key id (EGETKEY). */
void sgx_report_key(const struct sgx_platform *p, const struct sgx_targetinfo *target,
                    const uint8_t key_id[32], uint8_t key[16]);

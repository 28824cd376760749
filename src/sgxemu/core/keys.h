/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Key derivation (SDM 3D, EGETKEY, "Key Derivation" table). Internal to the core. */
#pragma once
#include "sgxemu/core/core.h"

/* Is this CPUSVN newer than the platform's in any component? */
bool sgx_cpusvn_beyond(const struct sgx_platform *p, const uint8_t cpu_svn[16]);

/* The MAC that a launch enclave of this platform would put into the token. */
void sgx_einittoken_mac(const struct sgx_platform *p, const struct sgx_einittoken *t,
                        uint8_t mac[16]);

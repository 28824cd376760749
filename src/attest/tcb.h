/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* TCB info and enclave identities: the parsed documents, and what they say about a platform. */
#pragma once
#include "attest/json.h"

/* isvsvn levels of QE and TDX modules, highest first. */
struct svn_level {
    struct level level;
    uint32_t svn;
};

struct svn_levels {
    unsigned count;
    struct svn_level *levels;
};

struct platform_level {
    struct level level;
    uint8_t sgx[16], tdx[16];
    uint32_t pce_svn;
};

struct tdx_module {
    char id[8]; /* "TDX_01"; empty for the tdxModule of TCB info */
    uint8_t mrsigner[48], attributes[8], mask[8];
    struct svn_levels levels;
};

struct tcb_info {
    struct object object;
    bool tdx;
    uint32_t version, evaluation_number;
    int64_t issued, next_update;
    uint8_t fmspc[6], pce_id[2];
    struct tdx_module module;
    unsigned module_count, level_count;
    struct tdx_module *modules;
    struct platform_level *levels; /* highest first */
};

struct identity {
    struct object object;
    char id[8]; /* "QE", "TD_QE", "QVE", "QAE" */
    uint32_t evaluation_number, prod_id;
    int64_t issued, next_update;
    uint8_t miscselect[4], miscselect_mask[4], attributes[16], attributes_mask[16], mrsigner[32];
    struct svn_levels levels;
};

/* Documents with a good signature by the second certificate of the chain. */
int tcb_info_load(struct session *s, struct adyton_bytes json, const struct chain *chain,
                  const struct tcb_info **info);
int identity_load(struct session *s, struct adyton_bytes json, const struct chain *chain,
                  const struct identity **identity);

/* From inner objects whose signature is known to be good; for the two above and tests. 0, -1 (with
 * *version false: another version than known), -2 no memory. The result is the caller's. */
int tcb_info_parse(const json_t *json, struct tcb_info **info, bool *version);
int identity_parse(const json_t *json, struct identity **identity, bool *version);

/* What is in the PCK certificate. */
struct pck {
    uint8_t ppid[16], cpu_svn[16], pce_id[2], fmspc[6], instance_id[16];
    uint8_t components[16];
    uint16_t pce_svn;
    int sgx_type;
    bool platform; /* issued by the Platform CA: instance id and configuration are there */
    int dynamic_platform, cached_keys, smt_enabled; /* 0, 1, -1 */
};

/* Parses the SGX extension's value; `platform`: that of the Platform CA. */
bool pck_parse(der extension, bool platform, struct pck *pck);
bool pck_from_cert(const struct cert *leaf, const struct cert *ca, struct pck *pck);

/* The module identity for a TEE_TCB_SVN whose major version is not 0, or NULL. */
const struct tdx_module *tcb_module(const struct tcb_info *info, const uint8_t svn[16]);
/* The first level that is reached, or NULL. `tdx`: TEE_TCB_SVN, NULL for SGX. */
const struct level *tcb_platform_level(const struct tcb_info *info, const struct pck *pck,
                                       const uint8_t *tdx);
const struct level *tcb_svn_level(const struct svn_levels *levels, uint32_t svn);
/* Platform, QE and (UNKNOWN for none) module status taken together. */
int tcb_converge(int platform, int qe, int module);
/* With the launch-time and current status of a TD 1.5. */
int tcb_relaunch(int launch, int current);

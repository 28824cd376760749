/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Which TCB level a platform is on, and what several levels mean together. */
#include "attest/tcb.h"

#include <stdio.h>
#include <strings.h>

const struct tdx_module *tcb_module(const struct tcb_info *info, const uint8_t svn[16])
{
    char id[8];
    snprintf(id, sizeof(id), "TDX_%02x", svn[1]);
    for (unsigned i = 0; i < info->module_count; i++)
        if (!strcasecmp(info->modules[i].id, id))
            return &info->modules[i];
    return NULL;
}

/* Components 0 and 1 of a TDX module with a major version are judged by its own identity. */
static bool reached(const struct platform_level *level, const struct pck *pck, const uint8_t *tdx)
{
    for (unsigned i = 0; i < 16; i++)
        if (pck->components[i] < level->sgx[i])
            return false;
    if (pck->pce_svn < level->pce_svn)
        return false;
    for (unsigned i = tdx && tdx[1] ? 2 : 0; tdx && i < 16; i++)
        if (tdx[i] < level->tdx[i])
            return false;
    return true;
}

const struct level *tcb_platform_level(const struct tcb_info *info, const struct pck *pck,
                                       const uint8_t *tdx)
{
    for (unsigned i = 0; i < info->level_count; i++)
        if (reached(&info->levels[i], pck, tdx))
            return &info->levels[i].level;
    return NULL;
}

const struct level *tcb_svn_level(const struct svn_levels *levels, uint32_t svn)
{
    for (unsigned i = 0; i < levels->count; i++)
        if (levels->levels[i].svn <= svn)
            return &levels->levels[i].level;
    return NULL;
}

int tcb_converge(int platform, int qe, int module)
{
    if (platform == ADYTON_TCB_REVOKED || qe == ADYTON_TCB_REVOKED || module == ADYTON_TCB_REVOKED)
        return ADYTON_TCB_REVOKED;
    if (qe != ADYTON_TCB_OUT_OF_DATE && module != ADYTON_TCB_OUT_OF_DATE)
        return platform;
    switch (platform) {
    case ADYTON_TCB_UP_TO_DATE:
    case ADYTON_TCB_SW_HARDENING_NEEDED:
        return ADYTON_TCB_OUT_OF_DATE;
    case ADYTON_TCB_CONFIGURATION_NEEDED:
    case ADYTON_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED:
        return ADYTON_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
    default:
        return platform;
    }
}

int tcb_relaunch(int launch, int current)
{
    bool configuration = launch == ADYTON_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED;
    if (launch != ADYTON_TCB_OUT_OF_DATE && !configuration)
        return launch;
    switch (current) {
    case ADYTON_TCB_CONFIGURATION_NEEDED:
    case ADYTON_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED:
        configuration = true;
        break;
    case ADYTON_TCB_UP_TO_DATE:
    case ADYTON_TCB_SW_HARDENING_NEEDED:
        break;
    default:
        return launch;
    }
    return configuration ? ADYTON_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
                         : ADYTON_TCB_TD_RELAUNCH_ADVISED;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "attest/verdict.h"

#include <stdlib.h>

/* Collateral dated so far ahead is from the future; clocks differ by less. */
#define CLOCK_SKEW 300

void verdict_init(struct verdict *v, int64_t at)
{
    v->shown.at = at;
    v->shown.dynamic_platform = v->shown.cached_keys = v->shown.smt_enabled = -1;
}

struct verdict *verdict_new(const adyton_quote *quote, int64_t at)
{
    struct verdict *v = calloc(1, sizeof(*v));
    if (!v)
        return NULL;
    v->quote = attest_quote_hold(quote);
    v->shown.quote = &v->quote->info;
    verdict_init(v, at);
    return v;
}

void adyton_verdict_free(adyton_verdict *verdict)
{
    struct verdict *v = (struct verdict *)verdict;
    if (!v)
        return;
    for (size_t i = 0; i < v->shown.advisory_count; i++)
        free(v->advisories[i]);
    free(v->advisories);
    adyton_quote_free(v->quote);
    free(v);
}

void verdict_dated(struct verdict *v, unsigned bit, int64_t from, int64_t until)
{
    adyton_verdict *shown = &v->shown;
    bool issued = bit & (ADYTON_DATED_TCB_INFO | ADYTON_DATED_QE_IDENTITY);
    if (shown->at > until)
        shown->expired |= bit;
    if (shown->at < from - (issued ? CLOCK_SKEW : 0))
        shown->not_yet_valid |= bit;
    if (!shown->earliest_expiration || until < shown->earliest_expiration)
        shown->earliest_expiration = until;
    if (from > shown->latest_issue)
        shown->latest_issue = from;
    if (issued && (!shown->collateral_issued || from < shown->collateral_issued))
        shown->collateral_issued = from;
}

void verdict_pck(struct verdict *v, const struct pck *pck)
{
    v->pck = *pck;
    v->shown.fmspc = v->pck.fmspc;
    v->shown.ppid = v->pck.ppid;
    v->shown.pce_id = v->pck.pce_id;
    v->shown.pck_cpu_svn = v->pck.cpu_svn;
    v->shown.pck_pce_svn = pck->pce_svn;
    v->shown.platform_instance_id = pck->platform ? v->pck.instance_id : NULL;
    v->shown.sgx_type = pck->sgx_type;
    v->shown.dynamic_platform = pck->dynamic_platform;
    v->shown.cached_keys = pck->cached_keys;
    v->shown.smt_enabled = pck->smt_enabled;
}

static bool has_advisory(const struct verdict *v, const char *name)
{
    for (size_t i = 0; i < v->shown.advisory_count; i++)
        if (!strcmp(v->advisories[i], name))
            return true;
    return false;
}

bool verdict_level(struct verdict *v, const struct level *level)
{
    if (!v->shown.tcb_date || level->date < v->shown.tcb_date)
        v->shown.tcb_date = level->date;
    if (!level->advisory_count)
        return true;
    size_t most = v->shown.advisory_count + level->advisory_count;
    char **list = realloc(v->advisories, most * sizeof(*list));
    if (!list)
        return false;
    v->advisories = list;
    v->shown.advisories = (const char *const *)list;
    for (unsigned i = 0; i < level->advisory_count; i++) {
        if (has_advisory(v, level->advisories[i]))
            continue;
        char *copy = strdup(level->advisories[i]);
        if (!copy)
            return false;
        list[v->shown.advisory_count++] = copy;
    }
    return true;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A good verdict's status in the numbers of the DCAP libraries. */
static void status_numbers(adyton_verdict *shown)
{
    static const struct {
        int qvl;
        uint32_t error, result;
    } numbers[] = {
        [ADYTON_TCB_UP_TO_DATE] = {0, 0, 0},
        [ADYTON_TCB_SW_HARDENING_NEEDED] = {82, 0, 0xa007},
        [ADYTON_TCB_CONFIGURATION_NEEDED] = {47, 0, 0xa001},
        [ADYTON_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED] = {83, 0, 0xa008},
        [ADYTON_TCB_OUT_OF_DATE] = {45, 0, 0xa002},
        [ADYTON_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED] = {48, 0, 0xa003},
        [ADYTON_TCB_REVOKED] = {46, 0xe032, 0xa006},
        [ADYTON_TCB_TD_RELAUNCH_ADVISED] = {87, 0, 0xa009},
        [ADYTON_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED] = {88, 0, 0xa00a},
    };
    shown->qvl_status = numbers[shown->status].qvl;
    shown->dcap_error = numbers[shown->status].error;
    shown->dcap_result = numbers[shown->status].result;
}

void verdict_finish(struct verdict *v, int code)
{
    adyton_verdict *shown = &v->shown;
    shown->code = code;
    if (shown->advisory_count)
        qsort(v->advisories, shown->advisory_count, sizeof(*v->advisories), compare_text);
    if (!code) {
        status_numbers(shown);
        return;
    }
    const struct attest_code_info *info = attest_code_info(code);
    shown->error = v->error.text;
    shown->qvl_status = info->qvl;
    shown->dcap_error = 0xe000u + info->dcap;
    shown->dcap_result = 0xa006;
    shown->status = !strcmp(info->word, "Revoked") ? ADYTON_TCB_REVOKED : ADYTON_TCB_UNKNOWN;
}

const char *adyton_verdict_word(const adyton_verdict *verdict)
{
    if (verdict->code)
        return attest_code_info(verdict->code)->word;
    return adyton_tcb_status_name(verdict->status);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What a relying party accepts: rules by name, and a verdict against them. */
#include <stdlib.h>

#include "attest/json.h"

#define DAY         86400
#define VALUES_MAX  4096 /* in one list */
#define TEXT_MAX    64   /* an advisory */
#define STATUS(bit) (1u << (bit))

/* Byte strings of a quote that may have to be one of a list. */
static const struct field {
    const char *rule;
    size_t size;
    size_t offset; /* of a const uint8_t * in adyton_quote_info */
    bool program;  /* names the program that runs */
} fields[] = {
#define FIELD(rule, size, member, program)                              \
    {                                                                   \
        rule, size, offsetof(struct adyton_quote_info, member), program \
    }
    FIELD("mrenclave", 32, mrenclave, true),
    FIELD("mrsigner", 32, mrsigner, true),
    FIELD("config_id", 64, config_id, false),
    FIELD("isv_ext_prod_id", 16, isv_ext_prod_id, false),
    FIELD("isv_family_id", 16, isv_family_id, false),
    FIELD("mrtd", 48, mrtd, true),
    FIELD("rtmr0", 48, rtmr[0], false),
    FIELD("rtmr1", 48, rtmr[1], false),
    FIELD("rtmr2", 48, rtmr[2], false),
    FIELD("rtmr3", 48, rtmr[3], false),
    FIELD("mrseam", 48, mrseam, false),
    FIELD("mrsignerseam", 48, mrsigner_seam, false),
    FIELD("mrconfigid", 48, mrconfigid, false),
    FIELD("mrowner", 48, mrowner, false),
    FIELD("mrownerconfig", 48, mrownerconfig, false),
    FIELD("mrservicetd", 48, mrservicetd, false),
    FIELD("report_data", 64, report_data, false),
};

/* Numbers and switches. */
enum number {
    ALLOW_DEBUG,
    ALLOW_PROVISION_KEY,
    ALLOW_EXPIRED,
    ALLOW_CUSTOM_ROOT,
    STRICT_TRAILING,
    TEE,
    MIN_ISV_SVN,
    MIN_TCB_DATE,
    MIN_EVALUATION_NUMBER,
    MAX_COLLATERAL_AGE,
    OUT_OF_DATE_GRACE,
    NUMBERS,
};

static const struct {
    const char *rule;
    enum { SWITCH, KIND, DATE, INTEGER } form;
    int64_t max;
} numbers[NUMBERS] = {
    [ALLOW_DEBUG] = {"allow_debug", SWITCH, 1},
    [ALLOW_PROVISION_KEY] = {"allow_provision_key", SWITCH, 1},
    [ALLOW_EXPIRED] = {"allow_expired", SWITCH, 1},
    [ALLOW_CUSTOM_ROOT] = {"allow_custom_root", SWITCH, 1},
    [STRICT_TRAILING] = {"strict_trailing", SWITCH, 1},
    [TEE] = {"tee", KIND, 2},
    [MIN_ISV_SVN] = {"min_isv_svn", INTEGER, 65535},
    [MIN_TCB_DATE] = {"min_tcb_date", DATE, 0},
    [MIN_EVALUATION_NUMBER] = {"min_evaluation_number", INTEGER, UINT32_MAX},
    [MAX_COLLATERAL_AGE] = {"max_collateral_age_days", INTEGER, 36500},
    [OUT_OF_DATE_GRACE] = {"out_of_date_grace_days", INTEGER, 36500},
};

/* `count` values of `size` bytes each. */
struct list {
    size_t count, size;
    uint8_t *data;
};

struct adyton_policy {
    struct list bytes[COUNT(fields)];
    struct list prod_ids; /* uint16_t */
    struct list fmspcs, ppids;
    struct list advisories; /* TEXT_MAX bytes, NUL-padded */
    bool advisories_set, statuses_set;
    unsigned statuses; /* STATUS() of those accepted */
    int64_t numbers[NUMBERS];
};

adyton_policy *adyton_policy_new(void)
{
    adyton_policy *policy = calloc(1, sizeof(*policy));
    if (policy)
        policy->statuses = STATUS(ADYTON_TCB_UP_TO_DATE);
    return policy;
}

void adyton_policy_free(adyton_policy *policy)
{
    if (!policy)
        return;
    for (size_t i = 0; i < COUNT(fields); i++)
        free(policy->bytes[i].data);
    free(policy->prod_ids.data);
    free(policy->fmspcs.data);
    free(policy->ppids.data);
    free(policy->advisories.data);
    free(policy);
}

static int list_add(struct list *list, const void *value, size_t size,
                    struct adyton_attest_error *e)
{
    if (list->count == VALUES_MAX)
        return attest_fail(e, ADYTON_ATTEST_POLICY_SYNTAX, "more than %d values for one rule",
                           VALUES_MAX);
    uint8_t *data = realloc(list->data, (list->count + 1) * size);
    if (!data)
        return attest_no_memory(e);
    memcpy(data + list->count++ * size, value, size);
    list->data = data;
    list->size = size;
    return 0;
}

static bool list_has(const struct list *list, const void *value)
{
    for (size_t i = 0; i < list->count; i++)
        if (!memcmp(list->data + i * list->size, value, list->size))
            return true;
    return false;
}

static int add_hex(struct list *list, const char *rule, const char *value, size_t size,
                   struct adyton_attest_error *e)
{
    uint8_t bytes[64];
    if (!hex_decode(value, strlen(value), bytes, size))
        return attest_fail(e, ADYTON_ATTEST_POLICY_SYNTAX, "%s must be %zu hex digits", rule,
                           2 * size);
    return list_add(list, bytes, size, e);
}

/* Decimal digits only: no sign, no blanks, nothing behind. */
static bool decimal(const char *text, int64_t max, int64_t *value)
{
    int64_t v = 0;
    size_t len = strlen(text);
    if (!len || len > 12)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        v = v * 10 + *text - '0';
    }
    *value = v;
    return v <= max;
}

/* "YYYY-MM-DD", or with a time in UTC. */
static bool date(const char *text, int64_t *value)
{
    char whole[32];
    size_t len = strlen(text);
    if (len != 10)
        return time_from_iso(text, value);
    memcpy(whole, text, 10);
    strcpy(whole + 10, "T00:00:00Z");
    return time_from_iso(whole, value);
}

static int set_number(adyton_policy *policy, enum number which, const char *value,
                      struct adyton_attest_error *e)
{
    static const char *const kinds[] = {"any", "sgx", "tdx"};
    const char *rule = numbers[which].rule, *form = "a whole number in its range";
    int64_t v = 0;
    bool ok = false;
    switch (numbers[which].form) {
    case SWITCH:
        form = "true or false";
        v = !strcmp(value, "true");
        ok = v || !strcmp(value, "false");
        break;
    case KIND:
        form = "sgx, tdx or any";
        while (v <= 2 && strcmp(value, kinds[v]))
            v++;
        ok = v <= 2;
        break;
    case DATE:
        form = "a date like 2025-03-14";
        ok = date(value, &v);
        break;
    case INTEGER:
        ok = decimal(value, numbers[which].max, &v);
        break;
    }
    if (!ok)
        return attest_fail(e, ADYTON_ATTEST_POLICY_SYNTAX, "%s must be %s, not '%.60s'", rule, form,
                           value);
    policy->numbers[which] = v;
    return 0;
}

static int add_status(adyton_policy *policy, const char *value, struct adyton_attest_error *e)
{
    int status = adyton_tcb_status_from_name(value);
    if (!status || status == ADYTON_TCB_REVOKED)
        return attest_fail(e, ADYTON_ATTEST_POLICY_SYNTAX, "'%.60s' is no TCB status%s", value,
                           status ? " that can be accepted" : "; UpToDate, OutOfDate, ... are");
    if (!policy->statuses_set)
        policy->statuses = 0;
    policy->statuses_set = true;
    policy->statuses |= STATUS(status);
    return 0;
}

static int add_advisory(adyton_policy *policy, const char *value, struct adyton_attest_error *e)
{
    char text[TEXT_MAX] = {0};
    if (strlen(value) >= TEXT_MAX)
        return attest_fail(e, ADYTON_ATTEST_POLICY_SYNTAX, "'%.60s...' is no advisory", value);
    strcpy(text, value);
    policy->advisories_set = true;
    /* The empty name is a way to accept none. */
    return *value ? list_add(&policy->advisories, text, TEXT_MAX, e) : 0;
}

static int add_prod_id(adyton_policy *policy, const char *value, struct adyton_attest_error *e)
{
    int64_t v;
    if (!decimal(value, 65535, &v))
        return attest_fail(e, ADYTON_ATTEST_POLICY_SYNTAX,
                           "isv_prod_id must be a number from 0 to 65535, not '%.60s'", value);
    uint16_t id = (uint16_t)v;
    return list_add(&policy->prod_ids, &id, sizeof(id), e);
}

int adyton_policy_set(adyton_policy *policy, const char *rule, const char *value,
                      struct adyton_attest_error *error)
{
    if (!policy || !rule || !value)
        return attest_fail(error, ADYTON_ATTEST_INVALID_ARGUMENT, "no rule or value was passed");
    for (size_t i = 0; i < COUNT(fields); i++)
        if (!strcmp(rule, fields[i].rule))
            return add_hex(&policy->bytes[i], rule, value, fields[i].size, error);
    for (unsigned i = 0; i < NUMBERS; i++)
        if (!strcmp(rule, numbers[i].rule))
            return set_number(policy, (enum number)i, value, error);
    if (!strcmp(rule, "isv_prod_id"))
        return add_prod_id(policy, value, error);
    if (!strcmp(rule, "tcb_status"))
        return add_status(policy, value, error);
    if (!strcmp(rule, "advisory"))
        return add_advisory(policy, value, error);
    if (!strcmp(rule, "fmspc"))
        return add_hex(&policy->fmspcs, rule, value, 6, error);
    if (!strcmp(rule, "ppid"))
        return add_hex(&policy->ppids, rule, value, 16, error);
    return attest_fail(error, ADYTON_ATTEST_POLICY_SYNTAX, "there is no policy rule '%.60s'", rule);
}

int adyton_policy_names_program(const adyton_policy *policy)
{
    for (size_t i = 0; i < COUNT(fields); i++)
        if (fields[i].program && policy->bytes[i].count)
            return 1;
    return 0;
}

static int check_dates(const adyton_policy *p, const adyton_verdict *v,
                       struct adyton_attest_error *e)
{
    const int64_t *n = p->numbers;
    char text[24];
    unsigned dated = v->expired | v->not_yet_valid;
    if (dated && !n[ALLOW_EXPIRED])
        return attest_fail(e, ADYTON_ATTEST_POLICY_EXPIRED,
                           "the %s %s at the time of verification: fetch fresh collateral",
                           adyton_dated_item_name(dated & -dated),
                           v->expired & dated & -dated ? "had expired" : "was not valid yet");
    if (n[MAX_COLLATERAL_AGE] && v->at - v->collateral_issued > n[MAX_COLLATERAL_AGE] * DAY)
        return attest_fail(e, ADYTON_ATTEST_POLICY_COLLATERAL_AGE,
                           "the collateral is older than the %lld days that are accepted",
                           (long long)n[MAX_COLLATERAL_AGE]);
    if (v->evaluation_number < n[MIN_EVALUATION_NUMBER])
        return attest_fail(e, ADYTON_ATTEST_POLICY_EVALUATION_NUMBER,
                           "TCB evaluation data number %u is below the least accepted, %lld",
                           v->evaluation_number, (long long)n[MIN_EVALUATION_NUMBER]);
    time_to_iso(v->tcb_date, text);
    if (v->tcb_date < n[MIN_TCB_DATE])
        return attest_fail(e, ADYTON_ATTEST_POLICY_TCB_DATE,
                           "the platform's TCB is of %.10s, before the earliest accepted", text);
    return 0;
}

static int check_status(const adyton_policy *p, const adyton_verdict *v,
                        struct adyton_attest_error *e)
{
    char name[TEXT_MAX];
    bool grace = v->status == ADYTON_TCB_OUT_OF_DATE && p->numbers[OUT_OF_DATE_GRACE] &&
                 v->at - v->tcb_date <= p->numbers[OUT_OF_DATE_GRACE] * DAY;
    if (v->status == ADYTON_TCB_REVOKED || (!(p->statuses & STATUS(v->status)) && !grace))
        return attest_fail(e, ADYTON_ATTEST_POLICY_STATUS, "the platform's TCB is %s",
                           adyton_tcb_status_name(v->status));
    for (size_t i = 0; p->advisories_set && i < v->advisory_count; i++) {
        size_t len = strlen(v->advisories[i]);
        memset(name, 0, sizeof(name));
        memcpy(name, v->advisories[i], len < TEXT_MAX ? len : 0);
        if (len < TEXT_MAX && list_has(&p->advisories, name))
            continue;
        return attest_fail(e, ADYTON_ATTEST_POLICY_ADVISORY,
                           "advisory %.60s applies to the platform and is not accepted",
                           v->advisories[i]);
    }
    return 0;
}

static int check_attributes(const adyton_policy *p, const struct adyton_quote_info *q,
                            struct adyton_attest_error *e)
{
    const uint64_t keys = ADYTON_SGX_FLAG_PROVISIONKEY | ADYTON_SGX_FLAG_EINITTOKENKEY;
    const uint64_t needed = ADYTON_SGX_FLAG_INIT | ADYTON_SGX_FLAG_MODE64;
    if (q->tee == ADYTON_TEE_TDX) {
        if (q->td_attributes[0] && !p->numbers[ALLOW_DEBUG])
            return attest_fail(e, ADYTON_ATTEST_POLICY_DEBUG,
                               "the TD can be debugged or is otherwise open to the host (attribute "
                               "bits 0 to 7: 0x%02x)",
                               q->td_attributes[0]);
        return 0;
    }
    if (q->attribute_flags & ADYTON_SGX_FLAG_DEBUG && !p->numbers[ALLOW_DEBUG])
        return attest_fail(e, ADYTON_ATTEST_POLICY_DEBUG,
                           "the enclave can be debugged, so the host sees all in it");
    if ((q->attribute_flags & needed) != needed)
        return attest_fail(e, ADYTON_ATTEST_POLICY_ATTRIBUTES,
                           "the enclave's attributes lack INIT or MODE64BIT");
    if (q->attribute_flags & keys && !p->numbers[ALLOW_PROVISION_KEY])
        return attest_fail(e, ADYTON_ATTEST_POLICY_ATTRIBUTES,
                           "the enclave has access to the provisioning or launch key");
    return 0;
}

static int check_program(const adyton_policy *p, const struct adyton_quote_info *q,
                         struct adyton_attest_error *e)
{
    for (size_t i = 0; i < COUNT(fields); i++) {
        const uint8_t *value = *(const uint8_t *const *)((const char *)q + fields[i].offset);
        if (!p->bytes[i].count || (value && list_has(&p->bytes[i], value)))
            continue;
        return attest_fail(e,
                           !strcmp(fields[i].rule, "report_data")
                               ? ADYTON_ATTEST_POLICY_REPORT_DATA
                               : ADYTON_ATTEST_POLICY_MEASUREMENT,
                           "%s is not one that the policy names", fields[i].rule);
    }
    if (p->prod_ids.count && (q->tee != ADYTON_TEE_SGX || !list_has(&p->prod_ids, &q->isv_prod_id)))
        return attest_fail(e, ADYTON_ATTEST_POLICY_MEASUREMENT,
                           "isv_prod_id %u is not one that the policy names", q->isv_prod_id);
    if (p->numbers[MIN_ISV_SVN] &&
        (q->tee != ADYTON_TEE_SGX || q->isv_svn < p->numbers[MIN_ISV_SVN]))
        return attest_fail(e, ADYTON_ATTEST_POLICY_SVN,
                           "isv_svn %u is below the least accepted, %lld", q->isv_svn,
                           (long long)p->numbers[MIN_ISV_SVN]);
    return 0;
}

static int check_platform(const adyton_policy *p, const adyton_verdict *v,
                          struct adyton_attest_error *e)
{
    if (v->trusted_root != ADYTON_ROOT_INTEL && !p->numbers[ALLOW_CUSTOM_ROOT])
        return attest_fail(e, ADYTON_ATTEST_POLICY_ROOT,
                           "the quote's root of trust is not Intel's: it is of a software device "
                           "or test platform");
    if (p->fmspcs.count && !list_has(&p->fmspcs, v->fmspc))
        return attest_fail(e, ADYTON_ATTEST_POLICY_PLATFORM,
                           "the platform's FMSPC is not one that the policy names");
    if (p->ppids.count && !list_has(&p->ppids, v->ppid))
        return attest_fail(e, ADYTON_ATTEST_POLICY_PLATFORM,
                           "the platform's PPID is not one that the policy names");
    return 0;
}

int adyton_policy_check(const adyton_policy *policy, const adyton_verdict *verdict,
                        struct adyton_attest_error *error)
{
    if (!policy || !verdict)
        return attest_fail(error, ADYTON_ATTEST_INVALID_ARGUMENT, "no policy or verdict");
    if (verdict->code)
        return attest_fail(error, verdict->code, "%s", verdict->error);
    const struct adyton_quote_info *q = verdict->quote;
    int err = 0;
    if (policy->numbers[TEE] && policy->numbers[TEE] != q->tee)
        err = attest_fail(error, ADYTON_ATTEST_POLICY_TEE, "the quote is one of the other TEE");
    if (!err && policy->numbers[STRICT_TRAILING] && q->trailing_not_zero)
        err = attest_fail(error, ADYTON_ATTEST_POLICY_TRAILING,
                          "bytes that are not padding follow the quote");
    if (!err)
        err = check_platform(policy, verdict, error);
    if (!err)
        err = check_status(policy, verdict, error);
    if (!err)
        err = check_dates(policy, verdict, error);
    if (!err)
        err = check_attributes(policy, q, error);
    if (!err)
        err = check_program(policy, q, error);
    return err;
}

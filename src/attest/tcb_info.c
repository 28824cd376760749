/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* TCB info, versions 2 and 3. */
#include "attest/tcb.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static void svn_levels_free(struct svn_levels *levels)
{
    for (unsigned i = 0; i < levels->count; i++)
        level_free(&levels->levels[i].level);
    free(levels->levels);
}

static int compare_svn(const void *a, const void *b)
{
    const struct svn_level *x = a, *y = b;
    return (x->svn < y->svn) - (x->svn > y->svn);
}

/* The tcbLevels of an identity or module: sorted, none twice. */
static int parse_svn_levels(const json_t *object, struct svn_levels *out)
{
    const json_t *list = json_object_get(object, "tcbLevels"), *item;
    size_t count = json_array_size(list), i;
    int err = 0;
    if (!count || count > LEVELS_MAX)
        return -1;
    out->levels = calloc(count, sizeof(*out->levels));
    if (!out->levels)
        return -2;
    json_array_foreach(list, i, item)
    {
        struct svn_level *level = &out->levels[out->count++];
        err = json_level(item, &level->level);
        if (!err && !json_number(json_object_get(item, "tcb"), "isvsvn", 65535, &level->svn))
            err = -1;
        if (err)
            return err;
    }
    qsort(out->levels, count, sizeof(*out->levels), compare_svn);
    for (i = 1; i < count; i++)
        if (out->levels[i].svn == out->levels[i - 1].svn)
            return -1;
    return 0;
}

static bool parse_module_identity(const json_t *object, struct tdx_module *module)
{
    return json_hex(object, "mrsigner", module->mrsigner, 48) &&
           json_hex(object, "attributes", module->attributes, 8) &&
           json_hex(object, "attributesMask", module->mask, 8);
}

static int parse_modules(const json_t *json, struct tcb_info *info)
{
    const json_t *list = json_object_get(json, "tdxModuleIdentities"), *item;
    size_t count = json_array_size(list), i;
    if (!parse_module_identity(json_object_get(json, "tdxModule"), &info->module))
        return -1;
    if (!list)
        return 0;
    if (!count || count > LEVELS_MAX)
        return -1;
    info->modules = calloc(count, sizeof(*info->modules));
    if (!info->modules)
        return -2;
    json_array_foreach(list, i, item)
    {
        struct tdx_module *module = &info->modules[info->module_count++];
        const char *id = json_text(item, "id");
        if (!id || strlen(id) >= sizeof(module->id) || !parse_module_identity(item, module))
            return -1;
        strcpy(module->id, id);
        int err = parse_svn_levels(item, &module->levels);
        if (err)
            return err;
    }
    return 0;
}

/* An array of 16 objects with a member svn. */
static bool parse_components(const json_t *tcb, const char *name, uint8_t out[16])
{
    const json_t *list = json_object_get(tcb, name);
    uint32_t svn;
    if (json_array_size(list) != 16)
        return false;
    for (unsigned i = 0; i < 16; i++) {
        if (!json_number(json_array_get(list, i), "svn", 255, &svn))
            return false;
        out[i] = (uint8_t)svn;
    }
    return true;
}

static bool parse_flat_components(const json_t *tcb, uint8_t out[16])
{
    char name[24];
    uint32_t svn;
    for (unsigned i = 0; i < 16; i++) {
        snprintf(name, sizeof(name), "sgxtcbcomp%02usvn", i + 1);
        if (!json_number(tcb, name, 255, &svn))
            return false;
        out[i] = (uint8_t)svn;
    }
    return true;
}

static int compare_platform(const void *a, const void *b)
{
    const struct platform_level *x = a, *y = b;
    int sgx = memcmp(y->sgx, x->sgx, 16), tdx = memcmp(y->tdx, x->tdx, 16);
    if (sgx)
        return sgx;
    if (x->pce_svn != y->pce_svn)
        return x->pce_svn < y->pce_svn ? 1 : -1;
    return tdx;
}

static int parse_levels(const json_t *json, struct tcb_info *info)
{
    const json_t *list = json_object_get(json, "tcbLevels"), *item;
    size_t count = json_array_size(list), i;
    if (!count || count > LEVELS_MAX)
        return -1;
    info->levels = calloc(count, sizeof(*info->levels));
    if (!info->levels)
        return -2;
    json_array_foreach(list, i, item)
    {
        struct platform_level *level = &info->levels[info->level_count++];
        const json_t *tcb = json_object_get(item, "tcb");
        int err = json_level(item, &level->level);
        if (err)
            return err;
        if (!json_number(tcb, "pcesvn", 65535, &level->pce_svn) ||
            !(info->version == 2 ? parse_flat_components(tcb, level->sgx)
                                 : parse_components(tcb, "sgxtcbcomponents", level->sgx)) ||
            (info->tdx && !parse_components(tcb, "tdxtcbcomponents", level->tdx)))
            return -1;
    }
    qsort(info->levels, count, sizeof(*info->levels), compare_platform);
    for (i = 1; i < count; i++)
        if (!compare_platform(&info->levels[i - 1], &info->levels[i]))
            return -1;
    return 0;
}

static void tcb_info_destroy(struct object *object)
{
    struct tcb_info *info = (struct tcb_info *)object;
    for (unsigned i = 0; i < info->level_count; i++)
        level_free(&info->levels[i].level);
    for (unsigned i = 0; i < info->module_count; i++)
        svn_levels_free(&info->modules[i].levels);
    free(info->levels);
    free(info->modules);
    free(info);
}

static int parse_tcb_info(const json_t *json, struct tcb_info *info, bool *version)
{
    const char *id = json_text(json, "id");
    uint32_t type;
    *version = json_number(json, "version", 1000, &info->version) &&
               (info->version == 2 || info->version == 3);
    if (!*version)
        return -1;
    if (info->version == 3 && (!id || (strcmp(id, "SGX") && strcmp(id, "TDX"))))
        return -1;
    info->tdx = info->version == 3 && !strcmp(id, "TDX");
    if (!json_time(json, "issueDate", &info->issued) ||
        !json_time(json, "nextUpdate", &info->next_update) ||
        !json_hex(json, "fmspc", info->fmspc, 6) || !json_hex(json, "pceId", info->pce_id, 2) ||
        !json_number(json, "tcbType", 0, &type) ||
        !json_number(json, "tcbEvaluationDataNumber", UINT32_MAX, &info->evaluation_number))
        return -1;
    int err = info->tdx ? parse_modules(json, info) : 0;
    return err ? err : parse_levels(json, info);
}

int tcb_info_parse(const json_t *json, struct tcb_info **out, bool *version)
{
    struct tcb_info *info = calloc(1, sizeof(*info));
    if (!info)
        return -2;
    atomic_init(&info->object.references, 1);
    info->object.destroy = tcb_info_destroy;
    int err = parse_tcb_info(json, info, version);
    if (err) {
        tcb_info_destroy(&info->object);
        return err;
    }
    *out = info;
    return 0;
}

static void identity_destroy(struct object *object)
{
    struct identity *identity = (struct identity *)object;
    svn_levels_free(&identity->levels);
    free(identity);
}

static int parse_identity(const json_t *json, struct identity *to, bool *version)
{
    static const char *const ids[] = {"QE", "TD_QE", "QVE", "QAE"};
    const char *id = json_text(json, "id");
    uint32_t number;
    *version = json_number(json, "version", 1000, &number) && number == 2;
    if (!*version || !id)
        return -1;
    for (unsigned i = 0; i < COUNT(ids); i++)
        if (!strcmp(id, ids[i]))
            strcpy(to->id, id);
    if (!*to->id || !json_time(json, "issueDate", &to->issued) ||
        !json_time(json, "nextUpdate", &to->next_update) ||
        !json_number(json, "tcbEvaluationDataNumber", UINT32_MAX, &to->evaluation_number) ||
        !json_hex(json, "miscselect", to->miscselect, 4) ||
        !json_hex(json, "miscselectMask", to->miscselect_mask, 4) ||
        !json_hex(json, "attributes", to->attributes, 16) ||
        !json_hex(json, "attributesMask", to->attributes_mask, 16) ||
        !json_hex(json, "mrsigner", to->mrsigner, 32) ||
        !json_number(json, "isvprodid", 65535, &to->prod_id))
        return -1;
    return parse_svn_levels(json, &to->levels);
}

int identity_parse(const json_t *json, struct identity **out, bool *version)
{
    struct identity *identity = calloc(1, sizeof(*identity));
    if (!identity)
        return -2;
    atomic_init(&identity->object.references, 1);
    identity->object.destroy = identity_destroy;
    int err = parse_identity(json, identity, version);
    if (err) {
        identity_destroy(&identity->object);
        return err;
    }
    *out = identity;
    return 0;
}

struct document {
    enum object_kind kind;
    const char *what, *member;
    int format, version, signature;
};

static int complain(struct session *s, const struct document *d, int code)
{
    if (code == d->signature)
        return attest_fail(s->error, code,
                           "the signature of the %s is wrong: it was altered, or its signing chain "
                           "is another's",
                           d->what);
    if (code == d->version)
        return attest_fail(s->error, code, "the version of the %s is not supported", d->what);
    if (code == d->format)
        return attest_fail(s->error, code,
                           "the %s is not of the form that it must have: was it taken from the "
                           "server whole and unchanged?",
                           d->what);
    return attest_no_memory(s->error);
}

/* Splits, verifies and parses; `parse` makes the object from the JSON. */
static int document_load(struct session *s, const struct document *d, struct adyton_bytes text,
                         const struct chain *chain, struct object **out)
{
    const struct cert *signer = chain->certs[1];
    struct signed_json parts;
    struct object_id id;
    bool version = true;
    int code = 0, err;
    if (!object_id_make(&id, d->kind, signer->point, text.data, text.size))
        return attest_fail(s->error, ADYTON_ATTEST_CRYPTO_LIBRARY, "SHA-256 failed");
    *out = session_find(s, &id);
    if (*out)
        return 0;
    if (!json_split(text.data, text.size, d->member, &parts))
        return complain(s, d, d->format);
    json_t *json = json_verified(&parts, signer->key, d->format, d->signature, &code);
    if (!json)
        return complain(s, d, code);
    if (d->kind == OBJECT_TCB_INFO)
        err = tcb_info_parse(json, (struct tcb_info **)out, &version);
    else
        err = identity_parse(json, (struct identity **)out, &version);
    json_decref(json);
    if (err)
        return complain(s, d,
                        err == -2 ? ADYTON_ATTEST_NO_MEMORY
                        : version ? d->format
                                  : d->version);
    (*out)->cost = text.size * 2;
    return session_add(s, &id, *out);
}

int tcb_info_load(struct session *s, struct adyton_bytes json, const struct chain *chain,
                  const struct tcb_info **info)
{
    static const struct document document = {
        OBJECT_TCB_INFO,
        "TCB info",
        "tcbInfo",
        ADYTON_ATTEST_TCB_INFO_FORMAT,
        ADYTON_ATTEST_TCB_INFO_VERSION,
        ADYTON_ATTEST_TCB_INFO_SIGNATURE,
    };
    struct object *object = NULL;
    int err = document_load(s, &document, json, chain, &object);
    *info = (struct tcb_info *)object;
    return err;
}

int identity_load(struct session *s, struct adyton_bytes json, const struct chain *chain,
                  const struct identity **identity)
{
    static const struct document document = {
        OBJECT_QE_IDENTITY,
        "QE identity",
        "enclaveIdentity",
        ADYTON_ATTEST_QE_IDENTITY_FORMAT,
        ADYTON_ATTEST_QE_IDENTITY_VERSION,
        ADYTON_ATTEST_QE_IDENTITY_SIGNATURE,
    };
    struct object *object = NULL;
    int err = document_load(s, &document, json, chain, &object);
    *identity = (struct identity *)object;
    return err;
}

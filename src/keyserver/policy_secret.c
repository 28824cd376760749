/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* One [[secret]]: name, source, and the rules that an enclave must meet to get it. */
#include <inttypes.h>
#include <string.h>

#include "attest/der.h"
#include "keyserver/policy.h"
#include "manifest/dom.h"

/* Keys of a secret that are no rules about enclaves. */
static const char *const own_keys[] = {"name", "source",        "encoding", "expires",
                                       "rate", "cache_seconds", "allow",    "description"};

/* Rules as `adyton verify --policy` has them. */
static const char *const rules[] = {
    "mrenclave",
    "mrsigner",
    "isv_prod_id",
    "min_isv_svn",
    "tcb_statuses",
    "advisories",
    "out_of_date_grace_days",
    "min_tcb_date",
    "min_evaluation_number",
    "max_collateral_age_days",
    "allow_expired",
    "allow_debug",
    "allow_provision_key",
    "fmspc",
    "ppid",
    "config_id",
    "isv_ext_prod_id",
    "isv_family_id",
    "allow_custom_root",
    "strict_trailing",
};

static bool among(const char *key, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(key, names[i]))
            return true;
    return false;
}

static bool parse_date(const char *text, int64_t *seconds)
{
    char whole[32];
    size_t len = strlen(text);
    if (len != 10)
        return time_from_iso(text, seconds);
    snprintf(whole, sizeof(whole), "%sT00:00:00Z", text);
    return time_from_iso(whole, seconds);
}

static void set_expires(const struct dom *value, int64_t *expires, struct diag *d)
{
    if ((value->type != DOM_DATE && value->type != DOM_STRING) ||
        !parse_date(value->text, expires) || !*expires)
        diag_error(d, value->line,
                   "expires must be a time in UTC like 2026-12-31T18:00:00Z, or a "
                   "date like 2026-12-31");
}

/* "10/minute" */
static void set_rate(struct ks_secret *secret, const struct dom *value, struct diag *d)
{
    static const struct {
        const char *name;
        unsigned seconds;
    } units[] = {{"second", 1}, {"minute", 60}, {"hour", 3600}, {"day", 86400}};
    const char *text = value->type == DOM_STRING ? value->text : "";
    uint64_t count = 0;
    size_t digits = strspn(text, "0123456789");
    for (size_t i = 0; i < digits && i < 8; i++)
        count = count * 10 + (uint64_t)(text[i] - '0');
    for (size_t i = 0; i < COUNT(units); i++)
        if (digits && digits < 8 && count && text[digits] == '/' &&
            !strcmp(text + digits + 1, units[i].name)) {
            secret->rate = (unsigned)count;
            secret->rate_seconds = units[i].seconds;
        }
    if (!secret->rate)
        diag_error(d, value->line,
                   "rate must be like \"10/minute\": a number from 1 to 9999999, "
                   "then /second, /minute, /hour or /day");
}

static void set_name(struct ks_policy *p, struct ks_secret *secret, const struct dom *value,
                     struct diag *d)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    if (value->type != DOM_STRING || !value->len || value->len > KS_NAME_MAX ||
        strspn(value->text, allowed) != value->len)
        diag_error(d, value->line,
                   "name must be a string of 1 to %d letters, digits, '-', '_' "
                   "and '.'",
                   KS_NAME_MAX);
    else
        secret->name = arena_copy(&p->arena, value->text, value->len);
}

/* "pkcs11:LABEL", "pkcs11:token=NAME;object=LABEL" */
static void source_pkcs11(struct ks_policy *p, struct ks_source *source, const char *text,
                          const struct dom *value, struct diag *d)
{
    if (!strchr(text, '=') && *text && !strchr(text, ';')) {
        source->path = arena_copy(&p->arena, text, strlen(text));
        return;
    }
    while (*text) {
        size_t len = strcspn(text, ";");
        if (!strncmp(text, "object=", 7) && len > 7)
            source->path = arena_copy(&p->arena, text + 7, len - 7);
        else if (!strncmp(text, "token=", 6) && len > 6)
            source->field = arena_copy(&p->arena, text + 6, len - 6);
        else
            diag_error(d, value->line,
                       "'%.*s' is no part of a PKCS#11 source; object=LABEL and "
                       "token=LABEL are",
                       (int)(len < 100 ? len : 100), text);
        text += len + (text[len] == ';');
    }
    if (!source->path)
        diag_error(d, value->line, "a PKCS#11 source names an object: pkcs11:object=LABEL");
}

static void source_vault(struct ks_policy *p, struct ks_source *source, const char *text,
                         const struct dom *value, struct diag *d)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
    const char *mark = strchr(text, '#');
    size_t len = mark ? (size_t)(mark - text) : 0;
    if (!len || !mark[1] || strspn(text, allowed) != len || *text == '/' || strstr(text, "..")) {
        diag_error(d, value->line,
                   "a Vault source is like vault:secret/data/model#key: the path "
                   "behind /v1/, and the field");
        return;
    }
    source->path = arena_copy(&p->arena, text, len);
    source->field = arena_copy(&p->arena, mark + 1, strlen(mark + 1));
}

static void set_source(struct ks_policy *p, struct ks_secret *secret, const struct dom *value,
                       const char *directory, struct diag *d)
{
    const char *text = value->type == DOM_STRING ? value->text : "";
    struct ks_source *source = &secret->source;
    if (!strncmp(text, "file:", 5) && text[5]) {
        source->kind = KS_SOURCE_FILE;
        source->path = ks_path(p, directory, text + 5);
    } else if (!strncmp(text, "pkcs11:", 7)) {
        source->kind = KS_SOURCE_PKCS11;
        source_pkcs11(p, source, text + 7, value, d);
    } else if (!strncmp(text, "vault:", 6)) {
        source->kind = KS_SOURCE_VAULT;
        source_vault(p, source, text + 6, value, d);
    } else {
        diag_error(d, value->line,
                   "source must be \"file:PATH\", \"pkcs11:object=LABEL\" or "
                   "\"vault:PATH#FIELD\"");
    }
}

static void set_encoding(struct ks_secret *secret, const struct dom *value, struct diag *d)
{
    static const char *const names[] = {[KS_RAW] = "raw", [KS_HEX] = "hex", [KS_BASE64] = "base64"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (value->type == DOM_STRING && !strcmp(value->text, names[i])) {
            secret->source.encoding = (enum ks_encoding)i;
            return;
        }
    diag_error(d, value->line, "encoding must be \"raw\", \"hex\" or \"base64\"");
}

static void set_own(struct ks_policy *p, struct ks_secret *secret, const struct dom *value,
                    const char *directory, struct diag *d)
{
    const char *key = value->key;
    if (!strcmp(key, "name")) {
        set_name(p, secret, value, d);
    } else if (!strcmp(key, "source")) {
        set_source(p, secret, value, directory, d);
    } else if (!strcmp(key, "encoding")) {
        set_encoding(secret, value, d);
    } else if (!strcmp(key, "expires")) {
        set_expires(value, &secret->expires, d);
    } else if (!strcmp(key, "rate")) {
        set_rate(secret, value, d);
    } else if (!strcmp(key, "cache_seconds")) {
        if (value->type != DOM_INTEGER || value->integer < 0 || value->integer > 86400)
            diag_error(d, value->line, "cache_seconds must be a whole number from 0 to 86400");
        else
            secret->source.cache_seconds = (unsigned)value->integer;
    } else if (!strcmp(key, "description") && value->type != DOM_STRING) {
        diag_error(d, value->line, "description must be a string");
    }
}

static void set_rule(struct ks_alternative *alternative, const char *rule, const struct dom *value,
                     struct diag *d)
{
    struct adyton_attest_error error;
    char number[32];
    const char *text = number;
    if (value->type == DOM_STRING || value->type == DOM_DATE) {
        text = value->text;
    } else if (value->type == DOM_BOOLEAN) {
        text = value->boolean ? "true" : "false";
    } else if (value->type == DOM_INTEGER) {
        snprintf(number, sizeof(number), "%" PRId64, value->integer);
    } else {
        diag_error(d, value->line, "%s cannot be %s", rule, dom_type_name(value->type));
        return;
    }
    if (adyton_policy_set(alternative->rules, rule, text, &error))
        diag_error(d, value->line, "%s", error.text);
}

static void set_rules(struct ks_policy *p, struct ks_alternative *alternative,
                      const struct dom *value, struct diag *d)
{
    const char *key = value->key, *rule = key;
    if (!strcmp(key, "tcb_statuses"))
        rule = "tcb_status";
    else if (!strcmp(key, "advisories"))
        rule = "advisory";
    if (!among(key, rules, COUNT(rules))) {
        diag_error(d, value->line, "there is no rule '%s' for a secret%s", key,
                   !strcmp(key, "trust_root") ? ": the root belongs into [server]"
                                              : ks_similar(p, key, rules, COUNT(rules)));
    } else if (value->type != DOM_ARRAY) {
        set_rule(alternative, rule, value, d);
    } else if (!value->first && strcmp(rule, "advisory")) {
        diag_error(d, value->line, "%s is an empty list; leave it out, or name what is accepted",
                   key);
    } else if (!value->first) {
        adyton_policy_set(alternative->rules, rule, "", NULL); /* accepts none */
    }
    if (value->type == DOM_ARRAY && among(key, rules, COUNT(rules)))
        for (const struct dom *item = value->first; item; item = item->next)
            set_rule(alternative, rule, item, d);
}

/* Whether a table of rules says which program gets the secret. */
static void check_names_program(const struct dom *table, struct diag *d)
{
    bool enclave = dom_child(table, "mrenclave"), signer = dom_child(table, "mrsigner");
    if (!enclave && !signer)
        diag_error(d, table->line,
                   "no enclave is named, and without one nobody gets it: set "
                   "mrenclave, or mrsigner with isv_prod_id and min_isv_svn");
    else if (!enclave && (!dom_child(table, "isv_prod_id") || !dom_child(table, "min_isv_svn")))
        diag_error(d, table->line,
                   "mrsigner alone means every enclave of that signer, old ones "
                   "too: set isv_prod_id and min_isv_svn as well");
}

static bool new_alternative(struct ks_alternative *alternative, const struct dom *table,
                            struct diag *d)
{
    alternative->line = table->line;
    alternative->rules = adyton_policy_new();
    if (!alternative->rules)
        diag_error(d, table->line, "there is no memory left");
    return alternative->rules;
}

static void parse_allow(struct ks_policy *p, struct ks_secret *secret, const struct dom *list,
                        struct diag *d)
{
    if (list->type != DOM_ARRAY || !list->first || list->count > KS_ALTERNATIVES_MAX) {
        diag_error(d, list->line, "allow must be 1 to %d tables: write [[secret.allow]]",
                   KS_ALTERNATIVES_MAX);
        return;
    }
    secret->alternatives = arena_alloc(&p->arena, list->count * sizeof(*secret->alternatives));
    for (const struct dom *table = list->first; table; table = table->next) {
        struct ks_alternative *alternative = &secret->alternatives[secret->alternative_count];
        if (table->type != DOM_TABLE) {
            diag_error(d, table->line, "allow must be tables: write [[secret.allow]]");
            continue;
        }
        if (!new_alternative(alternative, table, d))
            continue;
        secret->alternative_count++;
        for (const struct dom *entry = table->first; entry; entry = entry->next)
            if (!strcmp(entry->key, "expires"))
                set_expires(entry, &alternative->expires, d);
            else
                set_rules(p, alternative, entry, d);
        check_names_program(table, d);
    }
}

void ks_parse_secret(struct ks_policy *p, struct ks_secret *secret, const struct dom *table,
                     const char *directory, struct diag *d)
{
    const struct dom *allow = dom_child(table, "allow");
    secret->line = table->line;
    if (!allow) {
        secret->alternatives = arena_alloc(&p->arena, sizeof(*secret->alternatives));
        secret->alternative_count = new_alternative(secret->alternatives, table, d);
    } else {
        parse_allow(p, secret, allow, d);
    }
    for (const struct dom *entry = table->first; entry; entry = entry->next) {
        if (among(entry->key, own_keys, COUNT(own_keys)))
            set_own(p, secret, entry, directory, d);
        else if (allow)
            diag_error(d, entry->line,
                       "%s stands beside [[secret.allow]]; rules belong into one "
                       "place: move it there",
                       entry->key);
        else if (secret->alternative_count)
            set_rules(p, secret->alternatives, entry, d);
    }
    if (!dom_child(table, "name"))
        diag_error(d, table->line, "this secret has no name");
    if (!dom_child(table, "source"))
        diag_error(d, table->line, "this secret has no source");
    if (!allow)
        check_names_program(table, d);
}

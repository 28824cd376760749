/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Policy files: TOML with one key for each rule of the library. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/attest_commands.h"
#include "cli/tools.h"
#include "manifest/input.h"
#include "manifest/toml.h"

#define POLICY_MAX (1u << 20)

static void set(struct diag *d, adyton_policy *policy, const char *rule, const struct dom *value)
{
    struct adyton_attest_error error;
    char number[32];
    const char *text = number;
    switch (value->type) {
    case DOM_STRING:
    case DOM_DATE:
        text = value->text;
        break;
    case DOM_BOOLEAN:
        text = value->boolean ? "true" : "false";
        break;
    case DOM_INTEGER:
        snprintf(number, sizeof(number), "%" PRId64, value->integer);
        break;
    default:
        diag_error(d, value->line, "%s cannot be %s", rule, dom_type_name(value->type));
        return;
    }
    if (adyton_policy_set(policy, rule, text, &error))
        diag_error(d, value->line, "%s", error.text);
}

/* Rules that take lists, in the plural or the singular. */
static const char *rule_name(const char *key)
{
    if (!strcmp(key, "tcb_statuses"))
        return "tcb_status";
    if (!strcmp(key, "advisories"))
        return "advisory";
    return key;
}

static void apply(struct diag *d, adyton_policy *policy, const struct dom *root,
                  const char **trust_root, struct arena *keep)
{
    for (const struct dom *entry = root->first; entry; entry = entry->next) {
        const char *rule = rule_name(entry->key);
        if (!strcmp(rule, "trust_root") && entry->type == DOM_STRING) {
            *trust_root = arena_copy(keep, entry->text, entry->len);
            continue;
        }
        if (entry->type != DOM_ARRAY) {
            set(d, policy, rule, entry);
            continue;
        }
        /* An empty list of advisories accepts none; of anything else, it would mean nothing. */
        if (!entry->first && strcmp(rule, "advisory"))
            diag_error(d, entry->line, "%s is an empty list; leave it out to accept any",
                       entry->key);
        else if (!entry->first)
            adyton_policy_set(policy, rule, "", NULL);
        for (const struct dom *item = entry->first; item; item = item->next)
            set(d, policy, rule, item);
    }
}

int policy_from_file(const char *name, const char *path, adyton_policy *policy,
                     const char **trust_root, struct arena *keep)
{
    struct diag d = {.file = path};
    struct buffer text = {0};
    struct arena a = {0};
    int fd = open_input(path);
    int err = fd < 0 ? -errno : read_all(fd, &text, POLICY_MAX);
    if (fd >= 0)
        close(fd);
    if (err) {
        diag_error(&d, 0, "cannot be read: %s", strerror(-err));
    } else {
        struct dom *root = toml_parse(&a, text.data ? text.data : "", text.len, &d);
        if (root)
            apply(&d, policy, root, trust_root, keep);
    }
    char prefix[80];
    snprintf(prefix, sizeof(prefix), "error: %s: ", name);
    diag_print_errors(&d, stderr, prefix);
    int status = d.error_count ? 2 : 0;
    diag_free(&d);
    arena_free(&a);
    buffer_free(&text);
    return status;
}

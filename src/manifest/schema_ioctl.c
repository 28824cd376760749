/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The description language of ioctl arguments. */
#include "manifest/keys.h"
#include "manifest/schema_int.h"

#include <string.h>

#define NEST_MAX 16

static void check_layout(struct check *c, const struct dom *n, unsigned depth);

/* An integer or the name of another field. */
static void check_count(struct check *c, const struct dom *n)
{
    if (n->type == DOM_INTEGER ? n->integer < 0 : n->type != DOM_STRING || !*n->text)
        bad_value(c, n, "the value must be a count (0 or more) or the name of a field");
}

static void check_alignment(struct check *c, const struct dom *n)
{
    if (n->type != DOM_INTEGER || n->integer <= 0 || n->integer & (n->integer - 1))
        bad_value(c, n, "the value must be a power of two");
}

static void check_onlyif(struct check *c, const struct dom *n)
{
    if (n->type != DOM_STRING || (!strstr(n->text, "==") && !strstr(n->text, "!=")))
        bad_value(c, n, "the value must be \"a == b\" or \"a != b\"");
}

static void check_ptr(struct check *c, const struct dom *n)
{
    if (n->type == DOM_STRING) {
        const struct dom *structs = dom_get(c->root, "sys.ioctl_structs");
        if (!dom_child(structs, n->text))
            bad_value(c, n, "there is no sys.ioctl_structs.%s", n->text);
    } else if (n->type != DOM_ARRAY) {
        bad_value(c, n, "the value must be the name of a struct or an array of fields");
    }
}

static void check_field(struct check *c, const struct dom *n, unsigned depth)
{
    static const struct rule fields[] = {
        {.key = "name", .kind = K_STRING},
        {.key = "alignment", .kind = K_CUSTOM, .check = check_alignment},
        {.key = "size", .kind = K_CUSTOM, .check = check_count},
        {.key = "unit", .kind = K_INTEGER, .min = 1, .max = INT32_MAX},
        {.key = "adjustment", .kind = K_INTEGER, .min = INT32_MIN, .max = INT32_MAX},
        {.key = "direction", .kind = K_ENUM, .names = MF_NAMES(MF_DIRECTIONS)},
        {.key = "ptr", .kind = K_CUSTOM, .check = check_ptr},
        {.key = "array_len", .kind = K_CUSTOM, .check = check_count},
        {.key = "onlyif", .kind = K_CUSTOM, .check = check_onlyif},
    };
    check_fields(c, n, fields, sizeof(fields) / sizeof(*fields));
    const struct dom *ptr = dom_child(n, "ptr");
    if (ptr && dom_child(n, "size"))
        bad_value(c, n, "`ptr` and `size` exclude each other");
    if (ptr && ptr->type == DOM_ARRAY)
        check_layout(c, ptr, depth + 1);
}

static void check_layout(struct check *c, const struct dom *n, unsigned depth)
{
    if (n->type != DOM_ARRAY) {
        bad_value(c, n, "the value must be an array of fields, not %s", dom_type_name(n->type));
        return;
    }
    if (depth > NEST_MAX) {
        bad_value(c, n, "structs are nested more than %d deep", NEST_MAX);
        return;
    }
    for (const struct dom *f = n->first; f; f = f->next)
        check_field(c, f, depth);
}

void check_ioctl_struct(struct check *c, const struct dom *n)
{
    check_layout(c, n, 0);
}

void check_allowed_ioctls(struct check *c, const struct dom *n)
{
    static const struct rule fields[] = {
        {.key = "request_code", .kind = K_INTEGER, .min = 0, .max = UINT32_MAX},
        {.key = "struct", .kind = K_STRING},
    };
    if (n->type != DOM_ARRAY) {
        bad_value(c, n, "the value must be an array of tables, not %s", dom_type_name(n->type));
        return;
    }
    for (const struct dom *e = n->first; e; e = e->next) {
        check_fields(c, e, fields, sizeof(fields) / sizeof(*fields));
        if (e->type != DOM_TABLE)
            continue;
        const char *layout = dom_string(e, "struct");
        if (!dom_child(e, "request_code"))
            bad_value(c, e, "`request_code` is missing");
        if (layout && !dom_child(dom_get(c->root, "sys.ioctl_structs"), layout))
            bad_value(c, e, "there is no sys.ioctl_structs.%s", layout);
    }
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Mock system calls and the descriptions of ioctl arguments. */
#include "manifest/compile_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "manifest/value.h"

static const struct mf_ioctl_value no_value = {.literal = MF_UNSET};

/* A number in any of C's bases, else the name of a field. */
static struct mf_ioctl_value word_value(struct compiler *c, const char *s, size_t len)
{
    while (len && (*s == ' ' || *s == '\t'))
        s++, len--;
    while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
        len--;
    char *copy = arena_copy(&c->arena, s, len), *end;
    errno = 0;
    uint64_t number = strtoull(copy, &end, 0);
    if (len && !*end && !errno && *copy != '-')
        return (struct mf_ioctl_value){.literal = number};
    return (struct mf_ioctl_value){.field = put_bytes(c, copy, len), .literal = MF_UNSET};
}

static struct mf_ioctl_value node_value(struct compiler *c, const struct dom *n)
{
    if (!n)
        return no_value;
    if (n->type == DOM_INTEGER)
        return (struct mf_ioctl_value){.literal = (uint64_t)n->integer};
    return (struct mf_ioctl_value){.field = put_string(c, n->text), .literal = MF_UNSET};
}

static uint32_t struct_index(const struct dom *structs, const char *name)
{
    uint32_t i = 0;
    for (const struct dom *n = structs->first; n; n = n->next, i++)
        if (!strcmp(n->key, name))
            return i;
    return UINT32_MAX;
}

static void add_condition(struct compiler *c, struct mf_ioctl_field *f, const char *text)
{
    const char *op = text ? strstr(text, "==") : NULL;
    f->if_left = f->if_right = no_value;
    if (!text)
        return;
    f->if_equal = op != NULL;
    if (!op)
        op = strstr(text, "!=");
    f->if_left = word_value(c, text, (size_t)(op - text));
    f->if_right = word_value(c, op + 2, strlen(op + 2));
}

static void fill_struct(struct compiler *c, uint32_t index, const struct dom *layout);

static struct mf_ioctl_field make_field(struct compiler *c, const struct dom *n)
{
    const struct dom *ptr = dom_child(n, "ptr"), *unit = dom_child(n, "unit");
    const struct dom *align = dom_child(n, "alignment"), *adjust = dom_child(n, "adjustment");
    const char *direction = dom_string(n, "direction");
    struct mf_ioctl_field f = {
        .name = put_string(c, dom_string(n, "name")),
        .size = node_value(c, dom_child(n, "size")),
        .array_len = node_value(c, dom_child(n, "array_len")),
        .alignment = align ? (uint64_t)align->integer : MF_UNSET,
        .unit = unit ? (uint64_t)unit->integer : 1,
        .adjustment = adjust ? adjust->integer : 0,
        .direction =
            direction ? (uint32_t)value_enum(direction, MF_NAMES(MF_DIRECTIONS)) : MF_DIR_NONE,
        .ptr = UINT32_MAX,
    };
    add_condition(c, &f, dom_string(n, "onlyif"));
    if (ptr && ptr->type == DOM_STRING) {
        f.ptr = struct_index(dom_get(c->root, "sys.ioctl_structs"), ptr->text);
    } else if (ptr) {
        f.ptr = (uint32_t)(c->ioctl_structs.len / sizeof(struct mf_ioctl_struct));
        buffer_add(&c->ioctl_structs, NULL, sizeof(struct mf_ioctl_struct));
        fill_struct(c, f.ptr, ptr);
    }
    return f;
}

/* The fields of one struct stand together, so those of nested ones come before. */
static void fill_struct(struct compiler *c, uint32_t index, const struct dom *layout)
{
    struct buffer fields = {0};
    for (const struct dom *n = layout->first; n; n = n->next) {
        struct mf_ioctl_field f = make_field(c, n);
        buffer_add(&fields, &f, sizeof(f));
    }
    struct mf_ioctl_struct *s = (struct mf_ioctl_struct *)(void *)c->ioctl_structs.data + index;
    s->first = (uint32_t)(c->ioctl_fields.len / sizeof(struct mf_ioctl_field));
    s->count = (uint32_t)layout->count;
    buffer_add(&c->ioctl_fields, fields.data, fields.len);
    buffer_free(&fields);
}

void compile_ioctls(struct compiler *c)
{
    const struct dom *mocks = dom_get(c->root, "sys.debug__mock_syscalls");
    const struct dom *structs = dom_get(c->root, "sys.ioctl_structs");
    const struct dom *ioctls = dom_get(c->root, "sys.allowed_ioctls");
    for (const struct dom *n = mocks ? mocks->first : NULL; n; n = n->next) {
        const struct dom *ret = dom_child(n, "return");
        struct mf_mock m = {.name = put_string(c, dom_string(n, "name")),
                            .ret = ret ? ret->integer : 0};
        buffer_add(&c->mocks, &m, sizeof(m));
    }
    for (const struct dom *n = structs ? structs->first : NULL; n; n = n->next) {
        struct mf_ioctl_struct s = {.name = put_string(c, n->key)};
        buffer_add(&c->ioctl_structs, &s, sizeof(s));
    }
    uint32_t index = 0;
    for (const struct dom *n = structs ? structs->first : NULL; n; n = n->next)
        fill_struct(c, index++, n);
    for (const struct dom *n = ioctls ? ioctls->first : NULL; n; n = n->next) {
        const char *layout = dom_string(n, "struct");
        struct mf_ioctl io = {
            .request = (uint64_t)dom_child(n, "request_code")->integer,
            .layout = layout ? struct_index(structs, layout) : UINT32_MAX,
        };
        buffer_add(&c->ioctls, &io, sizeof(io));
    }
}

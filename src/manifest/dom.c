/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/dom.h"

#include <string.h>

struct dom *dom_new(struct arena *a, enum dom_type type, const char *key)
{
    struct dom *n = arena_alloc(a, sizeof(*n));
    n->type = type;
    n->key = key ? arena_copy(a, key, strlen(key)) : NULL;
    return n;
}

struct dom *dom_new_string(struct arena *a, const char *key, const char *text)
{
    struct dom *n = dom_new(a, DOM_STRING, key);
    n->len = strlen(text);
    n->text = arena_copy(a, text, n->len);
    return n;
}

struct dom *dom_new_integer(struct arena *a, const char *key, int64_t value)
{
    struct dom *n = dom_new(a, DOM_INTEGER, key);
    n->integer = value;
    return n;
}

struct dom *dom_new_boolean(struct arena *a, const char *key, bool value)
{
    struct dom *n = dom_new(a, DOM_BOOLEAN, key);
    n->boolean = value;
    return n;
}

void dom_append(struct dom *parent, struct dom *child)
{
    child->parent = parent;
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->count++;
}

void dom_remove(struct dom *child)
{
    struct dom *parent = child->parent, *prev = NULL;
    for (struct dom *c = parent->first; c != child; c = c->next)
        prev = c;
    if (prev)
        prev->next = child->next;
    else
        parent->first = child->next;
    if (parent->last == child)
        parent->last = prev;
    parent->count--;
    child->parent = child->next = NULL;
}

void dom_replace(struct dom *old, struct dom *by)
{
    struct dom **link = &old->parent->first;
    while (*link != old)
        link = &(*link)->next;
    *link = by;
    by->next = old->next;
    by->parent = old->parent;
    if (old->parent->last == old)
        old->parent->last = by;
    old->parent = old->next = NULL;
}

static struct dom *child_n(const struct dom *table, const char *key, size_t len)
{
    if (!table || table->type != DOM_TABLE)
        return NULL;
    for (struct dom *c = table->first; c; c = c->next)
        if (!strncmp(c->key, key, len) && !c->key[len])
            return c;
    return NULL;
}

struct dom *dom_child(const struct dom *table, const char *key)
{
    return child_n(table, key, strlen(key));
}

struct dom *dom_get(const struct dom *root, const char *path)
{
    const struct dom *n = root;
    for (;;) {
        size_t len = strcspn(path, ".");
        n = child_n(n, path, len);
        if (!n || !path[len])
            return (struct dom *)n;
        path += len + 1;
    }
}

struct dom *dom_make_table(struct arena *a, struct dom *root, const char *path)
{
    struct dom *n = root;
    for (;;) {
        size_t len = strcspn(path, ".");
        struct dom *c = child_n(n, path, len);
        if (!c) {
            c = dom_new(a, DOM_TABLE, arena_copy(a, path, len));
            dom_append(n, c);
        }
        if (c->type != DOM_TABLE)
            return NULL;
        if (!path[len])
            return c;
        n = c;
        path += len + 1;
    }
}

const char *dom_string(const struct dom *root, const char *path)
{
    const struct dom *n = dom_get(root, path);
    return n && n->type == DOM_STRING ? n->text : NULL;
}

bool dom_is_true(const struct dom *root, const char *path)
{
    const struct dom *n = dom_get(root, path);
    return n && n->type == DOM_BOOLEAN && n->boolean;
}

static bool bare_key(const char *key)
{
    return *key && !key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789_-")];
}

const char *dom_name(struct arena *a, const struct dom *node)
{
    const struct dom *p = node->parent;
    if (!p)
        return "the manifest";
    const char *above = p->parent ? dom_name(a, p) : "";
    if (p->type == DOM_ARRAY) {
        size_t index = 0;
        for (const struct dom *c = p->first; c != node; c = c->next)
            index++;
        return arena_printf(a, "%s[%zu]", above, index);
    }
    return arena_printf(a, bare_key(node->key) ? "%s%s%s" : "%s%s\"%s\"", above, *above ? "." : "",
                        node->key);
}

const char *dom_type_name(enum dom_type type)
{
    static const char *const names[] = {"a table",       "an array",  "a string",
                                        "an integer",    "a boolean", "a floating point number",
                                        "a date or time"};
    return names[type];
}

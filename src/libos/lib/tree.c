/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/lib/tree.h"

static int height(const struct tree_node *n)
{
    return n ? n->height : 0;
}

static void measure(struct tree_node *n)
{
    n->height = 1 + MAX(height(n->child[0]), height(n->child[1]));
}

/* Puts `b`, which may be NULL, where `a` hangs. */
static void replace(struct tree *t, const struct tree_node *a, struct tree_node *b)
{
    struct tree_node *p = a->parent;
    if (!p)
        t->root = b;
    else
        p->child[p->child[1] == a] = b;
    if (b)
        b->parent = p;
}

static void hang(struct tree_node *p, int side, struct tree_node *n)
{
    p->child[side] = n;
    if (n)
        n->parent = p;
}

/* Lifts the child of `n` on `side` into its place; returns it. */
static struct tree_node *rotate(struct tree *t, struct tree_node *n, int side)
{
    struct tree_node *up = n->child[side];
    replace(t, n, up);
    hang(n, side, up->child[!side]);
    hang(up, !side, n);
    measure(n);
    measure(up);
    return up;
}

/* Restores heights and balance from `n` to the root, or until nothing changes any more. */
static void balance(struct tree *t, struct tree_node *n)
{
    for (; n; n = n->parent) {
        int before = n->height, lean = height(n->child[1]) - height(n->child[0]);
        if (lean < -1 || lean > 1) {
            int side = lean > 0;
            struct tree_node *c = n->child[side];
            if (height(c->child[!side]) > height(c->child[side]))
                rotate(t, c, !side);
            n = rotate(t, n, side);
        } else {
            measure(n);
        }
        if (n->height == before)
            return;
    }
}

void tree_insert(struct tree *t, struct tree_node *parent, int side, struct tree_node *n)
{
    *n = (struct tree_node){.parent = parent, .height = 1};
    if (parent)
        parent->child[side] = n;
    else
        t->root = n;
    balance(t, parent);
}

void tree_remove(struct tree *t, struct tree_node *n)
{
    struct tree_node *changed = n->parent;
    if (!n->child[0] || !n->child[1]) {
        replace(t, n, n->child[!n->child[0]]);
    } else { /* the next one takes its place */
        struct tree_node *next = tree_neighbour(n, 1);
        changed = next->parent == n ? next : next->parent;
        replace(t, next, next->child[1]);
        replace(t, n, next);
        hang(next, 0, n->child[0]);
        hang(next, 1, n->child[1]);
        next->height = n->height;
    }
    balance(t, changed);
}

struct tree_node *tree_neighbour(const struct tree_node *n, int side)
{
    if (n->child[side]) {
        struct tree_node *at = n->child[side];
        while (at->child[!side])
            at = at->child[!side];
        return at;
    }
    while (n->parent && n->parent->child[side] == n)
        n = n->parent;
    return n->parent;
}

struct tree_node *tree_end(const struct tree *t, int side)
{
    struct tree_node *n = t->root;
    while (n && n->child[side])
        n = n->child[side];
    return n;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A balanced tree (AVL) whose nodes are members of the structures that it keeps in order. It does
 * not look at them: whoever inserts has found the place. No memory of its own; nothing fails. */
#pragma once
#include "libos/libos.h"

struct tree_node {
    struct tree_node *child[2]; /* [0] before it, [1] behind it */
    struct tree_node *parent;
    int height;
};

struct tree {
    struct tree_node *root; /* NULL: empty */
};

/* Hangs `n` below `parent` (NULL: into the empty tree) on a side where nothing hangs. */
void tree_insert(struct tree *t, struct tree_node *parent, int side, struct tree_node *n);
void tree_remove(struct tree *t, struct tree_node *n);
/* The neighbour before (side 0) or behind (1) `n`, or NULL. */
struct tree_node *tree_neighbour(const struct tree_node *n, int side);
/* The first (side 0) or last (1) node, or NULL. */
struct tree_node *tree_end(const struct tree *t, int side);

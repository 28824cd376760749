/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Storage in memory over an unchanging base: what is written goes to copies of single nodes. */
#pragma once
#include "pfs/pfs.h"

#define STORAGE_NODES 160 /* -ENOSPC beyond */

struct storage {
    const uint8_t *base;
    size_t base_size, size;
    bool copied[STORAGE_NODES];
    /* Called before each write, if set. */
    void (*before_write)(const struct storage *s);
};

void storage_begin(struct storage *s, const uint8_t *base, size_t size);
struct pfs_backend storage_backend(struct storage *s);
/* The bytes of a node that exists, to be changed in place; NULL beyond the end. */
uint8_t *storage_node(struct storage *s, size_t node);
/* A copy of everything, made by malloc(). */
uint8_t *storage_copy(const struct storage *s);

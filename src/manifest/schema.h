/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The keys of a manifest: which exist, their types and ranges, and the rules between them. All
 * findings go to `d`; the functions return whether no error was added.
 */
#pragma once
#include "manifest/diag.h"
#include "manifest/dom.h"

/*
 * Replaces old spellings by today's in the tree, with a warning that prints the replacement; an old
 * key whose meaning did not survive is an error with the remedy, and is removed.
 */
bool schema_modernise(struct arena *a, struct dom *root, struct diag *d);

enum schema_mode {
    SCHEMA_TOOL, /* what gramine-manifest accepts: closed, required keys present */
    SCHEMA_RUN,  /* what may be started: unknown keys are ignored, trusted files have hashes */
};
bool schema_check(struct arena *a, const struct dom *root, enum schema_mode mode, struct diag *d);

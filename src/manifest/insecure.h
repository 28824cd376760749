/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The options of a manifest that give protection up. Freestanding. */
#pragma once
#include "manifest/compiled.h"

struct mf_insecure {
    const char *key, *why; /* what it lets the host do */
    const char *remedy;
};

/* The n-th of those in use, from 0, in the order of the specification; NULL behind the last. */
const struct mf_insecure *mf_insecure(const struct mf_image *im, size_t n);

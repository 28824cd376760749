/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A verdict with what it points to. */
#pragma once
#include "attest/tcb.h"

struct verdict {
    adyton_verdict shown; /* first: the caller's pointer is one to this */
    adyton_quote *quote;
    struct adyton_attest_error error;
    struct pck pck;
    char **advisories;
};

void verdict_init(struct verdict *v, int64_t at);
struct verdict *verdict_new(const adyton_quote *quote, int64_t at);
/* Notes when a thing is valid. */
void verdict_dated(struct verdict *v, unsigned bit, int64_t from, int64_t until);
void verdict_pck(struct verdict *v, const struct pck *pck);
/* Adds the level's advisories and date. False without memory. */
bool verdict_level(struct verdict *v, const struct level *level);
/* Fills in the code, the numbers of others, and sorts the advisories. */
void verdict_finish(struct verdict *v, int code);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What is wrong with text that is not TOML, as its author would put it. */
#pragma once
#include "manifest/arena.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where and why the parser stopped. */
struct toml_stop {
    const char *text;
    size_t len;
    unsigned line, column; /* from 1; columns are code points */
    const char *said;      /* by the parser */
    unsigned first;        /* the line of what is given a second time, 0 when unknown */
};

/* One line, "CAUSE; REMEDY", in `a`. For what is not among the usual slips it is what the parser
 * said. `*line` is where the cause stands. */
const char *toml_hint(struct arena *a, const struct toml_stop *stop, unsigned *line);

#ifdef __cplusplus
}
#endif

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The commands about quotes; argv[0] is the command's name, the result its exit status. */
#pragma once
#include <stdio.h>

#include "attest/attest.h"

int cmd_quote(int argc, char **argv);      /* adyton quote show */
int cmd_quote_view(int argc, char **argv); /* gramine-sgx-quote-view */

/*
 * Reads a quote from a file ("-" is standard input): raw, or in a certificate (PEM or DER). Returns
 * 0, or 1 after one line on stderr that begins with `name`.
 */
int quote_from_file(const char *name, const char *path, adyton_quote **quote,
                    struct adyton_attest_error *error);

/* One field per line; `msb`: integers and strings of bytes with the last byte first. */
void quote_print_text(FILE *out, const struct adyton_quote_info *info, int msb);
/* The members of a JSON object, each line indented by `indent` blanks, no newline at the end. */
void quote_print_json(FILE *out, const struct adyton_quote_info *info, int indent);

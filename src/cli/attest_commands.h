/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The commands about quotes; argv[0] is the command's name, the result its exit status. */
#pragma once
#include <stdio.h>

#include "attest/attest.h"
#include "manifest/arena.h"

int cmd_quote(int argc, char **argv);      /* adyton quote show */
int cmd_quote_view(int argc, char **argv); /* gramine-sgx-quote-view */
int cmd_verify(int argc, char **argv);     /* adyton verify */
int cmd_keyserver(int argc, char **argv);  /* adyton keyserver */
/* adyton keyserver report; `name` begins its messages. */
int keyserver_report(const char *name, int argc, char **argv, void (*usage)(FILE *to));

/*
 * Reads a quote from a file ("-" is standard input): raw, or in a certificate (PEM or DER). 0, or a
 * code with the error filled.
 */
int quote_load(const char *path, adyton_quote **quote, struct adyton_attest_error *error);

/* One field per line; `msb`: integers and strings of bytes with the last byte first. */
void quote_print_text(FILE *out, const struct adyton_quote_info *info, int msb);
/* The members of a JSON object, each line indented by `indent` blanks, no newline at the end. */
void quote_print_json(FILE *out, const struct adyton_quote_info *info, int indent);

/* The result of a verification; `verdict` may be NULL, `refused` has the code 0 for acceptance. */
void verdict_print_json(FILE *out, const adyton_verdict *verdict,
                        const struct adyton_attest_error *refused);
void verdict_print_text(FILE *out, const adyton_verdict *verdict);

/*
 * Sets the rules of a TOML file; the value of trust_root, copied into `keep`, goes to *trust_root.
 * Returns 0, or 2 after printing what is wrong with it, each line beginning with `name`.
 */
int policy_from_file(const char *name, const char *path, adyton_policy *policy,
                     const char **trust_root, struct arena *keep);

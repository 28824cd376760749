/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The enclave of a manifest, for the commands that sign, measure and compare. */
#pragma once
#include "manifest/arena.h"
#include "sgx/image.h"

#include <limits.h>
#include <stdbool.h>

struct enclave {
    struct buffer block; /* the compiled manifest */
    struct mf manifest;  /* looks at it */
    struct sgx_layout layout;
    char libpal[PATH_MAX];
};

/*
 * Compiles the text of a complete manifest (and keeps the result for the first start) and lays its
 * enclave out. `path` is for messages; `libpal` names the library OS, NULL: the installed one.
 * False after lines on standard error that begin with `command`; nothing need be freed then.
 */
bool enclave_of_text(struct enclave *e, const char *command, const char *path,
                     const struct buffer *text, const char *libpal);
void enclave_free(struct enclave *e);

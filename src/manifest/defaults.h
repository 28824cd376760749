/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The values that the tools write into a manifest where the user gave none. */
#pragma once
#include "manifest/diag.h"
#include "manifest/dom.h"

#include <stdbool.h>

/*
 * Adds the defaults to a checked tree. `libos` is the installed library OS: it becomes
 * loader.entrypoint.uri if there is none. loader.entrypoint.sha256 is computed; `chroot` as for
 * trusted files. False after an error in `d`.
 */
bool manifest_defaults(struct arena *a, struct dom *root, const char *libos, const char *chroot,
                       struct diag *d);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#pragma once
#include <stddef.h>

/* Writes the program and the directories that the manifest names into the working directory, and
 * compiles the manifest. It lives as long as the process. NULL on failure, with a message. */
const void *world_manifest(size_t *size);

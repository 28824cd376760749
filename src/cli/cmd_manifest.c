/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cli/tools.h"

#include <stdio.h>

int cmd_manifest(int argc, char **argv)
{
    fprintf(stderr, "error: %s: not implemented yet\n", argv[0]);
    return 1;
}

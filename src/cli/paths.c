/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cli/paths.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int private_path(char *out, size_t cap, const char *name)
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n <= 0)
        return -1;
    exe[n] = '\0';
    char *slash = strrchr(exe, '/');
    if (!slash)
        return -1;
    *slash = '\0';
    const char *dir = strrchr(exe, '/');
    int private = dir && !strcmp(dir, "/adyton");
    if (!private) {
        slash = strrchr(exe, '/');
        if (slash)
            *slash = '\0';
    }
    const char *sep = *name ? "/" : "";
    int len = snprintf(out, cap, private ? "%s%s%s" : "%s/lib/adyton%s%s", exe, sep, name);
    return len < 0 || (size_t)len >= cap ? -1 : 0;
}

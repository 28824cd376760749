/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cli/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int private_path(char *out, size_t cap, const char *name)
{
    ssize_t n = readlink("/proc/self/exe", out, cap - 1);
    if (n <= 0)
        return -1;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash)
        return -1;
    *slash = '\0';
    const char *dir = strrchr(out, '/');
    bool private = dir && !strcmp(dir, "/adyton");
    slash = private ? NULL : strrchr(out, '/');
    if (slash)
        *slash = '\0';
    size_t used = strlen(out);
    int more = snprintf(out + used, cap - used, "%s%s%s", private ? "" : "/lib/adyton",
                        *name ? "/" : "", name);
    return more < 0 || (size_t)more >= cap - used ? -1 : 0;
}

void hold_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            open("/", O_PATH | O_CLOEXEC); /* takes the lowest free number */
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Files that a user has named, to be read: hosted code only. */
#pragma once
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/*
 * open(2) that waits for nobody: a FIFO without a writer reads as empty, one with a writer (as of
 * `<(command)` in a shell) is read to its end. A descriptor, or -1 with errno.
 */
static inline int open_input(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0)
        fcntl(fd, F_SETFL, 0);
    return fd;
}

static inline FILE *fopen_input(const char *path)
{
    int fd = open_input(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (fd >= 0 && !file)
        close(fd);
    return file;
}

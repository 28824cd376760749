/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* stream read FILE PASSES | stream write FILE MIB: sequential read() or write() in pieces of 1 MiB.
 * Prints the GB/s of every pass. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

static char buffer[PIECE];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double read_all(const char *path)
{
    double begin = now(), bytes = 0;
    int fd = open(path, O_RDONLY);
    ssize_t got = fd < 0 ? -1 : 0;
    while (fd >= 0 && (got = read(fd, buffer, PIECE)) > 0)
        bytes += (double)got;
    if (got < 0) {
        perror(path);
        exit(1);
    }
    close(fd);
    return bytes / (now() - begin) / 1e9;
}

/* The time of close() counts: an encrypted file is complete only then. */
static double write_all(const char *path, long pieces)
{
    memset(buffer, 'w', PIECE);
    double begin = now();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    for (long i = 0; i < pieces; i++)
        if (fd < 0 || write(fd, buffer, PIECE) != PIECE) {
            perror(path);
            exit(1);
        }
    if (close(fd)) {
        perror(path);
        exit(1);
    }
    return (double)pieces * PIECE / (now() - begin) / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: stream read FILE PASSES | stream write FILE MIB\n");
        return 2;
    }
    /* Touched before it is timed: page faults of the buffer are not the file's. */
    memset(buffer, 0, PIECE);
    if (strcmp(argv[1], "write") == 0) {
        printf("%.4f\n", write_all(argv[2], atol(argv[3])));
        return 0;
    }
    for (long i = 0; i < atol(argv[3]); i++)
        printf("%.4f\n", read_all(argv[2]));
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* calls getppid|clock|pread FILE|pwrite FILE: prints the nanoseconds of one call.
 * The time of a whole run is cut into slices and the median slice counts. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SLICES = 51, BLOCK = 4096 };

static char buffer[BLOCK];

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void getppid_raw(int fd, long n)
{
    (void)fd;
    for (long i = 0; i < n; i++) {
        long ret;
        __asm__ volatile("mov %1, %%eax\n\tsyscall"
                         : "=a"(ret)
                         : "i"(SYS_getppid)
                         : "rcx", "r11", "memory");
    }
}

static void clock_call(int fd, long n)
{
    (void)fd;
    struct timespec t;
    for (long i = 0; i < n; i++)
        clock_gettime(CLOCK_MONOTONIC, &t);
}

static void pread_block(int fd, long n)
{
    for (long i = 0; i < n; i++)
        if (pread(fd, buffer, BLOCK, (i & 255) * BLOCK) != BLOCK)
            exit(1);
}

static void pwrite_block(int fd, long n)
{
    for (long i = 0; i < n; i++)
        if (pwrite(fd, buffer, BLOCK, (i & 255) * BLOCK) != BLOCK)
            exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(int, long);
        long count;
        int flags;
    } kinds[] = {
        {"getppid", getppid_raw, 20000, -1},
        {"clock", clock_call, 50000, -1},
        {"pread", pread_block, 4000, O_RDONLY},
        {"pwrite", pwrite_block, 2000, O_RDWR},
    };
    for (size_t k = 0; argc > 1 && k < sizeof kinds / sizeof *kinds; k++) {
        if (strcmp(argv[1], kinds[k].name) != 0)
            continue;
        int fd = -1;
        if (kinds[k].flags >= 0 && (argc < 3 || (fd = open(argv[2], kinds[k].flags)) < 0)) {
            perror("open");
            return 1;
        }
        double slices[SLICES];
        kinds[k].run(fd, kinds[k].count);
        for (int i = 0; i < SLICES; i++) {
            uint64_t begin = now();
            kinds[k].run(fd, kinds[k].count);
            slices[i] = (double)(now() - begin) / (double)kinds[k].count;
        }
        qsort(slices, SLICES, sizeof *slices, by_value);
        printf("%.2f\n", slices[SLICES / 2]);
        return 0;
    }
    fprintf(stderr, "usage: calls getppid|clock|pread FILE|pwrite FILE\n");
    return 2;
}

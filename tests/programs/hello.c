/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Initialised, zeroed, read-only and thread-local data: each is set up by another part of a loader.
 */
static int initialised = 42;
static int zeroed[4096];
static const char text[] = "Hello, world";
static __thread int local = 7;

__attribute__((constructor)) static void before(void)
{
    zeroed[4095] = 1;
}

static void after(void)
{
    puts("atexit");
}

int main(int argc, char **argv, char **envp)
{
    atexit(after);
    printf("%s %d %d %d %d\n", text, initialised, zeroed[0], zeroed[4095], local);
    for (int i = 1; i < argc; i++)
        printf("argument %d: %s\n", i, argv[i]);
    const char *greeting = getenv("GREETING");
    printf("GREETING=%s, page size %ld\n", greeting ? greeting : "(none)", sysconf(_SC_PAGESIZE));
    char *heap = malloc(3 << 20);
    if (!heap)
        return 1;
    memset(heap, 'x', 3 << 20);
    printf("%c%c\n", heap[0], heap[(3 << 20) - 1]);
    free(heap);
    fprintf(stderr, "to stderr\n");
    return 23;
}

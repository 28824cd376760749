/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Reads an encrypted file after execve() and fork(): the key was set once, before main(), and
 * stays.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int show(const char *who, const char *path)
{
    char text[64] = {0};
    FILE *file = fopen(path, "r");
    int ok = file && fgets(text, sizeof(text), file);
    if (file)
        fclose(file);
    text[strcspn(text, "\n")] = 0;
    if (ok)
        printf("[%s] Read from protected file: '%s'\n", who, text);
    else
        fprintf(stderr, "[error] [%s] cannot read '%s'\n", who, path);
    fflush(stdout);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    int status = 0;
    if (argc < 2 || strcmp(argv[1], "again") != 0) {
        char *again[] = {argv[0], "again", argc > 1 ? argv[1] : NULL, NULL};
        execv(argc > 0 ? argv[0] : "client", again);
        perror("[error] execv");
        return 1;
    }
    const char *path = argc > 2 ? argv[2] : "/files/input.txt";
    pid_t child = fork();
    if (child < 0) {
        perror("[error] fork");
        return 1;
    }
    if (!child)
        return show("child", path);
    if (waitpid(child, &status, 0) != child || status)
        return 1;
    return show("parent", path);
}

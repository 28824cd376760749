/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Pages that a child cannot reach are there, and stay out of reach. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static void in_child(char *pages, int i)
{
    if (i == 0) {
        mprotect(pages, PAGE, PROT_READ);
        printf("%s %s\n", pages, pages + PAGE);
        fflush(stdout);
        _exit(0);
    }
    pages[i == 1 ? 0 : PAGE] = 1;
    _exit(9);
}

int main(void)
{
    char *pages = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(pages, "hidden");
    strcpy(pages + PAGE, "constant");
    mprotect(pages, PAGE, PROT_NONE);
    mprotect(pages + PAGE, PAGE, PROT_READ);
    for (int i = 0; i < 3; i++) {
        int status;
        pid_t pid = fork();
        if (!pid)
            in_child(pages, i);
        waitpid(pid, &status, 0);
        printf("%d %x\n", i, status);
    }
    mprotect(pages, PAGE, PROT_READ);
    printf("%s %s\n", pages, pages + PAGE);
    return 0;
}

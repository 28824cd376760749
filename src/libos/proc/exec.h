/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Starting a program in the calling process. */
#pragma once
#include "libos/libos.h"

/* NUL-terminated strings one after the other. */
struct strings {
    char *data;
    size_t len, capacity;
    size_t count;
};
int strings_add(struct strings *s, const char *text);
void strings_free(struct strings *s);

/*
 * Replaces the program of the process: `path` is absolute inside, `name` is what the caller wrote
 * (AT_EXECFN, and what a script's interpreter gets). Both are copied. On success argv, envp and
 * the heap block `owned` are freed; on failure they stay the caller's. Before the point of no
 * return an errno; afterwards failure ends the process with SIGKILL, as on Linux. Does not return
 * on success.
 */
int exec_program(const char *path, const char *name, struct strings *argv, struct strings *envp,
                 void *owned);

/* WORK_EXEC: the first thread finishes the execve of another. Returns where that is off. */
struct process;
void exec_take_over(void);
/* In a forked child: what the parent was about to exec is none of its business. */
void exec_forget(struct process *p);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Finding what execve(2) is to run: the ELF file behind scripts, and its dynamic loader. */
#pragma once
#include "libos/fs/vfs.h"
#include "libos/proc/elf.h"
#include "libos/proc/exec.h"

struct program {
    struct file *file, *interp_file;
    struct elf_image image, interp;
    char path[PATH_LIMIT]; /* of the ELF file, after scripts were resolved */
    char name[PATH_LIMIT]; /* as the caller wrote it */
    const char *culprit;   /* the path that the error is about */
};

/*
 * Opens and reads g->path (g->name): a script is replaced by its interpreter, and argv with it. 0,
 * or an errno and g->culprit. program_close() either way.
 */
int program_open(struct program *g, struct strings *argv, const struct strings *envp);
void program_close(struct program *g);
/* At start: where dynamic loaders are looked for in any case, a value of LD_LIBRARY_PATH. It is
 * copied. 0 or -ENOMEM. */
int program_keep_library_path(const char *value);
/* One line for the user about the failed start of the first program, `path`. */
void program_explain(const struct program *g, const char *path, int err);

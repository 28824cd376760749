/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Shared by the files of the compiler. */
#pragma once
#include "manifest/compile.h"
#include "manifest/compiled.h"

struct compiler {
    const struct dom *root;
    struct diag *diag;
    struct arena arena;
    struct mf_image image;
    struct buffer strings;
    struct buffer argv, env, mounts, keys, trusted, allowed, mocks, ioctls, ioctl_structs,
        ioctl_fields;
    bool too_big;
};

/* Appends to the strings; a NULL string is absent. */
struct mf_str put_bytes(struct compiler *c, const char *s, size_t len);
struct mf_str put_string(struct compiler *c, const char *s);

/* sys.debug__mock_syscalls, sys.ioctl_structs and sys.allowed_ioctls (compile_ioctl.c). */
void compile_ioctls(struct compiler *c);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the commands of `adyton sgxemu` share. Functions that return false have printed one line. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define FUSES_SIZE 64 /* bytes of a fuse file */

struct test_platform; /* sgxemu/quoting/quoting.h */

/* The fuse file that was named, or the default one. */
bool sgxemu_fuses(const char *name, const char *given, char path[PATH_MAX]);
/* Makes it if it is not there. */
bool sgxemu_ensure_fuses(const char *name, const char *path);
/* The test platform's directory: as given, or test-platform beside the fuse file. */
bool sgxemu_platform_dir(const char *name, const char *given, const char *fuses,
                         char path[PATH_MAX]);
/* Opens the test platform, made if there is none. Its collateral is renewed when it is more than a
 * day old. */
bool sgxemu_open_platform(const char *name, const char *fuses, const char *dir,
                          struct test_platform **p);
/* Can TCB info say this of a platform? */
bool sgxemu_is_tcb_status(const char *text);

int sgxemu_setup(int argc, char **argv); /* adyton sgxemu setup */
int sgxemu_serve(int argc, char **argv); /* adyton sgxemu serve */
int sgxemu_quote(int argc, char **argv); /* adyton sgxemu quote */

/*
 * Starts a quoting service that ends with this process (which may execute another program), on an
 * abstract socket whose name, with @ before it, goes to `socket`.
 */
bool sgxemu_start_quoting(const char *name, struct test_platform *p, char socket[108]);

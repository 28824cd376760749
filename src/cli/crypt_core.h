/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the encrypted-file commands share: keys, one file, whole trees. */
#pragma once
#include "crypt.h"
#include "pfs/pfs.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct crypt {
    const char *name; /* of the command, for messages */
    bool encrypt;
    bool verbose;       /* a line per file */
    bool manifest_hint; /* after encrypting, say which path a manifest must use */
    uint8_t key[PFS_KEY_SIZE];
    mode_t umask;
    atomic_bool stop; /* a file failed, or a signal came */
    atomic_ullong bytes_done;
    unsigned long long bytes_total;
};

/* Prints "error: NAME: message" to stderr as one line and returns `status`. */
int crypt_fail(const struct crypt *c, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads a key file, which is exactly 16 bytes. Returns a CRYPT_ status; prints the error. */
int crypt_read_key(struct crypt *c, const char *path);

/* Makes a key file of mode 0600. An existing file is replaced only if `force`. */
int crypt_make_key(const struct crypt *c, const char *path, bool force);

/* Encrypts one file. The output appears under its name when it is complete. */
int crypt_encrypt_file(struct crypt *c, const char *in, const char *out, const char *stored);

/* Decrypts one file; `out` NULL: only verifies. `expect`: NULL, or the path it must be stored for.
 */
int crypt_decrypt_file(struct crypt *c, const char *in, const char *out, const char *expect);

/* Decrypts or encrypts (c->encrypt) a file, or a directory on all cores. `path`: what each file is
 * or must be stored for, extended by its name within the tree; NULL when decrypting: not checked.
 */
int crypt_run(struct crypt *c, const char *in, const char *out, const char *path);

/* A new file beside `path`, to be renamed to it. */
struct output {
    char *path; /* links resolved */
    char *temporary;
    int fd;
};
/* Both return 0 or -errno. output_end() renames if `keep`, else removes; it frees in any case. */
int output_begin(struct output *o, const char *path, mode_t mode);
int output_end(struct output *o, bool keep);

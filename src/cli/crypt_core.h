/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the encrypted-file commands share: keys, one file, whole trees. */
#pragma once
#include "crypt.h"
#include "pfs/pfs.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* Two equal ones: the same file. */
struct file_id {
    dev_t dev;
    ino_t ino;
};

static inline struct file_id file_id(const struct stat *st)
{
    return (struct file_id){st->st_dev, st->st_ino};
}

static inline bool same_file(struct file_id a, struct file_id b)
{
    return a.dev == b.dev && a.ino == b.ino;
}

struct crypt {
    const char *name; /* of the command, for messages */
    bool encrypt;
    bool verbose;       /* a line per file */
    bool manifest_hint; /* after encrypting, say which path a manifest must use */
    bool skip_broken;   /* links in a tree that lead nowhere: left out, and CRYPT_IO at the end */
    bool skipped;       /* there was one */
    uint8_t key[PFS_KEY_SIZE];
    struct file_id key_file; /* where the key was read */
    mode_t umask;
    unsigned threads; /* for one file */
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

/* Runs fn(arg) on up to `threads` threads, of which the caller is one, and waits for all. */
#define CRYPT_THREADS_MAX 32
void crypt_parallel(unsigned threads, void (*fn)(void *arg), void *arg);
unsigned crypt_cores(void); /* that this process may use, at most CRYPT_THREADS_MAX */

/* The storage of encrypted files is a descriptor, which must outlive the backend. */
extern const struct pfs_env crypt_env;
struct pfs_backend crypt_backend(int *fd);
int crypt_open_pfs(const struct crypt *c, int *fd, const struct pfs_open_args *args,
                   struct pfs **f);

/* Opens an input, which must be a regular file. Returns a CRYPT_ status; prints the error. */
int crypt_open_input(const struct crypt *c, const char *path, int *fd, struct stat *st);
/* Says what went wrong with an output; `rc` is -errno. Returns the CRYPT_ status. */
int crypt_output_failed(const struct crypt *c, const char *path, int rc);
/* Says why pfs_open() refused `in` with `rc`, and returns the CRYPT_ status. */
int crypt_refused(const struct crypt *c, const char *in, const char *expect, int *fd, int rc);

/* Encrypts one file on c->threads threads. The output appears under its name when complete. */
int crypt_encrypt_file(struct crypt *c, const char *in, const char *out, const char *stored);

/* Decrypts one file on c->threads threads; `out` NULL: only verifies. `expect`: NULL, or the path
 * it must be stored for. */
int crypt_decrypt_file(struct crypt *c, const char *in, const char *out, const char *expect);

struct job {
    char *in, *out, *path;
    unsigned long long size;
    struct file_id id; /* of the input */
};

/* The files of a tree, and the output directories, which exist. */
struct tree {
    struct crypt *c;
    struct job *jobs;
    size_t count;
    char **dirs;
    size_t dir_count;
    struct file_id out_top; /* the first of the output directories */
};
/* Fills `t` and makes the output directories; no output replaces the key file or any input.
 * Returns a CRYPT_ status; prints the error. */
int crypt_collect(struct tree *t, const char *in, const char *out, const char *path);
void crypt_tree_free(struct tree *t);
/* Whether `out`, or the directory it will be made in, lies in the tree `in`. */
bool crypt_inside(const char *out, const struct stat *in);
/* strdup() that accepts NULL and never fails. */
char *crypt_copy(const char *s);

/* Decrypts or encrypts (c->encrypt) a file, or a directory on all cores. `path`: what each file is
 * or must be stored for, extended by its name within the tree; NULL when decrypting: not checked.
 */
int crypt_run(struct crypt *c, const char *in, const char *out, const char *path);

/* A new file in the directory of `path`, to take its name when complete. Where the file system can,
 * it has no name before, so that nothing is left of it when the process is killed. */
struct output {
    char *path;      /* links resolved */
    char *temporary; /* its name, or, while `nameless`, what its name begins with */
    bool nameless;
    int fd;
};
/* `input`: NULL, or a file that may not be the one replaced (-EEXIST). Both return 0 or -errno.
 * output_end() syncs and renames if `keep`, else removes; it frees in any case. */
int output_begin(struct output *o, const char *path, mode_t mode, const struct stat *input);
int output_end(struct output *o, bool keep);
/* Whether this is the name of a file that output_begin() makes. */
bool output_is_temporary(const char *name);
/* Make the names in a directory, the name of a file or directory last. */
int output_sync_dir(const char *path);
int output_sync_name(const char *path);

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The compiled manifest: what the library OS reads instead of TOML.
 *
 * One block of little-endian bytes: a fixed `struct mf_image`, then arrays of fixed records, then
 * strings. Everything is found through 32-bit offsets from the start of the block; there are no
 * pointers. The host tool writes it (compile.h); its SHA-256 field names the TOML text it was made
 * from. Keys, defaults and meanings: docs/manifest.md.
 *
 * mf_open() checks the whole block once: every offset, length, enumeration and sort order. What it
 * accepted can be read through the accessors below without further checks, so none of them can
 * fail. The block must not change afterwards: copy it out of memory that others can write first.
 *
 * Freestanding: no libc, no allocation, no global state. Errors are negative errno.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "manifest/keys.h"

#define MF_MAGIC    "ADYTONMF"
#define MF_MAX_SIZE (1u << 30) /* bytes; larger blocks are refused */
#define MF_PATH_MAX 4096       /* bytes of a path with its NUL */

#define MF_UNSET UINT64_MAX /* a number the manifest does not give */

/* `len` bytes at `off`, followed by a NUL that `len` does not count; no NUL inside. An absent
 * string has off = 0. */
struct mf_str {
    uint32_t off, len;
};

/* `count` records at `off`. */
struct mf_list {
    uint32_t off, count;
};

enum mf_argv_mode {
    MF_ARGV_NONE,     /* argv = `argv`; arguments on the command line are an error */
    MF_ARGV_LIST,     /* loader.argv: `argv`, at least one string */
    MF_ARGV_SRC_FILE, /* loader.argv_src_file: `argv_src` */
    MF_ARGV_CMDLINE,  /* loader.insecure__use_cmdline_argv: `argv`, command line */
};

enum mf_env_mode {
    MF_ENV_NONE,     /* `env` alone */
    MF_ENV_HOST,     /* loader.insecure__use_host_env, then `env` */
    MF_ENV_SRC_FILE, /* loader.env_src_file: `env_src`, then `env` */
};

enum mf_scheme {
    MF_SCHEME_NONE, /* tmpfs without a uri */
    MF_SCHEME_FILE,
    MF_SCHEME_DEV,
};

enum mf_log_level { MF_LOG_LEVELS(MF_NUMBER_OF) };
enum mf_mount_type { MF_MOUNT_TYPES(MF_NUMBER_OF) };
enum mf_file_policy { MF_POLICIES(MF_NUMBER_OF) };
enum mf_attestation { MF_ATTESTATIONS(MF_NUMBER_OF) };
enum mf_feature { MF_FEATURES(MF_NUMBER_OF) };
enum mf_profile { MF_PROFILES(MF_NUMBER_OF) };
enum mf_profile_mode { MF_PROFILE_MODES(MF_NUMBER_OF) };
enum mf_direction { MF_DIRECTIONS(MF_NUMBER_OF) };

/* loader.env.NAME. Names are unique. */
struct mf_env {
    struct mf_str name;
    struct mf_str value;  /* absent when passthrough */
    uint32_t passthrough; /* 1: take the host's value, if there is one */
    uint32_t reserved;
};

/* fs.root and fs.mounts[]. Paths are normalised (mf_path_normalise). */
struct mf_mount {
    struct mf_str path;     /* absolute, inside; "/" for the root mount only */
    struct mf_str host;     /* host path without its scheme; absent for tmpfs */
    struct mf_str key_name; /* encrypted only, else absent; "default" is filled in */
    uint32_t type;          /* enum mf_mount_type */
    uint32_t scheme;        /* enum mf_scheme */
    uint32_t recovery;      /* enable_recovery: 0 or 1 */
    uint32_t reserved;
};

/* fs.insecure__keys.NAME. */
struct mf_key {
    struct mf_str name;
    uint8_t key[16];
};

#define MF_TRUSTED_SHA256 1u /* `sha256` is valid; always set today */
#define MF_TRUSTED_TREE   2u /* `tree` is valid, and `size` is known */

/* sgx.trusted_files[], in ascending order of `path` (bytes, then length); unique. The interior of a
 * tree is found in the sidecar file by its root (tree.h). */
struct mf_trusted {
    struct mf_str path; /* normalised host path without its scheme */
    uint64_t size;      /* bytes, or MF_UNSET */
    uint8_t sha256[32];
    uint8_t tree[32]; /* root of the Merkle tree, see tree.h */
    uint32_t flags;   /* MF_TRUSTED_* */
    uint32_t reserved;
};

/* sgx.allowed_files[], in ascending order of `path`; unique. */
struct mf_allowed {
    struct mf_str path; /* normalised host path without its scheme */
};

/* sys.debug__mock_syscalls[]. */
struct mf_mock {
    struct mf_str name;
    int64_t ret;
};

/* sys.allowed_ioctls[]. */
struct mf_ioctl {
    uint64_t request;
    uint32_t layout; /* index into `ioctl_structs`, or UINT32_MAX: the argument is an integer */
    uint32_t reserved;
};

/* sys.ioctl_structs.NAME, and the nameless ones written in place behind a `ptr`: `count` fields of
 * `ioctl_fields` from `first`. */
struct mf_ioctl_struct {
    struct mf_str name; /* absent for a nameless one */
    uint32_t first, count;
};

/* A number, or the name of an earlier field that holds it. */
struct mf_ioctl_value {
    struct mf_str field; /* absent: `literal` counts */
    uint64_t literal;    /* MF_UNSET when the manifest gives neither */
};

struct mf_ioctl_field {
    struct mf_str name; /* may be absent */
    struct mf_ioctl_value size, array_len;
    struct mf_ioctl_value if_left, if_right; /* onlyif; both MF_UNSET and nameless when absent */
    uint64_t alignment;                      /* power of two, or MF_UNSET */
    uint64_t unit;                           /* bytes, 1 when not given */
    int64_t adjustment;
    uint32_t direction; /* enum mf_direction */
    uint32_t ptr;       /* index into `ioctl_structs`, or UINT32_MAX */
    uint32_t if_equal;  /* 1: `==`, 0: `!=` */
    uint32_t reserved;
};

/* The start of the block. */
struct mf_image {
    char magic[8];
    uint64_t format;     /* mf_format */
    uint64_t total_size; /* of the block, in bytes */
    uint64_t text_size;  /* of the TOML text, in bytes */
    uint8_t text_sha256[32];
    uint64_t checksum; /* mf_checksum(); mf_open() does not look at it */

    struct mf_str entrypoint; /* libos.entrypoint: absolute path inside; never absent */
    struct mf_str argv_src;   /* host path without scheme; present for MF_ARGV_SRC_FILE */
    struct mf_str env_src;    /* the same for MF_ENV_SRC_FILE */
    struct mf_str log_file;   /* host path, may be absent */
    struct mf_str start_dir;  /* absolute path inside; "/" when not given */

    struct mf_list argv;          /* struct mf_str; for MF_ARGV_NONE and MF_ARGV_CMDLINE one, the
                                   * entry point as the manifest writes it */
    struct mf_list env;           /* struct mf_env */
    struct mf_list mounts;        /* struct mf_mount, in the order of the manifest */
    struct mf_list keys;          /* struct mf_key */
    struct mf_list trusted;       /* struct mf_trusted */
    struct mf_list allowed;       /* struct mf_allowed */
    struct mf_list mocks;         /* struct mf_mock */
    struct mf_list ioctls;        /* struct mf_ioctl */
    struct mf_list ioctl_structs; /* struct mf_ioctl_struct */
    struct mf_list ioctl_fields;  /* struct mf_ioctl_field */

    struct mf_mount root; /* fs.root; chroot on "." when not given */

    uint32_t argv_mode; /* enum mf_argv_mode */
    uint32_t env_mode;  /* enum mf_env_mode */

    /* The keys with plain values: keys.h. */
#define MF_FIELD(key, field, ...) uint64_t field;
    MF_VALUES(MF_FIELD)
#undef MF_FIELD
};

/*
 * Names the format: a hash of the sources in this folder, made by the build. Whoever changes them
 * need not raise a number; what another version of the tools has compiled is compiled again.
 */
extern const uint64_t mf_format;

/* An accepted block. */
struct mf {
    const uint8_t *base;
    const struct mf_image *image;
};

/*
 * Checks the `len` bytes at `base` (8-byte aligned) and points `m` at them; the caller keeps the
 * memory as long as `m` is used. Returns 0, or
 *   -EINVAL   not a compiled manifest (magic), or `base` is not aligned
 *   -EPROTO   compiled for another version of the format: compile the text again
 *   -EBADMSG  damaged: truncated, an offset, length or value out of range, a list not sorted
 */
int mf_open(struct mf *m, const void *base, size_t len);

/* A checksum of all of the block but its own field, against damage in storage. `len` is at least
 * sizeof(struct mf_image). */
uint64_t mf_checksum(const void *block, size_t len);

/* The string, NUL-terminated; NULL when absent. It lives as long as the block. */
static inline const char *mf_string(const struct mf *m, struct mf_str s)
{
    return s.off ? (const char *)m->base + s.off : NULL;
}

/* The first record of each list; `m->image->LIST.count` of them follow. */
#define MF_ACCESSOR(name, list, type)                                      \
    static inline const type *name(const struct mf *m)                     \
    {                                                                      \
        return (const type *)(const void *)(m->base + m->image->list.off); \
    }
MF_ACCESSOR(mf_argv, argv, struct mf_str)
MF_ACCESSOR(mf_envs, env, struct mf_env)
MF_ACCESSOR(mf_mounts, mounts, struct mf_mount)
MF_ACCESSOR(mf_keys, keys, struct mf_key)
MF_ACCESSOR(mf_trusted_files, trusted, struct mf_trusted)
MF_ACCESSOR(mf_allowed_files, allowed, struct mf_allowed)
MF_ACCESSOR(mf_mocks, mocks, struct mf_mock)
MF_ACCESSOR(mf_ioctls, ioctls, struct mf_ioctl)
MF_ACCESSOR(mf_ioctl_structs, ioctl_structs, struct mf_ioctl_struct)
MF_ACCESSOR(mf_ioctl_fields, ioctl_fields, struct mf_ioctl_field)
#undef MF_ACCESSOR

/*
 * Finds the trusted file with exactly this normalised host path (`len` bytes, no NUL needed) by
 * binary search. Returns whether there is one, and sets `*entry` if so (it lives in the block).
 */
bool mf_trusted_find(const struct mf *m, const char *path, size_t len,
                     const struct mf_trusted **entry);

/*
 * Whether the normalised host path equals an entry of sgx.allowed_files or lies below one. "."
 * covers every relative path that does not climb with "..", "/" every absolute one. One binary
 * search for each component of the path.
 */
bool mf_allowed(const struct mf *m, const char *path, size_t len);
/* The length of the first part of the normalised host path, less than the whole, that is an entry
 * of sgx.allowed_files and covers it; 0: none, or "/" or "." does. */
size_t mf_allowed_folder(const struct mf *m, const char *path, size_t len);
/* Whether an entry of sgx.allowed_files is this very path. */
bool mf_allowed_named(const struct mf *m, const char *path, size_t len);

/* Whether some trusted file, or an entry of sgx.allowed_files, lies below the normalised host path.
 */
bool mf_trusted_below(const struct mf *m, const char *dir, size_t len);
bool mf_allowed_below(const struct mf *m, const char *dir, size_t len);

/*
 * Writes the normal form of the path to `out` with a NUL: "//", "/./" and "dir/.." are removed
 * textually, as is a trailing slash; symbolic links are not looked at. "/.." is "/"; leading ".."
 * of a relative path stay; what vanishes altogether is ".". `out` may be `path`. Returns the length
 * without the NUL, or -ENAMETOOLONG when it does not fit into `cap` bytes, or -EINVAL when the path
 * is empty or contains a NUL.
 */
long mf_path_normalise(const char *path, size_t len, char *out, size_t cap);

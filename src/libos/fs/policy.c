/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/policy.h"
#include "host/host.h"
#include "libos/fs/links.h"
#include "libos/log.h"
#include "libos/process.h"

enum file_class policy_classify(const char *host, const struct mf_trusted **entry)
{
    size_t len = strlen(host);
    if (mf_allowed(&run.manifest, host, len))
        return CLASS_ALLOWED;
    if (mf_trusted_find(&run.manifest, host, len, entry))
        return CLASS_TRUSTED;
    return run.manifest.image->policy == MF_POLICY_ALLOW_ALL_BUT_LOG ? CLASS_UNKNOWN_OK
                                                                     : CLASS_DENIED;
}

/* What was said about which file, as hashes: a program that tries again and again floods no log. A
 * collision costs a line; when the table is full every line is printed. */
#define SAID_SLOTS 4096u
enum saying { SAID_DENIED, SAID_UNKNOWN, SAID_TRUSTED, SAID_MOVED };
static uint64_t said[SAID_SLOTS]; /* 0: free; filled atomically */

static bool first_time(const char *host, enum saying what)
{
    uint64_t hash = 0xcbf29ce484222325 + what; /* FNV-1a */
    for (const char *p = host; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 0x100000001b3;
    hash |= 1;
    for (uint32_t i = 0; i < 16; i++) {
        uint64_t *slot = &said[((hash >> 32) + i) & (SAID_SLOTS - 1)], seen = 0;
        if (__atomic_compare_exchange_n(slot, &seen, hash, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return true;
        if (seen == hash)
            return false;
    }
    return true;
}

void policy_log_denied(const char *host)
{
    if (log_level_now < LOG_WARNING || !first_time(host, SAID_DENIED))
        return;
    log_warning("Disallowing access to file '%s': it is neither trusted nor allowed (add "
                "\"file:%s\" to sgx.trusted_files or sgx.allowed_files)",
                host, host);
}

void policy_log_unknown(const char *host)
{
    if (log_level_now < LOG_WARNING || !first_time(host, SAID_UNKNOWN))
        return;
    log_warning("Allowing access to unknown file %s due to file_check_policy settings "
                "(sgx.file_check_policy is allow_all_but_log)",
                host);
}

/* Linux looks for the folder first, and programs tell the one error from the other. A path that was
 * walked had it opened before (links.h). */
int policy_refuse(const char *host)
{
    char dir[PATH_LIMIT];
    struct stat st;
    const char *slash = strrchr(host, '/');
    fmt(dir, sizeof(dir), "%.*s", slash > host ? (int)(slash - host) : 1, slash ? host : ".");
    int err = links_walked() ? 0 : host_stat(dir, true, &st);
    if (err == -ENOENT || err == -ENOTDIR)
        return err;
    policy_log_denied(host);
    return -EACCES;
}

int policy_check_change(const char *host, bool writes, const char *what)
{
    const struct mf_trusted *entry;
    switch (policy_classify(host, &entry)) {
    case CLASS_ALLOWED:
        return 0;
    case CLASS_TRUSTED:
        if (!writes)
            return 0;
        if (first_time(host, SAID_TRUSTED))
            log_error("Disallowing to %s trusted file '%s': its content is fixed by the manifest",
                      what, host);
        return -EACCES;
    case CLASS_UNKNOWN_OK:
        policy_log_unknown(host);
        return 0;
    case CLASS_DENIED:
        break;
    }
    return policy_refuse(host);
}

/* The file that a link of this text at the host path leads to, when the policy refuses it. */
static int refused_target(const char *host, const char *target, char real[PATH_LIMIT])
{
    char dir[PATH_LIMIT];
    const struct mf_trusted *entry;
    const char *slash = strrchr(host, '/');
    fmt(dir, sizeof(dir), "%.*s", slash ? (int)(slash - host) + 1 : 1, slash ? host : ".");
    int err = target[0] == '/' ? path_normalise(target, real) : path_join(dir, target, real);
    return err ? err : policy_classify(real, &entry) == CLASS_DENIED ? -EACCES : 0;
}

/* To a later run a link at a path that the manifest names is its author's (links.h). */
static int check_link_name(const char *host)
{
    const struct mf *mf = &run.manifest;
    if (mf->image->policy == MF_POLICY_ALLOW_ALL_BUT_LOG ||
        !mf_allowed_named(mf, host, strlen(host)))
        return 0;
    if (log_level_now >= LOG_WARNING && first_time(host, SAID_MOVED))
        log_warning("Disallowing a symbolic link in place of '%s', which sgx.allowed_files names "
                    "(allow the directory that it is in)",
                    host);
    return -EACCES;
}

int policy_check_link(const char *host, const char *target)
{
    char real[PATH_LIMIT];
    if (check_link_name(host))
        return -EACCES;
    int err = refused_target(host, target, real);
    if (err == -EACCES)
        policy_log_denied(real);
    return err;
}

int policy_check_link_move(const char *from, const char *to, const char *target)
{
    char real[PATH_LIMIT];
    if (check_link_name(to))
        return -EACCES;
    if (target[0] == '/' || refused_target(from, target, real))
        return 0;
    return policy_check_link(to, target);
}

int policy_check_move(const char *from, const char *to, bool *empty)
{
    const struct mf *mf = &run.manifest;
    size_t n = strlen(from), n_to = strlen(to);
    bool from_allowed = mf_allowed(mf, from, n), to_allowed = mf_allowed(mf, to, n_to);
    *empty = false;
    if (from_allowed && to_allowed)
        return 0;
    bool mixed = mf_trusted_below(mf, from, n) || mf_trusted_below(mf, to, n_to);
    if (mf->image->policy != MF_POLICY_ALLOW_ALL_BUT_LOG) {
        mixed = mixed || from_allowed || mf_allowed_below(mf, from, n);
        *empty = true;
    }
    if (!mixed)
        return 0;
    if (log_level_now >= LOG_WARNING && first_time(from, SAID_MOVED))
        log_warning("Disallowing to rename directory '%s' to '%s': files in it are trusted or "
                    "allowed by their path, which would change (allow the directory above both)",
                    from, to);
    return -EACCES;
}

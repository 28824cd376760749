/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/policy.h"
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

void policy_log_denied(const char *host)
{
    log_warning("Disallowing access to file '%s': it is neither trusted nor allowed (add it to "
                "sgx.trusted_files or sgx.allowed_files)",
                host);
}

void policy_log_unknown(const char *host)
{
    log_warning("Allowing access to unknown file '%s' (sgx.file_check_policy is "
                "allow_all_but_log)",
                host);
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
        log_error("Disallowing to %s trusted file '%s': its content is fixed by the manifest", what,
                  host);
        return -EACCES;
    case CLASS_UNKNOWN_OK:
        policy_log_unknown(host);
        return 0;
    case CLASS_DENIED:
        break;
    }
    policy_log_denied(host);
    return -EACCES;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/insecure.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static const struct mf_insecure options[] = {
    {"sgx.debug", "debug enclave: its memory can be read and written from outside",
     "set sgx.debug = false"},
    {"loader.log_level", "the log tells the host names, arguments and results of calls",
     "set loader.log_level = \"error\""},
    {"loader.insecure__use_cmdline_argv", "the host chooses the program's arguments",
     "give them in loader.argv, or in a trusted loader.argv_src_file"},
    {"loader.insecure__use_host_env", "the host chooses the program's environment",
     "name the variables in loader.env"},
    {"loader.insecure__disable_aslr", "addresses are the same in each run",
     "leave loader.insecure__disable_aslr out"},
    {"sys.insecure__allow_eventfd", "event counters of the host are used",
     "leave sys.insecure__allow_eventfd out"},
    {"sys.experimental__enable_flock", "file locks are the host's to keep",
     "leave sys.experimental__enable_flock out"},
    {"sgx.insecure__allow_memfaults_without_exinfo", "the host says where the program faulted",
     "set sgx.use_exinfo = true instead"},
    {"sgx.file_check_policy", "files that nobody listed are used as the host gives them",
     "set sgx.file_check_policy = \"strict\""},
    {"sgx.allowed_files", "these files are used as the host gives them",
     "make them trusted or encrypted"},
    {"fs.insecure__keys", "keys of encrypted files stand in the manifest",
     "provision them after attestation, or use a sealing key"},
};

static bool in_use(const struct mf_image *im, size_t option)
{
    const bool used[] = {im->sgx_debug,
                         im->log_level > MF_LOG_ERROR,
                         im->argv_mode == MF_ARGV_CMDLINE,
                         im->env_mode == MF_ENV_HOST,
                         im->disable_aslr,
                         im->allow_eventfd,
                         im->flock,
                         im->sgx_untrusted_memfaults,
                         im->policy == MF_POLICY_ALLOW_ALL_BUT_LOG,
                         im->allowed.count,
                         im->keys.count};
    _Static_assert(COUNT(used) == COUNT(options), "one for each");
    return used[option];
}

const struct mf_insecure *mf_insecure(const struct mf_image *im, size_t n)
{
    for (size_t i = 0; i < COUNT(options); i++)
        if (in_use(im, i) && n-- == 0)
            return &options[i];
    return NULL;
}

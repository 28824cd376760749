/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The manifest's keys with plain values, and every enumeration: each stands here once. Derived from
 * these tables are the schema (schema_keys.c), the fields of the compiled form (compiled.h), their
 * values and defaults (compile.c), the check of their ranges (mf_open()), the defaults that the
 * tools write (defaults.c), and the table of docs/manifest.md (scripts/compat-table.py).
 *
 * Keys with lists, tables, strings and paths have rules in schema_keys.c and code of their own.
 */
#pragma once

/* clang-format off */

/* X(number, name): consecutive from 0. */
#define MF_LOG_LEVELS(X) \
    X(MF_LOG_NONE, "none") X(MF_LOG_ERROR, "error") X(MF_LOG_WARNING, "warning") \
    X(MF_LOG_DEBUG, "debug") X(MF_LOG_TRACE, "trace") X(MF_LOG_ALL, "all")
#define MF_MOUNT_TYPES(X) \
    X(MF_MOUNT_CHROOT, "chroot") X(MF_MOUNT_ENCRYPTED, "encrypted") X(MF_MOUNT_TMPFS, "tmpfs") \
    X(MF_MOUNT_UNTRUSTED_SHM, "untrusted_shm")
#define MF_POLICIES(X) \
    X(MF_POLICY_STRICT, "strict") X(MF_POLICY_ALLOW_ALL_BUT_LOG, "allow_all_but_log")
#define MF_ATTESTATIONS(X) X(MF_ATTEST_NONE, "none") X(MF_ATTEST_DCAP, "dcap")
#define MF_FEATURES(X) \
    X(MF_FEATURE_UNSPECIFIED, "unspecified") X(MF_FEATURE_DISABLED, "disabled") \
    X(MF_FEATURE_REQUIRED, "required")
#define MF_PROFILES(X) \
    X(MF_PROFILE_NONE, "none") X(MF_PROFILE_MAIN, "main") X(MF_PROFILE_ALL, "all")
#define MF_PROFILE_MODES(X) \
    X(MF_PROFILE_AEX, "aex") X(MF_PROFILE_OCALL_INNER, "ocall_inner") \
    X(MF_PROFILE_OCALL_OUTER, "ocall_outer")
#define MF_DIRECTIONS(X) /* of an ioctl's argument: out is from the application to the host */ \
    X(MF_DIR_NONE, "none") X(MF_DIR_OUT, "out") X(MF_DIR_IN, "in") X(MF_DIR_INOUT, "inout")

#define MF_NUMBER_OF(number, name) number,
#define MF_NAME_OF(number, name)   name "|"
#define MF_NAMES(enumeration)      enumeration(MF_NAME_OF)

/*
 * X(key, field, kind, least, most, otherwise, names). `field` of struct mf_image holds the value as
 * a number: 0 or 1, bytes for a size, the number of an enumeration's name. `least` and `most`
 * belong to the range; `otherwise` is the default, which may lie outside (MF_UNSET: not given).
 */
#define MF_VALUES(X) \
    X("libos.check_invalid_pointers", check_invalid_pointers, K_BOOLEAN, 0, 1, 1, NULL) \
    X("libos.sync.enable", sync_enable, K_BOOLEAN, 0, 1, 0, NULL) \
    X("loader.insecure__disable_aslr", disable_aslr, K_BOOLEAN, 0, 1, 0, NULL) \
    X("loader.log_level", log_level, K_ENUM, 0, MF_LOG_ALL, MF_LOG_ERROR, MF_NAMES(MF_LOG_LEVELS)) \
    X("loader.uid", uid, K_INTEGER, 0, UINT32_MAX, 0, NULL) \
    X("loader.gid", gid, K_INTEGER, 0, UINT32_MAX, 0, NULL) \
    X("fs.encrypted_cache_size", encrypted_cache, K_SIZE, 0, INT64_MAX, 32 << 20, NULL) \
    X("sys.stack.size", stack_size, K_SIZE, 0, INT64_MAX, 8 << 20, NULL) \
    X("sys.brk.max_size", brk_max_size, K_SIZE, 0, INT64_MAX, 1 << 30, NULL) \
    X("sys.fds.limit", fds_limit, K_INTEGER, 1, 65536, 900, NULL) \
    X("sys.enable_sigterm_injection", sigterm_injection, K_BOOLEAN, 0, 1, 0, NULL) \
    X("sys.enable_extra_runtime_domain_names_conf", runtime_domain_names, K_BOOLEAN, 0, 1, 0, NULL) \
    X("sys.disallow_subprocesses", disallow_subprocesses, K_BOOLEAN, 0, 1, 0, NULL) \
    X("sys.insecure__allow_eventfd", allow_eventfd, K_BOOLEAN, 0, 1, 0, NULL) \
    X("sys.experimental__enable_flock", flock, K_BOOLEAN, 0, 1, 0, NULL) \
    X("sgx.file_check_policy", policy, K_ENUM, 0, MF_POLICY_ALLOW_ALL_BUT_LOG, MF_POLICY_STRICT, MF_NAMES(MF_POLICIES)) \
    X("sgx.enclave_size", sgx_enclave_size, K_SIZE, 0, INT64_MAX, MF_UNSET, NULL) \
    X("sgx.max_threads", sgx_max_threads, K_INTEGER, 1, 4096, 4, NULL) \
    X("sgx.edmm_enable", sgx_edmm, K_BOOLEAN, 0, 1, 0, NULL) \
    X("sgx.preheat_enclave", sgx_preheat, K_BOOLEAN, 0, 1, 0, NULL) \
    X("sgx.debug", sgx_debug, K_BOOLEAN, 0, 1, 0, NULL) \
    X("sgx.isvprodid", sgx_isv_prod_id, K_INTEGER, 0, 65535, 0, NULL) \
    X("sgx.isvsvn", sgx_isv_svn, K_INTEGER, 0, 65535, 0, NULL) \
    X("sgx.remote_attestation", sgx_attestation, K_ENUM, 0, MF_ATTEST_DCAP, MF_ATTEST_NONE, MF_NAMES(MF_ATTESTATIONS)) \
    X("sgx.use_exinfo", sgx_use_exinfo, K_BOOLEAN, 0, 1, 1, NULL) \
    X("sgx.insecure__allow_memfaults_without_exinfo", sgx_untrusted_memfaults, K_BOOLEAN, 0, 1, 0, NULL) \
    X("sgx.insecure__rpc_thread_num", sgx_rpc_threads, K_INTEGER, 0, 256, 0, NULL) \
    X("sgx.cpu_features.avx", sgx_avx, K_ENUM, 0, MF_FEATURE_REQUIRED, MF_FEATURE_UNSPECIFIED, MF_NAMES(MF_FEATURES)) \
    X("sgx.cpu_features.avx512", sgx_avx512, K_ENUM, 0, MF_FEATURE_REQUIRED, MF_FEATURE_UNSPECIFIED, MF_NAMES(MF_FEATURES)) \
    X("sgx.cpu_features.amx", sgx_amx, K_ENUM, 0, MF_FEATURE_REQUIRED, MF_FEATURE_UNSPECIFIED, MF_NAMES(MF_FEATURES)) \
    X("sgx.cpu_features.mpx", sgx_mpx, K_ENUM, MF_FEATURE_DISABLED, MF_FEATURE_REQUIRED, MF_FEATURE_DISABLED, MF_NAMES(MF_FEATURES)) \
    X("sgx.cpu_features.pkru", sgx_pkru, K_ENUM, MF_FEATURE_DISABLED, MF_FEATURE_REQUIRED, MF_FEATURE_DISABLED, MF_NAMES(MF_FEATURES)) \
    X("sgx.seal_key.flags_mask", sgx_seal_flags_mask, K_MASK, 0, UINT64_MAX, UINT64_MAX, NULL) \
    X("sgx.seal_key.xfrm_mask", sgx_seal_xfrm_mask, K_MASK, 0, UINT64_MAX, 0xfffffffffff9ff1b, NULL) \
    X("sgx.seal_key.misc_mask", sgx_seal_misc_mask, K_MASK, 0, UINT32_MAX, UINT32_MAX, NULL) \
    X("sgx.enable_stats", sgx_enable_stats, K_BOOLEAN, 0, 1, 0, NULL) \
    X("sgx.profile.enable", sgx_profile, K_ENUM, 0, MF_PROFILE_ALL, MF_PROFILE_NONE, MF_NAMES(MF_PROFILES)) \
    X("sgx.profile.mode", sgx_profile_mode, K_ENUM, 0, MF_PROFILE_OCALL_OUTER, MF_PROFILE_AEX, MF_NAMES(MF_PROFILE_MODES)) \
    X("sgx.profile.with_stack", sgx_profile_with_stack, K_BOOLEAN, 0, 1, 0, NULL) \
    X("sgx.profile.frequency", sgx_profile_frequency, K_INTEGER, 1, 250, 50, NULL) \
    X("sgx.vtune_profile", sgx_vtune, K_BOOLEAN, 0, 1, 0, NULL)

/* clang-format on */

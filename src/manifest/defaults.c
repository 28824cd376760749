/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/defaults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manifest/hashing.h"
#include "manifest/schema_int.h"
#include "manifest/value.h"

static void add(struct dom *table, struct dom *value)
{
    if (!dom_child(table, value->key))
        dom_append(table, value);
}

/* The keys that are written in any case, with the defaults of keys.h. */
static const char *const written[] = {
    "sgx.max_threads",
    "sgx.isvprodid",
    "sgx.isvsvn",
    "sgx.debug",
    "sgx.remote_attestation",
    "sgx.enable_stats",
    "sgx.edmm_enable",
    "sgx.use_exinfo",
    "sgx.cpu_features.avx",
    "sgx.cpu_features.avx512",
    "sgx.cpu_features.amx",
    "sgx.cpu_features.mpx",
    "sgx.cpu_features.pkru",
};

static void add_default(struct arena *a, struct dom *root, const char *key)
{
    const struct rule *rule = rule_of(key);
    const char *name = strrchr(key, '.') + 1, *text = rule->names;
    struct dom *table = dom_make_table(a, root, arena_copy(a, key, (size_t)(name - 1 - key)));
    if (rule->kind == K_ENUM) {
        for (uint64_t i = 0; i < rule->otherwise; i++)
            text = strchr(text, '|') + 1;
        add(table, dom_new_string(a, name, arena_copy(a, text, strcspn(text, "|"))));
    } else if (rule->kind == K_BOOLEAN) {
        add(table, dom_new_boolean(a, name, rule->otherwise));
    } else {
        add(table, dom_new_integer(a, name, (int64_t)rule->otherwise));
    }
}

static bool hash_entrypoint(struct arena *a, struct dom *table, const char *libos,
                            const char *chroot, struct diag *d)
{
    struct dom *uri = dom_child(table, "uri");
    bool installed = !uri || !strcmp(uri_file(uri->text), libos);
    if (!uri)
        dom_append(table, dom_new_string(a, "uri", arena_printf(a, "file:%s", libos)));
    if (dom_child(table, "sha256"))
        return true;
    struct hash_job job = {.path = uri_file(dom_string(table, "uri"))};
    int dir = !chroot || installed ? AT_FDCWD : open(chroot, O_PATH | O_DIRECTORY | O_CLOEXEC);
    hash_files(&job, 1, dir, dir != AT_FDCWD, false);
    if (dir >= 0)
        close(dir);
    if (job.error && installed) {
        diag_warning(d, 0, "the library OS '%s' is not installed: %s; its hash is left out", libos,
                     strerror(-job.error));
        return true;
    }
    if (job.error) {
        diag_error(d, uri ? uri->line : 0,
                   "cannot read the library OS '%s' (loader.entrypoint): %s", job.path,
                   strerror(-job.error));
        return false;
    }
    char hex[65];
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = "0123456789abcdef"[job.sha256[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[job.sha256[i] & 15];
    }
    hex[64] = '\0';
    dom_append(table, dom_new_string(a, "sha256", hex));
    return true;
}

bool manifest_defaults(struct arena *a, struct dom *root, const char *libos, const char *chroot,
                       struct diag *d)
{
    struct dom *sgx = dom_make_table(a, root, "sgx");
    const struct dom *cpu = dom_make_table(a, root, "sgx.cpu_features");
    struct dom *entry = dom_make_table(a, root, "loader.entrypoint");
    if (!sgx || !cpu || !entry) {
        diag_error(d, 0, "'sgx', 'sgx.cpu_features' and 'loader.entrypoint' must be TOML tables");
        return false;
    }
    for (size_t i = 0; i < sizeof(written) / sizeof(*written); i++)
        add_default(a, root, written[i]);
    bool edmm = dom_is_true(root, "sgx.edmm_enable");
    add(sgx, dom_new_string(a, "enclave_size", edmm ? "1024G" : "256M"));
    return hash_entrypoint(a, entry, libos, chroot, d);
}

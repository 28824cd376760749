/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "manifest/defaults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "manifest/hashing.h"
#include "manifest/value.h"

static void add(struct dom *table, struct dom *value)
{
    if (!dom_child(table, value->key))
        dom_append(table, value);
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
    struct dom *cpu = dom_make_table(a, root, "sgx.cpu_features");
    struct dom *entry = dom_make_table(a, root, "loader.entrypoint");
    if (!sgx || !cpu || !entry) {
        diag_error(d, 0, "'sgx', 'sgx.cpu_features' and 'loader.entrypoint' must be TOML tables");
        return false;
    }
    add(sgx, dom_new_integer(a, "max_threads", 4));
    add(sgx, dom_new_integer(a, "isvprodid", 0));
    add(sgx, dom_new_integer(a, "isvsvn", 0));
    add(sgx, dom_new_string(a, "remote_attestation", "none"));
    add(sgx, dom_new_boolean(a, "debug", false));
    add(sgx, dom_new_boolean(a, "enable_stats", false));
    add(sgx, dom_new_boolean(a, "edmm_enable", false));
    bool edmm = dom_is_true(root, "sgx.edmm_enable");
    add(sgx, dom_new_string(a, "enclave_size", edmm ? "1024G" : "256M"));
    /* On by default: page faults can only be trusted with it. */
    add(sgx, dom_new_boolean(a, "use_exinfo", true));
    static const char *const features[] = {"avx", "avx512", "amx", "mpx", "pkru"};
    for (int i = 0; i < 5; i++)
        add(cpu, dom_new_string(a, features[i], i < 3 ? "unspecified" : "disabled"));
    return hash_entrypoint(a, entry, libos, chroot, d);
}

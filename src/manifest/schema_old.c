/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Spellings of earlier years, turned into today's. */
#include "manifest/schema_int.h"

#include <string.h>

#include "manifest/value.h"

struct old {
    struct arena *arena;
    struct dom *root;
    struct diag *diag;
};

enum fate {
    RENAMED, /* `now` is the new key, the value stays */
    USELESS, /* ignored; `now` says why */
    DEAD,    /* an error; `now` is the remedy */
};

static const struct {
    const char *key;
    enum fate fate;
    const char *now;
} old_keys[] = {
    {"sgx.thread_num", RENAMED, "sgx.max_threads"},
    {"sgx.rpc_thread_num", RENAMED, "sgx.insecure__rpc_thread_num"},
    {"sgx.insecure__protected_files_key", RENAMED, "fs.insecure__keys.default"},
    {"sgx.protected_files_key", RENAMED, "fs.insecure__keys.default"},
    {"loader.debug_file", RENAMED, "loader.log_file"},
    {"sys.brk.size", RENAMED, "sys.brk.max_size"},
    {"sgx.enable_sigterm_injection", RENAMED, "sys.enable_sigterm_injection"},
    {"sgx.insecure__allow_eventfd", RENAMED, "sys.insecure__allow_eventfd"},
    {"libos.enable_sigterm_injection", RENAMED, "sys.enable_sigterm_injection"},
    {"sgx.require_exinfo", RENAMED, "sgx.use_exinfo"},
    {"sgx.support_exinfo", RENAMED, "sgx.use_exinfo"},
    {"sgx.nonpie_binary", USELESS, "programs at fixed addresses always work"},
    {"loader.preload", USELESS, "the library OS is built in"},
    {"libos.syscall_symbol", USELESS, "unmodified C libraries are used"},
    {"loader.syscall_symbol", USELESS, "unmodified C libraries are used"},
    {"loader.pal_internal_mem_size", USELESS, "the library OS takes the memory that it needs"},
    {"fs.experimental__enable_sysfs_topology", USELESS, "/sys always shows the topology"},
    {"sgx.static_address", USELESS, "programs at fixed addresses always work"},
    {"sgx.zero_heap_on_demand", USELESS, "memory is always zero when it is first used"},
    {"sgx.allow_file_creation", USELESS,
     "programs create files where sgx.allowed_files or an encrypted mount allows it"},
    {"sgx.trusted_children", USELESS, "child processes run from the same manifest"},
    {"net", USELESS, "there are no rules for addresses"},
    {"sgx.sigfile", DEAD,
     "it is no longer supported; the signature is found beside the manifest as NAME.sig"},
    {"loader.exec", DEAD,
     "it is no longer supported; write libos.entrypoint = \"/path/of/the/program/inside\""},
    {"loader.execname", DEAD,
     "it is no longer supported; write libos.entrypoint = \"/path/of/the/program/inside\""},
    {"sgx.protected_files", DEAD,
     "use an encrypted mount: fs.mounts = [{ type = \"encrypted\", path = \"/inside\", uri = "
     "\"file:outside\" }]"},
    {"sgx.protected_mrenclave_files", DEAD,
     "use an encrypted mount: fs.mounts = [{ type = \"encrypted\", path = \"/inside\", uri = "
     "\"file:outside\", key_name = \"_sgx_mrenclave\" }]"},
    {"sgx.protected_mrsigner_files", DEAD,
     "use an encrypted mount: fs.mounts = [{ type = \"encrypted\", path = \"/inside\", uri = "
     "\"file:outside\", key_name = \"_sgx_mrsigner\" }]"},
    {"sgx.trusted_checksum", DEAD,
     "write sgx.trusted_files = [{ uri = \"file:...\", sha256 = \"...\" }]"},
};

/* Puts `n` at the dotted path `to`; false when something is there already. */
static bool move_to(struct old *o, struct dom *n, const char *to)
{
    const char *dot = strrchr(to, '.');
    struct dom *table =
        dom_make_table(o->arena, o->root, arena_copy(o->arena, to, (size_t)(dot - to)));
    if (!table || dom_child(table, dot + 1)) {
        diag_error(o->diag, n->line,
                   "'%s' is an old spelling of '%s', which is also given; remove it",
                   dom_name(o->arena, n), to);
        dom_remove(n);
        return false;
    }
    dom_remove(n);
    n->key = arena_copy(o->arena, dot + 1, strlen(dot + 1));
    dom_append(table, n);
    return true;
}

static void plain_keys(struct old *o)
{
    for (size_t i = 0; i < sizeof(old_keys) / sizeof(*old_keys); i++) {
        struct dom *n = dom_get(o->root, old_keys[i].key);
        if (!n)
            continue;
        if (old_keys[i].fate == DEAD) {
            diag_error(o->diag, n->line, "'%s': %s", old_keys[i].key, old_keys[i].now);
            dom_remove(n);
        } else if (old_keys[i].fate == USELESS) {
            diag_warning(o->diag, n->line, "'%s' is ignored, remove it: %s", old_keys[i].key,
                         old_keys[i].now);
            dom_remove(n);
        } else if (move_to(o, n, old_keys[i].now)) {
            diag_warning(o->diag, n->line, "'%s' is an old spelling; write '%s'", old_keys[i].key,
                         old_keys[i].now);
        }
    }
}

/* loader.entrypoint = "file:..." -> loader.entrypoint.uri */
static void entrypoint_string(struct old *o)
{
    struct dom *n = dom_get(o->root, "loader.entrypoint");
    if (!n || n->type != DOM_STRING)
        return;
    diag_warning(
        o->diag, n->line,
        "'loader.entrypoint' as a string is an old spelling; write loader.entrypoint.uri = "
        "\"%s\"",
        n->text);
    struct dom *loader = n->parent, *table = dom_new(o->arena, DOM_TABLE, "entrypoint");
    table->line = n->line;
    dom_remove(n);
    n->key = "uri";
    dom_append(table, n);
    dom_append(loader, table);
}

/* loader.argv0_override = "x" -> loader.argv = ["x"], unless arguments come from elsewhere. */
static void argv0(struct old *o)
{
    struct dom *n = dom_get(o->root, "loader.argv0_override");
    if (!n)
        return;
    bool alone = !dom_get(o->root, "loader.argv") && !dom_get(o->root, "loader.argv_src_file") &&
                 !dom_is_true(o->root, "loader.insecure__use_cmdline_argv");
    if (n->type == DOM_STRING && alone) {
        diag_warning(o->diag, n->line,
                     "'loader.argv0_override' is an old spelling; write loader.argv = [\"%s\"]",
                     n->text);
        struct dom *loader = n->parent, *list = dom_new(o->arena, DOM_ARRAY, "argv");
        list->line = n->line;
        dom_remove(n);
        n->key = NULL;
        dom_append(list, n);
        dom_append(loader, list);
        return;
    }
    diag_error(o->diag, n->line,
               "'loader.argv0_override': it is no longer supported; write loader.argv = [\"%s\", "
               "...], or remove it: with loader.insecure__use_cmdline_argv argv[0] is "
               "libos.entrypoint",
               n->type == DOM_STRING ? n->text : "NAME");
    dom_remove(n);
}

/* loader.debug_type = "inline" -> loader.log_level = "debug" */
static void debug_type(struct old *o)
{
    struct dom *n = dom_get(o->root, "loader.debug_type");
    if (!n)
        return;
    const char *level = n->type == DOM_STRING && !strcmp(n->text, "none") ? "error" : "debug";
    if (!move_to(o, n, "loader.log_level"))
        return;
    n->type = DOM_STRING;
    n->text = level;
    n->len = strlen(level);
    diag_warning(o->diag, n->line,
                 "'loader.debug_type' is an old spelling; write loader.log_level = \"%s\"", level);
}

/* sgx.require_avx = true -> sgx.cpu_features.avx = "required" */
static void cpu_features(struct old *o)
{
    static const char *const names[] = {"avx", "avx512", "amx", "mpx", "pkru"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct dom *n = dom_get(o->root, arena_printf(o->arena, "sgx.require_%s", names[i]));
        if (!n)
            continue;
        if (n->type != DOM_BOOLEAN) {
            diag_error(o->diag, n->line,
                       "Cannot parse 'sgx.require_%s': write sgx.cpu_features.%s = "
                       "\"required\"",
                       names[i], names[i]);
            dom_remove(n);
            continue;
        }
        bool hardened = i >= 3;
        const char *value = n->boolean ? "required" : hardened ? "disabled" : "unspecified";
        const char *to = arena_printf(o->arena, "sgx.cpu_features.%s", names[i]);
        if (!move_to(o, n, to))
            continue;
        n->type = DOM_STRING;
        n->text = value;
        n->len = strlen(value);
        diag_warning(o->diag, n->line, "'sgx.require_%s' is an old spelling; write %s = \"%s\"",
                     names[i], to, value);
    }
}

/* EPID's parameters, and sgx.remote_attestation as a boolean. */
static void attestation(struct old *o)
{
    struct dom *spid = dom_get(o->root, "sgx.ra_client_spid");
    struct dom *link = dom_get(o->root, "sgx.ra_client_linkable");
    struct dom *n = dom_get(o->root, "sgx.remote_attestation");
    if (spid && spid->type == DOM_STRING && spid->len) {
        diag_error(o->diag, spid->line,
                   "'sgx.ra_client_spid': EPID attestation no longer exists; remove it and write "
                   "sgx.remote_attestation = \"dcap\"");
        dom_remove(spid);
        return;
    }
    struct dom *gone[] = {spid, link};
    for (int i = 0; i < 2; i++) {
        if (!gone[i])
            continue;
        diag_warning(o->diag, gone[i]->line, "'%s' is ignored, remove it: it belonged to EPID",
                     dom_name(o->arena, gone[i]));
        dom_remove(gone[i]);
    }
    if (n && n->type == DOM_STRING && !strcmp(n->text, "epid")) {
        diag_error(o->diag, n->line,
                   "Cannot parse 'sgx.remote_attestation': EPID attestation no longer exists; use "
                   "\"dcap\"");
        dom_remove(n);
    } else if (n && n->type == DOM_BOOLEAN) {
        n->type = DOM_STRING;
        n->text = n->boolean ? "dcap" : "none";
        n->len = 4;
        diag_warning(o->diag, n->line,
                     "'sgx.remote_attestation' as a boolean is an old spelling; write \"%s\"",
                     n->text);
    }
}

/* sgx.trusted_files.NAME = "file:..." -> an array */
static void file_tables(struct old *o)
{
    static const char *const lists[] = {"sgx.trusted_files", "sgx.allowed_files"};
    for (int i = 0; i < 2; i++) {
        struct dom *n = dom_get(o->root, lists[i]);
        if (!n || n->type != DOM_TABLE)
            continue;
        diag_warning(o->diag, n->line,
                     "'%s' as a table is an old spelling; write %s = [ \"file:...\" ]", lists[i],
                     lists[i]);
        n->type = DOM_ARRAY;
        for (struct dom *e = n->first; e; e = e->next)
            e->key = NULL;
    }
}

static void old_mount(struct old *o, struct dom *m, const char *name)
{
    struct dom *fs = dom_child(o->root, "fs"), *mounts = dom_child(fs, "mounts");
    if (m->type != DOM_TABLE) {
        diag_error(o->diag, m->line,
                   "'fs.mount.%s' is not a TOML table; write fs.mounts = [ { path = "
                   "..., uri = ... } ]",
                   name);
        return;
    }
    struct dom *path = dom_child(m, "path");
    if (path && path->type == DOM_STRING && !strcmp(path->text, "/") && !dom_child(fs, "root")) {
        dom_remove(path);
        m->key = "root";
        dom_append(fs, m);
        diag_warning(o->diag, m->line,
                     "'fs.mount.%s' is an old spelling; write fs.root = { uri = ... }", name);
        return;
    }
    if (!mounts) {
        mounts = dom_new(o->arena, DOM_ARRAY, "mounts");
        mounts->line = m->line;
        dom_append(fs, mounts);
    }
    if (mounts->type != DOM_ARRAY)
        return;
    m->key = NULL;
    dom_append(mounts, m);
    diag_warning(o->diag, m->line,
                 "'fs.mount.%s' is an old spelling; write fs.mounts = [ { path = \"%s\", uri = "
                 "\"%s\" } ]",
                 name, path && path->type == DOM_STRING ? path->text : "...",
                 dom_string(m, "uri") ? dom_string(m, "uri") : "...");
}

/* fs.mount.NAME.{type,path,uri} -> fs.mounts[] in their order; fs.mount.root -> fs.root */
static void mount_tables(struct old *o)
{
    struct dom *table = dom_get(o->root, "fs.mount");
    if (!table || table->type != DOM_TABLE)
        return;
    dom_remove(table);
    while (table->first) {
        struct dom *m = table->first;
        const char *name = m->key;
        dom_remove(m);
        old_mount(o, m, name);
    }
}

bool schema_modernise(struct arena *a, struct dom *root, struct diag *d)
{
    unsigned before = d->error_count;
    struct old o = {.arena = a, .root = root, .diag = d};
    plain_keys(&o);
    argv0(&o);
    debug_type(&o);
    entrypoint_string(&o);
    cpu_features(&o);
    attestation(&o);
    file_tables(&o);
    mount_tables(&o);
    return d->error_count == before;
}

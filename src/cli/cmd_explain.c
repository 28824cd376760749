/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton explain: what a manifest trusts, allows, encrypts and gives up, and why each matters. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/manifest_text.h"
#include "cli/tools.h"
#include "manifest/schema.h"
#include "manifest/toml.h"
#include "manifest/value.h"

enum section { INSECURE, ALLOWED, ENCRYPTED, TRUSTED, MOUNTED, SIZES, UNUSED, SECTIONS };

static const struct {
    const char *name, *title;
} sections[] = {
    [INSECURE] = {"insecure", "Insecure: what an attacker on the host may use"},
    [ALLOWED] = {"allowed", "Allowed: files that the host can read and change unnoticed"},
    [ENCRYPTED] = {"encrypted", "Encrypted: files that only a holder of the key reads or changes"},
    [TRUSTED] = {"trusted",
                 "Trusted: files whose content the manifest fixes; anybody may read them"},
    [MOUNTED] = {"mounts",
                 "Mounts: what of the host is visible; names and sizes are the host's word"},
    [SIZES] = {"sizes", "Sizes and program"},
    [UNUSED] = {"unused", "Trusted, but not used in the trace"},
};

struct item {
    struct item *next;
    enum section section;
    const struct dom *at; /* NULL: a default */
    const char *what, *why;
};

struct report {
    struct arena arena;
    struct item *first[SECTIONS], *last[SECTIONS];
    size_t count[SECTIONS];
    uint64_t trusted_bytes; /* of those files whose size the manifest tells */
};

static void add(struct report *r, enum section section, const struct dom *at, const char *what,
                const char *why)
{
    struct item *item = arena_alloc(&r->arena, sizeof(*item));
    *item = (struct item){.section = section, .at = at, .what = what, .why = why};
    if (r->last[section])
        r->last[section]->next = item;
    else
        r->first[section] = item;
    r->last[section] = item;
    r->count[section]++;
}

static const char *quoted(struct report *r, const char *text)
{
    struct buffer out = {0};
    text_quote(&out, text);
    const char *copy = arena_copy(&r->arena, out.data, out.len);
    buffer_free(&out);
    return copy;
}

static unsigned line_of(const struct item *item)
{
    return item->at ? item->at->line : 0;
}

/* --- insecure options ----------------------------------------------------------------------- */

static bool is_verbose(const struct dom *n)
{
    return n->type == DOM_STRING && strcmp(n->text, "none") != 0 && strcmp(n->text, "error") != 0;
}

static bool is_true(const struct dom *n)
{
    return n->type == DOM_BOOLEAN && n->boolean;
}

static bool is_positive(const struct dom *n)
{
    return n->type == DOM_INTEGER && n->integer > 0;
}

static bool is_lax(const struct dom *n)
{
    return n->type == DOM_STRING && !strcmp(n->text, "allow_all_but_log");
}

static bool has_entries(const struct dom *n)
{
    return n->count > 0;
}

static const struct {
    const char *key;
    bool (*test)(const struct dom *n);
    const char *why;
} insecure[] = {
    {"sgx.debug", is_true, "a debug enclave: the host reads and writes its memory"},
    {"sgx.file_check_policy", is_lax,
     "files that are neither trusted nor allowed are used all the same, whatever the host puts in "
     "them"},
    {"loader.insecure__use_cmdline_argv", is_true, "the host chooses the arguments of the program"},
    {"loader.insecure__use_host_env", is_true,
     "the host chooses the environment: LD_PRELOAD and the like decide what code runs"},
    {"loader.insecure__disable_aslr", is_true, "addresses are known to an attacker beforehand"},
    {"loader.log_level", is_verbose, "the log tells the host what the program does"},
    {"fs.insecure__keys", has_entries,
     "the keys of encrypted files stand in the manifest, which anybody reads"},
    {"sys.insecure__allow_eventfd", is_true, "the host can forge wake-ups between processes"},
    {"sys.experimental__enable_flock", is_true, "locks between processes are in the host's hands"},
    {"sgx.insecure__allow_memfaults_without_exinfo", is_true,
     "the host chooses the addresses of memory faults"},
    {"sgx.insecure__rpc_thread_num", is_positive,
     "threads outside see when which system call is made"},
    {"sys.debug__mock_syscalls", has_entries,
     "system calls return what the manifest says, not what they should"},
    {"sys.allowed_ioctls", has_entries,
     "devices of the host read from and write to the program's memory"},
};

static void explain_insecure(struct report *r, const struct dom *root)
{
    for (size_t i = 0; i < sizeof(insecure) / sizeof(*insecure); i++) {
        const struct dom *n = dom_get(root, insecure[i].key);
        if (n && insecure[i].test(n))
            add(r, INSECURE, n->line || !n->first ? n : n->first, insecure[i].key, insecure[i].why);
    }
    const struct dom *env = dom_get(root, "loader.env");
    for (const struct dom *n = env ? env->first : NULL; n; n = n->next) {
        if (dom_is_true(n, "passthrough"))
            add(r, INSECURE, n, arena_printf(&r->arena, "loader.env.%s", quoted(r, n->key)),
                "the host chooses the value of this variable");
    }
}

/* --- files ---------------------------------------------------------------------------------- */

static const char *uri_of(const struct dom *n)
{
    return n->type == DOM_STRING ? n->text : dom_string(n, "uri");
}

static void explain_trusted(struct report *r, const struct dom *root)
{
    const struct dom *list = dom_get(root, "sgx.trusted_files");
    for (const struct dom *n = list ? list->first : NULL; n; n = n->next) {
        const char *uri = uri_of(n), *why = "its content is checked at each use";
        const struct dom *size = dom_child(n, "size");
        if (!uri)
            continue;
        if (size && size->type == DOM_INTEGER && size->integer > 0)
            r->trusted_bytes += (uint64_t)size->integer;
        if (!dom_string(n, "sha256"))
            why = "not hashed yet: gramine-manifest fixes its content as it finds it";
        add(r, TRUSTED, n, quoted(r, uri), why);
    }
}

static void explain_allowed(struct report *r, const struct dom *root)
{
    const struct dom *list = dom_get(root, "sgx.allowed_files");
    for (const struct dom *n = list ? list->first : NULL; n; n = n->next) {
        if (uri_of(n))
            add(r, ALLOWED, n, quoted(r, uri_of(n)),
                "what is read from it is the host's word, what is written the host reads; a "
                "folder: all below");
    }
}

static const char *key_source(struct report *r, const struct dom *root, const char *name)
{
    const struct dom *keys = dom_get(root, "fs.insecure__keys");
    if (dom_child(keys, name))
        return arena_printf(&r->arena, "INSECURE: its key %s stands in this manifest",
                            quoted(r, name));
    if (!strcmp(name, "_sgx_mrenclave"))
        return "its key is this very enclave's, on this machine: another manifest cannot read it";
    if (!strcmp(name, "_sgx_mrsigner"))
        return "its key is that of all enclaves of this signer, on this machine";
    return arena_printf(&r->arena, "its key %s must be provided at run time, after attestation",
                        quoted(r, name));
}

static void explain_mount(struct report *r, const struct dom *root, const struct dom *n)
{
    const char *path = dom_string(n, "path"), *type = dom_string(n, "type"),
               *uri = dom_string(n, "uri");
    const char *what = quoted(r, path ? path : "/");
    if (uri)
        what = arena_printf(&r->arena, "%s from %s", what, quoted(r, uri));
    if (type && !strcmp(type, "tmpfs")) {
        add(r, MOUNTED, n, what, "tmpfs: in memory, gone at the end");
    } else if (type && !strcmp(type, "encrypted")) {
        const char *name = dom_string(n, "key_name");
        add(r, ENCRYPTED, n, what, key_source(r, root, name ? name : "default"));
    } else if (type && !strcmp(type, "untrusted_shm")) {
        add(r, INSECURE, n, what,
            "memory shared with the host, which reads and changes it at any time");
    } else {
        add(r, MOUNTED, n, what, "of its files, those can be opened that are trusted or allowed");
    }
}

static void explain_mounts(struct report *r, const struct dom *root)
{
    const struct dom *top = dom_get(root, "fs.root"), *list = dom_get(root, "fs.mounts");
    if (top)
        explain_mount(r, root, top);
    else
        add(r, MOUNTED, NULL, "\"/\" from \"file:.\"",
            "the default of fs.root: the folder of the start");
    for (const struct dom *n = list ? list->first : NULL; n; n = n->next)
        explain_mount(r, root, n);
}

static void explain_sizes(struct report *r, const struct dom *root)
{
    static const struct {
        const char *key, *why;
    } keys[] = {
        {"libos.entrypoint", "the program that is started"},
        {"sgx.enclave_size", "all memory of a process, fixed when it starts"},
        {"sgx.max_threads", "threads at once, a few helpers included"},
        {"sys.stack.size", "the first thread's stack, and what others get by default"},
        {"sys.brk.max_size", "the most that brk gives; malloc goes on with mmap"},
        {"sgx.remote_attestation", "whether a quote can prove to others what runs"},
        {"sgx.isvprodid", "the product, for sealing keys and verifiers"},
        {"sgx.isvsvn", "the security version: verifiers refuse older ones"},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        const struct dom *n = dom_get(root, keys[i].key);
        if (!n || (n->type != DOM_STRING && n->type != DOM_INTEGER))
            continue;
        const char *value = n->type == DOM_STRING ? quoted(r, n->text)
                                                  : arena_printf(&r->arena, "%" PRId64, n->integer);
        add(r, SIZES, n, arena_printf(&r->arena, "%s = %s", keys[i].key, value), keys[i].why);
    }
}

/* Trusted files that a record of adyton trace does not name. False after a message. */
static bool explain_unused(struct report *r, const char *command, const char *path)
{
    json_error_t error;
    json_t *top = json_load_file(path, 0, &error), *files = json_object_get(top, "files");
    for (const struct item *item = r->first[TRUSTED]; item && files; item = item->next) {
        if (uri_file(uri_of(item->at)) && !json_object_get(files, uri_file(uri_of(item->at))))
            add(r, UNUSED, item->at, item->what, "what need not be trusted should not be");
    }
    if (!files)
        fprintf(stderr, "error: %s: '%s' is no record of adyton trace: %s\n", command, path,
                top ? "it names no files" : error.text);
    bool ok = files != NULL;
    json_decref(top);
    return ok;
}

/* --- output --------------------------------------------------------------------------------- */

static size_t folder_length(const char *what)
{
    const char *slash = strrchr(what, '/');
    return slash ? (size_t)(slash - what) : strlen(what);
}

/* Files are many: one line for each folder's, where they follow each other. */
static void print_files(const struct item *item)
{
    while (item) {
        const struct item *last = item;
        size_t len = folder_length(item->what), count = 1;
        while (last->next && folder_length(last->next->what) == len &&
               !strncmp(last->next->what, item->what, len)) {
            last = last->next;
            count++;
        }
        if (count == 1)
            printf("  line %u: %s\n", line_of(item), item->what);
        else
            printf("  lines %u to %u: %zu files in %.*s/\"\n", line_of(item), line_of(last), count,
                   (int)len, item->what);
        item = last->next;
    }
}

static void print_text(const struct report *r)
{
    for (int s = 0; s < SECTIONS; s++) {
        if (s == UNUSED && !r->count[s])
            continue;
        printf("%s%s (%zu)\n", s ? "\n" : "", sections[s].title, r->count[s]);
        if (s == TRUSTED && r->trusted_bytes)
            printf("  the larger ones have %" PRIu64 " bytes together\n", r->trusted_bytes);
        if (s == TRUSTED || s == UNUSED) {
            print_files(r->first[s]);
            continue;
        }
        for (const struct item *item = r->first[s]; item; item = item->next) {
            if (line_of(item))
                printf("  line %u: %s: %s\n", line_of(item), item->what, item->why);
            else
                printf("  %s: %s\n", item->what, item->why);
        }
    }
}

static int print_json(const struct report *r)
{
    json_t *top = json_object();
    for (int s = 0; s < SECTIONS; s++) {
        json_t *list = json_array();
        for (const struct item *item = r->first[s]; item; item = item->next)
            json_array_append_new(list,
                                  json_pack("{s:I, s:s, s:s}", "line", (json_int_t)line_of(item),
                                            "what", item->what, "why", item->why));
        json_object_set_new(top, sections[s].name, list);
    }
    int rc = json_dumpf(top, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(top);
    return rc;
}

static int finish(const char *command)
{
    if (!fflush(stdout) && !ferror(stdout))
        return 0;
    fprintf(stderr, "error: %s: cannot write to standard output: %s\n", command, strerror(errno));
    return 1;
}

int cmd_explain(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"trace", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    bool json = false;
    const char *record = NULL;
    int opt;
    while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        json |= opt == 'j';
        record = opt == 't' ? optarg : record;
        if (opt == 'j' || opt == 't')
            continue;
        fprintf(opt == 'h' ? stdout : stderr,
                "Usage: %s [--json] [--trace RECORD] MANIFEST\n"
                "Says what a manifest (.manifest or .manifest.sgx) trusts, allows, encrypts and "
                "gives up.\n",
                argv[0]);
        return opt == 'h' ? 0 : 2;
    }
    if (argc - optind != 1) {
        fprintf(stderr, "error: %s: give one manifest\n", argv[0]);
        return 2;
    }
    struct manifest_text m = {0};
    if (!manifest_text_read(&m, argv[0], argv[optind]))
        return 2;
    struct report r = {0};
    explain_insecure(&r, m.root);
    explain_allowed(&r, m.root);
    explain_trusted(&r, m.root);
    explain_mounts(&r, m.root);
    explain_sizes(&r, m.root);
    int rc = record && !explain_unused(&r, argv[0], record) ? 2 : 0;
    if (!rc && json)
        rc = print_json(&r);
    else if (!rc)
        print_text(&r);
    arena_free(&r.arena);
    manifest_text_free(&m);
    return rc == 2 ? 2 : finish(argv[0]) || rc ? 1 : 0;
}

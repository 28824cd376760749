/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The file as a whole, and its tables of settings. */
#include "keyserver/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/tools.h"
#include "manifest/input.h"
#include "manifest/toml.h"
#include "manifest/value.h"

#define TEXT_LIMIT (4u << 20)

enum form { TEXT, PATH, NUMBER, SWITCH };

/* Every key of the tables that are no [[secret]]. */
static const struct setting {
    const char *table, *key;
    enum form form;
    size_t offset;
    int64_t min, max, preset;
    const char *text; /* preset of TEXT and PATH */
} settings[] = {
#define OF(member) offsetof(struct ks_settings, member)
    {"server", "listen", TEXT, OF(listen), .text = "[::]:4433"},
    {"server", "certificate", PATH, OF(certificate)},
    {"server", "key", PATH, OF(key)},
    {"server", "metrics", TEXT, OF(metrics)},
    {"server", "log", PATH, OF(log)},
    {"server", "name", TEXT, OF(name), .text = "keyserver"},
    {"server", "collateral", PATH, OF(collateral)},
    {"server", "pccs", TEXT, OF(pccs)},
    {"server", "collateral_cache", PATH, OF(cache_dir)},
    {"server", "collateral_refresh_seconds", NUMBER, OF(collateral_refresh_seconds), 1, 604800,
     3600},
    {"server", "insecure_tls", SWITCH, OF(insecure_tls)},
    {"server", "trust_root", PATH, OF(trust_root)},
    {"server", "threads", NUMBER, OF(threads), 1, 64, 0},
    {"server", "max_connections", NUMBER, OF(max_connections), 1, 100000, 4096},
    {"server", "max_per_address", NUMBER, OF(max_per_address), 1, 100000, 2048},
    {"server", "handshake_seconds", NUMBER, OF(handshake_seconds), 1, 3600, 10},
    {"server", "exchange_seconds", NUMBER, OF(exchange_seconds), 1, 3600, 30},
    {"server", "idle_seconds", NUMBER, OF(idle_seconds), 1, 3600, 5},
    {"server", "shutdown_seconds", NUMBER, OF(shutdown_seconds), 0, 3600, 5},
    {"audit", "log", PATH, OF(audit_log)},
    {"audit", "key", PATH, OF(audit_key)},
    {"audit", "head", PATH, OF(audit_head)},
    {"audit", "sync", SWITCH, OF(audit_sync), .preset = 1},
    {"vault", "url", TEXT, OF(vault_url)},
    {"vault", "token_file", PATH, OF(vault_token_file)},
    {"vault", "ca", PATH, OF(vault_ca)},
    {"vault", "namespace", TEXT, OF(vault_namespace)},
    {"vault", "timeout_seconds", NUMBER, OF(vault_timeout_seconds), 1, 60, 5},
    {"pkcs11", "module", PATH, OF(pkcs11_module)},
    {"pkcs11", "token", TEXT, OF(pkcs11_token)},
    {"pkcs11", "pin_file", PATH, OF(pkcs11_pin_file)},
#undef OF
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void *place(struct ks_policy *p, const struct setting *s)
{
    return (char *)&p->set + s->offset;
}

const char *ks_path(struct ks_policy *policy, const char *directory, const char *path)
{
    return *path == '/' ? arena_copy(&policy->arena, path, strlen(path))
                        : arena_printf(&policy->arena, "%s/%s", directory, path);
}

const char *ks_similar(struct ks_policy *policy, const char *key, const char *const *names,
                       size_t count)
{
    unsigned best = 3;
    const char *near = NULL;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = edit_distance(key, names[i], 2);
        if (distance < best) {
            best = distance;
            near = names[i];
        }
    }
    return near ? arena_printf(&policy->arena, "; did you mean '%s'?", near)
                : "; docs/keyserver.md lists what there is";
}

static void presets(struct ks_policy *p)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        const struct setting *s = &settings[i];
        if (s->form == NUMBER)
            *(int64_t *)place(p, s) = s->preset;
        else if (s->form == SWITCH)
            *(bool *)place(p, s) = s->preset;
        else
            *(const char **)place(p, s) = s->text;
    }
}

static void set(struct ks_policy *p, const struct setting *s, const struct dom *value,
                const char *directory, struct diag *d)
{
    static const char *const wanted[] = {[TEXT] = "a string",
                                         [PATH] = "a string with a path",
                                         [NUMBER] = "a whole number",
                                         [SWITCH] = "true or false"};
    static const enum dom_type types[] = {
        [TEXT] = DOM_STRING, [PATH] = DOM_STRING, [NUMBER] = DOM_INTEGER, [SWITCH] = DOM_BOOLEAN};
    if (value->type != types[s->form]) {
        diag_error(d, value->line, "%s.%s must be %s, not %s", s->table, s->key, wanted[s->form],
                   dom_type_name(value->type));
    } else if (s->form == SWITCH) {
        *(bool *)place(p, s) = value->boolean;
    } else if (s->form == NUMBER && (value->integer < s->min || value->integer > s->max)) {
        diag_error(d, value->line, "%s.%s is %" PRId64 "; it must be from %" PRId64 " to %" PRId64,
                   s->table, s->key, value->integer, s->min, s->max);
    } else if (s->form == NUMBER) {
        *(int64_t *)place(p, s) = value->integer;
    } else if (!value->len || value->len > 1000) {
        diag_error(d, value->line, "%s.%s is %s; leave the key out or give it a value", s->table,
                   s->key, value->len ? "longer than 1000 bytes" : "empty");
    } else {
        *(const char **)place(p, s) = s->form == PATH
                                          ? ks_path(p, directory, value->text)
                                          : arena_copy(&p->arena, value->text, value->len);
    }
}

static void parse_table(struct ks_policy *p, const struct dom *table, const char *directory,
                        struct diag *d)
{
    const char *names[COUNT(settings)];
    size_t count = 0;
    if (!strcmp(table->key, "server"))
        p->server_line = table->line;
    else if (!strcmp(table->key, "audit"))
        p->audit_line = table->line;
    else if (!strcmp(table->key, "vault"))
        p->vault_line = table->line;
    for (size_t i = 0; i < COUNT(settings); i++)
        if (!strcmp(settings[i].table, table->key))
            names[count++] = settings[i].key;
    for (const struct dom *entry = table->first; entry; entry = entry->next) {
        size_t i = 0;
        while (i < COUNT(settings) &&
               (strcmp(settings[i].table, table->key) || strcmp(settings[i].key, entry->key)))
            i++;
        if (i < COUNT(settings))
            set(p, &settings[i], entry, directory, d);
        else
            diag_error(d, entry->line, "[%s] has no key '%s'%s", table->key, entry->key,
                       ks_similar(p, entry->key, names, count));
    }
}

static void parse_secrets(struct ks_policy *p, const struct dom *list, const char *directory,
                          struct diag *d)
{
    if (list->type != DOM_ARRAY || !list->first || list->first->type != DOM_TABLE) {
        diag_error(d, list->line,
                   "secrets are tables of a list: write [[secret]], with two "
                   "brackets, once for each");
        return;
    }
    if (list->count > KS_SECRETS_MAX) {
        diag_error(d, list->line, "there are %zu secrets; %d is the most for one server",
                   list->count, KS_SECRETS_MAX);
        return;
    }
    p->secrets = arena_alloc(&p->arena, list->count * sizeof(*p->secrets));
    for (const struct dom *entry = list->first; entry; entry = entry->next) {
        if (entry->type != DOM_TABLE) {
            diag_error(d, entry->line, "a secret must be a table, not %s",
                       dom_type_name(entry->type));
            continue;
        }
        struct ks_secret *secret = &p->secrets[p->count++];
        ks_parse_secret(p, secret, entry, directory, d);
        for (size_t i = 0; secret->name && i + 1 < p->count; i++)
            if (p->secrets[i].name && !strcmp(p->secrets[i].name, secret->name))
                diag_error(d, entry->line,
                           "there is a secret '%s' in line %u already; names are "
                           "given once",
                           secret->name, p->secrets[i].line);
    }
}

/* What is needed as a whole. */
static void check_complete(struct ks_policy *p, struct diag *d)
{
    static const struct {
        enum ks_source_kind kind;
        size_t offset;
        const char *text;
    } needs[] = {
        {KS_SOURCE_VAULT, offsetof(struct ks_settings, vault_url), "[vault] url"},
        {KS_SOURCE_VAULT, offsetof(struct ks_settings, vault_token_file), "[vault] token_file"},
        {KS_SOURCE_PKCS11, offsetof(struct ks_settings, pkcs11_module), "[pkcs11] module"},
        {KS_SOURCE_PKCS11, offsetof(struct ks_settings, pkcs11_pin_file), "[pkcs11] pin_file"},
    };
    const struct ks_settings *s = &p->set;
    if (!s->certificate || !s->key)
        diag_error(d, p->server_line,
                   "[server] needs certificate and key: the PEM files of an ordinary TLS "
                   "certificate, by which clients know this server");
    if (!s->collateral == !s->pccs)
        diag_error(d, p->server_line,
                   "[server] needs %s: collateral = \"DIRECTORY\" or pccs = "
                   "\"https://HOST:8081/sgx/certification/v4/\"",
                   s->collateral ? "one source of collateral, not two" : "a source of collateral");
    if (!s->audit_log != !s->audit_key)
        diag_error(d, p->audit_line,
                   "[audit] needs log and key: a file to append to, and an Ed25519 key that "
                   "signs its heads (openssl genpkey -algorithm ed25519 -out FILE)");
    if (s->audit_head && !s->audit_log)
        diag_error(d, p->audit_line, "[audit] has a head, but no log");
    if (s->vault_url && strncmp(s->vault_url, "https://", 8) && strncmp(s->vault_url, "http://", 7))
        diag_error(d, p->vault_line, "[vault] url must begin with https://");
    for (size_t i = 0; i < COUNT(needs); i++)
        for (size_t k = 0; k < p->count; k++)
            if (p->secrets[k].source.path && p->secrets[k].source.kind == needs[i].kind &&
                !*(const char *const *)((const char *)s + needs[i].offset)) {
                diag_error(d, p->secrets[k].line, "this secret's source needs %s", needs[i].text);
                break;
            }
    if (!p->count && !d->error_count)
        diag_error(d, 0, "there is no [[secret]]: nothing would be given to anybody");
    if (s->audit_log && !s->audit_head)
        p->set.audit_head = arena_printf(&p->arena, "%s.head", s->audit_log);
}

static void digest(struct ks_policy *p, const char *text, size_t size)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_Digest(text, size, hash, &len, EVP_sha256(), NULL);
    for (unsigned i = 0; i < len && i < 32; i++)
        sprintf(p->digest + 2 * (size_t)i, "%02x", hash[i]);
}

struct ks_policy *ks_policy_parse(const char *text, size_t size, const char *directory,
                                  struct diag *d)
{
    static const char *const tables[] = {"server", "audit", "vault", "pkcs11", "secret"};
    struct arena a = {0};
    struct ks_policy *p = xmalloc(sizeof(*p));
    memset(p, 0, sizeof(*p));
    p->references = 1;
    presets(p);
    const struct dom *root = toml_parse(&a, text, size, d);
    for (const struct dom *entry = root ? root->first : NULL; entry; entry = entry->next) {
        size_t i = 0;
        while (i < COUNT(tables) && strcmp(entry->key, tables[i]))
            i++;
        if (i == COUNT(tables))
            diag_error(d, entry->line, "there is no '%s' in a policy%s", entry->key,
                       ks_similar(p, entry->key, tables, COUNT(tables)));
        else if (i == COUNT(tables) - 1)
            parse_secrets(p, entry, directory, d);
        else if (entry->type != DOM_TABLE)
            diag_error(d, entry->line, "%s must be a table: [%s]", entry->key, entry->key);
        else
            parse_table(p, entry, directory, d);
    }
    if (root)
        check_complete(p, d);
    arena_free(&a);
    digest(p, text, size);
    if (d->error_count) {
        ks_policy_release(p);
        p = NULL;
    }
    return p;
}

static void check_readable(const char *path, unsigned line, const char *what, bool secret,
                           struct diag *d)
{
    struct stat st;
    if (!path)
        return;
    if (access(path, R_OK) || stat(path, &st))
        diag_error(d, line, "%s '%s' cannot be read: %s", what, path, strerror(errno));
    else if (!S_ISREG(st.st_mode) && (secret || !S_ISDIR(st.st_mode)))
        diag_error(d, line, "%s '%s' is no regular file", what, path);
    else if (secret && st.st_mode & 07)
        diag_warning(d, line, "%s '%s' can be read by everybody: chmod 600 it", what, path);
}

struct ks_policy *ks_policy_load(const char *path, struct diag *d)
{
    struct buffer text = {0};
    int fd = open_input(path);
    int err = fd < 0 ? -errno : read_all(fd, &text, TEXT_LIMIT);
    struct ks_policy *p = NULL;
    if (fd >= 0)
        close(fd);
    if (err) {
        diag_error(d, 0, "cannot be read: %s", strerror(-err));
    } else {
        const char *slash = strrchr(path, '/');
        char *directory = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;
        p = ks_policy_parse(text.data ? text.data : "", text.len, directory ? directory : ".", d);
        free(directory);
    }
    buffer_free(&text);
    if (!p)
        return NULL;
    check_readable(p->set.certificate, p->server_line, "[server] certificate", false, d);
    check_readable(p->set.key, p->server_line, "[server] key", true, d);
    check_readable(p->set.collateral, p->server_line, "[server] collateral", false, d);
    check_readable(p->set.trust_root, p->server_line, "[server] trust_root", false, d);
    check_readable(p->set.audit_key, p->audit_line, "[audit] key", true, d);
    check_readable(p->set.vault_token_file, p->vault_line, "[vault] token_file", true, d);
    check_readable(p->set.vault_ca, p->vault_line, "[vault] ca", false, d);
    check_readable(p->set.pkcs11_module, 0, "[pkcs11] module", false, d);
    check_readable(p->set.pkcs11_pin_file, 0, "[pkcs11] pin_file", true, d);
    for (size_t i = 0; i < p->count; i++)
        if (p->secrets[i].source.kind == KS_SOURCE_FILE)
            check_readable(p->secrets[i].source.path, p->secrets[i].line, "the secret's file", true,
                           d);
    if (d->error_count) {
        ks_policy_release(p);
        p = NULL;
    }
    return p;
}

struct ks_policy *ks_policy_hold(struct ks_policy *policy)
{
    atomic_fetch_add(&policy->references, 1);
    return policy;
}

void ks_policy_release(struct ks_policy *policy)
{
    if (!policy || atomic_fetch_sub(&policy->references, 1) != 1)
        return;
    for (size_t i = 0; i < policy->count; i++)
        for (size_t k = 0; k < policy->secrets[i].alternative_count; k++)
            adyton_policy_free(policy->secrets[i].alternatives[k].rules);
    arena_free(&policy->arena);
    free(policy);
}

const struct ks_secret *ks_policy_find(const struct ks_policy *policy, const char *name, size_t len)
{
    for (size_t i = 0; i < policy->count; i++)
        if (strlen(policy->secrets[i].name) == len && !memcmp(policy->secrets[i].name, name, len))
            return &policy->secrets[i];
    return NULL;
}

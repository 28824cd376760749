/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* gramine-sgx-sign: completes a manifest, measures its enclave and signs it. */
#include "cli/sgx_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/enclave.h"
#include "cli/manifest_text.h"
#include "cli/paths.h"
#include "cli/sgx_date.h"
#include "cli/tools.h"
#include "manifest/cache.h"
#include "manifest/defaults.h"
#include "manifest/schema.h"
#include "manifest/toml.h"
#include "manifest/tree.h"
#include "manifest/trusted.h"
#include "sgx/key.h"
#include "sgx/sigstruct.h"

struct request {
    const char *command;
    const char *manifest, *output, *sigfile, *libpal, *date, *depfile, *chroot, *key, *passphrase;
    bool quiet;
    char sig_path[PATH_MAX];
};

static int usage(const char *command, FILE *out, int status)
{
    fprintf(out,
            "Usage: %s [OPTION]... -m MANIFEST -o OUTPUT\n"
            "Completes the manifest (hashes of trusted files), measures the enclave that it\n"
            "describes and signs it.\n"
            "\n"
            "  -m, --manifest FILE    the manifest\n"
            "  -o, --output FILE      where the completed one goes (NAME.manifest.sgx)\n"
            "  -s, --sigfile FILE     where the signature goes (NAME.sig)\n"
            "  -l, --libpal FILE      the library OS for enclaves (the installed one)\n"
            "  -k, --key FILE         signing key (default ~/.config/gramine/enclave-key.pem)\n"
            "  -p, --passphrase TEXT  of an encrypted key; also --password\n"
            "  -d, --date YYYY-MM-DD  or `today` (default), or 0000-00-00\n"
            "      --depfile FILE     write what the outputs depend on, as a Makefile rule\n"
            "      --chroot DIR       look the trusted files up below DIR\n"
            "      --with PLUGIN      who signs: `file`, a key in a file, is the only one\n"
            "  -v, --verbose / -q, --quiet   print the measurement (default), or nothing\n",
            command);
    return status;
}

/* 0, or the exit status (1 more) to end with. */
static int parse_options(int argc, char **argv, struct request *r)
{
    enum { DEPFILE = 256, CHROOT, WITH, HELP };
    static const struct option options[] = {{"manifest", required_argument, NULL, 'm'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"sigfile", required_argument, NULL, 's'},
                                            {"libpal", required_argument, NULL, 'l'},
                                            {"key", required_argument, NULL, 'k'},
                                            {"passphrase", required_argument, NULL, 'p'},
                                            {"password", required_argument, NULL, 'p'},
                                            {"date", required_argument, NULL, 'd'},
                                            {"depfile", required_argument, NULL, DEPFILE},
                                            {"chroot", required_argument, NULL, CHROOT},
                                            {"with", required_argument, NULL, WITH},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, HELP},
                                            {"help-file", no_argument, NULL, HELP},
                                            {0}};
    const char **places[256] = {
        ['m'] = &r->manifest, ['o'] = &r->output,     ['s'] = &r->sigfile, ['l'] = &r->libpal,
        ['k'] = &r->key,      ['p'] = &r->passphrase, ['d'] = &r->date};
    int opt;
    while ((opt = getopt_long(argc, argv, "m:o:s:l:k:p:d:vq", options, NULL)) != -1) {
        if (opt == HELP)
            return 1 + usage(argv[0], stdout, 0);
        if (opt == '?')
            return 1 + usage(argv[0], stderr, 2);
        if (opt == WITH && strcmp(optarg, "file")) {
            fprintf(stderr, "error: %s: there is no plugin '%s'; `file` is the only one\n", argv[0],
                    optarg);
            return 1 + 2;
        }
        if (opt == 'v' || opt == 'q')
            r->quiet = opt == 'q';
        else if (opt == DEPFILE)
            r->depfile = optarg;
        else if (opt == CHROOT)
            r->chroot = optarg;
        else if (opt < 256)
            *places[opt] = optarg;
    }
    if (!r->manifest || !r->output || optind < argc) {
        fprintf(stderr, "error: %s: %s\n", argv[0],
                optind < argc ? "an argument too many" : "give --manifest and --output");
        return 1 + usage(argv[0], stderr, 2);
    }
    return 0;
}

/* NAME.sig of NAME.manifest; of any other name, that with .sig. */
static bool choose_sigfile(struct request *r)
{
    static const char ending[] = ".manifest";
    size_t len = strlen(r->manifest), cut = sizeof(ending) - 1;
    if (r->sigfile)
        return true;
    if (len > cut && !strcmp(r->manifest + len - cut, ending))
        len -= cut;
    r->sigfile = r->sig_path;
    return snprintf(r->sig_path, sizeof(r->sig_path), "%.*s.sig", (int)len, r->manifest) <
           (int)sizeof(r->sig_path);
}

/* Fills in what a template leaves out; errors go to the text's diag. */
static bool complete(const struct request *r, struct manifest_text *m, struct buffer *sidecar)
{
    char libos[PATH_MAX];
    struct trusted_options options = {.chroot = r->chroot, .trees = true};
    return schema_check(&m->arena, m->root, SCHEMA_TOOL, &m->diag) &&
           !private_path(libos, sizeof(libos), "adyton-direct") &&
           trusted_expand(&m->arena, m->root, &options, sidecar, &m->diag) &&
           manifest_defaults(&m->arena, m->root, libos, r->chroot, &m->diag);
}

static int cannot_write(const struct request *r, const char *path, int error)
{
    fprintf(stderr, "error: %s: cannot write '%s': %s\n", r->command, path, strerror(-error));
    return 1;
}

/*
 * The interiors of the trees: those of files that were hashed now, or what stands beside the input
 * manifest, whose files were hashed before.
 */
static int write_sidecar(const struct request *r, struct buffer *sidecar)
{
    char path[PATH_MAX];
    if (!sidecar->len && snprintf(path, sizeof(path), "%s.trees", r->manifest) < PATH_MAX) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0) {
            if (read_all(fd, sidecar, SIZE_MAX / 2))
                sidecar->len = 0;
            close(fd);
        }
    }
    if (!sidecar->len || snprintf(path, sizeof(path), "%s.trees", r->output) >= PATH_MAX)
        return 0;
    int rc = replace_file(path, sidecar->data, sidecar->len);
    return rc ? cannot_write(r, path, rc) : 0;
}

/* Spaces, `#` and `$` as make reads them. */
static void add_make_name(struct buffer *out, const char *name)
{
    for (const char *c = name; *c; c++) {
        if (*c == ' ' || *c == '#' || *c == '\\')
            buffer_add(out, "\\", 1);
        if (*c == '$')
            buffer_add(out, "$", 1);
        buffer_add(out, c, 1);
    }
}

static int write_depfile(const struct request *r, const struct enclave *e)
{
    struct buffer out = {0};
    const struct mf *m = &e->manifest;
    const struct mf_trusted *t = mf_trusted_files(m);
    add_make_name(&out, r->output);
    buffer_text(&out, " ");
    add_make_name(&out, r->sigfile);
    buffer_text(&out, ":");
    const char *first[] = {r->manifest, e->libpal};
    for (size_t i = 0; i < 2 + m->image->trusted.count; i++) {
        buffer_text(&out, " \\\n ");
        add_make_name(&out, i < 2 ? first[i] : mf_string(m, t[i - 2].path));
    }
    buffer_text(&out, "\n");
    int rc = replace_file(r->depfile, out.data, out.len);
    buffer_free(&out);
    return rc ? cannot_write(r, r->depfile, rc) : 0;
}

static void print_areas(const struct sgx_layout *l)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct sgx_layout_area *a = &l->areas[i];
        printf("    %016llx-%016llx [%s:%c%c%c] (%s) %s\n", (unsigned long long)a->offset,
               (unsigned long long)(a->offset + a->pages * SGX_PAGE_SIZE),
               SGX_SECINFO_TYPE(a->flags) == SGX_PT_TCS ? "TCS" : "REG",
               a->flags & SGX_SECINFO_R ? 'R' : '-', a->flags & SGX_SECINFO_W ? 'W' : '-',
               a->flags & SGX_SECINFO_X ? 'X' : '-', enclave_area_name(l, i),
               a->measured ? "measured" : "");
    }
}

static void print_enclave(const struct enclave *e, const struct sgx_sigstruct *sig)
{
    const struct mf_image *i = e->manifest.image;
    printf("Attributes (required for enclave measurement):\n"
           "    size:        0x%llx\n"
           "    edmm:        %s\n"
           "    max_threads: %llu\n"
           "SGX remote attestation:\n"
           "    %s\n"
           "Memory:\n",
           (unsigned long long)e->layout.size, i->sgx_edmm ? "True" : "False",
           (unsigned long long)i->sgx_max_threads,
           i->sgx_attestation == MF_ATTEST_DCAP ? "DCAP/ECDSA" : "None");
    print_areas(&e->layout);
    printf("Measurement:\n    ");
    for (int k = 0; k < 32; k++)
        printf("%02x", sig->enclave_hash[k]);
    printf("\n");
}

static int sign(const struct request *r, struct enclave *e)
{
    struct sgx_sigstruct sig;
    struct sgx_key *key = NULL;
    char path[PATH_MAX], err[2 * PATH_MAX];
    enclave_sigstruct(&e->manifest, &e->layout, &sig);
    if (!sgx_sign_date(&sig, r->date)) {
        fprintf(stderr, "error: %s: '%s' is not a date of the form YYYY-MM-DD, nor `today`\n",
                r->command, r->date);
        return 2;
    }
    if (!r->key && sgx_key_default_path(path, sizeof(path)) < 0) {
        fprintf(stderr, "error: %s: no default key without HOME; name one with --key\n",
                r->command);
        return 1;
    }
    int rc = sgx_key_read(r->key ? r->key : path, r->passphrase, &key, err, sizeof(err));
    if (!rc)
        rc = sgx_key_sign(key, &sig, err, sizeof(err));
    sgx_key_free(key);
    if (rc) {
        fprintf(stderr, "error: %s: %s%s\n", r->command, err,
                rc == -ENOENT ? "; gramine-sgx-gen-private-key makes one" : "");
        return 1;
    }
    rc = replace_file(r->sigfile, &sig, sizeof(sig));
    if (rc)
        return cannot_write(r, r->sigfile, rc);
    if (!r->quiet)
        print_enclave(e, &sig);
    return 0;
}

/* From the completed manifest's text to all outputs. */
static int produce(const struct request *r, const struct buffer *text, struct buffer *sidecar)
{
    struct enclave e;
    int rc = replace_file(r->output, text->data, text->len);
    if (rc)
        return cannot_write(r, r->output, rc);
    int status = write_sidecar(r, sidecar);
    if (status || !enclave_of_text(&e, r->command, r->output, text, r->libpal))
        return 1;
    status = sign(r, &e);
    if (!status && r->depfile)
        status = write_depfile(r, &e);
    enclave_free(&e);
    return status;
}

int cmd_sign(int argc, char **argv)
{
    struct request r = {.command = argv[0], .date = "today"};
    struct manifest_text m = {0};
    struct buffer text = {0}, sidecar = {0};
    int stop = parse_options(argc, argv, &r);
    if (stop)
        return stop - 1;
    if (!choose_sigfile(&r)) {
        fprintf(stderr, "error: %s: the name of the manifest is too long\n", r.command);
        return 2;
    }
    if (!manifest_text_read(&m, r.command, r.manifest))
        return 1;
    bool ok = complete(&r, &m, &sidecar);
    diag_print_warnings(&m.diag, stderr, "warning: ");
    diag_print_errors(&m.diag, stderr, "error: ");
    int status = 2;
    if (ok) {
        toml_write(&text, m.root);
        status = produce(&r, &text, &sidecar);
    }
    buffer_free(&text);
    buffer_free(&sidecar);
    manifest_text_free(&m);
    return status;
}

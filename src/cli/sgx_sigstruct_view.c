/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* gramine-sgx-sigstruct-view [-v|-q] [--output-format text|toml|json] SIGFILE [OUTFILE] */
#include "cli/sgx_commands.h"
#include "manifest/input.h"
#include "sgx/sigstruct.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum format { TEXT, TOML, JSON };
enum kind { STRING, DECIMAL, BOOLEAN };

struct printer {
    FILE *to;
    enum format format;
    bool first;
};

static void item(struct printer *p, const char *key, enum kind kind, const char *value)
{
    const char *quote = kind == STRING ? "\"" : "";
    switch (p->format) {
    case TEXT:
        if (kind == BOOLEAN)
            value = strcmp(value, "true") == 0 ? "True" : "False";
        fprintf(p->to, "    %s: %s\n", key, value);
        break;
    case TOML:
        fprintf(p->to, "%s = %s%s%s\n", key, quote, value, quote);
        break;
    case JSON:
        fprintf(p->to, "%s    \"%s\": %s%s%s", p->first ? "" : ",\n", key, quote, value, quote);
        break;
    }
    p->first = false;
}

static void bytes(struct printer *p, const char *key, const uint8_t *value)
{
    char hex[65];
    for (size_t i = 0; i < 32; i++)
        sprintf(hex + 2 * i, "%02x", value[i]);
    item(p, key, STRING, hex);
}

static void decimal(struct printer *p, const char *key, unsigned value)
{
    char text[16];
    snprintf(text, sizeof(text), "%u", value);
    item(p, key, DECIMAL, text);
}

static void hex(struct printer *p, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "0x%" PRIx64, value);
    item(p, key, STRING, text);
}

static void details(struct printer *p, const struct sgx_sigstruct *sig)
{
    char date[16];
    hex(p, "attribute_flags", sig->attributes.flags);
    hex(p, "attribute_xfrms", sig->attributes.xfrm);
    hex(p, "misc_select", sig->miscselect);
    hex(p, "attribute_flags_mask", sig->attribute_mask.flags);
    hex(p, "attribute_xfrm_mask", sig->attribute_mask.xfrm);
    hex(p, "misc_mask", sig->miscmask);
    snprintf(date, sizeof(date), "%02x%02x-%02x-%02x", sig->date[3], sig->date[2], sig->date[1],
             sig->date[0]);
    item(p, "date", STRING, date);
}

static void print(struct printer *p, const struct sgx_sigstruct *sig, bool verbose)
{
    uint8_t mrsigner[32];
    sgx_sigstruct_mrsigner(sig, mrsigner);
    if (p->format == TEXT)
        fprintf(p->to, "Attributes:\n");
    if (p->format == JSON)
        fprintf(p->to, "{\n");
    bytes(p, "mr_signer", mrsigner);
    bytes(p, "mr_enclave", sig->enclave_hash);
    decimal(p, "isv_prod_id", sig->isv_prod_id);
    decimal(p, "isv_svn", sig->isv_svn);
    if (verbose)
        details(p, sig);
    item(p, "debug_enclave", BOOLEAN, sig->attributes.flags & SGX_FLAG_DEBUG ? "true" : "false");
    if (p->format == JSON)
        fprintf(p->to, "\n}\n");
}

/* 0, or the exit status after one line on stderr. */
static int read_sigstruct(const char *name, const char *path, struct sgx_sigstruct *sig)
{
    FILE *file = fopen_input(path);
    if (!file) {
        fprintf(stderr, "%s: cannot open %s: %s\n", name, path, strerror(errno));
        return 1;
    }
    char extra;
    bool whole = fread(sig, 1, sizeof(*sig), file) == sizeof(*sig);
    whole = whole && fread(&extra, 1, 1, file) == 0 && !ferror(file);
    fclose(file);
    if (!whole) {
        fprintf(stderr, "%s: %s is not a SIGSTRUCT: its size must be exactly %zu bytes\n", name,
                path, sizeof(*sig));
        return 1;
    }
    if (!sgx_sigstruct_well_formed(sig)) {
        fprintf(stderr, "%s: %s is not a SIGSTRUCT: a constant or reserved field is wrong\n", name,
                path);
        return 1;
    }
    return 0;
}

static void usage(FILE *to, const char *name)
{
    fprintf(to,
            "Usage: %s [OPTIONS] SIGFILE [OUTFILE]\n\n"
            "Prints what an enclave signature file says.\n\n"
            "  -v, --verbose / -q, --quiet       also print attributes, masks and date\n"
            "      --output-format FORMAT        text (default), toml or json\n"
            "      --help                        show this text\n",
            name);
}

static int parse_format(const char *text, enum format *format)
{
    static const char *const names[] = {[TEXT] = "text", [TOML] = "toml", [JSON] = "json"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *format = (enum format)i;
            return 0;
        }
    }
    return -EINVAL;
}

int cmd_sgx_sigstruct_view(int argc, char **argv)
{
    static const struct option options[] = {
        {"verbose", no_argument, NULL, 'v'},
        {"quiet", no_argument, NULL, 'q'},
        {"output-format", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct printer p = {.to = stdout, .format = TEXT, .first = true};
    struct sgx_sigstruct sig;
    bool verbose = false;
    int c;
    optind = 0;
    while ((c = getopt_long(argc, argv, "vq", options, NULL)) != -1) {
        if (c == 'h') {
            usage(stdout, argv[0]);
            return 0;
        }
        if (c == 'v' || c == 'q') {
            verbose = c == 'v';
        } else if (c != 'o' || parse_format(optarg, &p.format) < 0) {
            usage(stderr, argv[0]);
            return 2;
        }
    }
    if (argc - optind < 1 || argc - optind > 2) {
        usage(stderr, argv[0]);
        return 2;
    }
    int r = read_sigstruct(argv[0], argv[optind], &sig);
    if (r)
        return r;
    if (argc - optind == 2 && strcmp(argv[optind + 1], "-") != 0) {
        p.to = fopen(argv[optind + 1], "we");
        if (!p.to) {
            fprintf(stderr, "%s: cannot write %s: %s\n", argv[0], argv[optind + 1],
                    strerror(errno));
            return 1;
        }
    }
    print(&p, &sig, verbose);
    if (fflush(p.to) != 0 || ferror(p.to)) {
        fprintf(stderr, "%s: cannot write the output\n", argv[0]);
        return 1;
    }
    if (p.to != stdout)
        fclose(p.to);
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton verify: is this quote one that I accept? */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/der.h"
#include "cli/attest_commands.h"
#include "cli/tools.h"
#include "manifest/input.h"

#define QCNL_FILE "/etc/sgx_default_qcnl.conf"

struct request {
    const char *name;
    const char *quote, *collateral, *trust_root, *pccs, *cache, *qcnl;
    bool json, insecure_tls;
    int tee;
    int64_t at;
    adyton_policy *policy;
    struct arena arena;
};

static void usage(FILE *to, const char *name)
{
    fprintf(
        to,
        "Usage: %s [OPTIONS] QUOTE|CERTIFICATE\n\n"
        "Verifies an SGX or TDX quote, raw or in an RA-TLS certificate, and says whether the\n"
        "policy accepts it: exit status 0 if so, 1 if not, 2 for wrong usage.\n\n"
        "      --collateral DIR     directory (or JSON file) with CRLs, TCB info, QE identity\n"
        "      --pccs URL           fetch them: https://HOST:8081/sgx/certification/v4/\n"
        "                           (default: $ADYTON_PCCS_URL, else " QCNL_FILE ")\n"
        "      --cache DIR          keep what was fetched there (default: ~/.cache/adyton)\n"
        "      --insecure-tls       accept any certificate of the server; all is signed anyway\n"
        "      --trust-root FILE    trust this root certificate instead of Intel's\n"
        "                           (default: the policy's trust_root, else $ADYTON_TRUST_ROOT)\n"
        "      --at TIME            as of 2025-03-14T15:09:26Z (default: now)\n"
        "      --tee sgx|tdx        refuse quotes of the other kind\n"
        "      --policy FILE        what to accept (docs/attestation.md)\n"
        "      --json               the result as a JSON object\n"
        "  -h, --help               show this text\n",
        name);
}

/* RFC 3339: date, time, optional fraction, Z or an offset. */
static bool parse_time(const char *text, int64_t *seconds)
{
    char whole[24] = {0};
    int64_t offset = 0;
    if (strlen(text) < 20 || strlen(text) > 40)
        return false;
    memcpy(whole, text, 19);
    whole[10] = whole[10] == 't' || whole[10] == ' ' ? 'T' : whole[10];
    whole[19] = 'Z';
    if (!time_from_iso(whole, seconds))
        return false;
    text += 19;
    if (*text == '.') {
        size_t digits = strspn(text + 1, "0123456789");
        if (!digits)
            return false;
        text += 1 + digits;
    }
    if (!strcmp(text, "Z") || !strcmp(text, "z"))
        return true;
    const char *d = "0123456789";
    if ((*text != '+' && *text != '-') || strlen(text) != 6 || text[3] != ':' ||
        strspn(text + 1, d) != 2 || strspn(text + 4, d) != 2)
        return false;
    int hours = (text[1] - '0') * 10 + text[2] - '0',
        minutes = (text[4] - '0') * 10 + text[5] - '0';
    if (hours > 23 || minutes > 59)
        return false;
    offset = hours * 3600 + minutes * 60;
    *seconds -= *text == '-' ? -offset : offset;
    return true;
}

static int complain(const struct request *r, const char *what)
{
    fprintf(stderr, "error: %s: %s\n", r->name, what);
    return 2;
}

/* 0, or the exit status (-1: show the help). */
static int parse_options(struct request *r, int argc, char **argv)
{
    static const struct option options[] = {
        {"collateral", required_argument, NULL, 'c'},
        {"pccs", required_argument, NULL, 'u'},
        {"cache", required_argument, NULL, 'd'},
        {"qcnl", required_argument, NULL, 'q'},
        {"insecure-tls", no_argument, NULL, 'i'},
        {"trust-root", required_argument, NULL, 'r'},
        {"at", required_argument, NULL, 'a'},
        {"tee", required_argument, NULL, 't'},
        {"policy", required_argument, NULL, 'p'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *root_of_policy = NULL;
    int c, err = 0;
    optind = 0;
    while (!err && (c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            r->collateral = optarg;
            break;
        case 'u':
            r->pccs = optarg;
            break;
        case 'd':
            r->cache = optarg;
            break;
        case 'q':
            r->qcnl = optarg;
            break;
        case 'i':
            r->insecure_tls = true;
            break;
        case 'r':
            r->trust_root = optarg;
            break;
        case 'a':
            if (!parse_time(optarg, &r->at))
                err = complain(r, "--at takes a time like 2025-03-14T15:09:26Z");
            break;
        case 't':
            r->tee = !strcmp(optarg, "sgx")   ? ADYTON_TEE_SGX
                     : !strcmp(optarg, "tdx") ? ADYTON_TEE_TDX
                                              : ADYTON_TEE_ANY;
            if (!r->tee)
                err = complain(r, "--tee takes sgx or tdx");
            break;
        case 'p':
            err = policy_from_file(r->name, optarg, r->policy, &root_of_policy, &r->arena);
            break;
        case 'j':
            r->json = true;
            break;
        case 'h':
            return -1;
        default:
            err = 2;
        }
    }
    if (!r->trust_root)
        r->trust_root = root_of_policy;
    if (!r->trust_root && (r->trust_root = getenv("ADYTON_TRUST_ROOT")) && !*r->trust_root)
        r->trust_root = NULL;
    if (!err && argc - optind != 1)
        err = complain(r, "one quote or certificate is needed; --help lists the options");
    r->quote = err ? NULL : argv[optind];
    return err;
}

static int read_file(const char *path, struct buffer *out, struct adyton_attest_error *e)
{
    int fd = open_input(path);
    int err = fd < 0 ? -errno : read_all(fd, out, 32 << 20);
    if (fd >= 0)
        close(fd);
    if (!err)
        return 0;
    e->code = ADYTON_ATTEST_FILE;
    snprintf(e->text, sizeof(e->text), "cannot read '%s': %s", path, strerror(-err));
    return e->code;
}

static int set_trust_root(struct request *r, adyton_attest *verifier, struct adyton_attest_error *e)
{
    struct buffer file = {0};
    int err = read_file(r->trust_root, &file, e);
    if (!err)
        err = adyton_attest_set_trust_root(verifier, file.data, file.len, e);
    buffer_free(&file);
    if (!err)
        err = adyton_policy_set(r->policy, "allow_custom_root", "true", e);
    return err;
}

static int load_collateral(struct request *r, adyton_collateral *collateral,
                           struct adyton_attest_error *e)
{
    struct buffer file = {0};
    struct stat st;
    if (stat(r->collateral, &st) || S_ISDIR(st.st_mode))
        return adyton_collateral_load_directory(collateral, r->collateral, e);
    int err = read_file(r->collateral, &file, e);
    if (!err)
        err = adyton_collateral_load_json(collateral, file.data, file.len, e);
    buffer_free(&file);
    return err;
}

/* Where to fetch from, unless a collateral directory was named. */
static int set_fetch(struct request *r, adyton_attest *verifier, struct adyton_attest_error *e)
{
    struct adyton_fetch_options options = {.struct_size = sizeof(options)};
    const char *url = r->pccs || r->qcnl ? r->pccs : getenv("ADYTON_PCCS_URL");
    if (url && *url) {
        options.url = url;
        options.cache_dir = r->cache;
        options.insecure_tls = r->insecure_tls;
        options.retries = 1;
        return adyton_attest_set_fetch(verifier, &options, e);
    }
    if (r->qcnl)
        return adyton_attest_set_fetch_from_qcnl(verifier, r->qcnl, e);
    if (!access(QCNL_FILE, R_OK))
        return adyton_attest_set_fetch_from_qcnl(verifier, QCNL_FILE, e);
    return 0;
}

static int verify(struct request *r, adyton_attest *verifier, adyton_collateral *collateral,
                  adyton_quote **quote, adyton_verdict **verdict, struct adyton_attest_error *e)
{
    int err = 0;
    if (r->trust_root)
        err = set_trust_root(r, verifier, e);
    if (!err && r->collateral)
        err = load_collateral(r, collateral, e);
    else if (!err)
        err = set_fetch(r, verifier, e);
    if (!err)
        err = quote_load(r->quote, quote, e);
    if (err)
        return err;
    adyton_attest_verify(verifier, *quote, r->collateral ? collateral : NULL, r->at, r->tee,
                         verdict);
    if (*verdict)
        return adyton_policy_check(r->policy, *verdict, e);
    e->code = ADYTON_ATTEST_NO_MEMORY;
    strcpy(e->text, "there is no memory left");
    return e->code;
}

static void report(const struct request *r, const adyton_verdict *verdict,
                   const struct adyton_attest_error *refused)
{
    if (r->json)
        verdict_print_json(stdout, verdict, refused);
    else if (verdict)
        verdict_print_text(stdout, verdict);
    fflush(stdout);
    if (verdict && verdict->trusted_root == ADYTON_ROOT_CUSTOM)
        fprintf(stderr,
                "warning: %s: the root of trust is not Intel's but the one of '%s': the quote may "
                "come from a software device\n",
                r->name, r->trust_root);
    if (refused->code)
        fprintf(stderr, "error: %s: refused: %s (%s)\n", r->name, refused->text,
                adyton_attest_code_name(refused->code));
    else if (!adyton_policy_names_program(r->policy))
        fprintf(stderr,
                "warning: %s: no mrenclave, mrsigner or mrtd in the policy: any program on this "
                "platform is accepted\n",
                r->name);
}

int cmd_verify(int argc, char **argv)
{
    struct request r = {.name = argv[0], .at = time(NULL), .policy = adyton_policy_new()};
    adyton_attest *verifier = adyton_attest_new();
    adyton_collateral *collateral = adyton_collateral_new();
    struct adyton_attest_error refused = {0};
    adyton_quote *quote = NULL;
    adyton_verdict *verdict = NULL;
    int status = 1;
    if (!r.policy || !verifier || !collateral)
        fprintf(stderr, "error: %s: there is no memory left\n", r.name);
    else
        status = parse_options(&r, argc, argv);
    if (status == -1)
        usage(stdout, r.name);
    if (!status && r.quote) {
        refused.code = verify(&r, verifier, collateral, &quote, &verdict, &refused);
        report(&r, verdict, &refused);
        status = refused.code || ferror(stdout) ? 1 : 0;
    }
    adyton_verdict_free(verdict);
    adyton_quote_free(quote);
    adyton_collateral_free(collateral);
    adyton_attest_free(verifier);
    adyton_policy_free(r.policy);
    arena_free(&r.arena);
    return status < 0 ? 0 : status;
}

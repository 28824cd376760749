/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton sign-layout -o SIGFILE [-k KEY] [-p PASSPHRASE] [-d DATE] [-q] LAYOUT */
#include "cli/sgx_commands.h"
#include "cli/sgx_date.h"
#include "sgx/key.h"
#include "sgx/layout.h"
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct request {
    const char *layout;
    const char *output;
    const char *key;
    const char *passphrase;
    const char *date;
    bool quiet;
};

static void usage(FILE *to, const char *name)
{
    fprintf(to,
            "Usage: %s -o SIGFILE [OPTIONS] LAYOUT\n\n"
            "Measures the enclave that the layout file describes and signs it.\n\n"
            "  -o, --output FILE      where the SIGSTRUCT (1808 bytes) goes\n"
            "  -k, --key FILE         signing key (default ~/.config/gramine/enclave-key.pem)\n"
            "  -p, --passphrase TEXT  passphrase of an encrypted key\n"
            "  -d, --date YYYY-MM-DD  or `today` (default), or 0000-00-00\n"
            "  -q, --quiet            do not print the measurement\n",
            name);
}

static int write_file(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return -errno;
    bool ok = fwrite(data, 1, len, file) == len;
    if (fclose(file) != 0)
        ok = false;
    return ok ? 0 : -EIO;
}

static int sign(const char *name, const struct request *q)
{
    static struct sgx_layout layout; /* large; the command runs once per process */
    struct sgx_sigstruct sig;
    struct sgx_key *key = NULL;
    char path[PATH_MAX], err[2 * PATH_MAX];
    if (!q->key && sgx_key_default_path(path, sizeof(path)) < 0) {
        fprintf(stderr, "%s: no default key without HOME; use -k\n", name);
        return 1;
    }
    if (sgx_layout_read(q->layout, &layout, err, sizeof(err)) < 0) {
        fprintf(stderr, "%s: %s\n", name, err);
        return 1;
    }
    sgx_layout_sigstruct(&layout, &sig);
    sgx_layout_free(&layout);
    if (!sgx_sign_date(&sig, q->date)) {
        fprintf(stderr, "%s: %s is not a date of the form YYYY-MM-DD\n", name, q->date);
        return 2;
    }
    int r = sgx_key_read(q->key ? q->key : path, q->passphrase, &key, err, sizeof(err));
    if (r == 0)
        r = sgx_key_sign(key, &sig, err, sizeof(err));
    sgx_key_free(key);
    if (r < 0) {
        fprintf(stderr, "%s: %s\n", name, err);
        return 1;
    }
    if ((r = write_file(q->output, &sig, sizeof(sig))) < 0) {
        fprintf(stderr, "%s: cannot write %s: %s\n", name, q->output, strerror(-r));
        return 1;
    }
    if (!q->quiet) {
        printf("Measurement:\n    ");
        for (size_t i = 0; i < sizeof(sig.enclave_hash); i++)
            printf("%02x", sig.enclave_hash[i]);
        putchar('\n');
    }
    return 0;
}

int cmd_sgx_sign_layout(int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'},
        {"key", required_argument, NULL, 'k'},
        {"date", required_argument, NULL, 'd'},
        {"passphrase", required_argument, NULL, 'p'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct request q = {.date = "today"};
    int c;
    optind = 0;
    while ((c = getopt_long(argc, argv, "o:k:d:p:q", options, NULL)) != -1) {
        switch (c) {
        case 'o':
            q.output = optarg;
            break;
        case 'k':
            q.key = optarg;
            break;
        case 'd':
            q.date = optarg;
            break;
        case 'p':
            q.passphrase = optarg;
            break;
        case 'q':
            q.quiet = true;
            break;
        case 'h':
            usage(stdout, argv[0]);
            return 0;
        default:
            usage(stderr, argv[0]);
            return 2;
        }
    }
    if (!q.output || argc - optind != 1) {
        usage(stderr, argv[0]);
        return 2;
    }
    q.layout = argv[optind];
    return sign(argv[0], &q);
}

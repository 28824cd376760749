/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* gramine-sgx-gen-private-key [-f|--force|--no-force] [-q|--quiet|-v|--verbose] [OUTFILE] */
#include "cli/sgx_commands.h"
#include "sgx/key.h"
#include <getopt.h>
#include <limits.h>
#include <stdio.h>

static void usage(FILE *to, const char *name)
{
    fprintf(to,
            "Usage: %s [OPTIONS] [OUTFILE]\n\n"
            "Creates an RSA-3072 key with public exponent 3 for signing enclaves.\n"
            "Default OUTFILE: ~/.config/gramine/enclave-key.pem\n\n"
            "  -f, --force / --no-force    replace an existing file (default: refuse)\n"
            "  -q, --quiet / -v, --verbose say nothing on success\n"
            "      --help                  show this text\n",
            name);
}

int cmd_sgx_keygen(int argc, char **argv)
{
    static const struct option options[] = {
        {"force", no_argument, NULL, 'f'}, {"no-force", no_argument, NULL, 'F'},
        {"quiet", no_argument, NULL, 'q'}, {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},  {NULL, 0, NULL, 0},
    };
    bool force = false, quiet = false;
    char path[PATH_MAX], err[PATH_MAX + 256];
    int c;
    optind = 0;
    while ((c = getopt_long(argc, argv, "fqv", options, NULL)) != -1) {
        switch (c) {
        case 'f':
        case 'F':
            force = c == 'f';
            break;
        case 'q':
        case 'v':
            quiet = c == 'q';
            break;
        case 'h':
            usage(stdout, argv[0]);
            return 0;
        default:
            usage(stderr, argv[0]);
            return 2;
        }
    }
    if (argc - optind > 1) {
        usage(stderr, argv[0]);
        return 2;
    }
    const char *out = argv[optind];
    if (optind == argc) {
        if (sgx_key_default_path(path, sizeof(path)) < 0) {
            fprintf(stderr, "%s: neither XDG_CONFIG_HOME nor HOME is set; name the output file\n",
                    argv[0]);
            return 2;
        }
        out = path;
    }
    if (sgx_key_generate(out, force, err, sizeof(err)) < 0) {
        fprintf(stderr, "%s: %s\n", argv[0], err);
        return 2;
    }
    if (!quiet)
        printf("wrote RSA 3072 private key to %s\n", out);
    return 0;
}

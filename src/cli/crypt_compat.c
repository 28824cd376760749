/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* gramine-sgx-pf-crypt MODE [options]: of MODE the first letter counts; all text goes to stderr. */
#include "crypt_core.h"
#include "crypto/crypto.h"
#include <getopt.h>
#include <stdio.h>

#define FAILURE 255

static void usage(const char *name)
{
    fprintf(stderr,
            "Usage: %s MODE [options]\n\n"
            "  gen-key    make a key file            (needs -w)\n"
            "  encrypt    encrypt a file or tree     (needs -w, -i, -o)\n"
            "  decrypt    decrypt a file or tree     (needs -w, -i, -o)\n\n"
            "  -w, --wrap-key PATH  key file, 16 raw bytes\n"
            "  -i, --input PATH     file or directory to read\n"
            "  -o, --output PATH    file or directory to write\n"
            "  -V, --verify         decrypt: the input must be stored for its own path\n"
            "  -v, --verbose        more messages\n"
            "  -h, --help           show this text\n",
            name);
}

static int run(struct crypt *c, char mode, const char *key, const char *in, const char *out,
               bool verify)
{
    char normal[PFS_PATH_SIZE];
    if (!key)
        return crypt_fail(c, FAILURE, "Wrap key file not given: -w PATH");
    if (mode == 'g') {
        if (crypt_make_key(c, key, true))
            return FAILURE;
        fprintf(stderr, "Wrap key saved to: %s\n", key);
        return 0;
    }
    if (!in || !out)
        return crypt_fail(c, FAILURE, "%s path not given: -%c PATH", in ? "Output" : "Input",
                          in ? 'o' : 'i');
    if (crypt_read_key(c, key))
        return FAILURE;
    c->encrypt = mode == 'e';
    if (c->encrypt && !pfs_normalize_path(out, normal) && *normal)
        out = normal;
    c->verbose = c->manifest_hint = true;
    return crypt_run(c, in, out, c->encrypt ? out : verify ? in : NULL) ? FAILURE : 0;
}

int cmd_pf_crypt(int argc, char **argv)
{
    static const struct option options[] = {
        {"wrap-key", required_argument, NULL, 'w'},
        {"input", required_argument, NULL, 'i'},
        {"output", required_argument, NULL, 'o'},
        {"verify", no_argument, NULL, 'V'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct crypt c = {.name = argv[0]};
    const char *key = NULL, *in = NULL, *out = NULL;
    bool verify = false;
    int opt;
    optind = 0;
    while ((opt = getopt_long(argc, argv, "w:i:o:Vvh", options, NULL)) != -1) {
        switch (opt) {
        case 'w':
            key = optarg;
            break;
        case 'i':
            in = optarg;
            break;
        case 'o':
            out = optarg;
            break;
        case 'V':
            verify = true;
            break;
        case 'v':
            break;
        case 'h':
            usage(argv[0]);
            return 0;
        default:
            usage(argv[0]);
            return FAILURE;
        }
    }
    char mode = optind < argc ? argv[optind][0] : 0;
    if (mode != 'g' && mode != 'e' && mode != 'd') {
        if (mode)
            crypt_fail(&c, FAILURE, "unknown mode '%s'", argv[optind]);
        usage(argv[0]);
        return FAILURE;
    }
    crypto_init(0);
    int status = run(&c, mode, key, in, out, verify);
    crypto_wipe(c.key, sizeof(c.key));
    return status;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton encrypt, adyton decrypt, adyton keygen */
#include "crypt_core.h"
#include "crypto/crypto.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static void usage(FILE *to, const char *name, bool encrypt)
{
    if (encrypt)
        fprintf(to,
                "Usage: %s -w KEY -i INPUT -o OUTPUT [--path PATH] [-v]\n\n"
                "Encrypts a file or a directory tree.\n\n"
                "  -w, --wrap-key KEY   key file, 16 raw bytes (see keygen)\n"
                "  -i, --input INPUT    file or directory to encrypt\n"
                "  -o, --output OUTPUT  where to put it; appears when complete\n"
                "  -p, --path PATH      host path by which a manifest will reach OUTPUT\n"
                "                       (default: OUTPUT as spelled, normalised)\n",
                name);
    else
        fprintf(to,
                "Usage: %s -w KEY -i INPUT (-o OUTPUT | --check) [-V | --path PATH] [-v]\n\n"
                "Decrypts or checks an encrypted file or a directory tree.\n\n"
                "  -w, --wrap-key KEY   key file, 16 raw bytes\n"
                "  -i, --input INPUT    encrypted file or directory\n"
                "  -o, --output OUTPUT  where to put the plain data; appears when complete\n"
                "  -c, --check          verify everything, write nothing\n"
                "  -V, --verify         INPUT must be the path it was encrypted for\n"
                "  -p, --path PATH      PATH must be the path it was encrypted for\n",
                name);
    fprintf(to, "  -v, --verbose        a line per file\n"
                "  -h, --help           show this text\n\n"
                "In a tree links are followed; one that leads nowhere is left out (status 5).\n"
                "Exit status: 0 done, 2 usage, 3 wrong key or first block altered,\n"
                "4 damaged below the first block, 5 input or output error.\n");
}

static int misuse(const struct crypt *c, const char *what)
{
    return crypt_fail(c, CRYPT_USAGE, "%s; try --help", what);
}

static int run(struct crypt *c, int argc, char **argv)
{
    static const struct option options[] = {
        {"wrap-key", required_argument, NULL, 'w'},
        {"input", required_argument, NULL, 'i'},
        {"output", required_argument, NULL, 'o'},
        {"path", required_argument, NULL, 'p'},
        {"verify", no_argument, NULL, 'V'},
        {"check", no_argument, NULL, 'c'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *key = NULL, *in = NULL, *out = NULL, *path = NULL;
    bool verify = false, check = false;
    int opt;
    optind = 0;
    while ((opt = getopt_long(argc, argv, c->encrypt ? "w:i:o:p:vh" : "w:i:o:p:vhVc", options,
                              NULL)) != -1) {
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
        case 'p':
            path = optarg;
            break;
        case 'V':
            verify = true;
            break;
        case 'c':
            check = true;
            break;
        case 'v':
            c->verbose = true;
            break;
        case 'h':
            usage(stdout, c->name, c->encrypt);
            return CRYPT_OK;
        default:
            usage(stderr, c->name, c->encrypt);
            return CRYPT_USAGE;
        }
    }
    if (optind < argc)
        return misuse(c, "unexpected argument");
    if (c->encrypt && (verify || check))
        return misuse(c, "--verify and --check belong to decrypt");
    if (!key || !in || (!out && !check))
        return misuse(c, !key ? "-w is missing" : !in ? "-i is missing" : "-o is missing");
    if (out && check)
        return misuse(c, "--check writes nothing, so -o makes no sense with it");
    if (verify && path)
        return misuse(c, "--verify and --path exclude each other");
    int status = crypt_read_key(c, key);
    if (status)
        return status;
    c->manifest_hint = c->verbose;
    if (!path)
        path = c->encrypt ? out : verify ? in : NULL;
    return crypt_run(c, in, out, path);
}

static int run_and_wipe(bool encrypt, int argc, char **argv)
{
    struct crypt c = {.name = argv[0], .encrypt = encrypt, .skip_broken = true};
    crypto_init(0);
    int status = run(&c, argc, argv);
    crypto_wipe(c.key, sizeof(c.key));
    return status;
}

int cmd_encrypt(int argc, char **argv)
{
    return run_and_wipe(true, argc, argv);
}

int cmd_decrypt(int argc, char **argv)
{
    return run_and_wipe(false, argc, argv);
}

static void keygen_usage(FILE *to, const char *name)
{
    fprintf(
        to,
        "Usage: %s [-f] [-w] KEY\n"
        "       %s --signing [-f] [FILE]\n\n"
        "Makes a key file of 16 random bytes, readable by its owner only; with --signing, which\n"
        "comes first, an RSA key for signing enclaves (--signing --help tells more).\n\n"
        "  -f, --force          replace an existing file\n"
        "  -w, --wrap-key KEY   the file to make\n"
        "  -h, --help           show this text\n",
        name, name);
}

int cmd_keygen(int argc, char **argv)
{
    static const struct option options[] = {
        {"wrap-key", required_argument, NULL, 'w'},
        {"force", no_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct crypt c = {.name = argv[0]};
    const char *key = NULL;
    bool force = false;
    int opt;
    optind = 0;
    while ((opt = getopt_long(argc, argv, "w:fh", options, NULL)) != -1) {
        switch (opt) {
        case 'w':
            key = optarg;
            break;
        case 'f':
            force = true;
            break;
        case 'h':
            keygen_usage(stdout, argv[0]);
            return CRYPT_OK;
        default:
            keygen_usage(stderr, argv[0]);
            return CRYPT_USAGE;
        }
    }
    if (!key && optind < argc)
        key = argv[optind++];
    if (!key || optind < argc)
        return misuse(&c, "name one key file");
    int status = crypt_make_key(&c, key, force);
    if (!status)
        fprintf(stderr, "Wrap key saved to: %s\n", key);
    return status;
}

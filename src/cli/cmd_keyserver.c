/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton keyserver: the server, and what looks at its policy and its audit log. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/attest_commands.h"
#include "keyserver/audit.h"
#include "keyserver/server.h"
#include "manifest/input.h"

static void usage(FILE *to)
{
    fputs(
        "Usage: adyton keyserver --policy FILE\n"
        "       adyton keyserver check FILE\n"
        "       adyton keyserver audit verify LOG [--head HEAD] [--public-key PEM]\n"
        "       adyton keyserver report LOG... --output FILE [--last N] [--head HEAD]...\n\n"
        "Gives secrets to the enclaves that a policy names, over RA-TLS, until SIGTERM; SIGHUP\n"
        "takes over a new policy. docs/keyserver.md describes policy, audit log and sources.\n\n"
        "  --policy FILE          who may have what, and how it is served (TOML)\n"
        "  check FILE             says what is wrong with a policy; exit status 0 if nothing\n"
        "  audit verify LOG       follows an audit log; exit status 0 if it is intact\n"
        "      --head HEAD        must be a head of this log: it ends what can be cut off\n"
        "      --public-key PEM   the key that must have signed the head\n"
        "  report LOG...          writes a page (HTML) of who asked and what was decided; exit\n"
        "                         status 1 if a log is broken\n"
        "  -o, --output FILE      the page\n"
        "      --last N           the last N decisions (default 1000); sums are over all\n"
        "      --head HEAD        as above, one for each log (default: LOG.head, if it is there)\n"
        "  -h, --help             show this text\n",
        to);
}

static int wrong(const char *name, const char *what)
{
    fprintf(stderr, "error: %s: %s; --help shows the forms\n", name, what);
    return 2;
}

static int check(const char *name, int argc, char **argv)
{
    if (argc != 2)
        return wrong(name, "check takes one policy");
    struct diag d = {.file = argv[1]};
    char prefix[80];
    struct ks_config *c = ks_config_load(argv[1], &d);
    snprintf(prefix, sizeof(prefix), "error: %s: ", name);
    diag_print_errors(&d, stderr, prefix);
    snprintf(prefix, sizeof(prefix), "warning: %s: ", name);
    diag_print_warnings(&d, stderr, prefix);
    if (c)
        printf("%s: %zu %s\n", argv[1], c->policy->count,
               c->policy->count == 1 ? "secret" : "secrets");
    diag_free(&d);
    ks_config_release(c);
    return c ? 0 : 2;
}

struct audit_request {
    const char *name, *log, *head, *public_key;
};

static bool read_public_key(const struct audit_request *r, uint8_t key[32])
{
    FILE *file = fopen_input(r->public_key);
    EVP_PKEY *p = file ? PEM_read_PUBKEY(file, NULL, NULL, NULL) : NULL;
    size_t len = 32;
    bool ok = p && EVP_PKEY_get_raw_public_key(p, key, &len) == 1 && len == 32;
    EVP_PKEY_free(p);
    if (file)
        fclose(file);
    if (!ok)
        fprintf(stderr,
                "error: %s: '%s' is not an Ed25519 public key in PEM: openssl pkey -in KEY -pubout "
                "makes one\n",
                r->name, r->public_key);
    return ok;
}

static int parse_audit(struct audit_request *r, int argc, char **argv)
{
    static const struct option options[] = {
        {"head", required_argument, NULL, 'H'},
        {"public-key", required_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;
    optind = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h')
            return -1;
        if (c == 'H')
            r->head = optarg;
        else if (c == 'k')
            r->public_key = optarg;
        else
            return 2;
    }
    if (argc - optind != 2 || strcmp(argv[optind], "verify"))
        return wrong(r->name, "audit verify takes one log");
    r->log = argv[optind + 1];
    return 0;
}

/* Exit status of a log that was followed. */
static int tell(const struct audit_request *r, const struct ks_chain *chain,
                const struct ks_head *head)
{
    printf("%s: intact: %" PRIu64 " records", r->log, chain->count);
    if (head->seq)
        printf("; the head of %s signs the first %" PRIu64, head->time, head->seq);
    putchar('\n');
    if (chain->tail_bytes)
        printf("%s: behind them %" PRIu64 " bytes of a record that is not finished (is the server "
               "writing it?)\n",
               r->log, chain->tail_bytes);
    if (!head->seq)
        printf("%s: without --head nobody can tell whether records at its end were cut off\n",
               r->log);
    return 0;
}

static int audit(const char *name, int argc, char **argv)
{
    struct audit_request r = {.name = name};
    struct ks_audit_error error = {0};
    struct ks_head head = {0};
    struct ks_chain chain = {0};
    uint8_t key[32];
    int err = parse_audit(&r, argc, argv);
    if (err < 0)
        usage(stdout);
    if (err)
        return err < 0 ? 0 : err;
    if (r.public_key && !read_public_key(&r, key))
        return 2;
    /* The head first: a server that goes on writing only makes the log longer than it. */
    bool ok = !r.head || ks_head_read(&head, r.head, &error);
    int fd = ok ? open_input(r.log) : -1;
    if (ok && fd < 0) {
        fprintf(stderr, "error: %s: cannot read '%s': %s\n", name, r.log, strerror(errno));
        return 2;
    }
    ok = ok && ks_audit_check(fd, r.head ? &head : NULL, &chain, NULL, NULL, &error);
    if (ok && r.public_key && memcmp(key, chain.public_key, 32) != 0) {
        ok = false;
        snprintf(error.text, sizeof(error.text),
                 "broken at record 1: it was begun with another key than '%.200s'", r.public_key);
    }
    if (fd >= 0)
        close(fd);
    if (ok)
        return tell(&r, &chain, &head);
    printf("%s: %s\n", r.log, error.text);
    return 1;
}

static int serve(const char *name, int argc, char **argv)
{
    static const struct option options[] = {
        {"policy", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *policy = NULL;
    int c;
    optind = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h') {
            usage(stdout);
            return 0;
        }
        if (c != 'p')
            return 2;
        policy = optarg;
    }
    if (optind != argc || !policy)
        return wrong(name, "--policy FILE is needed, and no other argument");
    return ks_serve(name, policy);
}

int cmd_keyserver(int argc, char **argv)
{
    const char *name = argv[0];
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "check"))
        return check(name, argc - 1, argv + 1);
    if (!strcmp(what, "audit"))
        return audit(name, argc - 1, argv + 1);
    if (!strcmp(what, "report"))
        return keyserver_report(name, argc - 1, argv + 1, usage);
    return serve(name, argc, argv);
}

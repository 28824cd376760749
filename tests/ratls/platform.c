/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * ratls-platform DIR [OPTION...]: a test platform that is valid now. Writes DIR/root.pem and
 * DIR/collateral/, prints "ready" and serves quotes at DIR/attestation/{user_report_data,quote},
 * which are FIFOs, to one client at a time until the process that started it ends.
 *
 * Options: out-of-date, sw-hardening, revoked, expired, debug, wrong-report-data, bad-signature,
 * off.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "attest/forge.h"

static const char *dir;

static void save(const char *name, const void *data, size_t size)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *file = fopen(path, "wbe");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) {
        perror(path);
        exit(1);
    }
}

static void make(const char *name, mode_t fifo)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    if ((fifo ? mkfifo(path, fifo) : mkdir(path, 0700)) && errno != EEXIST) {
        perror(path);
        exit(1);
    }
}

static int open_in(const char *name, int flags)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/attestation/%s", dir, name);
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

static void serve(const struct forge *f, struct forge_quote q, bool wrong)
{
    uint8_t data[64];
    size_t got = 0, size;
    ssize_t n = 1;
    int fd = open_in("user_report_data", O_RDONLY);
    while (got < 64 && (n = read(fd, data + got, 64 - got)) > 0)
        got += (size_t)n;
    close(fd);
    if (got < 64)
        return;
    data[5] ^= wrong;
    q.report_data = data;
    uint8_t *quote = forge_make_quote(f, &q, &size);
    fd = open_in("quote", O_WRONLY);
    for (size_t done = 0; done < size && n > 0; done += n > 0 ? (size_t)n : 0)
        n = write(fd, quote + done, size - done);
    close(fd);
    free(quote);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {
        "pck_chain.pem", "pck_crl_issuer_chain.pem", "root_ca_crl.der",  "pck_crl.der",
        "tcb_info.json", "tcb_info_chain.pem",       "qe_identity.json", "qe_identity_chain.pem"};
    int64_t now = time(NULL);
    struct forge_options o = {.valid_until = now + 86400};
    struct forge_quote q = {.padding = 100};
    bool wrong = false, off = false;
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 2; i < argc; i++) {
        const char *a = argv[i];
        if (!strcmp(a, "out-of-date"))
            o.platform_status = "OutOfDate";
        else if (!strcmp(a, "sw-hardening"))
            o.platform_status = "SWHardeningNeeded", o.advisory = "INTEL-SA-90001";
        else if (!strcmp(a, "revoked"))
            o.revoke_leaf = true;
        else if (!strcmp(a, "expired"))
            o.tcb_next_update = now - 10;
        else if (!strcmp(a, "debug"))
            q.debug = true;
        else if (!strcmp(a, "bad-signature"))
            q.bad_quote_signature = true;
        else if (!strcmp(a, "wrong-report-data"))
            wrong = true;
        else if (!strcmp(a, "off"))
            off = true;
        else
            argc = 0;
    }
    if (argc < 2) {
        fprintf(stderr, "usage: ratls-platform DIR [OPTION...]\n");
        return 2;
    }
    dir = argv[1];
    struct forge *f = forge_new(&o);
    adyton_collateral *c = forge_collateral(f);
    make("collateral", 0);
    make("attestation", 0);
    make("attestation/user_report_data", 0600);
    make("attestation/quote", 0600);
    save("attestation/attestation_type", off ? "none" : "dcap", 4);
    save("root.pem", forge_root(f), strlen(forge_root(f)));
    for (int i = 0; i < ADYTON_COLLATERAL_ITEMS; i++) {
        char name[64];
        struct adyton_bytes b = adyton_collateral_get(c, i);
        snprintf(name, sizeof(name), "collateral/%s", names[i]);
        save(name, b.data, b.size);
    }
    puts("ready");
    fflush(stdout);
    for (;;)
        serve(f, q, wrong);
}

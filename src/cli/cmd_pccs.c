/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton pccs --test-platform: the collateral of the software device's test platform over HTTP. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include "cli/sgx_commands.h"
#include "cli/sgx_emu.h"
#include "sgxemu/quoting/pccs.h"

#define DEFAULT_ADDRESS "127.0.0.1:8081"

static void usage(FILE *to)
{
    fputs("Usage: adyton pccs --test-platform [OPTIONS]\n\n"
          "Answers as a PCCS (API versions 3 and 4) for the test platform of the software SGX\n"
          "device, until interrupted. Plain HTTP: everything served is signed. For tests only.\n\n"
          "  --listen ADDRESS:PORT  default " DEFAULT_ADDRESS "; port 0 takes a free one\n"
          "  --fuses FILE           the device's secret (default ~/.local/state/adyton/sgx-fuses)\n"
          "  --platform DIR         the test platform (default: test-platform beside the fuses)\n"
          "  --tcb-status S         say so of the platform: OutOfDate, Revoked, ...\n"
          "  --revoked              say that its PCK certificate is revoked\n",
          to);
}

struct request {
    const char *name, *fuses, *dir, *address, *tcb_status;
    bool test, revoked;
};

static int parse(struct request *r, int argc, char **argv)
{
    static const struct option options[] = {
        {"test-platform", no_argument, NULL, 't'},
        {"listen", required_argument, NULL, 'l'},
        {"fuses", required_argument, NULL, 'f'},
        {"platform", required_argument, NULL, 'p'},
        {"tcb-status", required_argument, NULL, 's'},
        {"revoked", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;
    optind = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h')
            return -1;
        if (c == 't')
            r->test = true;
        else if (c == 'r')
            r->revoked = true;
        else if (c == 's' && sgxemu_is_tcb_status(optarg))
            r->tcb_status = optarg;
        else if (c == 'l')
            r->address = optarg;
        else if (c == 'f')
            r->fuses = optarg;
        else if (c == 'p')
            r->dir = optarg;
        else
            return 2;
    }
    if (optind == argc && r->test)
        return 0;
    fprintf(stderr,
            "error: %s: --test-platform is needed, and no other argument: only the software "
            "device's collateral can be served; for machines with SGX install a PCCS\n",
            r->name);
    return 2;
}

static int serve(const struct request *r, struct test_platform *p)
{
    struct service service = pccs_service;
    struct pccs pccs = {.platform = p};
    unsigned port = 0;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int stop = signalfd(-1, &set, SFD_CLOEXEC);
    int listener = service_listen_tcp(r->address, &port);
    if (listener < 0) {
        fprintf(stderr, "error: %s: cannot listen on '%s': %s%s\n", r->name, r->address,
                strerror(-listener),
                listener == -EINVAL ? ": an address and a port are needed, like " DEFAULT_ADDRESS
                                    : "; --listen names another");
        return listener == -EINVAL ? 2 : 1;
    }
    printf("PCCS of the TEST platform on http://%.*s:%u/sgx/certification/v4/\n",
           (int)(strrchr(r->address, ':') - r->address), r->address, port);
    fflush(stdout);
    service.context = &pccs;
    int err = service_run(&service, listener, stop);
    test_documents_free(&pccs.documents);
    return err ? 1 : 0;
}

int cmd_pccs(int argc, char **argv)
{
    struct request r = {.name = argv[0], .address = DEFAULT_ADDRESS};
    char fuses[PATH_MAX], dir[PATH_MAX];
    struct test_platform *p;
    int err = parse(&r, argc, argv);
    if (err < 0)
        usage(stdout);
    if (err)
        return err < 0 ? 0 : err;
    if (!sgxemu_fuses(r.name, r.fuses, fuses) || !sgxemu_ensure_fuses(r.name, fuses) ||
        !sgxemu_platform_dir(r.name, r.dir, fuses, dir) ||
        !sgxemu_open_platform(r.name, fuses, dir, &p))
        return 1;
    p->tcb_status = r.tcb_status;
    p->revoked = r.revoked;
    err = serve(&r, p);
    test_platform_close(p);
    return err;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton sgxemu setup, serve: the test platform of the software device and its quoting service. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attest/attest.h"
#include "cli/sgx_emu.h"
#include "sgxemu/quoting/aesm.h"

bool sgxemu_platform_dir(const char *name, const char *given, const char *fuses,
                         char path[PATH_MAX])
{
    const char *slash = strrchr(fuses, '/');
    int n = given   ? snprintf(path, PATH_MAX, "%s", given)
            : slash ? snprintf(path, PATH_MAX, "%.*s/test-platform", (int)(slash - fuses), fuses)
                    : snprintf(path, PATH_MAX, "test-platform");
    if (n >= 0 && n < PATH_MAX)
        return true;
    fprintf(stderr, "%s: the path of the test platform is too long\n", name);
    return false;
}

static bool collateral_is_fresh(const char *dir)
{
    char path[PATH_MAX];
    struct stat st;
    const time_t now = time(NULL);
    return !quoting_path(path, dir, "collateral/qe_identity.json") && !stat(path, &st) &&
           st.st_mtime <= now && now - st.st_mtime < 86400;
}

bool sgxemu_open_platform(const char *name, const char *fuses, const char *dir,
                          struct test_platform **p)
{
    struct quoting_error e = {""};
    int r = test_platform_open(dir, fuses, true, p, &e);
    if (!r && !collateral_is_fresh(dir) && (r = test_platform_publish(*p, time(NULL), &e))) {
        test_platform_close(*p);
        *p = NULL;
    }
    if (r)
        fprintf(stderr, "%s: %s\n", name, e.text);
    return !r;
}

/* ---- a service for one program -------------------------------------------------------------- */

/* Everything but the listening socket and `end` goes: whoever reads our caller's output until its
 * end must not wait for us. */
static void let_go(int listener, int end)
{
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        if (null >= 0)
            dup2(null, fd);
    int low = listener < end ? listener : end, high = listener < end ? end : listener;
    if (low > 3)
        syscall(SYS_close_range, 3u, (unsigned)low - 1, 0u);
    if (high > low + 1)
        syscall(SYS_close_range, (unsigned)low + 1, (unsigned)high - 1, 0u);
    syscall(SYS_close_range, (unsigned)high + 1, ~0u, 0u);
}

/* In a process of nobody's, so that the program has no child that it does not know. */
static _Noreturn void be_service(struct test_platform *p, int listener, int end)
{
    struct service service = aesm_service;
    if (setsid() < 0 || fork() != 0)
        _exit(0);
    prctl(PR_SET_NAME, "test-quoting");
    let_go(listener, end);
    service.context = p;
    _exit(service_run(&service, listener, end) ? 1 : 0);
}

bool sgxemu_start_quoting(const char *name, struct test_platform *p, char socket[108])
{
    uint64_t random[2];
    int status, end = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (end < 0 || getrandom(random, sizeof(random), 0) != sizeof(random)) {
        fprintf(stderr, "%s: cannot start the quoting service: %s\n", name, strerror(errno));
        return false;
    }
    snprintf(socket, 108, "@adyton-test-quoting-%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
    int listener = service_listen_abstract(socket + 1);
    pid_t child = listener < 0 ? -1 : fork();
    if (child == 0)
        be_service(p, listener, end);
    int error = listener < 0 ? -listener : child < 0 ? errno : 0;
    if (child > 0)
        waitpid(child, &status, 0);
    if (listener >= 0)
        close(listener);
    close(end);
    if (error)
        fprintf(stderr, "%s: cannot start the quoting service: %s\n", name, strerror(error));
    return !error;
}

bool sgxemu_is_tcb_status(const char *text)
{
    const int status = adyton_tcb_status_from_name(text);
    return status >= ADYTON_TCB_UP_TO_DATE && status <= ADYTON_TCB_REVOKED;
}

/* ---- setup, serve --------------------------------------------------------------------------- */

struct request {
    const char *name;
    const char *fuses, *dir, *socket, *tcb_status;
    bool quiet, revoked;
    char fuses_path[PATH_MAX], dir_path[PATH_MAX];
};

static void usage(FILE *to, bool serve)
{
    if (serve)
        fputs("Usage: adyton sgxemu serve [OPTIONS]\n\n"
              "Runs the quoting service of the software SGX device until interrupted. Programs on\n"
              "the device that connect to the AESM service reach it.\n\n"
              "  --socket PATH   default: aesm.socket of the test platform\n",
              to);
    else
        fputs(
            "Usage: adyton sgxemu setup [OPTIONS]\n\n"
            "Makes the test platform of the software SGX device, if there is none, and renews its\n"
            "collateral: CRLs, TCB info and QE identity, valid for 30 days. It protects "
            "nothing.\n\n"
            "  --quiet         print nothing\n"
            "  --tcb-status S  the collateral says so of the platform: OutOfDate, Revoked, ...\n"
            "  --revoked       it says that the PCK certificate is revoked\n",
            to);
    fputs("  --fuses FILE    the device's secret (default ~/.local/state/adyton/sgx-fuses)\n"
          "  --platform DIR  the test platform (default: test-platform beside the fuse file)\n",
          to);
}

/* 0, or the exit status (-1: show the help). */
static int parse(struct request *r, int argc, char **argv, bool serve)
{
    static const struct option options[] = {
        {"fuses", required_argument, NULL, 'f'},
        {"platform", required_argument, NULL, 'p'},
        {"socket", required_argument, NULL, 's'},
        {"quiet", no_argument, NULL, 'q'},
        {"tcb-status", required_argument, NULL, 't'},
        {"revoked", no_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c;
    argv[0] = (char *)r->name;
    optind = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h')
            return -1;
        if (c == 'f')
            r->fuses = optarg;
        else if (c == 'p')
            r->dir = optarg;
        else if (c == 's' && serve)
            r->socket = optarg;
        else if (c == 'q' && !serve)
            r->quiet = true;
        else if (c == 'r' && !serve)
            r->revoked = true;
        else if (c == 't' && !serve && sgxemu_is_tcb_status(optarg))
            r->tcb_status = optarg;
        else
            return 2;
    }
    if (optind != argc)
        return 2;
    return sgxemu_fuses(r->name, r->fuses, r->fuses_path) &&
                   sgxemu_platform_dir(r->name, r->dir, r->fuses_path, r->dir_path)
               ? 0
               : 1;
}

int sgxemu_setup(int argc, char **argv)
{
    struct request r = {.name = "adyton sgxemu setup"};
    struct quoting_error e = {""};
    struct test_platform *p;
    int err = parse(&r, argc, argv, false);
    if (err < 0 || err == 2) {
        usage(err < 0 ? stdout : stderr, false);
        return err < 0 ? 0 : 2;
    }
    if (err || !sgxemu_ensure_fuses(r.name, r.fuses_path) ||
        !sgxemu_open_platform(r.name, r.fuses_path, r.dir_path, &p))
        return 1;
    p->tcb_status = r.tcb_status;
    p->revoked = r.revoked;
    if (test_platform_publish(p, time(NULL), &e)) {
        fprintf(stderr, "%s: %s\n", r.name, e.text);
        test_platform_close(p);
        return 1;
    }
    if (!r.quiet)
        printf("test platform: %s (protects nothing; for tests only)\n"
               "root for verifiers: %s/root.pem\n"
               "collateral: %s/collateral\n",
               p->dir, p->dir, p->dir);
    test_platform_close(p);
    return fflush(stdout) ? 1 : 0;
}

/* A descriptor that is readable once somebody asks us to end. */
static int stop_descriptor(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL))
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC);
}

int sgxemu_serve(int argc, char **argv)
{
    struct request r = {.name = "adyton sgxemu serve"};
    struct service service = aesm_service;
    struct test_platform *p;
    char path[PATH_MAX];
    int err = parse(&r, argc, argv, true);
    if (err < 0 || err == 2) {
        usage(err < 0 ? stdout : stderr, true);
        return err < 0 ? 0 : 2;
    }
    if (err || !sgxemu_ensure_fuses(r.name, r.fuses_path) ||
        !sgxemu_open_platform(r.name, r.fuses_path, r.dir_path, &p))
        return 1;
    int listener = -ENAMETOOLONG, stop = stop_descriptor();
    if (r.socket)
        snprintf(path, sizeof(path), "%s", r.socket);
    if (r.socket || !quoting_path(path, p->dir, "aesm.socket"))
        listener = service_listen_path(path);
    if (listener < 0) {
        fprintf(stderr, "%s: cannot listen on %s: %s%s\n", r.name, path, strerror(-listener),
                listener == -EADDRINUSE     ? ": a service runs there already, or it is no socket"
                : listener == -ENAMETOOLONG ? ": name a shorter path with --socket, and with --aesm"
                                            : "");
        test_platform_close(p);
        return 1;
    }
    printf("quoting service of the TEST platform on %s\n", path);
    fflush(stdout);
    service.context = p;
    err = service_run(&service, listener, stop);
    unlink(path);
    test_platform_close(p);
    return err ? 1 : 0;
}

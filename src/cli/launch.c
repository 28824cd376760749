/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cli/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/paths.h"
#include "crypto/crypto.h"
#include "libos/vdso/mark.h"
#include "manifest/cache.h"
#include "manifest/insecure.h"

#define TEXT_MAX   (256ll << 20)
#define HASH_CHUNK (64 * 1024)

/* How the application is to run. */
struct mode {
    bool sgx;        /* in an enclave: NAME.manifest.sgx and NAME.sig */
    bool emulate;    /* on the software device */
    bool quotes;     /* the manifest has the enclave ask for quotes */
    bool production; /* not with what gives protection up */
};

static int usage(const char *name, int status)
{
    printf("Usage: %s [--version | --help] [--sgx [--emulate]] [--production] APP [ARGUMENT...]\n",
           name);
    if (!status)
        fputs("\nRuns the application of APP.manifest as an ordinary process, without isolation,\n"
              "or that of APP.manifest.sgx and APP.sig in an SGX enclave.\n"
              "\n"
              "  --sgx           in an enclave (gramine-sgx always does)\n"
              "  --emulate       on the software device, which protects nothing; the same as\n"
              "                  ADYTON_SGX=emulate in the environment\n"
              "  --production    refuse what gives protection up, each with its remedy\n"
              "\n"
              "Whether the arguments reach it is for the manifest to say (loader.argv,\n"
              "loader.argv_src_file, loader.insecure__use_cmdline_argv).\n\n"
              "  GDB=1           in the environment: run under gdb\n"
              "  GDB_SCRIPT=FILE with it: run the commands in FILE, then end\n"
              "  PERF=1          run under 'perf stat'\n\n"
              "The exit status is the application's.\n",
              stdout);
    return status;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), len = strlen(end);
    return n > len && !strcmp(s + n - len, end);
}

static int missing_manifest(const char *name, const char *app, const char *path, bool sgx)
{
    if (app[0] == '-') {
        fprintf(stderr, "error: unknown option '%s'; '%s --help' lists the options\n", app, name);
        return 2;
    }
    fprintf(stderr,
            "error: invalid application path '%s' (no readable file '%s')\n"
            "The path must be the common prefix of the application's configuration files:\n",
            app, path);
    const char *dot = ends_with(app, ".template")       ? ".manifest.template"
                      : ends_with(app, ".manifest.sgx") ? ".manifest.sgx"
                                                        : ".manifest";
    if (ends_with(app, dot))
        fprintf(stderr, "write '%.*s', without '%s'.\n", (int)(strlen(app) - strlen(dot)), app,
                dot);
    else if (sgx)
        fputs("for 'NAME.manifest.sgx', made by gramine-sgx-sign, write NAME.\n", stderr);
    else
        fputs("for 'NAME.manifest', made by gramine-manifest, write NAME.\n", stderr);
    return 2;
}

/*
 * What the library OS cannot start without. A limit that is lower is raised, if it may be; what the
 * application sees of limits is the library OS's decision.
 */
static int raise_limits(void)
{
    static const struct {
        int which;
        rlim_t least, unit;
        const char *what;
    } limits[] = {
        {RLIMIT_NOFILE, 16, 1, "open files (ulimit -n)"},
        {RLIMIT_DATA, 16 << 20, 1 << 10, "data in KiB (ulimit -d)"},
        {RLIMIT_AS, 320 << 20, 1 << 10, "the address space in KiB (ulimit -v)"},
    };
    for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
        struct rlimit now;
        rlim_t least = limits[i].least, unit = limits[i].unit;
        if (getrlimit(limits[i].which, &now) || now.rlim_cur >= least)
            continue;
        rlim_t had = now.rlim_cur;
        now.rlim_cur = least;
        if (now.rlim_max >= least && !setrlimit(limits[i].which, &now))
            continue;
        fprintf(stderr,
                "error: the limit of %s is %llu, the library OS needs at least %llu; raise it\n",
                limits[i].what, (unsigned long long)(had / unit),
                (unsigned long long)(least / unit));
        return -1;
    }
    return 0;
}

/* Hashes the text through a small buffer, so that a manifest of megabytes costs no page faults. */
static int hash_text(int fd, uint8_t digest[32])
{
    static char chunk[HASH_CHUNK] __attribute__((aligned(64)));
    struct sha256 ctx;
    long long total = 0;
    ssize_t n;
    sha256_init(&ctx);
    while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        total += n;
        if (total > TEXT_MAX)
            return -EFBIG;
        sha256_update(&ctx, chunk, (size_t)n);
    }
    sha256_final(&ctx, digest);
    return 0;
}

/* Has the tools compile the text (and fill the cache): a sealed memfd, or -1 after a message. */
static int compile(const char *path, const uint8_t digest[32], struct mf_image *image)
{
    static char tools[PATH_MAX];
    char number[16];
    int fd = memfd_create("adyton-manifest", MFD_ALLOW_SEALING), status;
    if (fd < 0 || private_path(tools, sizeof(tools), "adyton-tools")) {
        fprintf(stderr, "error: cannot prepare the manifest: %s\n", strerror(errno));
        return -1;
    }
    snprintf(number, sizeof(number), "%d", fd);
    pid_t child = fork();
    if (!child) {
        execl(tools, "adyton-tools", "compile-manifest", path, number, (char *)NULL);
        fprintf(stderr, "error: cannot execute '%s': %s\n", tools, strerror(errno));
        _exit(1);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (child < 0 || !WIFEXITED(status)) {
        fprintf(stderr,
                "error: cannot read the manifest '%s': '%s' %s%s; are limits too low (ulimit)?\n",
                path, tools, child < 0 ? "could not be started: " : "was ended by the signal ",
                child < 0 ? strerror(errno) : strsignal(WTERMSIG(status)));
        return -1;
    }
    if (WEXITSTATUS(status)) /* it has said why */
        return -1;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)) {
        fprintf(stderr, "error: cannot seal the compiled manifest: %s\n", strerror(errno));
        return -1;
    }
    if (cache_check(fd, digest, image)) {
        fprintf(stderr, "error: '%s' changed while it was read; start again\n", path);
        return -1;
    }
    return fd;
}

/* The compiled form of the manifest at `path`: a descriptor without close-on-exec, or the negative
 * of an exit status after a message. */
static int open_manifest(const char *name, const char *app, const char *path, bool sgx,
                         struct mf_image *image)
{
    struct stat st;
    uint8_t digest[32];
    int text = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (text < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
        fprintf(stderr, "error: cannot open the manifest '%s': %s\n", path, strerror(errno));
        return -1;
    }
    if (text < 0 || fstat(text, &st) || !S_ISREG(st.st_mode))
        return -missing_manifest(name, app, path, sgx);
    if (st.st_size > HASH_CHUNK) /* for less, asking the CPU takes longer than it saves */
        crypto_init(0);
    int rc = hash_text(text, digest);
    close(text);
    if (rc == -EFBIG) {
        fprintf(stderr, "error: the manifest '%s' is larger than %lld MiB\n", path, TEXT_MAX >> 20);
        return -1;
    }
    if (rc) {
        fprintf(stderr, "error: cannot read the manifest '%s': %s\n", path, strerror(-rc));
        return -1;
    }
    int fd = cache_open(digest, image);
    if (fd < 0)
        return compile(path, digest, image);
    fcntl(fd, F_SETFD, 0);
    return fd;
}

/* The rules of argument passing; returns how many of the user's arguments go on, or -1. */
static int accepted_arguments(const struct mf_image *image, const char *path, int count)
{
    switch (image->argv_mode) {
    case MF_ARGV_CMDLINE:
        return count;
    case MF_ARGV_NONE:
        if (!count)
            return 0;
        fprintf(
            stderr,
            "error: argv handling wasn't configured in the manifest, but cmdline arguments were "
            "specified: in '%s' set one of loader.argv, loader.argv_src_file and "
            "loader.insecure__use_cmdline_argv\n",
            path);
        return -1;
    default:
        if (count && image->log_level >= MF_LOG_ERROR)
            fprintf(stderr,
                    "error: the command-line arguments are ignored: '%s' sets loader.argv or "
                    "loader.argv_src_file\n",
                    path);
        return 0;
    }
}

/* GDB=1, GDB_SCRIPT=file and PERF=1 put another program in front. */
static int wrapper(char **argv)
{
    const char *gdb = getenv("GDB"), *perf = getenv("PERF");
    char *script = getenv("GDB_SCRIPT");
    int n = 0;
    if (gdb && !strcmp(gdb, "1")) {
        argv[n++] = "gdb";
        argv[n++] = "-q";
        if (script) {
            argv[n++] = "-batch";
            argv[n++] = "-x";
            argv[n++] = script;
        }
        argv[n++] = "--args";
    } else if (perf && !strcmp(perf, "1")) {
        argv[n++] = "perf";
        argv[n++] = "stat";
    }
    return n;
}

/* The library OS's image by ADYTON_PLATFORM, or NULL after a message. */
static const char *image_name(void)
{
    const char *wanted = getenv("ADYTON_PLATFORM");
    if (!wanted || !strcmp(wanted, "direct"))
        return "adyton-direct";
    if (strcmp(wanted, "closed") != 0) {
        fprintf(stderr, "error: ADYTON_PLATFORM is '%s'; it may be 'direct' or 'closed'\n", wanted);
        return NULL;
    }
    fputs("ADYTON_PLATFORM=closed is for tests of the library OS: it protects nothing\n", stderr);
    return "adyton-closed";
}

/* Puts what goes in front of the runtime into argv: the software device, a debugger, nothing. */
static int front_of(char **argv, const struct mode *mode)
{
    static char tools[PATH_MAX];
    int n = mode->sgx ? 0 : wrapper(argv);
    if (!mode->sgx || !mode->emulate)
        return n;
    if (private_path(tools, sizeof(tools), "adyton-tools"))
        return -1;
    argv[n++] = tools;
    argv[n++] = "sgxemu";
    if (mode->quotes)
        argv[n++] = "--quoting";
    return n;
}

static int execute(int manifest, int trees, const char *app, char **args, int count,
                   const struct mode *mode)
{
    static char runtime[PATH_MAX];
    char first[16], second[16];
    char **argv = calloc((size_t)count + 16, sizeof(*argv));
    const char *image = mode->sgx ? "adyton-sgx" : image_name();
    if (!image)
        return 2;
    int front = argv ? front_of(argv, mode) : -1, n = front;
    if (front < 0 || private_path(runtime, sizeof(runtime), image)) {
        fprintf(stderr, "error: cannot find the library OS in ../lib/adyton beside the program: is "
                        "/proc mounted?\n");
        return 1;
    }
    if (access(runtime, X_OK)) {
        printf("error: the library OS '%s' is missing or not executable; is the installation "
               "complete?\n",
               runtime);
        return 1;
    }
    snprintf(first, sizeof(first), "%d", manifest);
    snprintf(second, sizeof(second), "%d", trees);
    argv[n++] = front ? runtime : (char *)image;
    argv[n++] = "run";
    argv[n++] = first;
    argv[n++] = second;
    argv[n++] = (char *)app;
    memcpy(argv + n, args, (size_t)count * sizeof(*argv));
    if (front)
        execvp(argv[0], argv);
    else
        execv(runtime, argv);
    fprintf(stderr, "error: cannot execute '%s': %s\n", front ? argv[0] : runtime, strerror(errno));
    return 1;
}

/* Takes the options before APP; how many arguments they are. */
static int take_options(int argc, char **argv, struct mode *mode)
{
    const char *wanted = getenv("ADYTON_SGX");
    int n = 1;
    for (; n < argc; n++) {
        if (!strcmp(argv[n], "--sgx"))
            mode->sgx = true;
        else if (!strcmp(argv[n], "--production"))
            mode->production = true;
        else if (!strcmp(argv[n], "--emulate"))
            mode->sgx = mode->emulate = true;
        else
            break;
    }
    if (wanted && !strcmp(wanted, "emulate"))
        mode->emulate = true;
    return n - 1;
}

/* --production: each option that gives protection up is a reason not to start. */
static bool fit_for_production(const struct mf_image *image, const char *path,
                               const struct mode *mode)
{
    const struct mf_insecure *option;
    size_t n = 0;
    for (; (option = mf_insecure(image, n)); n++)
        fprintf(stderr, "error: --production: '%s' sets %s: %s; %s\n", path, option->key,
                option->why, option->remedy);
    if (!mode->sgx || mode->emulate)
        fprintf(stderr,
                "error: --production: %s protects nothing; use --sgx on a processor with SGX\n",
                mode->sgx ? "the software SGX device" : "a run without an enclave");
    return !n && mode->sgx && !mode->emulate;
}

static int open_trees(const char *path)
{
    struct stat st;
    int trees = open(path, O_RDONLY | O_NONBLOCK);
    if (trees >= 0 && (fstat(trees, &st) || !S_ISREG(st.st_mode))) {
        close(trees);
        trees = -1;
    }
    return trees;
}

int launch(int argc, char **argv, bool sgx)
{
    struct mode mode = {.sgx = sgx};
    int options = take_options(argc, argv, &mode);
    const char *name = argv[0];
    argc -= options;
    argv += options;
    if (argc < 2 || !*argv[1])
        return usage(name, 2);
    const char *app = argv[1];
    if (!strcmp(app, "--help") || !strcmp(app, "-h"))
        return usage(name, 0);
    if (vdso_is_ours((const Elf64_Ehdr *)getauxval(AT_SYSINFO_EHDR))) {
        fprintf(stderr, "error: " INSIDE_ALREADY "\n");
        return 1;
    }
    static char path[PATH_MAX];
    struct mf_image image;
    if ((size_t)snprintf(path, sizeof(path), "%s.manifest%s", app, mode.sgx ? ".sgx" : "") >=
        sizeof(path) - 8)
        return missing_manifest(name, app, path, mode.sgx);
    if (raise_limits())
        return 1;
    int manifest = open_manifest(name, app, path, mode.sgx, &image);
    if (manifest < 0)
        return -manifest;
    if (mode.production && !fit_for_production(&image, path, &mode))
        return 1;
    int count = accepted_arguments(&image, path, argc - 2);
    if (count < 0)
        return 1;
    mode.quotes = image.sgx_attestation == MF_ATTEST_DCAP;
    strcat(path, ".trees");
    return execute(manifest, open_trees(path), app, argv + 2, count, &mode);
}

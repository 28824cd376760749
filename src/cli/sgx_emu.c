/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * adyton sgxemu [OPTIONS] PROGRAM [ARGS...]: finds the program, makes sure of the
 * fuse file and starts the resident device in this process.
 */
#include "cli/sgx_commands.h"
#include "cli/sgx_emu.h"
#include "cli/paths.h"
#include "sgxemu/quoting/quoting.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/limits.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(FUSES_SIZE == SGX_FUSES_SIZE, "the device reads as much");

extern char **environ;

static void usage(FILE *to, const char *name)
{
    fprintf(
        to,
        "Usage: %s [OPTIONS] PROGRAM [ARGS...]\n"
        "       %s setup|serve|quote [OPTIONS]\n\n"
        "Runs a program on the software SGX device: it finds /dev/sgx_enclave and ENCLU as on a\n"
        "machine with SGX2. For development and tests: it protects nothing.\n\n"
        "  --inject-aex MICROSECONDS\n"
        "                interrupt enclaves at random times, this far apart on average\n"
        "  --no-rewrite  leave every ENCLU trapping (slow; the program text is not changed)\n"
        "  --stats       count transitions and print the numbers at the end\n"
        "  --fuses FILE  the platform's secret (default ~/.local/state/adyton/sgx-fuses)\n"
        "  --quoting     run a quoting service for this program, with the test platform\n"
        "  --aesm SOCKET where connections to the AESM service go (default: aesm.socket of the\n"
        "                test platform, if it is there)\n"
        "  --platform DIR\n"
        "                the test platform (default: test-platform beside the fuse file)\n"
        "  --quiet       do not print the notice that the device gives no confidentiality\n\n"
        "  setup         make the test platform, whose quotes verify where its root is named\n"
        "  serve         run its quoting service (the AESM protocol) until interrupted\n"
        "  quote         make a quote for given report data, without an enclave\n"
        "A program of such a name is run by its path.\n",
        name, name);
}

/* By the XDG rules; without HOME, below the home directory of the user database. */
static int default_fuses(char *path, size_t len)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (!home || home[0] != '/') {
        const struct passwd *user = getpwuid(geteuid());
        home = user && user->pw_dir && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
    }
    if (state && state[0] == '/')
        n = snprintf(path, len, "%s/adyton/sgx-fuses", state);
    else if (home)
        n = snprintf(path, len, "%s/.local/state/adyton/sgx-fuses", home);
    else
        return -ENOENT;
    return n < 0 || (size_t)n >= len ? -ENAMETOOLONG : 0;
}

static void make_parents(const char *path)
{
    char dir[PATH_MAX];
    snprintf(dir, sizeof(dir), "%s", path);
    for (char *at = strchr(dir + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(dir, 0700);
        *at = '/';
    }
}

/* What is wrong with an existing fuse file; NULL: nothing. */
static const char *check_fuses(const char *path, const struct stat *st)
{
    static char text[64];
    unsigned char secret[FUSES_SIZE], any = 0;
    if (!S_ISREG(st->st_mode))
        return "it is not a regular file";
    if (st->st_size != FUSES_SIZE) {
        snprintf(text, sizeof(text), "it has %lld bytes, not %d", (long long)st->st_size,
                 FUSES_SIZE);
        return text;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return strerror(errno);
    const bool whole = read(fd, secret, sizeof(secret)) == sizeof(secret);
    close(fd);
    for (size_t i = 0; i < sizeof(secret); i++)
        any |= secret[i];
    explicit_bzero(secret, sizeof(secret));
    return !whole ? "it cannot be read" : !any ? "it holds zeros only" : NULL;
}

/* Creates the file once; two starters at the same moment agree on one. */
static int create_fuses(const char *path)
{
    char temporary[PATH_MAX + 32];
    unsigned char secret[FUSES_SIZE];
    make_parents(path);
    snprintf(temporary, sizeof(temporary), "%s.%ld", path, (long)getpid());
    if (getrandom(secret, sizeof(secret), 0) != sizeof(secret))
        return -errno;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = write(fd, secret, sizeof(secret)) == sizeof(secret) && fsync(fd) == 0 ? 0 : -EIO;
    close(fd);
    if (r == 0 && link(temporary, path) < 0 && errno != EEXIST)
        r = -errno;
    unlink(temporary);
    explicit_bzero(secret, sizeof(secret));
    return r;
}

bool sgxemu_ensure_fuses(const char *name, const char *path)
{
    struct stat st;
    int r = 0;
    if (stat(path, &st) == 0) {
        const char *wrong = check_fuses(path, &st);
        if (wrong)
            fprintf(stderr,
                    "%s: the fuse file %s is unusable: %s; remove it to get a new platform (what "
                    "was sealed on the old one is then lost), or name another with --fuses\n",
                    name, path, wrong);
        return !wrong;
    }
    if (errno != ENOENT)
        r = -errno;
    else
        r = create_fuses(path);
    if (r < 0)
        fprintf(stderr, "%s: cannot make the fuse file %s: %s; name another with --fuses\n", name,
                path, strerror(-r));
    return r == 0;
}

/* As execvp() looks for it. */
static int find_program(const char *name, char *path, size_t len)
{
    const char *dirs = getenv("PATH");
    if (strchr(name, '/')) {
        snprintf(path, len, "%s", name);
        return access(path, X_OK) == 0 ? 0 : -errno;
    }
    if (!dirs)
        dirs = "/bin:/usr/bin";
    int error = -ENOENT;
    while (*dirs) {
        size_t n = strcspn(dirs, ":");
        snprintf(path, len, "%.*s%s%s", (int)n, dirs, n ? "/" : "", name);
        struct stat st;
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            if (access(path, X_OK) == 0)
                return 0;
            error = -errno;
        }
        dirs += n + (dirs[n] == ':');
    }
    return error;
}

/* `#!`: the device loads programs; the interpreter is the program then. Returns the new argv. */
static char **resolve_script(char *path, size_t len, char **argv)
{
    for (int depth = 0; depth < 5; depth++) {
        char head[256] = "";
        FILE *file = fopen(path, "re");
        if (!file || !fgets(head, sizeof(head), file) || strncmp(head, "#!", 2) != 0) {
            if (file)
                fclose(file);
            return argv;
        }
        fclose(file);
        head[strcspn(head, "\n")] = '\0';
        char *save = NULL, *interp = strtok_r(head + 2, " \t", &save);
        char *arg = save ? save + strspn(save, " \t") : NULL;
        if (!interp)
            return argv;
        size_t argc = 0, n = 0;
        while (argv[argc])
            argc++;
        char **more = calloc(argc + 4, sizeof(*more));
        if (!more)
            return argv;
        more[n++] = strdup(interp);
        if (arg && *arg)
            more[n++] = strdup(arg);
        more[n++] = strdup(path);
        for (size_t i = 1; i < argc; i++)
            more[n++] = argv[i];
        snprintf(path, len, "%s", more[0]);
        argv = more;
    }
    return argv;
}

bool sgxemu_fuses(const char *name, const char *given, char path[PATH_MAX])
{
    if (given && strlen(given) < PATH_MAX) {
        strcpy(path, given);
        return true;
    }
    if (!given && default_fuses(path, PATH_MAX) == 0)
        return true;
    fprintf(stderr,
            given ? "%s: the name of the fuse file is too long\n"
                  : "%s: no place for the fuse file: neither XDG_STATE_HOME nor HOME is set, and "
                    "this user has no home directory; name a file with --fuses\n",
            name);
    return false;
}

static int start(const char *name, const char *fuses, bool stats, char **argv)
{
    char path[PATH_MAX], device[PATH_MAX], absolute[PATH_MAX];
    int r = find_program(argv[0], path, sizeof(path));
    if (r < 0) {
        fprintf(stderr, "%s: cannot execute %s: %s\n", name, argv[0], strerror(-r));
        return r == -ENOENT ? 127 : 126;
    }
    argv = resolve_script(path, sizeof(path), argv);
    if (!realpath(fuses, absolute)) {
        fprintf(stderr, "%s: cannot find the fuse file %s: %s\n", name, fuses, strerror(errno));
        return 1;
    }
    if (private_path(device, sizeof(device), "adyton-sgxemu") < 0) {
        fprintf(stderr, "%s: cannot find lib/adyton/adyton-sgxemu beside the program\n", name);
        return 1;
    }
    setenv("ADYTON_SGXEMU_EXE", path, 1);
    setenv("ADYTON_SGXEMU_FUSES", absolute, 1);
    setenv("ADYTON_SGXEMU_STATS", stats ? "1" : "0", 1);
    execve(device, argv, environ);
    fprintf(stderr, "%s: cannot start %s: %s\n", name, device, strerror(errno));
    return 1;
}

static bool valid_interval(const char *text)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && v >= 10 && v <= 1000000;
}

/* Where connect() to the AESM service leads: nowhere else when there is no test platform. */
static bool set_aesm(const char *name, const char *fuses, const char *dir, const char *given,
                     bool quoting)
{
    char path[PATH_MAX], absolute[PATH_MAX], socket[108];
    struct test_platform *p;
    bool ok = true;
    unsetenv("ADYTON_SGXEMU_AESM");
    if (!sgxemu_platform_dir(name, dir, fuses, path))
        return false;
    if (quoting) {
        if (!sgxemu_open_platform(name, fuses, path, &p))
            return false;
        ok = sgxemu_start_quoting(name, p, socket);
        test_platform_close(p);
        if (ok)
            setenv("ADYTON_SGXEMU_AESM", socket, 1);
        return ok;
    }
    if (!given && quoting_path(absolute, path, "aesm.socket"))
        return true;
    if (!realpath(given ? given : absolute, path)) {
        if (given)
            fprintf(stderr, "%s: there is no socket %s (%s): `adyton sgxemu serve` makes one\n",
                    name, given, strerror(errno));
        return !given;
    }
    if (strlen(path) >= sizeof(socket)) {
        fprintf(stderr, "%s: the path of the socket %s is longer than %zu bytes\n", name, path,
                sizeof(socket) - 1);
        return false;
    }
    setenv("ADYTON_SGXEMU_AESM", path, 1);
    return true;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} subcommands[] = {{"setup", sgxemu_setup}, {"serve", sgxemu_serve}, {"quote", sgxemu_quote}};

int cmd_sgxemu(int argc, char **argv)
{
    static const struct option options[] = {
        {"stats", no_argument, NULL, 's'},
        {"fuses", required_argument, NULL, 'f'},
        {"inject-aex", required_argument, NULL, 'i'},
        {"quiet", no_argument, NULL, 'q'},
        {"no-rewrite", no_argument, NULL, 'R'},
        {"quoting", no_argument, NULL, 'Q'},
        {"aesm", required_argument, NULL, 'a'},
        {"platform", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    char path[PATH_MAX];
    const char *fuses = NULL, *inject = "0", *aesm = NULL, *platform = NULL;
    bool stats = false, quiet = false, quoting = false;
    int c;
    for (size_t i = 0; argc > 1 && i < sizeof(subcommands) / sizeof(*subcommands); i++)
        if (!strcmp(argv[1], subcommands[i].name))
            return subcommands[i].run(argc - 1, argv + 1);
    optind = 0;
    setenv("ADYTON_SGXEMU_REWRITE", "1", 1);
    while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (c == 'h') {
            usage(stdout, argv[0]);
            return 0;
        }
        if (c == 's') {
            stats = true;
        } else if (c == 'f') {
            fuses = optarg;
        } else if (c == 'i' && valid_interval(optarg)) {
            inject = optarg;
        } else if (c == 'R') {
            setenv("ADYTON_SGXEMU_REWRITE", "0", 1);
        } else if (c == 'q') {
            quiet = true;
        } else if (c == 'Q') {
            quoting = true;
        } else if (c == 'a') {
            aesm = optarg;
        } else if (c == 'p') {
            platform = optarg;
        } else {
            usage(stderr, argv[0]);
            return 2;
        }
    }
    if (optind == argc) {
        usage(stderr, argv[0]);
        return 2;
    }
    if (!sgxemu_fuses(argv[0], fuses, path) || !sgxemu_ensure_fuses(argv[0], path) ||
        !set_aesm(argv[0], path, platform, aesm, quoting))
        return 1;
    if (!quiet)
        fprintf(stderr, "adyton sgxemu: software SGX device: NO confidentiality, NO integrity; for "
                        "development and tests only\n");
    char hex[20];
    snprintf(hex, sizeof(hex), "%lx", strtoul(inject, NULL, 10));
    setenv("ADYTON_SGXEMU_INJECT", hex, 1);
    return start(argv[0], path, stats, argv + optind);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* gramine-manifest: render a template, check it, hash the trusted files, write the manifest. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/paths.h"
#include "cli/tools.h"
#include "manifest/cache.h"
#include "manifest/compile.h"
#include "manifest/defaults.h"
#include "manifest/input.h"
#include "manifest/schema.h"
#include "manifest/toml.h"
#include "manifest/tree.h"
#include "manifest/trusted.h"

#define PYTHON       "/usr/bin/python3"
#define TEMPLATE_MAX (64u << 20)

struct request {
    const char *command; /* as shown */
    const char *string;  /* -c, else NULL */
    const char *input;   /* INFILE, "-" for standard input */
    const char *output;  /* OUTFILE, NULL for standard output */
    const char *chroot;
    bool check, compat;
    char **defines;
    size_t define_count;
};

static int usage(const char *command, FILE *out, int status)
{
    fprintf(
        out,
        "Usage: %s [OPTION]... {-c TEMPLATE | INFILE} [OUTFILE]\n"
        "Renders a manifest template, checks it and hashes the trusted files.\n"
        "\n"
        "  -c, --string TEMPLATE     the template itself instead of INFILE ('-': standard "
        "input)\n"
        "  -D, --define KEY[=VALUE]  a variable of the template; true without a value\n"
        "      --check, --no-check   whether to check the keys (default: check)\n"
        "      --chroot DIR          look the trusted files up below DIR\n"
        "      --compat              write no Merkle trees, for other readers of the manifest\n",
        command);
    return status;
}

/* 0, or the exit status (1 more) to end with. */
static int parse_options(int argc, char **argv, struct request *r)
{
    enum { CHECK = 256, NO_CHECK, CHROOT, COMPAT, HELP };
    static const struct option options[] = {
        {"string", required_argument, NULL, 'c'},    {"define", required_argument, NULL, 'D'},
        {"check", no_argument, NULL, CHECK},         {"no-check", no_argument, NULL, NO_CHECK},
        {"chroot", required_argument, NULL, CHROOT}, {"compat", no_argument, NULL, COMPAT},
        {"help", no_argument, NULL, HELP},           {0}};
    int opt;
    while ((opt = getopt_long(argc, argv, "c:D:", options, NULL)) != -1) {
        switch (opt) {
        case 'c':
            r->string = optarg;
            break;
        case 'D':
            r->defines[r->define_count++] = optarg;
            break;
        case CHECK:
        case NO_CHECK:
            r->check = opt == CHECK;
            break;
        case CHROOT:
            r->chroot = optarg;
            break;
        case COMPAT:
            r->compat = true;
            break;
        case HELP:
            return 1 + usage(argv[0], stdout, 0);
        default:
            return 1 + usage(argv[0], stderr, 2);
        }
    }
    if (!r->string && optind < argc)
        r->input = argv[optind++];
    if (optind < argc)
        r->output = argv[optind++];
    if (optind < argc || !r->string == !r->input) {
        fprintf(stderr, "error: %s: give either -c TEMPLATE or INFILE, then at most one OUTFILE\n",
                argv[0]);
        return 1 + usage(argv[0], stderr, 2);
    }
    if (r->output && !strcmp(r->output, "-"))
        r->output = NULL;
    return 0;
}

static const char *input_name(const struct request *r)
{
    return r->string ? "<string>" : strcmp(r->input, "-") ? r->input : "<stdin>";
}

static bool read_template(const struct request *r, struct buffer *out)
{
    if (r->string) {
        buffer_text(out, r->string);
        return true;
    }
    bool standard = !strcmp(r->input, "-");
    int fd = standard ? STDIN_FILENO : open_input(r->input);
    int rc = fd < 0 ? -errno : read_all(fd, out, TEMPLATE_MAX);
    if (fd >= 0 && !standard)
        close(fd);
    if (rc == -EFBIG)
        fprintf(stderr, "error: %s: the template '%s' is larger than %u MiB\n", r->command,
                input_name(r), TEMPLATE_MAX >> 20);
    else if (rc)
        fprintf(stderr, "error: %s: cannot read the template '%s': %s\n", r->command, input_name(r),
                strerror(-rc));
    return !rc;
}

static void run_renderer(const struct request *r, bool map, int in, int out)
{
    char script[PATH_MAX], lib[PATH_MAX], max[16];
    char **argv = calloc(r->define_count + 9, sizeof(*argv));
    if (!argv || private_path(script, sizeof(script), "render.py") ||
        private_path(lib, sizeof(lib), "") || dup2(in, STDIN_FILENO) < 0 ||
        dup2(out, STDOUT_FILENO) < 0)
        _exit(1);
    snprintf(max, sizeof(max), "%u", TOML_TEXT_MAX);
    size_t n = 0;
    argv[n++] = PYTHON;
    argv[n++] = "-I";
    argv[n++] = script;
    if (map)
        argv[n++] = "--map";
    argv[n++] = (char *)input_name(r);
    argv[n++] = lib;
    argv[n++] = max;
    memcpy(argv + n, r->defines, r->define_count * sizeof(*argv));
    execv(PYTHON, argv);
    fprintf(stderr, "cannot execute " PYTHON ": %s; install python3\n", strerror(errno));
    _exit(1);
}

/* Renders `template`; with `map`, yields the lines' origins instead. Errors go to stderr. */
static bool render(const struct request *r, const struct buffer *template, bool map,
                   struct buffer *out)
{
    int in = memfd_create("template", MFD_CLOEXEC), pipes[2], errors[2], status = -1;
    if (in < 0 || write_all(in, template->data, template->len) || lseek(in, 0, SEEK_SET) ||
        pipe2(pipes, O_CLOEXEC) || pipe2(errors, O_CLOEXEC)) {
        fprintf(stderr, "error: %s: cannot start the renderer: %s\n", r->command, strerror(errno));
        return false;
    }
    pid_t child = fork();
    if (!child) {
        dup2(errors[1], STDERR_FILENO);
        run_renderer(r, map, in, pipes[1]);
    }
    close(in);
    close(pipes[1]);
    close(errors[1]);
    struct buffer message = {0};
    int rc = child < 0 ? -errno : read_all(pipes[0], out, 2u * TOML_TEXT_MAX);
    close(pipes[0]);
    read_all(errors[0], &message, 1u << 20);
    close(errors[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    bool ok = !rc && !status;
    if (!ok && !map && message.len)
        fprintf(stderr, "error: %.*s", (int)message.len, message.data);
    else if (!ok && !map)
        fprintf(stderr, "error: %s: the renderer failed\n", r->command);
    buffer_free(&message);
    return ok;
}

/* Lets `d` name lines of the template, where they can be told. */
static void map_lines(const struct request *r, const struct buffer *template, struct diag *d)
{
    struct buffer text = {0};
    if ((!d->error_count && !d->warning_count) || !render(r, template, true, &text))
        return;
    buffer_add(&text, "", 1);
    unsigned *lines = arena_alloc(&d->arena, text.len * sizeof(*lines)), count = 0;
    for (char *p = text.data, *end; *p; p = end + 1) {
        lines[count++] = (unsigned)strtoul(p, &end, 10);
        if (*end != '\n')
            break;
    }
    d->line_map = lines;
    d->line_map_count = count;
    buffer_free(&text);
}

/* Where the interiors of the trees go: beside the manifest, if that is a file. */
static bool sidecar_path(const struct request *r, char *out, size_t cap)
{
    char target[PATH_MAX];
    const char *base = r->output;
    struct stat st;
    if (!base) {
        ssize_t n = readlink("/proc/self/fd/1", target, sizeof(target) - 1);
        if (n <= 0 || fstat(STDOUT_FILENO, &st) || !S_ISREG(st.st_mode) || !st.st_nlink)
            return false;
        target[n] = '\0';
        base = target;
    } else if (!stat(base, &st) && !S_ISREG(st.st_mode)) {
        return false;
    }
    return snprintf(out, cap, "%s.trees", base) < (int)cap;
}

/* An old sidecar of a manifest that has no trees any more is removed, if it is one. */
static void remove_sidecar(const char *path)
{
    char magic[8];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return;
    bool ours = read(fd, magic, sizeof(magic)) == sizeof(magic) &&
                !memcmp(magic, TREES_MAGIC, sizeof(magic));
    close(fd);
    if (ours)
        unlink(path);
}

static int write_outputs(const struct request *r, const struct buffer *text,
                         const struct buffer *sidecar)
{
    char trees[PATH_MAX];
    bool beside = sidecar_path(r, trees, sizeof(trees));
    int rc = beside && sidecar->len ? replace_file(trees, sidecar->data, sidecar->len) : 0;
    if (rc) {
        fprintf(stderr, "error: %s: cannot write '%s': %s\n", r->command, trees, strerror(-rc));
        return 1;
    }
    if (beside && !sidecar->len)
        remove_sidecar(trees);
    rc = r->output ? replace_file(r->output, text->data, text->len)
                   : write_all(STDOUT_FILENO, text->data, text->len);
    if (rc) {
        fprintf(stderr, "error: %s: cannot write '%s': %s\n", r->command,
                r->output ? r->output : "<stdout>", strerror(-rc));
        return 1;
    }
    return 0;
}

/* The first start need not parse what was just written. */
static void fill_cache(struct arena *a, const struct dom *root, const struct buffer *text)
{
    struct diag quiet = {.file = ""};
    struct buffer block = {0};
    uint8_t digest[32];
    SHA256((const unsigned char *)text->data, text->len, digest);
    if (schema_check(a, root, SCHEMA_RUN, &quiet) &&
        manifest_compile(root, digest, text->len, &block, &quiet))
        cache_store(block.data, block.len);
    buffer_free(&block);
    diag_free(&quiet);
}

/* From the parsed text to the complete tree; what it says about errors goes to `d`. */
static bool complete(const struct request *r, struct arena *a, struct dom *root,
                     struct buffer *sidecar, struct diag *d)
{
    char libos[PATH_MAX];
    bool ok = schema_modernise(a, root, d);
    if (r->check)
        ok &= schema_check(a, root, SCHEMA_TOOL, d);
    if (!ok || private_path(libos, sizeof(libos), "adyton-direct"))
        return false;
    struct trusted_options options = {.chroot = r->chroot, .trees = !r->compat};
    return trusted_expand(a, root, &options, sidecar, d) &&
           manifest_defaults(a, root, libos, r->chroot, d);
}

static int produce(const struct request *r, const struct buffer *template)
{
    struct arena a = {0};
    struct buffer text = {0}, out = {0}, sidecar = {0};
    struct diag d = {.file = input_name(r)};
    if (!render(r, template, false, &text)) {
        buffer_free(&text);
        return 1;
    }
    struct dom *root = toml_parse(&a, text.data, text.len, &d);
    bool ok = root && complete(r, &a, root, &sidecar, &d);
    map_lines(r, template, &d);
    diag_print_warnings(&d, stderr, "warning: ");
    diag_print_errors(&d, stderr,
                      root ? "ERROR: manifest failed validation: "
                           : "ERROR: failed to parse manifest template: ");
    int status = 1;
    if (ok) {
        toml_write(&out, root);
        status = write_outputs(r, &out, &sidecar);
    }
    if (ok && !status)
        fill_cache(&a, root, &out);
    buffer_free(&text);
    buffer_free(&out);
    buffer_free(&sidecar);
    diag_free(&d);
    arena_free(&a);
    return status;
}

int cmd_manifest(int argc, char **argv)
{
    struct request r = {.command = argv[0], .check = true};
    r.defines = xmalloc((size_t)argc * sizeof(*r.defines));
    int stop = parse_options(argc, argv, &r);
    if (stop)
        return stop - 1;
    struct buffer template = {0};
    int status = read_template(&r, &template) ? produce(&r, &template) : 1;
    buffer_free(&template);
    free(r.defines);
    return status;
}

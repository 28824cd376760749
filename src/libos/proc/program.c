/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/lib/errors.h"
#include "libos/proc/program.h"
#include "libos/fs/links.h"
#include "libos/log.h"
#include "host/host.h"

#include <asm/statfs.h>

#define MOST_SCRIPT_DEPTH 5

static ssize read_file(void *ctx, void *buf, size_t n, int64_t off)
{
    return file_read_kernel(ctx, buf, n, off);
}

/* On a host mount without leave to execute. */
static bool is_noexec(const struct file *f)
{
    enum { ST_NOEXEC = 8, ST_VALID = 32 };
    struct statfs s;
    return f->host_fd >= 0 && !host_fstatfs(f->host_fd, &s) &&
           (s.f_flags & (ST_NOEXEC | ST_VALID)) == (ST_NOEXEC | ST_VALID);
}

static int open_regular(const char *path, struct path *p, struct file **out)
{
    kstat st;
    int err = path_resolve_kernel(AT_FDCWD, path, true, p);
    if (!err)
        err = vfs_stat(p, true, &st);
    if (!err && (st.st_mode & 0170000) != 0100000)
        err = -EACCES;
    if (!err && !(st.st_mode & 0111))
        err = -EACCES;
    if (!err)
        err = vfs_open(p, O_RDONLY, 0, out);
    return err;
}

static int open_executable(const char *path, struct file **out)
{
    struct path *p = heap_alloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    enum walks before = current()->walks;
    int err;
    do
        err = open_regular(path, p, out);
    while (use_restarts(err, before));
    heap_free(p);
    if (!err && is_noexec(*out)) {
        file_put(*out);
        *out = NULL;
        err = -EACCES;
    }
    return err;
}

#define SCRIPT_LINE 256 /* what Linux looks at of a script */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char *skip_blanks(char *p, const char *last)
{
    while (p <= last && is_blank(*p))
        p++;
    return p;
}

static char *skip_word(char *p, const char *last)
{
    while (p <= last && *p && !is_blank(*p))
        p++;
    return p;
}

/*
 * "#! interpreter [one argument]" (execve(2)): ends both in `line` and finds them. What is longer
 * is cut off, in the argument but not in the interpreter's path. `arg` is NULL without one.
 */
static int parse_script(char line[SCRIPT_LINE + 1], char **interp, char **arg)
{
    char *last = line + SCRIPT_LINE - 1, *end = strchr(line, '\n');
    if (!end || end > last) {
        if (skip_word(skip_blanks(line + 2, last), last) > last)
            return -ENOEXEC;
        end = last;
    }
    while (is_blank(end[-1]))
        end--;
    *interp = skip_blanks(line + 2, end);
    if (*interp >= end)
        return -ENOEXEC;
    char *gap = skip_word(*interp, end), *rest = gap <= end && *gap ? skip_blanks(gap, end) : NULL;
    *arg = rest && rest <= end ? rest : NULL;
    *end = 0;
    if (*arg)
        *gap = 0;
    return **interp ? 0 : -EACCES; /* an empty path is the working directory */
}

/* Rewrites argv and path for the interpreter that `line` names. */
static int take_script(struct program *g, char line[SCRIPT_LINE + 1], struct strings *argv)
{
    char *interp, *arg;
    int err = parse_script(line, &interp, &arg);
    if (err)
        return err;
    struct strings n = {0};
    err = strings_add(&n, interp);
    if (!err && arg)
        err = strings_add(&n, arg);
    if (!err)
        err = strings_add(&n, g->name);
    size_t skip = argv->count ? strlen(argv->data) + 1 : 0;
    for (size_t at = skip; !err && at < argv->len; at += strlen(argv->data + at) + 1)
        err = strings_add(&n, argv->data + at);
    if (err) {
        strings_free(&n);
        return err;
    }
    strings_free(argv);
    *argv = n;
    fmt(g->path, sizeof(g->path), "%s", interp);
    fmt(g->name, sizeof(g->name), "%s", interp);
    return 0;
}

/* Linux would start a program whose file is cut off, and kill it when it gets there. */
static int check_length(struct file *f, const struct elf_image *im)
{
    kstat st;
    int err = file_stat(f, &st);
    for (uint32_t i = 0; !err && i < im->count; i++)
        if (im->segment[i].offset + (int64_t)im->segment[i].filesz > st.st_size)
            err = -ENOEXEC;
    return err;
}

/* Opens the program, following scripts to their interpreter. */
static int open_binary(struct program *g, struct strings *argv)
{
    for (int depth = 0;; depth++) {
        if (depth > MOST_SCRIPT_DEPTH)
            return -ELOOP;
        g->culprit = g->path;
        int err = open_executable(g->path, &g->file);
        if (err)
            return err;
        char line[SCRIPT_LINE + 1];
        ssize n = file_read_kernel(g->file, line, sizeof(line) - 1, 0);
        if (n < 0)
            return (int)n;
        line[n] = 0;
        if (n < 2 || line[0] != '#' || line[1] != '!')
            break;
        file_put(g->file);
        g->file = NULL;
        err = take_script(g, line, argv);
        if (err)
            return err;
    }
    int err = elf_read(&g->image, read_file, g->file);
    return err ? err : check_length(g->file, &g->image);
}

/* Only the first program has nobody else to report to. */
void program_explain(const struct program *g, const char *path, int err)
{
    if (g->culprit == g->image.interp && (err == -ENOENT || err == -ENOTDIR)) {
        log_error("libos.entrypoint: cannot start '%s': its dynamic loader '%s' is neither there "
                  "inside nor in a directory of LD_LIBRARY_PATH: mount the C library, for example "
                  "{ path = \"/lib\", uri = \"file:{{ gramine.runtimedir() }}\" }, and set "
                  "loader.env.LD_LIBRARY_PATH = \"/lib\", or mount the host's /lib64",
                  path, g->culprit);
        return;
    }
    log_error("libos.entrypoint: cannot start '%s': %s: %s%s", path, g->culprit, ERROR_TEXT(err),
              err == -ENOENT ? " (inside: is it mounted?)"
              : err == -EACCES
                  ? " (no regular file, not executable, or neither trusted nor allowed)"
              : err == -EPERM   ? " (not the content that was trusted: run gramine-manifest again)"
              : err == -ENOEXEC ? " (not a complete x86-64 ELF program, and no #! script)"
              : err == -ELIBBAD ? " (not a complete x86-64 ELF interpreter)"
                                : "");
}

/* A manifest mounts the C library's directory where it likes, usually as /lib, and names it in
 * LD_LIBRARY_PATH: the dynamic loader is looked for there when it is not where the program says. */
static int interp_in_directories(struct program *g, const char *list)
{
    const char *slash = strrchr(g->image.interp, '/');
    const char *base = slash ? slash + 1 : g->image.interp;
    char path[PATH_LIMIT];
    for (const char *dir = list; *dir;) {
        const char *colon = strchr(dir, ':');
        size_t n = colon ? (size_t)(colon - dir) : strlen(dir);
        if (n && dir[0] == '/' && n + 1 + strlen(base) < sizeof(path)) {
            fmt(path, sizeof(path), "%.*s/%s", (int)n, dir, base);
            int err = open_executable(path, &g->interp_file);
            if (err != -ENOENT && err != -ENOTDIR)
                return err;
        }
        dir += n + (colon != NULL);
    }
    return -ENOENT;
}

/* The list that the run began with, or NULL; set once at start. */
static const char *first_library_path;

/* The program's own list, then that of the start: what a program leaves out of its child's
 * environment does not move the dynamic loader. */
static int interp_in_library_path(struct program *g, const struct strings *envp)
{
    static const char name[] = "LD_LIBRARY_PATH=";
    const char *s = envp->data;
    int err = -ENOENT;
    for (size_t i = 0; i < envp->count && err == -ENOENT; i++, s += strlen(s) + 1)
        if (strncmp(s, name, sizeof(name) - 1) == 0)
            err = interp_in_directories(g, s + sizeof(name) - 1);
    if (err == -ENOENT && first_library_path)
        err = interp_in_directories(g, first_library_path);
    return err;
}

int program_keep_library_path(const char *value)
{
    first_library_path = heap_strdup(value);
    return first_library_path ? 0 : -ENOMEM;
}

static int open_interp(struct program *g, const struct strings *envp)
{
    if (!g->image.interp[0])
        return 0;
    int err = open_executable(g->image.interp, &g->interp_file);
    if (err == -ENOENT || err == -ENOTDIR)
        err = interp_in_library_path(g, envp);
    g->culprit = g->image.interp;
    if (!err)
        err = elf_read(&g->interp, read_file, g->interp_file);
    if (!err)
        err = check_length(g->interp_file, &g->interp);
    return err == -ENOEXEC ? -ELIBBAD : err;
}

void program_close(struct program *g)
{
    if (g->file)
        file_put(g->file);
    if (g->interp_file)
        file_put(g->interp_file);
    heap_free(g);
}

int program_open(struct program *g, struct strings *argv, const struct strings *envp)
{
    int err = open_binary(g, argv);
    return err ? err : open_interp(g, envp);
}

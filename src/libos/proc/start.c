/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* From the manifest to the first program. */
#include "host/host_process.h"
#include "libos/fs/links.h"
#include "libos/lib/errors.h"
#include "libos/log.h"
#include "libos/net/net.h"
#include "libos/proc/exec.h"
#include "libos/proc/members.h"
#include "libos/proc/program.h"
#include "libos/proc/reach.h"
#include "libos/process.h"
#include "manifest/insecure.h"
#include "platform/platform.h"

/* What Gramine lets a program raise its limit to. */
#define MOST_NOFILE 65536

__attribute__((noreturn)) static void fail(void)
{
    host_exit_group(1);
}

static void set_limits(struct process *p)
{
    const struct mf_image *im = run.manifest.image;
    for (int i = 0; i < RLIM_NLIMITS; i++)
        p->limits[i] = (struct rlimit64){RLIM64_INFINITY, RLIM64_INFINITY};
    host_rlimit(RLIMIT_NOFILE, NULL, &p->limits[RLIMIT_NOFILE]);
    struct rlimit64 host_files = p->limits[RLIMIT_NOFILE];
    uint64_t most = MAX(im->fds_limit, MIN((uint64_t)host_files.rlim_max, (uint64_t)MOST_NOFILE));
    p->limits[RLIMIT_NOFILE] = (struct rlimit64){im->fds_limit, most};
    /* The host's own limit must not be in the way: we hold descriptors of our own too. */
    host_files.rlim_cur = host_files.rlim_max;
    host_rlimit(RLIMIT_NOFILE, &host_files, NULL);
    p->limits[RLIMIT_STACK].rlim_cur = im->stack_size;
    p->limits[RLIMIT_CORE].rlim_cur = 0;
    p->limits[RLIMIT_MEMLOCK] = (struct rlimit64){8UL << 20, 8UL << 20};
    p->limits[RLIMIT_NICE] = (struct rlimit64){0, 0};
    p->limits[RLIMIT_RTPRIO] = (struct rlimit64){0, 0};
    p->limits[RLIMIT_MSGQUEUE] = (struct rlimit64){819200, 819200};
}

/* In an enclave whoever starts it is told what its manifest gives up, as Gramine does. */
static void tell_insecure(void)
{
    const struct mf_image *im = run.manifest.image;
    const struct mf_insecure *option;
    char dashes[120], line[256];
    memset(dashes, '-', sizeof(dashes) - 1);
    dashes[sizeof(dashes) - 1] = '\n';
    if (!mf_insecure(im, 0))
        return;
    host_write(2, dashes, sizeof(dashes));
    int n = fmt(line, sizeof(line), "Gramine detected the following insecure configurations:\n\n");
    host_write(2, line, (size_t)n);
    for (size_t i = 0; (option = mf_insecure(im, i)); i++) {
        n = fmt(line, sizeof(line), "  - %-45s (%s)\n", option->key, option->why);
        host_write(2, line, MIN((size_t)n, sizeof(line) - 1));
    }
    n = fmt(line, sizeof(line),
            "\nThe application goes on, but this configuration must not be used in production!\n");
    host_write(2, line, (size_t)n);
    host_write(2, dashes, sizeof(dashes));
}

static int set_identity(struct process *p)
{
    const struct mf_image *im = run.manifest.image;
    struct credentials *c = &p->cred;
    c->uid = c->euid = c->suid = c->fsuid = im->uid;
    c->gid = c->egid = c->sgid = c->fsgid = im->gid;
    p->pid = host_getpid();
    p->is_first = true;
    p->dumpable = 1;
    p->start_ns = host_clock_ns(7 /* CLOCK_BOOTTIME */);
    p->fs.cwd = heap_strdup(mf_string(&run.manifest, im->start_dir));
    p->fs.root = heap_strdup("/");
    p->fs.umask = host_umask(0);
    return p->fs.cwd && p->fs.root ? 0 : -ENOMEM;
}

static void inherit(int fd)
{
    struct file *f;
    long flags = host_fcntl(fd, F_GETFD, 0);
    if (fd == run.trees_fd || (flags > 0 && flags & FD_CLOEXEC))
        return; /* ours */
    int err = file_adopt(fd, &f);
    if (!err)
        err = MIN(fd_replace(fd, f, false), 0);
    if (err && err != -EBADF) /* closed, or beyond the limit of descriptors */
        log_warning("descriptor %d is not inherited: %s", fd, ERROR_TEXT(err));
}

static void inherit_listed(const char *list, ssize n)
{
    long fd;
    for (ssize at = 0; (fd = host_listed_number(list, n, &at)) >= 0;)
        inherit((int)fd);
}

/* The program starts with the descriptors of whoever started the launcher, numbers and all: a limit
 * is for those to come. */
static int take_descriptors(struct process *p)
{
    uint64_t limit = p->limits[RLIMIT_NOFILE].rlim_cur;
    p->limits[RLIMIT_NOFILE].rlim_cur = RLIM64_INFINITY;
    int dir = host_open("/proc/self/fd", O_RDONLY | O_DIRECTORY, 0);
    char *list = heap_alloc(PAGE_SIZE);
    ssize n = list ? 0 : -ENOMEM;
    while (dir >= 0 && n >= 0 && (n = host_getdents(dir, list, PAGE_SIZE)) > 0)
        inherit_listed(list, n);
    for (int fd = 0; dir < 0 && fd < 3; fd++) /* a host without /proc */
        inherit(fd);
    if (dir >= 0)
        host_close(dir);
    heap_free(list);
    p->limits[RLIMIT_NOFILE].rlim_cur = limit;
    return (int)n;
}

static int check_start_dir(const struct process *p)
{
    kstat st;
    struct path *path = heap_alloc(sizeof(*path));
    enum walks before = current()->walks;
    int err;
    do {
        err = path ? path_resolve_kernel(AT_FDCWD, p->fs.cwd, true, path) : -ENOMEM;
        if (!err)
            err = vfs_stat(path, true, &st);
    } while (use_restarts(err, before));
    if (!err && (st.st_mode & 0170000) != 0040000)
        err = -ENOTDIR;
    if (err)
        log_error("fs.start_dir '%s' is not a directory inside: %s", p->fs.cwd, ERROR_TEXT(err));
    heap_free(path);
    return err;
}

#define SOURCE_MAX (8u << 20) /* bytes of a source file */

/* Opens without waiting for what may be at the other end of a FIFO or device. */
static int open_source_file(const char *host, const char *key, struct file **out, size_t *size)
{
    struct mount m = {.ops = &fs_chroot,
                      .path = "/",
                      .path_len = 1,
                      .uri = host[0] == '/' ? "/" : ".",
                      .source = true};
    kstat st;
    int err = fs_chroot.open(&m, host[0] == '/' ? host + 1 : host, O_RDONLY | O_NONBLOCK, 0, out);
    if (err) {
        log_error("%s: cannot open 'file:%s': %s (it must be a regular file, and trusted or "
                  "allowed)",
                  key, host, ERROR_TEXT(err));
        return err;
    }
    err = file_stat(*out, &st);
    if (!err && (st.st_mode & 0170000) != 0100000) {
        log_error("%s: 'file:%s' is not a regular file", key, host);
        err = -EINVAL;
    }
    /* Files of /proc have no size. */
    *size = err ? 0 : st.st_size ? (size_t)MIN(st.st_size, SOURCE_MAX) : 64 * PAGE_SIZE;
    if (err)
        file_put(*out);
    return err;
}

/* All of the file; -EFBIG when it is longer than `size`. */
static ssize read_whole(struct file *f, char *text, size_t size)
{
    size_t done = 0;
    ssize n = 1;
    while (n > 0 && done <= size) {
        n = file_read_kernel(f, text + done, size + 1 - done, (int64_t)done);
        done += n > 0 ? (size_t)n : 0;
    }
    return n < 0 ? n : done > size ? -EFBIG : (ssize)done;
}

/* A file that the manifest names by host path, subject to the file policy. */
static int read_source_file(const char *host, const char *key, struct strings *out)
{
    struct file *f;
    size_t size;
    int err = open_source_file(host, key, &f, &size);
    if (err)
        return err;
    char *text = heap_alloc(size + 1);
    ssize n = text ? read_whole(f, text, size) : -ENOMEM;
    file_put(f);
    if (n < 0 || (n && text[n - 1])) {
        log_error("%s: 'file:%s' must be at most 8 MiB of strings that each end in a NUL byte "
                  "(gramine-argv-serializer makes such files)",
                  key, host);
        err = -EINVAL;
    }
    for (size_t at = 0; !err && at < (size_t)n; at += strlen(text + at) + 1)
        err = strings_add(out, text + at);
    heap_free(text);
    return err;
}

static int add_listed(struct strings *argv)
{
    const struct mf *m = &run.manifest;
    int err = 0;
    for (uint32_t i = 0; !err && i < m->image->argv.count; i++)
        err = strings_add(argv, mf_string(m, mf_argv(m)[i]));
    return err;
}

/* The first string of an argument file is the program's argv[0]. */
static int read_argv_file(const char *host, struct strings *argv)
{
    int err = read_source_file(host, "loader.argv_src_file", argv);
    if (!err && !argv->count) {
        log_error("loader.argv_src_file: 'file:%s' is empty; its first string is the program's "
                  "argv[0]",
                  host);
        err = -EINVAL;
    }
    return err;
}

static int build_argv(struct strings *argv)
{
    const struct mf *m = &run.manifest;
    const struct mf_image *im = m->image;
    int err = 0;
    switch (im->argv_mode) {
    case MF_ARGV_SRC_FILE:
        return read_argv_file(mf_string(m, im->argv_src), argv);
    case MF_ARGV_LIST:
        if (run.host_argc)
            log_error("command-line arguments are dropped: loader.argv is set in the manifest");
        return add_listed(argv);
    case MF_ARGV_CMDLINE:
        err = add_listed(argv);
        for (int i = 0; !err && i < run.host_argc; i++)
            err = strings_add(argv, run.host_argv[i]);
        return err;
    }
    if (run.host_argc) {
        log_error("arguments were given, but the manifest does not say how to take them: set "
                  "loader.argv, loader.argv_src_file or loader.insecure__use_cmdline_argv");
        return -EINVAL;
    }
    return add_listed(argv);
}

static const char *host_env(const char *name)
{
    size_t n = strlen(name);
    for (char **e = run.host_envp; *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return *e + n + 1;
    return NULL;
}

/* Does the manifest set the variable of this "NAME=VALUE"? */
static bool overridden(const char *text)
{
    const struct mf *m = &run.manifest;
    for (uint32_t i = 0; i < m->image->env.count; i++) {
        const char *name = mf_string(m, mf_envs(m)[i].name);
        size_t n = strlen(name);
        if (strncmp(text, name, n) == 0 && text[n] == '=')
            return true;
    }
    return false;
}

static int add_pair(struct strings *s, const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 2;
    char *text = heap_alloc(size);
    if (!text)
        return -ENOMEM;
    fmt(text, size, "%s=%s", name, value);
    int err = strings_add(s, text);
    heap_free(text);
    return err;
}

static int build_envp(struct strings *envp)
{
    const struct mf *m = &run.manifest;
    struct strings base = {0};
    int err = 0;
    if (m->image->env_mode == MF_ENV_HOST)
        for (char **e = run.host_envp; *e && !err; e++)
            err = strings_add(&base, *e);
    else if (m->image->env_mode == MF_ENV_SRC_FILE)
        err = read_source_file(mf_string(m, m->image->env_src), "loader.env_src_file", &base);
    for (size_t at = 0; !err && at < base.len; at += strlen(base.data + at) + 1)
        if (!overridden(base.data + at))
            err = strings_add(envp, base.data + at);
    for (uint32_t i = 0; !err && i < m->image->env.count; i++) {
        const struct mf_env *e = &mf_envs(m)[i];
        const char *name = mf_string(m, e->name);
        const char *value = e->passthrough ? host_env(name) : mf_string(m, e->value);
        if (value)
            err = add_pair(envp, name, value);
    }
    strings_free(&base);
    return err;
}

static int keep_library_path(const struct strings *envp)
{
    static const char name[] = "LD_LIBRARY_PATH=";
    for (size_t at = 0; at < envp->len; at += strlen(envp->data + at) + 1)
        if (strncmp(envp->data + at, name, sizeof(name) - 1) == 0)
            return program_keep_library_path(envp->data + at + sizeof(name) - 1);
    return 0;
}

static void set_log(void)
{
    const struct mf_image *im = run.manifest.image;
    const char *file = mf_string(&run.manifest, im->log_file);
    int fd = 2;
    if (host_fcntl(fd, F_GETFD, 0) < 0)
        log_hold_stderr();
    if (file) {
        /* A FIFO that nobody reads is an error (ENXIO), not a reason to wait. */
        fd = host_open(file, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0600);
        if (fd < 0) {
            log_error("loader.log_file: cannot open '%s': %s", file, ERROR_TEXT(fd));
            fail();
        }
        host_fcntl(fd, F_SETFL, O_APPEND);
    }
    log_init((enum log_level)im->log_level, fd);
}

void libos_start(void)
{
    struct process *p = first_process;
    struct thread *t = current();
    struct strings argv = {0}, envp = {0};
    const char *entry = mf_string(&run.manifest, run.manifest.image->entrypoint);
    const char *slash = strrchr(entry, '/');
    fmt(p->comm, sizeof(p->comm), "%s", slash ? slash + 1 : entry);
    set_log();
    if (platform_attests())
        tell_insecure();
    log_debug("Host: Linux");
    list_init(&p->threads);
    list_add_tail(&p->threads, &t->siblings);
    p->nthreads = 1;
    signal_queue_init(&p->pending);
    set_limits(p);
    if (set_identity(p) || fdtable_init(&p->fds))
        panic("out of memory at start");
    t->tid = p->pid;
    members_setup();
    reach_setup();
    address_setup();
    if (mounts_setup() || check_start_dir(p) || take_descriptors(p) < 0 || build_argv(&argv) ||
        build_envp(&envp) || keep_library_path(&envp))
        fail();
    log_debug("LibOS initialized");
    exec_program(entry, entry, &argv, &envp, NULL); /* says why it came back */
    fail();
}

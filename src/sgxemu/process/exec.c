/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * execve: the device executes itself again, with the program's name in its own variables. `#!` is
 * resolved here, so that errors reach the caller and the stack needs no rebuilding.
 */
#include "sgxemu/emu.h"
#include <linux/mman.h>
#include <linux/elf.h>
#include <linux/fcntl.h>

#define MAX_SCRIPTS 5
#define MAX_STRINGS 1000000ULL
#define HEAD        256

struct script {
    char interp[HEAD];
    char arg[HEAD];
};

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Splits "#! interp arg" as the kernel does: one optional argument, trailing blanks dropped. */
static long parse_script(char *head, struct script *s)
{
    size_t n = 0;
    while (n < HEAD - 1 && head[n] && head[n] != '\n')
        n++;
    while (n > 2 && blank(head[n - 1]))
        n--;
    head[n] = '\0';
    char *p = head + 2;
    while (blank(*p))
        p++;
    size_t len = 0;
    while (p[len] && !blank(p[len]))
        len++;
    if (len == 0)
        return -ENOEXEC;
    memcpy(s->interp, p, len);
    s->interp[len] = '\0';
    p += len;
    while (blank(*p))
        p++;
    memcpy(s->arg, p, strlen(p) + 1);
    return 0;
}

/* 0: an ELF program that can be loaded; 1: a script, parsed; else the error of execve. */
static long inspect(const char *path, struct script *s)
{
    char head[HEAD];
    Elf64_Ehdr *eh = (Elf64_Ehdr *)head;
    struct {
        uint64_t dev, ino, nlink;
        uint32_t mode, rest[27];
    } st;
    long r = sys(__NR_stat, path, &st);
    if (r)
        return r;
    if ((st.mode & 0170000) != 0100000)
        return -EACCES;
    r = sys(__NR_access, path, 1);
    if (r)
        return r;
    long fd = sys(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (sys_failed(fd))
        return fd;
    memset(head, 0, sizeof(head));
    long n = sys(__NR_pread64, fd, head, sizeof(head) - 1, 0);
    sys(__NR_close, fd);
    if (n >= 2 && head[0] == '#' && head[1] == '!') {
        r = parse_script(head, s);
        return r ? r : 1;
    }
    if (n < (long)sizeof(*eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 ||
        eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_machine != EM_X86_64 ||
        (eh->e_type != ET_EXEC && eh->e_type != ET_DYN))
        return -ENOEXEC;
    return 0;
}

/* Number of strings of a NULL-terminated array of the program, or an error. */
static long count(uint64_t array)
{
    uint64_t p;
    if (!array)
        return 0;
    for (uint64_t n = 0; n < MAX_STRINGS; n++) {
        if (!user_read(&p, array + 8 * n, 8))
            return -EFAULT;
        if (!p)
            return (long)n;
    }
    return -E2BIG;
}

struct plan {
    char path[4096]; /* what finally runs */
    struct script scripts[MAX_SCRIPTS];
    char script_path[MAX_SCRIPTS][4096];
    long depth;
    char exe[4096 + 32], fuses[4096 + 32], mask[64], stats[32], inject[64], rewrite[32];
    char aesm[128];
};

static long resolve(struct plan *p, const char *path)
{
    memcpy(p->path, path, strlen(path) + 1);
    for (p->depth = 0;; p->depth++) {
        struct script s;
        long r = inspect(p->path, &s);
        if (r <= 0)
            return r;
        if (p->depth == MAX_SCRIPTS)
            return -ELOOP;
        p->scripts[p->depth] = s;
        memcpy(p->script_path[p->depth], p->path, strlen(p->path) + 1);
        memcpy(p->path, s.interp, strlen(s.interp) + 1);
    }
}

static const char *join(char *to, const char *name, const char *value)
{
    memcpy(to, name, strlen(name));
    memcpy(to + strlen(name), value, strlen(value) + 1);
    return to;
}

/* [interp, arg, script] for each level, innermost interpreter first, then the caller's arguments.
 */
static long build_argv(const struct plan *p, const char **out, uint64_t argv, long argc)
{
    long n = 0;
    for (long i = p->depth; i-- > 0;) {
        out[n++] = p->scripts[i].interp;
        if (p->scripts[i].arg[0])
            out[n++] = p->scripts[i].arg;
    }
    if (p->depth)
        out[n++] = p->script_path[0];
    long skip = p->depth && argc > 0 ? 1 : 0;
    if (argc > skip && !user_read(out + n, argv + 8 * (uint64_t)skip, 8 * (size_t)(argc - skip)))
        return -EFAULT;
    n += argc - skip;
    out[n] = NULL;
    return n;
}

static long build_envp(struct plan *p, struct thread *t, const char **out, uint64_t envp, long envc)
{
    char digits[20], text[16];
    long n = 0;
    for (long i = 0; i < envc; i++) {
        if (!user_read(out + n, envp + 8 * (uint64_t)i, 8))
            return -EFAULT;
        if (user_read(text, (uint64_t)out[n], 14) && memcmp(text, "ADYTON_SGXEMU_", 14) == 0)
            continue;
        n++;
    }
    out[n++] = join(p->exe, "ADYTON_SGXEMU_EXE=", p->path);
    out[n++] = join(p->fuses, "ADYTON_SGXEMU_FUSES=", settings.fuses);
    out[n++] = join(p->mask, "ADYTON_SGXEMU_MASK=", format_hex(digits, t->mask) + 2);
    out[n++] = join(p->stats, "ADYTON_SGXEMU_STATS=", settings.stats ? "1" : "0");
    out[n++] = join(p->rewrite, "ADYTON_SGXEMU_REWRITE=", settings.rewrite ? "1" : "0");
    out[n++] = join(p->inject, "ADYTON_SGXEMU_INJECT=", format_hex(digits, settings.inject) + 2);
    if (settings.aesm[0])
        out[n++] = join(p->aesm, "ADYTON_SGXEMU_AESM=", settings.aesm);
    out[n] = NULL;
    return n;
}

/* What the program ignores must be ignored natively across exec. */
static void hand_over_ignored(struct thread *t)
{
    for (int sig = 1; sig <= NSIG_ALL; sig++) {
        if (RESERVED_SIGNALS & SIGBIT(sig) && t->sighand->action[sig].handler == 1) {
            struct action ignore = {.handler = 1};
            sys(__NR_rt_sigaction, sig, &ignore, 0, 8);
        }
    }
}

long process_exec(struct thread *t, const char *path, uint64_t argv, uint64_t envp)
{
    long argc = count(argv), envc = count(envp);
    if (argc < 0)
        return argc;
    if (envc < 0)
        return envc;
    size_t size = sizeof(struct plan) + 8 * (size_t)(argc + envc + 64);
    long at = sys(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (sys_failed(at))
        return -ENOMEM;
    struct plan *p = (struct plan *)at;
    const char **new_argv = (const char **)(p + 1), **new_envp = new_argv + argc + 32;
    long r = resolve(p, path);
    if (r == 0 && (r = build_argv(p, new_argv, argv, argc)) >= 0 &&
        (r = build_envp(p, t, new_envp, envp, envc)) >= 0) {
        /* A sharer of our memory (vfork) keeps its handlers: ignoring is set in the last moment. */
        hand_over_ignored(t);
        __sync_fetch_and_sub(&handlers_running, 1); /* a vfork child never comes back from here */
        r = sys(__NR_execve, "/proc/self/exe", new_argv, new_envp);
        __sync_fetch_and_add(&handlers_running, 1);
    }
    sys(__NR_munmap, at, size);
    return r;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* System calls that the filter traps: done for the program, or passed on untouched. */
#include "sgxemu/emu.h"
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/un.h>

extern char emu_pass[];

struct call {
    struct thread *t;
    struct ucontext *uc;
    long nr;
    uint64_t a[6];
};

void trap_pass(struct thread *t, struct ucontext *uc)
{
    struct sigcontext *m = &uc->uc_mcontext;
    t->passed = (struct passed){.back = m->rip, .sp = m->rsp};
    m->rsp = (uint64_t)&t->passed;
    m->rip = (uint64_t)emu_pass;
}

/* The directory that the call's path is relative to. */
static int directory_of(const struct call *c)
{
    switch (c->nr) {
    case __NR_openat:
    case __NR_openat2:
    case __NR_newfstatat:
    case __NR_statx:
    case __NR_faccessat:
    case __NR_faccessat2:
        return (int)c->a[0];
    default:
        return AT_FDCWD;
    }
}

/* A path argument; the names of the device's files as driver_is_path() knows them. False: no path,
 * the call is passed on. */
static bool path_of(const struct call *c, uint64_t from, char path[4096])
{
    if (user_string(path, from, 4096) <= 0)
        return false;
    driver_resolve(directory_of(c), path);
    return true;
}

static bool is_own_exe(const char *path)
{
    char mine[40] = "/proc/", digits[24];
    const char *d = format_dec(digits, (uint64_t)sys(__NR_getpid));
    memcpy(mine + 6, d, strlen(d) + 1);
    memcpy(mine + 6 + strlen(d), "/exe", 5);
    return strcmp(path, "/proc/self/exe") == 0 || strcmp(path, mine) == 0 ||
           strcmp(path, "/proc/thread-self/exe") == 0;
}

static bool do_open(struct call *c, uint64_t path_arg, uint64_t flags, long *result)
{
    char path[4096];
    bool ours = false;
    if (!path_of(c, path_arg, path))
        return false;
    if (is_own_exe(path)) {
        *result = sys(__NR_openat, AT_FDCWD, settings.exe, flags, 0);
        return true;
    }
    *result = driver_open(path, (int)flags, &ours);
    return ours;
}

static bool do_readlink(struct call *c, uint64_t path_arg, uint64_t buf, uint64_t size,
                        long *result)
{
    char path[4096];
    if (!path_of(c, path_arg, path) || !is_own_exe(path) || (int64_t)size <= 0)
        return false;
    uint64_t n = strlen(settings.exe);
    if (n > size)
        n = size;
    *result = user_write(buf, settings.exe, n) ? (long)n : -EFAULT;
    return true;
}

static bool do_stat(struct call *c, uint64_t path_arg, uint64_t buf, bool extended, long *result)
{
    char path[4096];
    if (!path_of(c, path_arg, path)) {
        const bool by_fd = c->nr == __NR_statx        ? c->a[2] & AT_EMPTY_PATH
                           : c->nr == __NR_newfstatat ? c->a[3] & AT_EMPTY_PATH
                                                      : 0;
        return by_fd && driver_fstat((int)c->a[0], buf, extended, result);
    }
    if (is_own_exe(path) && !extended && c->nr != __NR_lstat) {
        *result = sys(__NR_stat, settings.exe, buf);
        return true;
    }
    if (!driver_is_path(path))
        return false;
    *result = driver_stat(path, buf, extended);
    return true;
}

static bool do_access(struct call *c, uint64_t path_arg, uint64_t mode, long *result)
{
    char path[4096];
    if (!path_of(c, path_arg, path) || !driver_is_path(path))
        return false;
    *result = mode & 1 ? -EACCES : 0;
    return true;
}

static bool is_aesm(const struct sockaddr_un *a, uint64_t len)
{
    static const char abstract[] = "\0sgx_aesm_socket_base", *const files[] = {
                                                                 "/var/run/aesmd/aesm.socket",
                                                                 "/run/aesmd/aesm.socket"};
    if (memcmp(a->sun_path, abstract, sizeof(abstract) - 1) == 0) {
        for (uint64_t i = sizeof(abstract) - 1; i + sizeof(a->sun_family) < len; i++) {
            if (a->sun_path[i])
                return false;
        }
        return len >= sizeof(a->sun_family) + sizeof(abstract) - 1;
    }
    return strcmp(a->sun_path, files[0]) == 0 || strcmp(a->sun_path, files[1]) == 0;
}

/* A connection to the AESM service leads to the quoting service of the software device. */
static bool do_connect(struct call *c, uint64_t address, uint64_t len, long *result)
{
    struct sockaddr_un a = {0};
    const size_t name = strlen(settings.aesm);
    if (len <= sizeof(a.sun_family) || len > sizeof(a) || !user_read(&a, address, len) ||
        a.sun_family != 1 /* AF_UNIX */)
        return false;
    a.sun_path[sizeof(a.sun_path) - 1] = '\0'; /* neither name is that long */
    if (!is_aesm(&a, len))
        return false;
    memset(a.sun_path, 0, sizeof(a.sun_path));
    memcpy(a.sun_path, settings.aesm, name);
    const bool is_abstract = a.sun_path[0] == '@';
    if (is_abstract)
        a.sun_path[0] = '\0';
    *result = sys(__NR_connect, c->a[0], &a, sizeof(a.sun_family) + name + !is_abstract);
    return true;
}

/* The program's mask holds during exec, so that the new image inherits it. */
static bool do_exec(struct call *c, uint64_t path_arg, uint64_t argv, uint64_t envp, long *result)
{
    char path[4096];
    long n = user_string(path, path_arg, sizeof(path));
    if (n < 0)
        *result = n;
    else
        *result = n == 0 ? -ENOENT
                         : process_exec(c->t, is_own_exe(path) ? settings.exe : path, argv, envp);
    return true;
}

static bool do_execveat(struct call *c, long *result)
{
    char path[4096 + 64], rest[4096], digits[24];
    long n = user_string(rest, c->a[1], sizeof(rest));
    if (n < 0) {
        *result = n;
        return true;
    }
    if (rest[0] == '/' || ((int)c->a[0] == AT_FDCWD && n > 0))
        return do_exec(c, c->a[1], c->a[2], c->a[3], result);
    if (n == 0 && !(c->a[4] & AT_EMPTY_PATH)) {
        *result = -ENOENT;
        return true;
    }
    const char *d = format_dec(digits, (uint32_t)c->a[0]);
    memcpy(path, "/proc/self/fd/", 14);
    memcpy(path + 14, d, strlen(d) + 1);
    if (n) {
        size_t at = strlen(path);
        path[at] = '/';
        memcpy(path + at + 1, rest, (size_t)n + 1);
    }
    *result = process_exec(c->t, path, c->a[2], c->a[3]);
    return true;
}

/* True when *result is the answer; false when the call goes on to the kernel. */
static bool answer(struct call *c, long *result)
{
    uint64_t *a = c->a;
    switch (c->nr) {
    case __NR_rt_sigaction:
        *result = signal_set_action(c->t, (int)a[0], a[1], a[2], a[3]);
        return true;
    case __NR_rt_sigprocmask:
        *result = signal_set_mask(c->t, c->uc, (int)a[0], a[1], a[2], a[3]);
        return true;
    case __NR_sigaltstack:
        *result = signal_set_altstack(c->t, c->uc, a[0], a[1]);
        return true;
    case __NR_open:
        return do_open(c, a[0], a[1], result);
    case __NR_openat:
        return do_open(c, a[1], a[2], result);
    case __NR_openat2: { /* the kernel finds what is wrong with a struct open_how */
        uint64_t how[3];
        return a[3] == sizeof(how) && user_read(how, a[2], sizeof(how)) && !how[2] &&
               do_open(c, a[1], how[0], result);
    }
    case __NR_readlink:
        return do_readlink(c, a[0], a[1], a[2], result);
    case __NR_readlinkat:
        return do_readlink(c, a[1], a[2], a[3], result);
    case __NR_stat:
    case __NR_lstat:
        return do_stat(c, a[0], a[1], false, result);
    case __NR_newfstatat:
        return do_stat(c, a[1], a[2], false, result);
    case __NR_statx:
        return do_stat(c, a[1], a[4], true, result);
    case __NR_fstat:
        return driver_fstat((int)a[0], a[1], false, result);
    case __NR_rt_sigpending:
        *result = signal_get_pending(c->t, a[0], a[1]);
        return true;
    case __NR_rt_sigtimedwait:
        return signal_wait(c->t, a, result);
    case __NR_access:
        return do_access(c, a[0], a[1], result);
    case __NR_faccessat:
    case __NR_faccessat2:
        return do_access(c, a[1], a[2], result);
    case __NR_execve:
        return do_exec(c, a[0], a[1], a[2], result);
    case __NR_execveat:
        return do_execveat(c, result);
    case __NR_clone:
    case __NR_clone3:
    case __NR_fork:
    case __NR_vfork:
        *result = process_clone(c->t, c->uc, c->nr, a);
        return true;
    case __NR_exit_group:
        trap_report_stats();
        return false;
    case __NR_connect:
        return do_connect(c, a[1], a[2], result);
    case __NR_prctl: /* Syscall User Dispatch is the device's own */
        *result = -EINVAL;
        return true;
    case __NR_ioctl:
        *result = driver_ioctl(c->t, (int)a[0], (unsigned)a[1], a[2]);
        return *result != -ENOTTY;
    case __NR_mmap:
    case __NR_munmap:
        return driver_mapping(c->nr, a, result);
    case __NR_mprotect:
    case __NR_pkey_mprotect: /* a key but -1 is the kernel's business */
        if (a[2] & PROT_WRITE)
            sites_restore(a[0], a[1]);
        return (c->nr == __NR_mprotect || (int)a[3] == -1) &&
               driver_mapping(__NR_mprotect, a, result);
    case __NR_mremap:
        sites_restore(a[0], a[1]);
        return driver_mapping(c->nr, a, result);
    default:
        return false;
    }
}

void trap_system_call(struct thread *t, struct ucontext *uc)
{
    struct sigcontext *m = &uc->uc_mcontext;
    struct call c = {
        .t = t, .uc = uc, .nr = (long)m->rax, .a = {m->rdi, m->rsi, m->rdx, m->r10, m->r8, m->r9}};
    long result = 0;
    if (c.nr == __NR_rt_sigreturn) {
        signal_return(t, uc);
        return;
    }
    if (!answer(&c, &result)) {
        trap_pass(t, uc);
        return;
    }
    m->rax = (uint64_t)result;
    if (c.nr == __NR_rt_sigprocmask)
        signal_deliver_pending(t, uc);
}

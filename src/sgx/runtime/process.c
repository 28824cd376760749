/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Processes for the enclave: a copy of this one that executes the runtime again, with the manifest
 * and the signature that this one began with in descriptors.
 */
#include "cli/paths.h"
#include "sgx/runtime/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST_KEPT 64

static struct {
    char program[PATH_MAX];
    const char *name, *trees;
    const void *manifest, *signature;
    size_t manifest_size, signature_size;
    int kept[MOST_KEPT], kept_count; /* our own descriptors, which end with this program */
    sigset_t mask;                   /* of the first thread, for a child until it is one */
} us;

/* Calls each(fd) with every open descriptor. In a child of a process with threads: no heap. */
static void each_descriptor(void (*each)(int fd))
{
    struct entry { /* linux_dirent64 */
        uint64_t ino, off;
        uint16_t len;
        uint8_t type;
        char name[];
    };
    char list[4096] __attribute__((aligned(8)));
    int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long n = 0;
    while (dir >= 0 && (n = syscall(SYS_getdents64, dir, list, sizeof(list))) > 0) {
        for (long at = 0; at < n; at += ((struct entry *)(list + at))->len) {
            const struct entry *e = (const struct entry *)(list + at);
            int fd = e->name[0] == '.' ? -1 : atoi(e->name);
            if (fd >= 0 && fd != dir)
                each(fd);
        }
    }
    if (dir >= 0)
        close(dir);
}

static void keep_ours(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    if (flags >= 0 && flags & FD_CLOEXEC && us.kept_count < MOST_KEPT)
        us.kept[us.kept_count++] = fd;
}

static void pass_on(int fd)
{
    for (int i = 0; i < us.kept_count; i++)
        if (us.kept[i] == fd)
            return;
    fcntl(fd, F_SETFD, 0);
}

int runtime_process_setup(char **argv, const void *manifest, size_t manifest_size,
                          const struct sgx_sigstruct *sig)
{
    us.name = argv[ARG_NAME];
    us.trees = argv[ARG_TREES_FD];
    us.manifest = manifest;
    us.manifest_size = manifest_size;
    us.signature = sig;
    us.signature_size = sizeof(*sig);
    each_descriptor(keep_ours);
    return private_path(us.program, sizeof(us.program), "adyton-sgx");
}

static int copy_in(const char *name, const void *p, size_t n)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    size_t done = 0;
    while (fd >= 0 && done < n) {
        ssize_t r = write(fd, (const char *)p + done, n - done);
        if (r <= 0) {
            int error = r ? errno : EIO;
            close(fd);
            errno = error;
            return -1;
        }
        done += (size_t)r;
    }
    return fd;
}

struct birth {
    char manifest[16], signature[16], socket[16], index[24], mask[20];
    int fds[3]; /* manifest, signature, the child's end */
    int parent;
};

static void close_all(const struct birth *b)
{
    for (int i = 0; i < 3; i++)
        if (b->fds[i] >= 0)
            close(b->fds[i]);
    if (b->parent >= 0)
        close(b->parent);
}

static long prepare(struct birth *b, uint64_t index, const sigset_t *mask)
{
    int pair[2] = {-1, -1};
    int error = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) ? errno : 0;
    uint64_t bits;
    memcpy(&bits, mask, sizeof(bits));
    b->parent = pair[0];
    b->fds[2] = pair[1];
    b->fds[0] = error ? -1 : copy_in("manifest", us.manifest, us.manifest_size);
    b->fds[1] = b->fds[0] < 0 ? -1 : copy_in("signature", us.signature, us.signature_size);
    error = error ? error : b->fds[1] < 0 ? errno : 0;
    if (error) {
        close_all(b);
        return -error;
    }
    snprintf(b->manifest, sizeof(b->manifest), "%d", b->fds[0]);
    snprintf(b->signature, sizeof(b->signature), "%d", b->fds[1]);
    snprintf(b->socket, sizeof(b->socket), "%d", b->fds[2]);
    snprintf(b->index, sizeof(b->index), "%llu", (unsigned long long)index);
    snprintf(b->mask, sizeof(b->mask), "%llx", (unsigned long long)bits);
    return 0;
}

__attribute__((noreturn)) static void child(struct birth *b)
{
    static const char no[] = "error: a child process cannot execute the runtime again\n";
    char *argv[] = {us.program,   "child",   b->manifest, (char *)us.trees, (char *)us.name,
                    b->signature, b->socket, b->index,    b->mask,          NULL};
    close(b->parent);
    each_descriptor(pass_on);
    execv(us.program, argv);
    if (write(2, no, sizeof(no) - 1))
        _exit(127);
    _exit(127);
}

long runtime_fork(const int64_t arg[6])
{
    struct sgx_forked *out = (struct sgx_forked *)arg[2];
    struct birth b;
    sigset_t all, old;
    int pidfd = -1;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the child's handlers are this program's */
    long r = prepare(&b, (uint64_t)arg[1], &old);
    if (r) {
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        return r;
    }
    r = syscall(SYS_clone, arg[0], 0, &pidfd, 0, 0);
    if (!r)
        child(&b);
    r = r < 0 ? -errno : r;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    out->socket = b.parent;
    out->pidfd = pidfd;
    if (r > 0)
        b.parent = -1;
    close_all(&b);
    return r;
}

long runtime_ended_child(const int64_t arg[6])
{
    struct sgx_forked *out = (struct sgx_forked *)arg[2];
    int pidfd = -1;
    long r = syscall(SYS_clone, arg[0], 0, &pidfd, 0, 0);
    if (!r)
        _exit((int)arg[1]);
    out->socket = -1;
    out->pidfd = pidfd;
    return r < 0 ? -errno : r;
}

void runtime_child_waits(const char *mask)
{
    uint64_t bits = strtoull(mask, NULL, 16);
    sigset_t all;
    memset(&us.mask, 0, sizeof(us.mask));
    memcpy(&us.mask, &bits, sizeof(bits));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
}

long runtime_child_born(void)
{
    pthread_sigmask(SIG_SETMASK, &us.mask, NULL);
    return 0;
}

long runtime_die(int sig)
{
    sigset_t none;
    signal(sig, SIG_DFL);
    sigemptyset(&none);
    kill(getpid(), sig);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    return 0; /* it was none to die of */
}

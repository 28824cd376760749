/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * adyton-sgx run MANIFEST_FD TREES_FD NAME [ARGUMENT...]: started by the launcher (cli/launch.c).
 * adyton-sgx child MANIFEST_FD TREES_FD NAME SIGNATURE_FD FORK_FD INDEX MASK: by process.c.
 */
#include "cli/paths.h"
#include "sgx/enclave.h"
#include "sgx/image.h"
#include "sgx/runtime/runtime.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARENA_SLOT (512ULL << 10) /* src/host/arena.h */

extern char **environ;

/* From NAME.sig, or of a child from the descriptor `fd`. */
static int read_signature(const char *app, int fd, char *path, size_t cap,
                          struct sgx_sigstruct *sig)
{
    char more;
    snprintf(path, cap, "%s.sig", app);
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    FILE *f = fd >= 0 ? fdopen(fd, "re") : fopen(path, "re");
    bool ok = f && fread(sig, 1, sizeof(*sig), f) == sizeof(*sig) && !fread(&more, 1, 1, f);
    int error = f ? 0 : errno;
    if (f)
        fclose(f);
    if (!ok)
        fprintf(stderr,
                "error: reading the enclave's sigstruct '%s' failed: %s; gramine-sgx-sign makes "
                "it\n",
                path, error ? strerror(error) : "it must have exactly 1808 bytes");
    return ok ? 0 : -1;
}

static int map_manifest(int fd, struct mf *m, size_t *size)
{
    struct stat st;
    void *p = fd < 0 || fstat(fd, &st) || st.st_size <= 0
                  ? MAP_FAILED
                  : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED || mf_open(m, p, (size_t)st.st_size)) {
        fprintf(stderr, "error: this program is started by gramine-sgx, not by hand, or the "
                        "compiled manifest in ~/.cache/adyton is damaged: remove it\n");
        return -1;
    }
    *size = (size_t)st.st_size;
    return 0;
}

/* What the enclave may ask of CPUID, as this processor answers. */
static void read_cpuid(struct sgx_start *s)
{
    static const struct {
        uint32_t leaf, last; /* sub-leaves 0 to last */
    } leaves[] = {{0, 0},          {1, 0},          {2, 0},          {4, 4},
                  {5, 0},          {6, 0},          {7, 2},          {0xb, 2},
                  {0xd, 19},       {0x14, 1},       {0x15, 0},       {0x16, 0},
                  {0x19, 0},       {0x1f, 2},       {0x80000000, 0}, {0x80000001, 0},
                  {0x80000002, 0}, {0x80000003, 0}, {0x80000004, 0}, {0x80000006, 0},
                  {0x80000007, 0}, {0x80000008, 0}};
    for (size_t i = 0; i < sizeof(leaves) / sizeof(*leaves); i++) {
        for (uint32_t sub = 0; sub <= leaves[i].last && s->cpuid_count < SGX_CPUID_MOST; sub++) {
            struct sgx_cpuid *c = &s->cpuid[s->cpuid_count];
            c->leaf = leaves[i].leaf;
            c->subleaf = sub;
            if (__get_cpuid_count(c->leaf, sub, &c->eax, &c->ebx, &c->ecx, &c->edx))
                s->cpuid_count++;
        }
    }
}

static uint64_t map_arena(uint64_t threads)
{
    void *p = mmap(NULL, 4096 + threads * (4096 + ARENA_SLOT), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? 0 : (uint64_t)p;
}

__attribute__((noreturn)) static void start(const struct mf *m, size_t size, char **argv, int argc,
                                            bool child)
{
    static struct sgx_start s;
    struct outside o = {.index = child ? strtoull(argv[ARG_INDEX], NULL, 10) : 0,
                        .entry = SGX_ENTER_START,
                        .value = (uint64_t)&s};
    s.fork_fd = child ? atoi(argv[ARG_FORK_FD]) : -1;
    s.manifest = (uint64_t)m->base;
    s.manifest_size = size;
    s.argc = (uint64_t)(argc - ARG_FIRST_USER);
    s.argv = (uint64_t)(argv + ARG_FIRST_USER);
    s.envp = (uint64_t)environ;
    s.name = (uint64_t)argv[ARG_NAME];
    s.trees_fd = atoi(argv[ARG_TREES_FD]);
    s.pid = getpid();
    s.tid = syscall(SYS_gettid);
    s.arena_slot = 4096 + ARENA_SLOT;
    s.arena = map_arena(m->image->sgx_max_threads);
    read_cpuid(&s);
    if (!s.arena) {
        fprintf(stderr, "error: no memory for host calls: %s\n", strerror(errno));
        exit(1);
    }
    runtime_thread(&o);
    for (;;) /* the others go on; the enclave ends the process */
        syscall(SYS_exit, 0);
}

static bool is_child(int argc, char **argv)
{
    return argc == ARG_CHILD_END && !strcmp(argv[ARG_MODE], "child");
}

int main(int argc, char **argv)
{
    static struct sgx_sigstruct sig;
    static struct sgx_layout layout;
    char path[PATH_MAX], image[PATH_MAX], err[2 * PATH_MAX];
    struct mf m;
    size_t size;
    bool child = is_child(argc, argv);
    if (argc < ARG_FIRST_USER || (!child && strcmp(argv[ARG_MODE], "run"))) {
        fprintf(stderr, "error: this program is started by gramine-sgx, not by hand\n");
        return 1;
    }
    if (child)
        runtime_child_waits(argv[ARG_MASK]);
    int fd = atoi(argv[ARG_MANIFEST_FD]), sig_fd = child ? atoi(argv[ARG_SIGNATURE_FD]) : -1;
    if (map_manifest(fd, &m, &size) ||
        read_signature(argv[ARG_NAME], sig_fd, path, sizeof(path), &sig))
        return 1;
    close(fd);
    if (m.image->sgx_enable_stats && !m.image->sgx_debug) {
        fprintf(stderr, "error: sgx.enable_stats = true is for debug enclaves: set sgx.debug = "
                        "true, too, or take it out, and sign again\n");
        return 1;
    }
    if (private_path(image, sizeof(image), "adyton-enclave")) {
        fprintf(stderr,
                "error: cannot find the library OS beside the program: is /proc mounted?\n");
        return 1;
    }
    if (enclave_image(image, &m, size, &layout, err, sizeof(err))) {
        fprintf(stderr, "error: %s\n", err);
        return 1;
    }
    if (enclave_load(&layout, &sig, path) || runtime_process_setup(argv, m.base, size, &sig))
        return 1;
    runtime_threads_setup(&layout);
    sgx_layout_free(&layout);
    runtime_signals_setup(m.image->sigterm_injection);
    start(&m, size, argv, argc, child);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * First code of adyton-direct: relocates itself, takes the launcher's arguments (cli/launch.h),
 * sets up the first thread and enters the library OS.
 */
#include "platform/direct/direct.h"
#include "crypto/crypto.h"
#include "host/host.h"
#include "libos/lib/region.h"
#include "libos/log.h"
#include "libos/vdso/mark.h"
#include "platform/platform.h"
#include <asm/unistd.h>
#include <linux/mman.h>
#include <linux/auxvec.h>
#include <linux/elf.h>

/* The launcher's arguments: cli/launch.h. */
enum { ARG_MODE = 1, ARG_MANIFEST_FD, ARG_TREES_FD, ARG_NAME, ARG_FIRST_USER };

#define R_X86_64_RELATIVE 8

static void relocate(const Elf64_Dyn *dynamic, uintptr_t base)
{
    const Elf64_Rela *rela = NULL;
    size_t size = 0;
    for (const Elf64_Dyn *d = dynamic; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_RELA)
            rela = (const Elf64_Rela *)(base + d->d_un.d_ptr);
        else if (d->d_tag == DT_RELASZ)
            size = d->d_un.d_val;
    }
    for (size_t i = 0; i < size / sizeof(*rela); i++)
        if (ELF64_R_TYPE(rela[i].r_info) == R_X86_64_RELATIVE)
            *(uintptr_t *)(base + rela[i].r_offset) = base + rela[i].r_addend;
}

__attribute__((noreturn)) static void fail(const char *what)
{
    log_line(LOG_ERROR, NULL, 0, NULL, "%s", what);
    host_exit_group(1);
}

static int number(const char *s)
{
    int n = 0;
    if (s[0] == '-' && s[1] == '1' && !s[2])
        return -1;
    for (; *s; s++) {
        if (*s < '0' || *s > '9' || n > 1000000)
            return -2;
        n = n * 10 + (*s - '0');
    }
    return n;
}

#if PLATFORM_HOST_TRUSTED
static long map_manifest(int fd, size_t size)
{
    return host_mmap(0, PAGE_UP(size), PROT_READ, MAP_PRIVATE, fd, 0);
}
#else
/* A copy: what is checked is what is used. */
static long map_manifest(int fd, size_t size)
{
    void *copy = region_alloc(PAGE_UP(size));
    if (!copy)
        return -ENOMEM;
    return host_pread(fd, copy, size, 0) == (ssize)size ? (long)copy : -EIO;
}
#endif

static void take_manifest(int fd)
{
    struct stat st;
    if (fd < 0 || host_fstat(fd, &st) < 0 || st.st_size <= 0)
        fail("the compiled manifest is not readable: start programs with `adyton run NAME`");
    long base = map_manifest(fd, (size_t)st.st_size);
    if (IS_ERR(base))
        fail("the compiled manifest cannot be mapped");
    int err = mf_open(&run.manifest, (const void *)base, (size_t)st.st_size);
    if (err)
        fail("the compiled manifest is damaged or of another version: remove the cache "
             "(~/.cache/adyton) and start again");
    host_close(fd);
}

static bool is_inside(void)
{
    const uint64_t *a = run.host_auxv;
    while (a[0] != AT_NULL && a[0] != AT_SYSINFO_EHDR)
        a += 2;
    return a[0] != AT_NULL && vdso_is_ours((const Elf64_Ehdr *)a[1]);
}

__attribute__((noreturn, used)) void direct_start(uint64_t *stack, const Elf64_Dyn *dynamic,
                                                  uintptr_t base)
{
    relocate(dynamic, base);
    direct_begin();
    int argc = (int)stack[0];
    char **argv = (char **)&stack[1];
    run.host_envp = &argv[argc + 1];
    char **p = run.host_envp;
    while (*p)
        p++;
    run.host_auxv = (const uint64_t *)(p + 1);

    if (is_inside())
        fail(INSIDE_ALREADY);
    region_init();
    crypto_init(0);
    if (argc < ARG_FIRST_USER || strcmp(argv[ARG_MODE], "run") != 0)
        fail("this program is started by `adyton run NAME`, not by hand");
    int manifest_fd = number(argv[ARG_MANIFEST_FD]);
    run.trees_fd = number(argv[ARG_TREES_FD]);
    run.name = argv[ARG_NAME];
    run.host_argc = argc - ARG_FIRST_USER;
    run.host_argv = argv + ARG_FIRST_USER;
    if (direct_give_up_privileges())
        fail("the capabilities of root cannot be given up (capset): start as another user");
    take_manifest(manifest_fd);

    first_process = heap_zalloc(sizeof(*first_process));
    struct thread *t = first_process ? thread_alloc(first_process) : NULL;
    if (!t)
        fail("out of memory at start");
    t->tid = t->host_tid = (int)direct_syscall(__NR_gettid, 0, 0, 0, 0, 0, 0);
    direct_xstate_setup();
    direct_gs_setup();
    direct_thread_setup(t);
    direct_signals_setup();
    direct_enter();
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "platform/test/world.h"
#include "libos/log.h"
#include "libos/process.h"
#include "libos/proc/vfork.h"
#include "libos/entry/syscall.h"
#include "libos/sync/futex.h"
#include "libos/sync/queue.h"
#include "crypto/crypto.h"
#include "platform/test/world_files.h"
#include <asm/unistd.h>
#include <linux/mman.h>

/* As they were at the start; the hosted tests have one thread. */
static struct rlimit64 limits[RLIM_NLIMITS];
static struct credentials cred;

static void start(void *arg)
{
    (void)arg;
    libos_start();
}

void syscall_dispatch(struct regs *r);

void world_start(void)
{
    static const uint64_t no_aux[2];
    static char *no_env[1];
    size_t size;
    int value;
    mock_init();
    crypto_init(0);
    const void *block = world_manifest(&size);
    if (!block || mf_open(&run.manifest, block, size))
        mock_violation("the manifest is refused", -1);
    run.trees_fd = -1;
    run.name = "test";
    run.host_envp = no_env;
    run.host_auxv = no_aux;
    first_process = heap_zalloc(sizeof(*first_process));
    test_current = thread_alloc(first_process);
    enum mock_end end = mock_enter(start, NULL, &value);
    if (end != MOCK_RESUMED)
        mock_violation("the library OS did not start (MOCK_LOG=1 shows why)", (long)end);
    memcpy(limits, first_process->limits, sizeof(limits));
    cred = first_process->cred;
}

void world_finish(void)
{
    world_reset();
    mock_clear_window();
    mock_finish();
}

long world_call(long nr, long a, long b, long c, long d, long e, long f)
{
    struct regs *r = thread_regs(current());
    uint64_t rip = r->rip, rsp = r->rsp;
    r->rax = (uint64_t)nr;
    r->rdi = (uint64_t)a;
    r->rsi = (uint64_t)b;
    r->rdx = (uint64_t)c;
    r->r10 = (uint64_t)d;
    r->r8 = (uint64_t)e;
    r->r9 = (uint64_t)f;
    syscall_dispatch(r);
    long ret = (long)r->rax;
    if (current()->work)
        exit_work(r);
    r->rip = rip;
    r->rsp = rsp;
    return ret;
}

char *world_memory(size_t size)
{
    long p = world_call(__NR_mmap, 0, (long)size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return IS_ERR(p) ? NULL : (char *)p;
}

/* A virtual child (vfork) ends: there is no process for it. */
static void end_child(void *arg)
{
    (void)arg;
    vfork_commit();
}

void world_reset(void)
{
    struct process *p = first_process;
    struct thread *t = current();
    int value;
    if (t->vfork)
        mock_enter(end_child, NULL, &value);
    queue_forget_all(); /* of calls that will never return */
    fd_close_all(p);
    mm_clear(&p->mm);
    mock_clear_window();
    signal_queue_flush(&p->pending);
    signal_queue_flush(&t->pending);
    memset(&p->sighand, 0, sizeof(p->sighand));
    futex_forget_all();
    memcpy(p->limits, limits, sizeof(limits));
    p->cred = cred;
    p->exiting = false;
    t->work = 0;
    t->blocked = 0;
    t->restore_blocked = false;
    t->clear_tid = NULL;
    t->robust_list = NULL;
    t->altstack = (struct sigaltstack_state){.flags = SS_DISABLE};
}

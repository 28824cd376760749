/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* From the entry path to the handler of a system call, and what happens on the way back. */
#include "libos/entry/patch.h"
#include "libos/entry/syscall.h"
#include "libos/entry/syscall_list.h"
#include "libos/log.h"
#include "libos/proc/exec.h"
#include "libos/proc/vfork.h"
#include "libos/mm/pages.h"
#include "libos/process.h"
#include "libos/thread.h"
#include "libos/trace/trace.h"

static long unimplemented(SYS_ARGS)
{
    SYS_UNUSED;
    return -ENOSYS;
}

#define DECLARE(nr, name) syscall_fn sys_##name __attribute__((weak, alias("unimplemented")));
SYSCALL_LIST(DECLARE)

#define ROW(nr, name) [nr] = sys_##name,
static syscall_fn *const table[SYSCALL_NUMBERS] = {SYSCALL_LIST(ROW)};

#define NAME(nr, name) [nr] = #name,
static const char *const names[SYSCALL_NUMBERS] = {SYSCALL_LIST(NAME)};

syscall_fn *syscall_handler(unsigned long nr)
{
    syscall_fn *fn = nr < SYSCALL_NUMBERS ? table[nr] : NULL;
    return fn == unimplemented ? NULL : fn;
}

const char *syscall_name(unsigned long nr)
{
    return nr < SYSCALL_NUMBERS && names[nr] ? names[nr] : "?";
}

/* One warning for each missing call, once per run. Lock-free: one bit per number. */
static NOINLINE long missing(unsigned long nr)
{
    static uint64_t told[SYSCALL_NUMBERS / 64 + 1];
    if (nr < SYSCALL_NUMBERS && names[nr]) {
        uint64_t bit = 1UL << (nr % 64);
        if (!(__atomic_fetch_or(&told[nr / 64], bit, __ATOMIC_RELAXED) & bit))
            log_warning("Unsupported system call %s", names[nr]);
    } else {
        log_debug("unknown system-call number %lu", nr);
    }
    return -ENOSYS;
}

static NOINLINE long mocked(unsigned long nr, bool *hit)
{
    const struct mf_mock *mock = mf_mocks(&run.manifest);
    for (uint32_t i = 0; i < run.manifest.image->mocks.count; i++) {
        if (strcmp(mf_string(&run.manifest, mock[i].name), syscall_name(nr)) == 0) {
            *hit = true;
            log_warning("---- %s(...) = %ld (mock)", syscall_name(nr), mock[i].ret);
            return mock[i].ret;
        }
    }
    return 0;
}

static inline __attribute__((always_inline)) long call(unsigned long nr, struct regs *r)
{
    if (unlikely(run.manifest.image->mocks.count)) {
        bool hit = false;
        long ret = mocked(nr, &hit);
        if (hit)
            return ret;
    }
    syscall_fn *fn = nr < SYSCALL_NUMBERS ? table[nr] : NULL;
    if (unlikely(!fn || fn == unimplemented))
        return missing(nr);
    return fn((long)r->rdi, (long)r->rsi, (long)r->rdx, (long)r->r10, (long)r->r8, (long)r->r9);
}

static NOINLINE long traced(unsigned long nr, struct regs *r)
{
    struct trace_call c = {
        .nr = nr,
        .name = syscall_name(nr),
        .arg = {(long)r->rdi, (long)r->rsi, (long)r->rdx, (long)r->r10, (long)r->r8, (long)r->r9}};
    trace_before(&c);
    long ret = call(nr, r);
    trace_after(&c, ret);
    return ret;
}

/* A call that met a link on the host is made again at once, and looks for links then. */
static NOINLINE long start_again(unsigned long nr, struct regs *r, long ret)
{
    struct thread *t = current();
    while (ret == -ERESTARTNOINTR && t->met_link && t->walks < WALK_ALL) {
        t->met_link = false;
        t->walks++;
        ret = log_level_now >= LOG_TRACE ? traced(nr, r) : call(nr, r);
    }
    t->met_link = false;
    t->walks = WALK_NOT;
    if (ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK)
        work_set(t, WORK_SIGNAL);
    return ret;
}

void syscall_dispatch(struct regs *r);
void syscall_dispatch(struct regs *r)
{
    unsigned long nr = (uint32_t)r->rax;
    r->orig_rax = r->rax;
    if (unlikely(current()->vfork != NULL))
        vfork_before_call(nr);
    long ret = unlikely(log_level_now >= LOG_TRACE) ? traced(nr, r) : call(nr, r);
    if (unlikely(ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK))
        ret = start_again(nr, r, ret);
    r->rax = (uint64_t)ret;
}

void syscall_trap_dispatch(struct regs *r);
void syscall_trap_dispatch(struct regs *r)
{
    patch_site(r);
    syscall_dispatch(r);
}

/* What the library OS keeps free of the application's mappings is unmapped to it. */
static void as_without_reserves(struct thread *t)
{
    siginfo_t *info = &t->fault.info;
    struct mm *mm = &t->process->mm;
    if (info->si_signo != SIGSEGV || info->si_code != SEGV_ACCERR)
        return;
    lock(&mm->lock);
    const struct vma *v = vma_find(mm, (uintptr_t)info->si_addr);
    if (!v || v->start > (uintptr_t)info->si_addr)
        info->si_code = SEGV_MAPERR;
    unlock(&mm->lock);
}

void exit_work(struct regs *r)
{
    struct thread *t = current();
    uint32_t work;
    while ((work = __atomic_load_n(&t->work, __ATOMIC_SEQ_CST))) {
        if (work & WORK_KILL)
            thread_exit(0);
        if (work & WORK_EXEC)
            exec_take_over();
        if (work & (WORK_STOP | WORK_FILES))
            interrupted(); /* parks until the world goes on */
        if (work & WORK_GS) {
            work_clear(t, WORK_GS);
            patch_gs_is_used();
        }
        if (work & WORK_FAULT) {
            work_clear(t, WORK_FAULT);
            as_without_reserves(t);
            pages_fault(&t->fault);
            signal_force(t, &t->fault.info);
        }
        if (work & (WORK_SIGNAL | WORK_HOSTSIG | WORK_TIMER))
            signal_deliver(t, r);
    }
}

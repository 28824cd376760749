/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "platform/common/interrupted.h"
#include "host/host.h"
#include "libos/entry/patch.h"
#include "libos/entry/sigregs.h"
#include "libos/log.h"
#include "libos/proc/vdso.h"
#include "libos/process.h"
#include "platform/platform.h"

#define CLEAN_FLAGS  0x202
#define FLAG_RF      0x10000UL
#define SELECTOR_LDT 4

static bool within(uint64_t ip, const char *start, const char *end)
{
    return ip >= (uintptr_t)start && ip < (uintptr_t)end;
}

static bool at_exit(uint64_t ip)
{
    return within(ip, libos_exit, libos_exit_end) ||
           within(ip, libos_quick_exit, libos_quick_exit_end);
}

/* Where the exit path gave up, the frame has the registers still. */
static void save_app_regs(struct thread *t, const struct sigcontext *c)
{
    if (at_exit(c->rip))
        return;
    *thread_regs(t) = regs_of_sigcontext(c);
    thread_set_segments(t, c->cs, c->ss);
}

/* Leaves the handler for a way into the library OS, on its own stack. */
static void go_on_at(const struct thread *t, struct sigcontext *c, const char *entry)
{
    c->rip = (uintptr_t)entry;
    c->rsp = t->kstack_frame;
    c->eflags = CLEAN_FLAGS;
    c->cs = USER_CS;
    c->ss = USER_SS;
}

/* Is the library OS running, perhaps in the host's vDSO? */
bool trap_in_libos(const struct thread *t, const struct sigcontext *c)
{
    return within(c->rip, libos_text_start, libos_text_end) ||
           (vdso_is_host(c->rip) && c->rsp <= t->kstack_top &&
            c->rsp > t->kstack_top - KSTACK_SIZE);
}

/* The call whose registers are in *c, with %rip after the instruction. */
void trap_enter_call(struct thread *t, struct sigcontext *c)
{
    c->rcx = c->rip;
    c->r11 = c->eflags;
    save_app_regs(t, c);
    go_on_at(t, c, libos_trap_entry);
}

void trap_app_fault(struct thread *t, const siginfo_t *info, struct sigcontext *c)
{
    t->fault.info = *info;
    t->fault.trapno = c->trapno;
    t->fault.error_code = c->err;
    if (c->trapno == TRAP_PAGE_FAULT)
        t->fault.address = c->cr2;
    save_app_regs(t, c);
    work_set(t, WORK_FAULT);
    go_on_at(t, c, libos_async_entry);
}

/* `int $0x80` and its like, which are not served: what a kernel without them answers. */
void trap_refuse_32bit_call(struct thread *t, struct sigcontext *c)
{
    siginfo_t info;
    uint8_t code[2];
    memset(&info, 0, sizeof(info));
    info.si_signo = SIGSEGV;
    info.si_code = SI_KERNEL;
    if (!copy_from_user(code, (const void *)(c->rip - 2), 2) && code[0] == 0xcd && code[1] == 0x80)
        c->rip -= 2;
    c->trapno = TRAP_PROTECTION;
    c->err = 0x80 << 3 | 2; /* the gate's number, in the interrupt table */
    trap_app_fault(t, &info, c);
}

/* Did a rewritten site's jump not get into the library OS, or single-step into it? */
static bool take_failed_entry(struct thread *t, struct sigcontext *c)
{
    if (within(c->rip, libos_entry_rsp, libos_entry_pushed)) {
        c->rsp = c->r11;
    } else if (within(c->rip, libos_entry_pushed, libos_entry_checked) ||
               c->rip == (uintptr_t)libos_foreign_gs) {
        const uint64_t *pushed = (const uint64_t *)c->rsp;
        c->eflags = pushed[0];
        c->rsp = pushed[1];
    } else if (!within(c->rip, libos_syscall_entry, libos_entry_rsp) &&
               c->rip != (uintptr_t)libos_slow_entry) {
        return false;
    }
    c->rip = c->rcx;
    c->eflags &= ~FLAG_RF;
    trap_enter_call(t, c);
    return true;
}

__attribute__((noreturn)) static void die_trap_in_libos(int sig, const struct sigcontext *c)
{
    log_line(LOG_ERROR, NULL, 0, NULL,
             "internal fault: signal %d at library-OS code +0x%lx, address 0x%lx", sig,
             (unsigned long)(c->rip - (uintptr_t)libos_text_start), (unsigned long)c->cr2);
    host_exit_group(1);
}

/* A fault of the application's own code, or of what stands for it, which is not to be seen. */
static void take_fault_outside(struct thread *t, int sig, siginfo_t *info, struct sigcontext *c)
{
    bool stepped = sig == SIGTRAP && info->si_code == TRAP_TRACE;
    if (sig == SIGTRAP && info->si_code == SI_KERNEL && patch_in_progress_at(c->rip - 1)) {
        c->rip -= 1; /* ran into a site that another thread is rewriting: try again */
        return;
    }
    if (stepped || patch_is_stub(c->rip)) {
        uint64_t ip = c->rip;
        bool seen = patch_original(&ip, stepped);
        if (stepped && !seen)
            return;
        c->rip = ip;
        if (stepped)
            info->si_addr = (void *)c->rip;
    }
    trap_app_fault(t, info, c);
}

void trap_fault(struct thread *t, int sig, siginfo_t *info, struct sigcontext *c)
{
    if (within(c->rip, uaccess_begin, uaccess_end)) {
        c->rip = (uintptr_t)uaccess_fixup;
    } else if (!trap_in_libos(t, c)) {
        take_fault_outside(t, sig, info, c);
    } else if (at_exit(c->rip)) {
        if (t->iret.ss & SELECTOR_LDT)
            c->err = 0; /* the kernel's own detour for such stacks (espfix) loses it, too */
        trap_app_fault(t, info, c);
    } else if (!take_failed_entry(t, c)) {
        die_trap_in_libos(sig, c);
    }
}

/* Makes sure that the thread sees its work bits before it blocks or returns. */
void trap_redirect(struct thread *t, struct sigcontext *c)
{
    if (within(c->rip, host_blocking_check, host_blocking_insn + 1)) {
        c->rip = (uintptr_t)host_blocking_eintr;
    } else if (at_exit(c->rip) || (!trap_in_libos(t, c) && !patch_is_stub(c->rip))) {
        save_app_regs(t, c);
        go_on_at(t, c, libos_async_entry);
    }
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Where every signal arrives. Decides what it is (a fault of the device's own memory access, a
 * trapped system call, ENCLU, an exception inside an enclave, an ordinary signal) and hands it on.
 */
#include "sgxemu/emu.h"

#define SYS_SECCOMP_CODE  1
#define SYS_DISPATCH_CODE 2
#define SYSCALL_LEN       2
#define TRAP_PF           14
#define TRAP_GP           13
#define ENCLU_PREFIXES    12 /* of an instruction of at most 15 bytes */

extern char usercopy_begin[], usercopy_end[], usercopy_fault[], emu_pass[], emu_pass_end[];
struct statistics stats;
volatile uint32_t handlers_running;

static bool in_device(uint64_t rip)
{
    return rip - EMU_BASE < EMU_SIZE;
}

/* A signal in emu_pass: the state becomes what it were if the program had made the call itself,
 * where the kernel has set RIP back to the SYSCALL for a restart, too. */
static bool leave_pass(struct thread *t, struct sigcontext *m)
{
    if (m->rip < (uint64_t)emu_pass || m->rip >= (uint64_t)emu_pass_end)
        return false;
    const bool before = m->rip == (uint64_t)emu_pass;
    m->rip = t->passed.back - (before ? SYSCALL_LEN : 0);
    m->rcx = t->passed.back;
    m->rsp = t->passed.sp;
    return true;
}

/* A signal that hit the device itself: only SIGSEGV and SIGBUS are open there. */
static void own_fault(int sig, siginfo_t *info, struct ucontext *uc)
{
    struct sigcontext *m = &uc->uc_mcontext;
    if (info->si_code <= 0) { /* sent by somebody: keep it for later */
        struct thread *t = thread_self();
        t->pending |= SIGBIT(sig);
        t->pending_info[sig] = *info;
        return;
    }
    if (m->rip >= (uint64_t)usercopy_begin && m->rip < (uint64_t)usercopy_end) {
        m->rip = (uint64_t)usercopy_fault;
        return;
    }
    char rip[20], address[20];
    die("internal fault at ", format_hex(rip, m->rip), " address ",
        format_hex(address, (uint64_t)info->si_addr), NULL);
}

static bool bytes_at(uint64_t rip, uint8_t *code, size_t n)
{
    return user_read(code, rip, n);
}

static unsigned byte_at(uint64_t rip)
{
    uint8_t code = 0;
    return bytes_at(rip, &code, 1) ? code : 0;
}

bool trap_at_enclu(uint64_t rip)
{
    uint8_t code[3];
    return bytes_at(rip, code, 3) && code[0] == 0x0f && code[1] == 0x01 && code[2] == 0xd7;
}

/* Prefixes of an ENCLU that the instruction ignores: address size, segments, REX. 66H, F2H, F3H and
 * LOCK are not among them: with these it is #UD. */
static unsigned enclu_prefixes(uint64_t rip)
{
    unsigned n = 0, byte = byte_at(rip);
    while (n < ENCLU_PREFIXES && (byte == 0x67 || (byte & 0xe7) == 0x26 || (byte & 0xfe) == 0x64 ||
                                  (byte & 0xf0) == 0x40))
        byte = byte_at(rip + ++n);
    return n;
}

/* ENCLU was executed. Without SGX that is #UD; a processor that has SGX but shows none to this
 * virtual machine raises the instruction's own #GP or #PF, as no page here is EPC. */
static bool is_enclu(int sig, const siginfo_t *info, const struct sigcontext *m)
{
    if (info->si_code <= 0)
        return false;
    if (sig == SIGSEGV || sig == SIGBUS) {
        if (m->trapno != TRAP_GP && (m->trapno != TRAP_PF || m->err & PF_I))
            return false;
    } else if (sig != SIGILL) {
        return false;
    }
    return trap_at_enclu(m->rip + enclu_prefixes(m->rip));
}

/* Skips legacy and REX prefixes; returns the opcode's index or 15. */
static unsigned opcode_index(const uint8_t code[16])
{
    unsigned i = 0;
    while (i < 15 && (code[i] == 0x66 || code[i] == 0x67 || code[i] == 0xf0 || code[i] == 0xf2 ||
                      code[i] == 0xf3 || (code[i] & 0xe7) == 0x26 || (code[i] & 0xfe) == 0x64 ||
                      (code[i] & 0xf0) == 0x40))
        i++;
    return i;
}

static bool at_cpuid(uint64_t rip)
{
    uint8_t code[2];
    return bytes_at(rip, code, 2) && code[0] == 0x0f && code[1] == 0xa2;
}

/* Of the group 0F 01: SGDT, SIDT, SMSW and VMX's; LGDT, LIDT, LMSW, INVLPG, SWAPGS, XSETBV stay
 * #GP. */
static bool group_01_illegal(uint8_t modrm)
{
    const unsigned mod = modrm >> 6, reg = modrm >> 3 & 7;
    return reg == 4 || modrm == 0xd4 || reg == 0 || (reg == 1 && mod != 3);
}

/* Instructions that raise #UD inside an enclave but, natively, #GP at ring 3. */
static bool illegal_in_enclave(uint64_t rip)
{
    uint8_t code[16] = {0};
    if (!bytes_at(rip, code, 15) && !bytes_at(rip, code, 2))
        return false;
    unsigned i = opcode_index(code);
    uint8_t op = code[i], next = code[i + 1];
    switch (op) {
    case 0x6c ... 0x6f: /* INS, OUTS */
    case 0xe4 ... 0xe7: /* IN, OUT imm */
    case 0xec ... 0xef: /* IN, OUT dx */
    case 0xcd:          /* INT n */
    case 0xcf:          /* IRET */
    case 0xca:
    case 0xcb: /* far RET */
    case 0x8e: /* MOV to a segment register */
        return true;
    case 0xff: /* far CALL, JMP */
        return (next >> 3 & 7) == 3 || (next >> 3 & 7) == 5;
    case 0x0f:
        if (next == 0x01)
            return group_01_illegal(code[i + 2]);
        if (next == 0x00) /* SLDT, STR */
            return (code[i + 2] >> 3 & 7) < 2;
        return next == 0xa2 || next == 0x33 || next == 0x34 || next == 0xa1 || next == 0xa9 ||
               next == 0xb2 || next == 0xb4 || next == 0xb5;
    default:
        return false;
    }
}

/* A page fault inside the enclave. True when the access may simply be tried again. */
static bool enclave_page_fault(struct thread *t, struct ucontext *uc, struct sgx_event *event,
                               int *outcome)
{
    struct sigcontext *m = &uc->uc_mcontext;
    uint64_t la = m->cr2;
    uint32_t error = (uint32_t)m->err;
    uint32_t access = error & PF_I ? ACCESS_X : error & PF_W ? ACCESS_W : ACCESS_R;
    *outcome = FAULT_SIGNAL;
    if (error & PF_I && la - t->cpu.base >= t->cpu.size) {
        if (fast_foreign_jump(t->enclave, m, la))
            return true;
        event->vector = SGX_GP; /* execution left ELRANGE without EEXIT */
        return false;
    }
    if (driver_owns(la)) {
        *outcome = driver_fault(la, access, true, &error);
        if (*outcome == FAULT_RETRY)
            return true;
    }
    event->vector = SGX_PF;
    event->address = la & ~0xfffULL;
    event->error = error;
    return false;
}

/* Translates the kernel's report of an exception inside the enclave into the processor's. */
static bool classify(struct thread *t, struct ucontext *uc, int sig, const siginfo_t *info,
                     struct sgx_event *event, int *outcome)
{
    struct sigcontext *m = &uc->uc_mcontext;
    *event = (struct sgx_event){.vector = -1};
    *outcome = FAULT_SIGNAL;
    if (sig == SIGSYS && info->si_code == SYS_DISPATCH_CODE) {
        m->rip -= 2;
        event->vector = SGX_UD;
        return true;
    }
    if (info->si_code <= 0)
        return true;
    switch (sig) {
    case SIGILL:
        event->vector = SGX_UD;
        return true;
    case SIGFPE:
        event->vector = (int)m->trapno;
        return true;
    case SIGTRAP:
        /* An entry without debug opt-in: #DB is not delivered, TF stays 0. Some hypervisors report
         * INT1 as a fault. */
        if (m->trapno != 3) {
            m->eflags &= ~RFLAGS_TF;
            m->rip += byte_at(m->rip) == 0xf1;
            return false;
        }
        m->rip -= byte_at(m->rip - 1) == 0xcc ? 1 : 2; /* fault-class: the INT3, or INT 3, itself */
        event->vector = SGX_UD;
        return true;
    case SIGBUS:
        event->vector = m->trapno == 17 ? 17 : SGX_PF;
        event->address = m->cr2 & ~0xfffULL;
        event->error = (uint32_t)m->err;
        return true;
    case SIGSEGV:
        if (m->trapno == TRAP_PF)
            return !enclave_page_fault(t, uc, event, outcome);
        event->vector = m->trapno == TRAP_GP && illegal_in_enclave(m->rip) ? SGX_UD : SGX_GP;
        return true;
    default:
        return true;
    }
}

/* The driver's inter-processor interrupt: an AEX and nothing more (kick() in
 * driver/enclave.c). */
static bool is_kick(struct thread *t, int sig, const siginfo_t *info)
{
    if (sig != SIGILL)
        return false;
    if (info->si_code == SI_USER && !info->si_pid) /* RLIMIT_SIGPENDING: all else is lost */
        return driver_kicked(t);
    return (info->si_code == SI_QUEUE || info->si_code == SI_TIMER) && info->si_ptr == KICK_VALUE;
}

static void in_enclave(struct thread *t, struct ucontext *uc, int sig, siginfo_t *info)
{
    struct sgx_event event;
    int outcome;
    if (is_enclu(sig, info, &uc->uc_mcontext)) {
        transition_enclu(t, uc, enclu_prefixes(uc->uc_mcontext.rip));
        return;
    }
    if (!classify(t, uc, sig, info, &event, &outcome))
        return;
    transition_aex(t, uc, &event);
    if (event.vector >= 0) {
        /* Of memory that is not the device's, the kernel knows what is wrong with it. */
        const bool kernels = event.vector == SGX_PF && !driver_owns(event.address);
        if (outcome == FAULT_BUS) {
            info->si_signo = SIGBUS;
            info->si_code = BUS_ADRERR;
        }
        info->si_addr = (void *)event.address;
        transition_raise(t, uc, event.vector, event.error, event.address,
                         kernels || outcome == FAULT_BUS ? info : NULL);
    } else if (!is_kick(t, sig, info)) {
        signal_deliver(t, uc, info);
    } else {
        transition_resume(t, uc);
    }
}

static void in_host(struct thread *t, struct ucontext *uc, int sig, siginfo_t *info)
{
    struct sigcontext *m = &uc->uc_mcontext;
    uint32_t error = (uint32_t)m->err;
    if (is_enclu(sig, info, m)) {
        transition_enclu(t, uc, enclu_prefixes(m->rip));
        return;
    }
    if (sig == SIGSYS && info->si_code == SYS_SECCOMP_CODE) {
        __sync_fetch_and_add(&stats.traps, 1);
        trap_system_call(t, uc);
        return;
    }
    if (sig == SIGSEGV && info->si_code > 0) {
        if (m->trapno == TRAP_GP && settings.cpuid_faults && at_cpuid(m->rip)) {
            platform_cpuid(uc);
            return;
        }
        if (m->trapno == TRAP_PF && driver_owns(m->cr2)) {
            uint32_t access = error & PF_I ? ACCESS_X : error & PF_W ? ACCESS_W : ACCESS_R;
            int outcome = driver_fault(m->cr2, access, false, &error);
            if (outcome == FAULT_RETRY)
                return;
            if (outcome == FAULT_BUS) {
                info->si_signo = SIGBUS;
                info->si_code = BUS_ADRERR;
            }
        }
    }
    if (!is_kick(t, sig, info))
        signal_deliver(t, uc, info);
    else
        t->entry.tcs_address = 0; /* the next entry is a slow one, which arms the timer again */
}

static void dispatch(struct thread *t, struct ucontext *uc, int sig, siginfo_t *info)
{
    if (t->cpu.in_enclave)
        in_enclave(t, uc, sig, info);
    else
        in_host(t, uc, sig, info);
    t->selector = t->cpu.in_enclave;
    set_uc_mask(uc, t->mask);
}

/* Signals that a fast transition has kept. */
static void dispatch_kept(struct thread *t, struct ucontext *uc)
{
    while (t->kept_reserved) {
        int sig = __builtin_ctzll(t->kept_reserved) + 1;
        t->kept_reserved &= ~SIGBIT(sig);
        dispatch(t, uc, sig, &t->kept_info[sig]);
    }
    if (t->kept_signal) {
        int sig = t->kept_signal;
        t->kept_signal = 0;
        dispatch(t, uc, sig, &t->kept);
    }
    set_uc_mask(uc, t->mask);
}

/* The program's own filter refuses a call that the device's let through. */
static void refused_by_program(struct thread *t, struct ucontext *uc, siginfo_t *info)
{
    info->si_call_addr = (void *)uc->uc_mcontext.rip;
    signal_deliver(t, uc, info);
    set_uc_mask(uc, t->mask);
}

static void handle(struct thread *t, struct ucontext *uc, int sig, siginfo_t *info)
{
    if (leave_pass(t, &uc->uc_mcontext) && sig == SIGSYS && info->si_code == SYS_SECCOMP_CODE) {
        refused_by_program(t, uc, info);
        return;
    }
    switch (fast_interrupted(t, uc, sig, info)) {
    case FAST_DEFER:
        set_uc_mask(uc, ~0ULL);
        return;
    case FAST_DONE:
        return;
    case FAST_COMPLETED:
        dispatch_kept(t, uc);
        return;
    case FAST_NONE:
        break;
    }
    if (in_device(uc->uc_mcontext.rip)) {
        own_fault(sig, info, uc);
        return;
    }
    dispatch(t, uc, sig, info);
    dispatch_kept(t, uc);
}

void signal_arrived(int sig, siginfo_t *info, void *context)
{
    __sync_fetch_and_add(&handlers_running, 1);
    handle(thread_self(), context, sig, info);
    __sync_fetch_and_sub(&handlers_running, 1);
}

void trap_report_stats(void)
{
    char a[24], b[24], c[24], d[24], e[24], f[24], g[24], h[24];
    uint64_t enters = 0, leaves = 0;
    if (!settings.stats)
        return;
    thread_count_fast(&enters, &leaves);
    complain("EENTER ", format_dec(a, stats.eenter), " and ", format_dec(g, enters),
             " fast, ERESUME ", format_dec(b, stats.eresume), ", EEXIT ",
             format_dec(c, stats.eexit), ", AEX ", format_dec(d, stats.aex),
             ", trapped system calls ", format_dec(e, stats.traps), ", signals ",
             format_dec(f, stats.signals), ", fast leaves ", format_dec(h, leaves), NULL);
}

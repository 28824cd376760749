/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What instructions do inside an enclave, by Intel's manual: vector, EXITINFO, the RIP that is
 * saved, the signal. Argument: MISCSELECT. */
#define _GNU_SOURCE
#include "outsider.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static struct outsider e;
static uint32_t exinfo;
static unsigned tcs, skip;
static struct {
    unsigned n;
    int sig, code;
    uint64_t address, rip, rax, rbx, rcx;
    struct regs look;
} got;

static void handler(int sig, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    got.n++;
    got.sig = sig, got.code = info->si_code, got.address = (uint64_t)info->si_addr;
    got.rip = (uint64_t)g[REG_RIP], got.rax = (uint64_t)g[REG_RAX];
    got.rbx = (uint64_t)g[REG_RBX], got.rcx = (uint64_t)g[REG_RCX];
    if (got.rip == (uint64_t)outsider_aep && got.n < 5) {
        got.look = (struct regs){.rbx = got.rbx,
                                 .rax = 2,
                                 .rdi = OFFSET(do_look),
                                 .rsi = SSA(tcs) + SSA_PAGES * PAGE - 184,
                                 .r12 = skip};
        enter(&got.look);
    } else if (got.rip == (uint64_t)outsider_aep || got.rip == (uint64_t)enter_enclu) {
        g[REG_RIP] = (greg_t)enter_after;
    } else {
        _exit(4);
    }
}

static struct regs run(const char *code, unsigned length, uint64_t argument)
{
    got.n = 0;
    outsider_call(&e, tcs, do_load, (uint64_t)code, length);
    return outsider_call(&e, tcs, do_run, argument, 0);
}

#define UD 6, SIGILL, ILL_ILLOPN
#define GP 13, SIGSEGV, SI_KERNEL

/* SLDT, STR, SMSW, SGDT and SIDT, CPUID and moves to segment registers are not here: whether they
 * trap is up to the machine. */
static const struct {
    const char *name, *code;
    unsigned length, before; /* of the instruction; of what comes before it */
    int vector, sig, sicode;
    uint64_t rax;
} instructions[] = {
    {"DIV", "\x31\xd2\x31\xc9\xf7\xf1", 2, 4, 0, SIGFPE, FPE_INTDIV, 5},
    {"UD2", "\x0f\x0b", 2, 0, UD, 0},
    {"UD1", "\x0f\xb9\xc0", 3, 0, UD, 0},
    {"INT3", "\xcc", 1, 0, UD, 0},
    {"INT 3", "\xcd\x03", 2, 0, UD, 0},
    {"INT 80H", "\xcd\x80", 2, 0, UD, 0},
    {"SYSCALL", "\x0f\x05", 2, 0, UD, 39},
    {"SYSENTER", "\x0f\x34", 2, 0, UD, 0},
    {"IN", "\xec", 1, 0, UD, 0},
    {"OUT imm", "\xe6\x10", 2, 0, UD, 0},
    {"REP INSB", "\xf3\x6c", 2, 0, UD, 1},
    {"OUTSD", "\x6f", 1, 0, UD, 1},
    {"VMCALL", "\x0f\x01\xc1", 3, 0, UD, 0},
    {"RDPMC", "\x0f\x33", 2, 0, UD, 0x100},
    {"HLT", "\xf4", 1, 0, GP, 0},
    {"CLI", "\xfa", 1, 0, GP, 0},
    {"LGDT", "\x0f\x01\x54\x24\x80", 5, 0, GP, 0},
    {"LIDT", "\x0f\x01\x5c\x24\x80", 5, 0, GP, 0},
    {"LMSW", "\x0f\x01\xf0", 3, 0, GP, 0},
    {"INVLPG", "\x0f\x01\x3c\x24", 4, 0, GP, 0},
    {"SWAPGS", "\x0f\x01\xf8", 3, 0, GP, 0},
    {"LLDT", "\x0f\x00\xd0", 3, 0, GP, 0},
    {"LTR", "\x0f\x00\xd8", 3, 0, GP, 0},
    {"MOV from CR0", "\x0f\x20\xc0", 3, 0, GP, 0},
    {"WRMSR", "\x0f\x30", 2, 0, GP, 0},
    {"XSETBV", "\x0f\x01\xd1", 3, 0, GP, 0},
    {"ENCLS", "\x0f\x01\xcf", 3, 0, UD, 0},
    {"not canonical", "\x48\x8b\x00", 3, 0, GP, 0x8000000000000000},
    {"EENTER inside", "\x0f\x01\xd7", 3, 0, GP, 2},
    {"ENCLU, leaf 10", "\x0f\x01\xd7", 3, 0, GP, 10},
    {"ENCLU with REX", "\x48\x0f\x01\xd7", 4, 0, GP, 10},
    {"ENCLU with 67H", "\x67\x0f\x01\xd7", 4, 0, GP, 10},
    {"ENCLU with CS, REX", "\x2e\x41\x0f\x01\xd7", 5, 0, GP, 10},
    {"ENCLU with 66H", "\x66\x0f\x01\xd7", 4, 0, UD, 10},
    {"ENCLU with F3H", "\xf3\x0f\x01\xd7", 4, 0, UD, 10},
    {"ENCLU with F2H", "\xf2\x0f\x01\xd7", 4, 0, UD, 10},
    {"ENCLU with LOCK", "\xf0\x0f\x01\xd7", 4, 0, UD, 10},
    {"ENCLU with REX, CS", "\x48\x2e\x0f\x01\xd7", 5, 0, GP, 10},
};

static void all_instructions(void)
{
    for (unsigned i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
        const int vector = instructions[i].vector;
        const uint32_t info = exinfo || vector != 13 ? 0x80000300U | (unsigned)vector : 0;
        const uint64_t at = instructions[i].sig == SIGSEGV ? 0 : (uint64_t)outsider_aep;
        skip = instructions[i].length;
        run(instructions[i].code, instructions[i].before + skip, instructions[i].rax);
        report(got.n == 1 && got.sig == instructions[i].sig && got.code == instructions[i].sicode &&
                   got.address == at && got.rax == 3 && got.rbx == e.base + TCS(tcs) &&
                   got.rcx == (uint64_t)outsider_aep && got.look.rdx == info &&
                   got.look.rdi == SCRATCH + instructions[i].before,
               "%s", instructions[i].name);
    }
}

static void page_fault(const char *name, const char *code, uint64_t address, int sicode,
                       uint32_t error)
{
    const uint64_t page = address & ~(PAGE - 1);
    skip = 3;
    run(code, 3, address);
    report(got.n == 1 && got.sig == SIGSEGV && got.code == sicode && got.address == page &&
               got.look.rdx == (exinfo ? 0x8000030e : 0) &&
               (!exinfo || (got.look.r8 == page && got.look.r9 == error)),
           "%s", name);
}

static void page_faults(void)
{
    static const char load[] = "\x48\x8b\x00", store[] = "\x48\x89\x00";
    page_fault("load from NULL", load, 8, SEGV_MAPERR, 4);
    page_fault("store to NULL", store, 8, SEGV_MAPERR, 6);
    page_fault("load from a TCS", load, e.base + TCS(0), SEGV_ACCERR, 0x8005);
    page_fault("store to a TCS", store, e.base + TCS(1) + 8, SEGV_ACCERR, 0x8007);
    page_fault("load, reserved", load, e.base + 0x50010, SEGV_ACCERR, 4);
    munmap((void *)(e.base + 0x50000), PAGE);
    page_fault("load, not mapped", load, e.base + 0x50010, SEGV_MAPERR, 4);
    page_fault("load, pending", load, e.base + 0x60010, SEGV_ACCERR, 0x8005);
    page_fault("store, pending", store, e.base + 0x62010, SEGV_ACCERR, 0x8007);
}

static void flags(void)
{
    static const char misaligned[] = "\x9c\x81\x0c\x24\x00\x00\x04\x00\x9d" /* AC := 1 */
                                     "\x48\x8b\x00"
                                     "\x9c\x81\x24\x24\xff\xff\xfb\xff\x9d";
    static const char step[] = "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d" /* TF := 1 */
                               "\x90\x90\x9c\x58";
    skip = 3;
    run(misaligned, sizeof(misaligned) - 1, e.base + DATA + 1);
    report(got.n == 1 && got.sig == SIGBUS && got.code == BUS_ADRALN &&
               got.look.rdx == 0x80000311 && got.look.rdi == SCRATCH + 9,
           "alignment check");
    struct regs r = run(step, sizeof(step) - 1, 0);
    report(got.n == 0 && !(r.rdi & 0x100), "no single steps");
    r = run("\xf1\x90", 2, 0);
    report(got.n == 0, "no INT1");
}

static void outside(const char *name, uint64_t leaf, uint64_t address, int sicode)
{
    struct regs r = {.rbx = address, .rax = leaf};
    got.n = 0;
    enter(&r);
    report(got.n == 1 && got.sig == SIGSEGV && got.code == sicode &&
               got.rip == (uint64_t)enter_enclu && got.rax == leaf &&
               got.address == (sicode == SI_KERNEL ? 0 : address),
           "%s", name);
}

int main(int argc, char **argv)
{
    exinfo = (uint32_t)atoi(argv[1]);
    if (outsider_load(&e, exinfo))
        return 1;
    outsider_handle(handler);
    all_instructions();
    tcs = 1;
    page_faults();
    flags();
    uint8_t *file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, memfd_create("empty", 0), 0);
    skip = 3;
    run("\x48\x8b\x00", 3, (uint64_t)file + 8);
    report(got.n == 1 && got.sig == SIGBUS && got.code == BUS_ADRERR &&
               got.address == (uint64_t)file && got.look.rdx == (exinfo ? 0x8000030e : 0),
           "load behind the end of a file");
    void *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    outside("TCS not aligned", 2, e.base + TCS(2) + 8, SI_KERNEL);
    outside("TCS without access", 2, e.base + 0x7f000, SEGV_ACCERR);
    munmap((void *)(e.base + 0x7f000), PAGE);
    outside("TCS not mapped", 2, e.base + 0x7f000, SEGV_MAPERR);
    outside("TCS is data", 2, e.base + DATA, SEGV_ACCERR);
    outside("TCS is no enclave's", 2, (uint64_t)memory, SEGV_ACCERR);
    outside("TCS is NULL", 2, 0, SEGV_MAPERR);
    outside("TCS not canonical", 2, 1UL << 63, SI_KERNEL);
    outside("nothing to resume", 3, e.base + TCS(2), SI_KERNEL);
    outside("EREPORT outside", 0, e.base + TCS(2), SI_KERNEL);
    outside("leaf 77", 77, e.base + TCS(2), SI_KERNEL);
    outside("leaf 80000002H", 0x80000002, e.base + TCS(2), SI_KERNEL);
    return outsider_failures != 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Kernel, processor and device nodes. */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/sgx_emu.h"
#include "cli/sgx_facts.h"

#define DISPATCH 59 /* PR_SET_SYSCALL_USER_DISPATCH */
#define FSGSBASE (1ul << 1)
#define CONTAINER_HINT \
    "if this is a container, allow it in its seccomp profile (Docker's default does)"

static bool kernel_at_least(int major, int minor, char release[65])
{
    struct utsname name;
    int a = 0, b = 0;
    if (uname(&name) || sscanf(name.release, "%d.%d", &a, &b) != 2)
        return false;
    snprintf(release, 65, "%s", name.release);
    return a > major || (a == major && b >= minor);
}

static void kernel(struct doctor *d)
{
    char release[65] = "unknown";
    bool ok = kernel_at_least(5, 11, release);
    doctor_say(d, ok ? STATE_OK : STATE_MISSING, "kernel",
               "install Linux 5.11 or newer (Debian 12 has 6.1)", "Linux %s", release);
}

static void dispatch(struct doctor *d)
{
    bool ok = !prctl(DISPATCH, 0, 0, 0, 0);
    doctor_say(d, ok ? STATE_OK : STATE_MISSING, "syscall user dispatch",
               "install Linux 5.11 or newer; " CONTAINER_HINT "; gVisor does not have it",
               ok ? "works" : "the kernel refuses it: %s", strerror(errno));
}

static bool has_fsgsbase(void)
{
    return getauxval(AT_HWCAP2) & FSGSBASE;
}

void doctor_direct(struct doctor *d)
{
    kernel(d);
    dispatch(d);
    doctor_say(d, has_fsgsbase() ? STATE_OK : STATE_NOTE, "fsgsbase",
               "start the kernel without nofsgsbase, on a processor that has the instructions",
               has_fsgsbase() ? "enabled" : "off: programs cannot set a GS base");
}

/* ---- the software device -------------------------------------------------------------------- */

static void fuses(struct doctor *d)
{
    char path[PATH_MAX];
    struct stat st;
    if (!sgxemu_fuses("adyton doctor", d->fuses, path)) {
        doctor_say(d, STATE_MISSING, "fuse file", "set HOME, or name a file with --fuses",
                   "there is no place for it");
    } else if (stat(path, &st)) {
        doctor_say(d, errno == ENOENT ? STATE_OK : STATE_MISSING, "fuse file",
                   "name another with --fuses", "%s: %s", path,
                   errno == ENOENT ? "not there yet, the first start makes it" : strerror(errno));
    } else if (!S_ISREG(st.st_mode) || st.st_size != FUSES_SIZE || access(path, R_OK)) {
        doctor_say(
            d, STATE_MISSING, "fuse file",
            "remove it to get a new platform (what was sealed is then lost), or name another "
            "with --fuses",
            "%s is not a readable file of %d bytes", path, FUSES_SIZE);
    } else {
        doctor_say(d, st.st_mode & 077 ? STATE_NOTE : STATE_OK, "fuse file", "chmod 600 the file",
                   st.st_mode & 077 ? "%s can be read by others" : "%s", path);
    }
}

static bool can_filter(void)
{
    unsigned action = SECCOMP_RET_TRAP;
    return !syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}

static bool has_membarrier(void)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    return commands > 0 && commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE;
}

static bool has_descriptor_table(void)
{
    char table[8];
    return syscall(SYS_modify_ldt, 0, table, sizeof(table)) >= 0;
}

/* Asking would switch it: the kernel says in /proc/cpuinfo what the processor can. */
static bool can_fault_cpuid(void)
{
    char line[16384];
    FILE *f = fopen("/proc/cpuinfo", "re");
    bool found = false;
    while (f && !found && fgets(line, sizeof(line), f))
        found = !strncmp(line, "flags", 5) && strstr(line, " cpuid_fault");
    if (f)
        fclose(f);
    return found;
}

void doctor_sgxemu(struct doctor *d)
{
    kernel(d);
    dispatch(d);
    doctor_say(d, has_fsgsbase() ? STATE_OK : STATE_MISSING, "fsgsbase",
               "start the kernel without nofsgsbase, on a processor that has the instructions",
               has_fsgsbase() ? "enabled" : "off");
    int fd = memfd_create("doctor", MFD_CLOEXEC);
    doctor_say(d, fd >= 0 ? STATE_OK : STATE_MISSING, "memfd", CONTAINER_HINT,
               fd >= 0 ? "works" : "the kernel refuses it: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    bool filter = can_filter();
    doctor_say(d, filter ? STATE_OK : STATE_MISSING, "seccomp filters", CONTAINER_HINT,
               filter ? "work" : "the kernel refuses them: %s", strerror(errno));
    bool fast = has_membarrier() && has_descriptor_table();
    doctor_say(d, fast ? STATE_OK : STATE_NOTE, "fast transitions",
               "allow membarrier and modify_ldt (CONFIG_MODIFY_LDT_SYSCALL)",
               fast ? "possible" : "not possible: every ENCLU traps, some 50 times slower");
    bool fault = can_fault_cpuid();
    doctor_say(d, fault ? STATE_OK : STATE_NOTE, "cpuid faulting",
               "none on this processor or virtual machine; programs that ask CPUID for SGX need it",
               fault ? "the device can show SGX in CPUID" : "CPUID cannot show SGX");
    fuses(d);
}

/* ---- hardware ------------------------------------------------------------------------------- */

static void processor(struct doctor *d)
{
    struct sgx_facts f;
    sgx_facts_read(&f);
    doctor_say(d, f.cpu && f.sgx1 ? STATE_OK : STATE_MISSING, "sgx",
               f.cpu ? "switch SGX on in the firmware setup (not \"software controlled\")"
                     : "use a machine with SGX, or pass it to this virtual machine; adyton sgxemu "
                       "needs none",
               f.cpu && f.sgx1 ? "the processor has it"
               : f.cpu         ? "the firmware has switched it off"
                               : "CPUID shows no SGX");
    if (!f.cpu)
        return;
    doctor_say(d, f.flc ? STATE_OK : STATE_MISSING, "flexible launch control",
               "switch it on in the firmware setup; Linux's driver does without launch enclaves",
               f.flc ? "on" : "off or not there");
    doctor_say(d, f.sgx2 ? STATE_OK : STATE_NOTE, "edmm",
               "needs a processor with SGX2; set sgx.edmm_enable = false elsewhere",
               f.sgx2 ? "SGX2 leaves are there" : "no SGX2: enclaves cannot grow");
    doctor_say(d, f.epc ? STATE_OK : STATE_MISSING, "epc",
               "set a size for PRMRR in the firmware setup", "%llu MiB",
               (unsigned long long)(f.epc >> 20));
    if (f.epc && f.epc < 256ull << 20)
        doctor_say(d, STATE_NOTE, "epc size", "larger enclaves are paged, slowly",
                   "less than 256 MiB");
}

static void node(struct doctor *d, enum doctor_state without, const char *path, const char *absent,
                 const char *refused)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        doctor_say(d, STATE_OK, path, NULL, "can be opened");
    } else {
        doctor_say(d, without, path, errno == EACCES || errno == EPERM ? refused : absent, "%s",
                   strerror(errno));
    }
}

void doctor_sgx(struct doctor *d)
{
    char release[65] = "unknown";
    struct statvfs dev;
    processor(d);
    kernel(d);
    bool edmm = kernel_at_least(6, 0, release);
    doctor_say(d, edmm ? STATE_OK : STATE_NOTE, "kernel for edmm",
               "install Linux 6.0 or newer for sgx.edmm_enable", "Linux %s", release);
    node(d, STATE_MISSING, "/dev/sgx_enclave",
         "use a kernel with CONFIG_X86_SGX=y; in a container pass --device /dev/sgx_enclave",
         "add the user to the group that owns it (sgx), or chmod 666 it by a udev rule");
    bool noexec = !statvfs("/dev", &dev) && dev.f_flag & ST_NOEXEC;
    doctor_say(d, noexec ? STATE_MISSING : STATE_OK, "/dev", "mount -o remount,exec /dev",
               noexec ? "mounted noexec: enclave pages cannot be mapped executable"
                      : "allows executable mappings");
}

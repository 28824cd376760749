/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* uname, sysinfo, scheduling, getrandom, arch_prctl, numbers that are no system calls. */
#include "check.h"
#include <asm/prctl.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

static void names(void)
{
    struct utsname u;
    char host[300] = "";
    TRY("uname", uname(&u));
    say("system", "%s %s", u.sysname, u.machine);
    CHECK("release has numbers", atoi(u.release) >= 3 && strchr(u.release, '.'));
    CHECK("version and host are there", u.version[0] && u.nodename[0]);
    TRY("gethostname", gethostname(host, sizeof(host)));
    CHECK("same name", strcmp(host, u.nodename) == 0);
    TRY("gethostname short", gethostname(host, 1));
    SYS("uname nowhere", SYS_uname, BAD_LOW);
    struct sysinfo s;
    TRY("sysinfo", sysinfo(&s));
    CHECK("memory", s.totalram > 0 && s.freeram <= s.totalram && s.mem_unit > 0);
    CHECK("up time and processes", s.uptime > 0 && s.procs > 0);
    SYS("sysinfo nowhere", SYS_sysinfo, BAD_LOW);
    CHECK("page size", sysconf(_SC_PAGESIZE) == 4096);
    CHECK("pages", sysconf(_SC_PHYS_PAGES) > 1000 && sysconf(_SC_AVPHYS_PAGES) > 0);
    CHECK("processors", sysconf(_SC_NPROCESSORS_ONLN) >= 1 &&
                            sysconf(_SC_NPROCESSORS_CONF) >= sysconf(_SC_NPROCESSORS_ONLN));
    VALUE("clock ticks", sysconf(_SC_CLK_TCK));
    CHECK("auxv page size", getauxval(AT_PAGESZ) == 4096);
    VALUE("auxv clock ticks", getauxval(AT_CLKTCK));
    CHECK("auxv ids", getauxval(AT_UID) == getuid() && getauxval(AT_EGID) == getegid());
    VALUE("auxv secure", getauxval(AT_SECURE));
    CHECK("auxv random bytes", getauxval(AT_RANDOM) != 0);
    CHECK("auxv vDSO", getauxval(AT_SYSINFO_EHDR) != 0);
    CHECK("auxv program headers", getauxval(AT_PHDR) != 0 && getauxval(AT_PHNUM) > 0 &&
                                      getauxval(AT_PHENT) == 56 && getauxval(AT_ENTRY) != 0);
    CHECK("auxv platform", strcmp((char *)getauxval(AT_PLATFORM), "x86_64") == 0);
    CHECK("auxv file name", getauxval(AT_EXECFN) != 0);
}

static void affinity(void)
{
    cpu_set_t all, one, now;
    unsigned cpu = 99, node = 99;
    unsigned long words[1024 / 64];
    TRY("sched_getaffinity", sched_getaffinity(0, sizeof(all), &all));
    CHECK("some processors",
          CPU_COUNT(&all) >= 1 && CPU_COUNT(&all) <= sysconf(_SC_NPROCESSORS_CONF));
    long raw = syscall(SYS_sched_getaffinity, 0, sizeof(words), words);
    CHECK("raw result is the mask's size", raw > 0 && raw % 8 == 0 && raw <= (long)sizeof(words));
    SYS("size not of words", SYS_sched_getaffinity, 0, 9L, words);
    SYS("no size", SYS_sched_getaffinity, 0, 0L, words);
    SYS("nowhere", SYS_sched_getaffinity, 0, 128L, BAD_LOW);
    SYS("of nobody", SYS_sched_getaffinity, 0x3fffff00, 128L, words);
    CPU_ZERO(&one);
    TRY("no processor", sched_setaffinity(0, sizeof(one), &one));
    CPU_SET(1000, &one);
    TRY("absent processor", sched_setaffinity(0, sizeof(one), &one));
    CPU_ZERO(&one);
    int last = 0;
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &all))
            last = i;
    CPU_SET(last, &one);
    TRY("pin", sched_setaffinity(0, sizeof(one), &one));
    TRY("read back", sched_getaffinity(0, sizeof(now), &now));
    CHECK("pinned", CPU_EQUAL(&one, &now));
    SYS("getcpu", SYS_getcpu, &cpu, &node, NULL);
    CHECK("runs there", cpu == (unsigned)last && sched_getcpu() == last);
    SYS("getcpu of nothing", SYS_getcpu, NULL, NULL, NULL);
    SYS("getcpu nowhere", SYS_getcpu, BAD_LOW, NULL, NULL);
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(sched_getaffinity(0, sizeof(now), &now) == 0 && CPU_EQUAL(&one, &now));
    waitpid(child, &status, 0);
    show_status("inherited", status);
    TRY("back", sched_setaffinity(0, sizeof(all), &all));
    SYS("set from nowhere", SYS_sched_setaffinity, 0, 128L, BAD_LOW);
}

static void scheduling(void)
{
    struct sched_param p = {.sched_priority = 77};
    struct timespec t;
    TRY("sched_yield", sched_yield());
    TRY("policy", sched_getscheduler(0));
    TRY("parameters", sched_getparam(0, &p));
    VALUE("priority", p.sched_priority);
    TRY("set the same", sched_setscheduler(0, SCHED_OTHER, &p));
    p.sched_priority = 5;
    TRY("priority for SCHED_OTHER", sched_setscheduler(0, SCHED_OTHER, &p));
    TRY("unknown policy", sched_setscheduler(0, 99, &p));
    TRY("parameters of nobody", sched_getparam(0x3fffff00, &p));
    TRY("policy of nobody", sched_getscheduler(0x3fffff00));
    TRY("negative id", sched_getscheduler(-1));
    SYS("parameters nowhere", SYS_sched_getparam, 0, BAD_LOW);
    SYS("parameters NULL", SYS_sched_getparam, 0, NULL);
    TRY("FIFO maximum", sched_get_priority_max(SCHED_FIFO));
    TRY("FIFO minimum", sched_get_priority_min(SCHED_FIFO));
    TRY("OTHER maximum", sched_get_priority_max(SCHED_OTHER));
    TRY("unknown maximum", sched_get_priority_max(99));
    TRY("interval", sched_rr_get_interval(0, &t));
    SYS("getpriority", SYS_getpriority, PRIO_PROCESS, 0);
    TRY("unknown priority", getpriority((__priority_which_t)9, 0));
}

static void randomness(void)
{
    unsigned char a[256] = {0}, b[256] = {0};
    TRY("getrandom", getrandom(a, 256, 0));
    TRY("GRND_NONBLOCK", getrandom(b, 256, GRND_NONBLOCK));
    CHECK("differ", memcmp(a, b, 256) != 0);
    TRY("GRND_RANDOM", getrandom(a, 32, GRND_RANDOM));
    TRY("GRND_INSECURE", getrandom(a, 32, GRND_INSECURE));
    /* glibc 2.41 serves this one in the vDSO where the host has one, and that knows no such rule.
     */
    TRY("both", syscall(SYS_getrandom, a, 32, GRND_INSECURE | GRND_RANDOM));
    TRY("unknown flag", getrandom(a, 32, 0x80));
    TRY("nothing", getrandom(a, 0, 0));
    SYS("nowhere", SYS_getrandom, BAD_LOW, 32L, 0);
    SYS("read-only", SYS_getrandom, page_then_none(PROT_READ), 32L, 0);
    SYS("over the edge", SYS_getrandom, page_then_none(PROT_READ | PROT_WRITE) + PAGE - 10, 32L, 0);
    static unsigned char big[1 << 20];
    TRY("a mebibyte", getrandom(big, sizeof(big), 0));
    int counts[256] = {0};
    for (size_t i = 0; i < sizeof(big); i++)
        counts[big[i]]++;
    bool even = true;
    for (int i = 0; i < 256; i++)
        even &= counts[i] > 3500 && counts[i] < 4700;
    CHECK("evenly spread", even);
}

static void numbers(void)
{
    const long none[] = {340, 400, 423, 600, 1000, 4096, 0x7fffffff, -1, -4095};
    char line[32];
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        snprintf(line, sizeof(line), "system call %ld", none[i]);
        SYS(line, none[i], 1, 2, 3, 4, 5, 6);
    }
    SYS("create_module", SYS_create_module);
    SYS("nfsservctl", SYS_nfsservctl);
    SYS("vserver", SYS_vserver);
    SYS("afs_syscall", SYS_afs_syscall);
    unsigned long fs = 0;
    SYS("ARCH_GET_FS", SYS_arch_prctl, ARCH_GET_FS, &fs);
    unsigned long self;
    __asm__("mov %%fs:0, %0" : "=r"(self));
    CHECK("is the thread pointer", fs == self);
    SYS("ARCH_SET_FS to itself", SYS_arch_prctl, ARCH_SET_FS, fs);
    SYS("ARCH_SET_FS to a non-address", SYS_arch_prctl, ARCH_SET_FS, 1UL << 63);
    SYS("ARCH_GET_FS nowhere", SYS_arch_prctl, ARCH_GET_FS, BAD_LOW);
    SYS("unknown arch_prctl", SYS_arch_prctl, 0x9999, &fs);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    names();
    affinity();
    scheduling();
    randomness();
    numbers();
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Process ids, credentials, prctl, limits, resource usage. */
#include "check.h"
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/times.h>

static void identities(void)
{
    uid_t r, e, s;
    gid_t gr, ge, gs, groups[1000];
    int status;
    CHECK("pid positive", getpid() > 0 && getppid() >= 0);
    CHECK("ids agree", getuid() == geteuid() && getgid() == getegid());
    TRY("getresuid", getresuid(&r, &e, &s));
    CHECK("all the same", r == getuid() && e == r && s == r);
    TRY("getresgid", getresgid(&gr, &ge, &gs));
    CHECK("groups the same", gr == getgid() && ge == gr && gs == gr);
    TRY("setuid to oneself", setuid(getuid()));
    TRY("setgid to oneself", setgid(getgid()));
    TRY("setreuid keep", setreuid((uid_t)-1, (uid_t)-1));
    TRY("setresgid keep", setresgid((gid_t)-1, (gid_t)-1, (gid_t)-1));
    int n = getgroups(0, NULL);
    CHECK("getgroups", n >= 0 && getgroups(1000, groups) == n);
    SYS("getgroups negative", SYS_getgroups, -1, groups);
    SYS("getresuid nowhere", SYS_getresuid, BAD_LOW, &e, &s);
    CHECK("getpgid of 0 and self", getpgid(0) == getpgrp() && getpgid(getpid()) == getpgrp());
    CHECK("getsid of 0 and self", getsid(0) == getsid(getpid()) && getsid(0) > 0);
    TRY("getpgid of nobody", getpgid(0x3fffff00));
    TRY("getsid of nobody", getsid(0x3fffff00));
    TRY("setpgid negative", setpgid(0, -1));
    TRY("setpgid of nobody", setpgid(0x3fffff00, 0));
    pid_t me = getpid(), group = getpgrp(), child = fork();
    if (child == 0) {
        int fine = getppid() == me && getpgrp() == group;
        fine |= (setpgid(0, 0) == 0 && getpgrp() == getpid()) << 1;
        fine |= (setsid() == -1 && errno == EPERM) << 2;
        pid_t inner = fork();
        if (inner == 0)
            _exit(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid());
        waitpid(inner, &status, 0);
        _exit(fine | WEXITSTATUS(status) << 3);
    }
    waitpid(child, &status, 0);
    show_status("groups and sessions of a child", status);
}

static void names(void)
{
    char name[17] = {0};
    TRY("PR_SET_NAME", prctl(PR_SET_NAME, "a-name-that-is-longer-than-fifteen"));
    TRY("PR_GET_NAME", prctl(PR_GET_NAME, name));
    say("name", "%s", name);
    SYS("PR_GET_NAME nowhere", SYS_prctl, PR_GET_NAME, BAD_LOW);
    SYS("PR_SET_NAME nowhere", SYS_prctl, PR_SET_NAME, BAD_LOW);
    int v = -1;
    TRY("PR_GET_PDEATHSIG", prctl(PR_GET_PDEATHSIG, &v));
    VALUE("none", v);
    TRY("PR_SET_PDEATHSIG", prctl(PR_SET_PDEATHSIG, SIGUSR1));
    prctl(PR_GET_PDEATHSIG, &v);
    VALUE("set", v);
    TRY("PR_SET_PDEATHSIG invalid", prctl(PR_SET_PDEATHSIG, 99));
    SYS("PR_GET_PDEATHSIG nowhere", SYS_prctl, PR_GET_PDEATHSIG, BAD_LOW);
    prctl(PR_SET_PDEATHSIG, 0);
    TRY("PR_GET_DUMPABLE", prctl(PR_GET_DUMPABLE));
    TRY("PR_SET_DUMPABLE", prctl(PR_SET_DUMPABLE, 0));
    TRY("PR_GET_DUMPABLE after", prctl(PR_GET_DUMPABLE));
    TRY("PR_SET_DUMPABLE invalid", prctl(PR_SET_DUMPABLE, 7));
    prctl(PR_SET_DUMPABLE, 1);
    TRY("PR_GET_KEEPCAPS", prctl(PR_GET_KEEPCAPS));
    TRY("PR_GET_NO_NEW_PRIVS", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    TRY("PR_SET_NO_NEW_PRIVS", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    TRY("PR_SET_NO_NEW_PRIVS off", prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    TRY("PR_GET_NO_NEW_PRIVS after", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    TRY("PR_GET_TIMERSLACK", prctl(PR_GET_TIMERSLACK));
    TRY("PR_SET_TIMERSLACK", prctl(PR_SET_TIMERSLACK, 70000));
    TRY("PR_GET_TIMERSLACK after", prctl(PR_GET_TIMERSLACK));
    TRY("unknown option", prctl(123456));
}

static volatile sig_atomic_t too_large;

static void on_xfsz(int sig)
{
    (void)sig;
    too_large++;
}

static void limits(void)
{
    struct rlimit l, old;
    int all = 0;
    for (int i = 0; i < 16; i++)
        all += getrlimit((__rlimit_resource_t)i, &l) == 0 && l.rlim_cur <= l.rlim_max;
    VALUE("limits readable", all);
    TRY("unknown limit", getrlimit((__rlimit_resource_t)16, &l));
    TRY("set unknown limit", setrlimit((__rlimit_resource_t)99, &l));
    SYS("limit nowhere", SYS_getrlimit, RLIMIT_NOFILE, BAD_LOW);
    SYS("set from nowhere", SYS_setrlimit, RLIMIT_NOFILE, BAD_LOW);
    NEED(getrlimit(RLIMIT_NOFILE, &old) == 0);
    l = (struct rlimit){old.rlim_max + (old.rlim_max != RLIM_INFINITY), 5};
    TRY("soft above hard", setrlimit(RLIMIT_NOFILE, &l));
    l = (struct rlimit){100, old.rlim_max};
    TRY("prlimit sets", prlimit(0, RLIMIT_NOFILE, &l, &old));
    TRY("prlimit reads", prlimit(getpid(), RLIMIT_NOFILE, NULL, &l));
    VALUE("soft", l.rlim_cur);
    TRY("prlimit of nobody", prlimit(0x3fffff00, RLIMIT_NOFILE, NULL, &l));
    setrlimit(RLIMIT_NOFILE, &old);
    getrlimit(RLIMIT_STACK, &l);
    CHECK("stack limit is some pages", l.rlim_cur >= 64 * 1024);
    l = (struct rlimit){1000, RLIM_INFINITY};
    getrlimit(RLIMIT_FSIZE, &old);
    l.rlim_max = old.rlim_max;
    handle(SIGXFSZ, on_xfsz, 0);
    static char data[2000];
    int fd = open("big", O_RDWR | O_CREAT, 0600);
    /* Nothing is printed under the limit: the output may be a file. */
    NEED(fd >= 0 && setrlimit(RLIMIT_FSIZE, &l) == 0);
    long part = write(fd, data, 2000), more = write(fd, data, 1);
    int error = errno, signals = too_large;
    int grown = ftruncate(fd, 2000), grow_error = errno;
    setrlimit(RLIMIT_FSIZE, &old);
    VALUE("write up to the limit", part);
    say("write at it", "%ld %s, signals %d", more, errno_name(error), signals);
    say("grow beyond it", "%d %s, signals %d", grown, errno_name(grow_error), (int)too_large);
}

static volatile unsigned long work;

static void burn(long ms)
{
    long long end = now_ns(CLOCK_THREAD_CPUTIME_ID) + ms * 1000000LL;
    while (now_ns(CLOCK_THREAD_CPUTIME_ID) < end)
        for (int i = 0; i < 1000; i++)
            work += (unsigned long)i;
}

static long long cpu(const struct rusage *u)
{
    return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000LL + u->ru_utime.tv_usec +
           u->ru_stime.tv_usec;
}

static void usage(void)
{
    struct rusage a, b;
    struct tms ta, tb;
    TRY("getrusage", getrusage(RUSAGE_SELF, &a));
    clock_t ca = times(&ta);
    burn(50);
    getrusage(RUSAGE_SELF, &b);
    clock_t cb = times(&tb);
    CHECK("processor time was used", cpu(&b) - cpu(&a) >= 30000);
    CHECK("resident memory", b.ru_maxrss > 100);
    CHECK("times", cb - ca >= 3 && tb.tms_utime + tb.tms_stime - ta.tms_utime - ta.tms_stime >= 2);
    getrusage(RUSAGE_CHILDREN, &a);
    pid_t child = fork();
    if (child == 0) {
        burn(50);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    getrusage(RUSAGE_CHILDREN, &b);
    CHECK("children's time", cpu(&b) - cpu(&a) >= 30000);
    TRY("RUSAGE_THREAD", getrusage(RUSAGE_THREAD, &b));
    CHECK("this thread's time", cpu(&b) >= 30000);
    TRY("unknown whom", getrusage((__rusage_who_t)5, &b));
    SYS("nowhere", SYS_getrusage, 0, BAD_LOW);
    CHECK("clock() moves", clock() > 0);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    identities();
    names();
    limits();
    usage();
    return 0;
}

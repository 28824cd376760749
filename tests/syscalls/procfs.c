/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* /proc and /sys: what programs look up about themselves and the machine. */
#include "check.h"
#include <dirent.h>
#include <elf.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

static char text[1 << 20];

/* Reads a whole file into text; -1 if it cannot be. */
static long slurp(const char *path)
{
    int fd = open(path, O_RDONLY);
    long n = 0;
    ssize_t r = -1;
    if (fd < 0)
        return -1;
    while (n < (long)sizeof(text) - 1 && (r = read(fd, text + n, sizeof(text) - 1 - (size_t)n)) > 0)
        n += r;
    text[n] = 0;
    close(fd);
    return r < 0 ? -1 : n;
}

/* The value of "Key:" in text, or NULL. */
static const char *field(const char *key)
{
    size_t n = strlen(key);
    for (char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, n) == 0 && (line[n] == ':' || line[n] == '\t' || line[n] == ' ')) {
            char *value = strchr(line, ':');
            return value ? value + 1 + strspn(value + 1, " \t") : NULL;
        }
    }
    return NULL;
}

static bool link_is(const char *path, const char *want)
{
    char to[PATH_MAX];
    ssize_t n = readlink(path, to, sizeof(to) - 1);
    if (n < 0)
        return false;
    to[n] = 0;
    return strcmp(to, want) == 0;
}

static void links(const char *me)
{
    char cwd[PATH_MAX], path[PATH_MAX + 16], want[PATH_MAX + 16];
    struct stat a, b;
    NEED(getcwd(cwd, sizeof(cwd)));
    CHECK("exe", link_is("/proc/self/exe", me));
    CHECK("cwd", link_is("/proc/self/cwd", cwd));
    CHECK("root", link_is("/proc/self/root", "/"));
    snprintf(want, sizeof(want), "%d", getpid());
    CHECK("self", link_is("/proc/self", want));
    snprintf(want, sizeof(want), "%d/task/%d", getpid(), getpid());
    CHECK("thread-self", link_is("/proc/thread-self", want));
    int fd = open("file", O_RDWR | O_CREAT, 0600), p[2];
    NEED(pipe(p) == 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    snprintf(want, sizeof(want), "%s/file", cwd);
    CHECK("fd of a file", link_is(path, want));
    stat(path, &a);
    fstat(fd, &b);
    CHECK("stat through it", a.st_ino == b.st_ino);
    OK("open through it", open(path, O_RDONLY));
    lstat(path, &a);
    CHECK("is a link", S_ISLNK(a.st_mode));
    snprintf(path, sizeof(path), "/proc/self/fd/%d", p[0]);
    ssize_t n = readlink(path, want, sizeof(want) - 1);
    want[n > 0 ? n : 0] = 0;
    CHECK("fd of a pipe", strncmp(want, "pipe:[", 6) == 0);
    OK("open a pipe through it", open(path, O_RDONLY | O_NONBLOCK));
    unlink("file");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    snprintf(want, sizeof(want), "%s/file (deleted)", cwd);
    CHECK("fd of a deleted file", link_is(path, want));
    TRY("closed fd", readlink("/proc/self/fd/999", want, 10));
    DIR *d = opendir("/proc/self/fd");
    int seen = 0, strange = 0;
    for (struct dirent *e; (e = readdir(d));) {
        int i = atoi(e->d_name);
        seen += e->d_name[0] != '.' && (i == fd || i == p[0] || i == p[1]);
        strange += e->d_name[0] != '.' && fcntl(i, F_GETFD) < 0;
    }
    closedir(d);
    say("listing of fd", "%d ours %d strange", seen, strange);
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    NEED(lseek(fd, 5, SEEK_SET) == 5);
    CHECK("fdinfo", slurp(path) > 0 && field("pos") && atoi(field("pos")) == 5 && field("flags"));
    OK("exe opens", open("/proc/self/exe", O_RDONLY));
    TRY("nobody's directory", access("/proc/999999999", F_OK));
    TRY("unknown file", open("/proc/self/no-such-file", O_RDONLY));
    TRY("create in /proc", open("/proc/new", O_RDWR | O_CREAT, 0600));
    TRY("unlink in /proc", unlink("/proc/version"));
}

static void check_map(const char *name, uintptr_t at, const char *perms, const char *path)
{
    bool found = false, same = false, named = false;
    slurp("/proc/self/maps");
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned long from, to, offset, inode;
        char p[8], dev[16], file[600] = "";
        if (sscanf(line, "%lx-%lx %7s %lx %15s %lu %599[^\n]", &from, &to, p, &offset, dev, &inode,
                   file) >= 6 &&
            from <= at && at < to) {
            found = true;
            same = strcmp(p, perms) == 0;
            named = strcmp(file, path) == 0;
        }
    }
    say(name, "found %d permissions %d name %d", found, same, named);
}

static void maps(const char *me)
{
    static int data = 5;
    int local;
    char *heap = sbrk(8192);
    char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(p + PAGE, PAGE, PROT_NONE);
    check_map("text", (uintptr_t)&maps, "r-xp", me);
    check_map("data", (uintptr_t)&data, "rw-p", me);
    check_map("stack", (uintptr_t)&local, "rw-p", "[stack]");
    check_map("heap", (uintptr_t)heap, "rw-p", "[heap]");
    check_map("vdso", getauxval(AT_SYSINFO_EHDR), "r-xp", "[vdso]");
    check_map("anonymous", (uintptr_t)p, "rw-p", "");
    check_map("no access", (uintptr_t)p + PAGE, "---p", "");
    check_map("after it", (uintptr_t)p + 2 * PAGE, "rw-p", "");
    munmap(p, 3 * PAGE);
    int fd = open("mapped file", O_RDWR | O_CREAT, 0600);
    NEED(ftruncate(fd, 8192) == 0);
    char cwd[PATH_MAX], want[PATH_MAX + 16];
    NEED(getcwd(cwd, sizeof(cwd)));
    snprintf(want, sizeof(want), "%s/mapped file", cwd);
    char *m = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
    check_map("shared file", (uintptr_t)m, "r--s", want);
    slurp("/proc/self/maps");
    unsigned long last = 0, from, to;
    bool sorted = true;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        sorted &= sscanf(line, "%lx-%lx", &from, &to) == 2 && from >= last && to > from;
        last = to;
    }
    CHECK("sorted, no overlap", sorted);
    CHECK("smaps", slurp("/proc/self/smaps") > 0 && strstr(text, "Rss:"));
}

static void *wait_there(void *arg)
{
    prctl(PR_SET_NAME, "waiter");
    pthread_barrier_wait(arg);
    pthread_barrier_wait(arg);
    return NULL;
}

static bool number_is(const char *key, long want)
{
    const char *v = field(key);
    return v && atol(v) == want;
}

static void status(int argc, char **argv)
{
    pthread_t t;
    pthread_barrier_t b;
    char path[64], comm[32] = "";
    prctl(PR_SET_NAME, "pro) c (x");
    CHECK("status readable", slurp("/proc/self/status") > 0);
    const char *name = field("Name"), *state = field("State");
    say("Name", "%.9s", name ? name : "");
    say("State", "%.11s", state ? state : "");
    CHECK("ids", number_is("Pid", getpid()) && number_is("Tgid", getpid()) &&
                     number_is("PPid", getppid()));
    CHECK("Uid and Gid", number_is("Uid", getuid()) && number_is("Gid", getgid()));
    CHECK("memory", field("VmRSS") && atol(field("VmRSS")) > 0 && field("VmSize") &&
                        atol(field("VmSize")) >= atol(field("VmRSS")) && field("VmPeak") &&
                        field("VmHWM"));
    CHECK("Threads", number_is("Threads", 1));
    CHECK("other fields", field("SigBlk") && field("SigCgt") && field("Cpus_allowed_list") &&
                              field("voluntary_ctxt_switches"));
    pthread_barrier_init(&b, NULL, 2);
    NEED(pthread_create(&t, NULL, wait_there, &b) == 0);
    pthread_barrier_wait(&b);
    slurp("/proc/self/status");
    CHECK("two threads", number_is("Threads", 2));
    DIR *d = opendir("/proc/self/task");
    int tasks = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.') {
            tasks++;
            if (atoi(e->d_name) != getpid()) {
                snprintf(path, sizeof(path), "/proc/self/task/%d/comm", atoi(e->d_name));
                slurp(path);
                snprintf(comm, sizeof(comm), "%.20s", text);
            }
        }
    VALUE("tasks", tasks);
    show_bytes("the thread's name", comm, strlen(comm));
    pthread_barrier_wait(&b);
    pthread_join(t, NULL);
    slurp("/proc/self/comm");
    show_bytes("comm", text, strlen(text));
    long n = slurp("/proc/self/stat");
    int fields = 3;
    char *end = n > 0 ? strrchr(text, ')') : NULL;
    for (char *c = end ? end + 2 : text; *c; c++)
        fields += *c == ' ';
    VALUE("fields of stat", fields);
    int pid = 0, ppid = 0;
    char st = '?';
    CHECK("start of stat", sscanf(text, "%d (pro) c (x) %c %d", &pid, &st, &ppid) == 3 &&
                               pid == getpid() && st == 'R' && ppid == getppid());
    int words[8];
    slurp("/proc/self/statm");
    VALUE("fields of statm", sscanf(text, "%d %d %d %d %d %d %d", &words[0], &words[1], &words[2],
                                    &words[3], &words[4], &words[5], &words[6]));
    CHECK("statm sane", words[0] >= words[1] && words[1] > 0);
    n = slurp("/proc/self/cmdline");
    long at = 0;
    bool same = true;
    for (int i = 0; i < argc; i++) {
        same &= strcmp(text + at, argv[i]) == 0;
        at += (long)strlen(argv[i]) + 1;
    }
    CHECK("cmdline", same && n == at);
    CHECK("environ", slurp("/proc/self/environ") > 0 && memmem(text, 8192, "PATH=", 5));
    CHECK("limits", slurp("/proc/self/limits") > 0 && strstr(text, "Max open files"));
    CHECK("mounts", slurp("/proc/self/mounts") > 0 && strstr(text, " / "));
    CHECK("/proc/mounts", slurp("/proc/mounts") > 0);
    CHECK("mountinfo", slurp("/proc/self/mountinfo") > 0);
    CHECK("cgroup", slurp("/proc/self/cgroup") >= 0);
    Elf64_auxv_t *aux = (void *)text;
    n = slurp("/proc/self/auxv");
    bool page = false;
    for (long i = 0; i < n / (long)sizeof(*aux); i++)
        page |= aux[i].a_type == AT_PAGESZ && aux[i].a_un.a_val == 4096;
    CHECK("auxv", page);
}

static void machine(void)
{
    struct utsname u;
    int processors = 0;
    double a = 0, b = 0, c = 0;
    uname(&u);
    CHECK("cpuinfo", slurp("/proc/cpuinfo") > 0 && field("vendor_id") && field("model name") &&
                         strstr(text, " sse2 ") && field("cpu MHz"));
    for (char *p = text; (p = strstr(p, "processor\t")); p++)
        processors++;
    CHECK("processors", processors == sysconf(_SC_NPROCESSORS_ONLN));
    CHECK("meminfo", slurp("/proc/meminfo") > 0 && field("MemTotal") && field("MemAvailable"));
    CHECK("meminfo sane", atol(field("MemTotal")) >= atol(field("MemFree")) &&
                              strstr(field("MemTotal"), " kB\n") && field("SwapTotal") &&
                              field("Cached"));
    CHECK("version", slurp("/proc/version") > 0 && strncmp(text, "Linux version ", 14) == 0 &&
                         strncmp(text + 14, u.release, strlen(u.release)) == 0);
    CHECK("uptime", slurp("/proc/uptime") > 0 && sscanf(text, "%lf %lf", &a, &b) == 2 && a > 0);
    slurp("/proc/uptime");
    sscanf(text, "%lf", &c);
    CHECK("uptime goes up", c >= a);
    int running, all, last;
    CHECK("loadavg", slurp("/proc/loadavg") > 0 && sscanf(text, "%lf %lf %lf %d/%d %d", &a, &b, &c,
                                                          &running, &all, &last) == 6);
    CHECK("stat", slurp("/proc/stat") > 0 && strncmp(text, "cpu ", 4) == 0 &&
                      strstr(text, "\ncpu0 ") && strstr(text, "\nbtime "));
    CHECK("filesystems", slurp("/proc/filesystems") > 0 && strstr(text, "proc\n"));
    CHECK("osrelease", slurp("/proc/sys/kernel/osrelease") > 0 && strtok(text, "\n") &&
                           strcmp(text, u.release) == 0);
    CHECK("ostype", slurp("/proc/sys/kernel/ostype") == 6 && strcmp(text, "Linux\n") == 0);
    CHECK("hostname", slurp("/proc/sys/kernel/hostname") > 0 && strtok(text, "\n") &&
                          strcmp(text, u.nodename) == 0);
    CHECK("pid_max", slurp("/proc/sys/kernel/pid_max") > 0 && atol(text) > 0 &&
                         text[strlen(text) - 1] == '\n');
    CHECK("overcommit_memory", slurp("/proc/sys/vm/overcommit_memory") == 2);
    CHECK("threads-max", slurp("/proc/sys/kernel/threads-max") > 0 && atol(text) > 0);
    char first[64], boot[64];
    CHECK("uuid", slurp("/proc/sys/kernel/random/uuid") == 37);
    snprintf(first, sizeof(first), "%.40s", text);
    slurp("/proc/sys/kernel/random/uuid");
    CHECK("uuid differs", strcmp(first, text) != 0);
    CHECK("boot_id", slurp("/proc/sys/kernel/random/boot_id") == 37);
    snprintf(boot, sizeof(boot), "%.40s", text);
    slurp("/proc/sys/kernel/random/boot_id");
    CHECK("boot_id stays", strcmp(boot, text) == 0);
    CHECK("online", slurp("/sys/devices/system/cpu/online") > 0 && text[0] == '0');
    CHECK("possible", slurp("/sys/devices/system/cpu/possible") > 0 && text[0] == '0');
    CHECK("core_id", slurp("/sys/devices/system/cpu/cpu0/topology/core_id") > 0);
    CHECK("thread_siblings", slurp("/sys/devices/system/cpu/cpu0/topology/thread_siblings") > 0);
    CHECK("node", slurp("/sys/devices/system/node/online") > 0 && text[0] == '0');
    DIR *d = opendir("/sys/devices/system/cpu");
    int cpus = 0, n;
    char rest;
    for (struct dirent *e; d && (e = readdir(d));)
        cpus += sscanf(e->d_name, "cpu%d%c", &n, &rest) == 1;
    CHECK("cpu directories", cpus == sysconf(_SC_NPROCESSORS_CONF));
    int fd = open("/proc/version", O_RDONLY);
    char half[4], whole[8];
    NEED(fd >= 0);
    TRY("read a part", read(fd, half, 3));
    TRY("read on", read(fd, half, 3));
    TRY("pread", pread(fd, whole, 6, 0));
    show_bytes("pread", whole, 6);
    TRY("lseek", lseek(fd, 1, SEEK_SET));
    TRY("at the place", read(fd, whole, 4));
    show_bytes("bytes there", whole, 4);
    TRY("write it", write(fd, "x", 1));
    struct stat st;
    fstat(fd, &st);
    say("its stat", "mode %o size %d", st.st_mode, (int)st.st_size);
}

int main(int argc, char **argv)
{
    char *me = realpath(argv[0], NULL);
    NEED(me);
    start(argc, argv);
    links(me);
    maps(me);
    status(argc, argv);
    machine();
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* /proc/PID of other processes: children that run, wait, stop, exec, are dead, are gone. */
#include "check.h"
#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>

extern char **environ;
static const char *me;
static char text[1 << 16];

/* Reads /proc/PID/NAME into text, always ended by a NUL; -1 with errno if it cannot be. */
static long slurp(int pid, const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    text[0] = 0;
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return -1;
    long n = 0;
    ssize_t r;
    while (n < (long)sizeof(text) - 1 && (r = read(fd, text + n, sizeof(text) - 1 - (size_t)n)) > 0)
        n += r;
    text[n] = 0;
    close(fd);
    return n;
}

/* What follows "Key:" in /proc/PID/status, to the end of the line; "none" without one. */
static const char *status(int pid, const char *key)
{
    static char value[128];
    size_t n = strlen(key);
    slurp(pid, "status");
    strcpy(value, "none");
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        if (strncmp(line, key, n) == 0 && line[n] == ':')
            snprintf(value, sizeof(value), "%s", line + n + 1 + strspn(line + n + 1, "\t "));
    return value;
}

/* Field n (from 1) of /proc/PID/stat as text. */
static const char *stat_field(int pid, int n)
{
    static char value[64];
    slurp(pid, "stat");
    if (n == 1)
        return strtok(text, " ");
    if (n == 2) {
        char *open = strchr(text, '('), *close = strrchr(text, ')');
        snprintf(value, sizeof(value), "%.*s", close ? (int)(close - open + 1) : 0, open);
        return value;
    }
    char *at = strrchr(text, ')');
    for (int i = 2; at && i < n; i++)
        at = strchr(at + 1, ' ');
    snprintf(value, sizeof(value), "%.*s", at ? (int)strcspn(at + 1, " \n") : 0, at ? at + 1 : "");
    return value;
}

/* Waits until the process is in the state, ten seconds at most. */
static bool comes_to(int pid, char state)
{
    for (int i = 0; i < 10000; i++) {
        if (stat_field(pid, 3)[0] == state)
            return true;
        usleep(1000);
    }
    return false;
}

static bool link_is(int pid, const char *name, const char *want)
{
    char path[PATH_MAX], to[PATH_MAX];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    ssize_t n = readlink(path, to, sizeof(to) - 1);
    if (n < 0)
        return false;
    to[n] = 0;
    return strcmp(to, want) == 0;
}

/* Is it in a listing of /proc, and are the numbers ascending there? */
static bool listed(int pid, bool *ascending)
{
    DIR *dir = opendir("/proc");
    struct dirent *e;
    int last = 0;
    bool found = false;
    *ascending = true;
    while (dir && (e = readdir(dir))) {
        int n = atoi(e->d_name);
        if (!n)
            continue;
        *ascending = *ascending && n > last;
        last = n;
        found = found || n == pid;
    }
    closedir(dir);
    return found;
}

static bool is_listed(int pid)
{
    bool ascending;
    return listed(pid, &ascending);
}

static int commands[2], answers[2];

static void tell(char c)
{
    NEED(write(commands[1], &c, 1) == 1);
    NEED(read(answers[0], &c, 1) == 1);
}

static void *second(void *arg)
{
    prctl(PR_SET_NAME, "second", 0, 0, 0);
    sem_post(arg);
    for (;;)
        pause();
    return NULL;
}

static void start_threads(void)
{
    sem_t named;
    sem_init(&named, 0, 0);
    for (int i = 0; i < 2; i++) {
        pthread_t t;
        NEED(pthread_create(&t, NULL, second, &named) == 0);
        sem_wait(&named);
    }
}

/* Does as it is told until it is told to end. */
static void child(char **argv)
{
    char c;
    while (read(commands[0], &c, 1) == 1) {
        switch (c) {
        case 'n':
            prctl(PR_SET_NAME, "a name of (17)", 0, 0, 0);
            break;
        case 'd':
            NEED(mkdir("below", 0700) == 0 && chdir("below") == 0);
            break;
        case 'u':
            umask(027);
            break;
        case 'l':
            setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 200});
            break;
        case 't':
            start_threads();
            break;
        case 'T': /* a title over the arguments, as setproctitle(3) writes it */
            memset(argv[0], 'x', strlen(argv[0]) + 1 + strlen(argv[1]) + 1);
            memcpy(argv[0], "title", 5);
            break;
        case 'q':
            _exit(7);
        }
        NEED(write(answers[1], &c, 1) == 1);
    }
    _exit(8);
}

static int count(int pid, const char *name)
{
    char path[64];
    int n = 0;
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    DIR *dir = opendir(path);
    struct dirent *e;
    while (dir && (e = readdir(dir)))
        n += e->d_name[0] != '.';
    if (!dir)
        return -1;
    closedir(dir);
    return n;
}

static void directories(int pid)
{
    char cwd[PATH_MAX], below[PATH_MAX + 8];
    NEED(getcwd(cwd, sizeof(cwd)));
    CHECK("exe", link_is(pid, "exe", me));
    CHECK("root", link_is(pid, "root", "/"));
    CHECK("cwd", link_is(pid, "cwd", cwd));
    tell('d');
    snprintf(below, sizeof(below), "%s/below", cwd);
    CHECK("cwd after chdir", link_is(pid, "cwd", below));
}

static void names(int pid)
{
    char path[64];
    slurp(pid, "comm");
    say("comm", "%s", strtok(text, "\n"));
    say("comm in stat", "%s", stat_field(pid, 2));
    tell('n');
    slurp(pid, "comm");
    say("comm after PR_SET_NAME", "%s", strtok(text, "\n"));
    say("in stat", "%s", stat_field(pid, 2));
    say("in status", "%s", status(pid, "Name"));
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    int fd = open(path, O_WRONLY);
    NEED(fd >= 0);
    TRY("write the comm of another", write(fd, "other", 5));
    close(fd);
}

static void memory(int pid)
{
    char mine[4096];
    long n = slurp(getpid(), "cmdline");
    memcpy(mine, text, (size_t)n);
    CHECK("cmdline is the parent's",
          slurp(pid, "cmdline") == n && memcmp(mine, text, (size_t)n) == 0);
    n = slurp(pid, "environ");
    bool found = false;
    for (char *at = text; at < text + n; at += strlen(at) + 1)
        found = found || strcmp(at, "LC_ALL=C.UTF-8") == 0;
    CHECK("environ", found);
    CHECK("auxv", slurp(pid, "auxv") >= 16 * 10);
    CHECK("VmSize and VmRSS", atol(status(pid, "VmRSS")) > 0);
    CHECK("virtual size", atol(status(pid, "VmSize")) >= atol(status(pid, "VmRSS")));
    CHECK("vsize is moderate", atoll(stat_field(pid, 23)) < 1LL << 32);
    tell('T');
    n = slurp(pid, "cmdline");
    CHECK("a title begins", strncmp(text, "titlexx", 7) == 0);
    CHECK("and is longer than the arguments", (size_t)n == strlen(text) + 1);
}

static void facts(int pid)
{
    struct rlimit limit = {0, 0};
    say("PPid", "%d", atoi(status(pid, "PPid")) == getpid());
    say("ppid in stat", "%d", atoi(stat_field(pid, 4)) == getpid());
    say("pid in stat", "%d", atoi(stat_field(pid, 1)) == pid);
    say("Pid and Tgid", "%d", atoi(status(pid, "Pid")) == pid && atoi(status(pid, "Tgid")) == pid);
    CHECK("group and session",
          atoi(stat_field(pid, 5)) == getpgrp() && atoi(stat_field(pid, 6)) == getsid(0));
    tell('u');
    say("Umask", "%s", status(pid, "Umask"));
    tell('l');
    TRY("prlimit of another", prlimit(pid, RLIMIT_NOFILE, NULL, &limit));
    say("limits", "%ld %ld", (long)limit.rlim_cur, (long)limit.rlim_max);
    slurp(pid, "limits");
    char *line = strstr(text, "Max open files");
    say("limits file", "%.60s", line ? line : "none");
    char uid[64], gid[64];
    snprintf(uid, sizeof(uid), "%s", status(pid, "Uid"));
    CHECK("Uid", strcmp(uid, status(getpid(), "Uid")) == 0);
    snprintf(gid, sizeof(gid), "%s", status(pid, "Gid"));
    CHECK("Gid", strcmp(gid, status(getpid(), "Gid")) == 0);
    char path[64];
    struct stat st;
    snprintf(path, sizeof(path), "/proc/%d", pid);
    NEED(stat(path, &st) == 0);
    CHECK("owner", st.st_uid == geteuid() && st.st_gid == getegid());
    say("mode", "%o", st.st_mode);
}

static void tasks(int pid)
{
    char path[300];
    int named = 0;
    TRY("tasks", count(pid, "task"));
    tell('t');
    TRY("tasks of three threads", count(pid, "task"));
    say("Threads", "%s", status(pid, "Threads"));
    say("num_threads", "%s", stat_field(pid, 20));
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "task/%s/comm", e->d_name);
        slurp(pid, path);
        named += strcmp(text, "second\n") == 0;
        snprintf(path, sizeof(path), "task/%s/status", e->d_name);
        slurp(pid, path);
        CHECK("a task has a status", strncmp(text, "Name:\t", 6) == 0);
    }
    closedir(dir);
    say("named threads", "%d", named);
    TRY("no such task", slurp(pid, "task/1/stat"));
}

static void running(char **argv)
{
    bool ascending;
    int pid = fork();
    if (pid == 0)
        child(argv);
    CHECK("listed", listed(pid, &ascending));
    CHECK("ascending", ascending);
    CHECK("waits", comes_to(pid, 'S'));
    say("State", "%s", status(pid, "State"));
    facts(pid);
    names(pid);
    directories(pid);
    tasks(pid);
    memory(pid);
    kill(pid, SIGSTOP);
    CHECK("stops", comes_to(pid, 'T'));
    say("State", "%s", status(pid, "State"));
    kill(pid, SIGCONT);
    CHECK("goes on", comes_to(pid, 'S'));
    TRY("no such file", slurp(pid, "nonsense"));
    TRY("below a file", slurp(pid, "stat/x"));
    TRY("a directory", slurp(pid, "task/x"));
    char c = 'q';
    NEED(write(commands[1], &c, 1) == 1);
    siginfo_t info;
    NEED(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
    say("dead, State", "%s", status(pid, "State"));
    say("dead, name", "%s", status(pid, "Name"));
    say("dead, cmdline", "%ld", slurp(pid, "cmdline"));
    say("dead, VmSize", "%s", status(pid, "VmSize"));
    say("dead, vsize", "%s", stat_field(pid, 23));
    say("dead, ppid", "%d", atoi(stat_field(pid, 4)) == getpid());
    CHECK("dead, listed", is_listed(pid));
    char path[64], to[64];
    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    TRY("dead, exe", readlink(path, to, sizeof(to)));
    NEED(waitpid(pid, NULL, 0) == pid);
    TRY("gone", slurp(pid, "stat"));
    CHECK("gone, listed", !is_listed(pid));
    TRY("gone, prlimit", prlimit(pid, RLIMIT_NOFILE, NULL, NULL));
}

/* Killed, its directory held open. */
static void killed(void)
{
    char path[64];
    int pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    snprintf(path, sizeof(path), "/proc/%d", pid);
    int dir = open(path, O_RDONLY | O_DIRECTORY);
    NEED(dir >= 0);
    int fd = openat(dir, "stat", O_RDONLY);
    CHECK("opened below its directory", fd >= 0);
    close(fd);
    kill(pid, SIGKILL);
    CHECK("killed", comes_to(pid, 'Z'));
    NEED(waitpid(pid, NULL, 0) == pid);
    CHECK("stat of the killed", openat(dir, "stat", O_RDONLY) == -1);
    TRY("access", access(path, F_OK));
    close(dir);
}

static void programs(void)
{
    int pid, p[2];
    char *argv[] = {"a new name", "wait", "", "last", NULL};
    NEED(pipe2(p, 0) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, p[0], 0);
    posix_spawn_file_actions_adddup2(&actions, answers[1], 1);
    posix_spawn_file_actions_addclose(&actions, p[1]);
    NEED(posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ) == 0);
    char c;
    NEED(read(answers[0], &c, 1) == 1);
    TRY("setpgid of a child that has exec'ed", setpgid(pid, pid));
    TRY("into its own group", setpgid(pid, getpgrp()));
    TRY("setpgid, negative", setpgid(pid, -1));
    say("spawned, comm", "%s", stat_field(pid, 2));
    long n = slurp(pid, "cmdline");
    for (long i = 0; i < n; i++)
        text[i] = text[i] ? text[i] : '|';
    say("spawned, cmdline", "%s", text);
    CHECK("spawned, exe", link_is(pid, "exe", me));
    CHECK("spawned, parent", atoi(status(pid, "PPid")) == getpid());
    close(p[1]);
    NEED(waitpid(pid, NULL, 0) == pid);
    close(p[0]);
}

/* The child of a child, whose parent is gone. */
static void orphan(void)
{
    int p[2], pid = 0;
    NEED(pipe(p) == 0);
    int parent = fork();
    if (parent == 0) {
        int own = fork();
        if (own == 0)
            for (;;)
                pause();
        NEED(write(p[1], &own, sizeof(own)) == sizeof(own));
        pause();
    }
    NEED(read(p[0], &pid, sizeof(pid)) == sizeof(pid));
    CHECK("grandchild", atoi(status(pid, "PPid")) == parent && is_listed(pid));
    kill(parent, SIGKILL);
    NEED(waitpid(parent, NULL, 0) == parent);
    CHECK("orphan", is_listed(pid) && atoi(status(pid, "PPid")) != parent);
    kill(pid, SIGKILL);
    close(p[0]);
    close(p[1]);
}

/* A child says its own number before anybody else can know it. */
static void early(void)
{
    int p[2], bad = 0;
    NEED(pipe(p) == 0);
    int reader = fork();
    if (reader == 0) {
        int pid;
        close(p[1]);
        while (read(p[0], &pid, sizeof(pid)) == sizeof(pid))
            bad += slurp(pid, "comm") <= 0;
        _exit(bad ? 1 : 0);
    }
    int children[200];
    for (int i = 0; i < 200; i++)
        if ((children[i] = fork()) == 0) {
            int pid = getpid();
            NEED(write(p[1], &pid, sizeof(pid)) == sizeof(pid));
            _exit(0);
        }
    close(p[1]);
    int st;
    NEED(waitpid(reader, &st, 0) == reader);
    say("children seen at once", "%d", WEXITSTATUS(st));
    for (int i = 0; i < 200; i++)
        waitpid(children[i], NULL, 0);
    close(p[0]);
}

static void many(void)
{
    int failed = 0;
    for (int i = 0; i < 1000; i++) {
        int pid = fork();
        if (pid == 0)
            _exit(0);
        failed += pid < 0 || waitpid(pid, NULL, 0) != pid;
    }
    say("short forks that failed", "%d", failed);
    int pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    CHECK("one afterwards is listed", is_listed(pid));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void lookups(void)
{
    static const char *const names[] = {"99999999999", "99999999999999999999999",
                                        "0",           "-1",
                                        "+1",          "00",
                                        "007",         "1x",
                                        "4194305",     "2147483648",
                                        "x",           "1 "};
    struct stat st;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%s", names[i]);
        TRY(path, stat(path, &st));
        strcat(path, "/stat");
        TRY(path, open(path, O_RDONLY));
    }
    char path[64];
    snprintf(path, sizeof(path), "/proc/0%d", getpid());
    CHECK("a zero before the own number", stat(path, &st) == -1 && errno == ENOENT);
}

int main(int argc, char **argv)
{
    static char exe[PATH_MAX];
    NEED(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
    me = exe;
    if (argc > 2) { /* spawned */
        char c = 0;
        return write(1, &c, 1) != 1 || read(0, &c, 1) != 0;
    }
    NEED(argc == 2 && chdir(argv[1]) == 0);
    NEED(pipe(commands) == 0 && pipe(answers) == 0);
    running(argv);
    killed();
    programs();
    orphan();
    early();
    many();
    lookups();
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The tracer: starts a command and follows it and all its descendants until the last one ends. */
#include "tracer/tracer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUCKETS 1024u

struct task {
    struct task *next;
    pid_t tid, tgid;
};

struct tracer {
    struct record *record;
    struct task *tasks[BUCKETS];
    pid_t child;
};

/* The command, for the handler that passes signals on. One trace runs in a process. */
static volatile sig_atomic_t signalled_child, signals_seen;

/* A field of /proc/TID/status; -1 when the task is gone. Kilobytes where the kernel says so. */
static long status_field(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at ? atol(at + strlen(name)) : -1;
}

static bool read_proc(pid_t tid, const char *file, struct buffer *out)
{
    char path[64], part[16384];
    snprintf(path, sizeof(path), "/proc/%d/%s", tid, file);
    FILE *in = fopen(path, "re");
    if (!in)
        return false;
    for (size_t n; (n = fread(part, 1, sizeof(part), in)) > 0;)
        buffer_add(out, part, n);
    fclose(in);
    buffer_add(out, "", 1);
    return out->len > 1;
}

static struct task *task_of(struct tracer *t, pid_t tid)
{
    struct task **list = &t->tasks[(unsigned)tid % BUCKETS], *task = *list;
    while (task && task->tid != tid)
        task = task->next;
    if (!task) {
        struct buffer text = {0};
        task = xmalloc(sizeof(*task));
        *task = (struct task){.next = *list, .tid = tid, .tgid = tid};
        if (read_proc(tid, "status", &text))
            task->tgid = (pid_t)status_field(text.data, "\nTgid:");
        buffer_free(&text);
        *list = task;
    }
    return task;
}

static void task_gone(struct tracer *t, pid_t tid)
{
    struct task **at = &t->tasks[(unsigned)tid % BUCKETS];
    while (*at && (*at)->tid != tid)
        at = &(*at)->next;
    if (!*at)
        return;
    struct task *gone = *at;
    *at = gone->next;
    free(gone);
}

/* Bytes of the mappings that can be accessed at all, and of the heap of brk. */
static void sum_maps(const char *text, unsigned long long *accessible, unsigned long long *heap)
{
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        unsigned long long from, to;
        char rights[5];
        if (sscanf(line, "%llx-%llx %4s", &from, &to, rights) != 3)
            continue;
        size_t len = strcspn(line, "\n");
        if (strncmp(rights, "---", 3) != 0 && from < to && to < 1ull << 47)
            *accessible += to - from;
        if (len > 6 && !strncmp(line + len - 6, "[heap]", 6))
            *heap += to - from;
    }
}

/* What a process has needed, measured where one of its threads is about to end or to exec. */
static void measure(struct tracer *t, pid_t tid)
{
    struct buffer status = {0}, maps = {0};
    unsigned long long accessible = 0, heap = 0;
    if (read_proc(tid, "status", &status) && status_field(status.data, "\nVmHWM:") > 0 &&
        read_proc(tid, "maps", &maps)) {
        char line[160];
        sum_maps(maps.data, &accessible, &heap);
        snprintf(line, sizeof(line), "P%llu %llu %llu %llu %ld",
                 (unsigned long long)status_field(status.data, "\nVmHWM:") << 10, accessible,
                 (unsigned long long)status_field(status.data, "\nVmStk:") << 10, heap,
                 status_field(status.data, "\nThreads:"));
        record_string(t->record, line, false);
    }
    buffer_free(&status);
    buffer_free(&maps);
}

static void seccomp_stop(struct tracer *t, pid_t tid)
{
    struct __ptrace_syscall_info info = {0};
    if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <= 0)
        return;
    if (info.arch != AUDIT_ARCH_X86_64) {
        record_string(t->record, "Fforeign", false);
        return;
    }
    struct call call = {.tid = tid, .nr = info.seccomp.nr};
    memcpy(call.arg, info.seccomp.args, sizeof(call.arg));
    call_record(t->record, &call);
}

/* How many threads a process has, when it has got a new one. */
static void count_threads(struct tracer *t, pid_t tid)
{
    struct buffer text = {0};
    if (read_proc(tid, "status", &text)) {
        char line[64];
        snprintf(line, sizeof(line), "P0 0 0 0 %ld", status_field(text.data, "\nThreads:"));
        record_string(t->record, line, false);
    }
    buffer_free(&text);
}

/* After a stop: how the thread goes on. */
static void stopped(struct tracer *t, pid_t tid, int status)
{
    int event = status >> 16, signal = WSTOPSIG(status);
    struct task *task = task_of(t, tid);
    switch (event) {
    case PTRACE_EVENT_SECCOMP:
        seccomp_stop(t, tid);
        break;
    case PTRACE_EVENT_EXIT:
        if (task->tid == task->tgid)
            measure(t, tid);
        break;
    case PTRACE_EVENT_CLONE:
        count_threads(t, tid);
        break;
    case PTRACE_EVENT_STOP:
        if (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU) {
            ptrace(PTRACE_LISTEN, tid, 0, 0);
            return;
        }
        break;
    }
    if (!event && signal == SIGTERM)
        record_string(t->record, "Fsigterm", false);
    /* A thread that was killed meanwhile is ESRCH; its end is reported next. */
    ptrace(PTRACE_CONT, tid, 0, event ? 0 : (unsigned long)signal);
}

/* SIGINT and SIGQUIT of the terminal reach the command by themselves. The third SIGTERM ends the
 * tracer, and PTRACE_O_EXITKILL with it all that it traces. */
static void pass_on(int signal)
{
    signals_seen++;
    if (signals_seen > 2)
        _exit(1);
    if (signalled_child > 0)
        kill(signalled_child, signal);
}

static void set_signals(void)
{
    struct sigaction pass = {.sa_handler = pass_on, .sa_flags = SA_RESTART},
                     ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &pass, NULL);
    sigaction(SIGHUP, &pass, NULL);
    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGQUIT, &ignore, NULL);
}

/* In the child: waits until it is traced, then becomes the command. */
static void become(int go, int failed, char **argv)
{
    char byte;
    int err = read(go, &byte, 1) == 1 ? -filter_install() : ECANCELED;
    if (!err) {
        execvp(argv[0], argv);
        err = errno;
    }
    if (write(failed, &err, sizeof(err)) < 0)
        _exit(126);
    _exit(127);
}

static void follow(struct tracer *t)
{
    int status;
    for (;;) {
        pid_t tid = waitpid(-1, &status, __WALL);
        if (tid < 0 && errno == EINTR)
            continue;
        if (tid < 0)
            return;
        if (WIFSTOPPED(status)) {
            stopped(t, tid, status);
            continue;
        }
        task_gone(t, tid);
        if (tid == t->child) {
            char line[32];
            snprintf(line, sizeof(line), "E%d", status);
            record_string(t->record, line, true);
            signalled_child = 0;
        }
    }
}

int trace_run(struct record *r, const char *shown, char **argv)
{
    struct tracer *t = xmalloc(sizeof(*t));
    *t = (struct tracer){.record = r};
    int go[2], failed[2], err = 0;
    const unsigned long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                                  PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT |
                                  PTRACE_O_EXITKILL;
    if (pipe2(go, O_CLOEXEC) || pipe2(failed, O_CLOEXEC)) {
        err = -errno;
    } else if (!(t->child = fork())) {
        close(go[1]);
        close(failed[0]);
        become(go[0], failed[1], argv);
    }
    if (!err && t->child < 0)
        err = -errno;
    if (!err) {
        close(go[0]);
        close(failed[1]);
        signalled_child = t->child;
        set_signals();
        if (ptrace(PTRACE_SEIZE, t->child, 0, options))
            err = -errno;
        else if (write(go[1], "", 1) != 1)
            err = -errno;
        close(go[1]);
        follow(t);
        int cause = 0;
        if (!err && read(failed[0], &cause, sizeof(cause)) == sizeof(cause))
            err = -cause;
        close(failed[0]);
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        while (t->tasks[i])
            task_gone(t, t->tasks[i]->tid);
    }
    free(t);
    if (err)
        fprintf(stderr, "error: %s: cannot run '%s' under the tracer: %s\n", shown, argv[0],
                strerror(-err));
    return err;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/log.h"
#include "host/host.h"
#include "libos/process.h"

enum log_level log_level_now = LOG_ERROR;
static int log_fd = 2; /* set once at start */

void log_init(enum log_level level, int host_fd)
{
    log_level_now = level;
    log_fd = host_fd;
}

void log_hold_stderr(void)
{
    int fd = host_open("/", O_PATH | O_DIRECTORY, 0);
    if (fd != 2 && fd >= 0)
        host_dup3(fd, 2, true);
    if (fd != 2)
        host_close(fd < 0 ? 2 : fd);
}

static const char *const level_word[] = {"none", "error", "warning", "debug", "trace", "all"};

static int prefix(char *buf, size_t size, const char *file, int line, const char *func)
{
    int n = 0;
    if (log_level_now >= LOG_DEBUG && file) {
        const char *base = strrchr(file, '/');
        n += fmt(buf, size, "(%s:%d:%s) ", base ? base + 1 : file, line, func);
    }
    if (!file) /* the platform's own messages carry no process tag */
        return n;
    struct process *p = first_process ? current_process() : NULL;
    if (p && p->pid)
        n += fmt(buf + n, size - (size_t)n, "[P%d:T%d:%s] ", p->pid, current()->tid, p->comm);
    else
        n += fmt(buf + n, size - (size_t)n, "[::%s] ", p ? p->comm : "");
    return n;
}

void log_line(enum log_level level, const char *file, int line, const char *func,
              const char *format, ...)
{
    char buf[2304]; /* a trace line is up to 2000 bytes */
    int n = prefix(buf, 256, file, line, func);
    n += fmt(buf + n, sizeof(buf) - (size_t)n, "%s: ", level_word[level]);
    va_list ap;
    va_start(ap, format);
    n += fmt_v(buf + n, sizeof(buf) - 1 - (size_t)n, format, ap);
    va_end(ap);
    n = MIN(n, (int)sizeof(buf) - 2);
    buf[n++] = '\n';
    host_say(log_fd, buf, (size_t)n);
}

void panic(const char *format, ...)
{
    char buf[512];
    va_list ap;
    va_start(ap, format);
    fmt_v(buf, sizeof(buf), format, ap);
    va_end(ap);
    log_line(LOG_ERROR, NULL, 0, NULL, "%s", buf);
    host_exit_group(1);
}

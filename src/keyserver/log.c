/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keyserver/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/tools.h"

/* Guards the descriptor, and keeps lines whole. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = STDERR_FILENO;
static char log_instance[128] = "keyserver";

bool ks_log_open(const char *path, const char *instance)
{
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640) : STDERR_FILENO;
    if (fd < 0)
        return false;
    pthread_mutex_lock(&log_lock);
    if (log_fd != STDERR_FILENO)
        close(log_fd);
    log_fd = fd;
    snprintf(log_instance, sizeof(log_instance), "%s", instance);
    pthread_mutex_unlock(&log_lock);
    return true;
}

void ks_time_text(char text[32])
{
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    size_t len = strftime(text, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, 32 - len, ".%03ldZ", now.tv_nsec / 1000000);
}

json_t *ks_json_text(const char *text)
{
    json_t *s = json_string(text);
    if (s)
        return s;
    char *copy = strdup(text);
    for (char *p = copy; p && *p; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    s = copy ? json_string(copy) : NULL;
    free(copy);
    return s;
}

json_t *ks_json_hex(const void *data, size_t size)
{
    char text[257];
    const uint8_t *p = data;
    if (!data || size > 128)
        return json_null();
    for (size_t i = 0; i < size; i++)
        sprintf(text + 2 * i, "%02x", p[i]);
    text[2 * size] = 0;
    return json_string(text);
}

void ks_log(const char *level, const char *event, json_t *more)
{
    char when[32];
    ks_time_text(when);
    json_t *line = json_pack("{s:s,s:s,s:s,s:s}", "time", when, "level", level, "event", event,
                             "instance", log_instance);
    if (line && more)
        json_object_update_missing(line, more);
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    pthread_mutex_lock(&log_lock);
    if (text) {
        size_t len = strlen(text);
        text[len] = '\n';                 /* in place of the NUL: one write, one line */
        write_all(log_fd, text, len + 1); /* of a failure, nobody is left to be told */
        text[len] = 0;
    }
    pthread_mutex_unlock(&log_lock);
    free(text);
    json_decref(line);
    json_decref(more);
}

bool ks_log_may(void)
{
    enum { LINES = 100 };
    static pthread_mutex_t may_lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
    static time_t second;
    static unsigned long lines;
    unsigned long left_out = 0;
    time_t now = time(NULL);
    pthread_mutex_lock(&may_lock);
    if (now != second) {
        left_out = lines > LINES ? lines - LINES : 0;
        second = now;
        lines = 0;
    }
    bool may = ++lines <= LINES;
    pthread_mutex_unlock(&may_lock);
    if (left_out)
        ks_log("warning", "left-out", json_pack("{s:I}", "lines", (json_int_t)left_out));
    return may;
}

void ks_log_text(const char *level, const char *event, const char *fmt, ...)
{
    char text[1200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    json_t *more = json_object();
    json_object_set_new(more, "message", ks_json_text(text));
    ks_log(level, event, more);
}

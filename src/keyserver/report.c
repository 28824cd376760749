/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keyserver/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyserver/log.h"
#include "manifest/input.h"

#define TALLY_MAX 1000

/* Decisions of one secret and code. */
struct tally {
    char secret[80], code[60];
    unsigned long n;
};

struct ks_report {
    json_t **rows; /* a ring, sorted by time when it is written */
    size_t room, used, next;
    unsigned long decisions, releases;
    struct tally tallies[TALLY_MAX];
    size_t tally_count;
};

struct ks_report *ks_report_new(size_t rows)
{
    struct ks_report *r = calloc(1, sizeof(*r));
    if (r)
        r->rows = calloc(rows, sizeof(*r->rows));
    if (r && r->rows) {
        r->room = rows;
        return r;
    }
    free(r);
    return NULL;
}

void ks_report_free(struct ks_report *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->room; i++)
        json_decref(r->rows[i]);
    free(r->rows);
    free(r);
}

/* ---- reading ---- */

static const char *text_of(const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, name));
    return text ? text : "";
}

static void count(struct ks_report *r, const char *secret, const char *code)
{
    size_t i = 0;
    char s[sizeof(r->tallies[0].secret)], c[sizeof(r->tallies[0].code)];
    snprintf(s, sizeof(s), "%s", secret);
    snprintf(c, sizeof(c), "%s", code);
    while (i < r->tally_count && (strcmp(r->tallies[i].secret, s) || strcmp(r->tallies[i].code, c)))
        i++;
    if (i == TALLY_MAX)
        return;
    if (i == r->tally_count) {
        r->tally_count++;
        memcpy(r->tallies[i].secret, s, sizeof(s));
        memcpy(r->tallies[i].code, c, sizeof(c));
    }
    r->tallies[i].n++;
}

struct reading {
    struct ks_report *report;
    json_t *instance; /* of the last start */
};

static void visit(void *context, const struct ks_chain *chain, const json_t *record)
{
    struct reading *reading = context;
    struct ks_report *r = reading->report;
    const char *event = text_of(record, "event");
    if (!strcmp(event, "start")) {
        json_decref(reading->instance);
        reading->instance = json_incref(json_object_get(record, "instance"));
    }
    bool release = !strcmp(event, "release");
    if (!release && strcmp(event, "refuse") != 0)
        return;
    r->decisions++;
    r->releases += release;
    count(r, text_of(record, "secret"), text_of(record, "code"));
    json_t *copy = json_copy((json_t *)record);
    if (copy && reading->instance)
        json_object_set(copy, "instance", reading->instance);
    json_decref(r->rows[r->next]);
    r->rows[r->next] = copy;
    r->next = (r->next + 1) % r->room;
    r->used += r->used < r->room;
}

bool ks_report_read(struct ks_report *report, struct ks_report_log *log)
{
    struct reading reading = {.report = report};
    if (log->head && !ks_head_read(&log->signed_head, log->head, &log->broken)) {
        /* The log is shown all the same. */
        log->signed_head = (struct ks_head){0};
    }
    int fd = open_input(log->path);
    if (fd < 0) {
        snprintf(log->broken.text, sizeof(log->broken.text), "it cannot be read: %s",
                 strerror(errno));
        return false;
    }
    struct ks_audit_error error = {0};
    if (!ks_audit_check(fd, log->signed_head.seq ? &log->signed_head : NULL, &log->chain, visit,
                        &reading, &error))
        log->broken = error;
    json_decref(reading.instance);
    close(fd);
    return true;
}

/* ---- writing ---- */

static void escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '&')
            fputs("&amp;", out);
        else if (c == '<')
            fputs("&lt;", out);
        else if (c == '>')
            fputs("&gt;", out);
        else if (c == '"')
            fputs("&quot;", out);
        else if (c == '\'')
            fputs("&#39;", out);
        else if (c < 0x20 || c == 0x7f)
            fputs("\xef\xbf\xbd", out);
        else
            fputc(c, out);
    }
}

static void cell(FILE *out, const char *class, const char *text)
{
    fprintf(out, "<td class=\"%s\">", class);
    escaped(out, text);
    fputs("</td>", out);
}

static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:90rem;padding:0 1rem;"
    "color:#1c1e21;background:#fff}h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;"
    "margin-top:2rem}table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-"
    "align:"
    "top;padding:.35rem .6rem;border-bottom:1px solid "
    "#d5d9de}th{background:#f2f4f7;position:sticky;"
    "top:0}.id{font-family:ui-monospace,monospace;font-size:.8rem;overflow-wrap:anywhere;min-width:"
    "11rem}.why{overflow-wrap:anywhere;min-width:14rem}.n{text-align:right}.good{color:#0a6b2d;"
    "font-weight:600}.bad{color:#a8071a;font-weight:600}.note{color:#59616b}.banner{padding:.7rem "
    "1rem;border-radius:.4rem;margin:1rem 0;border:1px solid}.banner.good{background:#e8f6ec}"
    ".banner.bad{background:#fdecee}@media(prefers-color-scheme:dark){body{background:#15181c;"
    "color:"
    "#e3e6ea}th{background:#23282e}th,td{border-color:#363c44}.good{color:#6fd08c}.bad{color:#"
    "ff8a8a}"
    ".note{color:#a2abb5}.banner.good{background:#12301c}.banner.bad{background:#3a1518}}";

static void write_log(const struct ks_report_log *log, FILE *out)
{
    fputs("<tr>", out);
    cell(out, "id", log->path);
    fprintf(out, "<td class=\"n\">%" PRIu64 "</td>", log->chain.count);
    if (log->broken.text[0])
        cell(out, "bad", log->broken.text);
    else
        cell(out, "good", "intact");
    if (log->signed_head.seq) {
        char text[120];
        snprintf(text, sizeof(text), "%s, %" PRIu64 " records", log->signed_head.time,
                 log->signed_head.seq);
        cell(out, "", text);
    } else {
        cell(out, "note", "none: what was cut off at the end does not show");
    }
    cell(out, "id", log->chain.log);
    fputs("</tr>\n", out);
}

static void write_tallies(const struct ks_report *r, FILE *out)
{
    fputs(
        "<h2>Decisions by secret</h2>\n<table id=\"tally\"><thead><tr><th>secret</th><th>code</th>"
        "<th class=\"n\">number</th></tr></thead><tbody>\n",
        out);
    for (size_t i = 0; i < r->tally_count; i++) {
        const struct tally *t = &r->tallies[i];
        fputs("<tr>", out);
        cell(out, "", *t->secret ? t->secret : "(none)");
        cell(out, strcmp(t->code, "OK") ? "bad" : "good", t->code);
        fprintf(out, "<td class=\"n\">%lu</td></tr>\n", t->n);
    }
    fputs("</tbody></table>\n", out);
}

static void write_platform(const json_t *d, FILE *out)
{
    static const char *const names[] = {"verdict", "tcb_date", "fmspc", "ppid"};
    fputs("<td class=\"id\">", out);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!*text_of(d, names[i]))
            continue;
        fprintf(out, "%s ", names[i]);
        escaped(out, text_of(d, names[i]));
        fputs("<br>", out);
    }
    size_t i;
    const json_t *advisory;
    json_array_foreach(json_object_get(d, "advisories"), i, advisory)
    {
        escaped(out, json_is_string(advisory) ? json_string_value(advisory) : "");
        fputs("<br>", out);
    }
    const char *root = text_of(d, "root");
    if (*root && strcmp(root, "Intel") != 0) {
        fputs("<span class=\"bad\">root ", out);
        escaped(out, root);
        fputs("</span>", out);
    }
    fputs("</td>", out);
}

static void write_enclave(const json_t *d, FILE *out)
{
    fputs("<td class=\"id\">", out);
    if (!json_is_true(json_object_get(d, "verified")))
        fputs("<span class=\"bad\">claimed, not verified</span><br>", out);
    fputs("mrenclave ", out);
    escaped(out, text_of(d, "mrenclave"));
    fputs("<br>mrsigner ", out);
    escaped(out, text_of(d, "mrsigner"));
    fprintf(out, "<br>product %lld, svn %lld",
            (long long)json_integer_value(json_object_get(d, "isv_prod_id")),
            (long long)json_integer_value(json_object_get(d, "isv_svn")));
    if (json_is_true(json_object_get(d, "debug")))
        fputs(", <span class=\"bad\">DEBUG</span>", out);
    fputs("</td>", out);
}

static void write_decision(const json_t *d, FILE *out)
{
    bool release = !strcmp(text_of(d, "event"), "release");
    fprintf(out, "<tr class=\"%s\">", release ? "release" : "refuse");
    cell(out, "", text_of(d, "time"));
    cell(out, release ? "good" : "bad", release ? "released" : "refused");
    cell(out, "", text_of(d, "secret"));
    fputs("<td class=\"why\">", out);
    escaped(out, text_of(d, "code"));
    if (*text_of(d, "reason")) {
        fputs("<br>", out);
        escaped(out, text_of(d, "reason"));
    }
    fputs("</td>", out);
    write_enclave(d, out);
    write_platform(d, out);
    fputs("<td class=\"id\">", out);
    escaped(out, text_of(d, "peer"));
    fputs("<br>", out);
    escaped(out, text_of(d, "instance"));
    fputs("</td></tr>\n", out);
}

static int by_time(const void *a, const void *b)
{
    const json_t *const *x = a, *const *y = b;
    return -strcmp(text_of(*x, "time"), text_of(*y, "time"));
}

static void write_decisions(struct ks_report *r, FILE *out)
{
    fprintf(out,
            "<h2>%s%zu decisions, newest first</h2>\n<table id=\"decisions\"><thead><tr>"
            "<th>when</th><th>decision</th><th>secret</th><th>why</th><th>enclave</th>"
            "<th>platform</th><th>client</th></tr></thead><tbody>\n",
            r->used < r->decisions ? "The last " : "", r->used);
    qsort(r->rows, r->used, sizeof(*r->rows), by_time);
    for (size_t i = 0; i < r->used; i++)
        write_decision(r->rows[i], out);
    fputs("</tbody></table>\n", out);
}

void ks_report_write(struct ks_report *r, const struct ks_report_log *logs, size_t log_count,
                     FILE *out)
{
    char when[32];
    size_t broken = 0;
    ks_time_text(when);
    for (size_t i = 0; i < log_count; i++)
        broken += logs[i].broken.text[0] != 0;
    fprintf(out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
            "'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width\">\n"
            "<title>Key server: who got what</title>\n<style>%s</style></head><body>\n"
            "<h1>Key server: who got what</h1>\n<p class=\"note\">Made %s from %zu audit %s: %lu "
            "decisions, %lu releases.</p>\n",
            style, when, log_count, log_count == 1 ? "log" : "logs", r->decisions, r->releases);
    if (broken)
        fprintf(out,
                "<p id=\"chain\" class=\"banner bad\">The chain of %zu of %zu logs is broken. What "
                "stands behind the first broken record is not shown.</p>\n",
                broken, log_count);
    else
        fputs("<p id=\"chain\" class=\"banner good\">The chain of every log is intact.</p>\n", out);
    fputs("<h2>Logs</h2>\n<table id=\"logs\"><thead><tr><th>file</th><th class=\"n\">records</th>"
          "<th>chain</th><th>signed head</th><th>log</th></tr></thead><tbody>\n",
          out);
    for (size_t i = 0; i < log_count; i++)
        write_log(&logs[i], out);
    fputs("</tbody></table>\n", out);
    write_tallies(r, out);
    write_decisions(r, out);
    fputs("</body></html>\n", out);
}

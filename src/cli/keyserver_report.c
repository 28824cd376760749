/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton keyserver report: the page of what its audit logs say. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/attest_commands.h"
#include "cli/tools.h"
#include "keyserver/report.h"

#define LOGS_MAX     64
#define DEFAULT_ROWS 1000

struct request {
    const char *name, *output;
    size_t rows, log_count;
    struct ks_report_log logs[LOGS_MAX];
};

static int wrong(const struct request *r, const char *what)
{
    fprintf(stderr, "error: %s: %s; --help shows the forms\n", r->name, what);
    return 2;
}

/* 0, the exit status, or -1: help is wanted. */
static int parse(struct request *r, int argc, char **argv, struct arena *a)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'},
        {"head", required_argument, NULL, 'H'},
        {"last", required_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *heads[LOGS_MAX];
    size_t head_count = 0;
    int c;
    optind = 0;
    while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        if (c == 'h')
            return -1;
        if (c == 'o')
            r->output = optarg;
        else if (c == 'H' && head_count < LOGS_MAX)
            heads[head_count++] = optarg;
        else if (c == 'l' && strlen(optarg) < 7 && strspn(optarg, "0123456789") == strlen(optarg) &&
                 strtoul(optarg, NULL, 10))
            r->rows = strtoul(optarg, NULL, 10);
        else
            return c == 'l' ? wrong(r, "--last takes a number from 1 to 999999") : 2;
    }
    r->log_count = (size_t)(argc - optind);
    if (!r->log_count || r->log_count > LOGS_MAX || !r->output)
        return wrong(r, "report takes 1 to 64 logs, and --output FILE");
    if (head_count && head_count != r->log_count)
        return wrong(r, "--head is given for each log, in their order, or not at all");
    for (size_t i = 0; i < r->log_count; i++) {
        struct ks_report_log *log = &r->logs[i];
        const char *beside = arena_printf(a, "%s.head", argv[optind + (int)i]);
        log->path = argv[optind + (int)i];
        log->head = head_count ? heads[i] : access(beside, R_OK) ? NULL : beside;
    }
    return 0;
}

static int write_page(const struct request *r, struct ks_report *report)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out)
        ks_report_write(report, r->logs, r->log_count, out);
    int err = !out || fclose(out) ? -ENOMEM : replace_file(r->output, text, size);
    free(text);
    if (err)
        fprintf(stderr, "error: %s: cannot write '%s': %s\n", r->name, r->output, strerror(-err));
    return err ? 2 : 0;
}

int keyserver_report(const char *name, int argc, char **argv, void (*usage)(FILE *to))
{
    struct request *r = calloc(1, sizeof(*r));
    struct arena a = {0};
    bool broken = false;
    if (!r)
        return 2;
    r->name = name;
    r->rows = DEFAULT_ROWS;
    int err = parse(r, argc, argv, &a);
    struct ks_report *report = err ? NULL : ks_report_new(r->rows);
    if (err < 0)
        usage(stdout);
    else if (!err && !report)
        err = wrong(r, "there is no memory left");
    for (size_t i = 0; !err && i < r->log_count; i++) {
        if (!ks_report_read(report, &r->logs[i])) {
            fprintf(stderr, "error: %s: '%s': %s\n", name, r->logs[i].path, r->logs[i].broken.text);
            err = 2;
        } else if (r->logs[i].broken.text[0]) {
            fprintf(stderr, "warning: %s: '%s': %s\n", name, r->logs[i].path,
                    r->logs[i].broken.text);
            broken = true;
        }
    }
    if (!err)
        err = write_page(r, report);
    ks_report_free(report);
    arena_free(&a);
    free(r);
    return err < 0 ? 0 : err ? err : broken;
}

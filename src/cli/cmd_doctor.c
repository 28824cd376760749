/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton doctor: what this machine lacks for each mode. */
#include "cli/doctor.h"

#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/sgx_commands.h"

static const struct {
    const char *name, *what;
    void (*check)(struct doctor *d);
} modes[MODE_COUNT] = {
    [MODE_DIRECT] = {"direct", "programs under adyton run", doctor_direct},
    [MODE_SGXEMU] = {"sgxemu", "SGX programs on the software device", doctor_sgxemu},
    [MODE_SGX] = {"sgx", "SGX programs on this machine's SGX", doctor_sgx},
    [MODE_QUOTES] = {"quotes", "quotes for SGX programs here", doctor_quotes},
    [MODE_VERIFY] = {"verify", "verification of others' quotes", doctor_verify},
};

static const char *const states[] = {
    [STATE_OK] = "ok", [STATE_NOTE] = "note", [STATE_MISSING] = "missing"};

static void usage(FILE *to)
{
    fputs(
        "Usage: adyton doctor [OPTIONS] [MODE...]\n\n"
        "Says what this machine lacks for each mode, and what helps. Exit status: 0 if the modes\n"
        "that were named can be used (none named: all are looked at, direct counts), else 1.\n\n",
        to);
    for (int i = 0; i < MODE_COUNT; i++)
        fprintf(to, "  %-18s %s\n", modes[i].name, modes[i].what);
    fputs("\n"
          "  --json             as a JSON object\n"
          "  --pccs URL         the PCCS to ask (default: as adyton verify)\n"
          "  --collateral DIR   collateral on disk, as for adyton verify\n"
          "  --fuses FILE       the software device's secret\n"
          "  --platform DIR     its test platform\n",
          to);
}

void doctor_say(struct doctor *d, enum doctor_state state, const char *item, const char *remedy,
                const char *fmt, ...)
{
    char found[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(found, sizeof(found), fmt, args);
    va_end(args);
    if (state == STATE_MISSING)
        d->usable[d->mode] = false;
    for (char *at = found; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = '?';
    json_t *check = json_pack("{s:s,s:s,s:s}", "mode", modes[d->mode].name, "item", item, "state",
                              states[state]);
    /* What is not UTF-8 in a path or answer is not worth a failure. */
    json_t *text = json_string(found);
    json_object_set_new(check, "found", text ? text : json_string("(not UTF-8)"));
    json_object_set_new(check, "remedy",
                        remedy && state != STATE_OK ? json_string(remedy) : json_null());
    json_array_append_new(d->checks, check);
}

static const char *member(const json_t *check, const char *name)
{
    return json_string_value(json_object_get(check, name));
}

static void print_text(const struct doctor *d, const bool wanted[MODE_COUNT])
{
    size_t i;
    const json_t *check;
    json_array_foreach((json_t *)d->checks, i, check)
    {
        const char *remedy = member(check, "remedy");
        printf("%-7s %-8s %s: %s%s%s\n", member(check, "mode"), member(check, "state"),
               member(check, "item"), member(check, "found"), remedy ? "; " : "",
               remedy ? remedy : "");
    }
    for (int m = 0; m < MODE_COUNT; m++)
        if (wanted[m])
            printf("%-7s %s\n", modes[m].name, d->usable[m] ? "can be used" : "cannot be used");
}

static int print_json(const struct doctor *d, const bool wanted[MODE_COUNT])
{
    json_t *usable = json_object();
    for (int m = 0; m < MODE_COUNT; m++)
        if (wanted[m])
            json_object_set_new(usable, modes[m].name, json_boolean(d->usable[m]));
    json_t *all = json_pack("{s:o,s:O}", "usable", usable, "checks", d->checks);
    int r = json_dumpf(all, stdout, JSON_INDENT(4));
    putchar('\n');
    json_decref(all);
    return r;
}

/* 0, or the exit status (-1: show the help). */
static int parse(struct doctor *d, bool wanted[MODE_COUNT], bool *json, int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"pccs", required_argument, NULL, 'u'},
        {"fuses", required_argument, NULL, 'f'},
        {"platform", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {"collateral", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    int c;
    optind = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (c == 'h')
            return -1;
        if (c == 'j')
            *json = true;
        else if (c == 'u')
            d->pccs = optarg;
        else if (c == 'f')
            d->fuses = optarg;
        else if (c == 'p')
            d->platform = optarg;
        else if (c == 'c')
            d->collateral = optarg;
        else
            return 2;
    }
    for (; optind < argc; optind++) {
        int m = 0;
        while (m < MODE_COUNT && strcmp(argv[optind], modes[m].name))
            m++;
        if (m == MODE_COUNT) {
            fprintf(stderr, "error: %s: there is no mode '%s'; --help lists them\n", argv[0],
                    argv[optind]);
            return 2;
        }
        wanted[m] = true;
    }
    return 0;
}

int cmd_doctor(int argc, char **argv)
{
    struct doctor d = {.checks = json_array()};
    bool wanted[MODE_COUNT] = {false}, json = false, named = false, good = true;
    int err = parse(&d, wanted, &json, argc, argv);
    if (err < 0)
        usage(stdout);
    if (err)
        return err < 0 ? 0 : err;
    for (int m = 0; m < MODE_COUNT; m++)
        named |= wanted[m];
    for (int m = 0; m < MODE_COUNT; m++) {
        bool counts = named ? wanted[m] : m == MODE_DIRECT;
        wanted[m] |= !named;
        d.mode = (enum doctor_mode)m;
        d.usable[m] = true;
        if (wanted[m])
            modes[m].check(&d);
        good = good && (!counts || d.usable[m]);
    }
    if (json)
        err = print_json(&d, wanted);
    else
        print_text(&d, wanted);
    json_decref(d.checks);
    return err || fflush(stdout) || !good ? 1 : 0;
}

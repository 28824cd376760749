/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton trace: runs a command once and writes a manifest template from what it did. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/paths.h"
#include "cli/tools.h"
#include "tracer/tracer.h"

#define PYTHON "/usr/bin/python3"

struct request {
    const char *output;
    const char *folders, *merge; /* "0" or "1" */
    char **secrets, **results;
    int secret_count, result_count;
    char **command;
    int command_count;
};

static int usage(const char *command, FILE *out, int status)
{
    fprintf(out,
            "Usage: %s [OPTION]... [--] COMMAND [ARGUMENT]...\n"
            "Runs COMMAND once, natively, and writes a manifest template with what it used.\n"
            "\n"
            "  -o, --output FILE   the template (default: NAME.manifest.template, after COMMAND)\n"
            "      --secret FILE   an input that is to be encrypted\n"
            "      --result FILE   an output that is to be encrypted\n"
            "      --folders       trust whole folders that belong to packages, not file by file\n"
            "      --merge         add to what earlier runs with the same -o used\n"
            "\n"
            "Standard input, output and error are the command's. FILE.record keeps the runs for "
            "--merge.\n",
            command);
    return status;
}

/* 0, or the exit status (1 more) to end with. */
static int parse_options(int argc, char **argv, struct request *r)
{
    enum { SECRET = 256, RESULT, FOLDERS, MERGE };
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"secret", required_argument, NULL, SECRET},
                                            {"result", required_argument, NULL, RESULT},
                                            {"folders", no_argument, NULL, FOLDERS},
                                            {"merge", no_argument, NULL, MERGE},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int opt;
    while ((opt = getopt_long(argc, argv, "+o:h", options, NULL)) != -1) {
        switch (opt) {
        case 'o':
            r->output = optarg;
            break;
        case SECRET:
            r->secrets[r->secret_count++] = optarg;
            break;
        case RESULT:
            r->results[r->result_count++] = optarg;
            break;
        case FOLDERS:
            r->folders = "1";
            break;
        case MERGE:
            r->merge = "1";
            break;
        case 'h':
            return 1 + usage(argv[0], stdout, 0);
        default:
            return 1 + usage(argv[0], stderr, 2);
        }
    }
    r->command = argv + optind;
    r->command_count = argc - optind;
    if (!r->command_count) {
        fprintf(stderr, "error: %s: no command to trace\n", argv[0]);
        return 1 + usage(argv[0], stderr, 2);
    }
    return 0;
}

/* Becomes the writer of the template, which reads the record from `fd`. */
static int write_template(const char *shown, const struct request *r, int fd)
{
    char script[PATH_MAX], number[16], secrets[16], results[16], output[PATH_MAX];
    const char *base = strrchr(r->command[0], '/');
    base = base ? base + 1 : r->command[0];
    if (r->output)
        snprintf(output, sizeof(output), "%s", r->output);
    else
        snprintf(output, sizeof(output), "%.200s.manifest.template", base);
    snprintf(number, sizeof(number), "%d", fd);
    snprintf(secrets, sizeof(secrets), "%d", r->secret_count);
    snprintf(results, sizeof(results), "%d", r->result_count);
    size_t count = (size_t)r->secret_count + (size_t)r->result_count + (size_t)r->command_count;
    char **argv = xmalloc((count + 11) * sizeof(*argv)), **at = argv;
    if (private_path(script, sizeof(script), "template.py")) {
        fprintf(stderr, "error: %s: cannot find its own files: is /proc mounted?\n", shown);
        return 1;
    }
    const char *const fixed[] = {PYTHON, "-I",       script,   number,  shown,
                                 output, r->folders, r->merge, secrets, results};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
        *at++ = (char *)fixed[i];
    for (int i = 0; i < r->secret_count; i++)
        *at++ = r->secrets[i];
    for (int i = 0; i < r->result_count; i++)
        *at++ = r->results[i];
    for (int i = 0; i < r->command_count; i++)
        *at++ = r->command[i];
    *at = NULL;
    execv(PYTHON, argv);
    fprintf(stderr, "error: %s: cannot execute " PYTHON ": %s; install python3\n", shown,
            strerror(errno));
    return 1;
}

int cmd_trace(int argc, char **argv)
{
    struct request r = {.folders = "0", .merge = "0"};
    r.secrets = xmalloc((size_t)argc * sizeof(*r.secrets));
    r.results = xmalloc((size_t)argc * sizeof(*r.results));
    int stop = parse_options(argc, argv, &r);
    if (stop)
        return stop - 1;
    struct record record = {0};
    if (trace_run(&record, argv[0], r.command))
        return 1;
    int fd = memfd_create("record", 0), err = fd < 0 ? -errno : 0;
    if (!err)
        err = write_all(fd, record.text.data, record.text.len);
    if (!err && lseek(fd, 0, SEEK_SET))
        err = -errno;
    record_free(&record);
    if (err) {
        fprintf(stderr, "error: %s: cannot keep the record: %s\n", argv[0], strerror(-err));
        return 1;
    }
    return write_template(argv[0], &r, fd);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * adyton sgxemu quote: a quote of the test platform for an enclave that need not exist. Reports of
 * the software device can be made by whoever reads its fuse file; this does so openly, for tests of
 * what verifies quotes.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sgx_emu.h"
#include "cli/tools.h"
#include "sgxemu/quoting/quoting.h"

struct request {
    const char *name, *fuses, *dir, *output;
    struct sgx_report report;
    bool have_data;
};

static void usage(FILE *to)
{
    fputs("Usage: adyton sgxemu quote [OPTIONS] --report-data HEX OUTPUT\n\n"
          "Writes a quote of the software device's test platform for this report data, as an\n"
          "enclave with these measurements would get it. For tests only.\n\n"
          "  --report-data HEX  up to 64 bytes; zeros follow\n"
          "  --mrenclave HEX    32 bytes (default: zeros), also --mrsigner\n"
          "  --isv-prod-id N    (default: 0), also --isv-svn\n"
          "  --config-id HEX    up to 64 bytes; zeros follow\n"
          "  --debug            the enclave's DEBUG attribute\n"
          "  --fuses FILE       the device's secret (default ~/.local/state/adyton/sgx-fuses)\n"
          "  --platform DIR     the test platform (default: test-platform beside the fuse file)\n",
          to);
}

static int digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* `exact`: all bytes must be given. */
static bool take_hex(const char *text, uint8_t *out, size_t size, bool exact)
{
    size_t len = strlen(text);
    if (len % 2 || len > 2 * size || (exact && len != 2 * size))
        return false;
    for (size_t i = 0; i < len; i += 2) {
        int high = digit(text[i]), low = digit(text[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool take_number(const char *text, uint16_t *out)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    *out = (uint16_t)n;
    return *text >= '0' && *text <= '9' && !*end && n <= 65535;
}

static bool take(struct request *r, int c)
{
    struct sgx_report *report = &r->report;
    switch (c) {
    case 'd':
        r->have_data = true;
        return take_hex(optarg, report->report_data, 64, false);
    case 'e':
        return take_hex(optarg, report->mrenclave, 32, true);
    case 's':
        return take_hex(optarg, report->mrsigner, 32, true);
    case 'c':
        return take_hex(optarg, report->config_id, 64, false);
    case 'i':
        return take_number(optarg, &report->isv_prod_id);
    case 'v':
        return take_number(optarg, &report->isv_svn);
    case 'g':
        report->attributes.flags |= SGX_FLAG_DEBUG;
        return true;
    case 'f':
        r->fuses = optarg;
        return true;
    case 'p':
        r->dir = optarg;
        return true;
    default:
        return false;
    }
}

static int parse(struct request *r, int argc, char **argv)
{
    static const struct option options[] = {
        {"report-data", required_argument, NULL, 'd'},
        {"mrenclave", required_argument, NULL, 'e'},
        {"mrsigner", required_argument, NULL, 's'},
        {"config-id", required_argument, NULL, 'c'},
        {"isv-prod-id", required_argument, NULL, 'i'},
        {"isv-svn", required_argument, NULL, 'v'},
        {"debug", no_argument, NULL, 'g'},
        {"fuses", required_argument, NULL, 'f'},
        {"platform", required_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int c, which = 0;
    argv[0] = (char *)r->name;
    optind = 0;
    while ((c = getopt_long(argc, argv, "h", options, &which)) != -1) {
        if (c == 'h')
            return -1;
        if (c == '?')
            return 2;
        if (!take(r, c)) {
            fprintf(stderr, "%s: --%s does not take '%.200s'\n", r->name, options[which].name,
                    optarg ? optarg : "");
            return 2;
        }
    }
    if (r->have_data && argc - optind == 1) {
        r->output = argv[optind];
        return 0;
    }
    fprintf(stderr, "%s: --report-data and one output file are needed\n", r->name);
    return 2;
}

static int write_quote(const struct request *r, const struct test_platform *p)
{
    struct sgx_report report = r->report;
    struct sgx_targetinfo target;
    size_t size;
    bool genuine;
    memcpy(report.cpu_svn, p->processor.cpu_svn, 16);
    report.attributes.flags |= SGX_FLAG_INIT | SGX_FLAG_MODE64BIT;
    report.attributes.xfrm = 3;
    test_qe_target(p, &target);
    test_report_seal(p, &target, &report);
    uint8_t *quote = test_quote(p, &report, &size, &genuine);
    int err = quote ? replace_file(r->output, quote, size) : -EIO;
    free(quote);
    if (err)
        fprintf(stderr, "%s: cannot write '%s': %s\n", r->name, r->output, strerror(-err));
    return err ? 1 : 0;
}

int sgxemu_quote(int argc, char **argv)
{
    struct request r = {.name = "adyton sgxemu quote"};
    char fuses[PATH_MAX], dir[PATH_MAX];
    struct test_platform *p;
    int err = parse(&r, argc, argv);
    if (err < 0)
        usage(stdout);
    if (err)
        return err < 0 ? 0 : err;
    if (!sgxemu_fuses(r.name, r.fuses, fuses) || !sgxemu_ensure_fuses(r.name, fuses) ||
        !sgxemu_platform_dir(r.name, r.dir, fuses, dir) ||
        !sgxemu_open_platform(r.name, fuses, dir, &p))
        return 1;
    err = write_quote(&r, p);
    test_platform_close(p);
    return err;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton quote show [-m] [--json] FILE, and gramine-sgx-quote-view [-m] FILE. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "cli/attest_commands.h"
#include "cli/tools.h"
#include "manifest/input.h"

/* A quote begins with its version, a small number in two bytes; a certificate is PEM or DER. */
static bool looks_like_certificate(const struct buffer *file)
{
    return file->len > 2 && file->data[1] &&
           (file->data[0] == 0x30 || memmem(file->data, file->len, "-----BEGIN ", 11));
}

int quote_load(const char *path, adyton_quote **quote, struct adyton_attest_error *error)
{
    struct buffer file = {0};
    int fd = strcmp(path, "-") ? open_input(path) : dup(STDIN_FILENO);
    int err = fd < 0 ? -errno : read_all(fd, &file, 1 << 20);
    if (fd >= 0)
        close(fd);
    if (err) {
        snprintf(error->text, sizeof(error->text), "cannot read '%s': %s", path, strerror(-err));
        err = error->code = ADYTON_ATTEST_FILE;
    } else if (looks_like_certificate(&file)) {
        err = adyton_quote_from_certificate(file.data, file.len, quote, error);
    } else {
        err = adyton_quote_parse(file.data ? file.data : "", file.len, quote, error);
    }
    buffer_free(&file);
    return err;
}

static void usage(FILE *to, const char *name, bool json)
{
    fprintf(
        to,
        "Usage: %s [OPTIONS] FILE\n\n"
        "Prints what stands in a quote, which may also be in an RA-TLS certificate. Nothing is\n"
        "verified: that is 'adyton verify'.\n\n"
        "  -m, --msb    hex with the most significant byte first\n"
        "%s"
        "  -h, --help   show this text\n",
        name, json ? "      --json   as a JSON object\n" : "");
}

static int show(int argc, char **argv, bool compatible)
{
    static const struct option options[] = {
        {"msb", no_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},
        {"json", no_argument, NULL, 'j'},
        {NULL, 0, NULL, 0},
    };
    struct adyton_attest_error error = {0};
    adyton_quote *quote = NULL;
    bool msb = false, json = false;
    FILE *out = compatible ? stderr : stdout;
    int c;
    optind = 0;
    while ((c = getopt_long(argc, argv, "mh", options, NULL)) != -1) {
        if (c == 'h') {
            usage(stdout, argv[0], !compatible);
            return 0;
        }
        if (c != 'm' && (c != 'j' || compatible)) {
            usage(stderr, argv[0], !compatible);
            return 2;
        }
        msb |= c == 'm';
        json |= c == 'j';
    }
    if (argc - optind != 1) {
        usage(stderr, argv[0], !compatible);
        return 2;
    }
    if (quote_load(argv[optind], &quote, &error)) {
        fprintf(stderr, "error: %s: %s\n", argv[0], error.text);
        return 1;
    }
    if (json) {
        fputs("{\n", out);
        quote_print_json(out, adyton_quote_get_info(quote), 4);
        fputs("\n}\n", out);
    } else {
        quote_print_text(out, adyton_quote_get_info(quote), msb);
    }
    adyton_quote_free(quote);
    if (fflush(out) || ferror(out)) {
        fprintf(stderr, "error: %s: cannot write the output: %s\n", argv[0], strerror(errno));
        return 1;
    }
    return 0;
}

int cmd_quote_view(int argc, char **argv)
{
    return show(argc, argv, true);
}

int cmd_quote(int argc, char **argv)
{
    static char name[] = "adyton quote show";
    if (argc >= 2 && !strcmp(argv[1], "--help")) {
        usage(stdout, name, true);
        return 0;
    }
    if (argc < 2 || strcmp(argv[1], "show")) {
        fprintf(stderr, "error: adyton quote: the command is 'adyton quote show [OPTIONS] FILE'\n");
        return 2;
    }
    argv[1] = name;
    return show(argc - 1, argv + 1, false);
}

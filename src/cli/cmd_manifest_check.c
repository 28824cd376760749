/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* gramine-manifest-check [FILE]: is every key of a manifest known and of the right type? */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/tools.h"
#include "manifest/input.h"
#include "manifest/schema.h"
#include "manifest/toml.h"

static int check_text(const char *name, const struct buffer *text)
{
    struct arena a = {0};
    struct diag d = {.file = name};
    struct dom *root = toml_parse(&a, text->data, text->len, &d);
    int status = 0;
    if (!root) {
        diag_print_errors(&d, stdout, "error in manifest: ");
        status = 2;
    } else {
        schema_modernise(&a, root, &d);
        schema_check(&a, root, SCHEMA_TOOL, &d);
        diag_print_errors(&d, stdout, "error in manifest: ");
        status = d.error_count ? 1 : 0;
    }
    diag_print_warnings(&d, stderr, "warning: ");
    diag_free(&d);
    arena_free(&a);
    return status;
}

int cmd_manifest_check(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
    int opt = getopt_long(argc, argv, "h", options, NULL);
    if (opt == 'h') {
        printf("Usage: %s [FILE]\nChecks the manifest FILE (default: standard input).\n", argv[0]);
        return 0;
    }
    if (opt != -1 || argc - optind > 1) {
        fprintf(stderr, "Usage: %s [FILE]\n", argv[0]);
        return 2;
    }
    const char *name = optind < argc ? argv[optind] : "-";
    bool standard = !strcmp(name, "-");
    int fd = standard ? STDIN_FILENO : open_input(name);
    struct buffer text = {0};
    int rc = fd < 0 ? -errno : read_all(fd, &text, TOML_TEXT_MAX);
    if (rc) {
        fprintf(stderr, "error: cannot read '%s': %s\n", name, strerror(-rc));
        return 2;
    }
    int status = check_text(standard ? "<stdin>" : name, &text);
    buffer_free(&text);
    return status;
}

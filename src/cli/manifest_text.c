/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cli/manifest_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/tools.h"
#include "manifest/input.h"
#include "manifest/schema.h"
#include "manifest/toml.h"

static bool parse(struct manifest_text *m, const char *command, const char *path)
{
    if (m->text.len && !m->text.data[m->text.len - 1])
        m->text.len--;
    m->diag.file = path;
    m->root = toml_parse(&m->arena, m->text.data ? m->text.data : "", m->text.len, &m->diag);
    if (m->root && schema_modernise(&m->arena, m->root, &m->diag))
        return true;
    char prefix[128];
    snprintf(prefix, sizeof(prefix), "error: %.100s: ", command);
    diag_print_errors(&m->diag, stderr, prefix);
    return false;
}

bool manifest_text_read(struct manifest_text *m, const char *command, const char *path)
{
    int fd = open_input(path);
    int err = fd < 0 ? -errno : read_all(fd, &m->text, TOML_TEXT_MAX);
    if (fd >= 0)
        close(fd);
    if (err)
        fprintf(stderr, "error: %s: cannot read '%s': %s\n", command, path, strerror(-err));
    bool ok = !err && parse(m, command, path);
    if (!ok)
        manifest_text_free(m);
    return ok;
}

void manifest_text_free(struct manifest_text *m)
{
    arena_free(&m->arena);
    buffer_free(&m->text);
    diag_free(&m->diag);
    m->root = NULL;
}

/* The C1 control characters are U+0080 to U+009F, in UTF-8 0xc2 and the number. */
void text_quote(struct buffer *out, const char *text)
{
    char escape[8];
    buffer_add(out, "\"", 1);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\') {
            buffer_add(out, "\\", 1);
            buffer_add(out, p, 1);
        } else if (*p < 0x20 || *p == 0x7f) {
            snprintf(escape, sizeof(escape), "\\u%04X", *p);
            buffer_text(out, escape);
        } else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0) {
            snprintf(escape, sizeof(escape), "\\u%04X", *++p);
            buffer_text(out, escape);
        } else {
            buffer_add(out, p, 1);
        }
    }
    buffer_add(out, "\"", 1);
}

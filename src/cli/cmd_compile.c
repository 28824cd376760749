/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The launcher's helper: compile a manifest into a descriptor, and keep the result. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/tools.h"
#include "manifest/cache.h"
#include "manifest/compile.h"
#include "manifest/toml.h"

int cmd_compile_manifest(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct diag d = {.file = argv[1]};
    struct buffer text = {0}, block = {0};
    uint8_t digest[32];
    signal(SIGXFSZ, SIG_IGN); /* EFBIG says it */
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = fd < 0 ? -errno : read_all(fd, &text, TOML_TEXT_MAX);
    if (rc) {
        fprintf(stderr, "error: cannot read the manifest '%s': %s\n", argv[1], strerror(-rc));
        return 1;
    }
    close(fd);
    SHA256((const unsigned char *)text.data, text.len, digest);
    bool ok = manifest_compile_text(text.data, text.len, digest, &block, &d);
    diag_print_warnings(&d, stderr, "warning: ");
    if (!ok) {
        diag_print_errors(&d, stderr, "error: PAL failed at parsing the manifest: ");
        return 1;
    }
    rc = write_all(atoi(argv[2]), block.data, block.len);
    if (rc) {
        fprintf(stderr, "error: cannot hand over the compiled manifest: %s%s\n", strerror(-rc),
                rc == -EFBIG ? "; raise the limit of file sizes (ulimit -f)" : "");
        return 1;
    }
    cache_store(block.data, block.len);
    return 0;
}

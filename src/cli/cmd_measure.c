/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton measure: MRENCLAVE of a completed manifest, without key, SGX or the application's files.
 */
#include "cli/sgx_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/enclave.h"
#include "cli/tools.h"
#include "manifest/toml.h"

static int usage(const char *command, FILE *out, int status)
{
    fprintf(out,
            "Usage: %s [-l FILE] MANIFEST\n"
            "Prints MRENCLAVE of the enclave that a completed manifest (NAME.manifest.sgx)\n"
            "describes. Neither SGX nor the application's files are needed: their hashes stand\n"
            "in the manifest.\n"
            "\n"
            "  -l, --libpal FILE   the library OS for enclaves (the installed one)\n",
            command);
    return status;
}

static int measure(const char *command, const char *path, const char *libpal)
{
    struct buffer text = {0};
    struct enclave e;
    uint8_t mrenclave[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int rc = fd < 0 ? -errno : read_all(fd, &text, TOML_TEXT_MAX);
    if (fd >= 0)
        close(fd);
    if (rc)
        fprintf(stderr, "error: %s: cannot read the manifest '%s': %s\n", command, path,
                strerror(-rc));
    bool ok = !rc && enclave_of_text(&e, command, path, &text, libpal);
    buffer_free(&text);
    if (!ok)
        return 1;
    sgx_layout_measure(&e.layout, mrenclave);
    for (int i = 0; i < 32; i++)
        printf("%02x", mrenclave[i]);
    printf("\n");
    enclave_free(&e);
    return fflush(stdout) || ferror(stdout);
}

int cmd_measure(int argc, char **argv)
{
    static const struct option options[] = {
        {"libpal", required_argument, NULL, 'l'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *libpal = NULL;
    int opt;
    while ((opt = getopt_long(argc, argv, "l:", options, NULL)) != -1) {
        if (opt == 'h')
            return usage(argv[0], stdout, 0);
        if (opt == '?')
            return usage(argv[0], stderr, 2);
        libpal = optarg;
    }
    if (argc - optind != 1)
        return usage(argv[0], stderr, 2);
    return measure(argv[0], argv[optind], libpal);
}

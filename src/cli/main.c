/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The program behind every command in bin/: small, static and quick to start. It launches
 * applications itself; all else is passed to lib/adyton/adyton-tools.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/launch.h"
#include "cli/paths.h"
#include "version.h"

/* The names other than adyton under which this program may be called. */
static const struct {
    const char *name, *command;
} compatible[] = {
    {"gramine-direct", "run"},
    {"gramine-sgx", "run"},
    {"gramine-manifest", "manifest"},
    {"gramine-manifest-check", "manifest-check"},
    {"gramine-argv-serializer", "argv-serializer"},
    {"gramine-sgx-pf-crypt", "pf-crypt"},
    {"gramine-sgx-gen-private-key", "sgx-gen-private-key"},
    {"gramine-sgx-sign", "sign"},
    {"gramine-sgx-sigstruct-view", "sgx-sigstruct-view"},
    {"gramine-sgx-quote-view", "quote-view"},
    {"gramine-sgx-quote-dump", "quote-view"},
    {"is-sgx-available", "is-sgx-available"},
};

static int usage(FILE *out, int status)
{
    fputs("Usage: adyton COMMAND [ARGUMENT...]\n"
          "\n"
          "  run APP [ARGUMENT...]   run the application of APP.manifest (gramine-direct)\n"
          "  manifest                render a template and hash its files (gramine-manifest)\n"
          "  manifest-check          check the keys of a manifest (gramine-manifest-check)\n"
          "  trace COMMAND           write a template from what a run of COMMAND used\n"
          "  explain MANIFEST        what a manifest trusts, allows, encrypts and gives up\n"
          "  diff A B                in what two manifests differ\n"
          "  argv-serializer         write arguments for loader.argv_src_file\n"
          "  encrypt, decrypt        encrypted files\n"
          "  inspect                 what is known of an encrypted file, and whether it is whole\n"
          "  keygen                  make a key for encrypted files, or (--signing) for enclaves\n"
          "  pf-crypt                the three above in one (gramine-sgx-pf-crypt)\n"
          "  sign                    complete a manifest, measure its enclave, sign "
          "(gramine-sgx-sign)\n"
          "  measure MANIFEST        MRENCLAVE of a completed manifest\n"
          "  sign-layout             measure and sign an enclave described by a layout file\n"
          "  verify QUOTE            verify a quote or RA-TLS certificate against a policy\n"
          "  quote show              what stands in a quote (gramine-sgx-quote-view)\n"
          "  keyserver               give secrets to the enclaves that a policy names\n"
          "  sgxemu PROGRAM          run a program on the software SGX device\n"
          "  sgxemu setup            make the device's test platform, for quotes that verify\n"
          "  pccs --test-platform    serve the test platform's collateral to verifiers\n"
          "  doctor                  what this machine lacks, for each mode, and what helps\n"
          "\n"
          "  --version               print the version\n"
          "  COMMAND --help          options of a command\n"
          "  COMMAND --version       print the version\n",
          out);
    return status;
}

/* Each argument and a NUL: the format of loader.argv_src_file. */
static int serialize(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        fwrite(argv[i], strlen(argv[i]) + 1, 1, stdout);
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "error: %s: cannot write to standard output: %s\n", argv[0],
                strerror(errno));
        return 1;
    }
    return 0;
}

/* adyton-tools gets the name to show as argv[0] and the command as argv[1]. */
static int tools(const char *shown, const char *command, int argc, char **argv)
{
    static char path[PATH_MAX]; /* the stack may be small */
    char **args = calloc((size_t)argc + 2, sizeof(*args));
    if (!args || private_path(path, sizeof(path), "adyton-tools")) {
        fprintf(stderr,
                "error: %s: cannot find ../lib/adyton/adyton-tools beside the program: is /proc "
                "mounted?\n",
                shown);
        return 1;
    }
    args[0] = (char *)shown;
    args[1] = (char *)command;
    memcpy(args + 2, argv + 1, (size_t)(argc - 1) * sizeof(*args));
    execv(path, args);
    fprintf(stderr, "error: %s: cannot execute '%s': %s\n", shown, path, strerror(errno));
    return 1;
}

static int version(void)
{
    puts("Gramine " COMPATIBLE_VERSION " (Adyton " ADYTON_VERSION " " ADYTON_COMMIT ")");
    return 0;
}

static int dispatch(const char *shown, const char *command, int argc, char **argv)
{
    argv[0] = (char *)shown;
    /* All arguments of gramine-argv-serializer are data; "adyton argv-serializer" is our own. */
    bool data = !strcmp(shown, "gramine-argv-serializer");
    if (argc >= 2 && !data && !strcmp(argv[1], "--version"))
        return version();
    if (!strcmp(command, "run"))
        return launch(argc, argv, !strcmp(shown, "gramine-sgx"));
    if (strcmp(command, "argv-serializer") != 0)
        return tools(shown, command, argc, argv);
    if (argc != 2 || data || strcmp(argv[1], "--help") != 0)
        return serialize(argc, argv);
    printf("Usage: %s ARGUMENT... > FILE\n\n"
           "Writes each argument and a NUL: the format of loader.argv_src_file.\n",
           shown);
    return 0;
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    if (argc < 1)
        return usage(stdout, 2);
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    for (size_t i = 0; i < sizeof(compatible) / sizeof(*compatible); i++)
        if (!strcmp(name, compatible[i].name))
            return dispatch(name, compatible[i].command, argc, argv);
    if (argc < 2)
        return usage(stdout, 2);
    if (!strcmp(argv[1], "--version")) {
        puts("Adyton " ADYTON_VERSION " (" ADYTON_COMMIT ")");
        return 0;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help"))
        return usage(stdout, 0);
    char shown[64];
    snprintf(shown, sizeof(shown), "adyton %s", argv[1]);
    return dispatch(shown, argv[1], argc - 1, argv + 1);
}

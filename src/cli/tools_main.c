/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton-tools: every command that needs OpenSSL, TOML or Python. argv[1] names the command. */
#include <stdio.h>
#include <string.h>

#include "cli/attest_commands.h"
#include "cli/crypt.h"
#include "cli/sgx_commands.h"
#include "cli/tools.h"

/* `adyton keygen --signing ...` is gramine-sgx-gen-private-key. */
static int keygen(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--signing"))
        return cmd_keygen(argc, argv);
    argv[1] = argv[0];
    return cmd_sgx_keygen(argc - 1, argv + 1);
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"manifest", cmd_manifest},
    {"manifest-check", cmd_manifest_check},
    {"compile-manifest", cmd_compile_manifest},
    {"encrypt", cmd_encrypt},
    {"decrypt", cmd_decrypt},
    {"inspect", cmd_inspect},
    {"keygen", keygen},
    {"pf-crypt", cmd_pf_crypt},
    {"sgx-gen-private-key", cmd_sgx_keygen},
    {"sgx-sigstruct-view", cmd_sgx_sigstruct_view},
    {"is-sgx-available", cmd_is_sgx_available},
    {"sign-layout", cmd_sgx_sign_layout},
    {"sgxemu", cmd_sgxemu},
    {"quote", cmd_quote},
    {"quote-view", cmd_quote_view},
};

int main(int argc, char **argv)
{
    if (argc < 2)
        return 2;
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcmp(argv[1], commands[i].name))
            continue;
        argv[1] = argv[0];
        return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "error: adyton: unknown command '%s'; 'adyton --help' lists them\n", argv[1]);
    return 2;
}

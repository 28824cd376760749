/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The SGX host tools alone, for tests in a build without the multi-call program. */
#include "cli/sgx_commands.h"
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int, char **);
    } commands[] = {
        {"gramine-sgx-gen-private-key", cmd_sgx_keygen},
        {"gramine-sgx-sigstruct-view", cmd_sgx_sigstruct_view},
        {"is-sgx-available", cmd_is_sgx_available},
        {"sign-layout", cmd_sgx_sign_layout},
    };
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "unknown command\n");
    return 2;
}

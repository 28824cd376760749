/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* adyton-tools: every command that needs OpenSSL, TOML or Python. argv[1] names the command. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/attest_commands.h"
#include "cli/crypt.h"
#include "cli/paths.h"
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
    {"trace", cmd_trace},
    {"explain", cmd_explain},
    {"diff", cmd_diff},
    {"compile-manifest", cmd_compile_manifest},
    {"encrypt", cmd_encrypt},
    {"decrypt", cmd_decrypt},
    {"inspect", cmd_inspect},
    {"keygen", keygen},
    {"pf-crypt", cmd_pf_crypt},
    {"sgx-gen-private-key", cmd_sgx_keygen},
    {"sgx-sigstruct-view", cmd_sgx_sigstruct_view},
    {"is-sgx-available", cmd_is_sgx_available},
    {"sign", cmd_sign},
    {"measure", cmd_measure},
    {"sign-layout", cmd_sgx_sign_layout},
    {"sgxemu", cmd_sgxemu},
    {"pccs", cmd_pccs},
    {"doctor", cmd_doctor},
    {"verify", cmd_verify},
    {"keyserver", cmd_keyserver},
    {"quote", cmd_quote},
    {"quote-view", cmd_quote_view},
};

struct call {
    int (*run)(int argc, char **argv);
    int argc;
    char **argv;
    int status;
};

static void *run(void *arg)
{
    struct call *c = arg;
    c->status = c->run(c->argc, c->argv);
    return NULL;
}

/* A command runs on the first stack, unless that may not grow as far as the parsers want. */
static int run_with_stack(struct call *c)
{
    enum { ENOUGH = 8 << 20 };
    struct rlimit limit;
    pthread_attr_t attr;
    pthread_t thread;
    bool small = !getrlimit(RLIMIT_STACK, &limit) && limit.rlim_cur < ENOUGH;
    if (!small || pthread_attr_init(&attr) || pthread_attr_setstacksize(&attr, ENOUGH) ||
        pthread_create(&thread, &attr, run, c))
        run(c);
    else
        pthread_join(thread, NULL);
    return c->status;
}

int main(int argc, char **argv)
{
    hold_standard_descriptors();
    if (argc < 2)
        return 2;
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
        if (strcmp(argv[1], commands[i].name))
            continue;
        argv[1] = argv[0];
        return run_with_stack(
            &(struct call){.run = commands[i].run, .argc = argc - 1, .argv = argv + 1});
    }
    fprintf(stderr, "error: adyton: unknown command '%s'; 'adyton --help' lists them\n", argv[1]);
    return 2;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Roots and collateral that the environment names. */
#include "ratls/collateral_source.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ratls/ra_tls_common.h"

#define QCNL_FILE "/etc/sgx_default_qcnl.conf"

/* Guards `current` until it is complete. */
static pthread_mutex_t verifier_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ratls_verifier current;

/* A whole file of at most 8 MiB, from malloc(). */
static uint8_t *read_file(const char *path, size_t *size)
{
    enum { MAX = 8 << 20 };
    FILE *file = fopen(path, "rbe");
    uint8_t *data = file ? malloc(MAX) : NULL;
    *size = data ? fread(data, 1, MAX, file) : 0;
    if (data && (ferror(file) || !feof(file))) {
        free(data);
        data = NULL;
    }
    if (file)
        fclose(file);
    return data;
}

static int set_root(adyton_attest *attest, const char *path)
{
    struct adyton_attest_error error = {0};
    size_t size;
    uint8_t *data = read_file(path, &size);
    int err = data ? adyton_attest_set_trust_root(attest, data, size, &error) : -1;
    free(data);
    if (err)
        fprintf(stderr, "RA-TLS: %s names '%s': %s\n", RA_TLS_TRUST_ROOT, path,
                data ? error.text : "cannot be read");
    else
        fprintf(stderr,
                "RA-TLS: warning: the root of trust is not Intel's but the one of '%s': quotes may "
                "come from a software device\n",
                path);
    return err;
}

static int set_fetch(adyton_attest *attest)
{
    struct adyton_attest_error error = {0};
    struct adyton_fetch_options options = {.struct_size = sizeof(options)};
    int err = 0;
    options.url = getenv("ADYTON_PCCS_URL");
    options.retries = 1;
    if (options.url && *options.url)
        err = adyton_attest_set_fetch(attest, &options, &error);
    else if (!access(QCNL_FILE, R_OK))
        err = adyton_attest_set_fetch_from_qcnl(attest, QCNL_FILE, &error);
    if (err)
        fprintf(stderr, "RA-TLS: collateral cannot be fetched: %s\n", error.text);
    return err;
}

const struct ratls_verifier *ratls_verifier_get(void)
{
    pthread_mutex_lock(&verifier_lock);
    if (!current.attest) {
        const char *root = getenv(RA_TLS_TRUST_ROOT), *collateral = getenv(RA_TLS_COLLATERAL);
        adyton_attest *attest = adyton_attest_new();
        char *root_copy = root ? strdup(root) : NULL;
        int err = attest && (!root || root_copy) ? 0 : -1;
        if (err)
            fprintf(stderr, "RA-TLS: there is no memory left\n");
        if (!err && root)
            err = set_root(attest, root);
        if (!err && !collateral)
            err = set_fetch(attest);
        if (!err) {
            current.trust_root = root_copy;
            current.attest = attest;
        } else {
            adyton_attest_free(attest);
            free(root_copy);
        }
    }
    pthread_mutex_unlock(&verifier_lock);
    return current.attest ? &current : NULL;
}

int ratls_collateral_load(adyton_collateral **out)
{
    const char *path = getenv(RA_TLS_COLLATERAL);
    struct adyton_attest_error error = {0};
    struct stat st;
    *out = path ? adyton_collateral_new() : NULL;
    if (!path)
        return 0;
    int err = *out ? 0 : ADYTON_ATTEST_NO_MEMORY;
    if (!err && (stat(path, &st) || S_ISDIR(st.st_mode))) {
        err = adyton_collateral_load_directory(*out, path, &error);
    } else if (!err) {
        size_t size;
        uint8_t *data = read_file(path, &size);
        err = data ? adyton_collateral_load_json(*out, (const char *)data, size, &error)
                   : ADYTON_ATTEST_FILE;
        free(data);
    }
    if (err) {
        fprintf(stderr, "RA-TLS: %s names '%s': %s\n", RA_TLS_COLLATERAL, path,
                *error.text ? error.text : "cannot be read");
        adyton_collateral_free(*out);
        *out = NULL;
    }
    return err;
}

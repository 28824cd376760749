/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Quotes from the files of /dev/attestation. */
#include "ratls/quote_source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ratls/ra_tls_common.h"

#define ROOT "/dev/attestation"

/* "Write user_report_data, then read quote" must not be interleaved. */
static pthread_mutex_t attestation_lock = PTHREAD_MUTEX_INITIALIZER;

static void file_path(char *path, size_t size, const char *name)
{
    const char *root = NULL;
#ifdef ADYTON_TEST_BUILD
    root = getenv("ADYTON_TEST_ATTESTATION");
#endif
    snprintf(path, size, "%s/%s", root ? root : ROOT, name);
}

static int complain(const char *path, const char *what, const char *remedy)
{
    fprintf(stderr, "RA-TLS: cannot %s '%s': %s; %s\n", what, path, strerror(errno), remedy);
    return RA_TLS_ERR_FILE;
}

/* Reads until the end or until the buffer is full. */
static int read_file(const char *name, uint8_t *out, size_t size, size_t *got, const char *remedy)
{
    char path[512];
    file_path(path, sizeof(path), name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    *got = 0;
    while (n > 0 && *got < size) {
        n = read(fd, out + *got, size - *got);
        if (n > 0)
            *got += (size_t)n;
        else if (n < 0 && errno == EINTR)
            n = 1;
    }
    int err = n < 0 ? complain(path, fd < 0 ? "open" : "read", remedy) : 0;
    if (fd >= 0)
        close(fd);
    return err;
}

static int write_report_data(const uint8_t data[64])
{
    char path[512];
    ssize_t n = -1;
    file_path(path, sizeof(path), "user_report_data");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        while ((n = write(fd, data, 64)) < 0 && errno == EINTR)
            ;
    if (n >= 0 && n != 64)
        errno = EIO;
    int err = n == 64 ? 0 : complain(path, "write", "attestation works inside an enclave only");
    if (fd >= 0)
        close(fd);
    return err;
}

static int check_type(void)
{
    char type[32] = {0};
    size_t got;
    int err = read_file("attestation_type", (uint8_t *)type, sizeof(type) - 1, &got,
                        "attestation works inside an enclave only");
    if (!err && strcmp(type, "dcap")) {
        fprintf(stderr, "RA-TLS: attestation is not enabled for this enclave: set "
                        "sgx.remote_attestation = \"dcap\" in its manifest\n");
        err = RA_TLS_ERR_FILE;
    }
    return err;
}

static uint32_t load(const uint8_t *p, unsigned bytes)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint32_t)p[i] << 8 * i;
    return v;
}

size_t quote_length(const uint8_t *quote, size_t size)
{
    size_t at = 0;
    if (size < 64)
        return 0;
    uint32_t version = load(quote, 2), tee = load(quote + 4, 4);
    if (version == 3 || (version == 4 && !tee))
        at = 432;
    else if (version == 4)
        at = 632;
    else if (version == 5)
        at = 54 + (size_t)load(quote + 50, 4);
    if (!at || at > size || size - at < 4 || load(quote + at, 4) > size - at - 4)
        return 0;
    return at + 4 + load(quote + at, 4);
}

static int from_files(const struct quote_source *source, const uint8_t report_data[64],
                      uint8_t *quote, size_t *size)
{
    size_t got = 0;
    pthread_mutex_lock(&attestation_lock);
    int err = check_type();
    if (!err)
        err = write_report_data(report_data);
    if (!err)
        err = read_file("quote", quote, QUOTE_MAX, &got,
                        "is the quoting service (aesmd) running, and the platform registered?");
    pthread_mutex_unlock(&attestation_lock);
    if (!err && !(*size = quote_length(quote, got))) {
        fprintf(stderr, "RA-TLS: what %s/quote holds is not a quote\n", ROOT);
        err = RA_TLS_ERR_FILE;
    }
    return err;
}

const struct quote_source dev_attestation = {.quote = from_files};

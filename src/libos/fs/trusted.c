/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Trusted files: content is what the manifest's SHA-256 says. */
#include "crypto/crypto.h"
#include "host/host.h"
#include "libos/fs/policy.h"
#include "libos/log.h"
#include "platform/platform.h"

#define CHUNK (256 * 1024UL)

static int64_t trusted_size(struct file *f)
{
    struct stat st;
    int err = host_fstat(f->host_fd, &st);
    return err ? err : st.st_size;
}

static const struct file_ops trusted_ops = {.name = "file", .size = trusted_size};

static int check_whole(int fd, const uint8_t want[SHA256_SIZE])
{
    char *buf = heap_alloc(CHUNK);
    uint8_t got[SHA256_SIZE];
    struct sha256 ctx;
    if (!buf)
        return -ENOMEM;
    vector_begin();
    sha256_init(&ctx);
    ssize n;
    for (int64_t off = 0; (n = host_pread(fd, buf, CHUNK, off)) > 0; off += n)
        sha256_update(&ctx, buf, (size_t)n);
    sha256_final(&ctx, got);
    vector_end();
    heap_free(buf);
    if (n < 0)
        return (int)n;
    return crypto_differs(got, want, SHA256_SIZE) ? -EPERM : 0;
}

int trusted_open(int host_fd, const char *host, const struct mf_trusted *entry, uint32_t flags,
                 struct file **out)
{
    int err = file_from_host(host_fd, flags, out);
    if (err || (*out)->kind != FILE_REGULAR)
        return err;
    err = check_whole(host_fd, entry->sha256);
    if (err == -EPERM)
        log_warning("trusted file '%s' is not what the manifest says (SHA-256 differs): restore "
                    "it, or run gramine-manifest again",
                    host);
    if (err) {
        (*out)->host_fd = -1;
        file_put(*out);
        return err;
    }
    (*out)->ops = &trusted_ops;
    return 0;
}

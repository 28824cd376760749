/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Decrypting or checking one file. Each thread has a context of its own and takes the next group.
 */
#include "crypt_core.h"
#include "crypto/crypto.h"
#include "pfs/bulk.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARALLEL_MIN (1u << 20)

struct decryption {
    struct crypt *c;
    struct pfs *first; /* the context of whoever takes it */
    int in, out;       /* out: -1 when only checking */
    int log_fd;        /* what Gramine left of an interrupted write, or -1 */
    struct pfs_backend log;
    uint64_t size;
    uint8_t tag[PFS_TAG_SIZE]; /* all contexts read this version */
    atomic_ullong next;
    atomic_flag first_taken;
    pthread_mutex_t lock; /* guards what follows: the failure nearest to the start */
    int read_error, write_error;
    uint64_t failed_at;
};

/* Part 0 is the start that node 0 holds, part n the group n - 1. */
static uint64_t part_start(uint64_t part)
{
    return part ? PFS_INLINE_SIZE + (part - 1) * PFS_GROUP_BYTES : 0;
}

static uint64_t part_count(uint64_t size)
{
    if (size <= PFS_INLINE_SIZE)
        return size > 0;
    return 1 + (size - PFS_INLINE_SIZE + PFS_GROUP_BYTES - 1) / PFS_GROUP_BYTES;
}

static void fail_at(struct decryption *d, uint64_t off, int read_error, int write_error)
{
    pthread_mutex_lock(&d->lock);
    if ((!d->read_error && !d->write_error) || off < d->failed_at) {
        d->failed_at = off;
        d->read_error = read_error;
        d->write_error = write_error;
    }
    pthread_mutex_unlock(&d->lock);
    d->next = UINT64_MAX / 2; /* parts before this one are all taken */
}

static int write_part(int fd, const uint8_t *buf, size_t n, uint64_t off)
{
    while (n) {
        ssize_t rc = pwrite(fd, buf, n, (off_t)off);
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc <= 0)
            return rc ? -errno : -EIO;
        buf += rc;
        off += (uint64_t)rc;
        n -= (size_t)rc;
    }
    return 0;
}

static bool decrypt_part(struct decryption *d, struct pfs *f, uint64_t part, uint8_t *buf)
{
    uint64_t off = part_start(part), end = part_start(part + 1);
    if (end > d->size)
        end = d->size;
    while (off < end) {
        int64_t n = pfs_read(f, off, buf, (size_t)(end - off));
        if (n <= 0) {
            fail_at(d, off, n ? (int)n : -EIO, 0);
            return false;
        }
        int rc = d->out < 0 ? 0 : write_part(d->out, buf, (size_t)n, off);
        if (rc) {
            fail_at(d, off, 0, rc);
            return false;
        }
        off += (uint64_t)n;
        d->c->bytes_done += (unsigned long long)n;
    }
    return true;
}

static void decrypt_parts(void *arg)
{
    struct decryption *d = arg;
    const struct pfs_open_args args = {.flags = PFS_READONLY,
                                       .expected_tag = d->tag,
                                       .cache_bytes = 256 << 10,
                                       .log = d->log_fd < 0 ? NULL : &d->log};
    struct pfs *own = NULL;
    uint8_t *buf = aligned_alloc(PFS_NODE_SIZE, PFS_GROUP_BYTES);
    bool is_first = !atomic_flag_test_and_set(&d->first_taken);
    int rc = buf ? 0 : -ENOMEM;
    if (!is_first && !rc)
        rc = crypt_open_pfs(d->c, &d->in, &args, &own);
    if (rc)
        fail_at(d, 0, rc, 0);
    for (uint64_t part; !rc && !d->c->stop && (part = d->next++) < part_count(d->size);) {
        if (!decrypt_part(d, is_first ? d->first : own, part, buf))
            break;
    }
    if (own)
        pfs_close(own);
    if (buf)
        crypto_wipe(buf, PFS_GROUP_BYTES);
    free(buf);
}

static int decrypt_content(struct decryption *d, const char *in, const char *out)
{
    struct crypt *c = d->c;
    d->size = pfs_size(d->first);
    pfs_root_tag(d->first, d->tag);
    pthread_mutex_init(&d->lock, NULL);
    crypt_parallel(d->size >= PARALLEL_MIN ? c->threads : 1, decrypt_parts, d);
    if (d->write_error)
        return crypt_output_failed(c, out, d->write_error);
    if (d->read_error == -EBADMSG)
        return crypt_fail(c, CRYPT_DAMAGED,
                          "'%s' is damaged at byte %" PRIu64 " of %" PRIu64
                          ": altered or missing data; restore it from a good copy",
                          in, d->failed_at, d->size);
    if (d->read_error)
        return crypt_fail(c, CRYPT_IO, "cannot read '%s': %s", in, strerror(-d->read_error));
    return c->stop ? CRYPT_IO : CRYPT_OK;
}

static void open_log(struct decryption *d, const char *in)
{
    char *name = NULL;
    d->log_fd = asprintf(&name, "%s.gramine.recovery", in) < 0
                    ? -1
                    : open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    d->log = crypt_backend(&d->log_fd);
    free(name);
}

static void close_inputs(struct decryption *d)
{
    close(d->in);
    if (d->log_fd >= 0)
        close(d->log_fd);
}

int crypt_decrypt_file(struct crypt *c, const char *in, const char *out, const char *expect)
{
    struct decryption d = {.c = c, .out = -1, .first_taken = ATOMIC_FLAG_INIT};
    struct output o;
    struct stat st;
    int status = crypt_open_input(c, in, &d.in, &st);
    if (status)
        return status;
    open_log(&d, in);
    const struct pfs_open_args args = {
        .flags = PFS_READONLY, .path = expect, .log = d.log_fd < 0 ? NULL : &d.log};
    int rc = crypt_open_pfs(c, &d.in, &args, &d.first);
    if (rc) {
        status = crypt_refused(c, in, expect, &d.in, rc);
        close_inputs(&d);
        return status;
    }
    if (out && (rc = output_begin(&o, out, 0664 & ~c->umask, &st)))
        status = crypt_output_failed(c, out, rc);
    if (!status) {
        d.out = out ? o.fd : -1;
        status = decrypt_content(&d, in, out);
        rc = out ? output_end(&o, !status) : 0;
        if (rc && !status)
            status = crypt_output_failed(c, out, rc);
    }
    pfs_close(d.first);
    close_inputs(&d);
    return status;
}

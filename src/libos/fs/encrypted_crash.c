/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What opening an encrypted file after a crash needs of the host. */
#include "host/host.h"
#include "libos/fs/encrypted_node.h"
#include "libos/log.h"

#define BOOT_ID    "/proc/sys/kernel/random/boot_id" /* 8-4-4-4-12 hexadecimal digits */
#define LOG_SUFFIX ".gramine.recovery"

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_boot_id(uint8_t id[PFS_BOOT_SIZE])
{
    char text[37];
    unsigned digits = 0;
    ssize n = host_read_text(BOOT_ID, text, sizeof(text));
    for (ssize i = 0; i < n && digits < 2 * PFS_BOOT_SIZE; i++) {
        int d = digit(text[i]);
        if (d >= 0) {
            id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | d);
            digits++;
        }
    }
    return digits == 2 * PFS_BOOT_SIZE;
}

const uint8_t *enc_boot_id(void)
{
    static struct lock boot_id_lock; /* over what follows; a leaf */
    static uint8_t id[PFS_BOOT_SIZE];
    static bool tried, known;
    lock(&boot_id_lock);
    if (!tried)
        known = read_boot_id(id);
    tried = true;
    unlock(&boot_id_lock);
    return known ? id : NULL;
}

static int64_t log_read(void *ctx, void *buf, size_t n, uint64_t off)
{
    return host_pread(*(int *)ctx, buf, n, (int64_t)off);
}

static int64_t log_size(void *ctx)
{
    struct stat st;
    int err = host_fstat(*(int *)ctx, &st);
    return err ? err : st.st_size;
}

int enc_open_with_log(const char *host, const struct pfs_env *env, const struct pfs_backend *back,
                      const uint8_t key[PFS_KEY_SIZE], struct pfs_open_args *args, struct pfs **out)
{
    char name[PATH_LIMIT];
    size_t len = strlen(host);
    if (len + sizeof(LOG_SUFFIX) > sizeof(name))
        return -EUCLEAN;
    memcpy(name, host, len);
    memcpy(name + len, LOG_SUFFIX, sizeof(LOG_SUFFIX));
    int fd = host_open(name, O_RDONLY, 0);
    if (fd < 0)
        return -EUCLEAN;
    const struct pfs_backend log = {.ctx = &fd, .read_at = log_read, .size = log_size};
    args->log = &log;
    args->flags &= ~(unsigned)PFS_READONLY; /* the log goes, so its content must arrive */
    int err = pfs_open(env, back, key, args, out);
    args->log = NULL;
    host_close(fd);
    if (!err) {
        log_warning("encrypted file '%s': an interrupted write was undone with its recovery log",
                    host);
        host_unlink(name, false);
    }
    return err;
}

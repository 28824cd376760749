/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * For the end-to-end tests: the commands for encrypted files, and the library on single ranges.
 *
 *   pfs-tool encrypt|decrypt|keygen|pf-crypt ARGS...
 *   pfs-tool io KEYFILE FILE PATH|- [rOFF,LEN | wOFF,LEN | tSIZE | n=PATH | f | c]...
 *
 * `io` opens FILE and prints a line for each operation: for r the result and the data in hex (its
 * SHA-256 above 64 bytes), else the result. w writes bytes (31 * offset + 7) mod 251. c closes and
 * opens again.
 */
#include "cli/crypt.h"
#include "crypto/crypto.h"
#include "pfs/pfs.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t fd_read(void *ctx, void *buf, size_t n, uint64_t off)
{
    ssize_t rc = pread(*(int *)ctx, buf, n, (off_t)off);
    return rc < 0 ? -errno : rc;
}

static int64_t fd_write(void *ctx, const void *buf, size_t n, uint64_t off)
{
    ssize_t rc = pwrite(*(int *)ctx, buf, n, (off_t)off);
    return rc < 0 ? -errno : rc;
}

static int fd_truncate(void *ctx, uint64_t size)
{
    return ftruncate(*(int *)ctx, (off_t)size) ? -errno : 0;
}

static int64_t fd_size(void *ctx)
{
    struct stat st;
    return fstat(*(int *)ctx, &st) ? -errno : st.st_size;
}

static int fd_sync(void *ctx)
{
    return 0;
}

static void env_free(void *p, size_t size)
{
    free(p);
}

static int env_random(void *buf, size_t n)
{
    return getentropy(buf, n < 256 ? n : 256) || (n > 256 && env_random((char *)buf + 256, n - 256))
               ? -EIO
               : 0;
}

static const char *name_of(int64_t rc)
{
    const char *name = rc < 0 ? strerrorname_np((int)-rc) : NULL;
    static char number[24];
    snprintf(number, sizeof(number), "%" PRId64, rc);
    return name ? name : number;
}

static void print_read(struct pfs *f, uint64_t off, size_t n)
{
    uint8_t *buf = malloc(n + 1), hash[SHA256_SIZE];
    int64_t rc = pfs_read(f, off, buf, n);
    const uint8_t *show = buf;
    size_t len = rc > 0 ? (size_t)rc : 0;
    if (len > 64) {
        sha256(buf, len, hash);
        show = hash;
        len = sizeof(hash);
    }
    printf("%s ", name_of(rc));
    for (size_t i = 0; i < len; i++)
        printf("%02x", show[i]);
    puts("");
    free(buf);
}

static int64_t write_pattern(struct pfs *f, uint64_t off, size_t n)
{
    uint8_t *buf = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        buf[i] = (uint8_t)(((off + i) % 251 * 31 + 7) % 251);
    int64_t rc = pfs_write(f, off, buf, n);
    free(buf);
    return rc;
}

static int io(char **argv)
{
    static const struct pfs_env env = {.alloc = malloc, .free = env_free, .random = env_random};
    uint8_t key[PFS_KEY_SIZE];
    int key_fd = open(argv[0], O_RDONLY), fd = open(argv[1], O_RDWR);
    if (key_fd < 0 || fd < 0 || read(key_fd, key, sizeof(key)) != sizeof(key))
        return 1;
    struct pfs_backend backend = {&fd, fd_read, fd_write, fd_truncate, fd_size, fd_sync};
    struct pfs_open_args args = {.path = strcmp(argv[2], "-") ? argv[2] : NULL};
    struct pfs *f;
    int rc = pfs_open(&env, &backend, key, &args, &f);
    printf("open %s\n", name_of(rc));
    if (rc)
        return 0;
    printf("size %" PRIu64 "\n", pfs_size(f));
    args.path = NULL;
    for (argv += 3; *argv; argv++) {
        char *end, op = **argv;
        uint64_t off = strtoull(*argv + 1, &end, 0);
        size_t n = *end == ',' ? strtoull(end + 1, NULL, 0) : 0;
        if (op == 'r')
            print_read(f, off, n);
        else if (op == 'w')
            puts(name_of(write_pattern(f, off, n)));
        else if (op == 't')
            puts(name_of(pfs_set_size(f, off)));
        else if (op == 'n')
            puts(name_of(pfs_rename(f, *argv + 2)));
        else if (op == 'f')
            puts(name_of(pfs_flush(f, true)));
        if (op != 'c')
            continue;
        puts(name_of(pfs_close(f)));
        rc = pfs_open(&env, &backend, key, &args, &f);
        if (rc) {
            puts(name_of(rc));
            return 0;
        }
    }
    printf("close %s\n", name_of(pfs_close(f)));
    return 0;
}

int main(int argc, char **argv)
{
    crypto_init(0);
    const char *cmd = argc > 1 ? argv[1] : "";
    if (!strcmp(cmd, "encrypt"))
        return cmd_encrypt(argc - 1, argv + 1);
    if (!strcmp(cmd, "decrypt"))
        return cmd_decrypt(argc - 1, argv + 1);
    if (!strcmp(cmd, "keygen"))
        return cmd_keygen(argc - 1, argv + 1);
    if (!strcmp(cmd, "pf-crypt"))
        return cmd_pf_crypt(argc - 1, argv + 1);
    if (!strcmp(cmd, "io") && argc > 4)
        return io(argv + 2);
    return 2;
}

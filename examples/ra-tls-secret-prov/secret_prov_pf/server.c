/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Gives the key of encrypted files to enclaves. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../measurements.h"

#define KEY_SIZE 16

/* Exactly 16 bytes. */
static int read_key(const char *path, uint8_t key[KEY_SIZE])
{
    uint8_t data[KEY_SIZE + 1];
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(data, 1, sizeof(data), file) : 0;
    if (!file || ferror(file))
        fprintf(stderr, "[error] cannot read '%s': %s\n", path, strerror(errno));
    else if (size != KEY_SIZE)
        fprintf(stderr, "[error] '%s' does not hold exactly %d bytes\n", path, KEY_SIZE);
    else
        memcpy(key, data, KEY_SIZE);
    explicit_bzero(data, sizeof(data));
    if (file)
        fclose(file);
    return size == KEY_SIZE ? 0 : -1;
}

int main(int argc, char **argv)
{
    static uint8_t key[KEY_SIZE];
    if (argc != 2) {
        fprintf(stderr, "Usage: %s key_path\n", argv[0]);
        return 1;
    }
    printf("--- Reading the master key for encrypted files from '%s' ---\n", argv[1]);
    if (read_key(argv[1], key))
        return 1;
    puts("--- Starting the Secret Provisioning server on port 4433 ---");
    if (!has_policy())
        puts("[ WARNING: no policy is set: any enclave gets the key. See RA_TLS_MRENCLAVE. ]");
    fflush(stdout);
    int err = secret_provision_start_server(key, sizeof(key), "4433", "../ssl/server.crt",
                                            "../ssl/server.key", check_measurements, NULL);
    explicit_bzero(key, sizeof(key));
    fprintf(stderr, "[error] secret_provision_start_server() returned %d\n", err);
    return 1;
}

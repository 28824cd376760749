/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Works with a secret in the file argv[1] and then forgets it: the memory of the process, its
 * library OS included, must not know it any more (but if there is another argument). Standard
 * input: the key (16 bytes) and 8 bytes that are the secret; they are kept veiled. Prints "ready"
 * when all is closed and waits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 600000
#define VEIL 0x5a

static unsigned char buf[SIZE], secret[8];

static void must(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

/* Every 16 bytes of the content have the secret. */
static void fill(void)
{
    for (size_t i = 0; i < SIZE; i++)
        buf[i] = i % 16 < 8 ? secret[i % 8] ^ VEIL : (unsigned char)(i >> (i % 3 * 8));
}

static void give_key(void)
{
    must(read(0, buf, 24) == 24, "standard input");
    for (int i = 0; i < 8; i++)
        secret[i] = buf[16 + i] ^ VEIL;
    int fd = open("/dev/attestation/keys/key", O_WRONLY);
    must(fd >= 0 && write(fd, buf, 16) == 16 && !close(fd), "the key");
    explicit_bzero(buf, sizeof buf);
}

static void write_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0, "open");
    fill();
    for (size_t at = 0, n; at < SIZE; at += n) {
        n = at % 7 ? 70000 : 5001;
        n = n < SIZE - at ? n : SIZE - at;
        must(write(fd, buf + at, n) == (ssize_t)n, "write");
    }
    must(!fsync(fd), "fsync");
    must(pwrite(fd, buf, 30000, 100000) == 30000, "pwrite");
    must(!ftruncate(fd, SIZE - 1000) && !ftruncate(fd, SIZE), "ftruncate");
    must(!fsync(fd) && !close(fd), "close");
    explicit_bzero(buf, sizeof buf);
}

static void read_file(const char *path)
{
    struct iovec v[2] = {{buf, 3000}, {buf + 3000, 50000}};
    int fd = open(path, O_RDONLY);
    must(fd >= 0 && readv(fd, v, 2) == 53000, "readv");
    must(pread(fd, buf, SIZE, 0) == SIZE && pread(fd, buf, 10, 5) == 10, "pread");
    must(!close(fd), "close");
    explicit_bzero(buf, sizeof buf);
}

static void map_file(const char *path)
{
    int fd = open(path, O_RDWR);
    char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(p != MAP_FAILED, "mmap");
    char *q = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    must(q != MAP_FAILED, "mmap");
    memcpy(p + 200000, q, 5000);
    q[300000] ^= 1;
    must(!msync(p, SIZE, MS_SYNC) && !munmap(p, SIZE), "munmap");
    explicit_bzero(q, 304000);
    must(!munmap(q, SIZE) && !close(fd), "close");
}

static void in_child(const char *path)
{
    int status, fd = open(path, O_RDWR);
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (!pid)
        _exit(pread(fd, buf, SIZE, 0) != SIZE || pwrite(fd, buf, 5000, 50000) != 5000);
    must(wait(&status) == pid && !status, "child");
    must(pread(fd, buf, 4096, 50000) == 4096 && !close(fd), "after the child");
    explicit_bzero(buf, sizeof buf);
}

int main(int argc, char **argv)
{
    char moved[4096];
    give_key();
    write_file(argv[1]);
    read_file(argv[1]);
    map_file(argv[1]);
    in_child(argv[1]);
    snprintf(moved, sizeof moved, "%s.moved", argv[1]);
    must(!rename(argv[1], moved) && !rename(moved, argv[1]), "rename");
    if (argc > 2) { /* so that the test is known to find what there is */
        int fd = open(argv[1], O_RDONLY);
        must(pread(fd, buf, SIZE, 0) == SIZE, "left open");
        explicit_bzero(buf, sizeof buf);
    }
    must(write(1, "ready\n", 6) == 6, "standard output");
    return read(0, buf, 1) != 1;
}

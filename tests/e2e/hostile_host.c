/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * A host that does not play fair at forks: installed as adyton-sgx, with the real one beside it as
 * adyton-sgx-real. $HOSTILE says what is done to the records from parent to child, where N counts
 * them from 0 and `go` is the last:
 *   nothing, flip N, drop N, drop go, repeat N, swap N, cut N
 *   second        a second child gets all that the first got
 *   other         the child is the enclave of $OTHER_MANIFEST and $OTHER_SIGNATURE
 * $HOSTILE_SAVE: where a first process leaves its compiled manifest.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANDSHAKE (32 + 432)
#define MOST      (1 << 18)
#define GO        5

enum { MANIFEST_FD = 2, SIGNATURE_FD = 5, FORK_FD };

static char *what;
static int at = -1;

struct record {
    uint32_t type, len;
    uint64_t place;
    uint8_t rest[MOST];
};

static int whole(int fd, void *p, size_t n)
{
    return recv(fd, p, n, MSG_WAITALL) == (ssize_t)n;
}

static int put(int fd, const void *p, size_t n)
{
    return send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static int put_record(int fd, const struct record *r)
{
    return put(fd, r, 16 + r->len + 16);
}

static int take_record(int fd, struct record *r)
{
    return whole(fd, r, 16) && r->len <= MOST - 16 && whole(fd, r->rest, r->len + 16);
}

/* What comes from the child goes on unchanged. */
static void up(int child, int parent)
{
    char bytes[4096];
    for (ssize_t n; (n = recv(child, bytes, sizeof(bytes), 0)) > 0;)
        if (!put(parent, bytes, (size_t)n))
            break;
    shutdown(parent, SHUT_WR);
}

static int is(const char *name)
{
    return !strcmp(what, name);
}

static void down(int parent, int child, FILE *copy)
{
    static struct record r, held;
    uint8_t hello[HANDSHAKE];
    if (!whole(parent, hello, sizeof(hello)) || !put(child, hello, sizeof(hello)))
        return;
    fwrite(hello, sizeof(hello), 1, copy);
    for (int n = 0; take_record(parent, &r); n++) {
        int here = n == at;
        if (is("drop") && at < 0)
            here = r.type == GO;
        fwrite(&r, 16 + r.len + 16, 1, copy);
        if (is("cut") && here)
            break;
        if (is("flip") && here)
            r.rest[r.len / 2] ^= 1;
        if (is("drop") && here)
            continue;
        if (is("swap") && here) {
            held = r;
            continue;
        }
        if (!put_record(child, &r) || (is("repeat") && here && !put_record(child, &r)) ||
            (is("swap") && n == at + 1 && !put_record(child, &held)))
            break;
    }
    fflush(copy);
    shutdown(child, SHUT_WR);
}

static void run_real(const char *self, char **argv)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s-real", self);
    execv(path, argv);
    perror(path);
    _exit(1);
}

/* Runs the child on a stream that is all there already. */
static void run_second(const char *self, char **argv, FILE *copy, int manifest, int signature)
{
    char digits[16], digits2[16], digits3[16];
    int pair[2];
    static uint8_t bytes[1 << 16];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        _exit(1);
    pid_t pid = fork();
    if (!pid) {
        close(pair[0]);
        snprintf(digits, sizeof(digits), "%d", pair[1]);
        snprintf(digits2, sizeof(digits2), "%d", manifest);
        snprintf(digits3, sizeof(digits3), "%d", signature);
        argv[FORK_FD] = digits;
        argv[MANIFEST_FD] = digits2;
        argv[SIGNATURE_FD] = digits3;
        run_real(self, argv);
    }
    close(pair[1]);
    rewind(copy);
    for (size_t n; (n = fread(bytes, 1, sizeof(bytes), copy)) > 0;)
        if (!put(pair[0], bytes, n))
            break;
    int status;
    waitpid(pid, &status, 0);
    dprintf(2, "second child: status %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void between(const char *self, char **argv, int parent)
{
    int pair[2];
    char digits[16];
    int manifest = dup(atoi(argv[MANIFEST_FD])), signature = dup(atoi(argv[SIGNATURE_FD]));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
        _exit(1);
    pid_t pid = fork();
    if (!pid) { /* not a child of the enclave's process */
        close(pair[1]);
        if (fork())
            _exit(0);
        FILE *copy = tmpfile();
        if (!fork()) {
            up(pair[0], parent);
            _exit(0);
        }
        down(parent, pair[0], copy);
        close(parent);
        close(pair[0]);
        if (is("second"))
            run_second(self, argv, copy, manifest, signature);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    close(pair[0]);
    close(parent);
    close(manifest);
    close(signature);
    snprintf(digits, sizeof(digits), "%d", pair[1]);
    argv[FORK_FD] = digits;
    run_real(self, argv);
}

static void save(int fd, const char *path)
{
    static char bytes[1 << 16];
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    off_t off = 0;
    for (ssize_t n; (n = pread(fd, bytes, sizeof(bytes), off)) > 0; off += n)
        if (write(to, bytes, (size_t)n) != n)
            _exit(1);
    close(to);
}

int main(int argc, char **argv)
{
    char self[4096] = "", digits[16], digits2[16];
    const char *hostile = getenv("HOSTILE");
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0 || argc < 5)
        return 1;
    what = strdup(hostile ? hostile : "nothing");
    char *number = strchr(what, ' ');
    if (number) {
        *number = 0;
        at = strcmp(number + 1, "go") ? atoi(number + 1) : -1;
    }
    if (strcmp(argv[1], "child")) {
        if (getenv("HOSTILE_SAVE"))
            save(atoi(argv[MANIFEST_FD]), getenv("HOSTILE_SAVE"));
        run_real(self, argv);
    }
    if (is("other")) {
        snprintf(digits, sizeof(digits), "%d", open(getenv("OTHER_MANIFEST"), O_RDONLY));
        snprintf(digits2, sizeof(digits2), "%d", open(getenv("OTHER_SIGNATURE"), O_RDONLY));
        argv[MANIFEST_FD] = digits;
        argv[SIGNATURE_FD] = digits2;
        run_real(self, argv);
    }
    between(self, argv, atoi(argv[FORK_FD]));
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* sockets unix|tcp: two processes pass a byte to and fro; prints the nanoseconds of one round.
 * Both on one processor; the median slice counts (slices.h). */
#define _GNU_SOURCE
#include "slices.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLICES = 301, ROUNDS = 100 };

static void tcp_pair(int s[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int one = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
    expect(bind(listening, (void *)&a, sizeof a) == 0 && listen(listening, 1) == 0 &&
               getsockname(listening, (void *)&a, &n) == 0,
           "listen");
    s[0] = socket(AF_INET, SOCK_STREAM, 0);
    expect(connect(s[0], (void *)&a, sizeof a) == 0, "connect");
    s[1] = accept(listening, NULL, NULL);
    for (int i = 0; i < 2; i++)
        setsockopt(s[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(listening);
}

static void partner(int s)
{
    char c;
    while (recv(s, &c, 1, 0) == 1 && send(s, &c, 1, MSG_NOSIGNAL) == 1)
        ;
    _exit(0);
}

static double slice(int s, int rounds)
{
    char c = 'x';
    uint64_t begin = now();
    for (int i = 0; i < rounds; i++)
        expect(send(s, &c, 1, 0) == 1 && recv(s, &c, 1, 0) == 1, "round");
    return (double)(now() - begin) / rounds;
}

int main(int argc, char **argv)
{
    int s[2];
    double slices[SLICES];
    if (argc != 2 || (strcmp(argv[1], "unix") != 0 && strcmp(argv[1], "tcp") != 0)) {
        fprintf(stderr, "usage: sockets unix|tcp\n");
        return 2;
    }
    one_processor();
    if (argv[1][0] == 't')
        tcp_pair(s);
    else
        expect(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0, "socketpair");
    pid_t child = fork();
    expect(child >= 0, "fork");
    if (child == 0) {
        close(s[0]);
        partner(s[1]);
    }
    close(s[1]);
    slice(s[0], 1000);
    for (int i = 0; i < SLICES; i++)
        slices[i] = slice(s[0], ROUNDS);
    printf("%.1f\n", median(slices, SLICES));
    return 0;
}

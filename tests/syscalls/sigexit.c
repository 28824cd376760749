/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Signals for the process while threads come and go: none is lost with the thread that the host
 * chose for it. */
#include "check.h"
#include <poll.h>
#include <pthread.h>

enum { SIGNALS = 600 };

static int acks[2];

static void acknowledge(int sig)
{
    (void)sig;
    if (write(acks[1], "a", 1) != 1)
        _exit(4);
}

static void *come_and_go(void *arg)
{
    return arg;
}

static void some_threads(void)
{
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&t[i], NULL, come_and_go, NULL) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

/* Each signal only after the one before was handled, so that none is merged. */
static int send_all(void)
{
    pid_t to = getppid();
    int done = 0;
    struct pollfd p = {acks[0], POLLIN, 0};
    for (char c; done < SIGNALS; done++)
        if (kill(to, SIGUSR1) != 0 || poll(&p, 1, 10000) != 1 || read(acks[0], &c, 1) != 1)
            break;
    return done;
}

int main(int argc, char **argv)
{
    start(argc, argv);
    NEED(pipe(acks) == 0);
    handle(SIGUSR1, acknowledge, SA_RESTART);
    pid_t child = fork();
    if (child == 0) {
        VALUE("handled", send_all());
        _exit(0);
    }
    int status;
    while (waitpid(child, &status, WNOHANG) != child)
        some_threads();
    show_status("sender", status);
    return 0;
}

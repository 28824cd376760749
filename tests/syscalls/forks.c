/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* fork, vfork, wait: exit codes, deaths, what is shared and what is copied. */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

static volatile sig_atomic_t chld, chld_code, chld_status, chld_pid;
static int variable = 1;

static void on_child(int sig, siginfo_t *i, void *context)
{
    (void)sig, (void)context;
    chld++;
    chld_code = i->si_code;
    chld_status = i->si_status;
    chld_pid = i->si_pid;
}

static void statuses(void)
{
    const int codes[] = {0, 1, 42, 255, 256, -1};
    int status;
    for (int i = 0; i < 6; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(codes[i]);
        CHECK("waitpid returns the child", waitpid(child, &status, 0) == child);
        show_status("exit code", status);
    }
    const int sigs[] = {SIGTERM, SIGKILL, SIGINT, SIGUSR2, SIGSEGV};
    for (int i = 0; i < 5; i++) {
        pid_t child = fork();
        if (child == 0) {
            for (;;)
                pause();
        }
        kill(child, sigs[i]);
        waitpid(child, &status, 0);
        show_status("killed", status);
    }
}

static void waiting(void)
{
    int status = 77, gate[2];
    char c;
    siginfo_t info;
    TRY("wait without children", wait(&status));
    TRY("waitpid without children", waitpid(-1, &status, WNOHANG));
    NEED(pipe(gate) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(gate[1]);
        (void)!read(gate[0], &c, 1);
        _exit(9);
    }
    TRY("WNOHANG while it runs", waitpid(child, &status, WNOHANG));
    TRY("not a child", waitpid(getpid(), &status, 0));
    TRY("other group", waitpid(-0x3fffff, &status, WNOHANG));
    TRY("unknown option", waitpid(child, &status, 0x1000));
    memset(&info, 0, sizeof(info));
    TRY("waitid WNOHANG while it runs", waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG));
    VALUE("no signal number", info.si_signo);
    close(gate[1]);
    TRY("waitid WNOWAIT", waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
    say("waitid", "signal %d code %d status %d pid %d", info.si_signo, info.si_code, info.si_status,
        info.si_pid == child);
    TRY("waitid without options", waitid(P_PID, (id_t)child, &info, 0));
    TRY("waitid unknown type", waitid(77, 0, &info, WEXITED));
    SYS("status nowhere", SYS_wait4, child, BAD_LOW, WNOHANG, NULL);
    TRY("reaped even so", waitpid(child, &status, 0));
    struct rusage usage;
    child = fork();
    if (child == 0)
        _exit(3);
    CHECK("wait4", wait4(child, &status, 0, &usage) == child);
    show_status("its status", status);
    CHECK("usage", usage.ru_maxrss > 0);
    child = fork();
    if (child == 0)
        _exit(4);
    CHECK("wait for any", wait(&status) == child);
    child = fork();
    if (child == 0)
        _exit(5);
    CHECK("wait for own group", waitpid(0, &status, 0) == child);
    close(gate[0]);
}

static void signals(void)
{
    int status;
    handle_info(SIGCHLD, on_child, SA_RESTART);
    pid_t child = fork();
    if (child == 0)
        _exit(6);
    waitpid(child, &status, 0);
    say("SIGCHLD", "%d code %d status %d pid %d", (int)chld, (int)chld_code, (int)chld_status,
        chld_pid == child);
    child = fork();
    if (child == 0) {
        for (;;)
            pause();
    }
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    say("SIGCHLD of a death", "%d code %d status %d", (int)chld, (int)chld_code, (int)chld_status);
    signal(SIGCHLD, SIG_IGN);
    child = fork();
    if (child == 0)
        _exit(7);
    TRY("ignored: no zombie", waitpid(child, &status, 0));
    handle(SIGCHLD, SIG_DFL, SA_NOCLDWAIT);
    child = fork();
    if (child == 0)
        _exit(7);
    TRY("SA_NOCLDWAIT: no zombie", waitpid(child, &status, 0));
    signal(SIGCHLD, SIG_DFL);
    child = fork();
    if (child == 0) {
        pid_t parent = getppid();
        kill(parent, SIGUSR1);
        _exit(0);
    }
    sigset_t s;
    siginfo_t info;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigtimedwait(&s, &info, &(struct timespec){20, 0});
    say("signal from the child", "%d from it %d", info.si_signo, info.si_pid == child);
    waitpid(child, NULL, 0);
    child = fork();
    if (child == 0) {
        sigwaitinfo(&s, NULL);
        _exit(8);
    }
    TRY("signal to the child", kill(child, SIGUSR1));
    waitpid(child, &status, 0);
    show_status("it got it", status);
    TRY("signal to the reaped", kill(child, 0));
}

static void copies(void)
{
    char c[8] = {0};
    int status, fd = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600);
    int *private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *private = 5;
    NEED(write(fd, "0123456789", 10) == 10 && lseek(fd, 2, SEEK_SET) == 2);
    pid_t me = getpid(), child = fork();
    if (child == 0) {
        bool fine = variable == 1 && *private == 5 && getpid() != me && getppid() == me;
        variable = 2;
        *private = 6;
        fine &= read(fd, c, 3) == 3 && c[0] == '2';
        close(fd);
        umask(077);
        fine &= chdir("/") == 0;
        _exit(fine ? 0 : 1);
    }
    waitpid(child, &status, 0);
    show_status("child saw what it should", status);
    say("own copies", "%d %d", variable, *private);
    TRY("offset is shared", lseek(fd, 0, SEEK_CUR));
    TRY("descriptor is open", read(fd, c, 1));
    TRY("umask is own", umask(022));
    TRY("working directory is own", access("shared", F_OK));
    child = fork();
    if (child == 0) {
        pid_t inner = fork();
        if (inner == 0)
            _exit(11);
        waitpid(inner, &status, 0);
        _exit(WEXITSTATUS(status) + 1);
    }
    waitpid(child, &status, 0);
    show_status("grandchild", status);
    int p[2];
    NEED(pipe(p) == 0);
    child = fork();
    if (child == 0) {
        pid_t parent = getpid();
        if (fork() == 0) {
            while (getppid() == parent)
                sleep_ms(1);
            (void)!write(p[1], "adopted", 7);
            _exit(0);
        }
        _exit(0);
    }
    waitpid(child, NULL, 0);
    TRY("orphan", read(p[0], c, 7));
    show_bytes("orphan", c, 7);
}

static void many(void)
{
    int p[2], status, good = 0;
    char byte;
    NEED(pipe(p) == 0);
    pid_t child[50];
    for (int i = 0; i < 50; i++) {
        child[i] = fork();
        if (child[i] == 0) {
            byte = (char)i;
            (void)!write(p[1], &byte, 1);
            _exit(i);
        }
        NEED(child[i] > 0);
    }
    for (int i = 0; i < 50; i++)
        good += waitpid(child[i], &status, 0) == child[i] && status == i << 8;
    VALUE("fifty children", good);
    int sum = 0;
    for (int i = 0; i < 50 && read(p[0], &byte, 1) == 1; i++)
        sum += byte;
    VALUE("each wrote its byte", sum);
    TRY("no more children", wait(&status));
    int to[2], from[2];
    NEED(pipe(to) == 0 && pipe(from) == 0);
    pid_t worker = fork();
    if (worker == 0) {
        char block[1000];
        ssize_t n;
        close(to[1]), close(from[0]);
        while ((n = read(to[0], block, sizeof(block))) > 0) {
            for (ssize_t i = 0; i < n; i++)
                block[i] ^= 0x20;
            if (write(from[1], block, (size_t)n) != n)
                _exit(1);
        }
        _exit(0);
    }
    close(to[0]), close(from[1]);
    long right = 0;
    for (int i = 0; i < 200; i++) {
        char out[500], in[500];
        memset(out, 'a' + i % 26, sizeof(out));
        NEED(write(to[1], out, sizeof(out)) == sizeof(out));
        for (size_t got = 0; got < sizeof(in);) {
            ssize_t n = read(from[0], in + got, sizeof(in) - got);
            NEED(n > 0);
            got += (size_t)n;
        }
        for (size_t j = 0; j < sizeof(in); j++)
            right += in[j] == 'A' + i % 26;
    }
    VALUE("bytes there and back", right);
    close(to[1]);
    TRY("end from the worker", read(from[0], &byte, 1));
    waitpid(worker, &status, 0);
    show_status("worker", status);
}

static void *fork_in_thread(void *arg)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(getpid() == syscall(SYS_gettid) ? 21 : 22);
    waitpid(child, &status, 0);
    *(int *)arg = status;
    return NULL;
}

static volatile int stop;

static void *allocate(void *arg)
{
    while (!stop) {
        char *p = malloc(1000);
        memset(p, 1, 1000);
        free(p);
    }
    return arg;
}

static void vforks_that_end(void)
{
    static volatile int i, good, status;
    int before = open("/dev/null", O_RDONLY);
    for (i = 0; i < 300; i++) {
        pid_t child = vfork();
        if (child == 0) {
            int fd = open("/dev/null", O_RDONLY);
            _exit(fd < 0 ? 255 : i & 0xff);
        }
        good += waitpid(child, (int *)&status, 0) == child && status == (i & 0xff) << 8;
    }
    VALUE("vforks that only end", good);
    VALUE("what they opened is closed", open("/dev/null", O_RDONLY) == before + 1);
}

/* What a thread opens while another one vforks stays open. */
static void *open_and_close(void *arg)
{
    long *lost = arg;
    while (!stop) {
        int p[2] = {-1, -1};
        NEED(pipe(p) == 0);
        sched_yield();
        *lost += close(p[0]) != 0;
        *lost += close(p[1]) != 0;
    }
    return NULL;
}

static void vfork_beside_opening(void)
{
    pthread_t t[2];
    long lost[2] = {0};
    volatile int good = 0;
    int status;
    stop = 0;
    for (int i = 0; i < 2; i++)
        NEED(pthread_create(&t[i], NULL, open_and_close, &lost[i]) == 0);
    for (int i = 0; i < 200; i++) {
        pid_t child = vfork();
        if (child == 0)
            _exit(1);
        good += waitpid(child, &status, 0) == child && status == 1 << 8;
    }
    stop = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    VALUE("vforks beside opening threads", good);
    VALUE("descriptors lost meanwhile", lost[0] + lost[1]);
}

static void with_threads(void)
{
    pthread_t t[3];
    int status, good = 0;
    NEED(pthread_create(t, NULL, fork_in_thread, &status) == 0);
    pthread_join(*t, NULL);
    show_status("fork in a thread", status);
    for (int i = 0; i < 3; i++)
        NEED(pthread_create(&t[i], NULL, allocate, NULL) == 0);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            char *p = malloc(5000);
            memset(p, 2, 5000);
            free(p);
            _exit(1);
        }
        good += waitpid(child, &status, 0) == child && status == 1 << 8;
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    VALUE("forks beside busy threads", good);
    volatile int shared = 0;
    pid_t child = vfork();
    if (child == 0) {
        shared = 5;
        _exit(31);
    }
    VALUE("vfork shares memory", shared);
    waitpid(child, &status, 0);
    show_status("vfork", status);
    vforks_that_end();
    vfork_beside_opening();
}

int main(int argc, char **argv)
{
    start(argc, argv);
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, NULL);
    statuses();
    waiting();
    signals();
    copies();
    many();
    with_threads();
    return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Sessions, process groups, stopped children, and a terminal that is shared by groups. */
#include "check.h"
#include <pty.h>
#include <sys/ioctl.h>
#include <termios.h>

static volatile sig_atomic_t chld, chld_code, other;

static void on_child(int sig, siginfo_t *i, void *context)
{
    (void)sig, (void)context;
    chld++;
    chld_code = i->si_code;
}

static void on_other(int sig)
{
    other = sig;
}

static pid_t sleeper(void)
{
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

static void stopping(void)
{
    int status;
    siginfo_t info;
    handle_info(SIGCHLD, on_child, SA_RESTART);
    pid_t child = sleeper();
    TRY("stop", kill(child, SIGSTOP));
    TRY("waitid without WSTOPPED", waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG));
    CHECK("WUNTRACED", waitpid(child, &status, WUNTRACED) == child);
    say("status", "stopped %d by %d", WIFSTOPPED(status), WSTOPSIG(status));
    say("SIGCHLD", "%d code %d", chld, chld_code);
    TRY("told once", waitpid(child, &status, WUNTRACED | WNOHANG));
    TRY("continue", kill(child, SIGCONT));
    CHECK("WCONTINUED", waitpid(child, &status, WCONTINUED) == child);
    say("status", "continued %d", WIFCONTINUED(status));
    for (int i = 0; i < 5000 && chld < 2; i++)
        sleep_ms(1);
    say("SIGCHLD", "%d code %d", chld, chld_code);
    TRY("stop", kill(child, SIGTSTP));
    info.si_pid = 0;
    TRY("waitid WSTOPPED", waitid(P_PID, (id_t)child, &info, WSTOPPED | WNOWAIT));
    say("info", "code %d status %d pid %d", info.si_code, info.si_status, info.si_pid == child);
    TRY("waitid again", waitid(P_ALL, 0, &info, WSTOPPED));
    kill(child, SIGTERM); /* waits for the child to go on */
    TRY("not yet", waitpid(child, &status, WNOHANG));
    kill(child, SIGCONT);
    CHECK("died", waitpid(child, &status, 0) == child);
    show_status("status", status);
    handle(SIGCHLD, SIG_DFL, SA_NOCLDSTOP);
    child = sleeper();
    handle_info(SIGCHLD, on_child, SA_RESTART | SA_NOCLDSTOP);
    chld = 0;
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    VALUE("SA_NOCLDSTOP", chld);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    show_status("SIGKILL while stopped", status);
    signal(SIGCHLD, SIG_DFL);
}

static void groups(void)
{
    int status, gate[2];
    char c;
    NEED(pipe(gate) == 0);
    pid_t me = getpid(), a = sleeper(), b = sleeper();
    TRY("own group for a child", setpgid(a, a));
    CHECK("getpgid", getpgid(a) == a && getpgid(b) == getpgrp());
    TRY("the other joins it", setpgid(b, a));
    CHECK("getpgid", getpgid(b) == a);
    TRY("group that does not exist", setpgid(b, 0x3fffff));
    TRY("negative", setpgid(b, -1));
    TRY("not a child", setpgid(1, 0));
    TRY("wait for the group", waitpid(-a, &status, WNOHANG));
    TRY("signal to the group", kill(-a, SIGTERM));
    CHECK("one of it", waitpid(-a, &status, 0) > 0);
    show_status("status", status);
    CHECK("the other", waitpid(-a, &status, 0) > 0);
    show_status("status", status);
    TRY("group is gone", kill(-a, 0));
    pid_t child = fork();
    if (child == 0) {
        CHECK("session", getsid(0) == getsid(me));
        TRY("setsid", setsid() == getpid());
        CHECK("leader", getsid(0) == getpid() && getpgrp() == getpid());
        TRY("setsid of a leader", setsid());
        TRY("setpgid of a leader", setpgid(0, 0));
        OK("no terminal", open("/dev/tty", O_RDWR));
        (void)!read(gate[0], &c, 1);
        _exit(0);
    }
    close(gate[0]);
    (void)!write(gate[1], "x", 1);
    waitpid(child, &status, 0);
    show_status("session leader", status);
    close(gate[1]);
}

/* In a session of its own, with `fd` as its terminal. */
static void on_terminal(int fd, int master)
{
    int status;
    char c;
    NEED(setsid() == getpid());
    TRY("no terminal yet", tcgetpgrp(fd));
    TRY("take the terminal", ioctl(fd, TIOCSCTTY, 0));
    CHECK("foreground", tcgetpgrp(fd) == getpgrp());
    CHECK("session of the terminal", tcgetsid(fd) == getpid());
    OK("/dev/tty", open("/dev/tty", O_RDWR | O_CLOEXEC));
    TRY("group of another session", tcsetpgrp(fd, getppid()));
    int did[2], go[2];
    NEED(pipe(did) == 0 && pipe(go) == 0);
    /* A background child reads, writes attributes, with every disposition of the two signals. */
    pid_t child = fork();
    if (child == 0) {
        NEED(setpgid(0, 0) == 0);
        signal(SIGTTIN, SIG_IGN);
        TRY("background read, SIGTTIN ignored", read(fd, &c, 1));
        signal(SIGTTOU, SIG_IGN);
        struct termios t;
        TRY("tcgetattr", tcgetattr(fd, &t));
        TRY("tcsetattr, SIGTTOU ignored", tcsetattr(fd, TCSANOW, &t));
        signal(SIGTTOU, SIG_DFL);
        sigset_t s;
        sigemptyset(&s);
        sigaddset(&s, SIGTTOU);
        sigprocmask(SIG_BLOCK, &s, NULL);
        TRY("tcsetattr, SIGTTOU blocked", tcsetattr(fd, TCSANOW, &t));
        TRY("tcsetpgrp, SIGTTOU blocked", tcsetpgrp(fd, getpgrp()));
        CHECK("is foreground now", tcgetpgrp(fd) == getpgrp());
        TRY("give it back", tcsetpgrp(fd, getppid()));
        sigprocmask(SIG_UNBLOCK, &s, NULL);
        handle(SIGTTOU, on_other, 0);
        TRY("tcsetattr, handler", tcsetattr(fd, TCSANOW, &t));
        VALUE("ran", other == SIGTTOU);
        signal(SIGTTOU, SIG_DFL);
        TRY("tcsetattr, stopped and continued", tcsetattr(fd, TCSANOW, &t));
        signal(SIGTTIN, SIG_DFL);
        NEED(write(did[1], "d", 1) == 1 && read(go[0], &c, 1) == 1);
        TRY("read, stopped and continued", read(fd, &c, 1));
        say("read", "%c", c);
        _exit(0);
    }
    setpgid(child, child);
    for (int i = 0; i < 2; i++) {
        CHECK("stopped", waitpid(child, &status, WUNTRACED) == child);
        say("by", "%d", WIFSTOPPED(status) ? WSTOPSIG(status) : -status);
        NEED(tcsetpgrp(fd, child) == 0);
        if (i == 1)
            NEED(write(master, "r\n", 2) == 2);
        kill(-child, SIGCONT);
        if (i == 0) { /* between its calls: back, so that it reads in the background */
            signal(SIGTTOU, SIG_IGN);
            CHECK("continued", waitpid(child, &status, WCONTINUED) == child);
            NEED(read(did[0], &c, 1) == 1 && tcsetpgrp(fd, getpgrp()) == 0);
            NEED(write(go[1], "g", 1) == 1);
        }
    }
    waitpid(child, &status, 0);
    show_status("background child", status);
    TRY("terminal back", tcsetpgrp(fd, getpgrp()));
    /* The keyboard's signals go to the foreground group. */
    handle(SIGINT, on_other, 0);
    other = 0;
    NEED(write(master, "\x03", 1) == 1);
    while (!other)
        sleep_ms(1);
    VALUE("^C", other);
    handle(SIGQUIT, on_other, 0);
    NEED(write(master, "\x1c", 1) == 1);
    while (other != SIGQUIT)
        sleep_ms(1);
    VALUE("^\\", other);
    handle(SIGWINCH, on_other, 0);
    struct winsize w = {.ws_row = 11, .ws_col = 22};
    TRY("new size", ioctl(master, TIOCSWINSZ, &w));
    while (other != SIGWINCH)
        sleep_ms(1);
    memset(&w, 0, sizeof(w));
    TRY("ask", ioctl(fd, TIOCGWINSZ, &w));
    say("size", "%d %d", w.ws_row, w.ws_col);
    TRY("give the terminal up", ioctl(fd, TIOCNOTTY));
}

static void terminals(void)
{
    int master, slave, status;
    NEED(openpty(&master, &slave, NULL, NULL, NULL) == 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGHUP, SIG_IGN);
        on_terminal(slave, master);
        _exit(0);
    }
    waitpid(child, &status, 0);
    show_status("session", status);
    /* The end of a session leader: SIGHUP to the foreground group. */
    int p[2], go[2];
    char c;
    NEED(pipe(p) == 0 && pipe(go) == 0);
    child = fork();
    if (child == 0) {
        close(p[0]);
        setsid();
        NEED(ioctl(slave, TIOCSCTTY, 0) == 0);
        if (fork() == 0) {
            handle(SIGHUP, on_other, 0);
            (void)!write(p[1], "r", 1);
            while (other != SIGHUP)
                sleep_ms(1);
            (void)!write(p[1], "h", 1);
            _exit(0);
        }
        (void)!read(go[0], &c, 1);
        _exit(0);
    }
    close(p[1]);
    TRY("ready", read(p[0], &c, 1));
    TRY("the leader may end", write(go[1], "x", 1));
    waitpid(child, NULL, 0);
    TRY("hung up", read(p[0], &c, 1));
    say("got", "%c", c);
}

int main(int argc, char **argv)
{
    start(argc, argv);
    /* In a group that is not orphaned: one whose stop signals stop. */
    pid_t child = fork();
    if (child == 0) {
        NEED(setpgid(0, 0) == 0);
        stopping();
        groups();
        terminals();
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    show_status("all", status);
    return 0;
}

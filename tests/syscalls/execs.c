/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* execve: arguments, environment, scripts, what is kept, errors; posix_spawn, system, popen. */
#include "check.h"
#include <pthread.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>

extern char **environ;
static char *me;

/* The program run as `me -show…`: prints how it was started. */
static int show(int argc, char **argv)
{
    char comm[16] = "";
    VALUE("  argc", argc);
    for (int i = 1; i < argc; i++)
        show_bytes("  argument", argv[i], strlen(argv[i]));
    if (getenv("SHOW_ENV"))
        for (char **e = environ; *e; e++)
            show_bytes("  environment", *e, strlen(*e));
    prctl(PR_GET_NAME, comm);
    say("  comm", "%s", comm);
    return 12;
}

/* The program run as `me -state fd fd`: prints what came through exec. */
static int state(char **argv)
{
    sigset_t mask;
    struct sigaction usr1, usr2;
    struct rlimit l;
    char cwd[PATH_MAX];
    TRY("  kept descriptor", fcntl(atoi(argv[2]), F_GETFD));
    TRY("  close-on-exec descriptor", fcntl(atoi(argv[3]), F_GETFD));
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigaction(SIGUSR1, NULL, &usr1);
    sigaction(SIGUSR2, NULL, &usr2);
    CHECK("  mask kept", sigismember(&mask, SIGTERM) == 1);
    CHECK("  handler reset", usr1.sa_handler == SIG_DFL);
    CHECK("  ignored kept", usr2.sa_handler == SIG_IGN);
    sigpending(&mask);
    CHECK("  pending kept", sigismember(&mask, SIGTERM) == 1);
    say("  umask kept", "%o", umask(022));
    CHECK("  same process", getpid() == atoi(argv[4]));
    getrlimit(RLIMIT_NOFILE, &l);
    VALUE("  limit kept", l.rlim_cur);
    CHECK("  working directory kept", getcwd(cwd, sizeof(cwd)) && strcmp(cwd, argv[5]) == 0);
    CHECK("  one thread", syscall(SYS_gettid) == getpid());
    stack_t st;
    sigaltstack(NULL, &st);
    VALUE("  alternate stack is gone", st.ss_flags);
    return 0;
}

static void run(const char *name, const char *path, char *const argv[], char *const envp[])
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        errno = 0;
        execve(path, argv, envp);
        report(name, -1);
        _exit(77);
    }
    waitpid(child, &status, 0);
    if (WEXITSTATUS(status) != 77)
        show_status(name, status);
}

#define RUN(name, path, ...) run(name, path, (char *[]){__VA_ARGS__, NULL}, environ)

static void arguments(void)
{
    char *env[] = {"SHOW_ENV=1", "A=b c", "EMPTY=", "=odd", "noequals", "UTF=\xc3\xa4", NULL};
    char *none[] = {NULL};
    RUN("arguments", me, "zero", "-show", "", "a b", "\"quoted\"", "\xc3\xa4\n");
    run("environment", me, (char *[]){"zero", "-show", NULL}, env);
    run("no environment", me, (char *[]){"zero", "-show", NULL}, none);
    RUN("through a link", "./link", "zero", "-show");
    static char long_argument[100001];
    memset(long_argument, 'x', 100000);
    RUN("long argument", me, "zero", "-length", long_argument);
    static char too_long[140000];
    memset(too_long, 'y', sizeof(too_long) - 1);
    RUN("argument too long", me, "zero", "-length", too_long);
    static char *many[100];
    many[0] = "zero";
    for (int i = 1; i < 99; i++)
        many[i] = long_argument;
    run("arguments too long together", me, many, environ);
    char **short_ones = calloc(400001, sizeof(*short_ones));
    NEED(short_ones);
    for (int i = 0; i < 400000; i++)
        short_ones[i] = "";
    run("too many arguments", me, short_ones, environ);
    free(short_ones);
}

static void write_file(const char *path, const void *data, size_t n, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700);
    NEED(fd >= 0 && write(fd, data, n) == (ssize_t)n);
    fchmod(fd, mode);
    close(fd);
}

#define SCRIPT(path, text) write_file(path, text, strlen(text), 0755)

static void scripts(void)
{
    SCRIPT("plain", "#!./link -show\nignored\n");
    RUN("script", "./plain", "zero", "one", "two");
    SCRIPT("spaces", "#!  \t./link   -show several words  \nx");
    RUN("script with an argument", "./spaces", "zero");
    SCRIPT("unended", "#!./link -show");
    RUN("script without line end", "./unended", "zero");
    SCRIPT("nested", "#!./plain more\n");
    RUN("script run by a script", "./nested", "zero", "one");
    SCRIPT("missing", "#!/no/such/interpreter\n");
    RUN("interpreter missing", "./missing", "zero");
    SCRIPT("bare", "#!\n");
    RUN("no interpreter", "./bare", "zero");
    SCRIPT("loop", "#!./loop\n");
    RUN("own interpreter", "./loop", "zero");
    SCRIPT("dir", "#!./\n");
    RUN("directory as interpreter", "./dir", "zero");
    char line[300] = "#!./link -show ";
    memset(line + strlen(line), 'a', sizeof(line) - 1 - strlen(line));
    SCRIPT("long", line);
    RUN("argument of a long line is cut", "./long", "zero");
    memset(line + 2, 'a', sizeof(line) - 3);
    SCRIPT("long", line);
    RUN("interpreter of a long line is not", "./long", "zero");
    line[254] = '\n';
    SCRIPT("long", line);
    RUN("interpreter with a long path", "./long", "zero");
    SCRIPT("nothing", "#!");
    RUN("nothing behind the marks", "./nothing", "zero");
    SCRIPT("blank", "#! \t ");
    RUN("blanks without line end", "./blank", "zero");
    SCRIPT("tail", "#!./link -show  ");
    RUN("blanks at the end without line end", "./tail", "zero");
    write_file("zero", "#!./link -show\0 x\n", 18, 0755);
    RUN("zero byte in the line", "./zero", "zero");
    write_file("zero", "#!./link \0x\n", 12, 0755);
    RUN("zero byte as the argument", "./zero", "zero");
    SCRIPT("sh", "#!/bin/sh\necho from sh \"$@\"; exit 5\n");
    RUN("/bin/sh", "./sh", "zero", "a b", "c");
}

static void errors(void)
{
    unsigned char head[64] = {0};
    int fd = open(me, O_RDONLY);
    NEED(read(fd, head, sizeof(head)) == (ssize_t)sizeof(head));
    RUN("missing file", "./nothing", "zero");
    RUN("empty name", "", "zero");
    RUN("directory", ".", "zero");
    write_file("noexec", head, sizeof(head), 0644);
    RUN("not executable", "./noexec", "zero");
    RUN("under a file", "./noexec/x", "zero");
    SCRIPT("text", "echo no\n");
    RUN("text", "./text", "zero");
    SCRIPT("empty", "");
    RUN("empty", "./empty", "zero");
    write_file("cut", head, 20, 0755);
    RUN("cut ELF", "./cut", "zero");
    head[18] = 0x28; /* ARM */
    write_file("arm", head, sizeof(head), 0755);
    RUN("other machine", "./arm", "zero");
    NEED(symlink("loop1", "loop2") == 0 && symlink("loop2", "loop1") == 0);
    RUN("loop", "./loop1", "zero");
    SYS("name nowhere", SYS_execve, BAD_LOW, NULL, NULL);
    SYS("arguments nowhere", SYS_execve, me, BAD_LOW, NULL);
    SYS("environment nowhere", SYS_execve, me, ((char *[]){"a", NULL}), BAD_LOW);
    SYS("an argument nowhere", SYS_execve, me, ((char *[]){"a", BAD_LOW, NULL}), NULL);
    close(fd);
}

static void kept(void)
{
    char a[16], b[16], pid[16], cwd[PATH_MAX];
    int keep = open("f", O_RDWR | O_CREAT, 0600), drop = open("f", O_RDONLY | O_CLOEXEC), status;
    NEED(getcwd(cwd, sizeof(cwd)));
    pid_t child = fork();
    if (child == 0) {
        struct rlimit l = {123, 123};
        sigset_t s;
        stack_t st = {.ss_sp = malloc(65536), .ss_size = 65536};
        snprintf(a, sizeof(a), "%d", keep);
        snprintf(b, sizeof(b), "%d", drop);
        snprintf(pid, sizeof(pid), "%d", getpid());
        signal(SIGUSR1, (void (*)(int))(uintptr_t)abort);
        signal(SIGUSR2, SIG_IGN);
        sigemptyset(&s);
        sigaddset(&s, SIGTERM);
        sigprocmask(SIG_BLOCK, &s, NULL);
        raise(SIGTERM);
        sigaltstack(&st, NULL);
        umask(035);
        setrlimit(RLIMIT_NOFILE, &l);
        execl(me, "zero", "-state", a, b, pid, cwd, NULL);
        _exit(77);
    }
    waitpid(child, &status, 0);
    show_status("state", status);
}

static void *exec_here(void *arg)
{
    execl(me, "zero", "-show", arg, NULL);
    return NULL;
}

static void *wait_forever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void other_ways(void)
{
    int status, p[2];
    char buf[64];
    pid_t child = fork();
    if (child == 0) {
        pthread_t t;
        pthread_create(&t, NULL, wait_forever, NULL);
        pthread_create(&t, NULL, exec_here, "from a thread");
        for (;;)
            pause();
    }
    waitpid(child, &status, 0);
    show_status("exec in a thread", status);
    child = vfork();
    if (child == 0) {
        execl(me, "zero", "-show", "vfork", NULL);
        _exit(77);
    }
    waitpid(child, &status, 0);
    show_status("vfork and exec", status);
    child = vfork();
    if (child == 0) {
        execl("/no/such/program", "zero", NULL);
        _exit(errno == ENOENT ? 1 : 2);
    }
    waitpid(child, &status, 0);
    show_status("vfork and failed exec", status);
    posix_spawn_file_actions_t fa;
    NEED(pipe(p) == 0);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, p[1], 1);
    posix_spawn_file_actions_addclose(&fa, p[0]);
    char *args[] = {"echo", "spawned", NULL};
    VALUE("posix_spawnp", posix_spawnp(&child, "echo", &fa, NULL, args, environ));
    waitpid(child, &status, 0);
    show_status("spawned", status);
    close(p[1]);
    ssize_t n = read(p[0], buf, sizeof(buf));
    show_bytes("its output", buf, n > 0 ? (size_t)n : 0);
    say("posix_spawn missing", "%s",
        errno_name(posix_spawn(&child, "/no/such", NULL, NULL, args, environ)));
    show_status("system", system("exit 3"));
    show_status("system with pipeline", system("echo a b c | wc -w | grep -q 3"));
    show_status("system, killed", system("kill -9 $$"));
    FILE *f = popen("cat; echo end", "r");
    NEED(f != NULL);
    CHECK("popen", fgets(buf, sizeof(buf), f) != NULL && strcmp(buf, "end\n") == 0);
    show_status("pclose", pclose(f));
}

int main(int argc, char **argv)
{
    if (argc > 1 && strncmp(argv[1], "-show", 5) == 0)
        return show(argc, argv);
    if (argc > 5 && strcmp(argv[1], "-state") == 0)
        return state(argv);
    if (argc > 2 && strcmp(argv[1], "-length") == 0)
        return VALUE("  length", strlen(argv[2])), 0;
    me = realpath(argv[0], NULL);
    NEED(me);
    start(argc, argv);
    NEED(symlink(me, "link") == 0);
    arguments();
    scripts();
    errors();
    kept();
    other_ways();
    return 0;
}

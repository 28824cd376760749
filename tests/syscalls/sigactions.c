/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* sigaction and its flags, alternate stacks, nesting, default actions. */
#include "check.h"
#include <setjmp.h>

static volatile sig_atomic_t count, depth, deepest, seen_code, seen_pid, seen_value, on_stack;
static volatile sig_atomic_t masked, log_at;
static char logged[64];
static char *alt;

static void mark(char c)
{
    logged[log_at++ % 60] = c;
}

static void plain(int sig)
{
    (void)sig;
    count++;
}

static void nesting(int sig)
{
    depth++;
    if (depth > deepest)
        deepest = depth;
    if (count++ < 3)
        raise(sig);
    depth--;
}

static void info(int sig, siginfo_t *i, void *context)
{
    (void)context;
    count++;
    seen_code = i->si_code;
    seen_pid = i->si_pid == getpid() && i->si_uid == getuid() && i->si_signo == sig;
    seen_value = i->si_value.sival_int;
}

static void where(int sig)
{
    char here;
    (void)sig;
    on_stack = &here >= alt && &here < alt + 16 * PAGE;
}

static void look_at_mask(int sig)
{
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    masked = sigismember(&now, sig) | sigismember(&now, SIGUSR2) << 1;
}

static void first(int sig)
{
    (void)sig;
    mark('a');
    raise(SIGUSR2);
    mark('b');
}

static void second(int sig)
{
    (void)sig;
    mark('2');
}

static void flags(void)
{
    handle(SIGUSR1, plain, 0);
    TRY("raise", raise(SIGUSR1));
    VALUE("handled", count);
    count = 0;
    handle(SIGUSR1, nesting, 0);
    raise(SIGUSR1);
    say("without SA_NODEFER", "%d calls, depth %d", (int)count, (int)deepest);
    count = deepest = 0;
    handle(SIGUSR1, nesting, SA_NODEFER);
    raise(SIGUSR1);
    say("with SA_NODEFER", "%d calls, depth %d", (int)count, (int)deepest);
    count = 0;
    handle(SIGUSR1, plain, (int)SA_RESETHAND);
    raise(SIGUSR1);
    struct sigaction sa;
    sigaction(SIGUSR1, NULL, &sa);
    CHECK("SA_RESETHAND resets", count == 1 && sa.sa_handler == SIG_DFL);
    handle_info(SIGUSR1, info, 0);
    count = 0;
    kill(getpid(), SIGUSR1);
    say("kill", "%d code %d self %d", (int)count, (int)seen_code, (int)seen_pid);
    union sigval v = {.sival_int = 4711};
    TRY("sigqueue", sigqueue(getpid(), SIGUSR1, v));
    say("sigqueue info", "code %d self %d value %d", (int)seen_code, (int)seen_pid,
        (int)seen_value);
    TRY("tgkill", syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1));
    say("tgkill info", "code %d self %d", (int)seen_code, (int)seen_pid);
    TRY("tkill", syscall(SYS_tkill, syscall(SYS_gettid), SIGUSR1));
    sa = (struct sigaction){.sa_handler = look_at_mask};
    sigaddset(&sa.sa_mask, SIGUSR2);
    NEED(sigaction(SIGUSR1, &sa, NULL) == 0);
    raise(SIGUSR1);
    VALUE("masked in the handler", masked);
    struct sigaction old;
    TRY("read back", sigaction(SIGUSR1, NULL, &old));
    CHECK("same handler and mask", old.sa_handler == look_at_mask &&
                                       sigismember(&old.sa_mask, SIGUSR2) == 1 &&
                                       sigismember(&old.sa_mask, SIGUSR1) == 0);
    handle(SIGUSR1, first, 0);
    handle(SIGUSR2, second, 0);
    raise(SIGUSR1);
    say("nested", "%s", logged);
    memset(logged, 0, sizeof(logged));
    log_at = 0;
    sa = (struct sigaction){.sa_handler = first};
    sigaddset(&sa.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &sa, NULL);
    raise(SIGUSR1);
    say("held back until the end", "%s", logged);
}

static void alternate(void)
{
    stack_t st = {0}, old;
    alt = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRY("query", sigaltstack(NULL, &old));
    say("none", "flags %d size %d", old.ss_flags, (int)old.ss_size);
    st.ss_sp = alt;
    st.ss_size = 100;
    TRY("too small", sigaltstack(&st, NULL));
    st.ss_size = 16 * PAGE;
    st.ss_flags = 0x40;
    TRY("unknown flag", sigaltstack(&st, NULL));
    st.ss_flags = 0;
    TRY("set", sigaltstack(&st, NULL));
    handle(SIGUSR1, where, 0);
    raise(SIGUSR1);
    VALUE("without SA_ONSTACK", on_stack);
    handle(SIGUSR1, where, SA_ONSTACK);
    raise(SIGUSR1);
    VALUE("with SA_ONSTACK", on_stack);
    sigaltstack(NULL, &old);
    CHECK("read back", old.ss_sp == alt && old.ss_size == (size_t)(16 * PAGE) && old.ss_flags == 0);
    SYS("nowhere", SYS_sigaltstack, BAD_LOW, NULL);
    SYS("old nowhere", SYS_sigaltstack, NULL, BAD_LOW);
    st.ss_flags = SS_DISABLE;
    TRY("disable", sigaltstack(&st, NULL));
    raise(SIGUSR1);
    VALUE("SA_ONSTACK without stack", on_stack);
}

static sigjmp_buf out;
static volatile sig_atomic_t change_result, inside_flags;

static void overflow(int sig)
{
    stack_t st;
    sigaltstack(NULL, &st);
    inside_flags = st.ss_flags;
    st.ss_flags = SS_DISABLE;
    errno = 0;
    change_result = sigaltstack(&st, NULL) == -1 ? errno : 0;
    siglongjmp(out, sig);
}

__attribute__((noinline)) static int recurse(volatile int n)
{
    volatile char block[8192];
    block[n % 8192] = (char)n;
    return n < 0 ? 0 : recurse(n + 1) + block[0];
}

static void stack_overflow(void)
{
    stack_t st = {.ss_sp = alt, .ss_size = (size_t)(16 * PAGE)};
    NEED(sigaltstack(&st, NULL) == 0);
    handle(SIGSEGV, overflow, SA_ONSTACK);
    volatile int sig = sigsetjmp(out, 1);
    if (sig == 0)
        recurse(0);
    say("stack overflow", "%s on the alternate stack, flags %d", sigabbrev_np(sig),
        (int)inside_flags);
    say("changing it while on it", "%s", errno_name(change_result));
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK("siglongjmp restored the mask", sigismember(&now, SIGSEGV) == 0);
    signal(SIGSEGV, SIG_DFL);
}

static void errors(void)
{
    struct sigaction sa = {.sa_handler = plain};
    unsigned long kernel[4] = {0};
    TRY("SIGKILL", sigaction(SIGKILL, &sa, NULL));
    TRY("SIGSTOP", sigaction(SIGSTOP, &sa, NULL));
    SYS("signal 0", SYS_rt_sigaction, 0, kernel, NULL, 8L);
    SYS("signal 65", SYS_rt_sigaction, 65, kernel, NULL, 8L);
    SYS("signal 64", SYS_rt_sigaction, 64, NULL, kernel, 8L);
    SYS("bad mask size", SYS_rt_sigaction, SIGUSR1, NULL, kernel, 16L);
    SYS("action nowhere", SYS_rt_sigaction, SIGUSR1, BAD_LOW, NULL, 8L);
    SYS("old action nowhere", SYS_rt_sigaction, SIGUSR1, NULL, BAD_LOW, 8L);
    SYS("SIGKILL query", SYS_rt_sigaction, SIGKILL, NULL, kernel, 8L);
    TRY("kill 0 to self", kill(getpid(), 0));
    TRY("kill bad signal", kill(getpid(), 65));
    TRY("kill negative signal", kill(getpid(), -1));
    TRY("kill nobody", kill(0x3fffff00, 0));
    SYS("tkill bad id", SYS_tkill, -1, SIGUSR1);
    SYS("tkill nobody", SYS_tkill, 0x3fffff00, SIGUSR1);
    SYS("tgkill other group", SYS_tgkill, 0x3fffff00, getpid(), SIGUSR1);
    SYS("tgkill bad signal", SYS_tgkill, getpid(), getpid(), 99);
    SYS("tgkill 0", SYS_tgkill, getpid(), getpid(), 0);
    siginfo_t i = {.si_code = SI_USER};
    SYS("rt_sigqueueinfo to self may lie", SYS_rt_sigqueueinfo, getpid(), 0, &i);
    SYS("rt_sigqueueinfo nowhere", SYS_rt_sigqueueinfo, getpid(), SIGUSR1, BAD_LOW);
}

static void die_of(const char *name, int sig, bool core)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        signal(sig, SIG_DFL);
        raise(sig);
        _exit(0);
    }
    waitpid(child, &status, 0);
    (void)core;
    show_status(name, status);
}

static void defaults(void)
{
    die_of("default of SIGTERM", SIGTERM, false);
    die_of("default of SIGUSR1", SIGUSR1, false);
    die_of("default of SIGKILL", SIGKILL, false);
    die_of("default of SIGABRT", SIGABRT, true);
    die_of("default of SIGALRM", SIGALRM, false);
    die_of("default of SIGCHLD", SIGCHLD, false);
    die_of("default of SIGURG", SIGURG, false);
    die_of("default of SIGWINCH", SIGWINCH, false);
    die_of("default of SIGCONT", SIGCONT, false);
    die_of("default of SIGSYS", SIGSYS, true);
    die_of("default of SIGRTMIN", 34, false);
    signal(SIGTERM, SIG_IGN);
    TRY("ignored", raise(SIGTERM));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    flags();
    alternate();
    stack_overflow();
    errors();
    defaults();
    return 0;
}

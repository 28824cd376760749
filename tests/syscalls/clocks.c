/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Clocks and sleeping: relations between them, resolutions, errors. */
#include "check.h"
#include <pthread.h>
#include <sys/time.h>

static const clockid_t clocks[] = {
    CLOCK_REALTIME,          CLOCK_MONOTONIC,     CLOCK_PROCESS_CPUTIME_ID,
    CLOCK_THREAD_CPUTIME_ID, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
    CLOCK_MONOTONIC_COARSE,  CLOCK_BOOTTIME,      CLOCK_TAI,
};

static long long raw_ns(clockid_t c)
{
    struct timespec t;
    return syscall(SYS_clock_gettime, c, &t) == 0 ? t.tv_sec * 1000000000LL + t.tv_nsec : -1;
}

static bool near(long long a, long long b, long long within)
{
    return a - b <= within && b - a <= within;
}

static void reading(void)
{
    struct timespec t;
    char line[64];
    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        long long last = 0;
        bool forward = true, valid = true;
        for (int n = 0; n < 500; n++) {
            valid &= clock_gettime(clocks[i], &t) == 0 && t.tv_nsec >= 0 && t.tv_nsec < 1000000000;
            long long ns = t.tv_sec * 1000000000LL + t.tv_nsec;
            forward &= ns >= last || clocks[i] == CLOCK_REALTIME;
            last = ns;
        }
        snprintf(line, sizeof(line), "clock %d", clocks[i]);
        say(line, "valid %d forward %d", valid, forward);
        valid = clock_getres(clocks[i], &t) == 0;
        snprintf(line, sizeof(line), "resolution of clock %d", clocks[i]);
        say(line, "%d %ld.%09ld", valid, (long)t.tv_sec, t.tv_nsec);
    }
    const long long second = 1000000000;
    struct timeval tv;
    TRY("gettimeofday", gettimeofday(&tv, NULL));
    CHECK("near the real clock", near(tv.tv_sec * second, now_ns(CLOCK_REALTIME), 3 * second));
    CHECK("time() too", near(time(NULL) * second, now_ns(CLOCK_REALTIME), 3 * second));
    CHECK("it is after 2020", time(NULL) > 1577836800);
    CHECK("boot time is not before monotonic",
          now_ns(CLOCK_MONOTONIC) <= now_ns(CLOCK_BOOTTIME) + second / 100);
    CHECK("monotonic is not real time",
          !near(now_ns(CLOCK_MONOTONIC), now_ns(CLOCK_REALTIME), 1000 * second));
    CHECK("coarse is near",
          near(now_ns(CLOCK_MONOTONIC_COARSE), now_ns(CLOCK_MONOTONIC), 3 * second));
    CHECK("system call and vDSO agree",
          near(raw_ns(CLOCK_MONOTONIC), now_ns(CLOCK_MONOTONIC), 3 * second));
    CHECK("and on real time", near(raw_ns(CLOCK_REALTIME), now_ns(CLOCK_REALTIME), 3 * second));
    bool order = true;
    for (int i = 0; i < 300; i++) {
        long long a = now_ns(CLOCK_MONOTONIC), b = raw_ns(CLOCK_MONOTONIC),
                  c = now_ns(CLOCK_MONOTONIC);
        order &= a <= b && b <= c;
    }
    CHECK("never backwards between them", order);
    long seconds = 0, result = syscall(SYS_time, &seconds);
    CHECK("raw time()", result == seconds && near(seconds, time(NULL), 3));
}

static volatile unsigned long work;

static void processor(void)
{
    clockid_t c;
    long long a = now_ns(CLOCK_PROCESS_CPUTIME_ID), b = now_ns(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < 20000000; i++)
        work += (unsigned long)i;
    CHECK("work takes processor time", now_ns(CLOCK_PROCESS_CPUTIME_ID) - a > 1000000 &&
                                           now_ns(CLOCK_THREAD_CPUTIME_ID) - b > 1000000);
    b = now_ns(CLOCK_THREAD_CPUTIME_ID);
    sleep_ms(100);
    CHECK("sleep does not", now_ns(CLOCK_THREAD_CPUTIME_ID) - b < 80000000);
    VALUE("pthread_getcpuclockid", pthread_getcpuclockid(pthread_self(), &c));
    CHECK("is a clock", now_ns(c) > 0);
    VALUE("clock_getcpuclockid", clock_getcpuclockid(0, &c));
    CHECK("is a clock too", now_ns(c) > 0);
}

static void errors(void)
{
    struct timespec t = {0, 1000};
    TRY("unknown clock", clock_gettime(77, &t));
    TRY("negative clock", clock_gettime(-1, &t));
    TRY("resolution of unknown clock", clock_getres(77, &t));
    TRY("resolution to nobody", clock_getres(CLOCK_MONOTONIC, NULL));
    SYS("clock_gettime nowhere", SYS_clock_gettime, CLOCK_MONOTONIC, BAD_LOW);
    SYS("clock_gettime to read-only", SYS_clock_gettime, CLOCK_MONOTONIC,
        page_then_none(PROT_READ));
    SYS("gettimeofday nowhere", SYS_gettimeofday, BAD_LOW, NULL);
    SYS("gettimeofday of nothing", SYS_gettimeofday, NULL, NULL);
    SYS("time nowhere", SYS_time, BAD_LOW);
    SYS("nanosleep nowhere", SYS_nanosleep, BAD_LOW, NULL);
    t = (struct timespec){0, 1000000000};
    TRY("nanosleep too many nanoseconds", nanosleep(&t, NULL));
    t = (struct timespec){0, -1};
    TRY("nanosleep negative nanoseconds", nanosleep(&t, NULL));
    t = (struct timespec){-1, 0};
    TRY("nanosleep negative seconds", nanosleep(&t, NULL));
    t = (struct timespec){0, 0};
    TRY("nanosleep nothing", nanosleep(&t, NULL));
    SYS("clock_nanosleep unknown clock", SYS_clock_nanosleep, 77, 0, &t, NULL);
    SYS("clock_nanosleep thread's clock", SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &t,
        NULL);
    SYS("clock_nanosleep raw clock", SYS_clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &t, NULL);
    SYS("clock_nanosleep nowhere", SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, BAD_LOW, NULL);
}

static void sleeping(void)
{
    const struct {
        const char *name;
        clockid_t clock;
        int flags;
    } ways[] = {
        {"monotonic", CLOCK_MONOTONIC, 0},
        {"realtime", CLOCK_REALTIME, 0},
        {"boot time", CLOCK_BOOTTIME, 0},
        {"absolute monotonic", CLOCK_MONOTONIC, TIMER_ABSTIME},
        {"absolute realtime", CLOCK_REALTIME, TIMER_ABSTIME},
    };
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        long long ns = 20000000 + (ways[i].flags ? now_ns(ways[i].clock) : 0);
        struct timespec t = {ns / 1000000000, ns % 1000000000};
        long long then = now_ns(CLOCK_MONOTONIC);
        int r = clock_nanosleep(ways[i].clock, ways[i].flags, &t, NULL);
        long long took = now_ns(CLOCK_MONOTONIC) - then;
        say(ways[i].name, "%d, long enough %d, not too long %d", r, took >= 15000000,
            took < 5000000000);
    }
    struct timespec past = {1, 0};
    long long then = now_ms();
    VALUE("absolute in the past", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &past, NULL));
    CHECK("at once", now_ms() - then < 5000);
    VALUE("usleep", usleep(10000));
    VALUE("sleep 0", sleep(0));
}

int main(int argc, char **argv)
{
    start(argc, argv);
    reading();
    processor();
    errors();
    sleeping();
    return 0;
}

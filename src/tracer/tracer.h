/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Runs a command natively and writes down what it needs: the record behind `adyton trace`.
 *
 * The command is traced with ptrace behind a seccomp filter, so that only calls that name files,
 * start programs, or reach sockets stop; each stops once, on entry, and what it would find is
 * looked up by the tracer itself. What a hostile program exchanges between that look and the call
 * is recorded wrongly; the manifest then refuses it at run time.
 *
 * A record is a sequence of NUL-terminated strings, none of them twice, in the order of first
 * occurrence: a kind, a base and an absolute path. Kinds:
 *   x  a program started          i  its interpreter ("#!" or of the ELF file)
 *   o  read    w  opened for writing    c  made by opening     s  looked at     d  a folder opened
 *   m  folder made    u  removed    t  replaced by a rename    k  changed (mode, times, length)
 *   l  link, socket or node made    n  Unix socket connected to
 * A base is '-' for a path written absolutely, '@' for one below a descriptor or working folder.
 * Other strings: "A" and a folder as the kernel knows it, followed by a string "W" and the path by
 * which the program reached it; "F" and a fact (enum-like words in calls.c); "P" and a process's
 * peaks: "HWM ACCESSIBLE STACK HEAP THREADS", bytes but for the last; "E" and the wait status.
 */
#pragma once
#include "manifest/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct record {
    struct buffer text;
    uint64_t *slots; /* hash and offset of what is there: open addressing */
    size_t slot_count, used;
};

/* Adds "KIND BASE PATH" without the blanks, unless it is there. */
void record_path(struct record *r, char kind, char base, const char *path);
/* Adds a string of any other form, unless it is there (`always`: even then). */
void record_string(struct record *r, const char *string, bool always);
void record_free(struct record *r);

/* What a thread is about to do, as the kernel tells it. */
struct call {
    pid_t tid;
    uint64_t nr;
    uint64_t arg[6];
};

/* Records a system call at its entry. */
void call_record(struct record *r, const struct call *c);

/* Lets only the calls that call_record() knows stop. 0 or -errno. Called in the traced process. */
int filter_install(void);

/*
 * Runs argv[0] (looked up in PATH) with these arguments until it and all that it started have
 * ended. Returns 0, or a negative errno after one line on standard error when it could not be
 * started.
 */
int trace_run(struct record *r, const char *shown, char **argv);

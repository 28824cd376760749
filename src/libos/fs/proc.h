/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * /proc. What it says of a process is the library OS's own knowledge (mappings, descriptors,
 * signals, names), never the host process that carries it; consumption (time, resident memory,
 * I/O) is the host's figure. Of the other processes of the run the library OS knows what they have
 * published (proc/members.h), and what their memory says where the host lets us look into it; no
 * other processes are seen.
 */
#pragma once
#include "libos/fs/pseudo.h"
#include "libos/proc/members.h"

/* proc_pid.c: /proc/PID, and /proc/PID/task/TID. */
extern const struct pseudo_node proc_pid_dir[];
long proc_next_pid(const struct pseudo_ref *dir, long from);
/* The process whose directory /proc/PID `f` is, opened; -1: it is another file. */
int proc_directory_pid(const struct file *f);
/* The thread that a path names: PID itself stands for its first thread. */
int proc_tid(const struct pseudo_ref *r);
/* Is it about another process? */
bool proc_is_other(const struct pseudo_ref *r);
/* Another process that is none of the run any more: its number may be in use outside. */
bool proc_is_gone(const struct pseudo_ref *r);
/* What that one has published; NULL: it is gone. To be freed with heap_free. */
struct member *proc_member(const struct pseudo_ref *r);
void proc_owner(const struct pseudo_ref *r, uint32_t ids[2]);
/* May its memory, directories and the like be looked at (ptrace(2), "access mode checking")? */
bool proc_may_look(const struct member *m);
/* The host's path of the same file of this process or thread. */
void proc_host_path(const struct pseudo_ref *r, const char *file, char path[64]);
/* Appends what stands in it; -ESRCH when the process is gone, whoever has its number now. */
int proc_host_text(const struct pseudo_ref *r, const char *file, struct text *t);

/* proc_status.c */
int proc_fill_status(const struct pseudo_ref *r, struct text *t);
int proc_fill_stat(const struct pseudo_ref *r, struct text *t);
int proc_fill_statm(const struct pseudo_ref *r, struct text *t);
int proc_fill_limits(const struct pseudo_ref *r, struct text *t);
/* The command name of the thread; empty: it is gone. */
void proc_comm(const struct pseudo_ref *r, char comm[16]);

/* Has it ended, so that nothing is left but its number? */
bool proc_is_zombie(const struct pseudo_ref *r);

/* proc_memory.c */
int proc_fill_cmdline(const struct pseudo_ref *r, struct text *t);
int proc_fill_environ(const struct pseudo_ref *r, struct text *t);
int proc_fill_auxv(const struct pseudo_ref *r, struct text *t);

/* proc_maps.c: of the calling process; of another EACCES */
int proc_fill_maps(const struct pseudo_ref *r, struct text *t);
int proc_fill_smaps(const struct pseudo_ref *r, struct text *t);
int proc_fill_smaps_rollup(const struct pseudo_ref *r, struct text *t);

/* proc_fd.c */
/* The path as Linux shows it: without symbolic links. As it is where it leads nowhere. */
void proc_real_path(const char *path, char out[PATH_LIMIT]);
extern const struct pseudo_node proc_fd_dir[], proc_fdinfo_dir[];

/* proc_mounts.c */
int proc_fill_mounts(const struct pseudo_ref *r, struct text *t);
int proc_fill_mountinfo(const struct pseudo_ref *r, struct text *t);
int proc_fill_mountstats(const struct pseudo_ref *r, struct text *t);

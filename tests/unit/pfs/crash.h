/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The parts of pfs-crash (crash.c). */
#pragma once
#include "crypto/crypto.h"
#include "disk.h"
#include "mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct version {
    uint8_t *bytes;
    size_t size;
    bool gradual; /* a part of the change from the version before may be there alone */
};

struct file {
    struct object object;
    struct pfs *pfs; /* NULL: not open */
    struct version *version;
    int versions, flushed, synced; /* counts and indices; -1: never */
    bool name_synced;
};

/* The world of one workload. */
extern struct file files[DISK_INODES];
extern int names[DISK_NAMES], inodes;
extern struct record record;
extern uint64_t rng, seed;
extern unsigned boot;
extern size_t cache_bytes;

/* crash_app.c: the application */
void fail(const char *what, long a, long b);
void must(bool ok, const char *what);
unsigned pick(unsigned n);
int open_object(struct object *o, unsigned flags, int name, unsigned at_boot, struct pfs **f);
void note(int inode);
void add_version(int inode, uint8_t *bytes, size_t size, bool gradual);
void drop_versions(struct file *f, int keep);
const struct version *newest(int inode);
void did_flush(int inode, bool sync);
void create_file(int name);
void write_file(int inode, size_t off, size_t n);
void sync_file(int inode);
void operate(void);

/* crash.c */
int match(const struct file *f, int low, int high, const uint8_t *got, size_t size, bool *partly);
uint8_t *content(struct pfs *f, size_t *size);
void abandon(struct file *f);
void start_replay(void);
void finish(void);

/* crash_faults.c: every host call of a fixed sequence fails, in several ways. */
void faults(void);

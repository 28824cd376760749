/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Files that the fuzzer alters: whole ones, and what crashes leave while the version V of a file is
 * turned into W, with our log or with Gramine's.
 */
#pragma once
#include "storage.h"

#define META_AT    59
#define META_SIZE  3884
#define WHOLE      4  /* the first bases */
#define FOREIGN    2  /* and the next: interrupted writes with a log of Gramine's */
#define BASES_MAX  64 /* then those with a log of ours */
#define LOG_RECORD 4104

struct base {
    uint8_t *data;
    size_t size;
    uint8_t root[PFS_NODE_SIZE]; /* decrypted, if there is one */
    uint8_t *foreign_log;
    size_t foreign_size;
};
extern struct base bases[BASES_MAX];
extern unsigned base_count;
extern const uint8_t fuzz_key[PFS_KEY_SIZE];

void bases_make(void);
/* Before each run, when nothing is open. */
void fuzz_begin(void);
/* Aborts with the reason unless `ok`. */
void must(bool ok, const char *what);
/* Opens `s`; the log may be NULL. */
int fuzz_open(struct storage *s, struct storage *log, unsigned flags, struct pfs **f);
/* Content: byte `i` of version V is *pattern(i, 0), of W *pattern(i, W_DIFFERS), the same with the
 * highest bit flipped. Up to PATTERN_MAX bytes can be read from the pointer. */
#define PATTERN_MAX 9000
#define W_DIFFERS   0x80
const uint8_t *pattern(uint64_t i, uint8_t flip);

void metadata_key(const uint8_t *node0, uint8_t *out);
void open_meta(const uint8_t *node0, uint8_t *meta);
/* All memory that the library has, in bytes. */
extern size_t fuzz_allocated;

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Hostile encrypted files. The input names a base file (pfs/bases.h), patches, and operations:
 *
 *   byte 0   how the patches apply (enum kind), modulo KINDS
 *   byte 1   base file, modulo those that suit the kind
 *   byte 2   bits 0-2: number of patches, each 5 bytes: node, offset (2), length, value;
 *            bit 3: open for reading only
 *   rest     operations, 4 bytes each: operation, argument (3)
 *
 * RAW makes the rest of the input the file itself. HOST patches the stored bytes. META patches the
 * decrypted metadata and TREE the decrypted root too; both seal everything again, so that hostile
 * content is authentic. LOG does the same to the header of a recovery log, and FOREIGN patches a
 * log of Gramine's. Except for META and TREE there is an oracle: what is read was written, and of
 * the two versions that an interrupted write leaves all of it belongs to one.
 *
 * The mutator keeps this structure. With clang a libFuzzer target; otherwise a program that makes
 * its own inputs for N seconds.
 */
#include "crypto/crypto.h"
#include "pfs/bases.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum kind { RAW, HOST, META, TREE, LOG, FOREIGN_LOG, KINDS };

#define NODE      PFS_NODE_SIZE
#define PAD_AT    (META_AT + META_SIZE)
#define HEAD      3 /* bytes before the patches */
#define PATCH     5
#define OPERATION 4
#define OPS_MAX   12

/* Which version was read. */
struct oracle {
    bool on, known;
    uint8_t flip;
};

static void patch(uint8_t *p, size_t size, const uint8_t *c)
{
    size_t at = (size_t)c[1] | (size_t)c[2] << 8;
    for (size_t i = 0; p && i < c[3] && at + i < size; i++)
        p[at + i] = c[4];
}

static void patch_authentic(struct storage *s, const struct base *b, enum kind kind,
                            const uint8_t *patches, size_t count)
{
    static const uint8_t iv[GCM_IV_SIZE];
    uint8_t meta[META_SIZE], root[NODE], k[16], *node0 = storage_node(s, 0);
    open_meta(node0, meta);
    memcpy(root, b->root, NODE);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *c = patches + PATCH * i;
        if (kind == META || c[0] % 2)
            patch(meta, META_SIZE, c);
        else
            patch(root, NODE, c);
    }
    if (kind == TREE && b->size > NODE)
        aes128_gcm_encrypt(meta + 780, iv, NULL, 0, root, NODE, storage_node(s, 1), meta + 796);
    metadata_key(node0, k);
    aes128_gcm_encrypt(k, iv, NULL, 0, meta, META_SIZE, node0 + META_AT, node0 + 42);
}

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

/* A log of ours: header (its length in numbers at 24 and 32, code over it at 96), then numbers. */
static void patch_log(struct storage *s, const uint8_t *patches, size_t count)
{
    static const uint8_t label[16] = "ADYTON-UNDO-LOG";
    uint8_t k[16], *node0 = storage_node(s, 0);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *c = patches + PATCH * i;
        uint64_t at = load64(node0 + PAD_AT + 48 + c[0] % 2 * 16);
        uint8_t *head = at < STORAGE_NODES ? storage_node(s, at) : NULL;
        if (c[0] & 0x80)
            patch(node0 + PAD_AT, NODE - PAD_AT, c);
        else
            patch(head, NODE, c);
        if (!head || c[0] & 0x40)
            continue;
        uint64_t used = 112 + 8 * (load64(head + 24) % 1000 + load64(head + 32) % 1000);
        memset(head + 96, 0, 16);
        aes128_cmac(fuzz_key, label, sizeof label, k);
        aes128_cmac(k, head, used < NODE ? used : NODE, head + 96);
    }
}

static void check_read(struct pfs *f, uint64_t off, size_t n, struct oracle *o)
{
    static uint8_t buf[PATTERN_MAX];
    int64_t rc = pfs_read(f, off, buf, n);
    must(rc >= -4095 && rc <= (int64_t)n, "the result of a read");
    must(rc <= 0 || off + (uint64_t)rc <= pfs_size(f), "a read past the end");
    if (!o->on || rc <= 0)
        return;
    if (!o->known) {
        o->flip = buf[0] ^ *pattern(off, 0);
        o->known = true;
        must(!o->flip || o->flip == W_DIFFERS, "altered data was accepted");
    }
    must(!memcmp(buf, pattern(off, o->flip), (size_t)rc),
         "altered data was accepted, or two versions mixed");
}

static void check_write(struct pfs *f, uint64_t off, size_t n, const struct oracle *o)
{
    must(pfs_write(f, off, pattern(off, o->flip), n) <= (int64_t)n, "the result of a write");
}

/* Offsets near the start, the end, or anywhere. With the oracle writing stays inside the file, so
 * that its pattern has no gaps, and knows the version. */
static void operate(struct pfs *f, const uint8_t *c, struct oracle *o)
{
    uint64_t arg = c[1] | (uint64_t)c[2] << 8 | (uint64_t)c[3] << 16, size = pfs_size(f);
    uint64_t off = c[0] & 0x80 ? size - (arg < size ? arg : size) : c[0] & 0x40 ? arg << 30 : arg;
    size_t n = arg * 7 % PATTERN_MAX;
    uint64_t inside = off < size ? off : size;
    if (o->on && !o->known)
        check_read(f, 0, 1, o);
    if (o->on && !o->known)
        return;
    switch (c[0] % 8) {
    case 0 ... 2:
        check_read(f, off, n, o);
        break;
    case 3:
        check_write(f, o->on ? inside : off, n, o);
        break;
    case 4:
        pfs_set_size(f, o->on ? inside : off);
        break;
    case 5:
        pfs_flush(f, true);
        break;
    case 6:
        pfs_rename(f, "other/./name");
        break;
    default:
        check_write(f, size, n % 500, o);
    }
}

/* Prepares the storage; returns the base, or NULL for RAW. */
static const struct base *prepare(struct storage *s, enum kind kind, unsigned which,
                                  const uint8_t *patches, size_t count)
{
    unsigned first = 0, n = base_count;
    if (kind == TREE)
        n = WHOLE;
    else if (kind == FOREIGN_LOG)
        first = WHOLE, n = FOREIGN;
    else if (kind == LOG)
        first = WHOLE + FOREIGN, n = base_count - first;
    const struct base *b = &bases[first + which % n];
    storage_begin(s, b->data, b->size);
    for (size_t i = 0; kind == HOST && i < count; i++)
        patch(storage_node(s, patches[PATCH * i]), NODE, patches + PATCH * i);
    if (kind == META || kind == TREE)
        patch_authentic(s, b, kind, patches, count);
    if (kind == LOG)
        patch_log(s, patches, count);
    return b;
}

static void prepare_log(struct storage *log, const struct base *b, const uint8_t *patches,
                        size_t count)
{
    static uint8_t copy[16 * LOG_RECORD];
    size_t size = b->foreign_size;
    memcpy(copy, b->foreign_log, size);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *c = patches + PATCH * i;
        if (c[0] & 0x80)
            size = c[3] * 64u < size ? size - c[3] * 64u : size;
        else
            patch(copy + c[0] % 16 * LOG_RECORD, LOG_RECORD, c);
    }
    storage_begin(log, copy, size);
}

static void exercise(struct pfs *f, const uint8_t *ops, size_t size, struct oracle *o)
{
    for (int i = 0; i < OPS_MAX && OPERATION <= size; i++, size -= OPERATION, ops += OPERATION)
        operate(f, ops, o);
    pfs_close(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct storage s, log;
    struct pfs *f;
    if (!base_count)
        bases_make();
    if (size < HEAD)
        return 0;
    fuzz_begin();
    enum kind kind = data[0] % KINDS;
    size_t count = data[2] & 7;
    unsigned flags = data[2] & 8 ? PFS_READONLY : 0;
    const uint8_t *rest = data + HEAD, *which = data + 1;
    size -= HEAD;
    if (count * PATCH > size)
        count = size / PATCH;
    struct oracle o = {.on = kind != RAW && kind != META && kind != TREE};
    const struct base *b = NULL;
    if (kind == RAW) {
        storage_begin(&s, rest, size);
        count = 0;
    } else {
        b = prepare(&s, kind, *which, rest, count);
    }
    bool foreign = b && b->foreign_log;
    if (foreign) {
        flags |= PFS_REFUSE_PENDING;
        prepare_log(&log, b, rest, kind == FOREIGN_LOG ? count : 0);
    }
    size_t before = fuzz_allocated;
    if (!fuzz_open(&s, foreign ? &log : NULL, flags, &f)) {
        exercise(f, rest + count * PATCH, size - count * PATCH, &o);
        if (o.on && !fuzz_open(&s, NULL, PFS_READONLY, &f)) {
            check_read(f, 0, PATTERN_MAX, &o);
            check_read(f, 12000, PATTERN_MAX, &o);
            pfs_close(f);
        }
    }
    must(fuzz_allocated == before, "memory was not given back");
    return 0;
}

static uint32_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* A patch where something is decided: header fields, path, size, root entry, the notes of logs, the
 * fields of a log's header, single entries of a hash node. */
static void make_patch(uint8_t *p, uint64_t *rng)
{
    static const uint16_t offsets[] = {
        0,           8,           9,           10,          42,          58,   59,     772,
        779,         780,         796,         812,         831,         839,  PAD_AT, PAD_AT + 8,
        PAD_AT + 16, PAD_AT + 48, PAD_AT + 56, PAD_AT + 64, PAD_AT + 72, 16,   24,     32,
        40,          48,          96,          112,         120,         3072, 3104};
    static const uint8_t values[] = {0, 1, 2, 8, 16, 0x7f, 0x80, 0xff};
    uint16_t at = offsets[next(rng) % (sizeof offsets / sizeof *offsets)];
    if (next(rng) % 4 == 0)
        at = (uint16_t)(next(rng) % NODE);
    p[0] = (uint8_t)(next(rng) % (next(rng) % 4 ? 12 : 256));
    p[1] = (uint8_t)at;
    p[2] = (uint8_t)(at >> 8);
    p[3] = (uint8_t)(next(rng) % 3 ? 1 + next(rng) % 2 : next(rng) % 64);
    p[4] = next(rng) % 2 ? values[next(rng) % sizeof values] : (uint8_t)next(rng);
}

/* An operation near the start, a boundary of nodes, or anywhere. */
static void make_operation(uint8_t *p, uint64_t *rng)
{
    static const uint32_t edges[] = {0, 1, 3071, 3072, 3073, 7168, 11264, 15000, 29999, 396288};
    uint32_t arg = edges[next(rng) % (sizeof edges / sizeof *edges)];
    if (next(rng) % 3 == 0)
        arg = next(rng) % 500000;
    p[0] = (uint8_t)(next(rng) % 8 | (next(rng) % 4 ? 0 : 0x80) | (next(rng) % 16 ? 0 : 0x40));
    p[1] = (uint8_t)arg;
    p[2] = (uint8_t)(arg >> 8);
    p[3] = (uint8_t)(arg >> 16);
}

/* One change that keeps the structure; `size` is at least HEAD. Returns the new size. */
static size_t mutate(uint8_t *data, size_t size, size_t max, uint64_t *rng)
{
    size_t count = data[2] & 7, ops_at = HEAD + count * PATCH;
    if (ops_at > size) {
        data[2] &= 8;
        count = 0;
        ops_at = HEAD;
    }
    size_t ops = (size - ops_at) / OPERATION;
    switch (next(rng) % 8) {
    case 0:
        data[0] = (uint8_t)next(rng);
        return size;
    case 1:
        data[1] = (uint8_t)next(rng);
        return size;
    case 2:
        data[2] ^= 8;
        return size;
    case 3: /* one more patch */
        if (count == 7 || size + PATCH > max)
            break;
        memmove(data + ops_at + PATCH, data + ops_at, size - ops_at);
        make_patch(data + ops_at, rng);
        data[2]++;
        return size + PATCH;
    case 4: /* one patch less */
        if (!count)
            break;
        memmove(data + ops_at - PATCH, data + ops_at, size - ops_at);
        data[2]--;
        return size - PATCH;
    case 5: /* one more operation */
        if (ops >= OPS_MAX || size + OPERATION > max)
            break;
        make_operation(data + ops_at + ops * OPERATION, rng);
        return ops_at + (ops + 1) * OPERATION;
    case 6:
        if (ops)
            make_operation(data + ops_at + next(rng) % ops * OPERATION, rng);
        return size;
    }
    if (count)
        make_patch(data + HEAD + next(rng) % count * PATCH, rng);
    return size;
}

#ifdef FUZZ_STANDALONE
int main(int argc, char **argv)
{
    uint64_t rng = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 3);
    unsigned long runs = 0;
    uint8_t input[HEAD + 7 * PATCH + OPS_MAX * OPERATION] = {0};
    size_t n = HEAD;
    for (; runs % 64 || time(NULL) < end; runs++) {
        if (runs % 100 == 0)
            n = HEAD;
        for (unsigned i = 1 + next(&rng) % 8; i--;)
            n = mutate(input, n, sizeof(input), &rng);
        LLVMFuzzerTestOneInput(input, n);
    }
    printf("%lu inputs\n", runs);
    return 0;
}
#else
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    uint64_t rng = seed;
    if (size < HEAD || max < 200 || next(&rng) % 8 == 0)
        return LLVMFuzzerMutate(data, size, max);
    for (unsigned i = 1 + next(&rng) % 4; i--;)
        size = mutate(data, size, max, &rng);
    return size;
}
#endif

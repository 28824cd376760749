/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "bases.h"
#include "crypto/crypto.h"
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODE PFS_NODE_SIZE

struct base bases[BASES_MAX];
unsigned base_count;
size_t fuzz_allocated;
const uint8_t fuzz_key[PFS_KEY_SIZE] = "0123456789abcdef";

static const uint8_t boot_id[PFS_BOOT_SIZE] = "this very boot!";
static uint8_t table[2][251 + PATTERN_MAX], content[500000];

void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "pfs_fuzz: %s\n", what);
    abort();
}

const uint8_t *pattern(uint64_t i, uint8_t flip)
{
    return table[flip == W_DIFFERS] + i % 251;
}

/* Memory of one run, never used twice in it, so that the sanitizer knows what was freed; far
 * cheaper than its own. */
static _Alignas(64) uint8_t arena[8 << 20];
static size_t arena_used;

static void *fuzz_alloc(size_t size)
{
    size_t need = (size + 127) / 64 * 64; /* and a gap */
    fuzz_allocated += size;
    if (need > sizeof arena - arena_used)
        return malloc(size);
    void *p = arena + arena_used;
    arena_used += need;
    ASAN_UNPOISON_MEMORY_REGION(p, size);
    return p;
}

static void fuzz_free(void *p, size_t size)
{
    fuzz_allocated -= size;
    if ((uint8_t *)p < arena || (uint8_t *)p >= arena + sizeof arena)
        free(p);
    else
        ASAN_POISON_MEMORY_REGION(p, size);
}

void fuzz_begin(void)
{
    ASAN_POISON_MEMORY_REGION(arena, arena_used);
    arena_used = 0;
}

/* Repeatable, and without repetition within one run, which is all that is asked here. */
static int fuzz_random(void *buf, size_t n)
{
    static uint64_t counter;
    for (size_t done = 0; done < n; done += 8) {
        uint64_t x = ++counter * 0x9e3779b97f4a7c15;
        x ^= x >> 31;
        memcpy((uint8_t *)buf + done, &x, n - done < 8 ? n - done : 8);
    }
    return 0;
}

int fuzz_open(struct storage *s, struct storage *log, unsigned flags, struct pfs **f)
{
    static const struct pfs_env env = {
        .alloc = fuzz_alloc, .free = fuzz_free, .random = fuzz_random};
    static struct pfs_backend l; /* a file opened for reading only goes on using it */
    struct pfs_backend b = storage_backend(s);
    struct pfs_open_args args = {.flags = flags,
                                 .cache_bytes = 1,
                                 .path = flags & PFS_CREATE ? "fuzz" : NULL,
                                 .boot_id = boot_id};
    if (log) {
        l = storage_backend(log);
        args.log = &l;
    }
    return pfs_open(&env, &b, fuzz_key, &args, f);
}

void metadata_key(const uint8_t *node0, uint8_t *out)
{
    uint8_t m[104] = {1};
    memcpy(m + 4, "SGX-PROTECTED-FS-METADATA-KEY", 29);
    memcpy(m + 68, node0 + 10, 32);
    m[100] = 128;
    aes128_cmac(fuzz_key, m, sizeof(m), out);
}

void open_meta(const uint8_t *node0, uint8_t *meta)
{
    static const uint8_t iv[GCM_IV_SIZE];
    uint8_t k[16];
    metadata_key(node0, k);
    must(!aes128_gcm_decrypt(k, iv, NULL, 0, node0 + META_AT, META_SIZE, meta, node0 + 42),
         "the base file's metadata");
}

static struct base *keep(const struct storage *s)
{
    must(base_count < BASES_MAX, "too many bases");
    struct base *b = &bases[base_count++];
    b->data = storage_copy(s);
    b->size = s->size;
    return b;
}

static void write_all(struct pfs *f, size_t off, size_t n, uint8_t flip)
{
    for (size_t i = off; i < off + n; i++)
        content[i] = *pattern(i, flip);
    must(pfs_write(f, off, content + off, n) == (int64_t)n, "writing");
}

static void make_whole(size_t size)
{
    static const uint8_t iv[GCM_IV_SIZE];
    struct storage s;
    struct pfs *f;
    uint8_t meta[META_SIZE];
    storage_begin(&s, NULL, 0);
    must(!fuzz_open(&s, NULL, PFS_CREATE | PFS_UNTRACKED, &f), "creating");
    write_all(f, 0, size, 0);
    must(!pfs_close(f), "closing");
    struct base *b = keep(&s);
    open_meta(b->data, meta);
    if (size > 3072)
        must(
            !aes128_gcm_decrypt(meta + 780, iv, NULL, 0, b->data + NODE, NODE, b->root, meta + 796),
            "the base file's root");
}

static void keep_snapshot(const struct storage *s)
{
    keep(s);
}

/* Every state of the storage while the synced version V becomes W, twice, the second time without a
 * sync before. */
static void make_crashes(size_t size)
{
    struct storage s;
    struct pfs *f;
    storage_begin(&s, NULL, 0);
    must(!fuzz_open(&s, NULL, PFS_CREATE, &f), "creating");
    write_all(f, 0, size, 0);
    must(!pfs_flush(f, true), "syncing");
    s.before_write = keep_snapshot;
    for (int i = 0; i < 2; i++) {
        write_all(f, 0, size, i ? 0 : W_DIFFERS);
        must(!pfs_flush(f, false), "flushing");
    }
    keep(&s);
    s.before_write = NULL;
    must(!pfs_close(f), "closing");
}

/* As Gramine: the log has the nodes of V; on the storage are those of W up to `written`, and node 0
 * of V with the flag. */
static void make_foreign(size_t size, size_t written)
{
    struct storage s;
    struct pfs *f;
    storage_begin(&s, NULL, 0);
    must(!fuzz_open(&s, NULL, PFS_CREATE | PFS_UNTRACKED, &f), "creating");
    write_all(f, 0, size, 0);
    must(!pfs_close(f), "closing");
    uint8_t *old = storage_copy(&s);
    size_t nodes = s.size / NODE;
    must(!fuzz_open(&s, NULL, PFS_UNTRACKED, &f), "opening");
    write_all(f, 0, size, W_DIFFERS);
    must(!pfs_close(f), "closing");
    struct base *b = keep(&s);
    memcpy(b->data, old, NODE);
    b->data[58] |= 1;
    memcpy(b->data + (1 + written) * NODE, old + (1 + written) * NODE,
           (nodes - 1 - written) * NODE);
    b->foreign_size = nodes * LOG_RECORD;
    b->foreign_log = calloc(nodes, LOG_RECORD);
    for (size_t i = 0; i < nodes; i++) {
        b->foreign_log[i * LOG_RECORD] = (uint8_t)i;
        memcpy(b->foreign_log + i * LOG_RECORD + 8, old + i * NODE, NODE);
    }
    free(old);
}

void bases_make(void)
{
    static const size_t sizes[WHOLE] = {100, 9000, 30000, 400000};
    for (size_t i = 0; i < sizeof table[0]; i++) {
        table[0][i] = (uint8_t)((i * 31 + 7) % 251);
        table[1][i] = table[0][i] ^ W_DIFFERS;
    }
    crypto_init(0);
    ASAN_POISON_MEMORY_REGION(arena, sizeof arena);
    for (int i = 0; i < WHOLE; i++)
        make_whole(sizes[i]);
    make_foreign(15000, 2);
    make_foreign(15000, 4);
    make_crashes(15000);
    must(base_count > WHOLE + FOREIGN + 8, "crash states");
}

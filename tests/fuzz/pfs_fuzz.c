/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Hostile encrypted files. The input names a base file, patches, and operations:
 *
 *   byte 0   bits 0-1: how the patches apply (enum kind), bits 2-3: base file
 *   byte 1   number of patches, each 5 bytes: node, offset (2), length, value
 *   rest     operations, 4 bytes each: operation, argument (3)
 *
 * RAW makes the rest of the input the file itself. HOST patches the stored bytes: whatever is read
 * then must be what was written (the oracle). META patches the decrypted metadata and TREE the
 * decrypted hash nodes too; both seal everything again, so that hostile content is authentic. Base
 * 2 has an undo log; patches whose node has bit 6 go to the notes about it in node 0, with bit 5 to
 * the log's header, authentic again.
 *
 * With clang a libFuzzer target; otherwise a program that makes its own inputs for N seconds.
 */
#include "crypto/crypto.h"
#include "unit/pfs/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum kind { RAW, HOST, META, TREE };

#define NODE        PFS_NODE_SIZE
#define META_AT     59
#define META_SIZE   3884
#define BASES       4
#define LOGGED      2 /* the base with an undo log */
#define MARK_AT     (NODE - 153)
#define LOG_MAC_AT  96 /* in the log's header, which is followed by 8 bytes a node */
#define LOG_HEAD    112
#define LIMIT       (2u << 20)
#define COMMAND_MAX 64

static const uint8_t key[PFS_KEY_SIZE] = "0123456789abcdef";
static const uint8_t iv[GCM_IV_SIZE];
static const size_t base_sizes[BASES] = {100, 9000, 120000, 400000};
static struct mem bases[BASES];
static uint8_t root_plain[BASES][NODE];

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "pfs_fuzz: %s\n", what);
    abort();
}

static uint8_t pattern(uint64_t i)
{
    return (uint8_t)((i * 31 + 7) % 251);
}

/* Repeatable; a key stays unique within one run, which is all that is asked here. */
static int fuzz_random(void *buf, size_t n)
{
    static uint64_t counter;
    uint8_t hash[SHA256_SIZE];
    for (size_t done = 0; done < n; done += 16) {
        counter++;
        sha256(&counter, sizeof(counter), hash);
        memcpy((uint8_t *)buf + done, hash, n - done < 16 ? n - done : 16);
    }
    return 0;
}

static int open_file(struct mem *m, unsigned flags, struct pfs **f)
{
    struct pfs_env env = mem_env();
    struct pfs_backend b = mem_backend(m);
    static const uint8_t boot[PFS_BOOT_SIZE] = "boot";
    struct pfs_open_args args = {.flags = flags, .cache_bytes = 1, .boot_id = boot};
    args.path = flags & PFS_CREATE ? "fuzz" : NULL;
    env.random = fuzz_random;
    return pfs_open(&env, &b, key, &args, f);
}

static void metadata_key(const uint8_t *node0, uint8_t *out)
{
    uint8_t m[104] = {1};
    memcpy(m + 4, "SGX-PROTECTED-FS-METADATA-KEY", 29);
    memcpy(m + 68, node0 + 10, 32);
    m[100] = 128;
    aes128_cmac(key, m, sizeof(m), out);
}

static void open_meta(const uint8_t *node0, uint8_t *meta)
{
    uint8_t k[16];
    metadata_key(node0, k);
    must(!aes128_gcm_decrypt(k, iv, NULL, 0, node0 + META_AT, META_SIZE, meta, node0 + 42),
         "the base file's metadata");
}

static void make_bases(void)
{
    crypto_init(0);
    for (int i = 0; i < BASES; i++) {
        struct pfs *f;
        uint8_t meta[META_SIZE], *plain = malloc(base_sizes[i]);
        for (size_t j = 0; j < base_sizes[i]; j++)
            plain[j] = pattern(j);
        must(!open_file(&bases[i], PFS_CREATE, &f), "creating");
        must(pfs_write(f, 0, plain, base_sizes[i]) == (int64_t)base_sizes[i], "writing");
        must(!pfs_flush(f, true) && !pfs_close(f), "closing");
        if (i == LOGGED) { /* the same content again, so that both versions fit the oracle */
            must(!open_file(&bases[i], 0, &f), "opening");
            must(pfs_write(f, 20000, plain + 20000, 40000) == 40000, "overwriting");
            must(!pfs_close(f), "closing");
            must(bases[i].data[MARK_AT] == 'A', "the notes about the log");
        }
        free(plain);
        open_meta(bases[i].data, meta);
        if (base_sizes[i] > 3072)
            must(!aes128_gcm_decrypt(meta + 780, iv, NULL, 0, bases[i].data + NODE, NODE,
                                     root_plain[i], meta + 796),
                 "the base file's root");
    }
}

static void patch(uint8_t *p, size_t size, const uint8_t *command)
{
    size_t at = (size_t)command[1] | (size_t)command[2] << 8;
    for (size_t i = 0; i < command[3] && at + i < size; i++)
        p[at + i] = command[4];
}

static uint64_t number_at(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* The header of the log that a slot of the notes names, or NULL. */
static uint8_t *log_header(struct mem *m)
{
    for (size_t slot = 0; slot < 2; slot++) {
        uint64_t first = number_at(m->data + MARK_AT + 48 + 16 * slot);
        if (first && first < m->size / NODE)
            return m->data + first * NODE;
    }
    return NULL;
}

static void patch_log(struct mem *m, const uint8_t *command)
{
    static const uint8_t label[16] = "ADYTON-UNDO-LOG";
    uint8_t k[16], *head = log_header(m);
    if (command[0] & 0x40)
        patch(m->data + MARK_AT, 153, command);
    if (!head || !(command[0] & 0x20))
        return;
    patch(head, NODE, command);
    uint64_t nodes = number_at(head + 24) + number_at(head + 32);
    aes128_cmac(key, label, sizeof(label), k);
    memset(head + LOG_MAC_AT, 0, 16);
    uint8_t mac[16];
    if (nodes <= (NODE - LOG_HEAD) / 8)
        aes128_cmac(k, head, LOG_HEAD + 8 * nodes, mac);
    memcpy(head + LOG_MAC_AT, mac, 16);
}

static void patch_authentic(struct mem *m, int base, enum kind kind, const uint8_t *commands,
                            size_t count)
{
    uint8_t meta[META_SIZE], root[NODE], k[16];
    open_meta(m->data, meta);
    memcpy(root, root_plain[base], NODE);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *c = commands + 5 * i;
        if (base == LOGGED && c[0] & 0x60)
            patch_log(m, c);
        else if (kind == META || c[0] % 2)
            patch(meta, META_SIZE, c);
        else
            patch(root, NODE, c);
    }
    if (kind == TREE && m->size > NODE)
        aes128_gcm_encrypt(meta + 780, iv, NULL, 0, root, NODE, m->data + NODE, meta + 796);
    metadata_key(m->data, k);
    aes128_gcm_encrypt(k, iv, NULL, 0, meta, META_SIZE, m->data + META_AT, m->data + 42);
}

static void check_read(struct pfs *f, uint64_t off, size_t n, bool oracle)
{
    static uint8_t buf[70000];
    int64_t rc = pfs_read(f, off, buf, n);
    must(rc >= -4095 && rc <= (int64_t)n, "the result of a read");
    must(rc <= 0 || off + (uint64_t)rc <= pfs_size(f), "a read past the end");
    for (int64_t i = 0; oracle && i < rc; i++)
        must(buf[i] == pattern(off + (uint64_t)i), "altered data was accepted");
}

static void check_write(struct pfs *f, uint64_t off, size_t n)
{
    static uint8_t buf[70000];
    for (size_t i = 0; i < n; i++)
        buf[i] = pattern(off + i);
    must(pfs_write(f, off, buf, n) <= (int64_t)n, "the result of a write");
}

/* Offsets near the start, the end, or anywhere. Writing stays near or inside the file, so that the
 * oracle's pattern has no gaps. */
static void operate(struct pfs *f, const uint8_t *c, bool oracle)
{
    uint64_t arg = c[1] | (uint64_t)c[2] << 8 | (uint64_t)c[3] << 16, size = pfs_size(f);
    uint64_t off = c[0] & 0x80 ? size - (arg < size ? arg : size) : c[0] & 0x40 ? arg << 30 : arg;
    size_t n = arg * 7 % 70000;
    uint64_t inside = off < size ? off : size;
    switch (c[0] % 8) {
    case 0 ... 2:
        check_read(f, off, n, oracle);
        break;
    case 3:
        check_write(f, oracle ? inside : off, n);
        break;
    case 4:
        pfs_set_size(f, oracle ? inside : off);
        break;
    case 5:
        pfs_flush(f, true);
        break;
    case 6:
        pfs_rename(f, "other/./name");
        break;
    default:
        check_write(f, size, n % 500);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem m = {0};
    struct pfs *f;
    if (!bases[0].data)
        make_bases();
    if (size < 2)
        return 0;
    enum kind kind = data[0] & 3;
    int base = data[0] >> 2 & 3;
    size_t count = data[1] % 8;
    data += 2;
    size -= 2;
    if (kind == RAW) {
        struct mem raw = {.data = (uint8_t *)data, .size = size};
        mem_copy(&m, &raw);
        count = 0;
    } else {
        mem_copy(&m, &bases[base]);
        if (count * 5 > size)
            count = size / 5;
        for (size_t i = 0; kind == HOST && i < count; i++) {
            size_t node = data[5 * i];
            if (node * NODE < m.size)
                patch(m.data + node * NODE, NODE, data + 5 * i);
        }
        if (kind == META || kind == TREE)
            patch_authentic(&m, base, kind, data, count);
    }
    m.limit = LIMIT;
    size_t before = mem_allocated;
    if (!open_file(&m, 0, &f)) {
        size_t at = count * 5;
        for (int i = 0; i < COMMAND_MAX && at + 4 <= size; i++, at += 4)
            operate(f, data + at, kind == HOST);
        pfs_close(f);
        if (kind == HOST && !open_file(&m, PFS_READONLY, &f)) {
            check_read(f, 0, 70000, true);
            check_read(f, 60000, 70000, true);
            pfs_close(f);
        }
    }
    must(mem_allocated == before, "memory was not given back");
    mem_reset(&m);
    return 0;
}

#ifdef FUZZ_STANDALONE
int main(int argc, char **argv)
{
    uint64_t rng = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 3);
    unsigned long runs = 0;
    for (; time(NULL) < end; runs++) {
        uint8_t input[2 + 40 + 40];
        size_t n = 2 + test_random(&rng) % (sizeof(input) - 1);
        for (size_t i = 0; i < n; i++)
            input[i] = (uint8_t)test_random(&rng);
        /* Most fields that matter are at the start of a node or just above 3072. */
        for (size_t i = 2; i + 5 <= n && i < 42; i += 5) {
            input[i] = (uint8_t)(input[i] % 8 | (test_random(&rng) % 3 << 5));
            input[i + 2] = test_random(&rng) % 2 ? 3 : input[i + 2] % 16;
            input[i + 3] %= 20;
        }
        LLVMFuzzerTestOneInput(input, n);
    }
    printf("%lu inputs\n", runs);
    return 0;
}
#endif

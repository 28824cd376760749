/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Keys: no key seals two nodes, however many are written and by however many forked copies of a
 * context. Memory: nothing secret is left in it after pfs_close().
 *
 * The library is compiled with aes128_gcm_encrypt() renamed, so that every key passes here. The
 * key of node 0 is derived from its nonce: where the keys differ, the nonces do.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "crypto/crypto.h"
#include "mem.h"

#undef aes128_gcm_encrypt
void real_encrypt(const uint8_t key[AES128_KEY_SIZE], const uint8_t iv[GCM_IV_SIZE],
                  const void *aad, size_t aad_len, const void *pt, size_t len, void *ct,
                  uint8_t tag[GCM_TAG_SIZE]) __asm__("aes128_gcm_encrypt");

#define VEIL 0xa5 /* what this test knows of secrets is kept in another form */

/* The first halves of the keys seen; open addressing. Shared with forked children, each of which
 * has a part of its own. */
static uint64_t *seen;
static size_t slots, used, repeated;

static void note_key(const uint8_t *key)
{
    uint64_t k;
    memcpy(&k, key, sizeof k);
    k ^= VEIL * UINT64_C(0x0101010101010101);
    size_t at = k % slots;
    while (seen[at] && seen[at] != k)
        at = (at + 1) % slots;
    repeated += seen[at] == k;
    used += !seen[at];
    seen[at] = k;
}

void counted_gcm_encrypt(const uint8_t key[AES128_KEY_SIZE], const uint8_t iv[GCM_IV_SIZE],
                         const void *aad, size_t aad_len, const void *pt, size_t len, void *ct,
                         uint8_t tag[GCM_TAG_SIZE])
{
    if (slots)
        note_key(key);
    real_encrypt(key, iv, aad, aad_len, pt, len, ct, tag);
}

static uint64_t *room(size_t n)
{
    slots = n;
    used = repeated = 0;
    seen = mmap(NULL, n * sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(seen, MAP_FAILED);
    return seen;
}

static struct pfs *open_it(struct mem *m, unsigned flags)
{
    uint8_t key[PFS_KEY_SIZE];
    struct pfs_env env = mem_env();
    struct pfs_backend b = mem_backend(m);
    struct pfs_open_args args = {.flags = flags, .path = "f"};
    struct pfs *f;
    for (int i = 0; i < PFS_KEY_SIZE; i++)
        key[i] = (uint8_t)(i * 37 + 11);
    assert_int_equal(pfs_open(&env, &b, key, &args, &f), 0);
    crypto_wipe(key, sizeof key);
    return f;
}

/* Writes here and there, in sequence and not, with and without syncs, until `count` keys were used.
 */
static void write_much(struct pfs *f, uint64_t *rng, size_t count)
{
    static uint8_t data[200000];
    while (used < count) {
        size_t n = test_random(rng) % 8 ? 1 + test_random(rng) % 9000 : sizeof data;
        uint64_t off = test_random(rng) % (8 << 20);
        memset(data, (int)test_random(rng), 64);
        assert_int_equal(pfs_write(f, off, data, n), n);
        if (test_random(rng) % 16 == 0)
            assert_int_equal(pfs_flush(f, test_random(rng) % 2), 0);
    }
    assert_int_equal(pfs_flush(f, true), 0);
}

static void test_keys_differ(void **state)
{
    size_t count = getenv("ADYTON_FULL") ? 10000000 : 100000;
    struct mem m = {0};
    uint64_t rng = 1;
    room(4 * count);
    struct pfs *f = open_it(&m, PFS_CREATE);
    write_much(f, &rng, count);
    assert_int_equal(pfs_close(f), 0);
    assert_true(used >= count);
    assert_int_equal(repeated, 0);
    munmap(seen, slots * sizeof *seen);
    mem_reset(&m);
}

/* Each process goes on with the dirty context that it has at the fork, with the same content. */
static void test_keys_differ_after_fork(void **state)
{
    enum { CHILDREN = 4, EACH = 2000, SLOTS = 1 << 16 };
    struct mem m = {0};
    uint8_t data[50000] = {1};
    uint64_t *part[CHILDREN + 1];
    slots = 0;
    struct pfs *f = open_it(&m, PFS_CREATE);
    assert_int_equal(pfs_write(f, 0, data, sizeof data), sizeof data);
    for (int i = 0; i <= CHILDREN; i++) {
        part[i] = room(SLOTS);
        pid_t child = i < CHILDREN ? fork() : -1;
        assert_true(child >= 0 || i == CHILDREN);
        if (child > 0) {
            int status;
            assert_int_equal(waitpid(child, &status, 0), child);
            assert_int_equal(status, 0);
            continue;
        }
        uint64_t rng = 5;
        assert_int_equal(pfs_flush(f, false), 0);
        write_much(f, &rng, EACH);
        assert_int_equal(repeated, 0);
        if (child == 0)
            _exit(0);
    }
    assert_int_equal(pfs_close(f), 0);
    uint64_t *all = room(SLOTS * (CHILDREN + 1));
    for (int i = 0; i <= CHILDREN; i++) {
        for (size_t at = 0; at < SLOTS; at++) {
            uint64_t k = part[i][at] ^ VEIL * UINT64_C(0x0101010101010101);
            if (part[i][at])
                note_key((const uint8_t *)&k);
        }
        munmap(part[i], SLOTS * sizeof **part);
    }
    assert_true(used > EACH * (CHILDREN + 1));
    assert_int_equal(repeated, 0);
    munmap(all, slots * sizeof *all);
    slots = 0;
    mem_reset(&m);
}

static uint8_t plain_byte(uint64_t i)
{
    uint64_t x = (i / 8 + 1) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint8_t)(x >> (i % 8 * 8)) ^ (uint8_t)(x >> 59);
}

struct needle {
    uint8_t veiled[8];
};

static size_t search(const uint8_t *hay, size_t n, const struct needle *needle)
{
    size_t found = 0;
    for (size_t at = 0; at + 8 <= n; at++) {
        const uint8_t *p = memchr(hay + at, needle->veiled[0] ^ VEIL, n - at - 7);
        if (!p)
            break;
        at = (size_t)(p - hay);
        int i = 1;
        while (i < 8 && (p[i] ^ VEIL) == needle->veiled[i])
            i++;
        found += i == 8;
    }
    return found;
}

/* How often the needles are anywhere in the memory of this process. */
static size_t search_memory(const struct needle *needles, size_t count)
{
    enum { WINDOW = 1 << 20 };
    static uint8_t window[WINDOW];
    size_t found = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    int mem = open("/proc/self/mem", O_RDONLY);
    assert_non_null(maps);
    assert_true(mem >= 0);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || mode[1] != 'w')
            continue;
        for (unsigned long at = from; at < to; at += WINDOW - 8) {
            size_t n = to - at < WINDOW ? to - at : WINDOW;
            if (at <= (uintptr_t)window && (uintptr_t)window < at + n)
                continue; /* where copies are on purpose */
            ssize_t got = pread(mem, window, n, (off_t)at);
            for (size_t i = 0; got > 0 && i < count; i++)
                found += search(window, (size_t)got, &needles[i]);
        }
    }
    crypto_wipe(window, sizeof window);
    fclose(maps);
    close(mem);
    return found;
}

static size_t collect(struct needle *needles, size_t max)
{
    size_t count = 0;
    for (int i = 0; i < 8; i++)
        needles[0].veiled[i] = (uint8_t)(i * 37 + 11) ^ VEIL; /* the wrap key */
    static const uint64_t places[] = {100, 3000, 3100, 7168, 50000, 399000, 450000, 899990};
    for (count = 1; count <= sizeof places / sizeof *places; count++) {
        for (uint64_t i = 0; i < 8; i++)
            needles[count].veiled[i] = plain_byte(places[count - 1] + i) ^ VEIL;
    }
    for (size_t at = 0; at < slots && count < max; at++) {
        if (seen[at])
            memcpy(needles[count++].veiled, &seen[at], 8); /* keys of nodes, veiled as they are */
    }
    return count;
}

static void transfer(struct pfs *f, bool writing, size_t step)
{
    uint8_t *data = malloc(step);
    for (uint64_t off = 0; off < 900000; off += step) {
        for (size_t i = 0; writing && i < step; i++)
            data[i] = plain_byte(off + i);
        int64_t rc = writing ? pfs_write(f, off, data, step) : pfs_read(f, off, data, step);
        assert_true(rc > 0);
    }
    crypto_wipe(data, step);
    free(data);
}

static void test_nothing_left(void **state)
{
    static struct needle needles[60];
    struct mem m = {0};
    room(1 << 14);
    struct pfs *f = open_it(&m, PFS_CREATE);
    transfer(f, true, 3000);
    assert_int_equal(pfs_flush(f, true), 0);
    transfer(f, true, 100000);
    size_t count = collect(needles, sizeof needles / sizeof *needles);
    assert_int_equal(count, sizeof needles / sizeof *needles);
    assert_true(search_memory(needles, count) > 3); /* the search finds what is there */
    assert_int_equal(pfs_close(f), 0);
    assert_int_equal(search_memory(needles, count), 0);
    f = open_it(&m, PFS_READONLY);
    transfer(f, false, 5000);
    transfer(f, false, 100000);
    assert_true(search_memory(needles, count) > 3);
    assert_int_equal(pfs_close(f), 0);
    assert_int_equal(search_memory(needles, count), 0);
    munmap(seen, slots * sizeof *seen);
    slots = 0;
    mem_reset(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_differ),
        cmocka_unit_test(test_keys_differ_after_fork),
        cmocka_unit_test(test_nothing_left),
    };
    crypto_init(0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

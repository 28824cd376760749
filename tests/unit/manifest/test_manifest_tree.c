/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Merkle trees against a second implementation (recursive, over OpenSSL), and the sidecar. */
#include <errno.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "manifest/tree.h"

/* From the description in tree.h: digest lists up to a single block. */
static void reference_root(const uint8_t *data, size_t size, uint8_t root[32])
{
    size_t count = size ? (size + 16383) / 16384 : 1;
    uint8_t *level = malloc(count * 32);
    for (size_t i = 0; i < count; i++) {
        size_t len = size - i * 16384 < 16384 ? size - i * 16384 : 16384;
        SHA256(data + i * 16384, len, level + i * 32);
    }
    for (;;) {
        size_t blocks = (count + 127) / 128;
        uint8_t *padded = calloc(blocks, 4096), *up = malloc(blocks * 32);
        memcpy(padded, level, count * 32);
        for (size_t i = 0; i < blocks; i++)
            SHA256(padded + i * 4096, 4096, up + i * 32);
        free(padded);
        free(level);
        level = up;
        count = blocks;
        if (blocks == 1)
            break;
    }
    uint8_t d[56] = "ADYTREE1";
    uint32_t sizes[2] = {16384, 4096};
    uint64_t length = size;
    memcpy(d + 8, sizes, 8);
    memcpy(d + 16, &length, 8);
    memcpy(d + 24, level, 32);
    SHA256(d, sizeof(d), root);
    free(level);
}

static uint8_t *pattern(size_t size)
{
    uint8_t *data = malloc(size + 1);
    uint64_t x = size + 1;
    for (size_t i = 0; i < size; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        data[i] = (uint8_t)(x >> 56);
    }
    return data;
}

static uint8_t *build(const struct tree_shape *s, const uint8_t *data, uint8_t root[32])
{
    uint8_t *interior = calloc(1, s->size);
    for (uint64_t b = 0; b < s->data_blocks; b++)
        SHA256(data + b * TREE_DATA_BLOCK, tree_block_length(s, b), tree_leaf(s, interior, b));
    tree_finish(s, interior, root);
    return interior;
}

/* Follows one data block up to the root, as a reader does. */
static bool verify(const struct tree_shape *s, const uint8_t *interior, const uint8_t root[32],
                   const uint8_t *data, uint64_t b)
{
    const uint8_t *leaf = interior + tree_hash_block(s, 0, b / TREE_FANOUT);
    if (!tree_check_data(leaf, b % TREE_FANOUT, data + b * TREE_DATA_BLOCK,
                         tree_block_length(s, b)))
        return false;
    uint64_t index = b / TREE_FANOUT;
    for (unsigned l = 0; l + 1 < s->levels; l++, index /= TREE_FANOUT)
        if (!tree_check_hash_block(interior + tree_hash_block(s, l + 1, index / TREE_FANOUT),
                                   index % TREE_FANOUT, interior + tree_hash_block(s, l, index)))
            return false;
    return tree_check_top(s, interior + tree_hash_block(s, s->levels - 1, 0), root);
}

static const size_t sizes[] = {
    0, 1, 16383, 16384, 16385, 65537, 70000, 2097152, 2097152 + 1, 5000000, 16384 * 128 * 3 + 17};

static void test_root(void **state)
{
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct tree_shape s;
        uint8_t root[32], expected[32], *data = pattern(sizes[i]);
        assert_int_equal(tree_shape(&s, sizes[i]), 0);
        uint8_t *interior = build(&s, data, root);
        reference_root(data, sizes[i], expected);
        assert_memory_equal(root, expected, 32);
        for (uint64_t b = 0; b < s.data_blocks; b++)
            assert_true(verify(&s, interior, root, data, b));
        free(interior);
        free(data);
    }
}

static void test_tampering(void **state)
{
    struct tree_shape s;
    uint8_t root[32], *data = pattern(5000000);
    tree_shape(&s, 5000000);
    uint8_t *interior = build(&s, data, root);
    for (uint64_t b = 0; b < s.data_blocks; b += 37) {
        data[b * TREE_DATA_BLOCK + 5] ^= 1;
        assert_false(verify(&s, interior, root, data, b));
        data[b * TREE_DATA_BLOCK + 5] ^= 1;
    }
    /* A flipped bit in any stored digest is found by the blocks below it. */
    for (unsigned l = 0; l < s.levels; l++) {
        uint64_t covered = 1;
        for (unsigned k = 0; k < l; k++)
            covered *= TREE_FANOUT;
        for (uint64_t i = 0; i < s.digests[l]; i++) {
            interior[s.offset[l] + i * 32] ^= 0x10;
            assert_false(verify(&s, interior, root, data, i * covered));
            interior[s.offset[l] + i * 32] ^= 0x10;
        }
    }
    struct tree_shape other;
    tree_shape(&other, 4999999);
    assert_false(tree_check_top(&other, interior + tree_hash_block(&s, s.levels - 1, 0), root));
    free(interior);
    free(data);
}

static void test_shape(void **state)
{
    struct tree_shape s;
    assert_int_equal(tree_shape(&s, 4ull << 30), 0);
    assert_int_equal(s.data_blocks, 262144);
    assert_int_equal(s.levels, 3);
    assert_int_equal(s.size, (2048 + 16 + 1) * 4096);
    assert_int_equal(tree_shape(&s, 1ull << 62), 0);
    assert_true(s.levels <= TREE_LEVELS);
    assert_int_equal(tree_shape(&s, (1ull << 62) + 1), -EFBIG);
    assert_int_equal(tree_shape(&s, UINT64_MAX), -EFBIG);
}

static void test_sidecar(void **state)
{
    enum { COUNT = 5, LEN = 4096 * 6 };
    struct tree_shape s;
    uint8_t *file = calloc(1, LEN), root[32] = {0};
    struct trees_header h = {"", TREES_VERSION, COUNT, LEN, {0}};
    memcpy(h.magic, TREES_MAGIC, 8);
    memcpy(file, &h, sizeof(h));
    for (int i = 0; i < COUNT; i++) {
        struct trees_entry e = {{(uint8_t)(10 * i)}, 4096ull * (i + 1), 70000};
        memcpy(file + sizeof(h) + i * sizeof(e), &e, sizeof(e));
    }
    tree_shape(&s, 70000);
    for (int i = 0; i < COUNT; i++) {
        root[0] = (uint8_t)(10 * i);
        assert_int_equal(trees_find(file, LEN, root, &s), 4096 * (i + 1));
        root[31] = 1;
        assert_int_equal(trees_find(file, LEN, root, &s), -ENOENT);
        root[31] = 0;
    }
    assert_int_equal(trees_find(file, LEN - 1, root, &s), -ENOENT); /* the last is cut off */
    struct tree_shape other;
    tree_shape(&other, 70001);
    assert_int_equal(trees_find(file, LEN, root, &other), -ENOENT);
    assert_int_equal(trees_find(file, 31, root, &s), -EINVAL);
    h.count = UINT32_MAX;
    memcpy(file, &h, sizeof(h));
    assert_int_equal(trees_find(file, LEN, root, &s), -EINVAL);
    h.count = COUNT;
    h.version++;
    memcpy(file, &h, sizeof(h));
    assert_int_equal(trees_find(file, LEN, root, &s), -EINVAL);
    h.version--;
    memcpy(file, &h, sizeof(h));
    uint64_t far = UINT64_MAX - 100;
    memcpy(file + sizeof(h) + 4 * sizeof(struct trees_entry) + 32, &far, 8);
    assert_int_equal(trees_find(file, LEN, root, &s), -ENOENT);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root),
        cmocka_unit_test(test_tampering),
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_sidecar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Hostile compiled manifests. The input is applied to a good block: byte 0 says how long it is
 * made, then follow edits of 4 bytes each: offset (2, little-endian; bit 15: relative to the end),
 * kind, value. Whatever mf_open() accepts is then read completely.
 *
 * With clang a libFuzzer target; otherwise a program that makes its own inputs for N seconds.
 */
#include "crypto/crypto.h"
#include "manifest/compile.h"
#include "manifest/compiled.h"
#include "manifest/tree.h"
#include "unit/manifest/rich.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct buffer good;
static unsigned long accepted;

static void prepare(void)
{
    struct diag d = {.file = "fuzz"};
    static const uint8_t sha[32] = {1};
    if (!manifest_compile_text(rich_manifest, strlen(rich_manifest), sha, &good, &d))
        abort();
}

static size_t touch(const struct mf *m, struct mf_str s)
{
    const char *text = mf_string(m, s);
    size_t n = text ? strlen(text) : 0;
    if (n != s.len)
        abort();
    return n;
}

static size_t read_files(const struct mf *m)
{
    size_t sum = 0;
    const struct mf_trusted *t = mf_trusted_files(m), *found;
    for (uint32_t i = 0; i < m->image->trusted.count; i++) {
        sum += touch(m, t[i].path);
        if (!mf_trusted_find(m, mf_string(m, t[i].path), t[i].path.len, &found) || found != &t[i])
            abort();
    }
    for (uint32_t i = 0; i < m->image->allowed.count; i++) {
        struct mf_str s = mf_allowed_files(m)[i].path;
        sum += touch(m, s);
        if (!mf_allowed(m, mf_string(m, s), s.len))
            abort();
    }
    return sum;
}

static size_t read_mounts(const struct mf *m)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < m->image->mounts.count; i++) {
        const struct mf_mount *mt = &mf_mounts(m)[i];
        sum += touch(m, mt->path) + touch(m, mt->host) + touch(m, mt->key_name);
    }
    for (uint32_t i = 0; i < m->image->keys.count; i++)
        sum += touch(m, mf_keys(m)[i].name) + mf_keys(m)[i].key[15];
    for (uint32_t i = 0; i < m->image->env.count; i++)
        sum += touch(m, mf_envs(m)[i].name) + touch(m, mf_envs(m)[i].value);
    for (uint32_t i = 0; i < m->image->argv.count; i++)
        sum += touch(m, mf_argv(m)[i]);
    return sum + touch(m, m->image->entrypoint) + touch(m, m->image->start_dir) +
           touch(m, m->image->log_file) + touch(m, m->image->argv_src) +
           touch(m, m->image->env_src);
}

static size_t read_ioctls(const struct mf *m)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < m->image->mocks.count; i++)
        sum += touch(m, mf_mocks(m)[i].name);
    for (uint32_t i = 0; i < m->image->ioctls.count; i++)
        if (mf_ioctls(m)[i].layout != UINT32_MAX)
            sum += mf_ioctl_structs(m)[mf_ioctls(m)[i].layout].count;
    for (uint32_t i = 0; i < m->image->ioctl_structs.count; i++) {
        const struct mf_ioctl_struct *s = &mf_ioctl_structs(m)[i];
        sum += touch(m, s->name);
        for (uint32_t k = 0; k < s->count; k++)
            sum += touch(m, mf_ioctl_fields(m)[s->first + k].size.field);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!good.len)
        prepare();
    if (!size)
        return 0;
    size_t len = data[0] < 200 ? good.len : good.len * (data[0] - 200) / 55;
    uint8_t *block = malloc(len ? len : 1);
    memcpy(block, good.data, len);
    for (size_t i = 1; i + 4 <= size && len; i += 4) {
        size_t at = data[i] | (data[i + 1] & 0x7fu) << 8;
        at = (data[i + 1] & 0x80 ? len - 1 - at % len : at % len);
        uint8_t value = data[i + 3];
        block[at] = data[i + 2] % 3 == 0   ? value
                    : data[i + 2] % 3 == 1 ? (uint8_t)(block[at] + value)
                                           : (uint8_t)(block[at] ^ (1u << value % 8));
    }
    struct mf m;
    if (!mf_open(&m, block, len)) {
        accepted++;
        if (read_files(&m) + read_mounts(&m) + read_ioctls(&m) == 0)
            abort();
    }
    struct tree_shape shape;
    if (len >= 40 && !tree_shape(&shape, 70000)) { /* the same bytes as a sidecar */
        memcpy(block, TREES_MAGIC "\1\0\0\0", 12);
        int64_t at = trees_find(block, len, block + 32, &shape);
        if (at >= 0 && (uint64_t)at + shape.size > len)
            abort();
    }
    free(block);
    return 0;
}

#ifdef FUZZ_STANDALONE
int main(int argc, char **argv)
{
    uint64_t x = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 3);
    unsigned long runs = 0;
    for (; time(NULL) < end; runs++) {
        uint8_t input[1 + 4 * 8];
        for (size_t i = 0; i < sizeof(input); i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            input[i] = (uint8_t)(x >> 56);
        }
        /* Half of the time in the fixed part, where the offsets stand. */
        for (size_t i = 1; i + 4 <= sizeof(input); i += 4)
            if (input[i + 2] & 0x40)
                input[i + 1] &= 1;
        LLVMFuzzerTestOneInput(input, 1 + 4 * (runs % 9));
    }
    printf("%lu inputs, %lu accepted\n", runs, accepted);
    return accepted == 0;
}
#endif

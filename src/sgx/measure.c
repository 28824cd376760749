/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgx/measure.h"

#define CHUNK 256

static void put(uint8_t *at, const void *value, size_t len)
{
    const uint8_t *v = value;
    for (size_t i = 0; i < len; i++)
        at[i] = v[i];
}

void sgx_measure_create(struct sgx_measure *m, uint32_t ssa_frame_size, uint64_t size)
{
    uint8_t block[64] = "ECREATE";
    put(block + 8, &ssa_frame_size, sizeof(ssa_frame_size));
    put(block + 12, &size, sizeof(size));
    sha256_init(&m->hash);
    sha256_update(&m->hash, block, sizeof(block));
}

void sgx_measure_add(struct sgx_measure *m, uint64_t offset, const struct sgx_secinfo *secinfo)
{
    uint8_t block[64] = "EADD";
    put(block + 8, &offset, sizeof(offset));
    put(block + 16, secinfo, 48);
    sha256_update(&m->hash, block, sizeof(block));
}

void sgx_measure_extend(struct sgx_measure *m, uint64_t offset, const void *chunk)
{
    uint8_t block[64] = "EEXTEND";
    put(block + 8, &offset, sizeof(offset));
    sha256_update(&m->hash, block, sizeof(block));
    sha256_update(&m->hash, chunk, CHUNK);
}

void sgx_measure_extend_page(struct sgx_measure *m, uint64_t offset, const void *page)
{
    static const uint8_t name[8] = "EEXTEND";
    uint8_t stream[(SGX_PAGE_SIZE / CHUNK) * (64 + CHUNK)] __attribute__((aligned(64)));
    const uint8_t *from = page;
    uint8_t *to = stream;
    for (uint64_t i = 0; i < SGX_PAGE_SIZE; i += CHUNK, to += 64 + CHUNK) {
        uint64_t at = offset + i;
        __builtin_memset(to, 0, 64);
        put(to, name, sizeof(name));
        put(to + 8, &at, sizeof(at));
        __builtin_memcpy(to + 64, from + i, CHUNK);
    }
    sha256_update(&m->hash, stream, sizeof(stream));
}

void sgx_measure_page(struct sgx_measure *m, uint64_t offset, uint64_t flags, const void *page)
{
    struct sgx_secinfo secinfo = {.flags = flags};
    if (SGX_SECINFO_TYPE(flags) == SGX_PT_TCS)
        secinfo.flags &= ~SGX_SECINFO_RWX;
    sgx_measure_add(m, offset, &secinfo);
    sgx_measure_extend_page(m, offset, page);
}

void sgx_measure_digest(const struct sgx_measure *m, uint8_t mrenclave[SHA256_SIZE])
{
    struct sha256 hash = m->hash;
    sha256_final(&hash, mrenclave);
}

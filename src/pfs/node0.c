/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Node 0: plain header, encrypted metadata, inline data. */
#include "internal.h"

#define MAGIC      UINT64_C(0x46505F5346415247) /* "GRAFS_PF" */
#define OFF_MAJOR  8
#define OFF_MINOR  9
#define OFF_FLAGS  58 /* version 2 only */
#define OFF_META_1 58
#define OFF_META_2 59

_Static_assert(sizeof(struct meta) == META_SIZE, "metadata as stored");
_Static_assert(OFF_META_2 + META_SIZE == OFF_PAD, "node 0 is full");

bool pfs_has_magic(const uint8_t *raw)
{
    return load64(raw) == MAGIC;
}

bool pfs_is_flagged(const uint8_t *raw)
{
    return raw[OFF_MAJOR] == 2 && raw[OFF_FLAGS] & FLAG_PENDING;
}

/* NIST SP 800-108 in counter mode with CMAC, one block. */
static void derive_key(const uint8_t *wrap_key, const uint8_t *nonce, uint8_t *key)
{
    static const char label[] = "SGX-PROTECTED-FS-METADATA-KEY";
    uint8_t m[104] = {1};
    __builtin_memcpy(m + 4, label, sizeof label - 1);
    __builtin_memcpy(m + 68, nonce, NONCE_SIZE);
    m[100] = 128;
    aes128_cmac(wrap_key, m, sizeof m, key);
}

static int meta_decrypt(struct pfs *f, const uint8_t *sealed)
{
    static const uint8_t iv[GCM_IV_SIZE];
    uint8_t key[AES128_KEY_SIZE];
    vector_enter(f);
    derive_key(f->wrap_key, f->tag, key);
    int rc = aes128_gcm_decrypt(key, iv, NULL, 0, sealed, META_SIZE, &f->meta, f->tag + NONCE_SIZE);
    vector_leave(f);
    crypto_wipe(key, sizeof key);
    return rc ? -EKEYREJECTED : 0;
}

int pfs_meta_read(struct pfs *f)
{
    const uint8_t *raw = f->scratch;
    int64_t got = pfs_nodes_read(f, 0, 1, f->scratch);
    if (got < 0)
        return (int)got;
    if (got == 0 || !pfs_has_magic(raw))
        return -EINVAL;
    f->info.major = raw[OFF_MAJOR];
    f->info.minor = raw[OFF_MINOR];
    if (f->info.major != 1 && f->info.major != 2)
        return -EPROTONOSUPPORT;
    bool v2 = f->info.major == 2;
    f->info.pending = pfs_is_flagged(raw);
    f->header_flags = v2 ? raw[OFF_FLAGS] & ~FLAG_PENDING : 0;
    __builtin_memcpy(f->tag, raw + OFF_TAGS, sizeof f->tag);
    int rc = meta_decrypt(f, raw + (v2 ? OFF_META_2 : OFF_META_1));
    if (rc)
        return rc;
    f->size = load64(f->meta.size);
    if (f->size > PFS_MAX_SIZE)
        return -EOVERFLOW;
    if (f->meta.path[PFS_PATH_SIZE - 1])
        return -EINVAL;
    return 0;
}

int pfs_meta_write(struct pfs *f)
{
    static const uint8_t iv[GCM_IV_SIZE];
    uint8_t key[AES128_KEY_SIZE];
    uint8_t *raw = f->scratch;
    int rc = pfs_random(f, raw + OFF_TAGS, NONCE_SIZE);
    if (rc)
        return rc;
    store64(raw, MAGIC);
    raw[OFF_MAJOR] = 2;
    raw[OFF_MINOR] = f->info.minor;
    raw[OFF_FLAGS] = f->header_flags;
    store64(f->meta.size, f->size);
    vector_enter(f);
    derive_key(f->wrap_key, raw + OFF_TAGS, key);
    aes128_gcm_encrypt(key, iv, NULL, 0, &f->meta, META_SIZE, raw + OFF_META_2,
                       raw + OFF_TAGS + NONCE_SIZE);
    vector_leave(f);
    crypto_wipe(key, sizeof key);
    if (f->fresh)
        pfs_mark_sum(f, raw, f->sum);
    pfs_mark_pack(f, raw + OFF_PAD);
    f->touched = true;
    rc = pfs_nodes_write(f, 0, 1, raw);
    if (rc)
        return rc;
    __builtin_memcpy(f->tag, raw + OFF_TAGS, sizeof f->tag);
    return 0;
}

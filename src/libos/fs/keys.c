/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/keys.h"
#include "libos/lib/lock.h"
#include "libos/process.h"
#include "manifest/compiled.h"
#include "platform/platform.h"

struct fs_key {
    struct fs_key *next;
    const char *name; /* in the manifest */
    bool set;
    uint8_t value[FS_KEY_SIZE];
};

/* The list itself is read-only after keys_setup. */
static struct fs_key *first_key, **last_key = &first_key;
/* Guards set and value of every key. A leaf: nothing else is locked while it is held. */
static struct lock keys_lock;

bool key_is_sealing(const char *name)
{
    return strcmp(name, "_sgx_mrenclave") == 0 || strcmp(name, "_sgx_mrsigner") == 0;
}

static struct fs_key *add(const char *name)
{
    struct fs_key *k = key_find(name);
    if (k)
        return k;
    k = heap_zalloc(sizeof(*k));
    if (!k)
        return NULL;
    k->name = name;
    *last_key = k;
    last_key = &k->next;
    return k;
}

static int add_sealing_keys(void)
{
    static const char *const names[] = {"_sgx_mrenclave", "_sgx_mrsigner"};
    uint8_t value[FS_KEY_SIZE];
    int err = 0;
    for (int i = 0; !err && i < 2; i++) {
        struct fs_key *k = add(names[i]);
        err = k ? platform_seal_key(i == 1, value) : -ENOMEM;
        if (!err)
            key_set(k, value);
    }
    memset(value, 0, sizeof(value));
    __asm__ volatile("" ::"r"(value) : "memory");
    return err;
}

int keys_setup(void)
{
    const struct mf *m = &run.manifest;
    const struct mf_mount *mounts_of = mf_mounts(m);
    for (uint32_t i = 0; i <= m->image->mounts.count; i++) {
        const struct mf_mount *mm = i < m->image->mounts.count ? &mounts_of[i] : &m->image->root;
        if (mm->type != MF_MOUNT_ENCRYPTED || key_is_sealing(mf_string(m, mm->key_name)))
            continue;
        if (!add(mf_string(m, mm->key_name)))
            return -ENOMEM;
    }
    int err = platform_attests() ? add_sealing_keys() : 0;
    for (uint32_t i = 0; !err && i < m->image->keys.count; i++) {
        const struct mf_key *mk = &mf_keys(m)[i];
        struct fs_key *k = add(mf_string(m, mk->name));
        if (!k)
            return -ENOMEM;
        key_set(k, mk->key);
    }
    return err;
}

struct fs_key *key_find(const char *name)
{
    for (struct fs_key *k = first_key; k; k = k->next)
        if (strcmp(k->name, name) == 0)
            return k;
    return NULL;
}

struct fs_key *key_at(size_t index)
{
    struct fs_key *k = first_key;
    while (k && index--)
        k = k->next;
    return k;
}

const char *key_name(const struct fs_key *k)
{
    return k->name;
}

int key_get(const struct fs_key *k, uint8_t out[FS_KEY_SIZE])
{
    lock(&keys_lock);
    bool set = k->set;
    if (set)
        memcpy(out, k->value, FS_KEY_SIZE);
    unlock(&keys_lock);
    return set ? 0 : -ENOKEY;
}

void key_set(struct fs_key *k, const uint8_t value[FS_KEY_SIZE])
{
    lock(&keys_lock);
    memcpy(k->value, value, FS_KEY_SIZE);
    k->set = true;
    unlock(&keys_lock);
}

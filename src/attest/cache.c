/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* A bounded cache of objects by digest; the one used longest ago makes room. */
#include <stdlib.h>

#include "attest/verifier.h"

#define BUCKETS    256
#define COST_LIMIT (64u << 20)

struct entry {
    struct entry *next;
    struct object_id id;
    struct object *object;
    uint64_t used;
};

/* `lock` guards all the rest; nothing is locked or released to others under it. */
struct cache {
    pthread_mutex_t lock;
    struct entry *buckets[BUCKETS];
    size_t count, limit, cost;
    uint64_t clock;
};

struct cache *cache_new(size_t entries)
{
    struct cache *cache = calloc(1, sizeof(*cache));
    if (cache && pthread_mutex_init(&cache->lock, NULL)) {
        free(cache);
        return NULL;
    }
    if (cache)
        cache->limit = entries;
    return cache;
}

void object_release(struct object *object)
{
    if (object && atomic_fetch_sub(&object->references, 1) == 1)
        object->destroy(object);
}

/* Under the lock. */
static void drop_oldest(struct cache *cache)
{
    struct entry **oldest = NULL;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct entry **at = &cache->buckets[i]; *at; at = &(*at)->next)
            if (!oldest || (*at)->used < (*oldest)->used)
                oldest = at;
    if (!oldest)
        return;
    struct entry *gone = *oldest;
    *oldest = gone->next;
    cache->count--;
    cache->cost -= gone->object->cost;
    object_release(gone->object);
    free(gone);
}

void cache_resize(struct cache *cache, size_t entries)
{
    pthread_mutex_lock(&cache->lock);
    cache->limit = entries;
    while (cache->count > cache->limit)
        drop_oldest(cache);
    pthread_mutex_unlock(&cache->lock);
}

void cache_flush(struct cache *cache)
{
    size_t entries = cache->limit;
    cache_resize(cache, 0);
    cache_resize(cache, entries);
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    cache_resize(cache, 0);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

static struct entry *find(struct cache *cache, const struct object_id *id)
{
    struct entry *e = cache->buckets[id->digest[0]];
    while (e && memcmp(&e->id, id, sizeof(*id)))
        e = e->next;
    return e;
}

struct object *cache_find(struct cache *cache, const struct object_id *id)
{
    struct object *object = NULL;
    pthread_mutex_lock(&cache->lock);
    struct entry *e = find(cache, id);
    if (e) {
        e->used = ++cache->clock;
        object = e->object;
        atomic_fetch_add(&object->references, 1);
    }
    pthread_mutex_unlock(&cache->lock);
    return object;
}

void cache_add(struct cache *cache, const struct object_id *id, struct object *object)
{
    struct entry *e = calloc(1, sizeof(*e));
    pthread_mutex_lock(&cache->lock);
    if (e && cache->limit && object->cost < COST_LIMIT && !find(cache, id)) {
        while (cache->count &&
               (cache->count >= cache->limit || cache->cost + object->cost > COST_LIMIT))
            drop_oldest(cache);
        atomic_fetch_add(&object->references, 1);
        *e = (struct entry){cache->buckets[id->digest[0]], *id, object, ++cache->clock};
        cache->buckets[id->digest[0]] = e;
        cache->count++;
        cache->cost += object->cost;
        e = NULL;
    }
    pthread_mutex_unlock(&cache->lock);
    free(e);
}

bool object_id_make(struct object_id *id, enum object_kind kind, const uint8_t *signer,
                    const void *data, size_t size)
{
    static const uint8_t none[64];
    uint8_t head[65] = {(uint8_t)kind};
    memcpy(head + 1, signer ? signer : none, 64);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
              EVP_DigestUpdate(ctx, head, sizeof(head)) && EVP_DigestUpdate(ctx, data, size) &&
              EVP_DigestFinal_ex(ctx, id->digest, NULL);
    EVP_MD_CTX_free(ctx);
    return ok;
}

struct object *session_find(struct session *s, const struct object_id *id)
{
    for (unsigned i = 0; i < s->count; i++)
        if (!memcmp(&s->held[i].id, id, sizeof(*id)))
            return s->held[i].object;
    if (s->count == COUNT(s->held))
        return NULL;
    struct object *object = cache_find(s->verifier->cache, id);
    if (object) {
        s->held[s->count].id = *id;
        s->held[s->count++].object = object;
    }
    return object;
}

int session_add(struct session *s, const struct object_id *id, struct object *object)
{
    if (s->count == COUNT(s->held)) {
        object_release(object);
        return attest_no_memory(s->error);
    }
    s->held[s->count].id = *id;
    s->held[s->count++].object = object;
    cache_add(s->verifier->cache, id, object);
    return 0;
}

void session_end(struct session *s)
{
    while (s->count)
        object_release(s->held[--s->count].object);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keyserver/pool.h"

#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

#define THREADS_MAX 64

struct ks_pool {
    pthread_mutex_t lock; /* guards the queue */
    pthread_cond_t news;
    struct ks_job *first, **last;
    bool ending;
    unsigned count;
    pthread_t threads[THREADS_MAX];
};

static void *work(void *arg)
{
    struct ks_pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct ks_job *job = pool->first;
        if (job) {
            pool->first = job->next;
            if (!pool->first)
                pool->last = &pool->first;
            pthread_mutex_unlock(&pool->lock);
            job->run(job);
            job->done(job);
            pthread_mutex_lock(&pool->lock);
        } else if (pool->ending) {
            break;
        } else {
            pthread_cond_wait(&pool->news, &pool->lock);
        }
    }
    pthread_mutex_unlock(&pool->lock);
    OPENSSL_thread_stop();
    return NULL;
}

struct ks_pool *ks_pool_new(unsigned threads)
{
    struct ks_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->news, NULL);
    pool->last = &pool->first;
    while (pool->count < threads && pool->count < THREADS_MAX &&
           !pthread_create(&pool->threads[pool->count], NULL, work, pool))
        pool->count++;
    if (pool->count)
        return pool;
    free(pool);
    return NULL;
}

void ks_pool_add(struct ks_pool *pool, struct ks_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&pool->lock);
    *pool->last = job;
    pool->last = &job->next;
    pthread_cond_signal(&pool->news);
    pthread_mutex_unlock(&pool->lock);
}

void ks_pool_free(struct ks_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->news);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->news);
    free(pool);
}

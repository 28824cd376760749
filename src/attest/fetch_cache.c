/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Answers of servers on disk, a file each, named by the hash of the URL:
 *
 *     "ADYTON COLLATERAL 1\n" URL "\n" STALE " " LENGTH-OF-CHAIN " " LENGTH-OF-BODY "\n" chain body
 *
 * None of it is trusted: the documents are signed, and verified each time.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attest/fetch.h"

#define HEAD_MAX 4096

static bool file_name(const struct fetcher *f, const char *url, char path[PATH_MAX])
{
    uint8_t digest[32];
    char name[33];
    if (!f->cache_dir || !sha256_of(url, strlen(url), digest))
        return false;
    for (int i = 0; i < 16; i++)
        sprintf(name + 2 * i, "%02x", digest[i]);
    return snprintf(path, PATH_MAX, "%s/%s", f->cache_dir, name) < PATH_MAX;
}

static int write_head(char head[HEAD_MAX], const char *url, int64_t stale, size_t chain,
                      size_t body)
{
    return snprintf(head, HEAD_MAX, "ADYTON COLLATERAL 1\n%s\n%" PRId64 " %zu %zu\n", url, stale,
                    chain, body);
}

/* Reads the head and checks that it is the one that would have been written. */
static bool parse(const char *url, const uint8_t *data, size_t size, struct answer *answer,
                  int64_t *stale)
{
    char head[HEAD_MAX], fields[HEAD_MAX];
    size_t chain, body;
    int start = snprintf(head, sizeof(head), "ADYTON COLLATERAL 1\n%s\n", url);
    if (start >= HEAD_MAX || size < (size_t)start || memcmp(data, head, (size_t)start))
        return false;
    size_t rest = size - (size_t)start < 100 ? size - (size_t)start : 100;
    memcpy(fields, data + start, rest);
    fields[rest] = 0;
    if (sscanf(fields, "%" SCNd64 " %zu %zu\n", stale, &chain, &body) != 3)
        return false;
    int len = write_head(head, url, *stale, chain, body);
    if (len >= HEAD_MAX || size < (size_t)len || memcmp(data, head, (size_t)len) || chain > size ||
        body > size || chain + body != size - (size_t)len)
        return false;
    answer->body = malloc(body + 1);
    answer->chain = chain ? strndup((const char *)data + len, chain) : NULL;
    answer->size = body;
    if (answer->body)
        memcpy(answer->body, data + len + chain, body);
    return answer->body && (!chain || answer->chain);
}

bool fetch_cache_read(const struct fetcher *f, const char *url, struct answer *answer,
                      int64_t *stale)
{
    char path[PATH_MAX];
    uint8_t *data = NULL;
    size_t size = 0;
    if (!file_name(f, url, path) ||
        file_read(path, 2 * COLLATERAL_ITEM_MAX, &data, &size, NULL) != 1)
        return false;
    bool good = parse(url, data, size, answer, stale);
    free(data);
    if (!good)
        answer_free(answer);
    return good;
}

/* The directory and those above it. */
static bool make_directories(const char *path)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len >= sizeof(part))
        return false;
    for (size_t i = 1; i <= len; i++) {
        if (path[i] && path[i] != '/')
            continue;
        memcpy(part, path, i);
        part[i] = 0;
        if (mkdir(part, 0700) && errno != EEXIST)
            return false;
    }
    return true;
}

static bool put(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

void fetch_cache_write(const struct fetcher *f, const char *url, const struct answer *answer,
                       int64_t stale)
{
    char path[PATH_MAX], temp[PATH_MAX + 8], head[HEAD_MAX];
    size_t chain = answer->chain ? strlen(answer->chain) : 0;
    int len = write_head(head, url, stale, chain, answer->size);
    if (len >= HEAD_MAX || !file_name(f, url, path) || !make_directories(f->cache_dir))
        return;
    snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return;
    bool good = put(fd, head, (size_t)len) && put(fd, answer->chain, chain) &&
                put(fd, answer->body, answer->size);
    good = !close(fd) && good;
    if (!good || rename(temp, path))
        unlink(temp);
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/fs/attestation.h"
#include "libos/fs/keys.h"
#include "libos/lib/lock.h"
#include "libos/log.h"
#include "libos/process.h"
#include "manifest/compiled.h"
#include "platform/platform.h"

#define QUOTE_MOST 8192

/* What the next report is made of. Lock: leaf. */
static struct lock said_lock;
static struct {
    uint8_t report_data[PLATFORM_REPORT_DATA];
    uint8_t target[PLATFORM_TARGET];
} said;

/* ---- reports and quotes ---- */

static bool here(const struct pseudo_ref *r)
{
    (void)r;
    return platform_attests();
}

static bool quotes_here(const struct pseudo_ref *r)
{
    return here(r) && run.manifest.image->sgx_attestation == MF_ATTEST_DCAP;
}

static int type_fill(const struct pseudo_ref *r, struct text *t)
{
    text_add(t, "%s", quotes_here(r) ? "dcap" : "none");
    return 0;
}

static int my_target_fill(const struct pseudo_ref *r, struct text *t)
{
    uint8_t target[PLATFORM_TARGET];
    (void)r;
    if (platform_my_target(target))
        return -EACCES;
    text_add_bytes(t, target, sizeof(target));
    return 0;
}

/* Nothing can be read back. */
static int empty_fill(const struct pseudo_ref *r, struct text *t)
{
    (void)r, (void)t;
    return 0;
}

/* Each write replaces all of the value: what is missing is zero, what is too much is cut. */
static ssize store(uint8_t *to, size_t size, const char *buf, size_t n)
{
    lock(&said_lock);
    memset(to, 0, size);
    memcpy(to, buf, MIN(n, size));
    unlock(&said_lock);
    return (ssize)n;
}

static ssize report_data_write(const struct pseudo_ref *r, const char *buf, size_t n)
{
    (void)r;
    return store(said.report_data, sizeof(said.report_data), buf, n);
}

static ssize target_write(const struct pseudo_ref *r, const char *buf, size_t n)
{
    (void)r;
    return store(said.target, sizeof(said.target), buf, n);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= p[i];
    return !any;
}

/* The first report without a target is for nobody; those after it are for ourselves. */
static int report_fill(const struct pseudo_ref *r, struct text *t)
{
    uint8_t report[PLATFORM_REPORT], target[PLATFORM_TARGET], data[PLATFORM_REPORT_DATA];
    (void)r;
    lock(&said_lock);
    memcpy(target, said.target, sizeof(target));
    memcpy(data, said.report_data, sizeof(data));
    int err = all_zero(target, sizeof(target)) ? platform_my_target(said.target) : 0;
    unlock(&said_lock);
    if (!err)
        err = platform_report(target, data, report);
    if (err)
        return -EACCES;
    text_add_bytes(t, report, sizeof(report));
    return 0;
}

static int quote_fill(const struct pseudo_ref *r, struct text *t)
{
    uint8_t data[PLATFORM_REPORT_DATA];
    uint8_t *quote = heap_alloc(QUOTE_MOST);
    (void)r;
    lock(&said_lock);
    memcpy(data, said.report_data, sizeof(data));
    unlock(&said_lock);
    ssize n = quote ? platform_quote(data, quote, QUOTE_MOST) : -ENOMEM;
    if (n > 0)
        text_add_bytes(t, quote, (size_t)n);
    heap_free(quote);
    return n > 0 ? 0 : -EACCES;
}

/* ---- keys ---- */

static const char *name_of_key(long index)
{
    struct fs_key *k = key_at((size_t)index);
    return k ? key_name(k) : NULL;
}

static int key_fill(const struct pseudo_ref *r, struct text *t)
{
    uint8_t value[FS_KEY_SIZE];
    if (key_get(key_at((size_t)r->num[0]), value) == 0) {
        text_add_bytes(t, value, sizeof(value));
        memset(value, 0, sizeof(value));
        __asm__ volatile("" ::"r"(value) : "memory");
    }
    return 0;
}

static ssize key_write(const struct pseudo_ref *r, const char *buf, size_t n)
{
    struct fs_key *k = key_at((size_t)r->num[0]);
    if (n != FS_KEY_SIZE || key_is_sealing(key_name(k)))
        return -EACCES;
    key_set(k, (const uint8_t *)buf);
    return (ssize)n;
}

static const struct pseudo_node keys_dir[] = {
    {.name = "*", .mode = 0100666, .name_at = name_of_key, .fill = key_fill, .write = key_write},
    {.name = NULL}};

const struct pseudo_node attestation_nodes[] = {
    P_DIR("keys", 0555, keys_dir),
    {.name = "attestation_type", .mode = 0100444, .exists = here, .fill = type_fill},
    {.name = "my_target_info", .mode = 0100444, .exists = here, .fill = my_target_fill},
    {.name = "user_report_data",
     .mode = 0100666,
     .exists = here,
     .fill = empty_fill,
     .write = report_data_write},
    {.name = "target_info",
     .mode = 0100666,
     .exists = here,
     .fill = empty_fill,
     .write = target_write},
    {.name = "report", .mode = 0100444, .exists = here, .fill = report_fill},
    {.name = "quote", .mode = 0100444, .exists = quotes_here, .fill = quote_fill},
    {.name = NULL}};

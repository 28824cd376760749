/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Reports, quotes and sealing keys: EREPORT, EGETKEY, and the quoting service by way of the
 * runtime. */
#include "crypto/crypto.h"
#include "host/arena.h"
#include "libos/log.h"
#include "platform/platform.h"
#include "platform/sgx/sgx.h"

#define TRIES          5    /* the service may have lost its key meanwhile */
#define QUOTE_MOST     8192 /* as it pads them */
#define QUOTE_BODY     48   /* of a quote: the report without its MAC, */
#define QUOTE_TAIL_LEN 432  /* the length of what follows, */
#define QUOTE_TAIL     436  /* and that */

static struct sgx_report self; /* set once at start */

static void ereport(const struct sgx_targetinfo *target, const uint8_t data[64],
                    struct sgx_report *report)
{
    __asm__ volatile("enclu"
                     :
                     : "a"(SGX_EREPORT), "b"(target), "c"(data), "d"(report)
                     : "memory", "cc");
}

const struct sgx_report *sgx_self(void)
{
    return &self;
}

void sgx_identity_setup(void)
{
    static const struct sgx_targetinfo nobody;
    static const uint8_t nothing[64] __attribute__((aligned(128)));
    static struct sgx_report report __attribute__((aligned(512)));
    ereport(&nobody, nothing, &report);
    self = report;
}

bool platform_attests(void)
{
    return true;
}

int platform_my_target(uint8_t target[PLATFORM_TARGET])
{
    struct sgx_targetinfo t = {.attributes = self.attributes,
                               .cet_attributes = self.cet_attributes,
                               .config_svn = self.config_svn,
                               .miscselect = self.miscselect};
    memcpy(t.mrenclave, self.mrenclave, sizeof(t.mrenclave));
    memcpy(t.config_id, self.config_id, sizeof(t.config_id));
    memcpy(target, &t, sizeof(t));
    return 0;
}

int platform_report(const uint8_t target[PLATFORM_TARGET], const uint8_t data[PLATFORM_REPORT_DATA],
                    uint8_t report[PLATFORM_REPORT])
{
    struct sgx_targetinfo t;
    uint8_t d[64] __attribute__((aligned(128)));
    struct sgx_report r __attribute__((aligned(512)));
    memcpy(&t, target, sizeof(t));
    memcpy(d, data, sizeof(d));
    ereport(&t, d, &r);
    memcpy(report, &r, sizeof(r));
    return 0;
}

static int egetkey(const struct sgx_keyrequest *request, uint8_t key[16])
{
    uint8_t out[16] __attribute__((aligned(16)));
    uint64_t result = SGX_EGETKEY;
    __asm__ volatile("enclu" : "+a"(result) : "b"(request), "c"(out) : "memory", "cc");
    if (!result)
        memcpy(key, out, sizeof(out));
    memset(out, 0, sizeof(out));
    __asm__ volatile("" ::"r"(out) : "memory");
    return result ? -EACCES : 0;
}

int platform_seal_key(bool by_signer, uint8_t key[16])
{
    const struct mf_image *m = run.manifest.image;
    struct sgx_keyrequest q = {.key_name = SGX_KEY_SEAL,
                               .key_policy =
                                   by_signer ? SGX_KEYPOLICY_MRSIGNER : SGX_KEYPOLICY_MRENCLAVE,
                               .isv_svn = self.isv_svn,
                               .attribute_mask = {m->sgx_seal_flags_mask, m->sgx_seal_xfrm_mask},
                               .miscmask = (uint32_t)m->sgx_seal_misc_mask,
                               .config_svn = self.config_svn};
    memcpy(q.cpu_svn, self.cpu_svn, sizeof(q.cpu_svn));
    return egetkey(&q, key);
}

/* ---- another process of the run ---- */

void sgx_peer_report(const uint8_t data[64], struct sgx_report *report)
{
    struct sgx_targetinfo target;
    platform_my_target((uint8_t *)&target);
    platform_report((uint8_t *)&target, data, (uint8_t *)report);
}

/* All that makes the identity: the same program, configuration, signer, attributes, versions. */
static bool is_like_us(const struct sgx_report *r)
{
    struct sgx_report like = *r;
    memcpy(like.report_data, self.report_data, sizeof(like.report_data));
    return !memcmp(&like, &self, SGX_REPORT_BODY_SIZE);
}

bool sgx_is_peer(const struct sgx_report *report)
{
    struct sgx_keyrequest q = {.key_name = SGX_KEY_REPORT};
    uint8_t key[16], mac[16];
    memcpy(q.key_id, report->key_id, sizeof(q.key_id));
    if (egetkey(&q, key))
        return false;
    aes128_cmac(key, report, SGX_REPORT_BODY_SIZE, mac);
    crypto_wipe(key, sizeof(key));
    return !crypto_differs(mac, report->mac, sizeof(mac)) && is_like_us(report);
}

/* ---- quotes ---- */

/* The runtime's answer: 0, an errno, or the service's own error, which it has explained. */
static long ask_target(struct sgx_targetinfo *target)
{
    ARENA;
    void *out = room(target, sizeof(*target));
    long r = sgx_special(SGX_CALL_QE_TARGET, (int64_t)out, 0, 0);
    if (!r)
        take(target, out, sizeof(*target));
    return r;
}

static long ask_quote(const struct sgx_report *report, uint8_t *quote)
{
    ARENA;
    void *in = give(report, sizeof(*report)), *out = room(quote, QUOTE_MOST);
    long r = sgx_special(SGX_CALL_QUOTE, (int64_t)in, (int64_t)out, 0);
    if (!r)
        take(quote, out, QUOTE_MOST);
    return r;
}

/* The length of what must be a quote of our report; 0: it is none. */
static size_t quote_length(const uint8_t *quote, const struct sgx_report *report)
{
    uint32_t tail;
    memcpy(&tail, quote + QUOTE_TAIL_LEN, sizeof(tail));
    if (memcmp(quote + QUOTE_BODY, report, SGX_REPORT_BODY_SIZE) || !tail ||
        tail > QUOTE_MOST - QUOTE_TAIL)
        return 0;
    return QUOTE_TAIL + tail;
}

ssize platform_quote(const uint8_t data[PLATFORM_REPORT_DATA], void *quote, size_t size)
{
    struct sgx_targetinfo target;
    struct sgx_report report;
    long r = -EIO;
    assert(size >= QUOTE_MOST);
    for (int i = 0; r && i < TRIES; i++) {
        r = ask_target(&target);
        if (!r)
            r = platform_report((uint8_t *)&target, data, (uint8_t *)&report);
        if (!r)
            r = ask_quote(&report, quote);
        if (r && r != SGX_AESM_NO_KEY)
            break;
    }
    size_t len = r ? 0 : quote_length(quote, &report);
    if (len)
        return (ssize)len;
    log_error("no quote: the quoting service %s",
              r ? "did not give one" : "gave one of another report");
    return -EACCES;
}

/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "platform/sgx/channel.h"
#include "crypto/crypto.h"

#define E_IO     (-5)
#define E_ACCES  (-13)
#define E_BADMSG (-74)

static const char label[] = "adyton fork 1";

struct keys {
    uint8_t parent[32], child[32]; /* public */
    uint8_t own[32];               /* the private one */
};

static void bind(const struct keys *k, char role, uint8_t data[64])
{
    struct sha256 hash;
    __builtin_memset(data, 0, 64);
    sha256_init(&hash);
    sha256_update(&hash, label, sizeof(label));
    sha256_update(&hash, &role, 1);
    sha256_update(&hash, k->parent, sizeof(k->parent));
    sha256_update(&hash, k->child, sizeof(k->child));
    sha256_final(&hash, data);
}

static bool send_report(const struct channel_ways *w, const struct keys *k, char role)
{
    struct sgx_report report;
    uint8_t data[64];
    bind(k, role, data);
    w->report(w->arg, data, &report);
    return w->send(w->arg, &report, sizeof(report));
}

static int receive_report(const struct channel_ways *w, const struct keys *k, char role)
{
    struct sgx_report report;
    uint8_t data[64];
    bind(k, role, data);
    if (!w->receive(w->arg, &report, sizeof(report)))
        return E_IO;
    return w->is_peer(w->arg, &report) && !crypto_differs(report.report_data, data, sizeof(data))
               ? 0
               : E_ACCES;
}

static int meet(const struct channel_ways *w, struct keys *k, bool parent)
{
    static const uint8_t base[32] = {9};
    uint8_t *mine = parent ? k->parent : k->child;
    if (!w->random(w->arg, k->own, sizeof(k->own)) || x25519(mine, k->own, base))
        return E_IO;
    if (!parent)
        return w->send(w->arg, k->child, sizeof(k->child)) &&
                       w->receive(w->arg, k->parent, sizeof(k->parent))
                   ? 0
                   : E_IO;
    return w->receive(w->arg, k->child, sizeof(k->child)) &&
                   w->send(w->arg, k->parent, sizeof(k->parent))
               ? 0
               : E_IO;
}

static int attest(const struct channel_ways *w, const struct keys *k, bool parent)
{
    if (parent)
        return send_report(w, k, 'P') ? receive_report(w, k, 'C') : E_IO;
    int err = receive_report(w, k, 'P');
    return err ? err : send_report(w, k, 'C') ? 0 : E_IO;
}

static int derive(struct channel *c, const struct keys *k, bool parent)
{
    static const char down[] = "adyton fork 1 to the child", up[] = "adyton fork 1 to the parent";
    uint8_t secret[32], salt[32];
    struct sha256 hash;
    if (x25519(secret, k->own, parent ? k->child : k->parent))
        return E_ACCES;
    sha256_init(&hash);
    sha256_update(&hash, k->parent, sizeof(k->parent));
    sha256_update(&hash, k->child, sizeof(k->child));
    sha256_final(&hash, salt);
    hkdf_sha256(salt, sizeof(salt), secret, sizeof(secret), down, sizeof(down),
                parent ? c->send_key : c->receive_key, 16);
    hkdf_sha256(salt, sizeof(salt), secret, sizeof(secret), up, sizeof(up),
                parent ? c->receive_key : c->send_key, 16);
    crypto_wipe(secret, sizeof(secret));
    return 0;
}

int channel_open(struct channel *c, bool parent, const struct channel_ways *ways)
{
    struct keys k;
    *c = (struct channel){.ways = ways};
    int err = meet(ways, &k, parent);
    if (!err)
        err = attest(ways, &k, parent);
    if (!err)
        err = derive(c, &k, parent);
    crypto_wipe(&k, sizeof(k));
    c->open = !err;
    return err;
}

void channel_close(struct channel *c)
{
    crypto_wipe(c, sizeof(*c));
}

static void number(uint64_t n, uint8_t iv[GCM_IV_SIZE])
{
    __builtin_memset(iv, 0, GCM_IV_SIZE);
    __builtin_memcpy(iv, &n, sizeof(n));
}

static int broken(struct channel *c, int err)
{
    channel_close(c);
    return err;
}

int channel_send(struct channel *c, struct channel_buffer *b, uint32_t type, uint64_t at,
                 const void *content, uint32_t len)
{
    uint8_t iv[GCM_IV_SIZE];
    if (!c->open || len > CHANNEL_MOST)
        return broken(c, E_IO);
    b->head = (struct channel_head){.type = type, .len = len, .at = at};
    number(c->sent++, iv);
    aes128_gcm_encrypt(c->send_key, iv, &b->head, sizeof(b->head), content, len, b->content,
                       b->content + len);
    if (!c->ways->send(c->ways->arg, b, sizeof(b->head) + len + GCM_TAG_SIZE))
        return broken(c, E_IO);
    return 0;
}

int channel_head(struct channel *c, struct channel_head *head)
{
    if (!c->open || !c->ways->receive(c->ways->arg, head, sizeof(*head)))
        return broken(c, E_IO);
    return head->len <= CHANNEL_MOST ? 0 : broken(c, E_BADMSG);
}

int channel_content(struct channel *c, const struct channel_head *head, void *to)
{
    uint8_t iv[GCM_IV_SIZE], tag[GCM_TAG_SIZE];
    if (!c->open || (head->len && !c->ways->receive(c->ways->arg, to, head->len)) ||
        !c->ways->receive(c->ways->arg, tag, sizeof(tag)))
        return broken(c, E_IO);
    number(c->received++, iv);
    if (aes128_gcm_decrypt(c->receive_key, iv, head, sizeof(*head), to, head->len, to, tag))
        return broken(c, E_BADMSG);
    return 0;
}

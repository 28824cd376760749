/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * What the key server reads of others: policies, lines of audit logs, heads, and what clients send,
 * in pieces. Byte 0 of the input chooses; then follow edits of 4 bytes each to a good text: kind,
 * offset in 256ths of the length (2), value. A line that was altered must not follow, an altered
 * head must not be accepted.
 *
 * With clang a libFuzzer target; otherwise a program that makes its own inputs for N seconds.
 */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keyserver/audit_sign.h"
#include "keyserver/frames.h"
#include "keyserver/policy.h"

#define ROOM 16384

static const char policy[] =
    "[server]\nlisten = \"[::]:4433\"\ncertificate = \"c\"\nkey = \"k\"\ncollateral = "
    "\"d\"\nthreads = 2\n"
    "max_connections = 100\n[audit]\nlog = \"a\"\nkey = \"b\"\nsync = true\n[vault]\nurl = "
    "\"https://v\"\n"
    "token_file = \"t\"\n[pkcs11]\nmodule = \"m\"\npin_file = \"p\"\n[[secret]]\nname = "
    "\"a\"\nsource = "
    "\"file:s\"\nmrenclave = \"1111111111111111111111111111111111111111111111111111111111111111\"\n"
    "expires = 2030-01-01\nrate = \"7/hour\"\ntcb_statuses = [\"UpToDate\"]\nadvisories = "
    "[]\n[[secret]]\n"
    "name = \"b\"\nsource = \"vault:x/y#z\"\nencoding = \"hex\"\n[[secret.allow]]\nmrsigner = "
    "\"2222222222222222222222222222222222222222222222222222222222222222\"\nisv_prod_id = 1\n"
    "min_isv_svn = 2\n[[secret.allow]]\nmrenclave = "
    "\"3333333333333333333333333333333333333333333333333333333333333333\"\n[[secret]]\nname = "
    "\"c\"\n"
    "source = \"pkcs11:token=t;object=o\"\nfmspc = [\"00606a000000\"]\nmrenclave = "
    "\"1111111111111111111111111111111111111111111111111111111111111111\"\n";

static char first[2048], second[2048], head[1024];
static unsigned long accepted;

static void make_line(char out[2048], const struct ks_chain *chain, const char *members)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    char hash[65];
    int len =
        snprintf(out, 2048, "{\"seq\":%llu,\"prev\":\"%s\",%s",
                 (unsigned long long)chain->count + 1, chain->count ? chain->hash : zeros, members);
    ks_hash_text(out, (size_t)len, hash);
    snprintf(out + len, 2048 - (size_t)len, ",\"hash\":\"%s\"}", hash);
}

static void hex(char *out, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sprintf(out + 2 * i, "%02x", data[i]);
}

static void make_head(EVP_PKEY *key, const struct ks_chain *chain)
{
    struct ks_head h = {.seq = chain->count, .time = "2026-12-01T00:00:00.000Z"};
    char message[256], public[65], signature[129];
    size_t len = 64;
    memcpy(h.log, chain->log, 33);
    memcpy(h.hash, chain->hash, 65);
    size_t size = ks_head_message(&h, message, sizeof(message));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(ctx, h.signature, &len, (const uint8_t *)message, size) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
    hex(public, chain->public_key, 32);
    hex(signature, h.signature, 64);
    snprintf(head, sizeof(head),
             "{\"log\":\"%s\",\"seq\":%llu,\"hash\":\"%s\",\"time\":\"%s\",\"public_key\":\"%s\","
             "\"signature\":\"%s\"}",
             h.log, (unsigned long long)h.seq, h.hash, h.time, public, signature);
}

static struct ks_chain begun;

static void prepare(void)
{
    struct ks_audit_error error;
    char text[512], public[65];
    uint8_t raw[32];
    size_t len = 32;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (!key || EVP_PKEY_get_raw_public_key(key, raw, &len) != 1)
        abort();
    hex(public, raw, 32);
    snprintf(
        text, sizeof(text),
        "\"event\":\"begin\",\"log\":\"00112233445566778899aabbccddeeff\",\"public_key\":\"%s\"",
        public);
    make_line(first, &begun, text);
    if (!ks_chain_line(&begun, first, strlen(first), &error))
        abort();
    make_line(second, &begun, "\"event\":\"release\",\"secret\":\"model\",\"isv_svn\":3");
    make_head(key, &begun);
    EVP_PKEY_free(key);
}

/* The good text with the edits of the input. */
static char *edit(const char *good, size_t len, size_t *size, const uint8_t *data, size_t count)
{
    char *text = malloc(ROOM);
    memcpy(text, good, len);
    for (; count >= 4; data += 4, count -= 4) {
        size_t at = len ? (size_t)(data[1] | data[2] << 8) % len : 0;
        switch (data[0] % 5) {
        case 0:
            text[at] = (char)data[3];
            break;
        case 1: /* out */
            memmove(text + at, text + at + 1, len - at - (len > 0));
            len -= len > 0;
            break;
        case 2: /* in */
            if (len + 1 < ROOM) {
                memmove(text + at + 1, text + at, len - at);
                text[at] = (char)data[3];
                len++;
            }
            break;
        case 3: /* a part twice */
            if (len + data[3] < ROOM && at + data[3] <= len) {
                memmove(text + at + data[3], text + at, len - at);
                len += data[3];
            }
            break;
        default:
            len = at; /* cut */
        }
    }
    char *exact = malloc(len + !len); /* so that a step behind it is seen */
    memcpy(exact, text, len);
    free(text);
    *size = len;
    return exact;
}

static void run_policy(const char *text, size_t size)
{
    struct diag d = {.file = "policy"};
    struct ks_policy *p = ks_policy_parse(text, size, "/dir", &d);
    if (!p != !!d.error_count)
        abort();
    for (size_t i = 0; p && i < p->count; i++)
        if (!p->secrets[i].name || !p->secrets[i].source.path || !p->secrets[i].alternative_count)
            abort();
    accepted += !!p;
    ks_policy_release(p);
    diag_free(&d);
}

static void run_line(const char *good, const char *text, size_t size)
{
    struct ks_audit_error error;
    struct ks_chain chain = good == second ? begun : (struct ks_chain){0};
    bool same = size == strlen(good) && !memcmp(text, good, size);
    if (ks_chain_line(&chain, text, size, &error) != same)
        abort();
    accepted += same;
}

static void run_head(const char *text, size_t size)
{
    struct ks_audit_error error;
    struct ks_head h;
    /* JSON has more than one form of the same; what it says must be what was signed. */
    if (!ks_head_parse(&h, text, size, &error))
        return;
    if (h.seq != begun.count || strcmp(h.hash, begun.hash) != 0 || strcmp(h.log, begun.log) != 0 ||
        memcmp(h.public_key, begun.public_key, 32) != 0)
        abort();
    accepted++;
}

/* A session of a client: its bytes arrive up to `step` at a time, as the server takes them. */
static void run_frames(const uint8_t *text, size_t size, size_t step)
{
    uint8_t in[KS_WORD_MAX], head[KS_RESPONSE_SIZE];
    size_t have = 0, at = 0;
    bool asked = false;
    for (;;) {
        struct ks_word word;
        ssize_t n = asked ? ks_frame_word(in, have, &word) : ks_frame_request(in, have);
        if (n < 0)
            return;
        if (n && asked) {
            if (n > (ssize_t)have || in[n - 1] || memchr(in, 0, (size_t)n) != in + n - 1 ||
                (word.kind == KS_WORD_GET && strlen(word.name) != word.length))
                abort();
            have -= (size_t)n;
            memmove(in, in + n, have);
            accepted++;
        } else if (n) {
            if (memcmp(in, SECRET_PROVISION_REQUEST, KS_REQUEST_SIZE) != 0)
                abort();
            asked = true;
            have = 0;
        } else {
            size_t room = (asked ? sizeof(in) : KS_REQUEST_SIZE) - have;
            size_t part = size - at < step ? size - at : step;
            part = part < room ? part : room;
            if (!room)
                abort(); /* it would wait for ever */
            if (!part)
                break;
            memcpy(in + have, text + at, part);
            have += part;
            at += part;
        }
    }
    ks_frame_response(head, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready)
        prepare();
    ready = true;
    if (!size)
        return 0;
    static const char session[] =
        SECRET_PROVISION_REQUEST "\0MORE\0GET model\0MORE\0GET a-name.of_x\0";
    const char *const bases[] = {policy, first, second, head, session};
    const char *good = bases[data[0] % 5];
    size_t len;
    char *text =
        edit(good, good == session ? sizeof(session) - 1 : strlen(good), &len, data + 1, size - 1);
    if (good == session)
        run_frames((const uint8_t *)text, len, 1 + data[0] / 5);
    else if (good == policy)
        run_policy(text, len);
    else if (good == head)
        run_head(text, len);
    else
        run_line(good, text, len);
    free(text);
    return 0;
}

#ifdef FUZZ_STANDALONE
int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 3);
    uint64_t state = (uint64_t)time(NULL) * 0x9e3779b97f4a7c15ull | 1;
    unsigned long runs = 0;
    for (; time(NULL) < end; runs++) {
        uint8_t input[1 + 4 * 12];
        for (size_t i = 0; i < sizeof(input); i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            input[i] = (uint8_t)(state >> 32);
        }
        LLVMFuzzerTestOneInput(input, 1 + (size_t)(state >> 40) % 13 * 4);
    }
    printf("%lu inputs, %lu accepted\n", runs, accepted);
    return !accepted;
}
#endif

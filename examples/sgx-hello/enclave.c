/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The enclave: a handful of commands. Freestanding; only general registers are used. */
#include "hello.h"
#include "crypto/crypto.h"

uint64_t enclu(uint32_t leaf, uint64_t rbx, uint64_t rcx, uint64_t rdx);
uint64_t probe(uint64_t address);
uint64_t illegal(void);
extern char enclave_entry[]; /* at offset 0: the enclave's base */
uint64_t enclave_main(uint64_t command, void *argument);

struct rela {
    uint64_t offset, info, addend;
};
extern const struct rela relocations[], relocations_end[];

static volatile uint64_t counter;
static volatile uint32_t relocated;

void *memcpy(void *to, const void *from, size_t n)
{
    void *d = to;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
    return to;
}

void *memset(void *p, int c, size_t n)
{
    void *d = p;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return p;
}

/* The image is measured for base 0; pointers in its data are corrected once. */
static void relocate(void)
{
    const uint64_t base = (uint64_t)enclave_entry;
    if (__sync_lock_test_and_set(&relocated, 1))
        return;
    for (const struct rela *r = relocations; r < relocations_end; r++) {
        if ((uint32_t)r->info == 8) /* R_X86_64_RELATIVE */
            *(uint64_t *)(base + r->offset) = base + r->addend;
    }
}

static uint64_t grow(uint64_t pages)
{
    struct sgx_secinfo secinfo = {.flags = SGX_SECINFO_PT(SGX_PT_REG) | SGX_SECINFO_R |
                                           SGX_SECINFO_W | SGX_SECINFO_PENDING};
    const uint64_t base = (uint64_t)enclave_entry;
    uint64_t done = 0;
    for (uint64_t at = HEAP; at < HEAP_END && done < pages; at += SGX_PAGE_SIZE, done++) {
        volatile uint64_t *page = (uint64_t *)(base + at);
        if (enclu(SGX_EACCEPT, (uint64_t)&secinfo, base + at, 0) || *page != 0)
            return done;
        *page = at;
        if (*page != at)
            return done;
    }
    return done;
}

static uint64_t accept(const struct accept *outside)
{
    struct accept a = *outside;
    struct sgx_secinfo secinfo = {.flags = a.flags};
    const uint64_t base = (uint64_t)enclave_entry;
    if (a.offset < HEAP || a.offset >= HEAP_END || a.pages > (HEAP_END - a.offset) / SGX_PAGE_SIZE)
        return UINT64_MAX;
    for (uint64_t i = 0; i < a.pages; i++) {
        uint64_t code =
            enclu(SGX_EACCEPT, (uint64_t)&secinfo, base + a.offset + i * SGX_PAGE_SIZE, 0);
        if (code)
            return code;
    }
    return 0;
}

static uint64_t make_target(struct sgx_targetinfo *out)
{
    struct sgx_targetinfo none = {0};
    uint8_t data[64] __attribute__((aligned(128))) = {0};
    struct sgx_report report __attribute__((aligned(512)));
    struct sgx_targetinfo self = {0};
    enclu(SGX_EREPORT, (uint64_t)&none, (uint64_t)data, (uint64_t)&report);
    memcpy(self.mrenclave, report.mrenclave, 32);
    self.attributes = report.attributes;
    self.miscselect = report.miscselect;
    memcpy(out, &self, sizeof(self));
    return 0;
}

static uint64_t make_report(struct exchange *x)
{
    struct sgx_targetinfo target;
    uint8_t data[64] __attribute__((aligned(128)));
    struct sgx_report report __attribute__((aligned(512)));
    memcpy(&target, &x->target, sizeof(target));
    memcpy(data, x->data, sizeof(data));
    enclu(SGX_EREPORT, (uint64_t)&target, (uint64_t)data, (uint64_t)&report);
    memcpy(&x->report, &report, sizeof(report));
    return 0;
}

static uint64_t verify(const struct exchange *x)
{
    struct sgx_report report;
    struct sgx_keyrequest request = {.key_name = SGX_KEY_REPORT};
    uint8_t key[16] __attribute__((aligned(16))), mac[16];
    memcpy(&report, &x->report, sizeof(report));
    memcpy(request.key_id, report.key_id, sizeof(request.key_id));
    uint64_t code = enclu(SGX_EGETKEY, (uint64_t)&request, (uint64_t)key, 0);
    if (code)
        return code;
    aes128_cmac(key, &report, SGX_REPORT_BODY_SIZE, mac);
    crypto_wipe(key, sizeof(key));
    return crypto_differs(mac, report.mac, sizeof(mac)) ? 1000 : 0;
}

static uint64_t seal_key(uint8_t key[16])
{
    struct sgx_keyrequest request = {
        .key_name = SGX_KEY_SEAL,
        .key_policy = SGX_KEYPOLICY_MRENCLAVE,
        .attribute_mask = {.flags = SGX_FLAG_INIT | SGX_FLAG_DEBUG, .xfrm = 0},
    };
    uint8_t out[16] __attribute__((aligned(16)));
    uint64_t code = enclu(SGX_EGETKEY, (uint64_t)&request, (uint64_t)out, 0);
    memcpy(key, out, 16);
    return code;
}

static uint64_t seal(struct sealed *s)
{
    struct sealed inside;
    uint8_t key[16];
    memcpy(&inside, s, sizeof(inside));
    uint64_t code = seal_key(key);
    if (code == 0)
        aes128_gcm_encrypt(key, inside.iv, NULL, 0, inside.text, sizeof(inside.text), inside.text,
                           inside.tag);
    crypto_wipe(key, sizeof(key));
    memcpy(s, &inside, sizeof(inside));
    return code;
}

static uint64_t unseal(struct sealed *s)
{
    struct sealed inside;
    uint8_t key[16];
    memcpy(&inside, s, sizeof(inside));
    uint64_t code = seal_key(key);
    if (code == 0 && aes128_gcm_decrypt(key, inside.iv, NULL, 0, inside.text, sizeof(inside.text),
                                        inside.text, inside.tag))
        code = 1000;
    crypto_wipe(key, sizeof(key));
    if (code == 0)
        memcpy(s, &inside, sizeof(inside));
    return code;
}

static uint64_t count(uint64_t times)
{
    for (uint64_t i = 0; i < times; i++)
        __sync_fetch_and_add(&counter, 1);
    return counter;
}

static uint64_t leaves(const struct leaves *outside)
{
    struct leaves l = *outside;
    struct sgx_targetinfo target = {0};
    struct sgx_keyrequest request = {.key_name = SGX_KEY_SEAL};
    uint8_t data[64] __attribute__((aligned(128))) = {0};
    struct sgx_report out __attribute__((aligned(512)));
    for (uint64_t i = 0; i < l.times; i++) {
        uint64_t r = l.leaf == SGX_EREPORT
                         ? enclu(SGX_EREPORT, (uint64_t)&target, (uint64_t)data, (uint64_t)&out)
                         : enclu(SGX_EGETKEY, (uint64_t)&request, (uint64_t)&out, 0);
        if (r)
            return r;
    }
    crypto_wipe(&out, sizeof(out));
    return 0;
}

uint64_t enclave_main(uint64_t command, void *argument)
{
    relocate();
    switch (command) {
    case CMD_HELLO:
        memcpy(argument, "hello from the enclave", 23);
        return 0;
    case CMD_PROBE:
        return probe(*(uint64_t *)argument);
    case CMD_SPIN:
        while (*(volatile uint32_t *)argument == 0)
            __builtin_ia32_pause();
        return 0;
    case CMD_GROW:
        return grow(*(uint64_t *)argument);
    case CMD_COUNT:
        return count(*(uint64_t *)argument);
    case CMD_TARGET:
        return make_target(argument);
    case CMD_REPORT:
        return make_report(argument);
    case CMD_VERIFY:
        return verify(argument);
    case CMD_SEAL:
        return seal(argument);
    case CMD_UNSEAL:
        return unseal(argument);
    case CMD_SYSCALL:
        return illegal();
    case CMD_ACCEPT:
        return accept(argument);
    case CMD_NOTHING:
        return 0;
    case CMD_LEAVES:
        return leaves(argument);
    case CMD_ENCLU: {
        const uint64_t *r = argument;
        return enclu((uint32_t)r[0], r[1], r[2], r[3]);
    }
    case CMD_COMPUTE:
        return compute(*(uint64_t *)argument);
    default:
        return UINT64_MAX;
    }
}

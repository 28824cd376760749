/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The outsider's loader. See outsider.h. */
#define _GNU_SOURCE
#include "outsider.h"
#include <asm/sgx.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define REG_RW  0x203
#define REG_RX  0x205
#define REG_RWX 0x207
#define PT_TCS  0x100

int outsider_failures;
void (*outsider_handler)(int, siginfo_t *, void *);
void without_ac(int sig, siginfo_t *info, void *context);

void report(int fine, const char *what, ...)
{
    va_list args;
    va_start(args, what);
    vprintf(what, args);
    va_end(args);
    printf(": %s\n", fine ? "fine" : "WRONG");
    fflush(stdout);
    outsider_failures += !fine;
}

void outsider_handle(void (*handler)(int, siginfo_t *, void *))
{
    static const int signals[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGTRAP};
    struct sigaction a = {.sa_sigaction = without_ac, .sa_flags = SA_SIGINFO | SA_NODEFER};
    outsider_handler = handler;
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &a, NULL);
}

struct regs outsider_call(const struct outsider *e, unsigned tcs, const char *what, uint64_t rsi,
                          uint64_t rdx)
{
    struct regs r = {
        .rbx = e->base + TCS(tcs), .rax = 2, .rdi = OFFSET(what), .rsi = rsi, .rdx = rdx};
    enter(&r);
    return r;
}

/* ------------------------------------------------------------ measurement and signature */

static void measure(EVP_MD_CTX *m, const char *tag, uint64_t offset, uint64_t flags)
{
    unsigned char block[64] = {0};
    memcpy(block, tag, strlen(tag));
    memcpy(block + 8, &offset, 8);
    memcpy(block + 16, &flags, 8);
    EVP_DigestUpdate(m, block, sizeof(block));
}

static void measure_page(EVP_MD_CTX *m, uint64_t offset, uint64_t flags, const uint8_t *page,
                         int content)
{
    measure(m, "EADD", offset, flags);
    for (unsigned at = 0; content && at < PAGE; at += 256) {
        measure(m, "EEXTEND", offset + at, 0);
        EVP_DigestUpdate(m, page + at, 256);
    }
}

static EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = NULL;
    BIGNUM *three = BN_new();
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
    BN_set_word(three, 3);
    EVP_PKEY_keygen_init(c);
    EVP_PKEY_CTX_set_rsa_keygen_bits(c, 3072);
    EVP_PKEY_CTX_set1_rsa_keygen_pubexp(c, three);
    EVP_PKEY_keygen(c, &key);
    EVP_PKEY_CTX_free(c);
    BN_free(three);
    return key;
}

static void sign(uint8_t *s, const uint8_t *mrenclave, uint32_t miscselect)
{
    static const uint8_t header[] = {6, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
    static const uint8_t header2[] = {1, 1, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 1, 0, 0, 0};
    static EVP_PKEY *key;
    const uint64_t flags = 4, xfrm = 3;
    uint8_t message[256], signature[384];
    size_t n = sizeof(signature);
    key = key ? key : make_key();
    memcpy(s, header, 16);
    memcpy(s + 20, "\x01\x12\x26\x20", 4);
    memcpy(s + 24, header2, 16);
    memcpy(s + 900, &miscselect, 4);
    memset(s + 904, 0xff, 4);
    memcpy(s + 928, &flags, 8);
    memcpy(s + 936, &xfrm, 8);
    memset(s + 944, 0xff, 16);
    s[944] = 0xfc; /* neither INIT nor DEBUG */
    memcpy(s + 960, mrenclave, 32);
    memcpy(message, s, 128);
    memcpy(message + 128, s + 900, 128);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, key);
    EVP_DigestSign(c, signature, &n, message, sizeof(message));
    EVP_MD_CTX_free(c);
    BN_CTX *x = BN_CTX_new();
    BIGNUM *modulus = NULL, *sig = BN_bin2bn(signature, 384, NULL), *q = BN_new(), *r = BN_new(),
           *t = BN_new();
    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus);
    BN_bn2lebinpad(modulus, s + 128, 384);
    s[512] = 3;
    BN_bn2lebinpad(sig, s + 516, 384);
    BN_sqr(t, sig, x);
    BN_div(q, r, t, modulus, x);
    BN_bn2lebinpad(q, s + 1040, 384);
    BN_mul(t, r, sig, x);
    BN_div(q, NULL, t, modulus, x);
    BN_bn2lebinpad(q, s + 1424, 384);
    BN_free(modulus), BN_free(sig), BN_free(q), BN_free(r), BN_free(t);
    BN_CTX_free(x);
}

/* ------------------------------------------------------------ loading */

/* Page by page. */
static int add(const struct outsider *e, EVP_MD_CTX *m, uint64_t offset, const uint8_t *from,
               uint64_t pages, uint64_t flags, int content)
{
    static uint64_t secinfo[8] __attribute__((aligned(64)));
    secinfo[0] = flags;
    for (uint64_t i = 0; i < pages; i++) {
        struct sgx_enclave_add_pages a = {.src = (uint64_t)from + i * PAGE,
                                          .offset = offset + i * PAGE,
                                          .length = PAGE,
                                          .secinfo = (uint64_t)secinfo,
                                          .flags = content};
        measure_page(m, offset + i * PAGE, flags, from + i * PAGE, content);
        if (ioctl(e->fd, SGX_IOC_ENCLAVE_ADD_PAGES, &a) || a.count != PAGE)
            return -errno;
    }
    return 0;
}

static int add_threads(const struct outsider *e, EVP_MD_CTX *m, uint8_t *room)
{
    int r = 0;
    for (unsigned i = 0; i < 3 && r == 0; i++) {
        const uint64_t ossa = SSA(i);
        const uint32_t frames = FRAMES, limit = 0xfff;
        memset(room, 0, PAGE);
        memcpy(room + 16, &ossa, 8);
        memcpy(room + 28, &frames, 4);
        memcpy(room + 64, &limit, 4);
        memcpy(room + 68, &limit, 4);
        r = add(e, m, TCS(i), room, 1, PT_TCS, 1);
        memset(room, 0, PAGE);
        for (unsigned p = 0; p < FRAMES * SSA_PAGES && r == 0; p++)
            r = add(e, m, SSA(i) + p * PAGE, room, 1, REG_RW, i > 0);
    }
    return r;
}

static int create(struct outsider *e, EVP_MD_CTX *m, uint8_t *room, uint32_t miscselect)
{
    const uint64_t size = ENCLAVE_SIZE, flags = 4, xfrm = 3;
    const uint32_t ssa_pages = SSA_PAGES;
    uint8_t block[64] = "ECREATE";
    struct sgx_enclave_create c = {(uint64_t)room};
    memset(room, 0, PAGE);
    memcpy(room, &size, 8);
    memcpy(room + 8, &e->base, 8);
    memcpy(room + 16, &ssa_pages, 4);
    memcpy(room + 20, &miscselect, 4);
    memcpy(room + 48, &flags, 8);
    memcpy(room + 56, &xfrm, 8);
    memcpy(block + 8, &ssa_pages, 4);
    memcpy(block + 12, &size, 8);
    EVP_DigestUpdate(m, block, sizeof(block));
    return ioctl(e->fd, SGX_IOC_ENCLAVE_CREATE, &c) ? -errno : 0;
}

static int map_all(const struct outsider *e, uint64_t code)
{
    const struct {
        uint64_t at, length;
        int prot;
    } parts[] = {{0, code, PROT_READ | PROT_EXEC},
                 {TCS(0), 3 * PAGE, PROT_READ | PROT_WRITE},
                 {SSA(0), 0x30000, PROT_READ | PROT_WRITE},
                 {DATA, PAGE, PROT_READ | PROT_WRITE},
                 {SCRATCH, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC},
                 {0x60000, 0x10000, PROT_READ | PROT_WRITE}};
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (mmap((void *)(e->base + parts[i].at), parts[i].length, parts[i].prot,
                 MAP_SHARED | MAP_FIXED, e->fd, 0) == MAP_FAILED)
            return -errno;
    }
    return 0;
}

int outsider_load(struct outsider *e, uint32_t miscselect)
{
    static uint8_t room[PAGE] __attribute__((aligned(4096)));
    static uint8_t sigstruct[PAGE];
    const uint64_t code = (uint64_t)(enclave_end - enclave_begin);
    struct sgx_enclave_init init = {(uint64_t)sigstruct};
    uint8_t mrenclave[32];
    EVP_MD_CTX *m = EVP_MD_CTX_new();
    void *at = mmap(NULL, 2 * ENCLAVE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    e->fd = open("/dev/sgx_enclave", O_RDWR | O_CLOEXEC);
    e->base = ((uint64_t)at + ENCLAVE_SIZE - 1) & ~(ENCLAVE_SIZE - 1);
    if (e->fd < 0 || at == MAP_FAILED)
        return -errno;
    EVP_DigestInit(m, EVP_sha256());
    int r = create(e, m, room, miscselect);
    r = r ? r : add(e, m, 0, (uint8_t *)enclave_begin, code / PAGE, REG_RX, 1);
    r = r ? r : add_threads(e, m, room);
    r = r ? r : add(e, m, DATA, room, 1, REG_RW, 0);
    r = r ? r : add(e, m, SCRATCH, room, 1, REG_RWX, 1);
    EVP_DigestFinal(m, mrenclave, NULL);
    EVP_MD_CTX_free(m);
    sign(sigstruct, mrenclave, miscselect);
    if (r == 0 && ioctl(e->fd, SGX_IOC_ENCLAVE_INIT, &init))
        r = -errno;
    return r ? r : map_all(e, code);
}

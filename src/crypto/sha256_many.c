/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* SHA-256 of many messages of one length: side by side where the CPU has a kernel for that. */
#include "crypto.h"
#include "kernels.h"

/* From this many messages on, sixteen lanes beat SHA-NI one after the other, some lanes idle. */
#define LANES_WORTH 8

static void finish(const uint32_t state[8], const uint8_t *message, size_t len, uint8_t *digest)
{
    struct sha256 ctx = {.length = len & ~(size_t)63};

    memcpy(ctx.state, state, sizeof(ctx.state));
    sha256_update(&ctx, message + ctx.length, len % 64);
    sha256_final(&ctx, digest);
}

static void hash_lanes(const void *const data[], size_t len, size_t n, uint8_t digests[][32])
{
    const uint8_t *p[SHA256_LANES];
    uint32_t lanes[8][SHA256_LANES], state[8];
    struct sha256 start;

    sha256_init(&start);
    for (size_t i = 0; i < SHA256_LANES; i++) {
        p[i] = data[i < n ? i : 0];
        for (int j = 0; j < 8; j++)
            lanes[j][i] = start.state[j];
    }
    sha256_lanes(lanes, p, len / 64);
    for (size_t i = 0; i < n; i++) {
        for (int j = 0; j < 8; j++)
            state[j] = lanes[j][i];
        finish(state, p[i], len, digests[i]);
    }
}

void sha256_many(const void *const data[], size_t len, size_t n, uint8_t digests[][SHA256_SIZE])
{
    while (sha256_lanes && n >= LANES_WORTH) {
        size_t part = n < SHA256_LANES ? n : SHA256_LANES;
        hash_lanes(data, len, part, digests);
        data += part;
        digests += part;
        n -= part;
    }
    for (; n; n--)
        sha256(*data++, len, *digests++);
}

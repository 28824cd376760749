/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "keyserver/frames.h"

#include <string.h>

int ks_frame_request(const uint8_t *in, size_t size)
{
    size_t known = size < KS_REQUEST_SIZE ? size : KS_REQUEST_SIZE;
    if (memcmp(in, SECRET_PROVISION_REQUEST, known) != 0)
        return -1;
    return size >= KS_REQUEST_SIZE;
}

ssize_t ks_frame_word(const uint8_t *in, size_t size, struct ks_word *word)
{
    const uint8_t *end = memchr(in, 0, size < KS_WORD_MAX ? size : KS_WORD_MAX);
    if (!end)
        return size < KS_WORD_MAX ? 0 : -1;
    size_t len = (size_t)(end - in);
    *word = (struct ks_word){.kind = KS_WORD_OTHER};
    if (len == 4 && !memcmp(in, "MORE", 4)) {
        word->kind = KS_WORD_MORE;
    } else if (len >= 4 && !memcmp(in, "GET ", 4)) {
        word->kind = KS_WORD_GET;
        word->name = (const char *)in + 4;
        word->length = len - 4;
    }
    return (ssize_t)len + 1;
}

void ks_frame_response(uint8_t *out, size_t size)
{
    memcpy(out, SECRET_PROVISION_RESPONSE, sizeof(SECRET_PROVISION_RESPONSE));
    for (unsigned i = 0; i < 4; i++)
        out[sizeof(SECRET_PROVISION_RESPONSE) + i] = (uint8_t)(size >> (24 - 8 * i));
}

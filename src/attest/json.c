/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "attest/json.h"

#include <stdlib.h>

struct scan {
    const char *at, *end;
};

static void skip_space(struct scan *s)
{
    while (s->at < s->end && is_space(*s->at))
        s->at++;
}

static bool skip_char(struct scan *s, char c)
{
    skip_space(s);
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

/* A string; its inner bytes, escapes and all. */
static bool skip_string(struct scan *s, struct adyton_bytes *inner)
{
    if (!skip_char(s, '"'))
        return false;
    const char *start = s->at;
    while (s->at < s->end && *s->at != '"') {
        if ((unsigned char)*s->at < 0x20)
            return false;
        s->at += *s->at == '\\' && s->end - s->at > 1 ? 2 : 1;
    }
    if (s->at >= s->end)
        return false;
    *inner = (struct adyton_bytes){(const uint8_t *)start, (size_t)(s->at - start)};
    s->at++;
    return true;
}

/* Any value: brackets that match, strings that end. More is jansson's to see. */
static bool skip_value(struct scan *s)
{
    char open[JSON_NEST_MAX];
    unsigned depth = 0;
    struct adyton_bytes inner;
    skip_space(s);
    do {
        if (s->at == s->end)
            return false;
        char c = *s->at;
        if (c == '"') {
            if (!skip_string(s, &inner))
                return false;
        } else if (c == '{' || c == '[') {
            if (depth == JSON_NEST_MAX)
                return false;
            open[depth++] = c;
            s->at++;
        } else if (c == '}' || c == ']') {
            if (!depth || open[--depth] != (c == '}' ? '{' : '['))
                return false;
            s->at++;
        } else if (!depth) {
            /* A number or word: up to what can follow a value. */
            const char *start = s->at;
            while (s->at < s->end && !strchr(",}] \t\r\n\"{[:", *s->at))
                s->at++;
            return s->at > start;
        } else {
            s->at++;
        }
    } while (depth);
    return true;
}

bool hex_decode(const char *text, size_t len, uint8_t *out, size_t size)
{
    if (len != 2 * size)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | digit : digit << 4);
    }
    return true;
}

bool json_split(const void *text, size_t size, const char *name, struct signed_json *parts)
{
    struct scan s = {text, (const char *)text + size};
    bool have_object = false, have_signature = false;
    struct adyton_bytes key, hex;
    if (!skip_char(&s, '{'))
        return false;
    do {
        if (!skip_string(&s, &key) || !skip_char(&s, ':'))
            return false;
        skip_space(&s);
        const char *start = s.at;
        if (bytes_equal(key, "signature", 9)) {
            if (have_signature || !skip_string(&s, &hex) ||
                !hex_decode((const char *)hex.data, hex.size, parts->signature, 64))
                return false;
            have_signature = true;
            continue;
        }
        if (!skip_value(&s))
            return false;
        if (bytes_equal(key, name, strlen(name))) {
            if (have_object || *start != '{')
                return false;
            have_object = true;
            parts->object = (struct adyton_bytes){(const uint8_t *)start, (size_t)(s.at - start)};
        }
    } while (skip_char(&s, ','));
    if (!skip_char(&s, '}'))
        return false;
    skip_space(&s);
    return s.at == s.end && have_object && have_signature;
}

char *json_minify(struct adyton_bytes object, size_t *size)
{
    char *out = malloc(object.size + 1);
    bool in_string = false;
    size_t n = 0;
    for (size_t i = 0; out && i < object.size; i++) {
        char c = (char)object.data[i];
        if (!in_string && is_space(c))
            continue;
        out[n++] = c;
        if (c == '"')
            in_string = !in_string;
        else if (c == '\\' && in_string && i + 1 < object.size)
            out[n++] = (char)object.data[++i];
    }
    *size = n;
    return out;
}

json_t *json_verified(const struct signed_json *parts, EVP_PKEY *key, int format, int signature,
                      int *code)
{
    struct adyton_bytes object = parts->object;
    char *minified = NULL;
    json_t *json = NULL;
    size_t size = 0;
    *code = 0;
    if (!p256_verify(key, object.data, object.size, parts->signature)) {
        minified = json_minify(object, &size);
        if (!minified)
            *code = ADYTON_ATTEST_NO_MEMORY;
        else if (size == object.size || !p256_verify(key, minified, size, parts->signature))
            *code = signature;
        object = (struct adyton_bytes){(uint8_t *)minified, size};
    }
    if (!*code) {
        json = json_loadb((const char *)object.data, object.size, JSON_REJECT_DUPLICATES, NULL);
        if (!json)
            *code = format;
    }
    free(minified);
    return json;
}

bool json_number(const json_t *object, const char *name, uint32_t max, uint32_t *value)
{
    const json_t *member = json_object_get(object, name);
    if (!json_is_integer(member))
        return false;
    json_int_t number = json_integer_value(member);
    *value = (uint32_t)number;
    return number >= 0 && number <= (json_int_t)max;
}

const char *json_text(const json_t *object, const char *name)
{
    const json_t *member = json_object_get(object, name);
    /* A NUL inside is refused by jansson. */
    return json_string_value(member);
}

bool json_hex(const json_t *object, const char *name, uint8_t *out, size_t size)
{
    const char *text = json_text(object, name);
    return text && hex_decode(text, strlen(text), out, size);
}

bool json_time(const json_t *object, const char *name, int64_t *seconds)
{
    const char *text = json_text(object, name);
    return text && time_from_iso(text, seconds);
}

void level_free(struct level *level)
{
    for (unsigned i = 0; i < level->advisory_count; i++)
        free(level->advisories[i]);
    free(level->advisories);
    *level = (struct level){0};
}

int json_level(const json_t *object, struct level *level)
{
    const json_t *list = json_object_get(object, "advisoryIDs");
    const char *status = json_text(object, "tcbStatus");
    size_t count = json_array_size(list);
    *level = (struct level){0};
    if (!status || !json_time(object, "tcbDate", &level->date))
        return -1;
    level->status = adyton_tcb_status_from_name(status);
    /* The two about relaunching are made from others, and never stand in TCB info. */
    if (level->status == ADYTON_TCB_UNKNOWN || level->status > ADYTON_TCB_REVOKED)
        return -1;
    if ((list && !json_is_array(list)) || count > ADVISORIES_MAX)
        return -1;
    if (!count)
        return 0;
    level->advisories = calloc(count, sizeof(*level->advisories));
    if (!level->advisories)
        return -2;
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        level->advisories[i] = text ? strdup(text) : NULL;
        if (!level->advisories[i])
            return text ? -2 : -1;
        level->advisory_count++;
    }
    return 0;
}

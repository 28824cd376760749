/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "attest/der.h"

#include <stdio.h>

/* Length of the header and content of the next element; false when it is not all there. */
static bool measure(const der *in, size_t *header, size_t *content)
{
    if (in->size < 2 || (in->data[0] & 0x1f) == 0x1f)
        return false;
    size_t len = in->data[1], at = 2;
    if (len >= 0x80) {
        size_t octets = len & 0x7f;
        if (octets < 1 || octets > 4 || in->size < 2 + octets || !in->data[2])
            return false;
        len = 0;
        for (size_t i = 0; i < octets; i++)
            len = len << 8 | in->data[at++];
        if (len < 0x80)
            return false;
    }
    *header = at;
    *content = len;
    return len <= in->size - at;
}

bool der_next_is(const der *in, uint8_t tag)
{
    return in->size && in->data[0] == tag;
}

static void step(der *in, size_t len)
{
    in->data += len;
    in->size -= len;
}

bool der_take(der *in, uint8_t tag, der *content)
{
    size_t header, len;
    if (!der_next_is(in, tag) || !measure(in, &header, &len))
        return false;
    *content = (der){in->data + header, len};
    step(in, header + len);
    return true;
}

bool der_take_whole(der *in, uint8_t tag, der *element)
{
    size_t header, len;
    if (!in->size || (tag && in->data[0] != tag) || !measure(in, &header, &len))
        return false;
    *element = (der){in->data, header + len};
    step(in, header + len);
    return true;
}

bool der_take_uint(der *in, uint8_t tag, uint32_t max, uint32_t *value)
{
    der saved = *in, content;
    uint64_t v = 0;
    bool ok = der_take(in, tag, &content) && content.size >= 1 && content.size <= 5 &&
              content.data[0] < 0x80 &&
              (content.size == 1 || content.data[0] || content.data[1] >= 0x80);
    for (size_t i = 0; ok && i < content.size; i++)
        v = v << 8 | content.data[i];
    ok = ok && v <= max;
    if (ok)
        *value = (uint32_t)v;
    else
        *in = saved;
    return ok;
}

bool der_take_octets(der *in, size_t size, const uint8_t **data)
{
    der saved = *in, content;
    if (der_take(in, DER_OCTET_STRING, &content) && content.size == size) {
        *data = content.data;
        return true;
    }
    *in = saved;
    return false;
}

bool der_take_bool(der *in, bool *value)
{
    der saved = *in, content;
    if (der_take(in, DER_BOOLEAN, &content) && content.size == 1 &&
        (content.data[0] == 0 || content.data[0] == 0xff)) {
        *value = content.data[0];
        return true;
    }
    *in = saved;
    return false;
}

/* Days from 1970-01-01, for a date of the Gregorian calendar. */
static int64_t days(int year, int month, int day)
{
    int y = month > 2 ? year : year - 1, m = (month + 9) % 12;
    return 365LL * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool to_seconds(const int part[6], int64_t *seconds)
{
    static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = part[0], month = part[1], day = part[2];
    bool leap = (year % 4 == 0 && year % 100) || year % 400 == 0;
    if (year < 1950 || month < 1 || month > 12 || day < 1 ||
        day > lengths[month - 1] + (month == 2 && leap) || part[3] > 23 || part[4] > 59 ||
        part[5] > 59)
        return false;
    *seconds = days(year, month, day) * 86400 + part[3] * 3600 + part[4] * 60 + part[5];
    return true;
}

/* Reads text by a picture: digits of year, month, day, hour, minute and second stand where it has
 * '0' to '5', other characters stand for themselves. */
static bool parse_time(const char *text, size_t len, const char *picture, int part[6])
{
    if (len != strlen(picture))
        return false;
    memset(part, 0, 6 * sizeof(*part));
    for (size_t i = 0; i < len; i++) {
        unsigned which = (unsigned)picture[i] - '0', digit = (unsigned)text[i] - '0';
        if (which > 5 ? text[i] != picture[i] : digit > 9)
            return false;
        if (which <= 5)
            part[which] = part[which] * 10 + (int)digit;
    }
    return true;
}

bool der_take_time(der *in, int64_t *seconds)
{
    der saved = *in, content;
    int part[6];
    bool ok = false;
    if (der_take(in, DER_UTC_TIME, &content)) {
        ok = parse_time((const char *)content.data, content.size, "001122334455Z", part);
        if (ok)
            part[0] += part[0] < 50 ? 2000 : 1900;
    } else if (der_take(in, DER_TIME, &content)) {
        ok = parse_time((const char *)content.data, content.size, "00001122334455Z", part);
    }
    ok = ok && to_seconds(part, seconds);
    if (!ok)
        *in = saved;
    return ok;
}

bool time_from_iso(const char *text, int64_t *seconds)
{
    int part[6];
    return parse_time(text, strlen(text), "0000-11-22T33:44:55Z", part) && part[0] >= 1970 &&
           to_seconds(part, seconds);
}

void time_to_iso(int64_t seconds, char text[24])
{
    int64_t day = seconds / 86400 - (seconds % 86400 < 0);
    int rest = (int)(seconds - day * 86400);
    /* Counted from 0000-03-01, so that leap days end years. */
    int64_t z = day + 719468, era = z / 146097;
    int doe = (int)(z - era * 146097);
    int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int month = mp < 10 ? mp + 3 : mp - 9;
    int year = (int)(yoe + era * 400) + (month <= 2);
    if (day < -719468 || year > 9999)
        snprintf(text, 24, "9999-12-31T23:59:59Z");
    else
        snprintf(text, 24, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year % 10000,
                 (unsigned)month % 100, (unsigned)(doy - (153 * mp + 2) / 5 + 1) % 100,
                 (unsigned)(rest / 3600) % 100, (unsigned)(rest / 60 % 60), (unsigned)(rest % 60));
}

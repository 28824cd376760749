/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The SGX extension of PCK certificates, 1.2.840.113741.1.13.1. */
#include "attest/tcb.h"

static const uint8_t sgx_oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

/* Takes one pair of a list: the last numbers of its OID below `depth` numbers of .1.13.1. */
static bool take_pair(der *list, const uint8_t *below, size_t below_size, uint8_t *number,
                      der *value)
{
    der oid;
    if (!der_take(list, DER_SEQUENCE, value) || !der_take(value, DER_OID, &oid) ||
        oid.size != sizeof(sgx_oid) + below_size + 1 ||
        memcmp(oid.data, sgx_oid, sizeof(sgx_oid)) ||
        (below_size && memcmp(oid.data + sizeof(sgx_oid), below, below_size)))
        return false;
    *number = oid.data[oid.size - 1];
    return true;
}

static bool take_copy(der *value, void *out, size_t size)
{
    const uint8_t *data;
    if (!der_take_octets(value, size, &data))
        return false;
    memcpy(out, data, size);
    return true;
}

static bool parse_tcb(der value, struct pck *pck)
{
    static const uint8_t below[] = {2};
    der list, item;
    uint8_t number;
    uint32_t svn, seen = 0;
    if (!der_take(&value, DER_SEQUENCE, &list) || value.size)
        return false;
    while (list.size) {
        if (!take_pair(&list, below, 1, &number, &item) || number < 1 || number > 18 ||
            seen & 1u << number)
            return false;
        seen |= 1u << number;
        if (number == 18) {
            if (!take_copy(&item, pck->cpu_svn, 16))
                return false;
        } else {
            if (!der_take_uint(&item, DER_INTEGER, number == 17 ? 65535 : 255, &svn))
                return false;
            if (number == 17)
                pck->pce_svn = (uint16_t)svn;
            else
                pck->components[number - 1] = (uint8_t)svn;
        }
        if (item.size)
            return false;
    }
    return seen == 0x7fffe;
}

static bool parse_configuration(der value, struct pck *pck)
{
    static const uint8_t below[] = {7};
    int *const flags[] = {&pck->dynamic_platform, &pck->cached_keys, &pck->smt_enabled};
    der list, item;
    uint8_t number;
    bool flag;
    if (!der_take(&value, DER_SEQUENCE, &list) || value.size)
        return false;
    while (list.size) {
        if (!take_pair(&list, below, 1, &number, &item) || number < 1 || number > 3 ||
            *flags[number - 1] >= 0 || !der_take_bool(&item, &flag) || item.size)
            return false;
        *flags[number - 1] = flag;
    }
    return true;
}

static bool parse_part(uint8_t number, der value, struct pck *pck)
{
    uint32_t type;
    switch (number) {
    case 1:
        return take_copy(&value, pck->ppid, 16) && !value.size;
    case 2:
        return parse_tcb(value, pck);
    case 3:
        return take_copy(&value, pck->pce_id, 2) && !value.size;
    case 4:
        return take_copy(&value, pck->fmspc, 6) && !value.size;
    case 5:
        if (!der_take_uint(&value, DER_ENUMERATED, 2, &type) || value.size)
            return false;
        pck->sgx_type = (int)type;
        return true;
    case 6:
        return take_copy(&value, pck->instance_id, 16) && !value.size;
    case 7:
        return parse_configuration(value, pck);
    default:
        return false;
    }
}

bool pck_parse(der extension, bool platform, struct pck *pck)
{
    der list, value;
    uint8_t number;
    unsigned seen = 0;
    *pck = (struct pck){
        .platform = platform, .dynamic_platform = -1, .cached_keys = -1, .smt_enabled = -1};
    if (!der_take(&extension, DER_SEQUENCE, &list) || extension.size)
        return false;
    while (list.size) {
        if (!take_pair(&list, NULL, 0, &number, &value) || number > 7 || seen & 1u << number ||
            !parse_part(number, value, pck))
            return false;
        seen |= 1u << number;
    }
    return seen == (platform ? 0xfeu : 0x3eu);
}

bool pck_from_cert(const struct cert *leaf, const struct cert *ca, struct pck *pck)
{
    bool platform = strstr(ca->name, "Platform CA");
    der value;
    if (!platform && !strstr(ca->name, "Processor CA"))
        return false;
    return x509_find_extension(&leaf->x, sgx_oid, sizeof(sgx_oid), &value) == 1 &&
           pck_parse(value, platform, pck);
}

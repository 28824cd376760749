/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What platform.h says of an enclave's identity, on platforms that are none. */
#include "platform/platform.h"

bool platform_attests(void)
{
    return false;
}

int platform_my_target(uint8_t target[PLATFORM_TARGET])
{
    (void)target;
    return -ENOSYS;
}

int platform_report(const uint8_t target[PLATFORM_TARGET], const uint8_t data[PLATFORM_REPORT_DATA],
                    uint8_t report[PLATFORM_REPORT])
{
    (void)target, (void)data, (void)report;
    return -ENOSYS;
}

ssize platform_quote(const uint8_t data[PLATFORM_REPORT_DATA], void *quote, size_t size)
{
    (void)data, (void)quote, (void)size;
    return -ENOSYS;
}

int platform_seal_key(bool by_signer, uint8_t key[16])
{
    (void)by_signer, (void)key;
    return -ENOSYS;
}

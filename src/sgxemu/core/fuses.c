/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "sgxemu/core/fuses.h"
#include "sgxemu/core/internal.h"
#include "crypto/crypto.h"

void sgx_platform_from_fuses(struct sgx_platform *p, const uint8_t fuses[SGX_FUSES_SIZE],
                             const void *boot, size_t boot_size)
{
    static const uint8_t cpu_svn[16] = {0x0e, 0x0e, 0x10, 0x0f, 0xff, 0x80, 0x06};
    copy(p->seal_fuses, fuses, 16);
    copy(p->owner_epoch, fuses + 16, 16);
    copy(p->cpu_svn, cpu_svn, 16);
    aes128_cmac(fuses + 32, boot, boot_size, p->report_key_id);
    aes128_cmac(fuses + 48, boot, boot_size, p->report_key_id + 16);
    aes128_cmac(fuses + 48, p->report_key_id, 32, p->paging_key);
}

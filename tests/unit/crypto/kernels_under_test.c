/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "kernels_under_test.h"
#include <string.h>

int use_kernels(int i)
{
    static const uint64_t xfrm[KERNEL_SETS] = {0, 0x3, 0x7, 0xe7};
    static const char *const names[KERNEL_SETS] = {"portable", "aes-ni", "vaes256", "vaes512"};
    struct crypto_cpu cpu;

    crypto_read_cpu(&cpu);
    cpu.xfrm &= xfrm[i];
    crypto_init_cpu(&cpu);
    return strstr(crypto_kernels(), names[i]) ? 0 : -1;
}

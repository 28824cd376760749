/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include <stdio.h>

int main(void)
{
    puts("Hello, world");
    return 0;
}

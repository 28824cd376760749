/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "libos/entry/patch.h"
void patch_site(const struct regs *r)
{
    (void)r;
}
bool patch_in_progress_at(uintptr_t ip)
{
    (void)ip;
    return false;
}
bool patch_is_stub(uintptr_t ip)
{
    (void)ip;
    return false;
}
void patch_forget(void)
{
}

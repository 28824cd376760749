/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "cli/sgx_date.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "sgx/sigstruct.h"

bool sgx_sign_date(struct sgx_sigstruct *sig, const char *text)
{
    unsigned year, month, day;
    int used = 0;
    if (strcmp(text, "today") == 0) {
        time_t now = time(NULL);
        struct tm tm;
        gmtime_r(&now, &tm);
        sgx_sigstruct_set_date(sig, (unsigned)tm.tm_year + 1900, (unsigned)tm.tm_mon + 1,
                               (unsigned)tm.tm_mday);
        return true;
    }
    if (strspn(text, "0123456789-") != strlen(text) ||
        sscanf(text, "%4u-%2u-%2u%n", &year, &month, &day, &used) != 3 || used != 10 ||
        text[used] || month > 12 || day > 31)
        return false;
    if ((year || month || day) && (!month || !day))
        return false;
    sgx_sigstruct_set_date(sig, year, month, day);
    return true;
}

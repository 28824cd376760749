/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Calls that the mock host does not perform, but whose pointers it looks at: none may lead into the
 * library OS's memory. Which arguments are pointers is in libos/trace/arguments.h. */
#include "libos/trace/arguments.h"
#include "platform/test/mock.h"
#include "platform/test/mock_calls.h"
#include <errno.h>

long mock_unknown(long nr, const long a[6])
{
    for (int i = 0; i < ARGUMENTS_MOST; i++) {
        size_t n = syscall_argument_bytes((unsigned long)nr, a, i);
        if (n)
            mock_memory((const void *)a[i], n, nr);
    }
    return -ENOSYS;
}

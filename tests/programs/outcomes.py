# SPDX-License-Identifier: LGPL-3.0-or-later
"""What a call did, as something to be printed and compared."""
import ctypes
import errno
import os

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, NOREPLACE, EXCHANGE = -100, 1, 2


def attempt(what, *args, **named):
    """Its result, or the name of its error."""
    try:
        return what(*args, **named)
    except OSError as error:
        return errno.errorcode[error.errno]


def show(name, call):
    print(name, attempt(call), flush=True)


def code(result):
    """Of a function of libc that returns -1 for an error."""
    return errno.errorcode[ctypes.get_errno()] if result < 0 else result


def rename2(old, new, flags):
    return code(libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))

# SPDX-License-Identifier: LGPL-3.0-or-later
"""The library needs nothing from whoever links it but four functions.

Usage: symbols.py LIBRARY
"""
import subprocess
import sys

GIVEN = {"memcpy", "memmove", "memset", "memcmp", "_GLOBAL_OFFSET_TABLE_"}


def symbols(library, option):
    run = subprocess.run(["nm", option, "-f", "posix", library], text=True, capture_output=True, check=True)
    return {line.split()[0] for line in run.stdout.splitlines() if len(line.split()) > 1}


def main():
    defined = symbols(sys.argv[1], "--defined-only")
    missing = symbols(sys.argv[1], "--undefined-only") - defined - GIVEN
    if "aes128_gcm_encrypt" not in defined:
        print("no library")
        return 1
    for name in sorted(missing):
        print(f"{sys.argv[1]} needs {name}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
